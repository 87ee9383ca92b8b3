"""libheif encodes HEIC, by the extra `heic`, of 8 or 10 bit."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from dreamd.errors import PictureError
from dreamd.pictures.decoders.heif import INSTALL
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.written import described_for
from dreamd.pictures.encoders.layout import Layout

_FAST = {"preset": "ultrafast"}
"""x265's own choice takes five times as long, for files that are a tenth smaller.

Colours are written in half the resolution, for few devices that show HEIC can show it with whole ones.
"""

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def encode_heic(layout: Layout, quality: int, description: Description, name: str) -> io.BytesIO:
    """Encode in memory.

    Args:
        layout: the picture.
        quality: 1 to 100.
        description: what is written beside the pixels.
        name: the result's file name, printable, for the log.

    Raises:
        PictureError: pillow-heif is not installed.
    """
    try:
        import pillow_heif  # an extra
    except ImportError as error:
        raise PictureError(f"{name}: {INSTALL}") from error
    channels = layout.levels if layout.levels.ndim == 3 else layout.levels[..., None]
    if layout.alpha is not None:
        channels = np.concatenate([channels, layout.alpha[..., None]], axis=2)
    mode = _MODES[channels.shape[2]]
    if layout.bits > 8:  # pillow-heif takes 10 bit at the upper end of 16
        mode, channels = f"{mode};16", channels << (16 - layout.bits)
    height, width = channels.shape[:2]
    image = pillow_heif.from_bytes(mode=mode, size=(width, height), data=channels.tobytes())
    if layout.profile:
        info: dict[str, Any] = image[0].info
        info |= {"icc_profile": layout.profile, "icc_profile_type": "prof"}
    words = described_for("HEIF", description, name)
    encoded = io.BytesIO()
    image.save(
        encoded, quality=quality, chroma=420, enc_params=_FAST, exif=words.get("exif"), xmp=words.get("xmp")
    )  # fmt: skip
    return encoded
