"""The article's whole program, written once more as it was told: what `dreamd dream --recipe article` is measured by.

    python benchmarks/article_program.py PICTURE OUT.png --weights VGG19.safetensors [--octaves 100] [--iterations 6]

Nothing of dreamd is in it, and nothing is made faster: parameters have gradients, the gradients are never cleared, and
every level is dreamed, also when it is the same picture again.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from PIL import Image, ImageChops, ImageFilter
from safetensors.torch import load_file
from torch import nn
from torchvision import models, transforms

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LAYERS, LR, OCTAVE_SCALE, BLUR, SHARE = 36, 0.2, 2, 2, 0.6

into_the_network = transforms.Compose(
    [transforms.Resize((224, 224)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
)


def ascend(picture: Image.Image, modules: list[nn.Module], iterations: int) -> Image.Image:
    """One level: the picture squashed, dreamed, truncated to 8 bit and stretched back."""
    x = into_the_network(picture).unsqueeze(0).to(DEVICE).requires_grad_(True)
    for _ in range(iterations):
        seen = x
        for module in modules[:LAYERS]:
            seen = module(seen)
        seen.norm().backward()
        assert x.grad is not None
        x.data = x.data + LR * x.grad.data
    out = x.data.squeeze(0).cpu() * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    pixels = (out.clamp(0, 1).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize(picture.size, Image.Resampling.BICUBIC)


def dream(picture: Image.Image, modules: list[nn.Module], iterations: int, octaves: int) -> Image.Image:
    """A picture over the dream of its blurred and shrunk copy, dreamed."""
    if octaves > 0:
        small = picture.filter(ImageFilter.GaussianBlur(BLUR))
        width, height = (side / OCTAVE_SCALE for side in picture.size)
        size = picture.size if width < 1 or height < 1 else (int(width), int(height))
        small = dream(small.resize(size, Image.Resampling.LANCZOS), modules, iterations, octaves - 1)
        picture = ImageChops.blend(picture, small.resize(picture.size, Image.Resampling.LANCZOS), SHARE)
    return ascend(picture, modules, iterations)


def main() -> None:
    """Dream one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture")
    parser.add_argument("out")
    parser.add_argument("--weights", required=True, help="a VGG19's state dict, as safetensors")
    parser.add_argument("--octaves", type=int, default=100, help="how many smaller copies are dreamed first")
    parser.add_argument("--iterations", type=int, default=6, help="of every ascent")
    arguments = parser.parse_args()
    vgg19 = models.vgg19(init_weights=False)
    vgg19.load_state_dict(load_file(arguments.weights))
    modules = list(vgg19.to(DEVICE).eval().features)
    picture = Image.open(arguments.picture).convert("RGB")
    dream(picture, modules, arguments.iterations, arguments.octaves).save(arguments.out)


if __name__ == "__main__":
    main()
