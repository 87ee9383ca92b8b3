"""What docs/plugins.md and the tests say of the plugin API, drawn from the code.

`python tests/plugin_docs.py` writes the reference of the hooks into docs/plugins.md and the snapshot of the API into
tests/reference/api.txt, and prints the words that CHANGELOG.md must have.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from dreamd import api
from dreamd.plugin_host import hookspecs

ROOT = Path(__file__).parents[1]
MANUAL = ROOT / "docs" / "plugins.md"
SNAPSHOT = ROOT / "tests" / "reference" / "api.txt"
BEGIN, END = "<!-- drawn from dreamd/plugin_host/hookspecs.py by tests/plugin_docs.py -->", "<!-- end -->"

GROUPS = {"dreamd.engine": hookspecs.EngineHooks, "dreamd.daemon": hookspecs.DaemonHooks}


def hooks(group: type) -> Iterator[tuple[str, Any]]:
    """Every hook of a group with its specification."""
    return ((name, value) for name, value in vars(group).items() if name.startswith("dreamd_"))


def reference() -> str:
    """Every hook, what its `register` takes, and what that means, in Markdown."""
    parts = []
    for group, specs in GROUPS.items():
        parts.append(f"### Entry-point group `{group}`\n\n{inspect.getdoc(specs)}")
        parts += [_hook(name, spec) for name, spec in hooks(specs)]
    return "\n\n".join(parts)


def _hook(name: str, spec: Any) -> str:
    arguments = [argument for argument in inspect.signature(spec).parameters if argument != "self"]
    text = f"#### `{name}({', '.join(arguments)})`\n\n{_text(inspect.getdoc(spec))}"
    annotation = spec.__annotations__.get("register")
    if annotation is None:
        return text
    call = getattr(hookspecs, annotation).__call__
    parameters = [str(value) for key, value in inspect.signature(call).parameters.items() if key != "self"]
    code = f"register({', '.join(_plain(parameter) for parameter in parameters)})"
    return f"{text}\n\n```text\n{code}\n```\n\n{_text(inspect.getdoc(call))}"


def _plain(parameter: str) -> str:
    return parameter.replace("'", "")


def _text(docstring: str | None) -> str:
    """A docstring in Google's style as Markdown."""
    lines = (docstring or "").splitlines()
    made: list[str] = []
    for line in lines:
        if line in ("Args:", "Raises:", "Attributes:"):
            made.append(f"*{line.removesuffix(':')}*\n")
        elif match := re.fullmatch(r" {4}(\w+): (.*)", line):
            made.append(f"- `{match[1]}`: {match[2]}")
        elif line.startswith("     "):
            made.append(f"  {line.strip()}")
        else:
            made.append(line)
    return "\n".join(made).strip()


def snapshot() -> str:
    """Every name of `dreamd.api` and every hook with its signature, and those of its methods."""
    names = [line for name in sorted(api.__all__) for line in _described(name, getattr(api, name))]
    specs = [f"{group} {name}{_signature(spec)}" for group, one in GROUPS.items() for name, spec in hooks(one)]
    return "\n".join([*names, *specs]) + "\n"


def _described(name: str, value: Any) -> Iterator[str]:
    if name == "hookimpl":  # pluggy's marker, whose own signature is pluggy's
        yield name
    elif not inspect.isclass(value):
        yield f"{name}{_signature(value)}" if inspect.isfunction(value) else f"{name} = {_without_rooms(value)}"
    else:
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        takes = _signature(value) if is_dataclass(value) else ""
        members = f" {', '.join(member.name for member in value)}" if issubclass(value, Enum) else ""
        yield f"class {name}({bases}){takes}{members}"
        for key, member in sorted(vars(value).items()):
            makes = key == "__init__" and issubclass(value, Exception)  # what else is made is made by dreamd
            if (makes or key == "__call__" or not key.startswith("_")) and (
                inspect.isfunction(member) or isinstance(member, property)
            ):
                yield f"    {name}.{key}{_signature(member) if inspect.isfunction(member) else ': a property'}"


def _without_rooms(value: Any) -> str:
    """A value as text, in which dreamd's classes have no module: authors import them from `dreamd.api`."""
    return re.sub(r"\bdreamd(?:\.[a-z_]+)+\.", "", str(value))


def _signature(value: Any) -> str:
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))
    except (TypeError, ValueError):
        return ""


def announcement(text: str) -> str:
    """What stands in CHANGELOG.md beside the words about a snapshot: another API has another."""
    return f"plugin API {api.VERSION}, `{hashlib.sha256(text.encode()).hexdigest()[:8]}`"


def with_reference(manual: str) -> str:
    """The manual with the reference as it is drawn now."""
    before, rest = manual.split(BEGIN)
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    MANUAL.write_text(with_reference(MANUAL.read_text(encoding="utf-8")), encoding="utf-8")
    SNAPSHOT.write_text(snapshot(), encoding="utf-8")
    print(f"CHANGELOG.md says what a plugin's author must know of it, with: {announcement(snapshot())}")
