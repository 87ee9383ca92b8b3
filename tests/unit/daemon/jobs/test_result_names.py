"""What a result is called, by the recipe of its job."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

from dreamd.daemon.jobs.recipes import result_stem
from dreamd.job import Job
from dreamd.settings.recipes.recipe import Recipe


@pytest.mark.parametrize(
    ("fields", "stem"),
    [
        ({}, "cat-vgg19-l2-octaves"),
        ({"backbone": "timm/x", "schedule": "single"}, "cat-timm-x-l2-single"),
        ({"stages": [{"loss": "l1"}, {"loss": "mean"}, {"loss": "l1"}]}, "cat-vgg19-l1+mean-octaves"),
        (
            {"sequence": [{"backbone": "a"}, {"backbone": "b", "stages": [{"loss": "max"}]}, {"backbone": "a"}]},
            "cat-a+b-l2+max-octaves",
        ),
    ],
)
def test_a_result_is_named_after_all_that_its_recipe_names(fields: dict[str, Any], stem: str) -> None:
    recipe = Recipe.model_validate({**fields, "output": {"name": "{stem}-{backbone}-{loss}-{schedule}"}})
    assert result_stem(Job(id="1", folder=PurePosixPath(), name="cat.jpg", recipe=recipe.to_json())) == stem
