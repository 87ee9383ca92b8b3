"""What the publisher does with each lot."""

from __future__ import annotations

from typing import BinaryIO

from dreamd.errors import DreamdError
from dreamd.tree.publisher.lines import outcome_line, read_lot, read_spool
from dreamd.tree.spool import Spool
from dreamd.tree.steps.together import Placed


def serve(lots: BinaryIO, answers: BinaryIO) -> None:
    """Publish lots until there are no more."""
    spool = read_spool(lots.readline())
    while line := lots.readline():
        answers.write(outcome_line(_published(spool, line)))
        answers.flush()


def _published(spool: Spool, line: bytes) -> list[Placed]:
    lot = read_lot(line)
    try:
        return spool.publish_together(lot)
    except DreamdError as error:
        return [Placed(wanted=one, problem=error) for one in lot]
