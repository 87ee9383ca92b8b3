"""Plugins in fresh processes, as the daemon has them: what works only where it was made does not work there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from dreamd.errors import PluginError
from dreamd.messages import Batch, Done, NotDone, Order, Ready, Settings, Unable, from_worker
from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.host import Registered
from dreamd.plugin_host.kinds import LOAD_PLUGINS, Kind
from dreamd.plugin_tools.clauses.common import must
from dreamd.plugin_tools.clauses.values import SAMPLE_PICTURE, SAMPLE_VECTOR, default_values
from dreamd.plugin_tools.recipes import fields_using
from dreamd.plugin_tools.target import Target
from dreamd.plugin_tools.tiny import CHANNELS
from dreamd.settings.recipes.recipe import Recipe

_MAX_BYTES = 512_000_000
"""The largest sample file that a worker dreams, in bytes."""

_SECONDS = 120.0
"""The time that a process may take to load a plugin of the daemon, in seconds."""

_TINY_FILE = """from dreamd.api import hookimpl
from dreamd.plugin_tools.tiny import tiny_network


@hookimpl
def dreamd_backbones(register):
    register("contract_tiny", tiny_network)
"""
"""A drop-in file beside the plugin that brings the network to check it with."""


def load_in_daemon(plugin: Target) -> None:
    """Load a plugin of the daemon in a process of its own. Raises PluginError when that fails, or imports torch."""
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom dreamd.plugin_host.host import Plugins\n"
        "folders, name = json.loads(sys.argv[1])\n"
        "catalogue = Plugins('dreamd.daemon', folders=[Path(f) for f in folders], only={name}).catalogue\n"
        "print(json.dumps(['torch' in sys.modules, [p.reason for p in catalogue.problems if p.plugin == name]]))\n"
    )
    what = json.dumps([[str(folder) for folder in plugin.folders], plugin.name])
    run = subprocess.run(
        [sys.executable, "-c", code, what], capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    must(run.returncode == 0, f"a process that loads it ends with {run.returncode}: {run.stderr.strip()[-300:]}")
    has_torch, problems = json.loads(run.stdout.splitlines()[-1])
    must(not problems, " ".join(problems))
    must(not has_torch, "it imports torch, which the daemon's process must never hold")


def recipe_with(item: Registered, name: str) -> Recipe | None:
    """Make the recipe of a tiny dream that uses a thing; None for what no recipe names, as a decoder."""
    choice = {"name": name, **default_values(item.entry)}
    fields: dict[str, Any] = {
        "backbone": {"name": "contract_tiny", "weights": "random"},
        "schedule": {"name": "octaves", "num_octaves": 1},
    }
    steps = {"iterations": 2}
    if item.entry.kind in (Kind.DECODER, Kind.FILM):
        return None
    if item.entry.kind is Kind.BACKBONE:
        choice["weights"] = "random"
    own = fields_using(item.entry, choice)
    return Recipe.model_validate({**fields, **own, "ascent": {**own.get("ascent", {}), **steps}})


def dream_in_worker(
    plugin: Target, entries: Sequence[Entry], recipes: Sequence[Recipe], samples: Sequence[Path]
) -> None:
    """Load a plugin in a worker of its own, and have that dream by recipes, and dream the samples.

    Raises:
        PluginError: it brings something else there than here, or a dream is not done.
    """
    with tempfile.TemporaryDirectory(prefix="dreamd-check-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "contract_tiny.py").write_text(_TINY_FILE, encoding="utf-8")
        (folder / "contract_tiny.py").chmod(0o644)
        picture = folder / "picture.png"
        Image.linear_gradient("L").resize((40, 36)).convert("RGB").save(picture)
        plain = Recipe.model_validate(
            {"backbone": {"name": "contract_tiny", "weights": "random"}, "ascent": {"iterations": 1}}
        )
        vector = folder / "vector.txt"
        vector.write_text(" ".join(map(str, range(1, CHANNELS + 1))), encoding="ascii")
        orders = [(_naming(picture, vector, recipe), picture) for recipe in recipes] + [
            (plain, file.absolute()) for file in samples
        ]
        with _worker(plugin, folder) as worker:
            _check_catalogue(worker.catalogue(), entries)
            for number, (recipe, source) in enumerate(orders):
                (folder / str(number)).mkdir()
                worker.dream(recipe, Order(job=f"check-{number}", source=source, folder=folder / str(number)))


def _naming(picture: Path, vector: Path, recipe: Recipe) -> Recipe:
    """Put the paths of a real picture and a real vector into a recipe that names such."""
    text = recipe.to_json().replace(SAMPLE_PICTURE, str(picture)).replace(SAMPLE_VECTOR, str(vector))
    return Recipe.from_json(text)


@dataclass(frozen=True)
class _Worker:
    """A worker process, as the daemon has them."""

    process: subprocess.Popen[bytes]

    def catalogue(self) -> Catalogue:
        """Wait for what it has loaded."""
        message = self._next((Ready, Unable))
        if isinstance(message, Unable):
            raise PluginError(f"a worker cannot start with it: {message.reason}")
        assert isinstance(message, Ready)
        assert message.catalogue is not None  # a worker of dreamd's own always tells
        return message.catalogue

    def dream(self, recipe: Recipe, order: Order) -> None:
        """Have it dream a picture. Raises PluginError with its reason when it does not."""
        assert self.process.stdin is not None
        self.process.stdin.write(Batch(recipe=recipe.to_json(), orders=(order,)).line())
        self.process.stdin.flush()
        message = self._next((Done, NotDone))
        if isinstance(message, NotDone):
            raise PluginError(f"a worker did not dream with it: {message.reason}")

    def _next(self, kinds: tuple[type, ...]) -> object:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = from_worker(line)
            if isinstance(message, kinds):
                return message
        raise PluginError(f"its worker ended with code {self.process.wait()}")


@contextmanager
def _worker(plugin: Target, folder: Path) -> Iterator[_Worker]:
    settings = Settings(
        device="cpu",
        plugin_folders=(*plugin.folders, folder),
        disable=(),
        max_pixels=200_000_000,
        max_bytes=_MAX_BYTES,
        memory=None,
    )
    command = [sys.executable, "-m", "dreamd.worker.main", str(os.getpid())]
    environment = {**os.environ, LOAD_PLUGINS: f"{plugin.name},contract_tiny"}
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
        ) as process,
    ):
        assert process.stdin is not None
        try:
            process.stdin.write(settings.line())
            process.stdin.flush()
            yield _Worker(process)
        finally:
            process.kill()


def _check_catalogue(catalogue: Catalogue, entries: Sequence[Entry]) -> None:
    for entry in entries:
        problems = [problem.reason for problem in catalogue.problems if problem.plugin == entry.plugin]
        must(
            entry in catalogue.entries, f"{entry.kind} {entry.name!r} is not the same in a worker. {' '.join(problems)}"
        )
