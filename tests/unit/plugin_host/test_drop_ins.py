"""Drop-ins of more than one file: helpers beside a file, folders, data; and what of it changes a plugin's version."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from dreamd.plugin_host.finding.discovery import stamp_of
from dreamd.plugin_host.finding.drop_ins import find_drop_ins
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind

LOSS = """
from dreamd.api import hookimpl
{imports}

@hookimpl
def dreamd_losses(register):
    register("{name}", {function})
"""

HELPER = "def helped(activation):\n    '''From a helper.'''\n    return 'helped'\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "plugins")


def make_folder(path: Path) -> Path:
    path.mkdir(mode=0o755)
    return path


def write(file: Path, text: str) -> Path:
    for missing in [parent for parent in reversed(file.parents) if not parent.exists()]:
        missing.mkdir(mode=0o755)
    file.write_text(dedent(text), encoding="utf-8")
    file.chmod(0o644)
    return file


def write_loss(file: Path, imports: str, function: str = "helped") -> Path:
    name = file.parent.name if file.name == "__init__.py" else file.stem
    return write(file, LOSS.format(imports=imports, name=name, function=function))


def result_of(name: str, *folders: Path) -> object:
    """What the loss of a name returns, as a plugin's own function."""
    plugins = Plugins("dreamd.engine", folders=folders, only={name})
    assert [problem.reason for problem in plugins.catalogue.problems] == []
    return plugins.get(Kind.LOSS, name).function.__wrapped__("activation")  # type: ignore[attr-defined]


def reasons(*folders: Path) -> dict[str, str]:
    problems = Plugins("dreamd.engine", folders=folders).catalogue.problems
    return {problem.plugin: problem.reason for problem in problems}


# Helpers beside a file


@pytest.mark.parametrize("imports", ["from _helper import helped", "import _helper\nhelped = _helper.helped"])
@pytest.mark.parametrize("helper", ["_helper.py", "_helper/__init__.py"])
def test_a_file_imports_a_helper_beside_it(folder: Path, imports: str, helper: str) -> None:
    write(folder / helper, HELPER)
    write_loss(folder / "mine.py", imports)
    assert result_of("mine", folder) == "helped"


def test_a_helper_is_found_when_it_is_imported_late_and_by_another_helper(folder: Path) -> None:
    write(folder / "_deep.py", HELPER)
    write(
        folder / "_helper.py", "def helped(activation):\n    from _deep import helped\n    return helped(activation)\n"
    )
    write_loss(
        folder / "mine.py", "def late(activation):\n    import _helper\n    return _helper.helped(activation)", "late"
    )
    assert result_of("mine", folder) == "helped"


def test_a_helper_is_there_for_the_code_of_its_folder_alone(folder: Path) -> None:
    write(folder / "_only_for_plugins.py", HELPER)
    write_loss(folder / "mine.py", "import _only_for_plugins", "_only_for_plugins.helped")
    assert result_of("mine", folder) == "helped"
    del sys.modules["_only_for_plugins"]
    with pytest.raises(ModuleNotFoundError):
        import _only_for_plugins  # noqa: F401


def test_a_changed_helper_is_imported_anew(folder: Path) -> None:
    helper = write(folder / "_helper.py", HELPER)
    write_loss(folder / "mine.py", "from _helper import helped")
    assert result_of("mine", folder) == "helped"
    helper.write_text(HELPER.replace("'helped'", "'changed'"))
    assert result_of("mine", folder) == "changed"


def test_each_load_has_the_helpers_of_its_own_folders(folder: Path, tmp_path: Path) -> None:
    other = make_folder(tmp_path / "other")
    write(folder / "_helper.py", HELPER)
    write(other / "_helper.py", HELPER.replace("'helped'", "'other'"))
    for place in (folder, other):
        write_loss(place / "mine.py", "from _helper import helped")
    assert (result_of("mine", folder), result_of("mine", other)) == ("helped", "other")


def test_two_helpers_of_one_name_are_one_too_many(folder: Path, tmp_path: Path) -> None:
    other = make_folder(tmp_path / "other")
    for place, name in ((folder, "mine"), (other, "yours")):
        write(place / "_helper.py", HELPER)
        write_loss(place / f"{name}.py", "from _helper import helped")
    assert reasons(folder, other) == {
        "mine": f"{folder}/_helper.py has the name of {other}/_helper.py; give one of the helpers another name",
        "yours": f"{other}/_helper.py has the name of {folder}/_helper.py; give one of the helpers another name",
    }


def test_a_helper_with_a_name_of_pythons_own_is_refused(folder: Path) -> None:
    write(folder / "_json.py", HELPER)
    write_loss(folder / "mine.py", "from _json import helped")
    expected = f"{folder}/_json.py has the name of a module of Python's; give the helper another name"
    assert reasons(folder) == {"mine": expected}


# Folders


@pytest.mark.parametrize("imports", ["from .parts import helped", "from . import parts\nhelped = parts.helped",
                                     "from .deep.parts import helped"])  # fmt: skip
def test_a_folder_is_one_plugin(folder: Path, imports: str) -> None:
    for part in ("parts.py", "deep/__init__.py", "deep/parts.py"):
        write(folder / "mine" / part, HELPER)
    write_loss(folder / "mine" / "__init__.py", imports)
    assert result_of("mine", folder) == "helped"
    entry = Plugins("dreamd.engine", folders=[folder]).get(Kind.LOSS, "mine").entry
    assert (entry.plugin, entry.origin) == ("mine", str(folder / "mine"))


def test_a_folder_reads_its_data_and_the_helpers_beside_it(folder: Path) -> None:
    write(folder / "_helper.py", HELPER)
    write(folder / "mine" / "word.txt", "data")
    write_loss(
        folder / "mine" / "__init__.py",
        """
from importlib.resources import files
from pathlib import Path
import _helper
def both(activation):
    beside = Path(__file__).with_name("word.txt").read_text()
    return beside, files(__package__).joinpath("word.txt").read_text(), _helper.helped(activation)
""",
        "both",
    )
    assert result_of("mine", folder) == ("data", "data", "helped")


def test_a_package_that_is_installed_from_the_folder_is_no_drop_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "installed_from_here" / "__init__.py", "")
    (found,) = find_drop_ins([folder])
    monkeypatch.syspath_prepend(folder)
    assert list(find_drop_ins([folder])) == []
    assert found.parent.name == "installed_from_here"


def test_the_line_of_a_part_is_named_in_an_error(folder: Path) -> None:
    write(folder / "mine" / "parts.py", "x = 1\n1 / 0\n")
    write_loss(folder / "mine" / "__init__.py", "from .parts import helped")
    assert reasons(folder) == {"mine": "ZeroDivisionError: division by zero (parts.py:2)"}
    assert not [name for name in sys.modules if name.startswith("dreamd_dropin_mine")]


def test_a_folder_that_a_link_leads_to_is_a_plugin_too(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "checkout" / "parts.py", HELPER)
    write_loss(tmp_path / "checkout" / "__init__.py", "from .parts import helped")
    (tmp_path / "checkout").rename(tmp_path / "mine")
    write_loss(tmp_path / "mine" / "__init__.py", "from .parts import helped")
    (folder / "mine").symlink_to(tmp_path / "mine")
    assert result_of("mine", folder) == "helped"


WITHOUT_A_DOT = "a drop-in file imports a helper beside it without a dot: `import _helper`"
WITH_AN_UNDERSCORE = "what a drop-in imports from beside it needs a name that begins with _: `import _helper`"
WITH_A_DOT = "a drop-in folder imports its own files with a dot: `from .file import …`"


@pytest.mark.parametrize(
    ("file", "imports", "hint"),
    [
        ("mine.py", "from ._helper import helped", WITHOUT_A_DOT),
        ("mine.py", "import helper", WITH_AN_UNDERSCORE),
        ("mine/__init__.py", "import mine.parts", WITH_A_DOT),
    ],
)
def test_an_import_that_cannot_work_says_what_to_write(folder: Path, file: str, imports: str, hint: str) -> None:
    write(folder / "helper.py", "import nothing_at_all")
    write_loss(folder / file, imports)
    assert reasons(folder)["mine"].endswith(hint)


# Who could have written it


@pytest.mark.parametrize("open_path", ["_helper.py", "_lib", "_lib/parts.py", "mine/parts.py", "mine"])
def test_no_part_is_run_that_others_could_have_written(folder: Path, open_path: str) -> None:
    for part in ("_helper.py", "_lib/__init__.py", "_lib/parts.py", "mine/parts.py"):
        write(folder / part, HELPER)
    write_loss(
        folder / "mine" / "__init__.py", "import _helper\nfrom _lib.parts import helped\nfrom .parts import helped"
    )
    assert reasons(folder) == {}
    (folder / open_path).chmod((folder / open_path).stat().st_mode | 0o020)
    assert f"{folder / open_path} can be written by others" in reasons(folder)["mine"]


def test_what_lies_in_pycache_is_not_run(folder: Path) -> None:
    part = write(folder / "mine" / "parts.py", HELPER)
    write_loss(folder / "mine" / "__init__.py", "from .parts import helped")
    before = part.stat()
    planted = write(folder / "planted.py", HELPER.replace("'helped'", "'stolen'"))
    planted.write_text(planted.read_text().ljust(before.st_size)[: before.st_size])
    import py_compile

    os.utime(planted, ns=(before.st_atime_ns, before.st_mtime_ns))
    part.write_text(planted.read_text())
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    py_compile.compile(str(part))
    planted.unlink()
    part.write_text(HELPER)
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert result_of("mine", folder) == "helped"


# Versions and changes


def version(folder: Path) -> str:
    return Plugins("dreamd.engine", folders=[folder]).get(Kind.LOSS, "mine").entry.version


@pytest.mark.parametrize("is_folder", [False, True])
def test_every_part_of_a_plugin_changes_its_version_and_has_it_loaded_anew(folder: Path, is_folder: bool) -> None:
    main = write_loss(folder / ("mine/__init__.py" if is_folder else "mine.py"), "import _helper", "_helper.helped")
    parts = [main, write(folder / "_helper.py", HELPER), write(folder / "_lib" / "__init__.py", "")]
    parts += [write(folder / "_lib" / "table.json", "{}")]
    if is_folder:
        parts += [write(folder / "mine" / "deep" / "parts.py", ""), write(folder / "mine" / "data.bin", "1")]
    seen = {(version(folder), stamp_of([folder]))}
    changes: list[Callable[[], object]] = [lambda part=part: part.write_text(f"{part.read_text()} ") for part in parts]  # type: ignore[misc]
    changes += [lambda: write(folder / "_new.py", ""), (folder / "_new.py").unlink]
    for number, change in enumerate(changes):
        change()
        seen.add((version(folder), stamp_of([folder])))
        is_back = number == len(changes) - 1
        assert len({one for one, _ in seen}) == len({one for _, one in seen}) == number + 2 - is_back


def test_a_file_without_helpers_has_the_version_that_it_always_had(folder: Path) -> None:
    write_loss(folder / "mine.py", "def f(a): return a", "f")
    before = version(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").touch()
    write_loss(folder / "other.py", "def f(a): return a", "f")
    assert version(folder) == before


def test_a_pipe_in_a_plugins_folder_is_not_waited_for(folder: Path) -> None:
    write_loss(folder / "mine" / "__init__.py", "def f(a): return a", "f")
    os.mkfifo(folder / "mine" / "pipe")
    assert version(folder).startswith("sha256:")
