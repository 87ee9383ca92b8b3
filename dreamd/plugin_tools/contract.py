"""The contract: what every plugin must keep, as checks that say in words what is broken.

`dreamd plugins check` runs them, and so does pytest through `dreamd.testing`. Networks and pictures are tiny, so that
all of it takes seconds on a processor. Runs where torch is.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from dreamd.errors import PluginError, UnknownNameError, UsageError
from dreamd.plugin_host.calling.blame import TookTooLongError, describe_error
from dreamd.plugin_host.calling.time_limit import time_limit
from dreamd.plugin_host.host import Registered
from dreamd.plugin_tools.clauses import clauses_of
from dreamd.plugin_tools.fresh_process import dream_in_worker, load_in_daemon, recipe_with
from dreamd.plugin_tools.target import Target, find_target

_CHECK_SECONDS = 120.0
"""The time that one check may take, in seconds: the pictures are tiny, so that a longer one hangs."""


@dataclass(frozen=True)
class Check:
    """One clause of the contract for one thing that a plugin brings.

    Attributes:
        subject: the thing: "loss contrast".
        words: what is checked: "gives one value a picture".
        work: raises PluginError, or whatever the plugin raises, when it does not.
    """

    subject: str
    words: str
    work: Callable[[], None]

    def run(self) -> str | None:
        """Run it; return what is wrong, in words, or None when all is well."""
        try:
            hangs = "it hangs: a check of a tiny picture was not over"
            with redirect_stdout(sys.stderr), time_limit(_CHECK_SECONDS, hangs):
                self.work()
        except (Exception, SystemExit, TookTooLongError) as error:  # noqa: BLE001 (a plugin may raise anything)
            return describe_error(error)
        return None


def devices() -> list[torch.device]:
    """Return what to check on: the processor, and a GPU where there is one."""
    return [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]


def checks_of(
    plugin: str | Path, *, names: Collection[str] = (), samples: Sequence[Path] = (), device: torch.device | None = None
) -> list[Check]:
    """Return every clause for everything that a plugin brings.

    Names that share one function are one thing, of which the first is checked.

    Args:
        plugin: a drop-in file, or the name of an installed plugin.
        names: check these of its names alone; a family of backbones (`timm/*`) needs one to be told.
        samples: picture files, for a decoder.
        device: what to check on; None: the processor.

    Raises:
        UsageError: there is no such plugin, or it brings nothing of those names.
    """
    target = find_target(plugin)
    try:
        registered = target.registered(target.load())
    except PluginError as error:
        return [Check(f"plugin {target.name}", "loads", partial(_raise, error))]
    chosen = _chosen(registered, names)
    on = device or torch.device("cpu")
    checks = [
        Check(f"{item.entry.kind} {name}", words, run)
        for item, name in chosen
        for words, run in clauses_of(item, name, on, samples)
    ]
    return checks if on.type == "cuda" else [*checks, _in_a_fresh_process(target, chosen, samples)]


def _in_a_fresh_process(target: Target, chosen: Sequence[tuple[Registered, str]], samples: Sequence[Path]) -> Check:
    """Return the clause of the plugin as a whole."""
    of_plugin = f"plugin {target.name}"
    if target.group == "dreamd.daemon":
        return Check(of_plugin, "loads in a fresh process, without torch", partial(load_in_daemon, target))
    entries = [item.entry for item, _ in chosen]
    recipes = [recipe for item, name in chosen if (recipe := recipe_with(item, name)) is not None]
    work = partial(dream_in_worker, target, entries, recipes, samples)
    return Check(of_plugin, "loads and dreams in a fresh worker", work)


def run_checks(
    plugin: str, *, names: Collection[str] = (), samples: Sequence[Path] = ()
) -> Iterator[tuple[Check, str | None]]:
    """Run every check of a plugin on every device there is; return each with what is wrong, as `Check.run` says it.

    Raises:
        UsageError: as `checks_of`.
    """
    for device in devices():
        for check in checks_of(plugin, names=names, samples=samples, device=device):
            yield check, check.run()


def _raise(error: Exception) -> None:
    raise error


def _chosen(registered: Sequence[Registered], names: Collection[str]) -> list[tuple[Registered, str]]:
    if names:
        chosen = [(item, name) for name in names for item in registered if item.entry.matches(name)]
        if len({name for _, name in chosen}) < len(set(names)):
            known = [item.entry.name for item in registered]
            raise UnknownNameError("thing of this plugin", next(iter(set(names) - {n for _, n in chosen})), known)
        return chosen
    firsts = {(item.entry.kind, inspect.unwrap(item.function)): item for item in reversed(registered)}
    chosen = [(item, item.entry.name) for item in registered if item in firsts.values()]
    if families := [name for _, name in chosen if "*" in name]:
        raise UsageError(f"{families[0]} is a family of backbones: name one to check, `--only {families[0][:-1]}NAME`")
    return chosen
