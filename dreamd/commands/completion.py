"""`dreamd completion SHELL`: the script by which a shell completes dreamd's commands, options and names."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
"""What writes the script of each shell."""

_VARIABLE = "_DREAMD_COMPLETE"
"""The environment variable by which the script asks dreamd for names, as click reads it."""


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
def completion(shell: str) -> None:
    """Print what has bash, zsh or fish complete names.

    \b
    bash: dreamd completion bash > ~/.local/share/bash-completion/completions/dreamd
    zsh:  dreamd completion zsh > ~/.zfunc/_dreamd, with ~/.zfunc in fpath before compinit
    fish: dreamd completion fish > ~/.config/fish/completions/dreamd.fish
    """
    script = _SHELLS[shell](click.get_current_context().find_root().command, {}, "dreamd", _VARIABLE)
    click.echo(script.source_template % script.source_vars())
