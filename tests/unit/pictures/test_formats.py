"""Which format a result is written in."""

from __future__ import annotations

import pytest
from PIL import Image

from dreamd.errors import UnknownNameError
from dreamd.pictures import kinds
from dreamd.pictures.formats import output_format


def test_same_is_the_format_that_was_read() -> None:
    expected = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "TIFF": ".tif", "GIF": ".gif"}
    for kind, extension in expected.items():
        assert output_format("same", kind) == (kind, extension)
    assert output_format("same", "MPO") == ("JPEG", ".jpg")


@pytest.mark.parametrize("kind", ["ICO", "QOI", "DICOM"])
def test_what_cannot_be_written_comes_out_as_png(kind: str) -> None:
    assert output_format("same", kind) == ("PNG", ".png")


def test_a_word_decides_whatever_was_read() -> None:
    assert output_format("webp", "JPEG") == ("WEBP", ".webp")


def test_an_unknown_word_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean jpeg\?"):
        output_format("jpg", "PNG")


def test_every_readable_format_has_a_format_to_come_out_in() -> None:
    Image.init()
    for kind in (*kinds.READABLE, "MPO"):
        assert output_format("same", kind)[0] in Image.SAVE
