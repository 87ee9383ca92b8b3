"""What there is to dream with, as plain data: names, parameters, where each comes from.

A worker loads the plugins, which need torch, and sends this to the daemon, which does not have it; so recipes are
checked by the same rules everywhere. A parameter is described by JSON Schema, drawn from a function's signature.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from dreamd.errors import FieldPath, RecipeError, UnknownNameError
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import Parameter
from dreamd.wording import suggestion


class Entry(BaseModel):
    """One thing that a plugin brings.

    Attributes:
        plugin: the plugin's name.
        origin: the module of an installed plugin, or the file or folder of a drop-in.
        version: the installed package's, or the beginning of a SHA-256 of the drop-in's content.
        own: whether dreamd itself brings it.
        doc: the function's docstring.
        extensions: the endings of the files that a decoder reads.
        takes: the names of what the function is given by the engine.
        differentiable: whether a transform has a gradient, so that it may stand before the network.
        steady: whether an optimizer needs the same gradient at the same place, so that nothing may move the view.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: str
    plugin: str
    origin: str
    version: str = ""
    own: bool = False
    doc: str = ""
    parameters: tuple[Parameter, ...] = ()
    extensions: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    differentiable: bool = False
    steady: bool = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hook(self) -> str:
        """The hook through which the plugin brings it."""
        return self.kind.hook

    def matches(self, name: str) -> bool:
        """Whether it answers to a name: its own, or one of its family `timm/*`."""
        return self.name == name or ("*" in self.name and fnmatchcase(name, self.name))

    def check(self, values: Mapping[str, Any], field: FieldPath) -> None:
        """Check the values a recipe gives to this entry's parameters.

        Raises:
            RecipeError: one is unknown, missing, or not what its schema says; with its field.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in values.items():
            if name not in known:
                raise RecipeError(
                    f"{self.kind} {self.name!r} has no parameter {name!r}; {suggestion(name, known)}",
                    field=(*field, name),
                )
            known[name].check(value, (*field, name))
        for parameter in self.parameters:
            if parameter.required and parameter.name not in values:
                raise RecipeError(f"{self.kind} {self.name!r} needs the parameter {parameter.name!r}", field=field)


class Problem(BaseModel):
    """A plugin that is not used, and why.

    Attributes:
        deliberate: whether somebody wanted it so; then it is no trouble.
    """

    model_config = ConfigDict(frozen=True)

    plugin: str
    origin: str
    reason: str
    deliberate: bool = False


class Catalogue(BaseModel):
    """Everything the loaded plugins bring, and what of them could not be loaded."""

    model_config = ConfigDict(frozen=True)

    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()

    def names(self, kind: Kind) -> list[str]:
        """Return the names of a kind, in alphabetical order."""
        return sorted(entry.name for entry in self.entries if entry.kind == kind)

    def find(self, kind: Kind, name: str) -> Entry:
        """Find the entry of a name; a pattern such as `timm/*` answers for a whole family.

        Raises:
            UnknownNameError: nobody brings that name; says which plugins could not be loaded, if any.
        """
        of_kind = [entry for entry in self.entries if entry.kind == kind]
        exact = [entry for entry in of_kind if entry.name == name]
        family = [entry for entry in of_kind if "*" in entry.name and fnmatchcase(name, entry.name)]
        if found := exact or family:
            return found[0]
        error = UnknownNameError(kind, name, self.names(kind))
        if self.problems:
            error.args = (f"{error} (not loaded: {'; '.join(map(_describe, self.problems))})",)
        raise error


def _describe(problem: Problem) -> str:
    return problem.plugin if problem.deliberate else f"{problem.plugin}: {problem.reason}"


def merged(catalogues: Iterable[Catalogue]) -> Catalogue:
    """Return several catalogues as one: the engine's, which a worker sends, and the daemon's own."""
    parts = list(catalogues)
    return Catalogue(
        entries=tuple(entry for part in parts for entry in part.entries),
        problems=tuple(problem for part in parts for problem in part.problems),
    )
