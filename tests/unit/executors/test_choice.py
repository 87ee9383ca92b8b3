"""The executor that a config chooses, and what is said of a parameter that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dreamd.errors import ConfigError
from dreamd.executors.choice import executor_of, make_executor
from dreamd.executors.executor import ExecutorContext
from dreamd.plugin_host.host import Plugins
from dreamd.settings.config import Config, load_config

PLUGIN = '''
from dreamd.api import LocalExecutor, hookimpl

DREAMD_API = 3


class Far(LocalExecutor):
    def __init__(self, context, *, address: str, seats: int = 1):
        """Far away.

        Args:
            address: where the machines are.
            seats: how many.
        """
        super().__init__(context)
        self.told = address, seats


@hookimpl
def dreamd_executors(register):
    register("far", Far)
'''


@pytest.fixture
def plugins(tmp_path: Path) -> Plugins:
    folder = tmp_path / "plugins"
    folder.mkdir(mode=0o755)
    (folder / "far.py").write_text(PLUGIN)
    (folder / "far.py").chmod(0o644)
    return Plugins("dreamd.daemon", folders=[folder])


def config_of(tmp_path: Path, executor: str) -> Config:
    file = tmp_path / "config.yaml"
    file.write_text(f"workers:\n  executor: {executor}\n")
    return load_config(file)


def test_an_executor_is_made_with_the_parameters_of_the_config(tmp_path: Path, plugins: Plugins) -> None:
    config = config_of(tmp_path, "{name: far, address: there, seats: 3}")
    made: Any = make_executor(plugins, ExecutorContext(config=config))
    assert made._executor.told == ("there", 3)


def test_a_name_alone_is_an_executor_without_parameters(tmp_path: Path, plugins: Plugins) -> None:
    assert executor_of(plugins, config_of(tmp_path, "local")).entry.name == "local"


@pytest.mark.parametrize(
    ("executor", "words"),
    [
        ("{name: far, address: there, seat: 3}", "has no parameter 'seat'; did you mean seats?"),
        ("{name: far, address: there, seats: many}", "must be a whole number"),
        ("{name: far}", "needs `address`"),
        ("farr", "no executor 'farr'; did you mean far?"),
    ],
)
def test_what_is_wrong_in_it_is_named_with_file_and_line(
    tmp_path: Path, plugins: Plugins, executor: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        executor_of(plugins, config_of(tmp_path, executor))
    assert words in str(caught.value)
    assert "config.yaml" in str(caught.value)
    assert "line 2" in str(caught.value) or ":2" in str(caught.value)
