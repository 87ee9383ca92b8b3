"""The guard around a plugin's function: what goes wrong in it is told with its plugin's name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from dreamd.errors import PluginError
from dreamd.plugin_host.calling.blame import describe_error, is_plugins_fault
from dreamd.plugin_host.calling.results import Inspector, finite


def guarded(function: Callable[..., Any], label: str, inspector: Inspector | None = None) -> Callable[..., Any]:
    """Return the same function, whose errors are PluginErrors that begin with the label.

    dreamd's own errors pass as they are, and so do those of a machine that ran out of memory or lost its GPU.

    Args:
        function: a plugin's function.
        label: what it is and whose: "loss 'contrast' of plugin 'mine'".
        inspector: looks at what it returns.
    """

    @wraps(function)
    def call(*arguments: Any, **parameters: Any) -> Any:
        try:
            result = function(*arguments, **parameters)
        except (Exception, SystemExit) as error:
            if not is_plugins_fault(error):
                raise
            raise PluginError(f"{label}: {describe_error(error, _file_of(function))}") from error
        return inspector(label, arguments, result) if inspector else result

    if (sums := getattr(call, "dreamd_sums", None)) is not None:
        part, finish = (guarded(half, label, finite) for half in (sums.part, sums.finish))
        call.dreamd_sums = replace(sums, part=part, finish=finish)  # type: ignore[attr-defined]
    return call


def _file_of(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_filename if code else ""
