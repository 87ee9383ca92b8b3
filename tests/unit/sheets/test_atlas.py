"""Which layers stand for a network, and which channels are meant."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from dreamd.engine.network.backbone import Backbone
from dreamd.errors import UsageError
from dreamd.settings.yamlfile import Document
from dreamd.sheets.atlas import choose_layers, parse_channels, plan_layers


class Block(nn.Module):
    """A block whose output is not that of its last module."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.second = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


def network(blocks: int) -> Backbone:
    stages = nn.Sequential(nn.Sequential(*(Block() for _ in range(blocks))), nn.Sequential(Block(), nn.Dropout()))
    modules = {"stem": nn.Conv2d(3, 3, 1), "stages": stages, "pool": nn.AdaptiveAvgPool2d(1)}
    whole = nn.Sequential()
    for name, module in modules.items():
        whole.add_module(name, module)
    return Backbone(network=whole).frozen()


def test_a_small_network_is_shown_whole_but_for_what_gives_the_same_twice() -> None:
    assert choose_layers(network(2)) == [
        "stem",
        "stages.0.0.first", "stages.0.0.second", "stages.0.0", "stages.0.1.first", "stages.0.1.second", "stages.0.1",
        "stages.1.0.first", "stages.1.0.second", "stages.1.0",
        "pool",
    ]  # fmt: skip


def test_a_large_network_is_shown_by_the_outputs_of_its_blocks() -> None:
    blocks = [f"stages.0.{number}" for number in range(30)]
    assert choose_layers(network(30)) == ["stem", *blocks, "stages.1.0", "pool"]


def test_a_very_large_network_is_shown_by_its_stages() -> None:
    assert choose_layers(network(90)) == ["stem", "stages.0", "stages.1", "pool"]


class NormWithActivation(nn.BatchNorm2d):
    """A batch norm that ends with an activation of its own, as timm's do."""

    def __init__(self) -> None:
        super().__init__(3)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.act(super().forward(x))
        return activated


def test_a_norm_with_an_activation_of_its_own_is_shown_once() -> None:
    whole = nn.Sequential(nn.Conv2d(3, 3, 1), NormWithActivation(), nn.Conv2d(3, 3, 1))
    backbone = Backbone(network=whole).frozen()
    assert "1.act" in (backbone.layers or {})
    assert choose_layers(backbone) == ["0", "1", "2"]


def test_a_layer_of_one_cell_is_left_out_and_says_so() -> None:
    base = [Document("test", {"backbone": "tiny"})]
    plan = plan_layers(base, "tiny", network(1), every=False)
    *others, pool = plan.cells
    assert all(cell.recipe is not None for cell in others)
    assert (pool.values, pool.recipe, pool.note) == (("pool",), None, "3 x 1 x 1: has no place in the picture")


@pytest.mark.parametrize(
    ("text", "channels"), [("0-3", [0, 1, 2, 3]), ("7", [7]), ("3, 1,2-4", [3, 1, 2, 4]), ("9-9", [9])]
)
def test_channels_are_numbers_and_ranges(text: str, channels: list[int]) -> None:
    assert parse_channels(text, 10) == channels


def test_channels_of_classes_are_labels_too() -> None:
    labels = ["tench, Tinca tinca", "peacock", "sea anemone"]
    assert parse_channels("Sea_anemone,0", 3, labels) == [2, 0]
    with pytest.raises(UsageError, match=r"did you mean peacock\?"):
        parse_channels("peacok", 3, labels)


@pytest.mark.parametrize("text", ["", "a", "1,", "-3", "0-10", "10", "5-2", "1..4"])
def test_channels_that_there_are_not_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_channels(text, 10)


def test_every_layer_of_an_atlas_is_looked_at_whatever_the_recipes_stages_look_at() -> None:
    base = [Document("recipe.yaml", {"stages": [{"layers": "stem"}, {"layers": "pool"}]})]
    cells = plan_layers(base, "net", network(2), every=False).cells
    recipes = [cell.recipe.recipe for cell in cells if cell.recipe is not None]
    assert len({recipe.to_json() for recipe in recipes}) == len(recipes) > 3
    assert all(recipe.stages == () for recipe in recipes)
