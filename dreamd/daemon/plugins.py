"""The plugins as they are now: those that the daemon has loaded, and what the workers tell of the engine's.

Looks at the drop-ins again and again, so that one that has changed counts without a restart. Knows no job.
"""

from __future__ import annotations

import json
import logging
import time

from dreamd.daemon.load_record import LoadRecord
from dreamd.executors.choice import make_executor
from dreamd.executors.executor import ExecutorContext
from dreamd.executors.guarded import GuardedExecutor
from dreamd.job import Job
from dreamd.plugin_host.catalogue import Catalogue, Problem, merged
from dreamd.plugin_host.finding.discovery import find_plugins, stamp_of
from dreamd.plugin_host.host import Plugins
from dreamd.settings.config import Config
from dreamd.settings.recipes.schema import recipe_schema
from dreamd.settings.sections import PluginsConfig
from dreamd.tree.layout import StateFolder

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""The time between two looks at the drop-in files, in seconds; a changed one is loaded when it is still for as long."""


class LivePlugins:
    """The daemon's plugins, and the catalogue of the engine's.

    Attributes:
        problems: what could not be loaded, here and in the workers, but for what is left out on purpose.
        next_look: when the drop-in files are looked at again, as a time of `time.monotonic`.
    """

    def __init__(self, config: PluginsConfig, record: LoadRecord) -> None:
        """Load the daemon's plugins; `record` knows which ones ended the process by that."""
        self._config = config
        self._record = record
        self._loaded = self._load()
        self._engine = Catalogue()
        self.problems = self._all_problems()
        self._loaded_files = self._seen_files = self._look_at_files()
        self.next_look = time.monotonic() + _LOOK_SECONDS

    def tell(self, job: Job) -> None:
        """Have every plugin that listens told that a job changed. Never waits for one."""
        self._loaded.job_changed(job)

    def make_executor(self, context: ExecutorContext) -> GuardedExecutor:
        """Make the executor that the config chooses. Raises as `dreamd.executors.choice.make_executor` does."""
        return make_executor(self._loaded, context)

    def learn_engine(self, catalogue: Catalogue) -> None:
        """Take in what a worker's plugins bring."""
        self._engine = catalogue
        self.problems = self._all_problems()

    def look(self, now: float) -> bool:
        """Look at the drop-in files if it is time; return whether they have changed since they were loaded, and are
        still again."""
        if now < self.next_look:
            return False
        self.next_look = now + _LOOK_SECONDS
        seen = self._look_at_files()
        is_still, self._seen_files = seen == self._seen_files, seen
        return is_still and seen != self._loaded_files

    def load_anew(self) -> None:
        """Load the daemon's plugins again. An executor stays the one that the daemon began with."""
        self._loaded_files = self._seen_files = self._look_at_files()
        self._loaded.close(0.0)
        self._loaded = self._load()
        self.problems = self._all_problems()

    def close(self) -> None:
        """Let the plugins that listen hear what they have not heard yet, for a few seconds at most."""
        self._loaded.close()

    def _all_problems(self) -> tuple[Problem, ...]:
        problems = merged([self._loaded.catalogue, self._engine]).problems
        return tuple(problem for problem in problems if not problem.deliberate)

    def _load(self) -> Plugins:
        folders = self._config.daemon
        with self._record.loading():
            return Plugins(
                "dreamd.daemon",
                folders=folders,
                disable=self._config.disable,
                distrusted=self._record.distrusted(find_plugins("dreamd.daemon", folders)),
                on_load=self._record.note,
            )

    def _look_at_files(self) -> tuple[object, ...]:
        return stamp_of(self._config.engine), stamp_of(self._config.daemon)


def write_catalogue(catalogue: Catalogue, config: Config) -> None:
    """Leave what the engine's plugins bring in the state folder, for others to read.

    The sample recipes name the schema, so that editors complete what this daemon's plugins bring; the page checks
    recipes by the catalogue.
    """
    schema = json.dumps(recipe_schema(catalogue), indent=1)
    try:
        StateFolder(config.state).schema.write_text(schema, encoding="utf-8")
        StateFolder(config.state).catalogue.write_text(catalogue.model_dump_json(), encoding="utf-8")
    except OSError as error:
        log.warning("no schema for editors, and no catalogue for the page: %s", error)
