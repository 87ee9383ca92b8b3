"""Recipes inside pictures: each format holds one beside what it holds already, and none is believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dreamd.errors import PictureError
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.recipe import may_hold_recipe, read_recipe, with_recipe
from dreamd.pictures.writing import write_picture
from tests.badfiles import chunk, jpeg_with, png_with
from tests.unit.pictures.kit import MAX_BYTES, exif_with, picture, read, smooth

RECIPE = '{"recipe": {"seed": 7, "name": "\\u0001 <&> \\u6771 ]]>"}}'
FORMATS = ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"]
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="me" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="mine"/>'
    b"%s</rdf:RDF></x:xmpmeta>"
)


def written(path: Path, kind: str, description: Description, recipe: str = RECIPE) -> Path:
    described, _ = with_recipe(description, recipe, kind)
    write_picture(picture(smooth(), description=described), path, format=kind, quality=90)
    return path


def carried(path: Path) -> str | None:
    return read_recipe(path, max_bytes=MAX_BYTES)


@pytest.mark.parametrize("kind", [*FORMATS, "HEIF"])
def test_a_recipe_comes_back_out_of_every_format(tmp_path: Path, kind: str) -> None:
    file = written(tmp_path / "out", kind, Description())
    assert carried(file) == RECIPE
    assert may_hold_recipe(file)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_carried_over_stays_beside_the_recipe(tmp_path: Path, kind: str) -> None:
    exif = exif_with(0x8298, "(c) me").tobytes().removeprefix(b"Exif\0\0")
    file = written(tmp_path / "out", kind, Description(xmp=XMP % b"", exif=exif))
    assert carried(file) == RECIPE
    description = read(file).description
    assert b'dc:source="mine"' in description.xmp
    assert b"(c) me" in description.exif
    with Image.open(file) as image:
        assert image.getexif()[0x8298] == "(c) me"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_result_of_a_result_does_not_carry_the_recipe_of_the_first(tmp_path: Path, kind: str) -> None:
    first = read(written(tmp_path / "first", kind, Description(xmp=XMP % b"")))
    for again in FORMATS:
        write_picture(first, tmp_path / "second", format=again, quality=90)
        assert carried(tmp_path / "second") is None
        assert b"dreamd" not in (tmp_path / "second").read_bytes()


def test_a_recipe_that_another_program_made_an_attribute_of_is_read(tmp_path: Path) -> None:
    rewritten = b'<rdf:Description rdf:about="" xmlns:d="urn:dreamd:xmp:1.0/" d:recipe="{}"/>'
    (tmp_path / "a.jpg").write_bytes(jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP % rewritten)))
    assert carried(tmp_path / "a.jpg") == "{}"


@pytest.mark.parametrize(
    ("kind", "recipe", "said"),
    [("GIF", RECIPE, "GIF has no place for it"), ("PNG", "x" * 70_000, "it takes 68 KB, and a recipe has at most 64"),
     ("JPEG", "x" * 65_500, "a JPEG holds 64; PNG holds it")],
)  # fmt: skip
def test_a_recipe_without_a_place_is_left_out_and_the_reason_told(kind: str, recipe: str, said: str) -> None:
    description = Description(xmp=XMP % b"")
    described, problem = with_recipe(description, recipe, kind)
    assert described == description
    assert problem.startswith("the recipe is not written into it: ")
    assert said in problem


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_a_large_recipe_fits_where_there_is_room(tmp_path: Path, kind: str) -> None:
    large = "x" * 65_500
    assert carried(written(tmp_path / "out", kind, Description(xmp=XMP % b""), large)) == large


SPACE = b"urn:dreamd:xmp:1.0/"
MARK = b"http://ns.adobe.com/xap/1.0/\0"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(jpeg_with((0xE1, MARK + b"<" + SPACE)), id="broken XMP"),
        pytest.param(
            jpeg_with((0xE1, MARK + b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>" + SPACE + b"</a>")), id="a document type"
        ),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="a PNG of nothing"),
        pytest.param(b"\0\0\0\x18ftypavif", id="an AVIF of nothing"),
        pytest.param(b"RIFF\xff\xff\xff\xffWEBPEXIF", id="a WebP of nothing"),
        pytest.param(b"no picture at all", id="text"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_hostile_picture_is_refused_with_its_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(PictureError, match=r"^a: "):
        carried(tmp_path / "a")


@pytest.mark.parametrize("text", [b"dreamd\0\1\0\0\0not zlib", b"dreamd", b"dreamd\0\0\0\0\0"])
def test_a_broken_text_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a").write_bytes(png_with(chunk(b"iTXt", text)))
    assert carried(tmp_path / "a") in (None, "")


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="more than 0 MB"):
        read_recipe(written(tmp_path / "a", "PNG", Description()), max_bytes=10)
