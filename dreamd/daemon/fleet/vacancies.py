"""Which seats may be given a batch, found without looking at all of them. Knows ids only."""

from __future__ import annotations

from collections.abc import Collection, Iterator


class Vacancies:
    """Seats with nothing in hand, and those that have little left; each kind in the order in which it became so."""

    def __init__(self) -> None:
        self._empty: dict[str, None] = {}
        self._low: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._empty or self._low)

    def note(self, seat: str, *, is_vacant: bool, is_empty: bool) -> None:
        """Take note of how a seat is now."""
        wanted = (self._empty if is_empty else self._low) if is_vacant else None
        for kind in (self._empty, self._low):
            if kind is not wanted:
                kind.pop(seat, None)
        if wanted is not None:
            wanted.setdefault(seat)

    def first(self, *, alone: bool, avoided: Collection[str]) -> str | None:
        """Return the seat that waits longest; None when there is none.

        Args:
            alone: only one with nothing in hand.
            avoided: seats that it must not be.
        """
        return next((seat for seat in self._in_turn(alone=alone) if seat not in avoided), None)

    def _in_turn(self, *, alone: bool) -> Iterator[str]:
        yield from self._empty
        if not alone:
            yield from self._low
