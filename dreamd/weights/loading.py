"""Loading: a file of weights becomes tensors in memory, without running what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dreamd.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict onto the CPU, without running code from the file.

    A checkpoint that keeps it under `state_dict` or `model` is unwrapped, and the `module.` that DataParallel puts
    before every name is dropped.

    Args:
        path: a `.safetensors` file, or one that `torch.save` wrote, in its zip or its older form.

    Returns:
        Tensors by name. Those of a zip file may be mapped from it: do not write into the file while they are used.

    Raises:
        WeightsError: the file is missing or broken, or holds other things than tensors.
    """
    if not path.is_file():
        what = "is a folder or a device, and no file" if path.exists() else "is not there"
        raise WeightsError(f"{path} {what}; put the weights there, or correct backbone.weights in the recipe")
    loaded = _load_safetensors(path) if path.suffix == ".safetensors" else _load_pickle(path)
    return _without_module(_tensors(_unwrapped(loaded), path))


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from error


def _load_pickle(path: Path) -> object:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except Exception as error:
        # A broken pickle can raise nearly anything. torch's own words advise `weights_only=False`: never pass them on.
        found = re.search(r"GLOBAL (\S+)", str(error))
        if not found:
            raise WeightsError(f"{path} is broken, or is no file of weights ({type(error).__name__})") from error
        raise WeightsError(
            f"{path} holds more than plain tensors: it asks for {found[1]}, and to read it would run code.\n"
            "Save only the state dict, as safetensors or by `torch.save(network.state_dict(), ...)`"
        ) from error


def _is_zip(path: Path) -> bool:
    # torch decides by these bytes too; `zipfile.is_zipfile` looks at the end, where an old pickle may look like one.
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _unwrapped(checkpoint: object) -> object:
    if isinstance(checkpoint, Mapping):
        for key in ("state_dict", "model"):
            if isinstance(nested := checkpoint.get(key), Mapping):
                return nested
    return checkpoint


def _tensors(loaded: object, path: Path) -> dict[str, Tensor]:
    from torch import Tensor

    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsError(f"{path} holds no state dict: it must map names to tensors")
    if others := [key for key, value in loaded.items() if not (isinstance(key, str) and isinstance(value, Tensor))]:
        raise WeightsError(f"{path} holds no state dict: {others[0]!r} is not a name with a tensor")
    return dict(loaded)


def _without_module(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    if not all(name.startswith("module.") for name in tensors):
        return tensors
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
