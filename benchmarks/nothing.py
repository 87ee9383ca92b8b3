"""The plugin that costs nothing, for the benchmarks in which the daemon is all there is to see."""

PLUGIN = '''
"""A backbone and a schedule that cost nothing."""

from torch import nn
from dreamd.api import Backbone, hookimpl

def nothing(name):
    """A network that does nothing."""
    return Backbone(network=nn.Sequential(nn.Identity()), default_layer="0")

def unchanged(image, ascend):
    """The picture itself."""
    yield image

@hookimpl
def dreamd_backbones(register):
    register("nothing", nothing)

@hookimpl
def dreamd_schedules(register):
    register("unchanged", unchanged)
'''
