"""What a benchmark found: values, which print themselves as a table and are written as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

NOISY = 0.15
"""A spread above this says that the machine had something else to do: measure again."""

_GAP = "  "


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What a figure must reach. Its words, and whether it does."""

    words: str
    met: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table.

    Attributes:
        what: was measured.
        value: the median, in the table's unit.
        ratio: how many times better than the table's first row; None where there is nothing to compare with.
        spread: of the ratio, or of the first row's value: the middle half of the samples as a share of their median.
            None for a single sample.
        bar: what the row must reach.
        note: what else a reader should know.
    """

    what: str
    value: float
    ratio: float | None = None
    spread: float | None = None
    bar: Bar | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures that were measured side by side.

    Attributes:
        benchmark: the name that `--only` takes.
        title: what was done, on which device.
        unit: of the values.
        better: which values are.
        against: what the first row is, to which the ratios relate.
        rows: the figures.
    """

    benchmark: str
    title: str
    unit: str
    better: Literal["less", "more"]
    against: str
    rows: Sequence[Row]

    def text(self) -> str:
        """The table for a terminal, in columns."""
        head = ["", self.unit, f"× {self.against}", "spread", "bar", ""]
        cells = [head, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
        lines = [_aligned(line, widths) for line in cells]
        return "\n".join([f"{self.benchmark}: {self.title} ({self.better} is better)", *lines])

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> Table:
        """The table that `as_json` gave."""
        rows = [Row(**{**row, "bar": Bar(**row["bar"]) if row["bar"] else None}) for row in values["rows"]]
        return Table(**{**values, "rows": rows})


def at_least(limit: float, value: float, words: str) -> Bar:
    """The bar of a figure that must not be smaller."""
    return Bar(words=f"≥ {words}", met=value >= limit)


def at_most(limit: float, value: float, words: str) -> Bar:
    """The bar of a figure that must not be larger."""
    return Bar(words=f"≤ {words}", met=value <= limit)


def figure(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(row: Row) -> list[str]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio < 100 else figure(row.ratio)
    spread = "" if row.spread is None else f"{row.spread:.1%}{' !' if row.spread > NOISY else ''}"
    bar = "" if row.bar is None else f"{row.bar.words} {'met' if row.bar.met else 'MISSED'}"
    return [row.what, figure(row.value), ratio, spread, bar, row.note]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, figures to the right."""
    words, figures = (0, 4, 5), zip(cells, widths, strict=True)
    line = [cell.ljust(width) if column in words else cell.rjust(width) for column, (cell, width) in enumerate(figures)]
    return _GAP + _GAP.join(line).rstrip()
