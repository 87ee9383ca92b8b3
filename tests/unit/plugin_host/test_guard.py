"""Guards: what goes wrong in a plugin's function is told in its name, and nobody else's error is."""

from __future__ import annotations

import errno
import inspect
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dreamd.api import summed
from dreamd.engine.objectives.objective import sums_of
from dreamd.errors import PictureError, PluginError
from dreamd.plugin_host.calling.guard import guarded
from dreamd.plugin_host.calling.results import (
    eight_bit_colours,
    like_the_gradient,
    looking_for_nan,
    one_value_a_picture,
    pictures_like_the_first,
)

LABEL = "loss 'mine' of plugin 'yours'"


def mean(activation: Tensor, *, power: float = 1.0) -> Tensor:
    return activation.pow(power).flatten(1).mean(1)


def fails(*_: object) -> Tensor:
    raise ValueError("too dark\nand more")


# Errors


def test_an_error_names_the_plugin_its_first_line_and_its_place() -> None:
    with pytest.raises(PluginError) as caught:
        guarded(fails, LABEL)(torch.ones(1))
    line = inspect.getsourcelines(fails)[1] + 1
    assert str(caught.value) == f"{LABEL}: ValueError: too dark (test_guard.py:{line})"
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_error_deep_in_torch_names_the_line_of_the_plugin() -> None:
    def confused(activation: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(activation, torch.ones(1))

    line = inspect.getsourcelines(confused)[1] + 1
    with pytest.raises(PluginError, match=rf"RuntimeError: .*\(test_guard\.py:{line}\)$"):
        guarded(confused, LABEL)(torch.ones(1))


@pytest.mark.parametrize(
    "error",
    [PictureError("broken"), MemoryError(), RuntimeError("CUDA error: gone"), OSError(errno.EIO, "disk"),
     RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), torch.OutOfMemoryError("full"),
     KeyboardInterrupt()],
)  # fmt: skip
def test_the_machines_and_dreamds_own_errors_are_not_held_against_a_plugin(error: BaseException) -> None:
    def raises() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        guarded(raises, LABEL)()
    assert caught.value is error


def test_a_plugin_that_exits_does_not_end_the_process() -> None:
    def leaves() -> None:
        raise SystemExit("enough")

    with pytest.raises(PluginError, match="SystemExit: enough"):
        guarded(leaves, LABEL)()


def test_a_guarded_function_keeps_its_signature_and_its_sums() -> None:
    @summed(part=lambda activation, *, power: activation.pow(power).flatten(1).sum(1), finish=fails)
    def loss(activation: Tensor, *, power: float = 2.0) -> Tensor:
        return mean(activation, power=power)

    call = guarded(loss, LABEL)
    assert inspect.signature(call) == inspect.signature(loss)
    sums = sums_of(call)
    assert sums is not None
    assert sums.part(torch.full((1, 1, 2, 2), 3.0), power=2.0).tolist() == [36.0]
    with pytest.raises(PluginError, match=f"{LABEL}: ValueError: too dark"):
        sums.finish(torch.ones(1))


# Results


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (torch.ones(2, 2), "a tensor of shape [2, 2] (float32)"),
        (torch.tensor(1.0), "a tensor of shape [] (float32)"),
        (None, "a NoneType"),
        (3.0, "a float"),
    ],
)
def test_a_loss_must_give_one_value_a_picture(result: object, words: str) -> None:
    call = guarded(lambda activation: result, LABEL, one_value_a_picture)
    with pytest.raises(PluginError) as caught:
        call(torch.ones(2, 3, 4, 4))
    assert str(caught.value) == (
        f"{LABEL} returned {words} for an activation of shape [2, 3, 4, 4]; it must return one value a picture, [2]"
    )


@pytest.mark.parametrize("result", [torch.ones(1, 3, 4, 5), torch.ones(1, 3, 4, 4).double(), None])
def test_a_gradient_step_must_keep_shape_and_dtype(result: object) -> None:
    call = guarded(lambda gradient: result, LABEL, like_the_gradient)
    with pytest.raises(PluginError, match=r"for a tensor of shape \[1, 3, 4, 4\] \(float32\); it must return the like"):
        call(torch.ones(1, 3, 4, 4))


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (lambda image: None, "returned a NoneType; it must yield pictures"),
        (lambda image: [], "gave nothing for pictures of shape [1, 3, 4, 4]"),
        (lambda image: [image[:, :, :2]], "gave a tensor of shape [1, 3, 2, 4] (float32) for pictures of shape"),
        (lambda image: ["picture"], "gave a str for pictures of shape"),
    ],
)
def test_a_schedules_last_picture_must_be_as_large_as_the_first(schedule: object, words: str) -> None:
    with pytest.raises(PluginError) as caught:
        list(guarded(schedule, LABEL, pictures_like_the_first)(torch.ones(1, 3, 4, 4)))  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_a_schedule_that_raises_half_way_is_named_with_its_line() -> None:
    def breaks(image: Tensor) -> Iterator[Tensor]:
        yield image
        raise ValueError("half way")

    frames = guarded(breaks, LABEL, pictures_like_the_first)(torch.ones(1, 3, 4, 4))
    next(frames)
    line = inspect.getsourcelines(breaks)[1] + 2
    with pytest.raises(PluginError, match=rf"{LABEL}: ValueError: half way \(test_guard\.py:{line}\)"):
        next(frames)


def test_what_the_engine_raises_in_an_ascent_is_not_held_against_the_schedule() -> None:
    code = compile("def ascend(image):\n    raise RuntimeError('of the engine')\n", "ascent.py", "exec")
    engine: dict[str, object] = {"__name__": "dreamd.engine.ascents.ascent"}
    exec(code, engine)

    def schedule(image: Tensor) -> Iterator[Tensor]:
        yield engine["ascend"](image)  # type: ignore[operator]

    with pytest.raises(RuntimeError, match="of the engine"):
        list(guarded(schedule, LABEL, pictures_like_the_first)(torch.ones(1, 3, 4, 4)))


@pytest.mark.parametrize(
    "pixels",
    [torch.ones(4, 4), torch.ones(4, 4, 3), torch.ones(4, 4, 2, dtype=torch.uint8), torch.ones(0, 4, 3).byte(), "png"],
)
def test_a_decoder_must_give_eight_bit_colours(pixels: object) -> None:
    with pytest.raises(PluginError, match="it must return 8-bit pixels"):
        guarded(lambda file, check: pixels, LABEL, eight_bit_colours)(None, None)


# Not-a-numbers


def test_not_a_numbers_are_looked_for_only_when_asked() -> None:
    call = guarded(lambda activation: activation.flatten(1).sum(1) / 0, LABEL, one_value_a_picture)
    assert call(torch.ones(1, 2, 2, 2)).isinf().all()
    with looking_for_nan(), pytest.raises(PluginError, match=f"{LABEL} is not-a-number or infinite"):
        call(torch.ones(1, 2, 2, 2))
    assert call(torch.ones(1, 2, 2, 2)).isinf().all()


def test_an_infinite_slope_of_a_finite_loss_is_found() -> None:
    call = guarded(lambda activation: activation.flatten(1).sum(1).sqrt(), LABEL, one_value_a_picture)
    activation = torch.zeros(1, 2, 2, 2, requires_grad=True)
    with looking_for_nan(), pytest.raises(PluginError, match=f"the gradient of {LABEL} is not-a-number or infinite"):
        call(activation * 1).sum().backward()


def test_who_passes_a_not_a_number_on_is_not_blamed_for_it() -> None:
    with looking_for_nan():
        guarded(mean, LABEL, one_value_a_picture)(torch.full((1, 1, 2, 2), torch.nan))
        guarded(torch.neg, LABEL, like_the_gradient)(torch.full((1, 3, 2, 2), torch.inf))
