"""`dreamd retry`, `cancel`, `dismiss`, `pause` and `resume`: what a person tells a daemon, whether it runs or not."""

from __future__ import annotations

from pathlib import Path

import click

from dreamd.commands.by_page import done
from dreamd.commands.terminal.completing import complete_folder, complete_job
from dreamd.commands.terminal.options import config_at, config_option
from dreamd.commands.terminal.printing import print_lines


@click.command()
@click.argument("job_ids", metavar="[ID]...", nargs=-1, shell_complete=complete_job)
@click.option(
    "--all-failed",
    is_flag=True,
    help="Every failed job whose picture is still there, but what was cancelled or dismissed.",
)
@config_option
def retry(job_ids: tuple[str, ...], all_failed: bool, config_file: Path) -> None:
    """Try failed or held jobs again."""
    from dreamd.tree import control

    if bool(job_ids) == all_failed:
        raise click.UsageError("give the IDs of jobs (see `dreamd jobs --state failed`), or --all-failed")
    config = config_at(config_file)
    values = {} if all_failed else {"jobs": list(job_ids)}
    print_lines(done(config, "retry", values, lambda: control.retry(config, job_ids, all_failed=all_failed)))


@click.command()
@click.argument("job_ids", metavar="[ID]...", nargs=-1, shell_complete=complete_job)
@click.option("--folder", shell_complete=complete_folder, help="All jobs of this folder of the inbox and below.")
@config_option
def cancel(job_ids: tuple[str, ...], folder: str | None, config_file: Path) -> None:
    """Cancel jobs that wait or run; `retry` takes that back.

    Their pictures go to the failed ones.
    """
    from dreamd.tree import control

    if bool(job_ids) == (folder is not None):
        raise click.UsageError("give the IDs of jobs (see `dreamd jobs`), or --folder FOLDER")
    config = config_at(config_file)
    values = {"jobs": list(job_ids)} if folder is None else {"folder": control.relative_folder(config, folder)}
    print_lines(done(config, "cancel", values, lambda: control.cancel(config, job_ids, folder=folder)))


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True, shell_complete=complete_job)
@config_option
def dismiss(job_ids: tuple[str, ...], config_file: Path) -> None:
    """Show failures no more where what went wrong is listed."""
    from dreamd.tree import control

    config = config_at(config_file)
    print_lines(done(config, "dismiss", {"jobs": list(job_ids)}, lambda: [control.dismiss(config, job_ids)]))


@click.command()
@click.argument("folder", default=".", shell_complete=complete_folder)
@config_option
def pause(folder: str, config_file: Path) -> None:
    """Start no more jobs from FOLDER and below (default: all)."""
    from dreamd.tree import control

    config = config_at(config_file)
    place = control.relative_folder(config, folder)
    print_lines(done(config, "pause", {"folder": place}, lambda: [control.pause(config, folder)]))


@click.command()
@click.argument("folder", required=False, shell_complete=complete_folder)
@config_option
def resume(folder: str | None, config_file: Path) -> None:
    """Start jobs from FOLDER again (default: all)."""
    from dreamd.tree import control

    config = config_at(config_file)
    place = None if folder is None else control.relative_folder(config, folder)
    print_lines(done(config, "resume", {"folder": place}, lambda: [control.resume(config, folder)]))
