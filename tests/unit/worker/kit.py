"""A session with a network of two convolutions, and pictures for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dreamd.pictures.picture import Picture
from dreamd.plugin_host.host import Plugins
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import Device
from dreamd.worker.session import Session

NETWORK = """
from torch import nn
from dreamd.api import Backbone, hookimpl

def tiny(name):
    low, high = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
    network = nn.Sequential(low, nn.ReLU(), high, nn.ReLU())
    return Backbone(network=network, layers={"low": "1", "high": "3"}, default_layer="high", min_side=16)

@hookimpl
def dreamd_backbones(register):
    register("tiny", tiny)
"""

CHANNELS = {"low": 6, "high": 8}
"""The channels of each of its layers."""


def fill(folder: Path) -> None:
    """Put the network, a picture `other.png` and a mask `mask.png` into a folder."""
    folder.chmod(0o755)
    (folder / "tiny.py").write_text(NETWORK, encoding="utf-8")
    (folder / "tiny.py").chmod(0o644)
    pixels = np.random.default_rng(1).integers(0, 256, (30, 44, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "other.png")
    Image.fromarray(np.uint8([[0, 0, 255, 255]])).save(folder / "mask.png")


def plugins_in(folder: Path) -> Plugins:
    """All of dreamd's plugins, and the network in the folder."""
    return Plugins("dreamd.engine", folders=[folder], only={"tiny"})


def session_in(folder: Path, plugins: Plugins) -> Session:
    """A session on the processor that reads recipes' pictures from the folder."""
    bounds = Bounds(max_pixels=100_000, max_bytes=1_000_000, memory=4_000_000_000, picture_folders=(folder,))
    return Session(plugins, Device(torch=torch.device("cpu"), label="cpu"), bounds)


def picture(seed: int = 0, alpha: bool = False) -> Picture:
    """A picture of 37×40 random pixels, with its left half clear if it is to have an alpha channel."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (40, 37, 3), np.uint8)
    opaque = np.where(np.arange(37) < 20, 0, 255).astype(np.uint8) * np.ones((40, 1), np.uint8)
    return Picture(pixels=pixels, alpha=opaque if alpha else None, format="PNG")
