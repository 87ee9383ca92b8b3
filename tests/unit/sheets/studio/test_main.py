"""The studio's process takes orders and nothing else."""

from __future__ import annotations

import io

from dreamd.settings.config import load_config
from dreamd.sheets.studio import main
from dreamd.sheets.studio.main import Studio


def test_a_line_that_is_no_order_ends_the_studio_at_once_since_its_page_is_of_another_version(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "config.yaml").write_text("")
    monkeypatch.setattr(main, "Plugins", lambda *_, **__: None)
    monkeypatch.setattr(main, "session_of", lambda *_: None)
    answers = io.BytesIO()
    Studio(load_config(tmp_path / "config.yaml"), io.BytesIO(b'{"type": "sing", "id": "a"}\n'), answers).run()
    assert "no order" in caplog.text
    assert answers.getvalue() == b""
