"""Values by path, kept folder by folder, behave like a dict's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dreamd.inbox.by_folder import ByFolder

PATHS = st.sampled_from(["a", "b", "x/a", "x/y/a", "x/y/b", "xy/a"])


@settings(deadline=None)
@given(st.lists(st.tuples(PATHS, st.one_of(st.none(), st.integers(1, 3)))))
def test_what_is_put_is_there_until_it_is_taken(steps):
    values, like = ByFolder[int](), dict[str, int]()
    for path, value in steps:
        if value is None:
            assert values.pop(path) == like.pop(path, None)
        else:
            values.put(path, value)
            like[path] = value
        assert dict(values.items()) == like
        assert len(values) == len(like)
        assert {path for path in ("a", "b", "x/a", "x/y/a") if path in values} == like.keys() & {
            *("a", "b", "x/a", "x/y/a")
        }
        assert set(values.folders()) == {path.rpartition("/")[0] for path in like}
        assert values.names_in("x") == {path[2:] for path in like if path == "x/a"}
