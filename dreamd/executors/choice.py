"""The executor that a config chooses, made with the parameters that the config gives. Knows plugins and no seats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreamd.errors import ConfigError, DreamdError, FieldPath, PluginError, RecipeError
from dreamd.executors.executor import ExecutorContext
from dreamd.executors.guarded import GuardedExecutor
from dreamd.plugin_host.calling.blame import describe_error
from dreamd.plugin_host.host import Plugins, Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.config import Config
from dreamd.settings.yamlfile import read_document
from dreamd.wording import suggestion

_FIELD: FieldPath = ("workers", "executor")


def make_executor(plugins: Plugins, context: ExecutorContext) -> GuardedExecutor:
    """Make the executor that the config chooses.

    Raises:
        ConfigError: no plugin brings it, or a parameter of it is not what it should be.
        PluginError: its plugin raises.
    """
    registered = executor_of(plugins, context.config)
    label = f"executor {registered.entry.name!r} of plugin {registered.entry.plugin!r}"
    try:
        made = registered.function(context, **context.config.workers.executor.parameters)
    except DreamdError:
        raise
    except Exception as error:  # it is a plugin's: it may raise anything
        raise PluginError(f"{label}: {describe_error(error)}") from error
    return GuardedExecutor(made, label)


def executor_of(plugins: Plugins, config: Config) -> Registered:
    """Return what makes the executor that the config chooses, whose parameters are checked. Raises ConfigError."""
    choice = config.workers.executor
    try:
        registered = plugins.get(Kind.EXECUTOR, choice.name)
    except DreamdError as error:
        raise _located(config, str(error), _FIELD) from error
    _check_parameters(registered, config, choice.parameters)
    return registered


def _check_parameters(registered: Registered, config: Config, values: Mapping[str, Any]) -> None:
    known = {parameter.name: parameter for parameter in registered.entry.parameters}
    for name, value in values.items():
        if name not in known:
            problem = f"{registered.entry.name} has no parameter {name!r}; {suggestion(name, known)}"
            raise _located(config, problem, (*_FIELD, name))
        try:
            known[name].check(value, (*_FIELD, name))
        except RecipeError as error:
            raise _located(config, error.problem, error.field) from error
    for name, parameter in known.items():
        if parameter.required and name not in values:
            raise _located(config, f"{registered.entry.name} needs `{name}`: {parameter.doc}", _FIELD)


def _located(config: Config, problem: str, field: FieldPath) -> ConfigError:
    line = read_document(config.file, ConfigError).line(field)
    return ConfigError(problem, file=config.file, line=line, field=field)
