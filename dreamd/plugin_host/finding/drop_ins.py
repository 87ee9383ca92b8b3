"""Drop-in plugins: a file `NAME.py`, or a folder `NAME/` with an `__init__.py`, and the helpers `_NAME` beside them.

Their code is run only where nobody but its owner (or root) could have written it, and never from `__pycache__`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import cast

from dreamd.errors import PluginError

_PREFIX = "dreamd_dropin_"
"""What the name of a drop-in's module begins with: a drop-in `json.py` must not become the module `json`."""


def find_drop_ins(folders: Sequence[Path]) -> Iterator[Path]:
    """Find the drop-ins of folders: their files `NAME.py`, and the `__init__.py` of their folders `NAME/`.

    A package that Python imports from there anyway is an installed plugin's, and no drop-in: so it is in a checkout of
    dreamd, or of a plugin, that is installed to be edited.
    """
    for folder in folders:
        files = [*folder.glob("[!_.]*.py"), *folder.glob("[!_.]*/__init__.py")]
        yield from sorted((file for file in files if not _is_installed(file)), key=name_of)


def _is_installed(drop_in: Path) -> bool:
    name = name_of(drop_in)
    if drop_in.name != "__init__.py" or not name.isidentifier():
        return False
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == drop_in.resolve()


def name_of(drop_in: Path) -> str:
    """Return a drop-in's name: its file's without the ending, or its folder's."""
    return home_of(drop_in).stem if drop_in.name != "__init__.py" else home_of(drop_in).name


def home_of(drop_in: Path) -> Path:
    """Return what a person would call the drop-in: the file, or the folder whose `__init__.py` it is."""
    return drop_in.parent if drop_in.name == "__init__.py" else drop_in


def parts_of(drop_in: Path) -> list[Path]:
    """Return the files that a drop-in is made of: its own, those of its folder, and the helpers beside it."""
    home = home_of(drop_in)
    return sorted({drop_in, *_files_below([home, *_helpers(home.parent)])})


def paths_of(folder: Path) -> Iterator[Path]:
    """Return a folder of plugins, and every file and folder in it that plugins are made of."""
    yield folder
    for home in sorted({*map(home_of, find_drop_ins([folder])), *_helpers(folder)}):
        yield home
        if home.is_dir():
            yield from _below(home)


def digest_of(drop_in: Path) -> str:
    """Return the version of a drop-in, which is the content of its parts; empty when they cannot be read."""
    parts = parts_of(drop_in)
    try:
        if parts == [drop_in]:
            return _short(hashlib.sha256(drop_in.read_bytes()))
        whole = hashlib.sha256()
        root = home_of(drop_in).parent
        for part in parts:
            whole.update(os.fsencode(part.relative_to(root)) + b"\0" + hashlib.sha256(part.read_bytes()).digest())
        return _short(whole)
    except OSError:
        return ""  # `load_drop_in` says why


def forget_helpers() -> None:
    """Have every helper imported anew: its file may have changed, or lie in another folder now."""
    for name, module in list(sys.modules.items()):
        if not name.startswith(_PREFIX) and isinstance(getattr(module, "__loader__", None), _Loader):
            del sys.modules[name]


def load_drop_in(drop_in: Path, folders: Sequence[Path]) -> ModuleType:
    """Import a drop-in.

    Args:
        drop_in: its file, as `find_drop_ins` gives it.
        folders: all the folders that drop-ins are loaded from.

    Raises:
        PluginError: somebody else could have written it, or two folders have a helper of one name.
    """
    home = home_of(drop_in)
    _check_helpers(home.parent, folders)
    name = f"{_PREFIX}{name_of(drop_in)}"
    loader = _Loader(name, str(drop_in), home.parent)
    spec = importlib.util.spec_from_file_location(
        name, drop_in, loader=loader, submodule_search_locations=[str(home)] if home != drop_in else None
    )
    assert spec is not None
    _forget(name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except BaseException as error:
        _forget(name)
        if isinstance(error, ImportError) and (hint := _hint(error, drop_in)):
            error.add_note(hint)
        raise
    return module


class _Loader(SourceFileLoader):
    """Runs a source file below a folder of plugins, and only what nobody else could have written."""

    def __init__(self, name: str, path: str, root: Path) -> None:
        super().__init__(name, path)
        self.root = root

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source itself: what lies in `__pycache__` others may be able to write."""
        path = Path(self.get_filename(fullname))
        folders = [folder for folder in path.parents if folder == self.root or self.root in folder.parents]
        for each in {path.resolve(): None, **dict.fromkeys(folders), path.resolve().parent: None}:
            _check_written_by_owner(each)
        return self.source_to_code(self.get_data(str(path)), str(path))


class _SubmoduleFinder(MetaPathFinder):
    """Finds what a drop-in's or a helper's folder holds. Comes first: Python's own finder would use `__pycache__`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        parent = sys.modules.get(fullname.rpartition(".")[0])
        loader = getattr(parent, "__loader__", None)
        if path is None or not isinstance(loader, _Loader):
            return None
        for folder in path:
            if spec := _find(fullname, Path(folder), loader.root):
                return spec
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


class _HelperFinder(MetaPathFinder):
    """Finds `import _helper` for code of a folder of plugins. Comes last: it takes no name from anybody else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        if path is not None or not _is_helper_name(fullname):
            return None
        root = _root_of_importer()
        return None if root is None else _find(fullname, root, root)


sys.meta_path.insert(0, _SubmoduleFinder())
sys.meta_path.append(_HelperFinder())


def _find(fullname: str, folder: Path, root: Path) -> ModuleSpec | None:
    loader = cast("type[_Loader]", partial(_Loader, root=root))  # called as the class would be
    spec = FileFinder(str(folder), (loader, [".py"])).find_spec(fullname)
    return None if spec is None or spec.loader is None else spec


def _root_of_importer() -> Path | None:
    """Return the folder of plugins of the code that is importing right now; None for other code."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("importlib", "dreamd"):
        frame = frame.f_back
    loader = frame.f_globals.get("__loader__") if frame is not None else None
    return loader.root if isinstance(loader, _Loader) else None


def deny_others(path: Path) -> None:
    """Let nobody else write there, whatever the umask says: plugins that others could write are not run."""
    path.chmod(path.stat().st_mode & 0o7755)


def _forget(name: str) -> None:
    for each in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        del sys.modules[each]


def _is_helper_name(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _helpers(folder: Path) -> list[Path]:
    """Return the helpers of a folder of plugins: files `_NAME.py`, and folders `_NAME/` with an `__init__.py`."""
    found = [*folder.glob("_*.py"), *(file.parent for file in folder.glob("_*/__init__.py"))]
    return sorted(path for path in found if _is_helper_name(path.name))


def _check_helpers(root: Path, folders: Sequence[Path]) -> None:
    """Refuse helpers of which Python could not tell which one a name means."""
    for helper in _helpers(root):
        if helper.stem in sys.stdlib_module_names:
            raise PluginError(f"{helper} has the name of a module of Python's; give the helper another name")
        for other in folders:
            twins = [twin for twin in _helpers(other) if twin.stem == helper.stem and twin != helper]
            if twins:
                raise PluginError(f"{helper} has the name of {twins[0]}; give one of the helpers another name")


def _files_below(paths: Iterable[Path]) -> Iterator[Path]:
    """Return the paths that are no folders, and the regular files below those that are."""
    for path in paths:
        yield from (each for each in _below(path) if each.is_file()) if path.is_dir() else [path]


def _below(folder: Path) -> Iterator[Path]:
    """Return every file and folder below a folder, but for what Python and the system leave there."""
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if name != "__pycache__" and not name.startswith("."))
        yield from (Path(parent, name) for name in names)
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


def _hint(error: ImportError, drop_in: Path) -> str:
    """Say what to write instead of an import that does not work in a drop-in."""
    home, wanted = home_of(drop_in), (error.name or "").partition(".")[0]
    if "no known parent package" in str(error):
        return "a drop-in file imports a helper beside it without a dot: `import _helper`"
    if home != drop_in and wanted == home.name:
        return "a drop-in folder imports its own files with a dot: `from .file import …`"
    if wanted and any((home.parent / name).exists() for name in (f"{wanted}.py", wanted)):
        return f"what a drop-in imports from beside it needs a name that begins with _: `import _{wanted}`"
    return ""


def _short(digest: hashlib._Hash) -> str:
    return f"sha256:{digest.hexdigest()[:16]}"


def _check_written_by_owner(path: Path) -> None:
    status = path.stat()
    if status.st_uid not in (0, os.getuid()) or status.st_mode & 0o022:
        raise PluginError(
            f"{path} can be written by others, who could run code through it; "
            f"do `chmod go-w {path}` and see that {'you' if os.getuid() else 'root'} own it"
        )
