"""The entry point of the studio: `python -m dreamd.sheets.studio.main CONFIG PARENT_PID NICE`.

Takes a line of JSON for each order on its standard input and answers with lines on its standard output
(`dreamd/studio.py`). It ends when its input ends, and dies with the page.

It computes on the processor: the memory of a GPU is what its worker has reckoned with.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from dreamd.errors import DreamdError
from dreamd.logs import inherited_level
from dreamd.plugin_host.host import Plugins
from dreamd.processes import die_with_parent
from dreamd.settings.config import Config, load_config
from dreamd.sheets.studio.atlases import make_atlas
from dreamd.sheets.studio.orders import CancelledError, Report, session_of
from dreamd.sheets.studio.trials import dream_trial
from dreamd.studio import AtlasOrder, CancelOrder, Ended, StudioAnswer, TryOrder, read_order
from dreamd.wording import printable

log = logging.getLogger("dreamd.sheets.studio.main")  # the name of this module is `__main__` in its process


class Studio:
    """Does orders one after another; another thread reads them, so that one that runs can be cancelled."""

    def __init__(self, config: Config, orders: BinaryIO, answers: BinaryIO) -> None:
        self._config = config
        self._orders = orders
        self._answers = answers
        self._waiting: queue.SimpleQueue[TryOrder | AtlasOrder | None] = queue.SimpleQueue()
        self._cancelled: set[str] = set()

    def run(self) -> None:
        """Work until the input ends."""
        threading.Thread(target=self._read, name="orders", daemon=True).start()
        plugins = Plugins("dreamd.engine", folders=self._config.plugins.engine, disable=self._config.plugins.disable)
        session = session_of(self._config, plugins)
        while (order := self._waiting.get()) is not None:
            if isinstance(order, TryOrder):
                self._do(order.id, partial(dream_trial, session, order))
            else:
                self._do(order.id, partial(make_atlas, session, plugins, self._config, order))

    def _read(self) -> None:
        """Take orders until the input ends, or brings what is none: dreamd was changed on the disk meanwhile."""
        try:
            for line in self._orders:
                order = read_order(line)
                if isinstance(order, CancelOrder):
                    self._cancelled.add(order.id)
                else:
                    self._waiting.put(order)
        except ValidationError as error:
            log.warning("ends, since the page sent no order: %s", printable(str(error)))
        finally:
            self._waiting.put(None)

    def _do(self, id_: str, act: Callable[[Report], bytes | None]) -> None:
        """Do an order and answer how it ended."""
        start = time.monotonic()
        report = Report(id_, self._send, lambda: id_ in self._cancelled)
        try:
            report.check()
            picture, problem = act(report), None
        except CancelledError:
            picture, problem = None, "it was cancelled"
        except DreamdError as error:
            picture, problem = None, printable(str(error))
        self._send(Ended(id=id_, picture=picture, seconds=time.monotonic() - start, problem=problem))

    def _send(self, answer: StudioAnswer) -> None:
        self._answers.write(answer.line())
        self._answers.flush()


def main() -> None:
    """Take orders for the page that started this process."""
    logging.basicConfig(level=inherited_level(), stream=sys.stderr, format="studio: %(message)s")
    Path("/proc/self/oom_score_adj").write_text("1000")  # a full memory shall cost a trial, and no dream
    die_with_parent(int(sys.argv[2]))
    os.nice(int(sys.argv[3]))
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a plugin prints goes to the log
    Studio(load_config(Path(sys.argv[1])), orders, answers).run()


if __name__ == "__main__":
    main()
