"""The command line: reads arguments, calls one function, prints. Everything else is imported when a command needs it,
so that `dreamd --help` and `dreamd status` answer at once.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dreamd.errors import DreamdError

if TYPE_CHECKING:
    from dreamd.config import Config

_PATH = click.Path(path_type=Path)

_config_option = click.option(
    "--config", "config_file", type=_PATH, default=Path("config.yaml"), show_default=True, help="The config file."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, whose fields are stable.")
_set_option = click.option(
    "--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Set a field of the recipe: `ascent.lr=0.1`."
)


class _Commands(click.Group):
    """The commands in the order they are written, with dreamd's errors as lines and not as tracebacks."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DreamdError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"dreamd: {_printable(str(error))}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:  # `dreamd jobs | head`
            sys.stderr.close()
            ctx.exit(0)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dreamd", prog_name="dreamd")
@click.option("--debug", is_flag=True, help="Show tracebacks and debug messages.")
def main(debug: bool) -> None:
    """Dream the pictures dropped into a folder (DeepDream, by recipe and plugin).

    Begin with `dreamd demo`, or with `dreamd init DIR`.
    """
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    for noisy in ("PIL", "watchdog", "timm", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@main.command()
@click.argument("folder", metavar="DIR", type=_PATH)
def init(folder: Path) -> None:
    """Make a ready tree: config.yaml, an inbox with two sample recipes, outbox, plugins."""
    from dreamd.scaffold import make_tree

    for path in make_tree(folder):
        click.echo(path)
    click.echo(
        f"\nNext: dreamd run --config {folder / 'config.yaml'}\nthen drop a picture into {folder / 'inbox'}/animals."
    )


@main.command()
@_config_option
def run(config_file: Path) -> None:
    """Run the daemon in the foreground.

    SIGTERM and SIGINT finish what is running and stop; a second one stops at once. SIGHUP reloads.
    """
    from dreamd.daemon import Daemon

    sys.exit(Daemon(_load_config(config_file)).run())


@main.command()
@_config_option
def drain(config_file: Path) -> None:
    """Dream everything that is in the inbox now, then exit: 0 all done, 1 something failed or is held."""
    from dreamd.daemon import Daemon
    from dreamd.progress import drain_progress

    config = _load_config(config_file)
    with drain_progress() as show:
        code = Daemon(config, until_empty=True, on_show=show).run()
    sys.exit(code)


@main.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=_PATH)
@click.option("--recipe", "recipe_name", help="A recipe file, a sidecar, a preset or a named recipe.")
@_set_option
@click.option("--device", help="cpu, cuda, cuda:1, … (default: a GPU if there is one).")
@click.option("--plugins", "plugin_folders", multiple=True, type=_PATH, help="A folder of drop-in plugins.")
def dream(
    source: str,
    target: Path,
    recipe_name: str | None,
    assignments: tuple[str, ...],
    device: str | None,
    plugin_folders: tuple[Path, ...],
) -> None:
    """Dream one picture, without a daemon. IN is a picture, or noise:640x480."""
    from dreamd.single import dream_one

    dream_one(
        source,
        target,
        recipe_name=recipe_name,
        assignments=assignments,
        device=device,
        plugin_folders=plugin_folders,
    )


@main.command()
@click.argument("picture", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", "folder", type=_PATH, default=Path("demo"), show_default=True, help="Where to put it all.")
def demo(picture: Path | None, folder: Path) -> None:
    """Do the whole main job, offline, on PICTURE or on clouds that dreamd paints itself."""
    from dreamd.demo import run_demo

    sys.exit(run_demo(folder, picture))


@main.command()
@_config_option
@_json_option
@click.option("--follow", is_flag=True, help="Go on showing it, until Ctrl-C.")
def status(config_file: Path, as_json: bool, follow: bool) -> None:
    """Show the queue, the workers, the rate, and what is held and why."""
    from dreamd.status.text import show_status

    show_status(config_file, as_json=as_json, follow=follow)


@main.command()
@_config_option
@click.option("--state", type=click.Choice(["queued", "running", "held", "done", "failed"]), help="Only those.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many.")
@_json_option
def jobs(config_file: Path, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the newest first."""
    from dreamd.status.text import show_jobs

    show_jobs(config_file, state=state, limit=limit, as_json=as_json)


@main.group(cls=_Commands)
def recipe() -> None:
    """Check and explain recipes."""


@recipe.command("check")
@click.argument("file", type=_PATH)
@_config_option
def recipe_check(file: Path, config_file: Path) -> None:
    """Check a recipe file, or every recipe of an inbox when FILE is a folder."""
    from dreamd.introspect import check_recipes

    for line in check_recipes(file, _config_or_none(config_file)):
        click.echo(line)


@recipe.command("explain")
@click.argument("file", metavar="FILE_OR_NAME")
@_config_option
@_json_option
def recipe_explain(file: str, config_file: Path, as_json: bool) -> None:
    """Show every effective field of a recipe and where it came from.

    FILE_OR_NAME is a recipe file, a folder or a picture in the inbox, or a preset's name.
    """
    from dreamd.introspect import explain

    rows = explain(file, _config_or_none(config_file))
    if as_json:
        _print_json([{"field": name, "value": json.loads(value), "origin": origin} for name, value, origin in rows])
        return
    width = max(len(f"{name}: {value}") for name, value, _ in rows)
    for name, value, origin in rows:
        click.echo(f"{f'{name}: {value}':<{width}}  # {origin}")


@recipe.command("schema")
@_config_option
def recipe_schema(config_file: Path) -> None:
    """Print a JSON Schema of recipe.yaml, for editors."""
    from dreamd.introspect import engine_catalogue
    from dreamd.recipe import recipe_schema as schema

    _print_json(schema(engine_catalogue(_config_or_none(config_file))))


@recipe.command("list")
@_config_option
@_json_option
def recipe_list(config_file: Path, as_json: bool) -> None:
    """List the presets and named recipes that `extends` knows."""
    from dreamd.introspect import recipe_names

    names = {name: str(place) for name, place in recipe_names(_config_or_none(config_file)).items()}
    if as_json:
        _print_json(names)
        return
    for name, place in names.items():
        click.echo(f"{name:<16} {place}")


@main.group(cls=_Commands)
def plugins() -> None:
    """List the plugins and what they bring."""


@plugins.command("list")
@_config_option
@_json_option
def plugins_list(config_file: Path, as_json: bool) -> None:
    """List what there is to dream with, and the plugins that could not be loaded."""
    from dreamd.introspect import all_plugins

    catalogue = all_plugins(_config_or_none(config_file))
    if as_json:
        _print_json(catalogue.model_dump(mode="json", by_alias=True))
        return
    for entry in sorted(catalogue.entries, key=lambda entry: (entry.kind, entry.name)):
        click.echo(f"{entry.kind:<9} {entry.name:<24} {entry.doc.partition(chr(10))[0]}  ({entry.plugin})")
    for problem in catalogue.problems:
        click.echo(f"not used: {problem.plugin} ({problem.origin}): {problem.reason}", err=True)


@plugins.command("show")
@click.argument("name")
@_config_option
@_json_option
def plugins_show(name: str, config_file: Path, as_json: bool) -> None:
    """Show a plugin's parameters, from its signature and docstring."""
    from dreamd.introspect import plugin_entries

    entries = plugin_entries(name, _config_or_none(config_file))
    if as_json:
        _print_json([entry.model_dump(mode="json") for entry in entries])
        return
    for entry in entries:
        click.echo(f"{entry.kind} {entry.name}   from {entry.origin} {entry.version}\n\n{entry.doc}\n")
        for parameter in entry.parameters:
            default = "required" if parameter.required else f"default {json.dumps(parameter.default)}"
            click.echo(f"  {parameter.name}: {parameter.type}, {default}\n      {parameter.doc}")


@main.command()
@click.argument("backbone")
@_config_option
@_json_option
def layers(backbone: str, config_file: Path, as_json: bool) -> None:
    """List a backbone's layers in the order they run, with shape, stride and receptive field in pixels."""
    from dataclasses import asdict

    from dreamd.introspect import describe_layers

    described = describe_layers(backbone, _config_or_none(config_file))
    if as_json:
        _print_json([{"number": number, **asdict(layer)} for number, layer in enumerate(described, 1)])
        return
    width = max(len(layer.name) for layer in described)
    click.echo(f"{'#':>4}  {'layer':<{width}}  {'shape':<16} {'stride':>6} {'sees':>6}")
    for number, layer in enumerate(described, 1):
        shape = "×".join(map(str, layer.shape))
        field = layer.receptive_field or "all"
        click.echo(f"{number:>4}  {layer.name:<{width}}  {shape:<16} {layer.stride or '-':>6} {field:>6}")


@main.group(cls=_Commands)
def weights() -> None:
    """Fetch and check networks' weights."""


def _weights_command(function: Callable[..., None]) -> Callable[..., None]:
    return click.argument("backbones", metavar="[BACKBONE]...", nargs=-1)(_config_option(function))


@weights.command("list")
@_weights_command
@_json_option
def weights_list(backbones: tuple[str, ...], config_file: Path, as_json: bool) -> None:
    """Show which weights are here: of BACKBONE, or of every backbone with a name of its own."""
    from dreamd.introspect import weights_rows

    rows = weights_rows(backbones, _config_or_none(config_file))
    if as_json:
        _print_json([row.as_dict() for row in rows])
        return
    for row in rows:
        size = f"{row.size / 1e6:.0f} MB" if row.size else ""
        click.echo(f"{row.backbone:<24} {row.state:<9} {size:>8}  {row.path}")


@weights.command("fetch")
@_weights_command
def weights_fetch(backbones: tuple[str, ...], config_file: Path) -> None:
    """Download the weights of BACKBONE (default: the config's), to be used offline afterwards."""
    from dreamd.introspect import fetch_weights

    for line in fetch_weights(backbones, _config_or_none(config_file)):
        click.echo(line)


@weights.command("verify")
@_weights_command
def weights_verify(backbones: tuple[str, ...], config_file: Path) -> None:
    """Check the weights that are here against their SHA-256; exits with 1 when one is damaged."""
    from dreamd.introspect import verify_weights

    sound = True
    for line, is_sound in verify_weights(backbones, _config_or_none(config_file)):
        click.echo(line, err=not is_sound)
        sound &= is_sound
    sys.exit(0 if sound else 1)


@main.command()
@_config_option
@_json_option
def doctor(config_file: Path, as_json: bool) -> None:
    """Check device, weights, folders, permissions, watch limits and clock; say of each that it is ok or what to do."""
    from dreamd.doctor import examine

    findings = examine(config_file)
    if as_json:
        _print_json([{"check": f.check, "ok": f.ok, "text": f.text} for f in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'FIX '} {finding.check}: {finding.text}")
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def _load_config(file: Path) -> Config:
    from dreamd.config import load_config

    return load_config(file)


def _config_or_none(file: Path) -> Config | None:
    """The config, for commands that can do without: None when the default file is not there."""
    context = click.get_current_context()
    given = context.get_parameter_source("config_file")
    if given is click.core.ParameterSource.DEFAULT and not file.exists():
        return None
    return _load_config(file)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=True))


def _printable(text: str) -> str:
    """Text for a terminal: what a file's name may hold beyond letters is shown escaped."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
