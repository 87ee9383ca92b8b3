"""How a file is sent: its type is its name's, and it is closed whatever was asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dreamd.page.handlers.stored_files import sent_file

BYTES = bytes(range(256)) * 700


def asked(file: Any, method: str, *headers: tuple[bytes, bytes]) -> tuple[int, bytes]:
    """What is answered to a request, as an ASGI server hears it."""
    told: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    scope = {"type": "http", "method": method, "headers": headers, "asgi": {"spec_version": "2.3"}}
    asyncio.run(sent_file(file, "a.webm")(scope, receive, send))
    return told[0]["status"], b"".join(message.get("body", b"") for message in told[1:])


@pytest.mark.parametrize(
    ("method", "range_", "status", "body"),
    [
        ("GET", None, 200, BYTES),
        ("GET", b"bytes=1000-1009", 206, BYTES[1000:1010]),
        ("GET", b"bytes=99999999-", 416, b""),
        ("HEAD", None, 200, b""),
        ("HEAD", b"bytes=0-1", 206, b""),
    ],
)
def test_a_file_is_closed_whatever_was_asked_of_it(
    tmp_path: Path, method: str, range_: bytes | None, status: int, body: bytes
) -> None:
    path = tmp_path / "film"
    path.write_bytes(BYTES)
    file = path.open("rb")
    path.unlink()  # what is open is sent, whatever became of its name
    headers = [] if range_ is None else [(b"range", range_)]
    assert asked(file, method, *headers) == (status, body)
    assert file.closed


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.MP4", "video/mp4"), ("a.mov", "video/quicktime"), ("a.mkv", "video/x-matroska"), ("a.apng", "image/apng"),
        ("a.html", "application/octet-stream"), ("mp4", "application/octet-stream"),
    ],
)  # fmt: skip
def test_the_name_alone_says_what_a_file_is(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "file").write_bytes(b"<script>")
    with (tmp_path / "file").open("rb") as file:
        headers = sent_file(file, name).headers
    assert headers["Content-Type"] == kind
    policy = headers["Content-Security-Policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert policy[-1] in ("sandbox", "sandbox allow-same-origin")  # it runs nothing
