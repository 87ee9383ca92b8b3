"""The benchmarks' arithmetic, table and command line, and that they run where little is installed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import daemon, films, memory, peak, scale
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.filming import write_film
from benchmarks.gradients import Gradients
from benchmarks.plan import BenchmarkError, run_process
from benchmarks.report import Bar, Row, Table, at_least, at_most, figure
from benchmarks.timing import ProcessesClock, Samples, Way, alternate, spread

REPOSITORY = Path(__file__).parents[2]

TABLE = Table(
    benchmark="ascent",
    title="an ascent",
    unit="s",
    better="less",
    against="the loop",
    rows=[
        Row(what="the loop", value=1.5, ratio=1.0, spread=0.02),
        Row(what="this engine", value=0.5, ratio=3.0, spread=0.31, bar=at_least(3.2, 3.0, "3.2×"), note="near it"),
    ],
)


def ticking(*seconds: float) -> Any:
    """A clock that gives these, and lets every way run."""
    ticks: Iterator[float] = iter(seconds)

    def clock(run: Any) -> float:
        run()
        return next(ticks)

    return clock


def ways(*works: float, ran: list[str] | None = None) -> list[Way]:
    ran = [] if ran is None else ran
    return [
        Way(name=name, run=lambda name=name: ran.append(name), work=work)
        for name, work in zip("ABC", works, strict=False)
    ]


# The arithmetic


def test_ways_run_in_alternation_after_they_are_warm() -> None:
    ran: list[str] = []
    alternate(ways(1, 1, ran=ran), rounds=2, clock=ticking(1, 2, 1, 2))
    assert "".join(ran) == "AB" + "ABAB"


def test_processes_need_not_be_warmed() -> None:
    ran: list[str] = []
    alternate(ways(1, 1, ran=ran), rounds=1, clock=ticking(1, 2), warm=False)
    assert "".join(ran) == "AB"


def test_samples_are_seconds_a_unit_of_work() -> None:
    plain, batch = alternate(ways(1, 8), rounds=1, clock=ticking(3, 8), warm=False)
    assert (plain.median, batch.median) == (3, 1)
    assert batch.ratio == 3


def test_a_ratio_is_that_of_the_rounds_so_that_a_slow_spell_of_the_machine_does_not_count() -> None:
    plain, fast = alternate(ways(1, 1), rounds=3, clock=ticking(2, 1, 2, 1, 2.1, 1.05), warm=False)
    assert fast.ratio == 2
    assert fast.spread == 0
    assert plain.ratio == 1


def test_the_spread_is_the_middle_half_of_the_samples() -> None:
    assert spread([1, 2, 3, 4, 5]) == pytest.approx(2 / 3)
    assert spread([1]) is None
    samples = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert Samples(samples, samples).spread == pytest.approx(2 / 3)
    assert Samples(samples, list(samples)).spread == 0


def test_a_noisy_measurement_is_prolonged_to_twice_its_rounds_at_most() -> None:
    calm = alternate(ways(1), rounds=2, clock=ticking(1, 1.01), warm=False)
    assert len(calm[0].seconds) == 2
    soon_calm = alternate(ways(1), rounds=3, clock=ticking(1, 2, 1, 1, 1), warm=False)
    assert len(soon_calm[0].seconds) == 5
    never = alternate(ways(1), rounds=3, clock=ticking(1, 9, 1, 9, 1, 9), warm=False)
    assert len(never[0].seconds) == 6


def test_the_exponent_is_one_when_time_grows_as_size_does() -> None:
    sizes = [1, 10, 50, 100]
    assert memory.exponent(sizes, [2 * size for size in sizes]) == pytest.approx(1)
    assert memory.exponent(sizes, [3 * size**1.5 for size in sizes]) == pytest.approx(1.5)


def test_an_iteration_at_224_pixels_is_78_billion_operations() -> None:
    assert peak.iteration_flops(224, 224) == pytest.approx(78e9, rel=0.02)
    assert peak.iteration_flops(448, 224) == pytest.approx(2 * peak.iteration_flops(224, 224), rel=0.01)


def test_bars_are_met_or_not() -> None:
    assert at_least(20, 20.0, "20×") == Bar(words="≥ 20×", met=True)
    assert not at_least(20, 19.9, "20×").met
    assert at_most(4.5, 4.4, "4.5 GB") == Bar(words="≤ 4.5 GB", met=True)
    assert not at_most(4.5, 4.6, "4.5 GB").met


# The table


def test_a_table_is_aligned_and_says_what_is_better_and_what_missed_its_bar() -> None:
    title, head, loop, engine = TABLE.text().splitlines()
    assert title == "ascent: an ascent (less is better)"
    assert head.split() == ["s", "×", "the", "loop", "spread", "bar"]
    assert loop.split() == ["the", "loop", "1.5", "1.00", "2.0%"]
    assert engine.split() == ["this", "engine", "0.5", "3.00", "31.0%", "!", "≥", "3.2×", "MISSED", "near", "it"]
    assert loop.index("1.00") == engine.index("3.00")


def test_figures_keep_three_digits() -> None:
    assert [figure(value) for value in (0.012345, 1.2345, 12.345, 12345.6)] == ["0.0123", "1.23", "12.3", "12,346"]


def test_a_table_comes_back_from_json() -> None:
    assert Table.from_json(json.loads(json.dumps(TABLE.as_json()))) == TABLE


# The command line


def report(**changes: Any) -> dict[str, Any]:
    values = {"machine": {"cores": "2"}, "quick": False, "seconds": 5, "skipped": {}, "failed": {}}
    return {**values, "tables": [TABLE.as_json()], **changes}


def written(folder: Path, name: str, values: object) -> str:
    file = folder / name
    file.write_text(json.dumps(values), encoding="utf-8")
    return str(file)


def test_an_unknown_name_is_wrong_usage_and_the_names_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--only", "ascnt"])
    assert exit_.value.code == 2
    told = capsys.readouterr().err
    assert "'ascnt'" in told
    assert all(name in told for name in BENCHMARKS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cuda", "--only", "ascent"]) == 2
    assert "--device cuda: torch sees no GPU here" in capsys.readouterr().err


def test_reports_of_one_machine_show_as_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [written(tmp_path, "a", report()), written(tmp_path, "b", report(skipped={"daemon": "needs PIL"}))]
    assert main(["--show", *files]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("cores: 2\n")
    assert shown.count(TABLE.text()) == 2
    assert "daemon: skipped, needs PIL" in shown
    assert "in 10 s" in shown


def test_what_failed_shows_and_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--show", written(tmp_path, "a", report(failed={"program": "other pixels"}))]) == 1
    assert "program: FAILED, other pixels" in capsys.readouterr().out


def test_reports_of_two_machines_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [written(tmp_path, "a", report()), written(tmp_path, "b", report(machine={"cores": "64"}))]
    assert main(["--show", *files]) == 1
    assert f"{files[1]} was measured in another way or elsewhere than {files[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("values", [[], {}, {"tables": [{"title": "x"}]}, "text"])
def test_what_is_no_report_is_said_to_be_none(
    values: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    assert main(["--show", written(tmp_path, "a", values)]) == 1
    assert "is nothing that `python -m benchmarks --json` wrote" in capsys.readouterr().err


def test_a_process_that_fails_says_what_it_said_last() -> None:
    with pytest.raises(BenchmarkError, match=r"ended with 3: no weights$"):
        run_process(["-c", "import sys; print('no weights', file=sys.stderr); sys.exit(3)"])


def test_a_recipe_for_the_daemon_is_a_file_or_a_preset(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("loss: l2\n", encoding="utf-8")
    assert daemon._text_of(str(tmp_path / "own.yaml")) == "loss: l2\n"
    assert daemon._text_of("weave") == "extends: weave\n"
    with pytest.raises(BenchmarkError, match=r"--recipe waeve: neither .* nor a preset \(.*weave.*\)"):
        daemon._text_of("waeve")


def test_a_picture_that_did_not_come_out_is_not_overlooked() -> None:
    queue = daemon._Queue(title="", recipe="", pictures=3, barred=False)
    assert daemon._pace([10.0, 14.0, 12.0], queue) == 2
    with pytest.raises(BenchmarkError, match="2 of 3 pictures came out"):
        daemon._pace([10.0, 14.0, None], queue)


# From end to end

BARE = """
import sys


class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pydantic", "watchdog", "pluggy", "click", "yaml", "jsonschema", "rich"}:
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Bare())
"""
"""What makes a Python one that has torch and torchvision (which brings Pillow), timm and numpy, and little else."""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_where_little_is_installed_ascents_are_measured_and_the_rest_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BARE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--device", "cpu", "--json", "--only", "ascent", "program"],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    (table,) = (Table.from_json(table) for table in values["tables"])
    assert [row.what.partition(" (")[0] for row in table.rows] == [
        "the article's loop", "a competent loop", "this engine, fp32", "this engine, auto", "this engine, auto",
    ]  # fmt: skip
    assert all(row.value > 0 and row.ratio is not None and math.isfinite(row.ratio) for row in table.rows)
    assert "same picture" in table.rows[2].note
    assert values["skipped"]["program"].startswith("needs click, pluggy, pydantic, yaml, jsonschema, rich, watchdog")
    assert values["machine"].keys() >= {"processor", "cores", "memory", "versions"}


@pytest.mark.slow
def test_each_way_to_a_gradient_has_a_process_that_computes_when_it_is_told_to_and_says_when_it_cannot() -> None:
    with Gradients("auto", 64, 64) as gradients:
        gradients.compute()
        gradients.compute()
        process = gradients._process
        assert process.poll() is None
    assert process.poll() is not None
    with Gradients("nonsense", 64, 64) as gradients, pytest.raises(BenchmarkError, match="ended with 1"):
        gradients.compute()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_people_wait_for_is_measured_against_the_plain_way_in_the_same_run() -> None:
    names = ["embedded", "octaves", "startup", "loaded", "program"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--device", "cpu", "--json", "--only", *names],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    tables = [Table.from_json(table) for table in values["tables"]]
    assert (values["failed"], [table.benchmark for table in tables]) == ({}, names)
    for plain, *others in (table.rows for table in tables):
        assert plain.ratio == 1
        assert others
        assert all(row.value > 0 and row.ratio is not None and math.isfinite(row.ratio) for row in others)
    assert "times less" in tables[-1].rows[-1].note


def test_what_the_processor_worked_for_a_process_is_noted_beside_its_seconds() -> None:
    clock = ProcessesClock()
    work = partial(run_process, ["-c", "sum(range(5_000_000))"])
    seconds = clock(work)
    (worked,) = clock.processor[work]
    assert worked > 0
    assert seconds > 0


@pytest.mark.slow
def test_the_same_queue_goes_through_the_daemon_and_the_bare_engine() -> None:
    queue = daemon._Queue(title="", recipe=daemon._NOTHING, pictures=3, barred=False)
    assert 0 < daemon._bare_seconds(queue, "cpu") < 10
    assert 0 < daemon._daemon_seconds(queue, "cpu") < 10


@pytest.mark.slow
def test_what_a_coordinator_can_do_is_measured_with_a_real_daemon_whose_seats_dream_nothing() -> None:
    figures = scale.measure(300, seats=3, wait=0.03, seconds=20.0)
    assert (figures.files, figures.seats) == (300, 3)
    assert 0 < figures.jobs_per_second < 1.2 * 3 / 0.03
    assert figures.own_ms > 0
    assert 0 < figures.turn_p99_ms <= figures.turn_max_ms
    assert scale.measure_start(20) > 0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_a_film_adds_is_told_apart_from_its_dreams_and_a_worker_is_seen_to_its_end(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    write_film(film, 96, 64, 4)
    costs = films._costs(film, tmp_path, films._EMBEDDED, "cpu")
    assert min(costs.dream, costs.dream_processor, costs.own, costs.own_processor) > 0
    assert 100e6 < films._peak_of_worker(film, tmp_path) < 4e9
    (tmp_path / "none.mp4").write_bytes(b"no film")
    with pytest.raises(BenchmarkError, match=r"made nothing of none\.mp4"):
        films._peak_of_worker(tmp_path / "none.mp4", tmp_path)
