"""The dashboard and the alert rules: Prometheus can read them, and they ask only for what dreamd tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from dreamd.page.monitoring.metrics import Numbers, registry
from dreamd.settings.config import load_config
from dreamd.tree.journal import Journal
from dreamd.tree.snapshot import Snapshot, WorkerStatus

REPOSITORY = Path(__file__).parents[2]
MONITORING = REPOSITORY / "systemd" / "monitoring"
NAME = re.compile(r"\bdreamd_[a-z_]+")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all that dreamd tells."""
    root = tmp_path_factory.mktemp("told")
    (root / "config.yaml").write_text("")
    (root / "state").mkdir()
    (root / "inbox").mkdir()
    config = load_config(root / "config.yaml")
    worker = WorkerStatus(device="cpu", device_name="", precision="", state="idle", pid=None, error=None)
    Snapshot(
        state="running", pid=1, version="0", started_at=1.0, inbox="", lock="", watching="inotify",
        found_by_rescan_only=0, overflows=0, queued=0, running=0, held=0, done=0, failed=0, folders={},
        done_per_hour=0.0, eta_seconds=None, paused=[], workers=[worker], holds=[], plugins_not_loaded={},
    ).write(config.state)  # fmt: skip
    Journal.open(config.state / "journal.sqlite3").close()
    families = list(Numbers(config).collect())
    names = {family.name for family in families}
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    assert generate_latest(registry(config))
    return {f"{family.name}{suffix}" for family in families for suffix in suffixes[family.type]} | names


def test_the_dashboard_asks_only_for_what_dreamd_tells(told: set[str]) -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    asked = {
        name for panel in dashboard["panels"] for target in panel["targets"] for name in NAME.findall(target["expr"])
    }
    assert asked
    assert asked <= told
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def rules() -> list[dict[str, str]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_alerts_ask_only_for_what_dreamd_tells(told: set[str]) -> None:
    assert {name for rule in rules() for name in NAME.findall(rule["expr"])} <= told


def test_every_alert_and_every_metric_is_in_the_manuals(told: set[str]) -> None:
    operations, page = ((REPOSITORY / "docs" / name).read_text() for name in ("operations.md", "page.md"))
    assert [rule["alert"] for rule in rules() if f"| `{rule['alert']}` |" not in operations] == []
    families = {name for name in told if not name.endswith(("_bucket", "_count", "_sum"))}
    shown = set(NAME.findall(page))
    assert {name for name in families if not {name, f"{name}_total"} & shown} == set()


promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool: `apt-get install prometheus` brings it"
)


@promtool
@pytest.mark.parametrize(
    "command", ["check rules alerts.yml", "test rules alerts.test.yml", "check config prometheus.yml"]
)
def test_promtool_finds_no_fault(command: str) -> None:
    found = subprocess.run(["promtool", *command.split()], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@promtool
def test_every_expression_of_the_dashboard_is_one(tmp_path: Path) -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    records = [{"record": f"r{number}", "expr": text} for number, text in enumerate(expressions)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    found = subprocess.run(
        ["promtool", "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
