"""WebP: no chunk beside the pixels' own refuses a picture."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from dreamd.errors import PictureError
from tests import badfiles
from tests.badfiles import saved, webp_with
from tests.unit.pictures.kit import Opened

PICTURE = badfiles.noise(16, 12)
PLAIN = saved(PICTURE, "WEBP", lossless=True)
DESCRIBED = webp_with(PLAIN, EXIF=badfiles.exif({0x010F: badfiles.ascii_text("Acme")}))

BROKEN = {
    "EXIF that ends too early": DESCRIBED[:-3],
    "EXIF that is longer than the file": DESCRIBED.replace(b"EXIF", b"EXIF\xff\xff\xff\x7f"),
    "EXIF of noise": webp_with(PLAIN, EXIF=b"noise"),
    "an unknown chunk": webp_with(PLAIN, odd=b"noise"),
    "a file that says it is longer": PLAIN[:4] + struct.pack("<I", len(PLAIN) + 500) + PLAIN[8:],
    "bytes behind the end": PLAIN + b"noise",
}


@pytest.mark.parametrize("whole", BROKEN.values(), ids=list(BROKEN))
def test_what_is_broken_beside_the_pixels_refuses_nothing(opened: Opened, whole: bytes) -> None:
    assert np.array_equal(opened(whole).pixels, np.asarray(PICTURE))


def test_alpha_and_the_first_frame_are_there_beside_a_description(opened: Opened) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Acme"
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 77))
    for image in (clear, Image.new("RGBA", (8, 8), (0, 0, 255, 9))):
        result = opened(saved(image, "WEBP", exif=exif, icc_profile=badfiles.srgb_profile(), lossless=True))
        assert result.alpha is not None
        assert (result.alpha == image.getpixel((0, 0))[3]).all()
        assert b"Acme" in result.description.exif
    moving = saved(clear, "WEBP", save_all=True, append_images=[Image.new("RGBA", (8, 8), "blue")], exif=exif)
    assert opened(moving).pixels[0, 0, 0] > 200


def test_missing_pixels_still_refuse_the_picture(opened: Opened) -> None:
    with pytest.raises(PictureError, match="cut off"):
        opened(PLAIN[:-100])
