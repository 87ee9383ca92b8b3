"""Which device a worker takes, on a machine without a GPU: what it says of one that should be there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dreamd.engine.speed.devices import leaves_broken
from dreamd.engine.tiles.footprint import is_out_of_memory
from dreamd.errors import UsageError
from dreamd.worker.machine.device import choose_device, count_threads, missing_gpu

VISIBLE = "CUDA_VISIBLE_DEVICES"

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there, and can be used")


@pytest.fixture
def no_driver(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    folder = tmp_path / "proc/driver/nvidia"
    folder.mkdir(parents=True)
    (folder / "version").write_text("NVRM version: NVIDIA UNIX\n", encoding="utf-8")
    return tmp_path


def test_a_machine_without_a_gpu_misses_none(no_driver: Path) -> None:
    assert missing_gpu({}, no_driver) == ""


@pytest.mark.parametrize("hidden", ["", "-1", "none", "NoDevFiles"])
def test_whoever_hides_the_gpus_misses_none(driver: Path, hidden: str) -> None:
    assert missing_gpu({VISIBLE: hidden}, driver) == ""


def test_a_driver_without_a_gpu_that_works_is_told(driver: Path) -> None:
    assert missing_gpu({}, driver).startswith("there is an NVIDIA driver, but torch cannot use a GPU; see `nvidia-smi`")


@pytest.mark.parametrize("visible", ["0", "0,1", "GPU-8932f937", "MIG-1b2c"])
def test_a_gpu_that_the_environment_names_is_missed(no_driver: Path, visible: str) -> None:
    assert missing_gpu({VISIBLE: visible}, no_driver).startswith(f"CUDA_VISIBLE_DEVICES is {visible}, but torch")


def test_auto_goes_over_to_the_processor_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "0")
    device = choose_device("auto:0", is_alone=True)
    assert device.label == "cpu"
    assert device.warning.startswith("dreaming on the processor instead of a GPU: CUDA_VISIBLE_DEVICES is 0")


def test_the_processor_by_choice_is_no_reason_for_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "0")
    assert choose_device("cpu").warning == ""


def test_a_spare_worker_leaves_the_processor_to_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "1")
    with pytest.raises(UsageError, match="GPU 1 cannot be used, and the processor is another worker's: CUDA_VISIBLE"):
        choose_device("auto:1", is_alone=True, is_spare=True)


def test_a_named_gpu_that_cannot_be_used_is_an_error_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "0")
    with pytest.raises(
        UsageError, match=r"device 'cuda:0' cannot be used here; there is cpu: CUDA_VISIBLE_DEVICES is 0"
    ):
        choose_device("cuda:0")


@pytest.mark.parametrize("wanted", ["cuda:x", "auto:x", "gpu", "", "cpu:x"])
def test_a_name_that_is_none_is_an_error(wanted: str) -> None:
    with pytest.raises(UsageError, match="cannot be used here"):
        choose_device(wanted)


def test_workers_of_one_processor_share_its_threads() -> None:
    alone = count_threads()
    assert 1 <= alone <= torch.get_num_threads()
    assert count_threads(sharers=2) == max(1, alone // 2)
    assert count_threads(sharers=1000) == 1


# Errors of a GPU, by their words


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_running_out_of_memory_has_many_names_and_leaves_nothing_broken(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not leaves_broken(error)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: device-side assert triggered"),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_a_fault_on_the_gpu_leaves_it_broken_for_the_process(error: Exception) -> None:
    assert leaves_broken(error)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: operation not permitted when stream is capturing"),
        torch.AcceleratorError("CUDA error: invalid argument"),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        ValueError("CUDA error: says a plugin"),
    ],
)
def test_an_error_of_one_call_breaks_nothing(error: Exception) -> None:
    assert not leaves_broken(error)
    assert not is_out_of_memory(error)
