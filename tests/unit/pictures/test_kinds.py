"""Kinds of files, told by their first bytes."""

from __future__ import annotations

import pytest
from PIL import Image

from dreamd.errors import PictureError
from dreamd.pictures import kinds
from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import Opened


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(28), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "WMF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "FPX"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"8BPS\0\x01" + bytes(30), "Photoshop"),
        (b"PK\x03\x04" + bytes(30), "ZIP"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("Träume\n".encode() * 400, "like text"),
        (b"\xfe\xdc\x01\x02\x03", "nothing known"),
        (b"\x89PNG\r\n\x1a\n\0\0", "begins as PNG"),
    ],
)
def test_a_file_of_another_kind_is_named(opened: Opened, data: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        opened(data)


def test_no_decoder_that_starts_programs_is_let_in() -> None:
    assert not {"EPS", "PDF", "WMF", "FPX", "MIC"} & set(kinds.READABLE)


def test_every_format_in_the_list_is_known_to_pillow() -> None:
    Image.init()
    assert set(kinds.READABLE) <= set(Image.OPEN)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", r"raw file.*camera_raw\.py"),
        (b"FUJIFILMCCD-RAW 0201", r"raw file.*camera_raw\.py"),
        (b"IIRO\x08\0\0\0" + bytes(20), "raw file"),
        (b"IIU\0\x18\0\0\0" + bytes(20), "raw file"),
        (b"FOVb" + bytes(20), "raw file"),
        (b'{"title": "IMG_1.jpg"}', "watch.ignore"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE plist>\n<plist version="1.0"></plist>', "watch.ignore"),
        (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', "watch.ignore"),
        (b"a list of pictures\n", "watch.ignore"),
        (b"\0\0\0\x14ftypqt  " + bytes(20), "save a frame of it"),
        (b"\0\0\0\x20ftypisom" + bytes(20), "save a frame of it"),
        (b"<!DOCTYPE html><p>Not found", "save the picture that it shows"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (bytes(5000), "nothing but zeros"),
        (b"PK\x03\x04" + bytes(30), "one by one"),
        (b"%PDF-1.7\n", "export it"),
    ],
)
def test_the_advice_fits_the_kind(opened: Opened, data: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words) as caught:
        opened(data)
    assert "save it as JPEG" not in str(caught.value).replace("develop it and save it as JPEG", "")


def test_a_raw_files_name_tells_what_its_bytes_do_not(opened: Opened) -> None:
    for data in (b"\xfe\xdc\x01\x02\x03", saved(badfiles.noise(8, 8), "TIFF")):
        with pytest.raises(PictureError, match=r"raw file.*camera_raw\.py"):
            opened(data, "DSC_1.NEF")
