"""Reading a YAML file into plain values that remember their lines.

Knows YAML, nothing of configs or recipes. Stricter than YAML itself where that saves people: a key given twice is an
error, `1e-3` is a number, and a file that aliases blow up is refused.
"""

from __future__ import annotations

import math
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.scanner import ScannerError

from dreamd.errors import FieldError, FieldPath
from dreamd.files.nofollow import Entry, opened_folder
from dreamd.files.problems import refusal

MAX_BYTES = 64 * 1024
"""The largest file that is read: no recipe that a person writes is larger."""

MAX_NODES = 10_000
"""The most nodes of a file with its aliases expanded: ten lines of aliases can stand for billions."""

MAX_DEPTH = 32
"""The most mappings and lists in one another: an alias can make a list that holds itself."""


_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""How a file is opened: a FIFO, which is refused then, must not make the reader wait."""

_NO_FILES = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe"}
"""What bears a file's name and is none, in words."""


@dataclass(frozen=True)
class Document:
    """A YAML file's mapping.

    Attributes:
        file: where it came from, for messages.
        data: its values: dicts with string keys, lists, strings, numbers, booleans, None.
        lines: the line, from 1, of every field.
    """

    file: Path | str
    data: dict[str, Any]
    lines: dict[FieldPath, int] = field(default_factory=dict)

    def line(self, path: FieldPath) -> int | None:
        """Return the line of a field, or of the nearest field that holds it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


class YamlLoader(yaml.SafeLoader):
    """PyYAML's safe loader, reading numbers such as 1e-3 as YAML 1.2 does.

    Stops at a depth that no recipe has: deeper down PyYAML's scanner takes seconds for a kilobyte.
    """

    def fetch_flow_collection_start(self, token_class: type[yaml.Token]) -> None:
        self._check_depth(self.flow_level)
        super().fetch_flow_collection_start(token_class)

    def add_indent(self, column: int) -> bool:
        self._check_depth(len(self.indents))
        return bool(super().add_indent(column))

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ScannerError(None, None, "it is nested too deeply", self.get_mark())


NUMBER = re.compile(r"^[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$")
"""YAML 1.2 reads such a text as a number, and PyYAML as a text."""

YamlLoader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))


def read_document(
    file: Path, error: type[FieldError], *, below: Path | None = None, called: Path | None = None
) -> Document:
    """Read a file of YAML (or JSON) that holds a mapping.

    Args:
        file: the file.
        error: what to raise.
        below: the inbox that the file is in: no symlink below it is followed, which anybody may have put there.
        called: the path that names it in messages; None: its own.

    Raises:
        error: the file cannot be read, is too large, or is no mapping; with its line where there is one.
    """
    name = called or file
    try:
        text = _read_regular_file(file, below)
    except OSError as problem:
        raise error(f"cannot be read: {refusal(problem)}", file=name) from problem
    except ValueError as problem:
        raise error(str(problem), file=name) from problem
    return parse_document(text, name, error)


def document_of_text(text: str, file: Path | str, error: type[FieldError]) -> Document:
    """Return the document that a file with this text would be. Raises `error` as `read_document` does."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise error(f"is larger than {MAX_BYTES // 1024} KB; that is no file a person writes", file=file)
    return parse_document(text, file, error)


def parse_document(text: str, file: Path | str, error: type[FieldError]) -> Document:
    """Parse the text of a YAML mapping; `file` names it in messages. Raises `error` as `read_document` does."""
    try:
        loader = YamlLoader(text)
        try:
            root = loader.get_single_node()
            return _Builder(file, loader, error).document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        words = problem.problem or problem.context or "is not YAML"
        raise error(f"is not YAML: {words}", file=file, line=mark.line + 1 if mark else None) from problem
    except (yaml.YAMLError, ValueError) as problem:
        raise error(f"is not YAML: {str(problem).splitlines()[0]}", file=file) from problem


def _read_regular_file(file: Path, below: Path | None) -> str:
    """Read a file that is no FIFO or device: reading those could last for ever."""
    descriptor = os.open(file, _OPEN) if below is None else _open_below(below, file)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"is {_NO_FILES.get(stat.S_IFMT(status.st_mode), 'a device')}, and no file; remove it")
        with open(descriptor, "rb", closefd=False) as stream:
            content = stream.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES // 1024} KB; that is no file a person writes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise ValueError(f"is not UTF-8 (byte {problem.start})") from problem


def _open_below(root: Path, file: Path) -> int:
    """Open a file below a folder where anybody may have put symlinks, without following one."""
    with opened_folder(root, file.parent.relative_to(root).parts) as folder:
        status = Entry(folder, file.name).status()
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise ValueError("is a symbolic link, which is not followed in an inbox; put the file itself here")
        return os.open(file.name, _OPEN | os.O_NOFOLLOW, dir_fd=folder)


class _Builder:
    """Turns composed nodes into values, counting them and noting their lines."""

    def __init__(self, file: Path | str, loader: YamlLoader, error: type[FieldError]) -> None:
        self._file = file
        self._loader = loader
        self._error = error
        self._lines: dict[FieldPath, int] = {}
        self._count = 0

    def document(self, root: yaml.Node | None) -> Document:
        data = {} if root is None else self._value(root, ())
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise self._error("must be a mapping of fields (`field: value` lines)", file=self._file, line=1)
        return Document(self._file, data, self._lines)

    def _value(self, node: yaml.Node, path: FieldPath) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise self._fail("has more values than any recipe needs: are its aliases a bomb?", node, path)
        if len(path) > MAX_DEPTH:
            raise self._fail("is nested too deeply", node, path[:1])
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(self._constructed(node, path), node, path)

    def _constructed(self, node: yaml.Node, path: FieldPath) -> object:
        try:
            return self._loader.construct_object(node)
        except yaml.constructor.ConstructorError as problem:
            raise self._fail(f"the tag {node.tag} means nothing here; put the value in quotes", node, path) from problem

    def _scalar(self, value: object, node: yaml.Node, path: FieldPath) -> bool | int | float | str | None:
        if isinstance(value, float) and not math.isfinite(value):
            raise self._fail("must be a finite number", node, path)
        if isinstance(value, str):
            return self._text(value, node, path)
        if value is None or isinstance(value, bool | int | float):
            return value
        raise self._fail(f"is read as a {type(value).__name__}; put it in quotes", node, path)

    def _text(self, value: str, node: yaml.Node, path: FieldPath) -> str:
        """Join the two escapes by which JSON may write one character: YAML leaves them apart."""
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError as problem:
            raise self._fail("holds half a character: one of two escapes is missing", node, path) from problem

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, child in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self._fail("`<<` is not read here; a recipe takes from another by `extends`", key_node, path)
            key = self._constructed(key_node, path) if isinstance(key_node, yaml.ScalarNode) else None
            name = self._key(key, key_node, path)
            if name in values:
                raise self._fail("is given twice", key_node, (*path, name))
            self._lines[(*path, name)] = key_node.start_mark.line + 1
            values[name] = self._value(child, (*path, name))
        return values

    def _key(self, key: object, node: yaml.Node, path: FieldPath) -> str:
        if not isinstance(key, str):
            text = node.value if isinstance(node, yaml.ScalarNode) else "a list or mapping"
            raise self._fail(f"{text} is not a field name", node, path)
        return self._text(key, node, path)

    def _fail(self, problem: str, node: yaml.Node, path: FieldPath) -> FieldError:
        return self._error(problem, file=self._file, line=node.start_mark.line + 1, field=path)
