"""config.yaml: its defaults, its paths, and what is refused in which words (design §5)."""

from __future__ import annotations

import subprocess
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from dreamd.errors import ConfigError, FieldError, RecipeError
from dreamd.settings.config import Config, load_config
from dreamd.settings.recipes.recipe import Recipe

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine may be busy with something else."""


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(folder: Path, text: str) -> str:
    file = write(folder, text)
    with pytest.raises(FieldError) as caught:
        load_config(file)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    with as_file(files("dreamd") / "templates" / "config.yaml") as file:
        values: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        return values


def as_written(value: object) -> object:
    """A value of the model as the file would write it."""
    if isinstance(value, Path):
        return str(value)
    return [as_written(inner) for inner in value] if isinstance(value, tuple) else value


def fields_of(model: BaseModel) -> dict[str, Any]:
    return {
        name: fields_of(value) if isinstance(value, BaseModel) else as_written(value)
        for name, value in model
        if name not in ("file", "defaults")
    }


# The annotated default


def test_the_annotated_default_is_the_default_word_by_word(template, tmp_path):
    with as_file(files("dreamd") / "templates" / "config.yaml") as file:
        annotated = load_config(write(tmp_path, file.read_text(encoding="utf-8")))
    bare = load_config(write(tmp_path, ""))
    assert fields_of(annotated) == fields_of(bare)
    assert annotated.recipe_book().for_default().recipe == bare.recipe_book().for_default().recipe == Recipe()


def test_the_annotated_default_has_every_field_and_no_other(template, tmp_path):
    bare = fields_of(load_config(write(tmp_path, "")))
    assert {*template} == {*bare, "defaults"}
    for name, value in bare.items():
        if isinstance(value, dict):
            assert {*template[name]} == {*value}, name


def test_every_value_in_the_annotated_default_is_the_models(template, tmp_path):
    def told(value: object) -> object:
        return value.replace(f"{tmp_path}/", "") if isinstance(value, str) else value

    bare = fields_of(load_config(write(tmp_path, "")))
    assert {name: told(bare[name]) for name in ("inbox", "outbox", "originals", "failed", "state", "recipes")} == {
        "inbox": "inbox", "outbox": "outbox", "originals": "done", "failed": "failed", "state": "state",
        "recipes": "recipes",
    }  # fmt: skip
    assert bare["plugins"] == {"engine": [str(tmp_path / "plugins")], "daemon": [], "disable": []}
    assert template["limits"].pop("max_bytes") == "512MB"
    assert bare["limits"].pop("max_bytes") == 512_000_000
    assert template["limits"].pop("max_film_bytes") == "16GB"
    assert bare["limits"].pop("max_film_bytes") == 16_000_000_000
    assert template["workers"].pop("executor") == bare["workers"].pop("executor")["name"]
    for section in ("watch", "limits", "workers", "status"):
        assert template[section] == bare[section]


@pytest.mark.parametrize("text", ["", "plugins: {}\n", "plugins: {disable: [l2]}\n", "plugins: {daemon: [d]}\n"])
def test_drop_in_plugins_are_looked_for_beside_the_config_unless_it_says_otherwise(tmp_path, text):
    assert load_config(write(tmp_path, text)).plugins.engine == (tmp_path / "plugins",)


def test_an_empty_list_of_folders_turns_drop_in_plugins_off(tmp_path):
    assert load_config(write(tmp_path, "plugins: {engine: []}\n")).plugins.engine == ()


# What a field takes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("watch: {patience_seconds: soon}", "watch.patience_seconds: must be a number, not 'soon'"),
        ("watch: {patience_seconds: -1}", "watch.patience_seconds: must be at least 0, not -1"),
        ("journal: {keep: 3m}", "journal.keep: '3m': '3m' may be minutes or months: write 3min or 3mo"),
        ("workers: {threads: 0}", "workers.threads: must be auto or at least 1, not 0"),
        ("workers: {threads: true}", "workers.threads: must be auto or a whole number, not true"),
        ("workers: {deterministic: maybe}", "workers.deterministic: must be true or false, not 'maybe'"),
        ("workers: {deterministic: 1}", "workers.deterministic: must be true or false, not 1"),
        ("workers: {deterministic: null}", "workers.deterministic: must be true or false, not null"),
        ("journal: {keep: 90}", "journal.keep: must be an age such as 90d, 12h or 2w, not 90"),
        ("journal: 90d", "journal: must be a mapping of fields, not '90d'"),
        ("status: {base_path: dreams}", "status.base_path: 'dreams': must be a path of plain letters and "
                                        "digits, such as /dreams"),
        ("status: {base_path: null}", "status.base_path: must be text, not null"),
        ("keep: 90d", "keep: is not a field; did you mean journal.keep?"),
        ("threads: 4", "threads: is not a field; did you mean workers.threads?"),
        ("workers: {determinstic: true}", "workers.determinstic: is not a field; did you mean deterministic?"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_with_what_could_be(tmp_path, text, message):
    assert refusal(tmp_path, f"# a comment\n{text}\n") == f"config.yaml:2: {message}"


# Paths


def test_paths_are_relative_to_the_file_and_come_out_absolute(tmp_path, monkeypatch):
    write(tmp_path / "a", "inbox: in\noutbox: ../out\nplugins: {engine: [p], daemon: [/q]}\nrecipes: ~/r\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    config = load_config(Path("a/config.yaml"))
    assert config.file == tmp_path / "a/config.yaml"
    assert config.inbox == tmp_path / "a/in"
    assert config.outbox.resolve() == tmp_path / "out"
    assert config.state == tmp_path / "a/state"
    assert config.plugins.engine == (tmp_path / "a/p",)
    assert config.plugins.daemon == (Path("/q"),)
    assert config.recipes == Path("/home/somebody/r")


def test_originals_may_be_deleted(tmp_path):
    assert load_config(write(tmp_path, "originals: delete\n")).originals is None
    assert load_config(write(tmp_path, "originals: ./delete\n")).originals == tmp_path / "delete"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outbox: inbox", "config.yaml:2: outbox: is the same folder as inbox"),
        ("failed: done", "config.yaml:2: failed: is the same folder as originals"),
        ("state: ./x/../outbox", "config.yaml:2: state: is the same folder as outbox"),
        ("outbox: inbox/out", "config.yaml:2: outbox: inbox/out lies in the inbox; what dreamd writes there would be "
                              "taken for new pictures"),
        ("originals: inbox/a/b", "config.yaml:2: originals: inbox/a/b lies in the inbox;"),
        ("failed: inbox/failed", "config.yaml:2: failed: inbox/failed lies in the inbox;"),
        ("state: inbox/.dreamd", "config.yaml:2: state: inbox/.dreamd lies in the inbox;"),
        ("inbox: out/in\noutbox: out", "config.yaml:3: outbox: out holds the inbox; what dreamd writes there could "
                                       "land in the inbox and be taken for new pictures"),
        ("inbox: d/in\noriginals: d", "config.yaml:3: originals: d holds the inbox;"),
        ("plugins: {engine: [inbox/p]}", "config.yaml:2: plugins.engine: inbox/p lies in the inbox; whoever drops a "
                                         "file there could run code"),
        ("plugins: {daemon: [inbox]}", "config.yaml:2: plugins.daemon: inbox lies in the inbox;"),
    ],
)  # fmt: skip
def test_folders_that_lie_in_one_another_are_refused(tmp_path, text, message):
    assert refusal(tmp_path, f"# a comment\n{text}\n").startswith(message)


def test_folders_that_are_one_by_a_symlink_are_refused(tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "outbox").symlink_to("inbox")
    assert refusal(tmp_path, "outbox: outbox\n") == "config.yaml:1: outbox: is the same folder as inbox"
    assert refusal(tmp_path, "inbox: outbox\noutbox: inbox\n") == "config.yaml:2: outbox: is the same folder as inbox"


@pytest.fixture
def bind(tmp_path):
    """`bind(folder, place)` mounts a folder of `tmp_path` at another place, too."""
    mounted: list[Path] = []

    def mount(folder: str, place: str) -> None:
        for path in (tmp_path / folder, tmp_path / place):
            path.mkdir(parents=True, exist_ok=True)
        command = ["mount", "--bind", str(tmp_path / folder), str(tmp_path / place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        mounted.append(tmp_path / place)

    yield mount
    for place in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize(
    ("folder", "place", "text", "message"),
    [
        ("inbox", "outbox", "inbox: inbox", "config.yaml:1: outbox: is the same folder as inbox"),
        ("volume", "inbox", "failed: volume", "config.yaml:1: failed: is the same folder as inbox"),
        ("volume", "inbox", "outbox: volume/out", "config.yaml:1: outbox: volume/out lies in the inbox;"),
        ("inbox/out", "results", "outbox: results", "config.yaml:1: outbox: results lies in the inbox;"),
        ("volume", "data", "inbox: volume/in\noriginals: data", "config.yaml:2: originals: data holds the inbox;"),
        ("inbox/code", "code", "plugins: {engine: [code]}", "config.yaml:1: plugins.engine: code lies in the inbox;"),
    ],
)
def test_folders_that_are_one_or_lie_in_one_another_by_a_mount_are_refused(
    tmp_path, bind, folder, place, text, message
):
    bind(folder, place)
    assert refusal(tmp_path, f"{text}\n").startswith(message)


def test_folders_of_one_disk_that_is_mounted_twice_may_lie_side_by_side(tmp_path, bind):
    bind("volume/in", "inbox")
    bind("volume/out", "outbox")
    assert load_config(write(tmp_path, "failed: volume/failed\n")).outbox == tmp_path / "outbox"


def test_folders_beside_one_another_are_fine(tmp_path):
    config = load_config(write(tmp_path, "inbox: in\noutbox: in-out\nstate: .\noriginals: in-out/done\n"))
    assert config.state == tmp_path


# Sizes


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512_000_000), ("512 MB", 512_000_000), ("1GiB", 2**30), ("1.5kB", 1500), ("7", 7)]
)
def test_a_size_has_a_unit_or_is_in_bytes(tmp_path, text, size):
    config = load_config(write(tmp_path, f"limits: {{max_bytes: {text}}}\nworkers: {{memory: {text}}}\n"))
    assert config.limits.max_bytes == size
    assert config.workers.memory == size


# defaults


def test_defaults_are_the_recipe_below_all_others(tmp_path):
    config = load_config(write(tmp_path, "defaults: {backbone: {name: vgg16, weights: net.pth}, seed: 3}\n"))
    (config.inbox / "a").mkdir(parents=True)
    (config.inbox / "a" / "recipe.yaml").write_text("ascent: {lr: 2}\n")
    recipe = config.recipe_book().for_folder(PurePosixPath("a")).recipe
    assert (recipe.backbone.name, recipe.seed, recipe.ascent.lr) == ("vgg16", 3, 2)
    assert recipe.backbone.weights == str(tmp_path / "net.pth")


def test_a_fields_origin_in_the_defaults_is_its_line_in_the_config(tmp_path):
    config = load_config(write(tmp_path, "limits: {attempts: 2}\ndefaults:\n  ascent:\n    lr: 2\n"))
    origins = config.recipe_book().for_default().origins
    assert str(origins["ascent", "lr"]) == f"{tmp_path / 'config.yaml'}:4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("defaults: 3", "config.yaml:1: defaults: must be a mapping of recipe fields"),
        ("defaults:", "config.yaml:1: defaults: must be a mapping of recipe fields"),
        ("defaults:\n  lyers: a", "config.yaml:2: defaults.lyers: is not a field; did you mean layers?"),
        ("defaults:\n  seed: 0\n  ascent: {lr: x}", "config.yaml:3: defaults.ascent.lr: must be a number, not 'x'"),
        ("defaults: {extends: article}", "config.yaml:1: defaults.extends: defaults cannot extend; put `extends` into "
                                         "the inbox's own recipe.yaml"),
    ],
)  # fmt: skip
def test_wrong_defaults_are_refused_with_their_line_in_the_config(tmp_path, text, message):
    assert refusal(tmp_path, f"{text}\n") == message


# What is refused, as a person reads it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inbx: a", "inbx: is not a field; did you mean inbox?"),
        ("attempts: 3", "attempts: is not a field; did you mean limits.attempts?"),
        ("file: a", "file: is not a field; did you mean failed?"),
        ("zzz: a", "zzz: is not a field; there are inbox, outbox, originals, failed, state, recipes, plugins, weights, "
                   "watch, limits, workers, journal and 3 more"),
        ("plugins: {engin: [x]}", "plugins.engin: is not a field; did you mean engine?"),
        ("watch: {settle_second: 1}", "watch.settle_second: is not a field; did you mean settle_seconds?"),
        ("limits: {attempt: 1}", "limits.attempt: is not a field; did you mean attempts?"),
        ("workers: {device: cpu}", "workers.device: is not a field; did you mean devices?"),
        ("status: {lisen: a}", "status.lisen: is not a field; did you mean listen?"),
        ("inbox: 3", "inbox: must be a path, not 3"),
        ("inbox: null", "inbox: must be a path, not null"),
        ("inbox: ''", "inbox: must be a path, not ''"),
        ('inbox: "a\\0"', "inbox: must be a path, not 'a\\x00'"),
        ("inbox: ~nobody-of-that-name/x", "inbox: '~nobody-of-that-name/x': there is no such user"),
        ("originals: [a]", 'originals: must be a path, not ["a"]'),
        ("plugins: x", "plugins: must be a mapping of fields, not 'x'"),
        ("plugins: {engine: x}", "plugins.engine: must be a list, not 'x'"),
        ("plugins: {engine: [x, 3]}", "plugins.engine[1]: must be a path, not 3"),
        ("plugins: {disable: [3]}", "plugins.disable[0]: must be text, not 3"),
        ("watch: {backend: inotfy}", "watch.backend: must be auto, inotify or polling, not 'inotfy'; "
                                     "did you mean inotify?"),
        ("watch: {settle_seconds: -1}", "watch.settle_seconds: must be at least 0, not -1"),
        ("watch: {settle_seconds: '1'}", "watch.settle_seconds: must be a number, not '1'"),
        ("watch: {rescan_seconds: 0}", "watch.rescan_seconds: must be more than 0, not 0"),
        ("watch: {ignore: '*.part'}", "watch.ignore: must be a list, not '*.part'"),
        ("limits: 3", "limits: must be a mapping of fields, not 3"),
        ("limits: {max_pixels: 0}", "limits.max_pixels: must be at least 1, not 0"),
        ("limits: {attempts: true}", "limits.attempts: must be a whole number, not true"),
        ("limits: {timeout_seconds: 0}", "limits.timeout_seconds: must be more than 0, not 0"),
        ("limits: {max_bytes: 512XB}", "limits.max_bytes: must be a size such as 512MB, not '512XB'"),
        ("limits: {max_bytes: big}", "limits.max_bytes: must be a size such as 512MB, not 'big'"),
        ("limits: {max_bytes: 1.5}", "limits.max_bytes: must be a size such as 512MB, not 1.5"),
        ("limits: {max_bytes: 0}", "limits.max_bytes: must be at least 1, not 0"),
        ("workers: {devices: cpu}", "workers.devices: must be auto or a list, not 'cpu'"),
        ("workers: {devices: []}", "workers.devices: must be auto or a list that is not empty, not []"),
        ("workers: {devices: [3]}", "workers.devices[0]: must be text, not 3"),
        ("workers: {devices: atuo}", "workers.devices: must be auto or a list, not 'atuo'; did you mean auto?"),
        ("workers: {batch: 0}", "workers.batch: must be auto or at least 1, not 0"),
        ("workers: {batch: many}", "workers.batch: must be auto or a whole number, not 'many'"),
        ("workers: {memory: lots}", "workers.memory: must be auto or a size such as 512MB, not 'lots'"),
        ("workers: {idle_unload_seconds: -1}", "workers.idle_unload_seconds: must be at least 0, not -1"),
        ("status: {listen: 8420}", "status.listen: must be text, not 8420"),
        ("status: {listen: here}", "status.listen: 'here': must be HOST:PORT, such as 127.0.0.1:8420"),
        ("status: {listen: '0.0.0.0:65536'}", "status.listen: '0.0.0.0:65536': must be HOST:PORT, such as "
                                              "127.0.0.1:8420"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_in_plain_words_with_its_line(tmp_path, text, message):
    assert refusal(tmp_path, f"# a comment\n{text}\n") == f"config.yaml:2: {message}"


def test_the_status_page_can_be_turned_off_in_both_ways(tmp_path):
    for text in ("status: null\n", "status: {listen: null}\n"):
        assert load_config(write(tmp_path, text)).status.listen is None


def test_others_than_this_machine_can_connect_only_with_a_token(tmp_path):
    for listen in ("0.0.0.0:8420", "192.0.2.7:80", "'[::]:8420'", "box.example:80", "'127.0.0.1.evil.example:80'"):
        told = refusal(tmp_path, f"status:\n  listen: {listen}\n")
        assert told.startswith("config.yaml:2: status.listen: ")
        assert "needs a token" in told
        with_token = write(tmp_path, f"status: {{listen: {listen}, token: {'x' * 16}}}\n")
        assert not load_config(with_token).status.is_local
    for listen in ("127.0.0.1:0", "127.8.0.1:1", "localhost:80", "'[::1]:8420'"):
        assert load_config(write(tmp_path, f"status: {{listen: {listen}}}\n")).status.is_local


def test_an_address_of_ip_version_6_loses_its_brackets(tmp_path):
    assert load_config(write(tmp_path, "status: {listen: '[::1]:8420'}\n")).status.address == ("::1", 8420)


@pytest.mark.parametrize("token", ["short", "1234567890123456", "with spaces in the middle", "é" * 16, "[1, 2]", "''"])
def test_a_bad_token_is_refused_and_never_shown(tmp_path, token):
    told = refusal(tmp_path, f"inbox: inbox\nstatus: {{token: {token}}}\n")
    assert told.startswith("config.yaml:2: status.token: must be 16 or more letters, digits and signs")
    assert token.strip("'[]") == "" or token.strip("'[]") not in told


def test_a_token_is_shown_by_nothing(tmp_path):
    config = load_config(write(tmp_path, f"status: {{token: {'s3cret' * 4}}}\n"))
    assert "s3cret" not in f"{config} {config!r} {config.model_dump()} {config.model_dump_json(exclude={'defaults'})}"


def test_one_token_is_enough(tmp_path):
    told = refusal(tmp_path, f"status:\n  token: {'x' * 16}\n  token_file: t\n")
    assert told == "config.yaml:3: status.token_file: is one token too many, beside status.token; keep one"


def test_a_list_of_devices_and_a_batch_size_are_taken(tmp_path):
    workers = load_config(write(tmp_path, "workers: {devices: [cuda:0, cpu], batch: 4}\n")).workers
    assert workers.devices == ("cuda:0", "cpu")
    assert workers.batch == 4


def test_a_config_that_is_not_there_or_not_yaml_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"config\.yaml: does not exist; `dreamd init DIR` makes one"):
        load_config(tmp_path / "config.yaml")
    assert refusal(tmp_path, "inbox: [") == (
        "config.yaml:1: is not YAML: expected the node content, but found '<stream end>'"
    )
    assert refusal(tmp_path, "inbox: a\ninbox: b\n") == "config.yaml:2: inbox: is given twice"


def test_a_loaded_config_cannot_be_changed(tmp_path):
    config = load_config(write(tmp_path, ""))
    with pytest.raises(ValueError, match="frozen"):
        config.limits.attempts = 4  # type: ignore[misc]


WORDS = st.sampled_from(
    [
        *Config.model_fields,
        *("engine", "disable", "backend", "ignore", "attempts", "max_bytes", "devices", "memory", "listen", "delete"),
        *("auto", "cpu", "512MB", "inbox", "~", "..", "vgg19", "backbone", "seed", "x"),
    ]
)
SCALARS = WORDS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))


@unhurried
@given(st.dictionaries(WORDS, VALUES, max_size=5))
def test_any_mapping_loads_or_is_refused(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "any"
    file = write(folder, yaml.safe_dump(data, allow_unicode=True))
    try:
        config = load_config(file)
    except (ConfigError, RecipeError) as error:
        assert error.file == file  # noqa: PT017 (either outcome is right)
        return
    assert config.inbox.is_absolute()
