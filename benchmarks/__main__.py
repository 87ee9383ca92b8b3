"""`python -m benchmarks`: measures, prints tables or JSON, and says which bars were met."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import described
from benchmarks.plan import Plan
from benchmarks.report import Table
from dreamd.errors import DreamdError


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A module of this package with a function `plan → tables`, and the modules that it needs."""

    module: str
    function: str = "run"
    needs: Sequence[str] = ()


_ALL_OF_DREAMD = ("PIL", "click", "pluggy", "pydantic", "yaml", "safetensors", "jsonschema", "rich", "watchdog")

BENCHMARKS = {
    "ascent": Benchmark(module="benchmarks.ascents"),
    "large": Benchmark(module="benchmarks.ascents", function="run_large"),
    "peak": Benchmark(module="benchmarks.peak"),
    "embedded": Benchmark(module="benchmarks.embedded", needs=_ALL_OF_DREAMD),
    "octaves": Benchmark(module="benchmarks.embedded", function="run_octaves", needs=_ALL_OF_DREAMD),
    "chain": Benchmark(module="benchmarks.chains", needs=_ALL_OF_DREAMD),
    "program": Benchmark(module="benchmarks.program", needs=_ALL_OF_DREAMD),
    "daemon": Benchmark(module="benchmarks.daemon", needs=_ALL_OF_DREAMD),
    "scale": Benchmark(module="benchmarks.scale", needs=_ALL_OF_DREAMD),
    "seats": Benchmark(module="benchmarks.sharing", needs=_ALL_OF_DREAMD),
    "startup": Benchmark(module="benchmarks.startup", needs=_ALL_OF_DREAMD),
    "loaded": Benchmark(module="benchmarks.loaded", needs=_ALL_OF_DREAMD),
    "memory": Benchmark(module="benchmarks.memory"),
    "films": Benchmark(module="benchmarks.films", needs=(*_ALL_OF_DREAMD, "av", "cv2")),
    "formats": Benchmark(module="benchmarks.formats", needs=("PIL", "pyvips", "pillow_heif")),
}
"""In the order they run: what can be had on a bare GPU machine has no needs."""


def main(words: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for, or show what was measured; returns the exit code."""
    arguments = _parser().parse_args(words)
    try:
        report = _merged(arguments.show) if arguments.show else _measured(arguments)
    except DreamdError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report, indent=1) if arguments.json else _text(report))
    return 1 if report["failed"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure dreamd against the plain way.")
    parser.add_argument("--json", action="store_true", help="machine, versions and rows as JSON")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="a small version of everything, in a minute or two")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="of ascents; default: both where there is a GPU")
    parser.add_argument("--recipe", metavar="RECIPE", help="what the daemon dreams by: a file or a preset")
    parser.add_argument("--show", nargs="+", type=Path, metavar="FILE", help="print what --json wrote, as one table")
    return parser


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    plan = Plan(quick=arguments.quick, devices=_devices(arguments.device), recipe=arguments.recipe, say=_say)
    start = time.perf_counter()
    report: dict[str, Any] = {"machine": described(), "quick": plan.quick, "tables": [], "skipped": {}, "failed": {}}
    for name in arguments.only or BENCHMARKS:
        if missing := _missing(BENCHMARKS[name].needs):
            report["skipped"][name] = f"needs {', '.join(missing)}, which this Python has not: `pip install dreamd`"
            continue
        _say(f"{name} …")
        try:
            report["tables"] += [table.as_json() for table in _tables(BENCHMARKS[name], plan)]
        except DreamdError as error:
            report["failed"][name] = str(error)
    return {**report, "seconds": round(time.perf_counter() - start)}


def _tables(benchmark: Benchmark, plan: Plan) -> Iterator[Table]:
    tables: Iterator[Table] = getattr(import_module(benchmark.module), benchmark.function)(plan)
    return tables


def _devices(wanted: str | None) -> list[torch.device]:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise NoSuchDeviceError("--device cuda: torch sees no GPU here; leave the option out to measure the processor")
    has_gpu = torch.cuda.is_available() and wanted != "cpu"
    names = [*(["cpu"] if wanted != "cuda" else []), *(["cuda:0"] if has_gpu else [])]
    return [torch.device(name) for name in names]


class NoSuchDeviceError(DreamdError):
    """The command line asks for a device that is not there."""

    exit_code = 2


def _missing(modules: Sequence[str]) -> list[str]:
    missing = []
    for module in modules:
        try:
            import_module(module)
        except ImportError:
            missing.append(module)
    return missing


def _merged(files: Sequence[Path]) -> dict[str, Any]:
    """Reports of the same machine and versions as one. Raises DreamdError when they are not that."""
    reports = [_read(file) for file in files]
    for file, report in zip(files[1:], reports[1:], strict=True):
        if (report["machine"], report["quick"]) != (reports[0]["machine"], reports[0]["quick"]):
            raise DreamdError(f"{file} was measured in another way or elsewhere than {files[0]}; show them one by one")
    whole = {**reports[0], "seconds": sum(report["seconds"] for report in reports)}
    whole["tables"] = [table for report in reports for table in report["tables"]]
    for end in ("skipped", "failed"):
        whole[end] = {name: reason for report in reports for name, reason in report[end].items()}
    return whole


def _read(file: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        [Table.from_json(table) for table in values["tables"]]
    except OSError as error:
        raise DreamdError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DreamdError(f"{file} is nothing that `python -m benchmarks --json` wrote") from error
    return values


def _text(report: dict[str, Any]) -> str:
    parts = ["\n".join(f"{name}: {words}" for name, words in report["machine"].items())]
    parts += [Table.from_json(table).text() for table in report["tables"]]
    parts += [f"{name}: skipped, {reason}" for name, reason in report["skipped"].items()]
    parts += [f"{name}: FAILED, {reason}" for name, reason in report["failed"].items()]
    how = "a quick look, whose figures count for little" if report["quick"] else "the full run"
    return "\n\n".join([*parts, f"{how}, in {report['seconds']} s; a spread marked ! is too wide: measure again"])


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
