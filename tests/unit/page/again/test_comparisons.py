"""Comparisons: kept as files that anybody may have broken, the newest of them, and what differs between recipes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dreamd.errors import DreamdError
from dreamd.page.again import comparisons
from dreamd.page.again.comparisons import Compared, Comparison, Comparisons, is_comparison_id, new_comparison
from dreamd.page.again.looking import Difference, differences
from dreamd.page.handlers.answers import NotThereError


def comparison(picture: str = "cat.png") -> Comparison:
    return new_comparison("0123456789abc", "original", picture, "", (Compared(label="weave", id="p-1"),))


def test_a_comparison_is_found_again(tmp_path: Path) -> None:
    kept = comparison()
    Comparisons(tmp_path).save(kept)
    assert Comparisons(tmp_path).find(kept.id) == kept


NO_IDS = ["", "c-", "c-../../etc", f"c-{'g' * 16}", f"c-{'a' * 15}", "p-0123456789abcdef", "c-\udcff"]


@pytest.mark.parametrize("text", NO_IDS)
def test_what_is_no_id_of_a_comparison_is_not_looked_for(text: str, tmp_path: Path) -> None:
    assert not is_comparison_id(text)
    with pytest.raises(NotThereError):
        Comparisons(tmp_path).find(text)


def test_one_that_cannot_be_read_is_told_and_spoils_no_list(tmp_path: Path) -> None:
    store, kept, broken = Comparisons(tmp_path), comparison(), comparison()
    store.save(kept)
    (tmp_path / "comparisons" / f"{broken.id}.json").write_text("{")
    with pytest.raises(DreamdError, match="remove it"):
        store.find(broken.id)
    assert store.latest(10) == [kept]


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "MOST_KEPT", 3)
    store = Comparisons(tmp_path)
    assert store.latest(10) == []
    made = [comparison(f"{number}.png") for number in range(5)]
    for number, each in enumerate(made):
        store.save(each)
        os.utime(tmp_path / "comparisons" / f"{each.id}.json", (number, number))
    store.save(made[0])  # it was forgotten, and is new again
    assert [each.picture for each in store.latest(10)] == ["0.png", "4.png", "3.png"]


def test_recipes_differ_field_by_field() -> None:
    first = '{"seed": 0, "layers": [{"name": "a"}], "ascent": {"lr": 0.1}, "start": []}'
    other = '{"seed": 0, "layers": [{"name": "b"}, {"name": "c"}], "ascent": {"lr": 0.1}, "start": []}'
    assert list(differences([first, other, ""])) == [
        Difference(field="layers[0].name", values=('"a"', '"b"', None)),
        Difference(field="layers[1].name", values=(None, '"c"', None)),
    ]
    assert list(differences([first, first])) == []
    assert list(differences(["", ""])) == []
