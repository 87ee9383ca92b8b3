"""Descriptions as each format holds them."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from dreamd.pictures.containers.ancillary import Text
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.picture import Picture
from dreamd.pictures.writing import write_picture
from tests import badfiles
from tests.badfiles import chunk, jpeg_with, png_with, saved
from tests.unit.pictures.kit import Opened, picture, read, smooth

IPTC = b"\x1c\x02\x78\x00\x05hello\x1c\x02\x50\x00\x02Me"


def rewritten(source: Picture, path: Path, kind: str) -> Description:
    """The description that a picture has after it was written and read."""
    write_picture(source, path, format=kind, quality=90)
    return read(path).description


def test_the_texts_of_a_png_are_written_chunk_for_chunk(opened: Opened, tmp_path: Path) -> None:
    chunks = [
        (b"tEXt", b"parameters\0a house, seed 42\nSteps: 20"),
        (b"tEXt", b"workflow\0\xc3\xa4 in UTF-8, against the rules"),
        (b"zTXt", b"prompt\0\0" + zlib.compress(b"{}" * 1000)),
        (b"iTXt", "Title\0\0\0de\0Titel\0Träume".encode()),
    ]
    source = opened(png_with(b"".join(chunk(*parts) for parts in chunks)))
    assert rewritten(source, tmp_path / "out.png", "PNG").texts == source.description.texts
    written = (tmp_path / "out.png").read_bytes()
    assert all(chunk(*parts) in written for parts in chunks)


def test_iptc_and_comments_of_a_jpeg_are_written_to_every_format_with_a_place(opened: Opened, tmp_path: Path) -> None:
    resources = b"8BIM\x04\x04\0\0\0\0\0" + bytes((len(IPTC),)) + IPTC
    source = opened(jpeg_with((0xED, b"Photoshop 3.0\0" + resources), (0xFE, "Träume".encode())))
    assert source.description.iptc == IPTC
    for kind in ("JPEG", "PNG", "TIFF"):
        assert rewritten(source, tmp_path / "out", kind).iptc == IPTC, kind
    for kind in ("JPEG", "PNG", "GIF"):
        (text,) = rewritten(source, tmp_path / "out", kind).texts
        assert (text.keyword, text.text) == ("Comment", "Träume"), kind


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "TIFF"])
def test_texts_become_exif_where_there_is_a_tag_for_them(tmp_path: Path, kind: str) -> None:
    texts = (("Author", "Jürgen"), ("Copyright", "© me"), ("parameters", "a house 東京"), ("Title", "Träume"))
    description = Description(texts=tuple(Text(keyword=keyword, text=text) for keyword, text in texts))
    exif = rewritten(picture(smooth(), description=description), tmp_path / "out", kind).exif
    for words in ("Jürgen".encode(), "© me".encode(), b"UNICODE\0" + "a house 東京".encode("utf-16-le")):
        assert words in exif
    assert "Träume".encode("utf-16-le") in exif


def test_exif_that_is_there_is_not_overwritten_by_a_text(tmp_path: Path) -> None:
    exif = badfiles.exif({0x013B: badfiles.ascii_text("Camera")})
    description = Description(exif=exif, texts=(Text(keyword="Author", text="Text"),))
    kept = rewritten(picture(smooth(), description=description), tmp_path / "out", "JPEG").exif
    assert b"Camera" in kept
    assert b"Text" not in kept


@pytest.mark.parametrize(
    ("kind", "lost"),
    [("JPEG", "workflow"), ("WEBP", "workflow, IPTC"), ("GIF", "workflow, IPTC, EXIF, XMP"), ("PNG", None)],
)
def test_what_finds_no_place_is_logged(
    tmp_path: Path, kind: str, lost: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dreamd.pictures")
    description = Description(
        exif=badfiles.exif({0x010F: badfiles.ascii_text("Acme")}),
        xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
        iptc=IPTC,
        texts=(Text(keyword="workflow", text="{}"),),
    )
    write_picture(picture(smooth(), description=description), tmp_path / "out", format=kind, quality=90)
    assert caplog.text.strip().endswith(f"out: {kind} has no place for {lost}") if lost else not caplog.text


def test_what_is_too_long_for_a_segment_is_left_out_and_the_picture_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    description = Description(xmp=b"<x>" + b" " * 70_000 + b"</x>", texts=(Text(keyword="Comment", text="x" * 70_000),))
    kept = rewritten(picture(smooth(), description=description), tmp_path / "out", "JPEG")
    assert kept == Description()
    assert "too long for a JPEG" in caplog.text


def test_a_jpeg_with_a_long_description_can_be_optimised(tmp_path: Path) -> None:
    description = Description(
        exif=badfiles.exif({}, {0x9286: (7, bytes(60_000))}), texts=(Text(keyword="Comment", text="x" * 60_000),)
    )
    assert len(rewritten(picture(smooth(8, 8), description=description), tmp_path / "out", "JPEG").exif) > 60_000


def test_a_described_tiff_is_read_by_others_with_all_its_tags(tmp_path: Path) -> None:
    exif = badfiles.exif({0x010F: badfiles.ascii_text("Acme")}, {0x829D: badfiles.fractions(1.25)})
    source = picture(smooth(), description=Description(exif=exif), dpi=(300.0, 150.0))
    write_picture(source, tmp_path / "out.tif", format="TIFF", quality=90)
    with Image.open(tmp_path / "out.tif") as image:
        image.load()
        assert image.info["dpi"] == (300, 150)
        assert image.getexif()[ExifTags.Base.Make] == "Acme"
        assert float(image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber]) == 1.25
        assert image.n_frames == 1


def test_a_comment_of_a_gif_is_kept(opened: Opened, tmp_path: Path) -> None:
    source = opened(saved(badfiles.palette(), "GIF", comment="Träume".encode()))
    for kind in ("GIF", "PNG", "JPEG"):
        assert [text.text for text in rewritten(source, tmp_path / "out", kind).texts] == ["Träume"], kind
