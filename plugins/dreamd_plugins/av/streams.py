"""The streams of a file: which one has the pictures, how long it is, and the packets of sound that are copied."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from dreamd.api import PictureError

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

_COVER = 0x400
"""The bit of a stream's disposition by which its picture is a cover."""


def pictures_of(container: InputContainer) -> VideoStream:
    """Return the stream of pictures: the first that is no cover."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    if not streams:
        raise PictureError("holds no pictures, only sound")
    streams[0].thread_type = "SLICE"  # threads by frame would hold as many frames more
    return streams[0]


def seconds_of(stream: VideoStream, container: InputContainer) -> float | None:
    """Return how long the pictures last, in seconds; None where the file does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000


def sound_streams(source: InputContainer, target: OutputContainer) -> tuple[dict[int, Stream], tuple[str, ...]]:
    """Make a stream for each of the source's sounds, and say which found no place."""
    pairs: dict[int, Stream] = {}
    notes = []
    for stream in source.streams.audio:
        codec = stream.codec_context.codec.canonical_name
        if codec in target.supported_codecs or (target.format.name == "mov" and codec.startswith("pcm")):
            pairs[stream.index] = target.add_stream_from_template(stream)
        else:
            notes.append(
                f"its sound ({codec}) has no place in {target.format.name} and is left out; set output.film to mkv"
            )
    return pairs, tuple(notes)


def sound_packets(source: InputContainer, pairs: dict[int, Stream]) -> Iterator[Packet[Any]]:
    """Yield the packets of sounds, each for the stream that was made for its own."""
    if pairs:
        for packet in source.demux([stream for stream in source.streams.audio if stream.index in pairs]):
            if packet.dts is not None:
                packet.stream = pairs[packet.stream.index]
                yield packet


def mux_in_order(container: OutputContainer, *packets: Iterator[Packet[Any]]) -> None:
    """Write packets of several streams in the order of their times, so that none of them has to wait in memory."""
    for packet in heapq.merge(*packets, key=_second_of):
        container.mux(packet)


def _second_of(packet: Packet[Any]) -> Fraction:
    """Return the time at which a packet is due, in seconds."""
    assert packet.dts is not None
    return packet.dts * Fraction(packet.time_base)
