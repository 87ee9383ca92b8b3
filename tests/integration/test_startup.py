"""What a process loads before its first dream is over: the start of most processes is their imports."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dreamd.commands.demo.painting import clouds

if TYPE_CHECKING:
    from pathlib import Path

SLOW = {"torchvision", "timm", "sympy", "scipy", "jinja2", "jsonschema", "rich", "torch._dynamo", "torch._inductor"}
"""What takes long to import, and is of no use to a dream with the embedded network."""

CODE = f"""
import json, sys
from dreamd.cli import main
main(sys.argv[1:], standalone_mode=False)
print(json.dumps([name for name in {sorted(SLOW)} if name in sys.modules]))
"""


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "{name: vgg11, weights: random}"])
def test_a_dream_loads_nothing_slow_that_it_does_not_need(tmp_path: Path, backbone: str) -> None:
    clouds(48, 36).save(tmp_path / "sky.png")
    recipe = ["--set", f"backbone={backbone}", "--set", "ascent.iterations=1", "--device", "cpu"]
    command = [sys.executable, "-c", CODE, "dream", "sky.png", "out.png", *recipe]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == []
