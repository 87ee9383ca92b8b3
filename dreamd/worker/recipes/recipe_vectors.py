"""The vectors that a recipe names: a direction in what a layer sees, as a file of numbers.

Knows files of numbers. Knows no plugins and no networks.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dreamd.errors import FieldPath, RecipeError

MOST_BYTES = 16 << 20
"""The most bytes of a vector's file: a million numbers in text. A layer has a few thousand channels."""


@dataclass(frozen=True)
class RecipeVector:
    """A vector that a recipe names.

    Attributes:
        values: one cell, `[1, C, 1, 1]`, float32.
        sha256: the checksum of its file.
    """

    values: Tensor
    sha256: str


def read_vector(path: str, file: Path, field: FieldPath) -> RecipeVector:
    """Read a vector: a `.npy` file, a `.safetensors` file with one tensor, or text with numbers.

    Args:
        path: as the recipe says it.
        file: where that is.
        field: the field that names it.

    Raises:
        RecipeError: it cannot be read, or holds something else.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise RecipeError(f"{path}: is too large for one number a channel", field=field)
        content = file.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror or error}", field=field) from error
    try:
        values = _READERS.get(file.suffix.lower(), _from_text)(content)
    except _UNREADABLE as error:
        raise RecipeError(f"{path}: holds no vector: {' '.join(str(error).split())[:200]}", field=field) from error
    vector = values.flatten().float()
    if values.numel() != max(values.shape, default=0) or not bool(vector.isfinite().all()) or not bool(vector.any()):
        raise RecipeError(
            f"{path}: holds {list(values.shape)} numbers; a vector is one row of finite numbers that are not all zero",
            field=field,
        )
    return RecipeVector(vector[None, :, None, None], hashlib.sha256(content).hexdigest())


def _from_npy(content: bytes) -> Tensor:
    return torch.from_numpy(np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32))


def _from_safetensors(content: bytes) -> Tensor:
    from safetensors.torch import load

    tensors = load(content)
    if len(tensors) != 1:
        raise ValueError(f"it has {len(tensors)} tensors, not one")
    return next(iter(tensors.values()))


def _from_text(content: bytes) -> Tensor:
    words = re.split(r"[\s,;]+", content.decode().strip(" \t\r\n,;[]"))
    return torch.tensor([float(word) for word in words])


_READERS = {".npy": _from_npy, ".safetensors": _from_safetensors}
"""What reads a vector, by the ending of its file's name; anything else is text."""


def _unreadable() -> tuple[type[Exception], ...]:
    from safetensors import SafetensorError

    return ValueError, TypeError, EOFError, SafetensorError


_UNREADABLE = _unreadable()
"""The errors that numpy, safetensors and `float` raise for something else than numbers."""
