"""Writes docs/openapi.json from the API's operations: `make openapi`. A test tells when it is stale."""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path

from dreamd.commands.init import make_tree
from dreamd.page.access.clients import Clients
from dreamd.page.api.openapi import openapi
from dreamd.page.api.service import api_operations
from dreamd.page.parts import Parts
from dreamd.settings.config import load_config

DOCUMENT = Path(__file__).parents[1] / "docs" / "openapi.json"


def drawn() -> str:
    """The document's text. No operation is asked, so an empty tree will do."""
    with tempfile.TemporaryDirectory() as folder:
        make_tree(Path(folder) / "tree")
        config = load_config(Path(folder) / "tree" / "config.yaml")
        operations = api_operations(Parts.of(config, Clients(None), threading.Event()))
        return json.dumps(openapi(operations), indent=2) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(drawn(), encoding="utf-8")
