"""The streams of a file: which one has the pictures, how long it is, and the packets that are copied."""

from __future__ import annotations

import heapq
from collections import Counter
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

_LEFT_OUT = {"video": "pictures", "attachment": "files"}
"""What streams that are left out are called, by FFmpeg's name of their kind; data are time codes and positions."""

_TOLD = {"language": "language", "handler_name": "handler_name", "title": "title", "name": "title"}
"""What is said of a stream and goes with it, as it is read and as it is written: MP4's titles are read as names."""


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


def end_of(stream: VideoStream) -> Fraction | None:
    """Return when the pictures end, in seconds; None where the file does not say."""
    if stream.duration is None or stream.time_base is None:
        return None
    return ((stream.start_time or 0) + stream.duration) * stream.time_base


def copied_streams(source: InputContainer, target: OutputContainer) -> tuple[dict[int, Stream], tuple[str, ...]]:
    """Make a stream for each of the source's sounds and subtitles, and say which found no place."""
    pairs: dict[int, Stream] = {}
    notes: list[str] = []
    left: Counter[str] = Counter()
    for stream in source.streams:
        if stream.type not in ("audio", "subtitle"):
            left[_LEFT_OUT.get(stream.type, "data")] += 1
            continue
        codec = stream.codec_context.codec.canonical_name
        if codec in target.supported_codecs or (target.format.name == "mov" and codec.startswith("pcm")):
            pairs[stream.index] = target.add_stream_from_template(stream)
            describe(stream, pairs[stream.index])
        else:
            words = "its sound" if stream.type == "audio" else "a subtitle"
            hint = "" if target.format.name == "matroska" else "; set output.film to mkv"
            notes.append(f"{words} ({codec}) has no place in {target.format.name} and is left out{hint}")
    left["pictures"] -= 1  # those that are dreamed
    notes += [f"what is no film in it is left out: {count} of {kind}" for kind, count in left.items() if count > 0]
    return pairs, tuple(notes)


def describe(source: Stream, target: Stream) -> None:
    """Say of a stream what its source says: its language and name, and whether it is the one that is played."""
    told = {_TOLD[key]: value for key, value in source.metadata.items() if key in _TOLD}
    target.metadata.update(told)
    target.disposition = source.disposition


def copied_packets(source: InputContainer, pairs: dict[int, Stream]) -> Iterator[Packet[Any]]:
    """Yield the packets of sounds and subtitles, each for the stream that was made for its own."""
    if pairs:
        for packet in source.demux([stream for stream in source.streams if stream.index in pairs]):
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
