"""Finding out what the controls of a recipe stand at, those of its parts and stages among them.

Reads recipes and presets. Knows no requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dreamd.errors import FieldPath, RecipeError
from dreamd.page.recipes.said_lists import SaidLists, said_lists
from dreamd.page.recipes.standing import Standing, Values, lists_of, own_fields, said_by
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.settings.recipes.explaining import ExplainedField, explain, explain_partial, inside
from dreamd.settings.recipes.layering import Origins
from dreamd.settings.recipes.merging import BUILT_IN, Resolved
from dreamd.settings.recipes.recipe import PARTIAL_FIELDS, Part, Recipe, Stage
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.yamlfile import Document


@dataclass(frozen=True)
class _Written:
    """How a list of parts is written.

    Attributes:
        entries: its entries.
        is_own: whether the recipe's own text has it.
        place: where it stands in the recipe.
        shared: the fields that YAML's anchors and aliases make one.
    """

    entries: Sequence[Any]
    is_own: bool
    place: FieldPath
    shared: frozenset[FieldPath]

    def is_shared(self, index: int) -> bool:
        """Tell whether an entry, or all of the list, is one with another place of the text."""
        place = (*self.place, index)
        return self.is_own and any(place[:length] in self.shared for length in range(1, len(place) + 1))

    def own(self, index: int) -> list[str]:
        """Return the fields that an entry gives by the recipe's own text."""
        return own_fields(said_by(self.entries[index])) if self.is_own else []


class Standings:
    """Tells what controls stand at, for the recipes of one tree."""

    def __init__(self, book: RecipeBook, catalogue: Catalogue | None, short: Callable[[str], str]) -> None:
        """Set up.

        Args:
            book: looks up what parts extend.
            catalogue: names the parameters that recipes leave to their defaults, as of `explain`.
            short: leaves out of an origin what is the same everywhere.
        """
        self._book = book
        self._catalogue = catalogue
        self._short = short

    def fields(self, explained: Iterable[ExplainedField]) -> list[dict[str, str]]:
        """Return explained fields as the page shows them."""
        return [{"name": each.name, "value": each.text, "origin": self._short(each.origin)} for each in explained]

    def said(self, documents: Sequence[Document]) -> SaidLists:
        """Return the lists of parts that documents come to, as they are written. Raises RecipeError."""
        return said_lists(documents, self._book.parts(documents))

    def values(self, resolved: Resolved, documents: Sequence[Document]) -> Values:
        """Return what the fields of a recipe come to, which these documents make. Raises RecipeError."""
        return self._of_recipe(resolved, self.said(documents))

    def standing(
        self, resolved: Resolved, documents: Sequence[Document], inherited: Values, shared: frozenset[FieldPath]
    ) -> Standing:
        """Return what the controls of a recipe stand at.

        Args:
            resolved: the recipe.
            documents: what makes it; the last one is its own text.
            inherited: what it would come to without its own fields.
            shared: the fields of its text that YAML's anchors and aliases make one.

        Raises:
            RecipeError: a part extends what there is not.
        """
        own = documents[-1].data
        said = self.said(documents)
        values = self._of_recipe(resolved, said)
        written = {each: _Written(said[each,], each in own, (each,), shared) for each in PARTIAL_FIELDS}
        if resolved.recipe.sequence:
            parts = {"sequence": self._parts(resolved, documents, said, written["sequence"])}
        else:
            parts = {"stages": self._stages(resolved.recipe, dict(resolved.origins), values, written["stages"])}
        return Standing(
            **vars(values), extends=own.get("extends"), own=own_fields(own), inherited=inherited, parts=parts
        )

    def _of_recipe(self, resolved: Resolved, said: SaidLists) -> Values:
        explained = explain(resolved, self._catalogue)
        return self._values(explained, resolved.recipe, dict(resolved.origins), said, ())

    def _of_part(self, part: Part, origins: Origins, said: SaidLists, index: int) -> Values:
        explained = explain_partial(part, origins, self._catalogue)
        return self._values(explained, part, origins, said, ("sequence", index))

    def _values(
        self, explained: Iterable[ExplainedField], holder: Part, origins: Origins, said: SaidLists, place: FieldPath
    ) -> Values:
        is_sequence = isinstance(holder, Recipe) and bool(holder.sequence)
        lists: dict[str, Any] = {} if is_sequence else lists_of(holder)
        kept = [name for name in PARTIAL_FIELDS if (*place, name) in said and not (is_sequence and name == "stages")]
        lists |= {name: said[*place, name] for name in kept}
        return Values(
            fields=self.fields(explained),
            lists=lists,
            origins={name: self._short(str(origins.get((name,), BUILT_IN))) for name in kept},
        )

    def _parts(
        self, resolved: Resolved, documents: Sequence[Document], said: SaidLists, written: _Written
    ) -> list[Standing]:
        """Return what the controls of each part of a sequence stand at."""
        bare = self._bare(documents, written.entries)
        parts = []
        for index, part in enumerate(resolved.recipe.sequence):
            place: FieldPath = ("sequence", index)
            origins = inside(resolved.origins, place)
            values = self._of_part(part, origins, said, index)
            own = written.own(index)
            stages = _Written(
                said[*place, "stages"], written.is_own and "stages" in own, (*place, "stages"), written.shared
            )
            parts.append(
                Standing(
                    **vars(values),
                    extends=said_by(written.entries[index]).get("extends"),
                    own=own,
                    inherited=bare[index] if bare else Values(),
                    parts={"stages": self._stages(part, origins, values, stages)},
                    is_shared=written.is_shared(index),
                )
            )
        return parts

    def _bare(self, documents: Sequence[Document], entries: Sequence[Any]) -> list[Values]:
        """Return what each part would come to by what it extends alone; [] where that is wrong."""
        names = [said_by(entry).get("extends") for entry in entries]
        bare = Document(documents[-1].file, {"sequence": [{} if name is None else {"extends": name} for name in names]})
        try:
            resolved = self._book.resolve(layers := [*documents, bare])
            said = self.said(layers)
        except RecipeError:  # only the parts' own fields mend it
            return []
        return [
            self._of_part(part, inside(resolved.origins, ("sequence", index)), said, index)
            for index, part in enumerate(resolved.recipe.sequence)
        ]

    def _stages(self, holder: Part, origins: Origins, values: Values, written: _Written) -> list[Standing]:
        """Return what the controls of each stage stand at: without its own fields it is as the recipe."""
        once = {"name": "octaves", "value": str(Stage.model_fields["octaves"].default), "origin": BUILT_IN}
        plain = [each for each in values.fields if not each["name"].startswith("stages[")]
        inherited = Values(fields=[*plain, once], lists=lists_of(holder))
        stages = []
        for index, stage in enumerate(holder.stages):
            explained = explain_partial(stage, inside(origins, ("stages", index)), self._catalogue)
            stages.append(
                Standing(
                    fields=self.fields(explained),
                    lists=lists_of(stage),
                    extends=None,
                    own=written.own(index),
                    inherited=inherited,
                    is_shared=written.is_shared(index),
                )
            )
        return stages
