"""The decoder `camera_raw`: reads the raw files of cameras, through LibRaw. Needs `pip install rawpy`."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import rawpy
from numpy.typing import NDArray

from dreamd.api import CheckSize, PictureError, RegisterDecoder, hookimpl

DREAMD_API = 1

EXTENSIONS = (
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef"),
    *(".srw", ".raw", ".rwl", ".iiq", ".3fr", ".fff", ".mos", ".mrw", ".erf", ".kdc", ".dcr", ".x3f"),
)
"""Adobe's DNG, and the makers' own: Canon, Nikon, Sony, Fujifilm, Olympus, Panasonic, Pentax, Samsung, Leica, ..."""


def camera_raw(file: BinaryIO, check_size: CheckSize) -> NDArray[np.uint8]:
    """Develop a raw file with the camera's own white balance: `[H, W, 3]`, sRGB, upright."""
    try:
        with rawpy.imread(file) as raw:
            check_size(raw.sizes.width, raw.sizes.height)
            developed: NDArray[np.uint8] = raw.postprocess(use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB)
            return developed
    except rawpy.LibRawError as error:
        raise PictureError(f"LibRaw cannot read it: {_words(error)}") from error


def _words(error: rawpy.LibRawError) -> str:
    text = error.args[0] if error.args else ""
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


@hookimpl
def dreamd_decoders(register: RegisterDecoder) -> None:
    """Bring `camera_raw`."""
    register("camera_raw", camera_raw, extensions=EXTENSIONS)
