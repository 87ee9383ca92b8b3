"""A picture's beginning and end tell whether all of it is there."""

from __future__ import annotations

import pytest

from dreamd.inbox.wholeness import is_whole

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200) + b"\0\0\0\0IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff\xe0" + bytes(200) + b"\xff\xd9"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (JPEG, True),
        (JPEG[:-1], False),
        (PNG, True),
        (PNG[:-1], False),
        (PNG + b"\0", False),
        (b"GIF89a" + bytes(20) + b";", True),
        (b"GIF89a" + bytes(20), False),
        (b"RIFF" + (24).to_bytes(4, "little") + b"WEBP" + bytes(20), True),
        (b"RIFF" + (24).to_bytes(4, "little") + b"WEBP" + bytes(19), False),
        (b"BM" + (30).to_bytes(4, "little") + bytes(24), True),
        (b"BM" + (30).to_bytes(4, "little") + bytes(23), False),
        (b"", False),
        (b"\xff\xd9", False),
        (b"II*\0" + bytes(50), False),
    ],
)
def test_a_picture_is_whole_when_its_beginning_and_its_end_say_so(tmp_path, data, expected):
    (tmp_path / "picture").write_bytes(data)
    with (tmp_path / "picture").open("rb") as file:
        assert is_whole(file.fileno(), len(data)) is expected
