"""What a YAML file may be, and how each thing that it may not be is refused: at once, with its line."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamd.errors import ConfigError, RecipeError
from dreamd.settings.yamlfile import MAX_BYTES, Document, parse_document, read_document

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine may be busy with something else."""


def parsed(text: str) -> Document:
    return parse_document(text, "a.yaml", RecipeError)


def refusal(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        parsed(text)
    return str(caught.value)


def refusal_of_file(file: Path, *, below: Path | None = None) -> str:
    with pytest.raises(RecipeError) as caught:
        read_document(file, RecipeError, below=below)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-2.5e+2", -250.0),
        (".5e1", 5.0),
        ("0.02", 0.02),
        ("200_000_000", 200_000_000),
        ("relu4_1", "relu4_1"),
        ("e3", "e3"),
        ("1e", "1e"),
        ("'1e-3'", "1e-3"),
        ("512MB", "512MB"),
        ("null", None),
        ("true", True),
        ('"\\ud83d\\ude00"', "😀"),
    ],
)
def test_a_value_is_read_as_a_person_means_it(text, value):
    data = parsed(f"value: {text}").data
    assert data == {"value": value}
    assert type(data["value"]) is type(value)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n"])
def test_an_empty_file_is_an_empty_mapping(text):
    assert parsed(text).data == {}


def test_every_field_remembers_its_line():
    document = parsed(
        "backbone: vgg19\nlayers:\n  - relu4_1\n  - name: relu5_1\n    weight: 2\nascent: {lr: 1,\n  jitter: 3}\n"
    )
    assert document.line(("backbone",)) == 1
    assert document.line(("layers",)) == 2
    assert document.line(("layers", 0)) == 3
    assert document.line(("layers", 1, "weight")) == 5
    assert document.line(("ascent", "jitter")) == 7


def test_a_field_that_is_not_there_has_the_line_of_what_would_hold_it():
    document = parsed("seed: 1\nascent:\n  lr: 1\n")
    assert document.line(("ascent", "momentum")) == 2
    assert document.line(("layers", 4, "name")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", "a.yaml:2: seed: is given twice"),
        ("ascent: {lr: 1,\n lr: 2}\n", "a.yaml:2: ascent.lr: is given twice"),
        ("loss: [\n", "a.yaml:2: is not YAML: expected the node content, but found '<stream end>'"),
        ("a: b: c\n", "a.yaml:1: is not YAML: mapping values are not allowed here"),
        ("a: 1\n\tb: 2\n", "a.yaml:2: is not YAML: found character '\\t' that cannot start any token"),
        ("- vgg19\n", "a.yaml:1: must be a mapping of fields (`field: value` lines)"),
        ("vgg19\n", "a.yaml:1: must be a mapping of fields (`field: value` lines)"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: is not YAML: but found another document"),
        ("a: *b\n", "a.yaml:1: is not YAML: found undefined alias 'b'"),
        ("a: 1\n3: 4\n", "a.yaml:2: 3 is not a field name"),
        ("null: 4\n", "a.yaml:1: null is not a field name"),
        ("loss: {[1]: 4}\n", "a.yaml:1: loss: a list or mapping is not a field name"),
        ("seed: 2024-01-01\n", "a.yaml:1: seed: is read as a date; put it in quotes"),
        ("a: 1\nseed: !!python/name:os.system\n", "a.yaml:2: seed: the tag tag:yaml.org,2002:python/name:os.system"),
        ("seed: !mine 3\n", "a.yaml:1: seed: the tag !mine means nothing here; put the value in quotes"),
        ("name: =\n", "a.yaml:1: name: the tag tag:yaml.org,2002:value means nothing here; put the value in quotes"),
        ("a: {<<: {b: 1}}\n", "a.yaml:1: a: `<<` is not read here; a recipe takes from another by `extends`"),
        ("ascent: {lr: .inf}\n", "a.yaml:1: ascent.lr: must be a finite number"),
        ("ascent: {lr: .nan}\n", "a.yaml:1: ascent.lr: must be a finite number"),
        ("ascent: {lr: 1e999}\n", "a.yaml:1: ascent.lr: must be a finite number"),
        ('name: "\\ud800"\n', "a.yaml:1: name: holds half a character: one of two escapes is missing"),
        ('"\\udfff": 1\n', "a.yaml:1: holds half a character"),
        ("seed: \x07\n", "a.yaml: is not YAML: unacceptable character #x0007"),
        (f"seed: {'9' * 5000}\n", "a.yaml: is not YAML: Exceeds the limit"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_fields_is_refused_with_its_line(text, message):
    assert refusal(text).startswith(message)


def test_a_list_that_holds_itself_is_refused():
    assert refusal("a: &a [*a]") == "a.yaml:1: a: is nested too deeply"
    assert refusal("a: &a {b: *a}") == "a.yaml:1: a: is nested too deeply"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("text", "line"),
    [("a:\n  " + "[" * 60_000, 2), ("{" * 60_000, 1), ("- " * 30_000, 1), (f"a: {'[' * 300}{']' * 300}\n" * 100, 1)],
)
def test_a_file_that_is_nested_too_deeply_is_refused_at_once(text, line):
    assert refusal(text) == f"a.yaml:{line}: is not YAML: it is nested too deeply"


def test_an_alias_bomb_is_refused_and_not_expanded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    message = refusal("\n".join(lines))
    assert message.startswith("a.yaml:1: a3[")
    assert message.endswith("has more values than any recipe needs: are its aliases a bomb?")


def test_an_honest_alias_is_its_value():
    assert parsed("a: &lr 0.5\nb: {lr: *lr}").data == {"a": 0.5, "b": {"lr": 0.5}}


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path):
    file = tmp_path / "recipe.yaml"
    for text in (b"seed: 3\n", b"\xef\xbb\xbfseed: 3\n", b'{"seed": 3}'):
        file.write_bytes(text)
        assert read_document(file, RecipeError).data == {"seed": 3}


def test_a_file_that_is_too_large_is_refused_and_the_largest_is_read(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_bytes(b"#" * (MAX_BYTES - 8) + b"\nseed: 3")
    assert read_document(file, RecipeError).data == {"seed": 3}
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    assert refusal_of_file(file) == f"{file}: is larger than 64 KB; that is no file a person writes"


def test_a_file_that_is_not_utf8_is_refused_with_the_byte(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_bytes("seed: 3\n# größer\n".encode("latin-1"))
    assert refusal_of_file(file) == f"{file}: is not UTF-8 (byte 12)"


def test_a_missing_file_is_said_in_the_callers_kind_of_error(tmp_path):
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read: No such file or directory"):
        read_document(tmp_path / "config.yaml", ConfigError)


@pytest.mark.timeout(10)
def test_a_fifo_a_folder_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    kinds = {tmp_path / "fifo": "a pipe", tmp_path / "folder": "a folder", Path("/dev/zero"): "a device"}
    for file, kind in kinds.items():
        assert refusal_of_file(file) == f"{file}: is {kind}, and no file; remove it"


@pytest.mark.timeout(10)
def test_a_socket_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert refusal_of_file(Path("s")).startswith("s: cannot be read: ")


def test_a_refused_file_is_not_left_open(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("fifo", "folder"):
        for _ in range(20):
            refusal_of_file(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_symlink_is_followed_only_where_that_is_allowed(tmp_path):
    (tmp_path / "real.yaml").write_text("seed: 3\n")
    link = tmp_path / "recipe.yaml"
    link.symlink_to("real.yaml")
    assert read_document(link, RecipeError).data == {"seed": 3}
    assert refusal_of_file(link, below=tmp_path) == (
        f"{link}: is a symbolic link, which is not followed in an inbox; put the file itself here"
    )


def read_or_refused(text: str) -> Document | RecipeError:
    try:
        return parsed(text)
    except RecipeError as error:
        return error


@unhurried
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    assert read_or_refused(text).file == "a.yaml"


YAML_PIECES = [*"[]{}:,-?*&!|>'\"%@`#\n \t<=~", "a", "1", "e", ".", "&a ", "*a", ": ", "- "]


@unhurried
@given(st.lists(st.sampled_from(YAML_PIECES), max_size=40).map("".join))
def test_any_pile_of_yaml_punctuation_is_read_or_refused(text):
    assert read_or_refused(text).file == "a.yaml"
