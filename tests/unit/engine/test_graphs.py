"""What a processor can show of CUDA graphs: what is kept, for what, how long, and what happens where none can be."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term, WholeGradient
from dreamd.engine.objectives.references import Reference, Referring
from dreamd.engine.objectives.targets import Choice
from dreamd.engine.speed.card.graphs import Compute, GraphedGradient, Graphs, Inputs
from dreamd.errors import PluginError


class Tape:
    """Records like a GPU: the operations alone, and what they return is overwritten at each replay."""

    def __init__(self) -> None:
        self.recorded: list[list[int]] = []
        self.replays = 0

    def __call__(self, compute: Compute, inputs: Inputs) -> Compute:
        operations = make_fx(compute)(*inputs)
        self.recorded.append(list(inputs[0].shape))
        gradient = torch.empty_like(inputs[0])

        def replay(*fresh_inputs: Tensor) -> tuple[Tensor, Tensor]:
            self.replays += 1
            fresh, loss = operations(*fresh_inputs)
            return gradient.copy_(fresh), loss

        return replay


def l2(activation: Tensor) -> Tensor:
    norms: Tensor = activation.flatten(1).norm(dim=1)
    return norms


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))


def picture(height: int = 24, width: int = 20, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


SIZE = (8 << 20) + 20_000
"""The bytes that a recording of a picture is reckoned with."""


def taken(
    net: nn.Module, graphs: Graphs | None, x: Tensor, layer: str = "2", weight: float = 1.0, way: str = ""
) -> tuple[Tensor, Tensor]:
    """The gradient and the loss, as one dream after another takes them."""
    with WholeGradient(net, Objective((Term(layer, l2, weight),))) as whole:
        gradient, loss = (whole if graphs is None else GraphedGradient(whole, graphs, way))(x)
        return gradient.clone(), loss


def assert_plain(taken_from_graphs: tuple[Tensor, Tensor], net: nn.Module, x: Tensor) -> None:
    gradient, loss = taken(net, None, x)
    torch.testing.assert_close(taken_from_graphs[0], gradient)
    torch.testing.assert_close(taken_from_graphs[1], loss)


def test_a_shape_is_recorded_once_and_replayed_in_every_dream() -> None:
    tape, net = Tape(), network()
    graphs = Graphs(tape)
    for seed in range(3):
        assert_plain(taken(net, graphs, picture(seed=seed)), net, picture(seed=seed))
    assert tape.recorded == [[1, 3, 24, 20]]
    assert tape.replays == 3 + 1  # one is compared


def test_everything_that_decides_over_the_gradient_has_a_recording_of_its_own() -> None:
    tape, net, other = Tape(), network(), network(1)
    graphs, x = Graphs(tape), picture()
    takes: list[Callable[[], object]] = [
        lambda: taken(net, graphs, x),
        lambda: taken(net, graphs, picture(20, 24)),
        lambda: taken(net, graphs, x.repeat(2, 1, 1, 1)),
        lambda: taken(net, graphs, x.contiguous(memory_format=torch.channels_last)),
        lambda: taken(net, graphs, x, layer="0"),
        lambda: taken(net, graphs, x, weight=2.0),
        lambda: taken(net, graphs, x, way="bf16"),
        lambda: taken(other, graphs, x),
    ]
    for take in [*takes, *takes]:
        take()
    assert len(tape.recorded) == len(takes)
    assert tape.replays == 3 * len(takes)  # one of each is compared


def test_a_recording_is_of_the_channels_that_were_chosen_last_and_of_one_choice() -> None:
    tape, net, x = Tape(), network(), picture()
    graphs = Graphs(tape)
    for choice in (Choice("strongest", 1), Choice("strongest", 1)):
        objective = Objective((Term("2", l2, channels=choice),))
        with WholeGradient(net, objective) as whole:
            recorded = GraphedGradient(whole, graphs, "")
            for strongest in (1, 3):
                choice.choose(torch.eye(4)[strongest : strongest + 1], (0,))
                torch.testing.assert_close(recorded(x), whole(x))
    assert len(tape.recorded) == 2


def likeness(activation: Tensor, *, picture: Tensor) -> Tensor:
    return (activation * picture).flatten(1).sum(1)


@pytest.mark.parametrize("reference", [Reference(picture(), "guide"), Reference()], ids=["a guide", "the original"])
def test_a_recording_compares_with_what_was_seen_last(reference: Reference) -> None:
    tape, net, x = Tape(), network(), picture()
    objective = Objective((Term("2", Referring(likeness, {"picture": reference})),))
    with WholeGradient(net, objective) as whole:
        recorded = GraphedGradient(whole, Graphs(tape), "")
        for seed in (1, 2):
            reference.value = torch.rand(1, 4, 24, 20, generator=torch.Generator().manual_seed(seed))
            torch.testing.assert_close(recorded(x), whole(x))
            assert reference.value.shape == (1, 4, 24, 20)
        reference.value = torch.rand(1, 4, 1, 20)
        torch.testing.assert_close(recorded(x), whole(x))
    assert tape.recorded == [[1, 3, 24, 20]] * 2  # one for each size of what is compared with
    assert tape.replays == 3 + 2


def test_a_gradient_whose_comparison_nobody_has_seen_is_not_recorded() -> None:
    tape, x = Tape(), picture()
    objective = Objective((Term("2", Referring(likeness, {"picture": Reference(x, "guide")})),))
    with WholeGradient(network(), objective) as whole:
        torch.testing.assert_close(GraphedGradient(whole, Graphs(tape), "")(x), whole(x))
    assert tape.recorded == []


def test_a_network_that_is_gone_lends_its_recording_to_no_other() -> None:
    tape = Tape()
    graphs = Graphs(tape)
    for seed in range(3):
        net = network(seed)
        assert_plain(taken(net, graphs, picture()), net, picture())
        del net
        gc.collect()
    assert len(tape.recorded) == 3


def test_recordings_keep_no_network() -> None:
    net = network()
    graphs, gone = Graphs(Tape()), weakref.ref(net)
    taken(net, graphs, picture())
    del net
    gc.collect()
    assert gone() is None


def test_the_least_recently_used_recording_goes_first() -> None:
    tape, net = Tape(), network()
    graphs = Graphs(tape, budget=2 * SIZE)
    for height in (24, 25, 24, 26, 24, 25):
        taken(net, graphs, picture(height))
        assert len(graphs) <= 2
    assert [shape[2] for shape in tape.recorded] == [24, 25, 26, 25]


def test_pictures_of_many_sizes_are_recorded_once_each() -> None:
    tape, net = Tape(), network()
    graphs = Graphs(tape)
    for _ in range(3):
        for height in range(16, 46):
            taken(net, graphs, picture(height))
    assert [shape[2] for shape in tape.recorded] == list(range(16, 46))


def test_large_pictures_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamd.engine.speed.card.graphs._MOST_PIXELS", 30 * 40)
    tape, net = Tape(), network()
    graphs = Graphs(tape)
    for x in (picture(31, 40), picture(30, 40).repeat(2, 1, 1, 1), picture(30, 40)):
        taken(net, graphs, x)
    assert tape.recorded == [[1, 3, 30, 40]]


# Where none can be


def unrecordable(compute: Compute, inputs: Inputs) -> Compute:
    compute(*inputs)
    raise RuntimeError("operation not permitted when stream is capturing")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "dreamd.engine.speed.card.graphs"]


def test_what_cannot_be_recorded_runs_as_it_is_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    net, graphs = network(), Graphs(unrecordable)
    for height in (24, 24, 30):
        assert_plain(taken(net, graphs, picture(height)), net, picture(height))
    assert said(caplog) == [
        "dreaming without a CUDA graph for [1, 3, 24, 20]: operation not permitted when stream is capturing"
    ]


def test_out_of_memory_while_recording_drops_what_is_kept_and_runs_as_it_is() -> None:
    tape = Tape()

    def hungry(compute: Compute, inputs: Inputs) -> Compute:
        if inputs[0].shape[2] == 30:
            torch.empty(1 << 50)
        return tape(compute, inputs)

    net, graphs = network(), Graphs(hungry)
    taken(net, graphs, picture(24))
    assert len(graphs) == 1
    assert_plain(taken(net, graphs, picture(30)), net, picture(30))
    assert len(graphs) == 0
    taken(net, graphs, picture(25))
    assert len(graphs) == 1  # another shape may fit


def test_a_plugins_mistake_is_told_as_such_and_not_taken_for_a_lack_of_graphs(caplog: pytest.LogCaptureFixture) -> None:
    def wrong(activation: Tensor) -> Tensor:
        one_for_all: Tensor = activation.norm()
        return one_for_all

    with (
        WholeGradient(network(), Objective((Term("2", wrong),))) as whole,
        pytest.raises(PluginError, match="one value a picture"),
    ):
        GraphedGradient(whole, Graphs(Tape()), "")(picture())
    assert said(caplog) == []


@pytest.mark.parametrize("change", [1.0, 0.01])
def test_a_loss_that_counts_its_calls_is_not_recorded(caplog: pytest.LogCaptureFixture, change: float) -> None:
    calls = 0

    def counting(activation: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return l2(activation) * (1.0 + change * calls)

    graphs = Graphs(Tape())
    with WholeGradient(network(), Objective((Term("2", counting),))) as whole:
        losses = [float(GraphedGradient(whole, graphs, "")(picture(height))[1]) for height in (24, 24, 24, 30)]
    assert losses[1] < losses[2]
    assert len(graphs) == 0
    assert len(said(caplog)) == 1
    assert "the loss depends on more than the activation" in said(caplog)[0]


def test_a_loss_that_is_no_number_is_no_reason_not_to_record() -> None:
    graphs = Graphs(Tape())
    with WholeGradient(network(), Objective((Term("2", lambda activation: l2(activation) * torch.nan),))) as whole:
        GraphedGradient(whole, graphs, "")(picture())
    assert len(graphs) == 1


# In a dream


def dreamer(graphs: Graphs | None, memory: int | None = None) -> Dreamer:
    return Dreamer(
        backbone=Backbone(network=network(), layers={"2": "2"}, default_layer="2", min_side=8).frozen(),
        objective=Objective((Term("2", l2),)),
        settings=AscentSettings(iterations=4, lr=2.0, momentum=0.5, jitter=5),
        schedule=lambda image, ascend: [ascend(ascend(image))],
        steps=(lambda gradient, progress: gradient.mul_(2),),
        memory=memory,
        graphs=graphs,
    )


@pytest.mark.parametrize("memory", [None, 8 * 10**9])
def test_a_dream_from_recordings_is_the_dream_without_them(memory: int | None) -> None:
    tape = Tape()
    images = picture(40, 50).expand(2, -1, -1, -1)
    recorded = dream(images, dreamer(Graphs(tape), memory), seeds=[1, 2])
    plain = dream(images, dreamer(None, memory), seeds=[1, 2])
    torch.testing.assert_close(recorded.images, plain.images)
    assert recorded.loss_before == pytest.approx(plain.loss_before)
    assert recorded.loss_after == pytest.approx(plain.loss_after)
    assert (tape.recorded, tape.replays) == ([[2, 3, 40, 50]], 8 + 1)


def test_recordings_that_are_made_again_and_again_do_not_keep_tiles_from_being_halved() -> None:
    """Where memory runs out beside the recordings, dropping them once is enough of a try."""

    class Always(Graphs):
        def release(self) -> bool:
            super().release()
            return True

    class Hungry(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if min(x.shape[2:]) > 150:
                torch.empty(1 << 50)
            return x

    made = dreamer(Always(Tape()), 8 * 10**9)
    assert isinstance(made.backbone.network, nn.Sequential)
    made.backbone.network.insert(1, Hungry())
    made = replace(made, objective=Objective((Term("3", l2),)))
    assert dream(picture(200, 190), made, seeds=[1]).tiling == "100 px, halo 2, halved for lack of memory"


def test_recordings_are_dropped_before_tiles_are_halved() -> None:
    full = True

    def hungry_once(activation: Tensor) -> Tensor:
        if full and activation.shape[2] == 40:
            torch.empty(1 << 50)
        return l2(activation)

    class Freed(Graphs):
        def release(self) -> bool:
            nonlocal full
            had_any, full = super().release(), False
            return had_any

    graphs = Freed(Tape())
    taken(network(), graphs, picture())
    made = dreamer(graphs, 8 * 10**9)
    made = replace(made, objective=Objective((Term("2", hungry_once),)))
    assert dream(picture(40, 50), made, seeds=[1]).tiling is None
    assert full is False
