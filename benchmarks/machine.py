"""The machine that was measured, in words, and the versions that were measured. Never its name."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
import torch
import torchvision

from dreamd import __version__
from dreamd.engine.speed.precision import fastest

_EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Of x86 processors, those that decide how fast a network runs; as Linux names them."""


def described() -> dict[str, str]:
    """What the figures depend on: name → words."""
    values = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "precision auto": f"{fastest(torch.device('cpu'))} on the processor",
        "versions": f"dreamd {__version__}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}, numpy {np.__version__}",
    }
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        values["GPU"] = f"{card.name}, {card.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        values["precision auto"] += f", {fastest(torch.device('cuda', 0))} on the GPU"
    return values


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    parts = (line.partition(":") for line in lines)
    fields = {name.strip(): value.strip() for name, _, value in parts}
    flags = fields.get("flags", "").split()
    best = [name.upper().replace("_", "-") for name in _EXTENSIONS if name in flags]
    model = fields.get("model name") or platform.machine()
    return f"{model} ({', '.join(best)})" if best else model
