"""`python -m dreamd`: the same as the `dreamd` command."""

from dreamd.cli import main

main()
