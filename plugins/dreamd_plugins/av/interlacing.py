"""Interlaced films: whole frames out of two halves that were taken one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from dreamd_plugins.av.ffmpeg import library

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_FILTER, _OPTIONS = "yadif", "mode=send_frame:deint=interlaced"
"""FFmpeg's filter and its options: a whole frame for each that comes in, and what is whole already stays as it is."""


def deinterlaced(frames: Iterable[VideoFrame], stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield whole frames, as many as come in, at the same times.

    Each is made out of itself and of the frames before and after it, since a network would see combs where things move.

    Args:
        frames: the frames of a film.
        stream: the stream that they are of.
    """
    av = library()
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(template=stream), graph.add(_FILTER, _OPTIONS), graph.add("buffersink")
    ).configure()
    for frame in chain(frames, (None,)):
        graph.vpush(frame)
        while True:
            try:
                yield graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
