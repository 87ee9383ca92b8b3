"""Progress where there is no terminal: plain lines, seldom, with what is left."""

from __future__ import annotations

import pytest

from dreamd.commands.terminal.progress import progress


def test_a_line_every_ten_seconds_says_how_much_is_done_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("dreamd.commands.terminal.progress.time.monotonic", lambda: now)
    with progress("clouds") as show:
        for seconds, share in ((1, 0.01), (11, 0.1), (12, 0.12), (30, 0.5), (50, 0.0), (8000, 0.4)):
            now = 100.0 + seconds
            show(share, "octave 1/2")
    assert capsys.readouterr().err.splitlines() == [
        "clouds: 10% octave 1/2; 2 min left",
        "clouds: 50% octave 1/2; 30 s left",
        "clouds: 0% octave 1/2",
        "clouds: 40% octave 1/2; 3 h left",
    ]
