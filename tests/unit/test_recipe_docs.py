"""docs/recipes.md says what the code says, and the recipes that it shows are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dreamd.errors import RecipeError
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.yamlfile import Document, parse_document
from tests import recipe_docs as docs

ROOT = Path(__file__).parents[2]

EXAMPLES = sorted((ROOT / "examples" / "recipes").glob("*.yaml"))


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins("dreamd.engine")


def test_the_manual_is_drawn_from_the_code() -> None:
    manual = docs.MANUAL.read_text(encoding="utf-8")
    assert docs.with_drawn(manual) == manual, "run `python tests/recipe_docs.py`"


def test_the_manual_tells_every_field_and_every_plugin(plugins: Plugins) -> None:
    manual = docs.MANUAL.read_text(encoding="utf-8")
    for field in Recipe.model_fields:
        assert f"| `{field}` |" in manual
    for entry in plugins.catalogue.entries:
        if entry.kind.value not in ("decoder", "film", "executor", "notify"):
            assert f"`{entry.name}`" in manual
            for parameter in entry.parameters:
                assert parameter.doc, f"{entry.name}: nothing is said of {parameter.name}"


def test_every_block_of_yaml_in_the_manual_is_a_recipe(plugins: Plugins) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", docs.MANUAL.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 40
    book = RecipeBook(None)
    for block in blocks:
        own = parse_document(block, "docs/recipes.md", RecipeError)
        below = book.documents_of_name(own.data["extends"]) if "extends" in own.data else []
        # The line of `lbfgs` says how it is named, and not that it wants a picture that holds still.
        still = [Document("", {"ascent": {"jitter": 0}})] if "name: lbfgs" in block else []
        RecipeBook(None).resolve([*below, own, *still]).check(plugins.catalogue)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_recipe_is_short_says_what_it_makes_and_is_right(file: Path, plugins: Plugins) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 10
    assert lines[0].startswith("# ")
    RecipeBook(None).for_file(file).check(plugins.catalogue)


def test_the_table_of_examples_leads_to_each_of_them() -> None:
    table = (ROOT / "examples" / "recipes" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\S+\.yaml)\)", table)) == {file.name for file in EXAMPLES}
