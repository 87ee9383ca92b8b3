"""`dreamd recipe check`, `explain`, `from`, `init`, `schema` and `list`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dreamd.commands.terminal.completing import complete_folder, complete_recipe, complete_recipe_name
from dreamd.commands.terminal.options import PATH, InOrder, config_option, config_or_none, json_option
from dreamd.commands.terminal.printing import print_findings, print_json, print_lines
from dreamd.errors import UsageError, dotted
from dreamd.wording import printable

if TYPE_CHECKING:
    from dreamd.settings.config import Config
    from dreamd.settings.recipes.explaining import ExplainedField


@click.group(cls=InOrder)
def recipe() -> None:
    """Check and explain recipes."""


@recipe.command()
@click.argument("file", type=PATH)
@config_option
def check(file: Path, config_file: Path) -> None:
    """Check a recipe file, or every recipe below a folder."""
    print_findings(_check(file, config_or_none(config_file)), exit_code=2)


@recipe.command()
@click.argument("file", metavar="FILE_OR_NAME", shell_complete=complete_recipe)
@config_option
@json_option
def explain(file: str, config_file: Path, as_json: bool) -> None:
    """Show every effective field and where it came from.

    FILE_OR_NAME is a recipe file, a folder, a picture or a dream file in the inbox, or a preset's name.
    """
    rows = _explain(file, config_or_none(config_file))
    if as_json:
        print_json([{"field": row.name, "value": row.value, "origin": row.origin} for row in rows])
    else:
        print_lines(_field_lines(rows))


@recipe.command("from")
@click.argument("file", metavar="PICTURE_OR_SIDECAR", type=PATH)
def from_result(file: Path) -> None:
    """Print the recipe that made a result, as YAML.

    It comes from the sidecar, given itself or by the picture that it lies beside, or else out of the picture, where
    that was made with `output: {embed: true}`.
    """
    print_lines(_text_of_result(file))


@recipe.command("init")
@click.argument("folder", shell_complete=complete_folder)
@click.option("--preset", required=True, shell_complete=complete_recipe_name, help="What it begins from.")
@config_option
def init_recipe(folder: str, preset: str, config_file: Path) -> None:
    """Write a recipe for a folder, from a preset.

    FOLDER is one of the inbox, by its path or by its name there; it is made if it is not there. What there is to
    change stands in comments. A recipe that is there already is left as it is.
    """
    from dreamd.commands.recipes.writing import write_recipe

    print_lines([str(write_recipe(folder, preset, config_or_none(config_file)))])


@recipe.command()
@config_option
def schema(config_file: Path) -> None:
    """Print a JSON Schema of recipe.yaml, for editors."""
    from dreamd.commands.plugins.known_engine import KnownEngine
    from dreamd.settings.recipes.schema import recipe_schema

    print_json(recipe_schema(KnownEngine(config_or_none(config_file)).catalogue))


@recipe.command("list")
@config_option
@json_option
def list_names(config_file: Path, as_json: bool) -> None:
    """List the presets and named recipes that `extends` knows."""
    from dreamd.commands.recipes.lookup import book_of

    names = {name: str(place) for name, place in book_of(config_or_none(config_file)).names().items()}
    if as_json:
        print_json(names)
    else:
        print_lines(f"{name:<16} {place}" for name, place in names.items())


def _check(path: Path, config: Config | None) -> Iterator[tuple[str, bool]]:
    """Say of every recipe file at `path` or below it whether it is right; one that many inherit is told once.

    Raises:
        UsageError: there is no recipe.
    """
    from dreamd.commands.plugins.known_engine import KnownEngine
    from dreamd.commands.recipes.lookup import check_whole, find_recipe, recipe_files

    names = [str(file) for file in recipe_files(path)] if path.is_dir() else [str(path)]
    if not names:
        raise UsageError(f"{path}: there is no recipe.yaml in it or below it")
    engine = KnownEngine(config)
    told = set()
    for name in names:
        try:
            check_whole(find_recipe(name, config), engine)
        except UsageError as error:
            if str(error) not in told:
                yield str(error), False
            told.add(str(error))
        else:
            yield f"{name}: ok", True


def _explain(name: str, config: Config | None) -> list[ExplainedField]:
    """Explain every effective field of a recipe. Raises RecipeError."""
    from dreamd.commands.plugins.known_engine import KnownEngine
    from dreamd.commands.recipes.lookup import check_whole, find_recipe
    from dreamd.settings.recipes.explaining import explain as explain_fields

    engine = KnownEngine(config)
    resolved = find_recipe(name, config)
    check_whole(resolved, engine)
    fields = explain_fields(resolved, engine.catalogue)
    defaults = {
        dotted((*place, "layers")): engine.default_layer(part.backbone)
        for place, part in resolved.recipe.dreams
        if part.layers is None
    }
    return [replace(field, value=defaults.get(field.name, field.value)) for field in fields]


def _text_of_result(file: Path) -> Iterator[str]:
    """Yield the lines of a result's recipe. Raises UsageError when there is no such file, or no recipe in it."""
    from dreamd.commands.recipes.lookup import documents_of
    from dreamd.settings.recipes.recipe_book import RecipeBook
    from dreamd.settings.recipes.recipe_text import recipe_text

    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    book = RecipeBook(None)
    sidecar = file.with_name(f"{file.name}.json")
    source = sidecar if sidecar.is_file() else file
    resolved = book.resolve(documents_of(str(source.absolute()), book))
    yield f"# from {printable(file.name)}"
    yield from recipe_text(resolved.recipe).splitlines()


def _field_lines(fields: Sequence[ExplainedField]) -> Iterator[str]:
    """Write `field: value  # where it came from`, which is YAML again."""
    width = max(len(f"{field.name}: {field.text}") for field in fields)
    for field in fields:
        yield f"{f'{field.name}: {field.text}':<{width}}  # {field.origin}"
