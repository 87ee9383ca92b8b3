"""Pictures that cannot be claimed are said once a folder, and shown as long as they are there."""

from __future__ import annotations

import errno
from pathlib import Path, PurePosixPath

import pytest

from dreamd.daemon.intake.unclaimed import Unclaimed, WhyLeft
from dreamd.files.problems import os_error_explained

INBOX = Path("/srv/inbox")


def refuse(unclaimed: Unclaimed, path: str, number: int = errno.EXDEV, filename: str | None = None) -> None:
    refusal = OSError(number, "Permission denied", filename)
    unclaimed.note(PurePosixPath(path), os_error_explained(refusal, "claim", INBOX / path))


def test_a_reason_is_said_once_for_a_folder_however_often_its_pictures_are_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unclaimed = Unclaimed()
    for _ in range(3):
        for number in range(10):
            refuse(unclaimed, f"usb/{number}.png")
            refuse(unclaimed, f"locked/{number}.png", errno.EACCES, filename=f"{number}.png")
    assert len(caplog.records) == 2
    assert "cannot claim /srv/inbox/usb/0.png: " in caplog.messages[0]
    assert sorted((str(why.folder), count) for why, count in unclaimed.counts.items()) == [("locked", 10), ("usb", 10)]


def test_another_reason_is_said_anew_and_takes_the_place_of_the_one_before(caplog: pytest.LogCaptureFixture) -> None:
    unclaimed = Unclaimed()
    refuse(unclaimed, "usb/cat.png")
    refuse(unclaimed, "usb/cat.png", errno.EIO)
    assert len(caplog.records) == 2
    (why,) = unclaimed.counts
    assert why.folder == PurePosixPath("usb")
    assert "check the disk or the share" in why.reason
    assert "cat.png" not in why.reason


def test_what_is_gone_or_claimed_is_forgotten_and_said_again_when_it_comes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unclaimed = Unclaimed()
    for name in ("a: b (c).png", "d.png"):
        refuse(unclaimed, f"usb/{name}", filename=name)
    unclaimed.keep_only(lambda path: path.name == "d.png")
    assert list(unclaimed.counts.values()) == [1]
    unclaimed.keep_only(lambda path: False)
    assert unclaimed.counts == {}
    refuse(unclaimed, "usb/d.png")
    assert len(caplog.records) == 2


def test_a_reason_is_what_the_error_says_without_the_pictures_name() -> None:
    unclaimed = Unclaimed()
    refuse(unclaimed, "cat.png")
    (why,) = unclaimed.counts
    assert why == WhyLeft(
        PurePosixPath(),
        "Permission denied; two folders that must be on one filesystem are not: unmount what is mounted below",
    )
