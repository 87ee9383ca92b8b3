"""What every order of the studio keeps to."""

from __future__ import annotations

import pytest

from dreamd.sheets.studio.orders import CancelledError, Report
from dreamd.studio import AtlasOrder, CancelOrder, Ended, Going, TryOrder, read_answer, read_order


def test_an_order_that_is_not_wanted_any_more_ends_when_it_tells_how_far_it_is():
    told = []
    wanted = [True]
    report = Report("a", told.append, lambda: not wanted[0])
    report.tell(0.5, "half", b"\xff\x00")
    wanted[0] = False
    with pytest.raises(CancelledError):
        report.tell(0.6, "more")
    assert told == [Going(id="a", share=0.5, words="half", picture=b"\xff\x00")]


@pytest.mark.parametrize(
    "order",
    [
        TryOrder(id="a", recipe="{}", picture=bytes(range(256))),
        AtlasOrder(id="b", backbone="vgg19"),
        CancelOrder(id="a"),
    ],
)
def test_an_order_arrives_as_it_was_sent(order):
    assert order.line().count(b"\n") == 1
    assert read_order(order.line()) == order


@pytest.mark.parametrize(
    "answer", [Going(id="a", share=0.1, words="x"), Ended(id="a", picture=bytes(range(256)), seconds=1.5)]
)
def test_an_answer_arrives_as_it_was_sent(answer):
    assert read_answer(answer.line()) == answer
