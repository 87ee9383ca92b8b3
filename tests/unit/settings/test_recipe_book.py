"""The recipes of a tree: presets, named ones, those of the folders, sidecars and drafts."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from dreamd.errors import RecipeError
from dreamd.messages import Sidecar
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe import STEPS, Ascent, LayerChoice, Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook, preset_names, recipe_file
from tests.unit.settings.kit import ROOT, document, refusal_in, resolved, write

# extends


def test_a_recipe_lies_over_the_preset_that_it_extends(inbox):
    write(inbox, "extends: article\nascent: {iterations: 3}\n")
    recipe = RecipeBook(inbox).for_folder(ROOT).recipe
    assert recipe.ascent == Ascent(iterations=3, lr=0.2, momentum=1.0, jitter=0)
    assert recipe.schedule.model_dump() == {"name": "article", "num_octaves": 100, "octave_scale": 2}
    assert recipe.gradient == ()
    assert recipe.layers == (LayerChoice(name=36),)


def test_a_folders_preset_lies_over_what_it_inherits(inbox):
    write(inbox, "ascent: {lr: 9}\noutput: {format: png}\n")
    write(inbox / "a", "extends: classic\n")
    recipe = RecipeBook(inbox).for_folder(PurePosixPath("a")).recipe
    assert recipe.ascent.lr == 0.05
    assert recipe.output.format == "png"


def test_named_recipes_extend_one_another_in_a_chain(inbox, tmp_path):
    named = tmp_path / "recipes"
    write(named, "extends: article\nascent: {lr: 5}\nseed: 1\n", "first.yaml")
    write(named, "extends: first\nseed: 2\n", "second.yaml")
    write(inbox, "extends: second\noutput: {quality: 1}\n")
    book = RecipeBook(inbox, named=named)
    recipe = book.for_folder(ROOT).recipe
    assert (recipe.ascent.lr, recipe.seed, recipe.output.quality) == (5, 2, 1)
    assert recipe.schedule.name == "article"
    assert book.for_name("second").recipe.seed == 2
    assert book.names() == {
        **{name: f"preset {name}" for name in preset_names()},
        "first": named / "first.yaml",
        "second": named / "second.yaml",
    }


def test_recipes_that_extend_one_another_in_a_circle_are_refused(inbox, tmp_path):
    named = tmp_path / "recipes"
    write(named, "extends: b\n", "a.yaml")
    write(named, "seed: 1\nextends: a\n", "b.yaml")
    write(named, "extends: self\n", "self.yaml")
    write(inbox, "extends: a\n")
    book = RecipeBook(inbox, named=named)
    assert refusal_in(book) == f"{named / 'b.yaml'}:2: extends: goes round in a circle: a → b → a"
    write(inbox, "extends: self\n")
    assert refusal_in(book) == f"{named / 'self.yaml'}:1: extends: goes round in a circle: self → self"


def test_an_unknown_name_to_extend_is_refused_with_the_nearest(inbox, tmp_path):
    named = tmp_path / "recipes"
    write(named, "seed: 1\n", "stormy.yaml")
    book = RecipeBook(inbox, named=named)
    file = write(inbox, "seed: 1\nextends: stromy\n")
    assert refusal_in(book) == f"{file}:2: extends: no preset or named recipe 'stromy'; did you mean stormy?"
    write(inbox, "extends: artcle\n")
    assert refusal_in(book) == f"{file}:1: extends: no preset or named recipe 'artcle'; did you mean article?"
    write(inbox, "extends: [article]\n")
    assert refusal_in(book) == f"{file}:1: extends: must be the name of a preset or of a named recipe"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "x" * 300, '"\\0"', ".", "..", "''"])
def test_a_name_to_extend_is_no_way_out_of_the_folder_of_recipes(inbox, tmp_path, name):
    write(tmp_path, "seed: 1\n", "secret.yaml")
    write(tmp_path / "recipes", "seed: 1\n", "mine.yaml")
    write(inbox, f"extends: {name}\n")
    assert "extends: no preset or named recipe" in refusal_in(RecipeBook(inbox, named=tmp_path / "recipes"))


def test_a_named_recipe_cannot_take_the_name_of_a_preset(inbox, tmp_path):
    file = write(tmp_path / "recipes", "seed: 1\n", "classic.yaml")
    write(inbox, "extends: classic\n")
    book = RecipeBook(inbox, named=tmp_path / "recipes")
    assert refusal_in(book) == f"{file}: has the name of a preset; give it another"


def test_a_broken_named_recipe_is_named_itself(inbox, tmp_path):
    file = write(tmp_path / "recipes", "ascent:\n  iterations: 0\n", "mine.yaml")
    write(inbox, "extends: mine\n")
    book = RecipeBook(inbox, named=tmp_path / "recipes")
    assert refusal_in(book) == f"{file}:2: ascent.iterations: must be at least 1, not 0"


# Weights


def test_a_path_to_weights_is_relative_to_the_file_that_says_it(inbox, tmp_path):
    write(inbox, "backbone: {name: vgg19, weights: my/net.pth}\n")
    write(inbox / "a", "seed: 3\n")
    write(tmp_path / "recipes", "backbone: {weights: ../net.pth}\n", "mine.yaml")
    book = RecipeBook(inbox, named=tmp_path / "recipes")
    assert book.for_folder(PurePosixPath("a")).recipe.backbone.weights == str(inbox / "my/net.pth")
    assert book.for_name("mine").recipe.backbone.weights == str(tmp_path / "recipes/../net.pth")
    file = write(tmp_path / "other", "backbone: {weights: /abs/net.pth}\n")
    assert book.for_file(file).recipe.backbone.weights == "/abs/net.pth"


def test_a_path_to_weights_may_begin_with_the_home_folder(inbox, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(inbox, "backbone: {weights: ~/net.pth}\n")
    assert RecipeBook(inbox).for_folder(ROOT).recipe.backbone.weights == str(tmp_path / "net.pth")
    write(inbox, "backbone: {weights: ~nobody-of-that-name/net.pth}\n")
    unknown = RecipeBook(inbox).for_folder(ROOT).recipe.backbone.weights
    assert unknown == str(inbox / "~nobody-of-that-name/net.pth")


@pytest.mark.parametrize("word", ["default", "random"])
def test_the_words_for_weights_are_no_paths(inbox, word):
    write(inbox, f"backbone: {{weights: {word}}}\n")
    assert RecipeBook(inbox).for_folder(ROOT).recipe.backbone.weights == word


# Files in an inbox


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "a pipe"), (os.mkdir, "a folder")])
def test_what_bears_a_recipes_name_and_is_no_file_is_refused_at_once_and_forgotten_when_it_is_gone(inbox, make, kind):
    file = inbox / "recipe.yaml"
    book = RecipeBook(inbox)
    make(file)
    assert refusal_in(book) == f"{file}: is {kind}, and no file; remove it"
    file.rmdir() if file.is_dir() else file.unlink()
    assert book.for_folder(ROOT).recipe == Recipe()
    file.write_text("seed: 3\n")
    assert book.for_folder(ROOT).recipe.seed == 3


@pytest.mark.timeout(10)
@pytest.mark.parametrize("target", ["/dev/zero", "../secret", "nowhere", "recipe.yaml"])
def test_a_symlink_as_recipe_in_an_inbox_is_refused_at_once(inbox, target):
    write(inbox.parent, "seed: 3\n", "secret")
    (inbox / "recipe.yaml").symlink_to(target)
    message = refusal_in(RecipeBook(inbox))
    assert message.startswith(f"{inbox / 'recipe.yaml'}: is a symbolic link, which is not followed in an inbox")


def test_a_symlink_on_the_way_to_a_recipe_is_not_followed_and_forgotten_when_it_is_gone(inbox, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    secret = write(tmp_path / "elsewhere", "password: hunter2\n")
    (inbox / "sub").symlink_to(tmp_path / "elsewhere")
    book = RecipeBook(inbox)
    with pytest.raises(RecipeError) as caught:
        book.for_folder(PurePosixPath("sub"))
    assert str(caught.value).startswith(f"{inbox / 'sub' / 'recipe.yaml'}: cannot be read: ")
    assert "password" not in str(caught.value)
    (inbox / "sub").unlink()
    (inbox / "sub").mkdir()
    secret.rename(inbox / "sub" / "recipe.yaml").write_text("seed: 3\n")
    assert book.for_folder(PurePosixPath("sub")).recipe.seed == 3


def test_weights_in_a_folder_whose_name_is_no_utf_8_are_refused_in_clear_words(tmp_path):
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/no-utf-8-\xff"))
    folder.mkdir()
    write(folder, "backbone: {name: vgg19, weights: w.pth}\n")
    with pytest.raises(
        RecipeError, match=r"recipe.yaml:1: backbone.weights: must be text in UTF-8, as are all the names"
    ):
        RecipeBook(folder).for_folder(ROOT)


def test_a_named_recipe_may_be_a_symlink(inbox, tmp_path):
    write(tmp_path, "seed: 3\n", "real")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").symlink_to("../real")
    assert RecipeBook(inbox, named=tmp_path / "recipes").for_name("mine").recipe.seed == 3


def test_both_names_of_a_recipe_file_are_read_but_not_beside_one_another(inbox):
    write(inbox, "seed: 3\n", "recipe.yml")
    book = RecipeBook(inbox)
    assert book.for_folder(ROOT).recipe.seed == 3
    file = write(inbox, "seed: 4\n")
    assert refusal_in(book) == f"{file}: stands beside recipe.yml; keep one of them"
    (inbox / "recipe.yml").unlink()
    assert book.for_folder(ROOT).recipe.seed == 4


def test_a_folder_without_a_recipe_or_that_is_no_folder_has_none(inbox):
    file = write(inbox, "", "cat.jpg")
    assert recipe_file(inbox) is None
    assert recipe_file(inbox / "nowhere") is None
    assert recipe_file(file) is None


def test_a_folder_that_cannot_be_looked_into_is_said(inbox):
    with pytest.raises(RecipeError, match="cannot be read: File name too long"):
        recipe_file(inbox / ("x" * 300))


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(inbox):
    file = write(inbox, "seed: 3\n")
    book = RecipeBook(inbox)
    first = book.for_folder(ROOT)
    assert book.for_folder(ROOT) is first
    status = file.stat()
    file.write_text("seed: 4\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if it had not changed
    assert book.for_folder(ROOT) is first
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert book.for_folder(ROOT).recipe.seed == 4


def test_a_broken_file_is_not_read_again_for_each_picture_either(inbox):
    file = write(inbox, "seed: [\n")
    book = RecipeBook(inbox)
    message = refusal_in(book)
    status = file.stat()
    file.write_text("seed: 1\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if it had not changed
    assert refusal_in(book) == message
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert book.for_folder(ROOT).recipe.seed == 1


def test_a_file_that_could_not_be_opened_is_tried_again(inbox):
    write(inbox, "seed: 1\n")
    book = RecipeBook(inbox)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        message = refusal_in(book)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert message == f"{inbox / 'recipe.yaml'}: cannot be read: Too many open files"
    assert book.for_folder(ROOT).recipe.seed == 1


def test_a_file_replaced_by_another_of_the_same_age_and_size_is_read_again(inbox):
    file = write(inbox, "seed: 3\n")
    book = RecipeBook(inbox)
    assert book.for_folder(ROOT).recipe.seed == 3
    status = file.stat()
    new = write(inbox, "seed: 4\n", "new")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(file)
    assert book.for_folder(ROOT).recipe.seed == 4


def test_a_recipe_that_comes_or_goes_counts_from_then_on(inbox, tmp_path):
    book = RecipeBook(inbox, named=tmp_path / "recipes")
    folder = PurePosixPath("a")
    assert book.for_folder(folder).recipe.seed == 0
    write(tmp_path / "recipes", "seed: 5\n", "mine.yaml")
    file = write(inbox / "a", "extends: mine\n")
    assert book.for_folder(folder).recipe.seed == 5
    write(tmp_path / "recipes", "seed: 66\n", "mine.yaml")
    assert book.for_folder(folder).recipe.seed == 66
    file.unlink()
    assert book.for_folder(folder).recipe.seed == 0


# Sidecars


def sidecar_text(recipe: Recipe, **fields: Any) -> str:
    values: dict[str, Any] = {
        "job": "01h",
        "picture": "kätzchen 😀 \u2028.jpg",
        "input_sha256": "0" * 64,
        "seed": 4,
        "size": (3, 4),
        "recipe": recipe.model_dump(mode="json"),
        "versions": {"dreamd": "1"},
        "weights_sha256": None,
        "device": "cpu",
        "precision": "bf16",
        "tiling": None,
        "seconds": 1.5e-5,
        "loss_before": 1.0,
        "loss_after": 2e10,
    }
    return Sidecar(**{**values, **fields}).model_dump_json(indent=1)


def test_a_sidecar_is_a_recipe_with_the_precision_that_was_used(tmp_path):
    recipe = resolved("extends: article\nbackbone: {weights: /w.pth}\nlayers: [3, {name: a, channels: [1]}]\nseed: 4\n")
    file = write(tmp_path, sidecar_text(recipe), "out.png.json")
    again = RecipeBook(None).for_file(file).recipe
    assert again == recipe.model_copy(update={"precision": "bf16"})


@pytest.mark.parametrize("wanted", ["auto", "fp32"])
def test_a_sidecar_asks_again_for_what_came_to_fp32(tmp_path, wanted):
    recipe = resolved(f"precision: {wanted}\n")
    file = write(tmp_path, sidecar_text(recipe, precision="fp32"), "out.png.json")
    assert RecipeBook(None).for_file(file).recipe.precision == wanted


def test_a_sidecar_that_python_wrote_with_escapes_is_read_too(tmp_path):
    text = json.dumps(json.loads(sidecar_text(resolved("output: {name: '😀{stem}'}\n"))))
    assert "\\ud83d" in text
    file = write(tmp_path, text, "out.png.json")
    assert RecipeBook(None).for_file(file).recipe.output.name == "😀{stem}"


def test_a_wrong_field_in_a_sidecar_is_shown_with_its_line(tmp_path):
    text = sidecar_text(Recipe()).replace('"iterations": 10', '"iterations": 0')
    file = write(tmp_path, text, "out.png.json")
    line = next(number for number, row in enumerate(text.splitlines(), 1) if '"iterations"' in row)
    with pytest.raises(RecipeError) as caught:
        RecipeBook(None).for_file(file)
    assert str(caught.value) == f"{file}:{line}: ascent.iterations: must be at least 1, not 0"


# Drafts


def test_a_draft_counts_as_the_folders_own_file_over_what_it_inherits(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "recipe.yaml").write_text("seed: 1\nascent: {lr: 0.5}\n")
    (tmp_path / "a" / "recipe.yaml").write_text("seed: 2\n")
    book = RecipeBook(tmp_path, defaults=document("backbone: vgg16\n"))
    resolved = book.for_draft(PurePosixPath("a"), "extends: classic\nascent: {iterations: 3}\n")
    assert (resolved.recipe.seed, resolved.recipe.ascent.iterations, resolved.recipe.backbone.name) == (1, 3, "vgg16")
    assert str(resolved.origins["ascent", "iterations"]) == f"{tmp_path}/a/recipe.yaml:2"
    assert book.for_folder(PurePosixPath("a")).recipe.seed == 2
    assert book.for_draft(PurePosixPath("new/deep"), "").recipe.seed == 1


def test_a_wrong_draft_is_refused_in_the_words_of_a_wrong_file(tmp_path):
    with pytest.raises(RecipeError, match=r"new/recipe\.yaml:2: sed: is not a field; did you mean seed\?"):
        RecipeBook(tmp_path).for_draft(PurePosixPath("new"), "seed: 1\nsed: 2\n")
    with pytest.raises(RecipeError, match="larger than 64 KB"):
        RecipeBook(tmp_path).for_draft(PurePosixPath("new"), "#" * 70_000)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_dreams_the_same_below_a_folder_that_dreams_another_way(name, inbox):
    chain = "".join(f"{field}: [other]\n" for field in STEPS)
    chain += "stages: [{layers: other}]\nsequence: [{}, {layers: other}]\n"
    write(inbox, f"{chain}loss: other\nschedule: other\nascent: {{optimizer: other, lr_end: 3, momentum: 1}}\n")
    write(inbox / "a", f"extends: {name}\n")
    below = RecipeBook(inbox).for_folder(PurePosixPath("a")).recipe
    assert below == resolve(RecipeBook(None).documents_of_name(name)).recipe
