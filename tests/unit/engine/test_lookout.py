"""What a lookout shows, whatever the network does with it afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dreamd.engine.network.lookout import Lookout, Sight, is_activation
from dreamd.errors import UsageError


class Residual(nn.Module):
    """A block as ResNets have it: one activation module that runs twice, and a sum in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.relu(self.conv1(x)))
        out += x
        result: Tensor = self.relu(out)
        return result


class FusedNorm(nn.BatchNorm2d):
    """A batch norm with an activation in it, as timm has it."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__(3)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.act(super().forward(x))
        return result


def seen(network: nn.Module, *sights: Sight | str) -> list[Tensor]:
    lookout = Lookout(network.eval(), sights)
    try:
        with torch.no_grad():
            return lookout(picture())
    finally:
        lookout.close()


def picture() -> Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("inplace", [False, True])
def test_before_an_activation_is_what_goes_into_it(inplace: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(inplace=inplace), nn.Conv2d(3, 3, 3))
    before, after, deeper = seen(network, Sight("1", "before_activation"), "1", "2")
    assert torch.equal(before, network[0](picture()))
    assert torch.equal(after, before.relu())
    assert torch.equal(deeper, network(picture()))


def test_what_is_written_over_afterwards_is_shown_as_it_was() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 3))
    convolved, _deeper = seen(network, "0", "2")
    assert torch.equal(convolved, network[0](picture()))
    assert convolved.min() < 0


def test_what_nobody_writes_over_is_not_copied() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3))
    made: list[Tensor] = []
    network[0].register_forward_hook(lambda _module, _inputs, output: made.append(output))
    convolved, _deeper = seen(network, "0", "2")
    assert len(made) == 1
    assert convolved is made[0]


@pytest.mark.parametrize("act", [nn.ReLU6(inplace=True), nn.SiLU(), nn.GELU()])
def test_before_the_activation_of_a_fused_norm_is_the_norm(act: nn.Module) -> None:
    norm = FusedNorm(act)
    norm.running_mean = torch.tensor([0.5, -0.5, 0.1])
    before, after = seen(nn.Sequential(norm), Sight("0", "before_activation"), "0")
    assert torch.allclose(before, nn.BatchNorm2d.forward(norm, picture()))
    assert torch.equal(after, act(before.clone()))


def test_before_the_activation_of_a_block_is_the_sum_that_goes_into_its_last() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Residual(), nn.Conv2d(3, 3, 1))
    before, after = seen(network, Sight("0", "before_activation"), "0")
    assert before.min() < 0
    assert torch.equal(before.relu(), after)


def test_nothing_is_before_an_activation_that_is_not_there() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 3)))
    with pytest.raises(UsageError, match="no activation function at the end of module '0'"):
        seen(network, Sight("0", "before_activation"))
    with pytest.raises(UsageError, match="no activation function at the end of module '1'"):
        seen(network, Sight("1", "before_activation"))


def test_an_input_is_what_a_module_is_given() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(1))
    (given,) = seen(network, Sight("1", "input"))
    assert torch.equal(given, network[0](picture()))


def test_a_lookout_leaves_no_hooks_and_keeps_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(inplace=True))
    lookout = Lookout(network, [Sight("1", "before_activation"), "0"])
    lookout(picture())
    assert not lookout._seen
    assert not lookout._inputs
    lookout.close()
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_activation_functions_are_told_from_what_is_none() -> None:
    class Swish(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.sigmoid()

    functions = [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.ReLU6(),
        nn.PReLU(),
        nn.Tanh(),
        nn.Hardswish(),
        nn.GELU(),
        Swish(),
    ]
    others = [nn.Identity(), nn.Dropout(), nn.Flatten(), nn.Softmax(1), nn.BatchNorm2d(3), nn.MaxPool2d(3),
              nn.LocalResponseNorm(5), nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1),
              nn.Sequential(nn.ReLU())]  # fmt: skip
    assert all(is_activation(function.eval()) for function in functions)
    assert not any(is_activation(other.eval()) for other in others)


@pytest.mark.parametrize("handed_in", [False, True])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_gradient_may_come_in_any_order_of_memory(order: torch.memory_format, handed_in: bool) -> None:
    """torch's batch norm alone takes a wrong one of a single picture, as a loss of cells leaves it."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6)
    network = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), norm).eval().to(memory_format=order)
    weights = torch.rand(1, 64, 6)
    lookout = Lookout(network, ["1"])
    x = picture().to(memory_format=order).requires_grad_()
    (activation,) = lookout(x)
    lookout.close()
    if handed_in:  # as tiles do
        (gradient,) = torch.autograd.grad(activation, x, weights.transpose(1, 2).view(1, 6, 8, 8))
    else:
        (gradient,) = torch.autograd.grad((activation.flatten(2).transpose(1, 2) * weights).sum(), x)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt() if norm.running_var is not None else norm.weight
    by_hand = weights.transpose(1, 2).reshape(1, 6, 8, 8) * scale.view(1, 6, 1, 1)
    convolution = network[0]
    assert isinstance(convolution, nn.Conv2d)
    expected = nn.functional.conv_transpose2d(by_hand, convolution.weight, padding=1)
    torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=0)
