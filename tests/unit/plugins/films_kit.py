"""Films read and written by the plugins of their kind."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from dreamd.api import FilmPlan, Frame
from dreamd.plugin_host.host import Plugins


def opened(plugins: Plugins, extension: str, data: bytes) -> Any:
    plugin = plugins.film(extension)
    assert plugin is not None
    return plugin.function(io.BytesIO(data), lambda _width, _height: None)


def written(plugins: Plugins, plan: FilmPlan, frames: Sequence[Frame], source: Any = None, cut: int = 2) -> bytes:
    plugin = plugins.film(plan.extension)
    assert plugin is not None
    assert plugin.create is not None
    writer = plugin.create(plan, None if source is None else source.own)
    parts = [io.BytesIO(), io.BytesIO()]
    writer.part(frames[:cut], parts[0])
    writer.part(frames[cut:], parts[1])
    result = io.BytesIO()
    writer.join(parts, [frame.timing for frame in frames], result)
    return result.getvalue()


def plan_of(film: Any, extension: str, **more: Any) -> FilmPlan:
    return FilmPlan(width=film.width, height=film.height, alpha=film.alpha, extension=extension, loop=film.loop, **more)
