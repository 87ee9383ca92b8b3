"""XMP: what of it is true of the result, and which way it says is up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamd.pictures.writing import write_picture
from tests import badfiles
from tests.badfiles import chunk, jpeg_with, png_with, saved
from tests.unit.pictures.kit import Opened, no_more_memory_than

NAMESPACES = {
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "odd": "http://example.org/odd/",
}


def packet(attributes: str = "", elements: str = "") -> bytes:
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in NAMESPACES.items())
    inside = f'<rdf:Description rdf:about="" {spaces} {attributes}>{elements}</rdf:Description>'
    rdf = f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{inside}</rdf:RDF>'
    head = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    text = f'{head}<x:xmpmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xmpmeta>{" " * 200}<?xpacket end="w"?>'
    return text.encode()


def with_xmp(kind: str, xmp: bytes, image: Image.Image | None = None) -> bytes:
    """A picture of 16 x 8 in a format, with this packet."""
    image = image or badfiles.noise(16, 8)
    if kind == "JPEG":
        return jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp), whole=saved(image, "JPEG"))
    if kind == "PNG":
        return png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp), saved(image, "PNG"))
    if kind == "TIFF":
        tags, pixels = badfiles.tiff_page(image)
        return badfiles.tiff_of((tags | {700: (1, xmp)}, pixels))
    return saved(image, kind, xmp=xmp)


KINDS = ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written", KINDS)
def test_what_an_author_wrote_is_carried_over(opened: Opened, tmp_path: Path, kind: str, written: str) -> None:
    title = '<dc:title><rdf:Alt><rdf:li xml:lang="de">Träume &amp; Hunde</rdf:li></rdf:Alt></dc:title>'
    source = opened(with_xmp(kind, packet('xmp:Rating="4" odd:Thing="kept"', title)))
    write_picture(source, tmp_path / "out", format=written, quality=90)
    kept = opened((tmp_path / "out").read_bytes()).description.xmp.decode()
    for words in ("Träume &amp; Hunde", 'xmp:Rating="4"', 'odd:Thing="kept"', "<?xpacket begin"):
        assert words in kept


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "xmp",
    [packet('tiff:Orientation="6"'), packet(elements="<tiff:Orientation>6</tiff:Orientation>")],
    ids=["attribute", "element"],
)
def test_a_picture_that_xmp_alone_turns_stands_upright_and_says_so(opened: Opened, kind: str, xmp: bytes) -> None:
    result = opened(with_xmp(kind, xmp))
    assert result.pixels.shape == (16, 8, 3)
    assert b"6" not in result.description.xmp.partition(b"Orientation")[2][:4]
    assert b"1" in result.description.xmp.partition(b"Orientation")[2][:4]


def test_the_orientation_of_exif_wins_and_both_are_made_true(opened: Opened, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    image = badfiles.noise(16, 8)
    xmp = (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet('tiff:Orientation="6"'))
    result = opened(jpeg_with(xmp, whole=saved(image, "JPEG", exif=exif)))
    assert result.pixels.shape == (8, 16, 3)
    assert np.array_equal(result.pixels[::-1, ::-1], opened(saved(image, "JPEG")).pixels)
    write_picture(result, tmp_path / "out.jpg", format="JPEG", quality=90)
    assert opened((tmp_path / "out.jpg").read_bytes()).pixels.shape == (8, 16, 3)
    with Image.open(tmp_path / "out.jpg") as written:
        assert written.getexif().get(0x0112, 1) == 1


def test_what_is_true_of_the_old_file_only_is_left_out(opened: Opened) -> None:
    old = 'tiff:ImageWidth="4000" exif:PixelXDimension="4000" exif:ColorSpace="65535" crs:Exposure2012="+1.0"'
    old += ' xmpNote:HasExtendedXMP="0123" hdrgm:Version="1.0" tiff:Make="Acme" exif:FNumber="28/10"'
    elements = (
        "<xmp:Thumbnails><rdf:Alt><rdf:li>huge</rdf:li></rdf:Alt></xmp:Thumbnails><crs:ToneCurve>1</crs:ToneCurve>"
    )
    kept = opened(with_xmp("JPEG", packet(old, elements))).description.xmp
    for words in (b"4000", b"65535", b"Exposure", b"HasExtended", b"Version", b"huge", b"ToneCurve"):
        assert words not in kept
    for words in (b'tiff:Make="Acme"', b'exif:FNumber="28/10"'):
        assert words in kept


BROKEN = {
    "no XML": b"<x:xmpmeta",
    "noise": bytes(range(1, 200)),
    "an entity": b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
    "too deep": b"<a>" * 500 + b"</a>" * 500,
    "two documents": b"<a/><b/>",
}


@pytest.mark.parametrize("xmp", BROKEN.values(), ids=list(BROKEN))
def test_broken_xmp_is_left_out_and_logged(opened: Opened, xmp: bytes, caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        caplog.clear()
        result = opened(with_xmp(kind, xmp))
        assert result.description.xmp == b"", kind
        assert "XMP is broken and left out" in caplog.text


@pytest.mark.parametrize("xmp", [b"<a>" + b"<b/>" * 200_000 + b"</a>", b"<a>" + b"x" * 3_000_000 + b"</a>"])
def test_huge_xmp_takes_little_memory(opened: Opened, xmp: bytes) -> None:
    whole = badfiles.webp_with(saved(badfiles.noise(16, 8), "WEBP", lossless=True), XMP=xmp)
    with no_more_memory_than(60_000_000):
        assert opened(whole).description.xmp == b""


def test_an_orientation_that_is_none_turns_nothing(opened: Opened) -> None:
    for value in ("0", "9", "six", "", "-6", "²"):
        assert opened(with_xmp("JPEG", packet(f'tiff:Orientation="{value}"'))).pixels.shape == (8, 16, 3)
