"""The command line: reads arguments, calls one function, prints. Everything else is imported when a command needs it,
so that `dreamd --help` and `dreamd status` answer at once.
"""

from __future__ import annotations

import io
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dreamd.errors import DreamdError
from dreamd.logs import STYLE_VARIABLE, LogStyle, configure
from dreamd.wording import printable

if TYPE_CHECKING:
    from dreamd.settings.config import Config

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

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
            self._explain(ctx, str(error), error.exit_code)
        except BrokenPipeError:  # `dreamd jobs | head` has seen enough
            ctx.exit(0)
        except OSError as error:
            place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            self._explain(ctx, f"{place}{error.strerror or error}", DreamdError.exit_code)

    def _explain(self, ctx: click.Context, text: str, exit_code: int) -> NoReturn:
        if ctx.find_root().params.get("debug"):
            raise
        lines = [printable(line) for line in text.splitlines()]
        click.echo("\n".join([f"dreamd: {lines[0]}", *lines[1:]]), err=True)
        ctx.exit(exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dreamd", prog_name="dreamd")
@click.option("--debug", is_flag=True, help="Show tracebacks and debug messages.")
@click.option(
    "--log",
    "log_style",
    type=click.Choice([style.value for style in LogStyle]),
    default="auto",
    show_default=True,
    envvar=STYLE_VARIABLE,
    help="How the log is written; auto: for systemd's journal where that reads it, else for a person.",
)
@click.pass_context
def main(ctx: click.Context, debug: bool, log_style: str) -> None:
    """Dream the pictures dropped into a folder (DeepDream, by recipe and plugin).

    Begin with `dreamd demo`, or with `dreamd init DIR`.
    """
    is_log = ctx.invoked_subcommand in ("run", "drain")
    configure(
        LogStyle(log_style),
        level=logging.DEBUG if debug else logging.INFO,
        human="%(asctime)s %(message)s" if is_log else "dreamd: %(message)s",
    )
    os.environ[STYLE_VARIABLE] = log_style  # for the workers
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # in Latin-1 there is no arrow


@main.command()
@click.argument("folder", metavar="DIR", type=_PATH)
def init(folder: Path) -> None:
    """Make a ready tree: config, inbox, outbox, plugins.

    The inbox gets two folders with sample recipes. A tree that is there already is left as it is.
    """
    from dreamd.plugin_tools.scaffold import make_tree

    _print_lines(map(str, make_tree(folder)))
    config = shlex.quote(str(folder / "config.yaml"))
    _print_lines(["", f"Next: dreamd run --config {config}", f"then drop a picture into {folder}/inbox/animals."])


_share_option = click.option(
    "--share", is_flag=True, help="Share the inbox with other daemons, each with its own state folder."
)


@main.command()
@_config_option
@_share_option
def run(config_file: Path, share: bool) -> None:
    """Run the daemon in the foreground.

    SIGTERM and SIGINT finish what is running and stop; what takes longer than limits.stop_seconds goes on at the next
    start. A second one stops at once. SIGHUP reloads.
    """
    from dreamd.daemon.loop import Daemon

    sys.exit(Daemon(_load_config(config_file), share=share).run())


@main.command()
@_config_option
@_share_option
def drain(config_file: Path, share: bool) -> None:
    """Dream everything that is in the inbox now, then exit.

    Exits with 0 when all is done, with 1 when something failed or is held.
    """
    from dreamd.commands.progress import drain_progress
    from dreamd.daemon.loop import Daemon

    config = _load_config(config_file)
    with drain_progress() as show:
        code = Daemon(config, share=share, until_empty=True, on_show=show).run()
    sys.exit(code)


@main.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=_PATH)
@click.option("--recipe", "recipe_name", help="A recipe file, a sidecar, a preset or a named recipe.")
@_set_option
@click.option("--device", help="cpu, cuda, cuda:1, … (default: a GPU if there is one).")
@click.option("--plugins", "plugin_folders", multiple=True, type=_FOLDER, help="A folder of drop-in plugins.")
def dream(
    source: str,
    target: Path,
    recipe_name: str | None,
    assignments: tuple[str, ...],
    device: str | None,
    plugin_folders: tuple[Path, ...],
) -> None:
    """Dream one picture, without a daemon. IN is a picture, or noise:640x480."""
    from dreamd.commands.progress import progress
    from dreamd.worker.single import dream_one

    dream_one(
        source,
        target,
        recipe_name=recipe_name,
        assignments=assignments,
        device=device,
        plugin_folders=plugin_folders,
        progress=progress,
    )


@main.command()
@click.argument("picture", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", "folder", type=_PATH, default=Path("demo"), show_default=True, help="Where to put it all.")
def demo(picture: Path | None, folder: Path) -> None:
    """Show the whole main job, offline, on a picture.

    On PICTURE, or on clouds that dreamd paints itself: makes a tree with `dreamd init`, runs the daemon on it, drops
    the picture into two folders with two recipes, and puts before and after side by side.
    """
    from dreamd.commands.demo import run_demo

    sys.exit(run_demo(folder, picture))


@main.command()
@_config_option
@_json_option
@click.option("--follow", is_flag=True, help="Go on showing it, until Ctrl-C.")
def status(config_file: Path, as_json: bool, follow: bool) -> None:
    """Show the queue, the workers, the rate, and what is held and why."""
    from dreamd.commands.status import show_status

    show_status(config_file, as_json=as_json, follow=follow)


@main.command()
@_config_option
@click.option("--state", type=click.Choice(["queued", "running", "held", "done", "failed"]), help="Only those.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many.")
@_json_option
def jobs(config_file: Path, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the newest first."""
    from dreamd.commands.status import show_jobs

    show_jobs(config_file, state=state, limit=limit, as_json=as_json)


@main.command()
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--all-failed", is_flag=True, help="Every failed job whose picture is still there.")
@_config_option
def retry(job_ids: tuple[str, ...], all_failed: bool, config_file: Path) -> None:
    """Try failed or held jobs again."""
    from dreamd.tree.control import retry as retry_jobs

    if bool(job_ids) == all_failed:
        raise click.UsageError("give the IDs of jobs (see `dreamd jobs --state failed`), or --all-failed")
    for line in retry_jobs(_load_config(config_file), job_ids, all_failed=all_failed):
        click.echo(printable(line))


@main.command()
@click.argument("folder", default=".")
@_config_option
def pause(folder: str, config_file: Path) -> None:
    """Start no more jobs from FOLDER and those below it (default: all)."""
    from dreamd.tree.control import pause as pause_folder

    click.echo(pause_folder(_load_config(config_file), folder))


@main.command()
@click.argument("folder", required=False)
@_config_option
def resume(folder: str | None, config_file: Path) -> None:
    """Start jobs from FOLDER again (default: all)."""
    from dreamd.tree.control import resume as resume_folder

    click.echo(resume_folder(_load_config(config_file), folder))


@main.command()
@click.option("--older-than", metavar="AGE", help="Remove originals put away longer ago: 30d, 12h, 2w.")
@click.option("--keep", metavar="SIZE", help="Keep no more than the newest that fit: 50GB.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@_config_option
def prune(older_than: str | None, keep: str | None, dry_run: bool, config_file: Path) -> None:
    """Remove old originals from done/, and old jobs from the journal.

    Results and failed pictures are not touched. With --older-than the journal forgets the jobs that were done before.
    """
    from dreamd.commands.prune import parse_age, parse_size
    from dreamd.commands.prune import prune as prune_originals

    if older_than is None and keep is None:
        raise click.UsageError("give --older-than AGE, --keep SIZE, or both")
    config = _load_config(config_file)
    age = None if older_than is None else parse_age(older_than)
    size = None if keep is None else parse_size(keep)
    pruned = prune_originals(config, older_than=age, keep_bytes=size, dry_run=dry_run)
    click.echo(printable(f"{'would remove' if dry_run else 'removed'} {pruned}"))


@main.group(cls=_Commands)
def recipe() -> None:
    """Check and explain recipes."""


@recipe.command("check")
@click.argument("file", type=_PATH)
@_config_option
def recipe_check(file: Path, config_file: Path) -> None:
    """Check a recipe file, or every recipe below a folder."""
    from dreamd.commands.introspect import check_recipes

    _print_findings(check_recipes(file, _config_or_none(config_file)), exit_code=2)


@recipe.command("explain")
@click.argument("file", metavar="FILE_OR_NAME")
@_config_option
@_json_option
def recipe_explain(file: str, config_file: Path, as_json: bool) -> None:
    """Show every effective field and where it came from.

    FILE_OR_NAME is a recipe file, a folder or a picture in the inbox, or a preset's name.
    """
    from dreamd.commands.introspect import explain
    from dreamd.commands.listing import field_lines

    rows = explain(file, _config_or_none(config_file))
    if as_json:
        _print_json([{"field": row.name, "value": row.value, "origin": row.origin} for row in rows])
        return
    _print_lines(field_lines(rows))


@recipe.command("schema")
@_config_option
def recipe_schema(config_file: Path) -> None:
    """Print a JSON Schema of recipe.yaml, for editors."""
    from dreamd.commands.introspect import engine_catalogue
    from dreamd.settings.schema import recipe_schema as schema

    _print_json(schema(engine_catalogue(_config_or_none(config_file))))


@recipe.command("list")
@_config_option
@_json_option
def recipe_list(config_file: Path, as_json: bool) -> None:
    """List the presets and named recipes that `extends` knows."""
    from dreamd.commands.introspect import recipe_names

    names = {name: str(place) for name, place in recipe_names(_config_or_none(config_file)).items()}
    if as_json:
        _print_json(names)
        return
    _print_lines(f"{name:<16} {place}" for name, place in names.items())


@main.group(cls=_Commands)
def plugins() -> None:
    """List, write, check and try plugins."""


@plugins.command("list")
@_config_option
@_json_option
def plugins_list(config_file: Path, as_json: bool) -> None:
    """List what there is to dream with, and what is not used."""
    from dreamd.commands.introspect import all_plugins
    from dreamd.commands.listing import plugin_lines

    _tell_problems_once()
    catalogue = all_plugins(_config_or_none(config_file))
    if as_json:
        _print_json(catalogue.model_dump(mode="json", by_alias=True))
        return
    _print_lines(plugin_lines(catalogue))


@plugins.command("show")
@click.argument("name")
@_config_option
@_json_option
def plugins_show(name: str, config_file: Path, as_json: bool) -> None:
    """Show a plugin's parameters, from signature and docstring."""
    from dreamd.commands.introspect import plugin_entries
    from dreamd.commands.listing import entry_lines

    entries = plugin_entries(name, _config_or_none(config_file))
    if as_json:
        _print_json([entry.model_dump(mode="json") for entry in entries])
        return
    _print_lines(entry_lines(entries))


@plugins.command("new")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["loss", "backbone", "schedule", "gradient", "decoder", "executor", "notify"]),
    default="loss",
    show_default=True,
    help="What it brings.",
)
@click.option("--in", "folder", type=_PATH, help="The folder to write it into (default: the config's).")
@click.option("--package", "is_package", is_flag=True, help="Write a project that can be installed and published.")
@_config_option
def plugins_new(name: str, kind: str, folder: Path | None, is_package: bool, config_file: Path) -> None:
    """Write a plugin that works, to be changed.

    A file in the config's folder of drop-in plugins, or with --package a project in the current folder.
    """
    from dreamd.plugin_tools.new import new_package, new_plugin

    if is_package:
        _print_lines(new_package(name, kind, folder or Path()))
    else:
        _print_lines(new_plugin(name, kind, folder, None if folder else _load_config(config_file)))


@plugins.command("check")
@click.argument("plugin", metavar="FILE_OR_NAME")
@click.option("--only", "names", multiple=True, metavar="NAME", help="Check only this of the names it brings.")
@click.option("--sample", "samples", multiple=True, type=_FILE, help="A picture file, for a decoder.")
@_json_option
def plugins_check(plugin: str, names: tuple[str, ...], samples: tuple[Path, ...], as_json: bool) -> None:
    """Hold a plugin to the contract; say what it breaks.

    FILE_OR_NAME is a drop-in file or an installed plugin. Exits with 1 when it breaks something.
    """
    from dreamd.plugin_tools.contract import checked

    _tell_problems_once()
    results = checked(plugin, names=names, samples=samples)
    if as_json:
        found = list(results)
        _print_json([{"subject": check.subject, "check": check.words, "failure": why} for check, why in found])
        sys.exit(1 if any(why is not None for _, why in found) else 0)
    lines = (
        (f"ok    {check.subject} {check.words}", True)
        if why is None
        else (f"FAIL  {check.subject} ({check.words}): {why}", False)
        for check, why in results
    )
    _print_findings(lines, exit_code=1)


@plugins.command("try")
@click.argument("plugin", metavar="FILE_OR_NAME")
@click.option("--on", "picture", required=True, type=_FILE, help="The picture to dream.")
@click.option("--out", "target", type=_PATH, help="The result (default: PICTURE-PLUGIN.png, here).")
@_set_option
@click.option("--device", help="cpu, cuda, cuda:1, … (default: a GPU if there is one).")
def plugins_try(
    plugin: str, picture: Path, target: Path | None, assignments: tuple[str, ...], device: str | None
) -> None:
    """Dream a picture with a plugin, at once.

    Made small and over one octave, with the network that comes with dreamd. FILE_OR_NAME is a drop-in file or an
    installed plugin.
    """
    from dreamd.commands.progress import progress
    from dreamd.plugin_tools.try_out import try_plugin

    _tell_problems_once()
    try_plugin(plugin, picture, target, assignments=assignments, device=device, progress=progress)


@main.command()
@click.argument("backbone")
@_config_option
@_json_option
def layers(backbone: str, config_file: Path, as_json: bool) -> None:
    """List a backbone's layers in the order they run.

    With the shape of the activation for a picture of 224 by 224 pixels, the stride, and how many pixels across a cell
    sees.
    """
    from dataclasses import asdict

    from dreamd.commands.introspect import describe_layers
    from dreamd.commands.listing import layer_lines

    described, default = describe_layers(backbone, _config_or_none(config_file))
    if as_json:
        _print_json(
            [
                {"number": number, **asdict(layer), "default": layer.name == default}
                for number, layer in enumerate(described, 1)
            ]
        )
        return
    _print_lines(layer_lines(described, default))


@main.group(cls=_Commands)
def weights() -> None:
    """Fetch and check networks' weights."""


def _weights_command(function: Callable[..., None]) -> Callable[..., None]:
    return click.argument("backbones", metavar="[BACKBONE]...", nargs=-1)(_config_option(function))


@weights.command("list")
@_weights_command
@_json_option
def weights_list(backbones: tuple[str, ...], config_file: Path, as_json: bool) -> None:
    """Show which weights are here.

    Of BACKBONE, or of every backbone with a name of its own.
    """
    from dreamd.commands.introspect import weights_rows
    from dreamd.commands.listing import weights_lines

    rows = weights_rows(backbones, _config_or_none(config_file))
    if as_json:
        _print_json([row.as_dict() for row in rows])
        return
    _print_lines(weights_lines(rows, fold=not backbones))


@weights.command("fetch")
@_weights_command
def weights_fetch(backbones: tuple[str, ...], config_file: Path) -> None:
    """Download weights, to be used offline afterwards.

    Those of BACKBONE, or of the one that the config's defaults name.
    """
    from dreamd.commands.introspect import fetch_weights

    _print_lines(fetch_weights(backbones, _config_or_none(config_file)))


@weights.command("verify")
@_weights_command
def weights_verify(backbones: tuple[str, ...], config_file: Path) -> None:
    """Check the weights that are here against their SHA-256.

    Of BACKBONE, or of every backbone whose weights are here. Exits with 1 when some are damaged.
    """
    from dreamd.commands.introspect import verify_weights

    _print_findings(verify_weights(backbones, _config_or_none(config_file)), exit_code=1)


@main.command()
@_config_option
@_json_option
@click.option(
    "--user", help="As root: look also whether this user, who is to run the service, has the rights it needs."
)
def doctor(config_file: Path, as_json: bool, user: str | None) -> None:
    """Look at all that usually goes wrong; say what to do.

    At the device, the config, folders and permissions, plugins, recipes, weights, watch limits and the clock. Exits
    with 1 when there is something to do.
    """
    from dreamd.commands.doctor import examine

    _tell_problems_once()
    findings = examine(config_file, user=user)
    if as_json:
        _print_json([{"check": f.check, "ok": f.ok, "text": f.text} for f in findings])
    else:
        _print_lines(f"{'ok ' if finding.ok else 'FIX'}  {finding.check}: {finding.text}" for finding in findings)
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def _load_config(file: Path) -> Config:
    from dreamd.settings.config import load_config

    return load_config(file)


def _config_or_none(file: Path) -> Config | None:
    """The config, for commands that can do without: None when the default file is not there."""
    context = click.get_current_context()
    given = context.get_parameter_source("config_file")
    if given is click.core.ParameterSource.DEFAULT and not file.exists():
        return None
    return _load_config(file)


def _tell_problems_once() -> None:
    """Leave the plugins that are not used out of the log: the command shows them itself."""
    if not click.get_current_context().find_root().params["debug"]:
        logging.getLogger("dreamd.plugin_host.host").setLevel(logging.ERROR)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=True))


def _print_lines(lines: Iterable[str]) -> None:
    for text in lines:
        for line in text.split("\n"):
            click.echo(printable(line))


def _print_findings(findings: Iterable[tuple[str, bool]], *, exit_code: int) -> None:
    """Print what is well, and on the error stream what is not; exit with a code if something is not."""
    all_well = True
    for line, is_well in findings:
        click.echo(printable(line), err=not is_well)
        all_well &= is_well
    sys.exit(0 if all_well else exit_code)
