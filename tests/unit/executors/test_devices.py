"""Which GPUs there are for workers, without torch: CUDA_VISIBLE_DEVICES as CUDA reads it, and the driver's own list."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.errors import ConfigError
from dreamd.executors.devices import (
    VISIBLE,
    WorkerDevice,
    check_devices,
    device_names,
    sharing_troubles,
    visible_cards,
    worker_devices,
)
from dreamd.executors.plan import Machine, Share
from dreamd.hardware.cores import Core
from dreamd.settings.config import Config, load_config

FOUR_CORES = Machine(cores=[Core((number,)) for number in range(4)], count=4, memory=8_000_000_000)

MIG = "MIG-1b2c3d4e-0001-5f00-8000-000000000001"
OTHER_MIG = "MIG-1b2c3d4e-0002-5f00-8000-000000000002"


@pytest.mark.parametrize(
    ("visible", "count", "cards"),
    [
        (None, 2, ["0", "1"]),
        (None, None, []),
        ("", 2, []),
        ("-1", 2, []),
        ("1,0", 2, ["1", "0"]),
        (" 1 , 0 ", 2, ["1", "0"]),
        ("0,-1,1", 2, ["0"]),  # what comes after a name that is none is not seen
        ("0,7,1", 2, ["0"]),
        ("0,7,1", None, ["0", "7", "1"]),
        ("0,x,1", 2, ["0"]),
        ("0,,1", 2, ["0"]),
        ("1gpu,0", 2, ["1", "0"]),  # strtoul
        ("+1", 2, ["1"]),
        ("01", 2, ["1"]),
        ("0,0", 2, []),  # CUDA sees none
        ("NoDevFiles", 2, []),
        ("GPU-8932f937,GPU-11111111", 2, ["GPU-8932f937", "GPU-11111111"]),
        ("GPU-8932f937,0", 2, ["GPU-8932f937"]),
        ("GPU-8932f937,GPU-8932f937", 2, []),
        (f"{MIG},{OTHER_MIG}", 1, [MIG, OTHER_MIG]),
        ("MIG-GPU-8932f937/1/0", 1, ["MIG-GPU-8932f937/1/0"]),
    ],
)
def test_the_variable_is_read_as_cuda_reads_it(visible: str | None, count: int | None, cards: list[str]) -> None:
    assert visible_cards(visible, count) == cards


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def config(folder: Path, devices: str) -> Config:
    (folder / "config.yaml").write_text(f"workers: {{devices: {devices}}}\n", encoding="utf-8")
    return load_config(folder / "config.yaml")


def driver(folder: Path, count: int) -> Path:
    gpus = folder / "gpus"
    for number in range(count):
        (gpus / f"0000:0{number}:00.0").mkdir(parents=True)
    return gpus


def test_auto_is_a_worker_a_gpu_each_of_which_sees_its_own_alone(folder: Path) -> None:
    assert worker_devices(config(folder, "auto"), {}, driver(folder, 2)) == [
        WorkerDevice(name="auto:0", card="0"),
        WorkerDevice(name="auto:1", card="1", is_spare=True),
    ]


def test_auto_on_a_machine_that_shows_no_gpu_is_one_worker_that_looks_for_itself(folder: Path) -> None:
    assert worker_devices(config(folder, "auto"), {}, folder / "none") == [WorkerDevice(name="auto:0")]
    assert worker_devices(config(folder, "auto"), {VISIBLE: ""}, driver(folder, 2)) == [WorkerDevice(name="auto:0")]


def test_parts_of_a_gpu_have_a_worker_each(folder: Path) -> None:
    devices = worker_devices(config(folder, "auto"), {VISIBLE: f"{MIG},{OTHER_MIG}"}, driver(folder, 1))
    assert [device.card for device in devices] == [MIG, OTHER_MIG]


def test_named_gpus_are_counted_among_those_that_are_seen(folder: Path) -> None:
    devices = worker_devices(config(folder, "[cuda:1, cuda, cpu, 'cuda:9']"), {VISIBLE: "4,2"}, folder / "none")
    assert [(device.name, device.card) for device in devices] == [
        ("cuda:1", "2"),
        ("cuda", "4"),
        ("cpu", None),
        ("cuda:9", None),
    ]
    assert not any(device.is_spare for device in devices)


def test_workers_of_one_device_share_it(folder: Path) -> None:
    devices = worker_devices(config(folder, "[cpu, cpu, 'cuda:0', cuda]"), {}, driver(folder, 1))
    assert [device.sharers for device in devices] == [2, 2, 2, 2]


def test_a_process_sees_its_card_alone_and_on_the_processor_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "2,3")
    assert WorkerDevice(name="cuda:1", card="3").environment()[VISIBLE] == "3"
    assert WorkerDevice(name="cpu").environment()[VISIBLE] == ""
    assert WorkerDevice(name="auto:0").environment()[VISIBLE] == "2,3"


def test_a_named_gpu_is_seen_alone_also_where_nothing_tells_which_there_are(folder: Path) -> None:
    """As under WSL, whose driver has no folder in /proc."""
    devices = worker_devices(config(folder, "['cuda:1', cuda]"), {}, folder / "none")
    assert [device.card for device in devices] == ["1", "0"]
    hidden = worker_devices(config(folder, "['cuda:1']"), {VISIBLE: ""}, folder / "none")
    assert [device.card for device in hidden] == [None]


def test_a_device_times_a_number_is_so_many_workers(folder: Path) -> None:
    several = config(folder, "[cpu*2, 'cuda:1*2', cuda]")
    assert device_names(several) == ["cpu", "cpu", "cuda:1", "cuda:1", "cuda"]
    devices = worker_devices(several, {}, driver(folder, 2), FOUR_CORES)
    assert [(device.name, device.card, device.sharers) for device in devices] == [
        ("cpu", None, 2),
        ("cpu", None, 2),
        ("cuda:1", "1", 2),
        ("cuda:1", "1", 2),
        ("cuda", "0", 1),
    ]


def test_workers_on_the_processor_share_what_those_of_cards_leave(folder: Path) -> None:
    devices = worker_devices(config(folder, "['cuda:0', cpu, cpu]"), {}, driver(folder, 1), FOUR_CORES)
    assert [device.share for device in devices] == [
        Share(),
        Share(processors=(0, 1), threads=1),
        Share(processors=(2,), threads=1),
    ]


def test_a_worker_alone_on_the_processor_has_it_as_ever(folder: Path) -> None:
    (device,) = worker_devices(config(folder, "[cpu]"), {}, folder / "none", FOUR_CORES)
    assert device.share == Share()


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        ("[cpu*2], threads: 3", ["workers.threads: 3 threads for each of 2 workers are more than the 4 processors"]),
        ("auto, threads: 5", ["workers.threads: 5 threads for a worker are more than the 4 processors"]),
        ("[cpu*5]", ["workers.devices: 5 workers share the 4 processors"]),
        ("[cpu*2], memory: 5GB", ["workers.memory: 5.0 GB for each of 2 workers are more than the 8.0 GB"]),
        ("[cpu*2], threads: 2, memory: 4GB", []),
        ("['cuda:0'], threads: 5", []),
        ("[cpu*5], executor: cluster", []),
    ],
)
def test_what_cannot_be_shared_well_is_told(folder: Path, devices: str, told: list[str]) -> None:
    troubles = sharing_troubles(config(folder, devices), FOUR_CORES)
    assert [trouble.partition(" that dreamd")[0] for trouble in troubles] == told


@pytest.mark.parametrize(
    "name", ["gpu", "CPU", "cuda0", "cuda:", "cuda:x", "auto", "cpu:0 ", "", "cpu*0", "cpu*", "cpu*1000"]
)
def test_a_name_that_no_device_can_have_is_refused_with_its_line(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_devices(config(folder, f"[cpu, {name!r}]"))
    assert str(caught.value) == (
        f"{folder}/config.yaml:1: workers.devices[1]: {name!r} is no device; write cpu, cuda, cuda:1, mps or xpu, "
        "or cpu*4 for four workers"
    )


def test_devices_that_may_be_there_are_left_to_the_worker_and_other_executors_names_to_them(folder: Path) -> None:
    check_devices(config(folder, "[cpu, cuda, 'cuda:7', mps, xpu, 'xpu:1', cpu*999]"))
    check_devices(config(folder, "auto"))
    check_devices(config(folder, "[node-7], executor: cluster"))
