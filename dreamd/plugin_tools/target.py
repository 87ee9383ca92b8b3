"""One plugin by itself: a drop-in, or an installed one by its name, loaded alone beside dreamd's own."""

from __future__ import annotations

import ast
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from dreamd.errors import PluginError, UnknownNameError, UsageError
from dreamd.plugin_host.finding.drop_ins import find_drop_ins, name_of
from dreamd.plugin_host.hookspecs import DaemonHooks, EngineHooks
from dreamd.plugin_host.host import Plugins, Registered
from dreamd.plugin_host.kinds import GROUPS, Group


@dataclass(frozen=True, kw_only=True)
class Target:
    """A plugin to check: a drop-in, or an installed one by its name.

    Attributes:
        name: the plugin's name.
        group: the entry-point group that it belongs to.
        folders: the folder that it lies in; none for an installed one.
    """

    name: str
    group: Group
    folders: tuple[Path, ...]

    def load(self) -> Plugins:
        """Load it alone, beside dreamd's own."""
        with redirect_stdout(sys.stderr):  # what a plugin prints is no part of a command's output, which may be JSON
            return Plugins(self.group, folders=self.folders, only={self.name})

    def registered(self, plugins: Plugins) -> list[Registered]:
        """Return what it brings. Raises PluginError when it cannot be loaded."""
        for problem in plugins.catalogue.problems:
            if problem.plugin == self.name and (not self.folders or Path(problem.origin).parent in self.folders):
                raise PluginError(problem.reason)
        entries = [entry for entry in plugins.catalogue.entries if entry.plugin == self.name]
        return [plugins.get(entry.kind, entry.name) for entry in entries]


def find_target(plugin: str | Path) -> Target:
    """Find the plugin of a file or of a name.

    Raises:
        UsageError: there is no such file, or it is not called as a drop-in must be.
        UnknownNameError: nobody has installed a plugin of that name.
    """
    if isinstance(plugin, Path) or plugin.endswith(".py") or "/" in plugin:
        file = Path(plugin)
        main = file / "__init__.py" if file.is_dir() else file
        if not main.is_file():
            raise UsageError(f"{plugin}: there is no such file")
        if main not in find_drop_ins([file.parent]):
            what = "a file NAME.py, or a folder NAME/ with an __init__.py"
            raise UsageError(f"{plugin}: a drop-in plugin is {what}, whose name does not begin with _")
        return Target(name=name_of(main), group=_group_of(main), folders=(file.parent.absolute(),))
    names = {point.name: group for group in GROUPS for point in entry_points(group=group)}
    if plugin not in names:
        raise UnknownNameError("plugin", plugin, [*names, "a file NAME.py", "a folder ./NAME/"])
    return Target(name=plugin, group=names[plugin], folders=())


def _group_of(file: Path) -> Group:
    """Tell the group by the hooks that stand in the file, without running it."""
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError):
        return "dreamd.engine"  # whose loading then says what is wrong
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    functions |= {
        alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    is_daemons = functions & vars(DaemonHooks).keys() and not functions & vars(EngineHooks).keys()
    return "dreamd.daemon" if is_daemons else "dreamd.engine"
