"""Writing values as YAML that dreamd's own loader reads as the same values. Knows YAML and no fields."""

from __future__ import annotations

import math
from typing import Any

import yaml

from dreamd.settings.yamlfile import NUMBER


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which quotes a text such as 1e3: dreamd's loader would read it as a number."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))


def flow_text(value: object) -> str:
    """Write a value on one line of YAML, so that it may stand in brackets too."""
    options: dict[str, Any] = {"sort_keys": False, "default_flow_style": True, "width": math.inf, "allow_unicode": True}
    text: str = yaml.dump([value], Dumper=_Dumper, **options)
    return text.removesuffix("\n")[1:-1]
