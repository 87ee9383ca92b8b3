"""The executor `ray`: what it is configured with, and what it says of a cluster that cannot be used."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dreamd.api import ClusterError, ExecutorContext
from dreamd.settings.config import load_config

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None, reason="NOT TESTED: Ray is not installed (pip install 'dreamd[ray]')"
)

ADDRESS = "10.0.0.1:6379"


@pytest.fixture
def context(tmp_path: Path) -> ExecutorContext:
    (tmp_path / "config.yaml").write_text("")
    return ExecutorContext(config=load_config(tmp_path / "config.yaml"))


@pytest.fixture
def connection() -> Any:
    return importlib.import_module("dreamd_plugins.ray.connection")


def make(context: ExecutorContext, **parameters: Any) -> Any:
    from dreamd_plugins.ray import make_executor

    return make_executor(context, address=ADDRESS, **parameters)


def test_the_bridge_is_told_token_and_certificates_by_its_environment(context: ExecutorContext, tmp_path: Path) -> None:
    for name in ("token", "crt", "key", "ca"):
        (tmp_path / name).write_text("x")
    executor = make(context, token_file="token", tls_cert="crt", tls_key="key", tls_ca="ca", reconnect_seconds=7)
    told = executor._environment
    assert told["RAY_AUTH_MODE"] == "token"
    assert told["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "token")
    assert told["RAY_TLS_CA_CERT"] == str(tmp_path / "ca")
    assert told["RAY_gcs_rpc_server_reconnect_timeout_s"] == "7"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"token_file": "none"}, "token_file: .* cannot be read"),
        ({"tls_cert": "config.yaml"}, "TLS needs all three"),
        ({"gpus": 0.0}, "say how many `cpus`"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_started(
    context: ExecutorContext, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClusterError, match=words):
        make(context, **parameters)


def test_an_address_without_a_port_is_none(connection: Any) -> None:
    with pytest.raises(ClusterError, match="write HOST:PORT"):
        connection.connect("10.0.0.1")


def test_where_nothing_listens_there_is_no_head(connection: Any) -> None:
    with pytest.raises(ClusterError, match="is its head running"):
        connection.connect("127.0.0.1:1")


def test_other_versions_are_named_on_both_sides(connection: Any) -> None:
    from ray._private.utils import check_version_info

    with pytest.raises(RuntimeError) as caught:
        check_version_info({"ray_version": "2.9.0", "python_version": "3.11.2"}, "node 10.0.0.2")
    told = connection._explained(ADDRESS, str(caught.value))
    assert "other versions (Ray: 2.9.0, Python: 3.11.2)" in told
    assert "on every machine" in told
