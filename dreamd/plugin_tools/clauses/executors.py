"""What an executor must keep."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from dreamd.executors.executor import Executor, ExecutorContext
from dreamd.plugin_host.host import Registered
from dreamd.plugin_tools.clauses.common import (
    Clause,
    must,
)
from dreamd.settings.config import load_config


def executor_clauses(item: Registered) -> Iterator[Clause]:
    """Return what an executor must keep."""

    def is_executor() -> None:
        with tempfile.TemporaryDirectory(prefix="dreamd-check-") as folder:
            config = Path(folder) / "config.yaml"
            config.write_text("workers: {devices: [cpu]}\n", encoding="utf-8")
            made = item.function(ExecutorContext(config=load_config(config)), **_samples(item))
        wanted = [name for name in vars(Executor) if not name.startswith("_")]
        missing = [name for name in wanted if not callable(getattr(made, name, None))]
        must(not missing, f"it has no {', '.join(missing)}: see dreamd.api.Executor")

    yield "makes what dreamd.api.Executor describes", is_executor


_SAMPLES: dict[str, object] = {"string": "127.0.0.1:1", "integer": 1, "number": 1.0, "boolean": False, "array": []}
"""A value of each type of JSON Schema, for parameters without a default; a mapping for all others."""


def _samples(item: Registered) -> dict[str, object]:
    """Return a value for each parameter that must have one."""
    required = (parameter for parameter in item.entry.parameters if parameter.required)
    return {parameter.name: _SAMPLES.get(parameter.schema_.get("type", ""), {}) for parameter in required}
