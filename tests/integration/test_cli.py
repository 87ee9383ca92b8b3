"""The command line as a person meets it: what it prints, where, and with which exit code it ends."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import dreamd.cli
from dreamd.cli import COMMANDS
from dreamd.job import Job, JobState
from dreamd.tree.journal import Journal

CHATTY = '''
from dreamd.api import hookimpl

print("hello from a plugin")


def contrast(activation, *, power: float = 2.0):
    """The mean power.

    Args:
        power: the exponent.
    """
    return activation.abs().pow(power).flatten(1).mean(1)


@hookimpl
def dreamd_losses(register):
    register("contrast", contrast)
'''

JSON_COMMANDS = (
    "status", "jobs", "recipe explain inbox/dogs", "recipe list", "recipe schema", "plugins list",
    "plugins show contrast", "layers tiny", "weights list", "doctor",
)  # fmt: skip

REPOSITORY = Path(dreamd.__file__).parents[1]

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def tree(make: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tree that the tests only look at: one of its plugins prints, one is broken, and so is one of its recipes."""
    tree = make(tmp_path_factory.mktemp("cli") / "tree")
    (tree.root / "plugins" / "chatty.py").write_text(CHATTY)
    (tree.root / "plugins" / "broken.py").write_text("\ndef x(:\n")
    tree.recipe("dogs", "loss: contrast\n")
    tree.recipe("cats", "seed: 1\nlosss: l2\n")
    tree.recipe("cats/kittens", "seed: 2\n")
    for folder in ("animals", "weave"):
        (tree.inbox / folder / "recipe.yaml").unlink()
    return tree


@pytest.fixture
def cli(tree: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Runs a command in the tree, in this process, whose torch need not be imported anew each time."""
    monkeypatch.chdir(tree.root)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("DREAMD_WEIGHTS", str(tree.root / "weights"))
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)  # else it would keep the runner's stream
    level = logging.getLogger("dreamd.plugin_host.host").level

    def run(line: str) -> Result:
        return CliRunner().invoke(dreamd.cli.main, shlex.split(line), prog_name="dreamd")

    yield run
    logging.getLogger("dreamd.plugin_host.host").setLevel(level)


def start(arguments: list[str | bytes], **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dreamd", *arguments]
    return subprocess.Popen(command, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    out, errors = process.communicate(timeout=60)
    return process.returncode, (out or b"").decode(), (errors or b"").decode()


def config_of(folder: Path, *names: bytes) -> Path:
    """A config whose journal has a job for each name."""
    (folder / "config.yaml").write_text("inbox: inbox\n")
    with Journal.open(folder / "state" / "journal.sqlite3") as journal:
        journal.save(
            Job(id=str(number), folder=PurePosixPath(), name=os.fsdecode(name)) for number, name in enumerate(names)
        )
    return folder / "config.yaml"


# Quick answers


@pytest.mark.parametrize(
    "line", ["--help", *(f"{name} --help" for name in COMMANDS), "status", "status --json", "jobs"]
)
def test_what_must_answer_at_once_imports_little(tmp_path: Path, line: str) -> None:
    config_of(tmp_path, b"a.png")
    code = (
        "import sys\nfrom dreamd.cli import main\n"
        f"main({line.split()!r}, standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True, text=True)
    loaded = {name.partition(".")[0] for name in process.stderr.split()}
    assert (
        loaded & {"torch", "pydantic", "rich", "PIL", "numpy", "pluggy", "watchdog", "jsonschema", "asyncio"} == set()
    )
    assert process.stdout


# Help


def test_the_version_is_the_same_everywhere_and_the_newest_release_of_the_changelog(cli: Cli) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == dreamd.__version__
    assert cli("--version").stdout == f"dreamd, version {dreamd.__version__}\n"
    releases = re.findall(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[0] == dreamd.__version__


def commands(group: click.Group, name: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for word in group.list_commands(context):
        path, command = f"{name} {word}".strip(), group.get_command(context, word)
        assert command is not None
        yield path, command
        if isinstance(command, click.Group):
            yield from commands(command, path)


ALL = dict(commands(dreamd.cli.main))


@pytest.mark.parametrize("columns", ["80", "100"])
@pytest.mark.parametrize("line", ["", *(name for name, command in ALL.items() if isinstance(command, click.Group))])
def test_no_summary_is_cut_off(cli: Cli, monkeypatch: pytest.MonkeyPatch, line: str, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    result = cli(f"{line} --help")
    assert result.exit_code == 0
    summaries = result.stdout.partition("Commands:\n")[2]
    assert summaries
    assert "..." not in summaries


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help_and_a_place_in_the_manual(cli: Cli, name: str) -> None:
    assert cli(f"{name} -h").exit_code == 0
    assert ALL[name].help
    manual = (REPOSITORY / "docs" / "cli.md").read_text()
    assert isinstance(ALL[name], click.Group) or f"dreamd {name}" in manual
    for option in (option for item in ALL[name].params if isinstance(item, click.Option) for option in item.opts):
        assert f"`{option}" in manual, option


# Wrong usage

WRONG = [
    ("statsu", "No such command 'statsu'. Did you mean 'status'?"),
    ("recipe chek x", "No such command 'chek'."),
    ("status --jsno", "Did you mean '--json'?"),
    ("jobs --state qeued", "'qeued' is not one of 'queued', 'running', 'held', 'done', 'failed'"),
    ("jobs --limit 0", "0 is not in the range x>=1"),
    ("init", "Missing argument 'DIR'"),
    ("init .", "config.yaml is there already; nothing was changed"),
    ("init config.yaml", "config.yaml is a file; give the folder to make the tree in"),
    ("status --config nope.yaml", "dreamd: nope.yaml: does not exist; `dreamd init DIR` makes one"),
    ("status --config inbox", "dreamd: inbox: "),
    ("run --config nope.yaml", "dreamd: nope.yaml: does not exist; `dreamd init DIR` makes one"),
    ("drain --config inbox", "dreamd: inbox: "),
    ("layers tinny", "dreamd: no backbone 'tinny'; did you mean tiny?"),
    ("layers tiny --config nope.yaml", "dreamd: nope.yaml: does not exist"),
    ("plugins show contrst", "dreamd: no plugin 'contrst'; did you mean contrast?"),
    ("plugins new l2", "dreamd: there is a plugin 'l2' already; choose another name"),
    ("plugins new my-loss", "dreamd: 'my-loss' cannot be a plugin's name: use small letters, digits and _"),
    ("plugins new chatty", "plugins/chatty.py is there already; nothing was changed"),
    ("plugins new mine --kind lss", "'lss' is not one of"),
    ("plugins new mine --config nope.yaml", "dreamd: nope.yaml: does not exist"),
    ("plugins check nope.py", "dreamd: nope.py: there is no such file"),
    ("plugins check octavs", "dreamd: no plugin 'octavs'; did you mean octaves?"),
    ("plugins check timm", "dreamd: timm/* is a family of backbones: name one to check, `--only timm/NAME`"),
    ("plugins try plugins/chatty.py", "Missing option '--on'"),
    ("plugins try plugins/chatty.py --on nope.png", "File 'nope.png' does not exist"),
    ("plugins try plugins/broken.py --on config.yaml", "dreamd: broken.py:2: invalid syntax"),
    ("plugins try plugins/chatty.py --on config.yaml --out x.doc", "dreamd: x.doc: the name must end in one of"),
    ("plugins try local --on config.yaml", "dreamd: local brings nothing to dream with"),
    ("weights fetch fra", "dreamd: no backbone 'fra'; did you mean far?"),
    ("weights list fra", "dreamd: no backbone 'fra'; did you mean far?"),
    ("recipe explain clasic", "dreamd: no preset or named recipe 'clasic'; did you mean classic?"),
    ("recipe explain nope.yaml", "dreamd: nope.yaml: there is no such file or folder"),
    ("recipe explain inbox/dogs/nope.jpg", "dreamd: inbox/dogs/nope.jpg: there is no such file or folder"),
    ("recipe explain outbox", "dreamd: outbox: has no recipe.yaml, and is no folder of an inbox (give its --config)"),
    ("recipe explain plugins/chatty.py", "dreamd: plugins/chatty.py: is no recipe, and no picture in an inbox"),
    ("recipe explain inbox/cats", "cats/recipe.yaml:2: losss: is not a field; did you mean loss?"),
    ("recipe check outbox", "dreamd: outbox: there is no recipe.yaml in it or below it"),
    ("recipe check inbox/cats/recipe.yaml", "cats/recipe.yaml:2: losss: is not a field; did you mean loss?"),
    ("dream nope.png out.png", "dreamd: nope.png: there is no such file"),
    ("dream nope.png out.png --plugins nope", "Directory 'nope' does not exist"),
    ("dream nope.png nope/out.png", "dreamd: nope/out.png: the folder nope does not exist"),
    ("dream nope.png out.doc", "dreamd: out.doc: "),
    ("dream noise out.png --recipe clasic", "dreamd: no preset or named recipe 'clasic'; did you mean classic?"),
    ("dream noise out.png --set seed", "--set seed: is no `field=value`"),
    ("demo nope.png", "File 'nope.png' does not exist"),
    ("demo --out inbox", "dreamd: inbox holds something else; give the demo a new folder with --out"),
    ("demo --out config.yaml", "dreamd: config.yaml is a file"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(cli: Cli, line: str, words: str) -> None:
    result = cli(line)
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")
    problem = [text for text in result.stderr.splitlines() if text and not text.startswith(("Usage: ", "Try "))]
    assert len([text for text in problem if "plugin broken" not in text and "hello" not in text]) <= 2


def test_an_error_is_a_traceback_only_when_one_asks_for_it(cli: Cli) -> None:
    for line in ("status --config nope.yaml", "recipe explain nope.yaml"):
        assert isinstance(cli(line).exception, SystemExit)
        assert type(cli(f"--debug {line}").exception).__name__ in ("ConfigError", "UsageError")


def test_what_the_system_refuses_is_told_with_its_file(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    result = cli("status --config secret/config.yaml")
    assert (result.exit_code, result.stderr) == (1, "dreamd: secret/config.yaml: Permission denied\n")


# Output


@pytest.mark.parametrize("line", JSON_COMMANDS)
def test_json_is_all_there_is_on_stdout(cli: Cli, line: str) -> None:
    result = cli(line if line == "recipe schema" else f"{line} --json")
    json.loads(result.stdout)
    assert result.exit_code == (1 if line == "doctor" else 0), result.stderr


def test_recipes_of_an_inbox_are_all_checked_and_one_that_is_wrong_gives_2(cli: Cli, tree: Any) -> None:
    result = cli("recipe check inbox")
    assert result.stdout == "inbox/dogs/recipe.yaml: ok\n"
    wrong = f"{tree.inbox}/cats/recipe.yaml:2: losss: is not a field; did you mean loss?"
    assert result.stderr.splitlines().count(wrong) == 1
    assert result.exit_code == 2


def test_every_field_is_explained_with_where_it_came_from_and_the_default_layer(cli: Cli, tree: Any) -> None:
    lines = cli("recipe explain inbox/dogs").stdout.splitlines()
    assert re.fullmatch(r'backbone\.name: "tiny" +# config\.yaml:\d+', lines[0])
    assert [re.sub(r" +", " ", line) for line in lines if line.startswith(("layers", "loss"))] == [
        'layers: "relu1" # default of backbone tiny',
        f'loss.name: "contrast" # {tree.inbox}/dogs/recipe.yaml:1',
        "loss.power: 2.0 # default of loss contrast",
    ]


def test_plugins_that_bring_many_names_do_not_drown_the_others(cli: Cli, tmp_path: Path) -> None:
    names = ", ".join(f"net{number}" for number in range(40))
    (tmp_path / "many.py").write_text(
        "from dreamd.api import hookimpl\n"
        'def many(name):\n    """One of many."""\n'
        'def zoo(name):\n    """The only one."""\n'
        "@hookimpl\ndef dreamd_backbones(register):\n"
        f"    for name in '{names}'.split(', '):\n        register(name, many)\n"
        "    register('zoo', zoo)\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text(
        f"inbox: {tmp_path}/inbox\n"
        f"plugins: {{engine: [{tmp_path}], disable: [timm, torchvision, vgg, efficientnet_lite0]}}\n"
    )
    lines = cli(f"plugins list --config {config}").stdout.splitlines()
    assert lines[0].startswith("loss             blur_distance    Half the sum of the squares of `x - blur(x)`, ")
    column = " " * 17
    assert f"{column}l2               The L2 norm of a picture's whole activation: `[N, C, H, W]` →" in lines
    assert [line[:16].partition("  ")[0].strip() for line in lines if line[0] != " "] == [
        "loss", "schedule", "gradient", "parameterization", "optimizer", "transform", "film", "executor",
        "backbone",
        *["not used"] * 4,
    ]  # fmt: skip
    assert "backbone         zoo              The only one. (plugin many)" in lines
    (start_of_many,) = [index for index, line in enumerate(lines) if line == f"{column}One of many. (plugin many)"]
    listed = " ".join(line.strip() for line in lines[start_of_many + 1 : -4])
    assert sorted(listed.split(", ")) == sorted(names.split(", "))
    assert max(map(len, lines[:-4])) <= 100


def test_a_broken_plugin_is_told_once_with_its_line(cli: Cli, tree: Any, caplog: pytest.LogCaptureFixture) -> None:
    result = cli("plugins list")
    assert result.exit_code == 0
    assert (
        f"not used  broken ({tree.root}/plugins/broken.py): broken.py:2: invalid syntax" in result.stdout.splitlines()
    )
    assert [record for record in caplog.records if "broken" in record.getMessage()] == []


def test_other_commands_say_in_passing_that_a_plugin_is_not_used(cli: Cli, caplog: pytest.LogCaptureFixture) -> None:
    assert cli("plugins show contrast").exit_code == 0
    assert [record.levelname for record in caplog.records if "plugin broken" in record.getMessage()] == ["WARNING"]


def test_a_plugin_is_shown_with_its_parameters_and_each_word_once(cli: Cli, tree: Any) -> None:
    lines = cli("plugins show contrast").stdout.splitlines()
    assert re.fullmatch(rf"from {tree.root}/plugins/chatty.py sha256:[0-9a-f]{{16}}", lines.pop(1))
    assert lines == [
        "loss contrast",
        "by hook dreamd_losses",
        "",
        "The mean power.",
        "",
        "  power: a number, default 2.0",
        "      the exponent.",
    ]


def test_layers_are_told_in_order_and_the_default_is_marked(cli: Cli) -> None:
    assert cli("layers tiny").stdout.splitlines() == [
        "   #  layer  shape            stride   sees",
        "   1  conv1  4×224×224             1      3",
        "   2  relu1  4×224×224             1      3  default",
        "   3  conv2  4×224×224             1      5",
    ]
    assert [layer["default"] for layer in json.loads(cli("layers tiny --json").stdout)] == [False, True, False]


def test_weights_that_are_missing_are_named_with_the_command(cli: Cli, tree: Any) -> None:
    assert cli("weights list").stdout == "missing, `dreamd weights fetch NAME` brings it:\n  far\n"
    assert cli("weights list far").stdout.startswith(f"far  missing            {tree.root}/weights/far.")
    result = cli("weights verify far")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        1, "far: missing; `dreamd weights fetch far` brings them",
    )  # fmt: skip
    assert cli("weights verify").exit_code == 0
    assert cli("weights fetch far").exit_code == 1


def test_one_plugin_whose_weights_are_wrong_keeps_nobody_from_the_others(
    cli: Cli, tree: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "wrong.py").write_text(
        "from dreamd.api import Download, hookimpl\n"
        "def wrong(name): ...\n"
        "def source(name): return Download(url='http://127.0.0.1:1/a.pth', sha256='nonsense')\n"
        "@hookimpl\ndef dreamd_backbones(register): register('wrong', wrong, weights=source)\n"
    )
    (tmp_path / "config.yaml").write_text(f"inbox: inbox\nplugins: {{engine: [{tmp_path}, {tree.root}/plugins]}}\n")
    result = cli(f"weights list --json --config {tmp_path}/config.yaml")
    names = {row["backbone"] for row in json.loads(result.stdout)}
    assert {"far", "vgg19", "mnasnet0_5", "shufflenet_v2_x1_0"} <= names
    assert "wrong" not in names
    assert [record.getMessage() for record in caplog.records if record.name == "dreamd.commands.weights"] == [
        "wrong: 'nonsense' is no SHA-256: give its 64 hex digits, the first 8 of them, or none"
    ]


def test_names_are_data_whatever_is_in_them(tmp_path: Path) -> None:
    config = config_of(tmp_path, b"a\nb.png", b"\x1b[2J.png", b"\xff.png", "ü.png".encode())
    code, out, errors = ended(start(["jobs", "--config", config]))
    assert (code, errors) == (0, "")
    assert [line.split()[-1] for line in out.splitlines()] == ["ü.png", "\\udcff.png", "\\x1b[2J.png", "a\\nb.png"]
    names = [job["picture"] for job in json.loads(ended(start(["jobs", "--json", "--config", config]))[1])]
    assert [os.fsencode(name) for name in names] == ["ü.png".encode(), b"\xff.png", b"\x1b[2J.png", b"a\nb.png"]


def test_a_terminal_that_knows_few_letters_gets_the_others_escaped(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    with Journal.open(tmp_path / "state" / "journal.sqlite3") as journal:
        journal.save([Job(id="1", folder=PurePosixPath(), name="a.png", state=JobState.DONE, result="a.png")])
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    code, out, errors = ended(start(["jobs", "--config", config], env=environment))
    assert (code, errors, out.split()[-2:]) == (0, "", ["\\u2192", "a.png"])


def test_a_config_whose_name_is_no_text_is_named_all_the_same(tmp_path: Path) -> None:
    code, _, errors = ended(start(["status", "--config", os.fsencode(tmp_path) + b"/no\xff\n.yaml"]))
    assert code == 2
    assert "no\\udcff" in errors
    assert "Traceback" not in errors


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    config = config_of(tmp_path, *(f"{number}.png".encode() for number in range(2000)))
    process = start(["jobs", "--limit", "2000", "--config", config])
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait(60) == 0


def test_a_full_disk_under_stdout_is_told_in_a_line(tmp_path: Path) -> None:
    config = config_of(tmp_path, b"a.png")
    with Path("/dev/full").open("wb") as full:
        code, _, errors = ended(start(["jobs", "--config", config], stdout=full))
    assert (code, errors) == (1, "dreamd: No space left on device\n")


# Work


def test_init_says_what_it_made_and_what_comes_next(cli: Cli, tmp_path: Path) -> None:
    result = cli(f"init '{tmp_path}/my tree'")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert f"{tmp_path}/my tree/config.yaml" in lines
    assert f"{tmp_path}/my tree/inbox/recipe.yaml" in lines
    assert lines[-2:] == [
        f"Next: dreamd run --config '{tmp_path}/my tree/config.yaml'",
        f"then drop a picture into {tmp_path}/my tree/inbox.",
    ]


@pytest.mark.slow
def test_drain_shows_bars_on_a_terminal_with_the_log_above_them(make: Callable[..., Any], tmp_path: Path) -> None:
    tree = make(tmp_path / "tree")
    tree.drop("one.png")
    tree.drop("text.png", b"no picture at all")
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "24"}
    process = start(["drain", "--config", tree.config], stdout=child, stderr=child, stdin=child, env=environment)
    os.close(child)
    shown = b""
    try:
        while piece := os.read(parent, 65536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(parent)
    assert process.wait(60) == 1
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "2 of 2" in text
    (done,) = [line for line in text.replace("\r", "\n").split("\n") if "one.png dreamed in" in line]
    assert re.fullmatch(r"\d\d:\d\d:\d\d one\.png dreamed in [\d.]+ s → one\.png *", done)


@pytest.mark.slow
def test_drain_without_a_terminal_draws_nothing_and_ends_with_0(make: Callable[..., Any], tmp_path: Path) -> None:
    tree = make(tmp_path / "tree")
    tree.drop("one.png")
    code, out, errors = ended(start(["drain", "--config", tree.config]))
    assert (code, out) == (0, "")
    assert "\x1b" not in errors
    assert "one.png dreamed in" in errors


@pytest.mark.slow
def test_ctrl_c_ends_a_dream_without_a_result_or_a_traceback(tree: Any, tmp_path: Path) -> None:
    picture, gate = tmp_path / "in.png", tmp_path / "gate"
    picture.write_bytes(tree.picture(width=13))
    recipe = tmp_path / "slow.yaml"
    recipe.write_text(
        f"backbone: {{name: tiny, weights: random}}\nschedule: {{name: moody, mood: wait, gate: {gate}}}\n"
    )
    out = tmp_path / "out.png"
    process = start(["dream", picture, out, "--recipe", recipe, "--plugins", tree.root / "plugins", "--device", "cpu"])
    tree.wait_for(Path(f"{gate}.waiting").exists, "the dream to begin")
    process.send_signal(signal.SIGINT)
    code, printed, errors = ended(process)
    assert (code, printed) == (1, "hello from a plugin\n")
    assert errors.endswith("Aborted!\n")
    assert "Traceback" not in errors
    assert list(tmp_path.glob("*out.png*")) == []


# Plugins


def test_a_new_plugin_is_checked_tried_and_listed(
    cli: Cli, make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make(tmp_path / "new")
    monkeypatch.chdir(tree.root)
    made = cli("plugins new brand_new")
    assert made.stdout.splitlines()[0] == "plugins/brand_new.py"
    assert "Next: dreamd plugins check " in made.stdout
    assert re.search(r"^ {17}brand_new +\S", cli("plugins list").stdout, re.MULTILINE)
    (tree.root / "cat.png").write_bytes(tree.picture(48, 40))
    tried = cli("plugins try plugins/brand_new.py --on cat.png --set ascent.iterations=1")
    assert tried.exit_code == 0, tried.output
    assert re.fullmatch(r"cat-brand_new\.png  \([0-9.]+ s, \w+, \w+\)\n", tried.stdout)
    sidecar = json.loads((tree.root / "cat-brand_new.png.json").read_text())
    assert sidecar["recipe"]["loss"] == {"name": "brand_new"}
    assert sidecar["versions"]["brand_new"].startswith("sha256:")
    assert "tiny" not in sidecar["versions"]


@pytest.mark.slow
def test_a_check_tells_each_clause_and_ends_with_1_when_one_is_broken(cli: Cli, tmp_path: Path) -> None:
    made = cli(f"plugins new mine --in {tmp_path}")
    assert made.exit_code == 0
    tmp_path.chmod(0o755)
    good = cli(f"plugins check {tmp_path}/mine.py")
    assert (good.exit_code, good.stderr) == (0, ""), good.output
    assert good.stdout.startswith("ok    loss mine is documented, with every parameter\n")
    file = tmp_path / "mine.py"
    file.write_text(file.read_text().replace(".mean(1)", ".mean()"))
    broken = cli(f"plugins check {tmp_path}/mine.py")
    assert broken.exit_code == 1
    assert (
        "FAIL  loss mine (gives one value a picture): loss 'mine' of plugin 'mine' returned a tensor" in broken.stderr
    )
    told = json.loads(cli(f"plugins check {tmp_path}/mine.py --json").stdout)
    assert {item["subject"] for item in told} == {"loss mine", "plugin mine"}
    assert told[0]["failure"] is None
    assert any(item["failure"] for item in told)
