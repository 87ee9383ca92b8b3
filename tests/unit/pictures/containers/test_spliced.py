"""A file made of pieces of another one reads as those pieces in a row."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from dreamd.pictures.containers.spliced import Range, spliced

CONTENT = bytes(range(256))

pieces_of = st.lists(
    st.one_of(st.binary(max_size=9), st.builds(Range, st.integers(0, 200), st.integers(0, 56))), max_size=8
)
steps_of = st.lists(st.tuples(st.integers(-20, 300), st.integers(0, 60)), max_size=8)


@given(pieces=pieces_of, steps=steps_of)
def test_it_reads_as_its_pieces_in_a_row(pieces: list[bytes | Range], steps: list[tuple[int, int]]) -> None:
    rows = [
        CONTENT[piece.start : piece.start + piece.length] if isinstance(piece, Range) else piece for piece in pieces
    ]
    expected, file = io.BytesIO(b"".join(rows)), spliced(io.BytesIO(CONTENT), pieces)
    assert file.read() == expected.read()
    for place, length in steps:
        for either in (expected, file):
            either.seek(max(0, place))
        assert file.read(length) == expected.read(length)
        assert file.tell() == expected.tell()
    assert file.seek(0, io.SEEK_END) == expected.seek(0, io.SEEK_END)
