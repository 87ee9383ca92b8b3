"""The finished plugins of docs/plugins.md do what they say, beyond the contract (test_contract.py)."""

from __future__ import annotations

import io
import json
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path, PurePosixPath
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from dreamd.errors import PictureError, WeightsError
from dreamd.job import Job, JobState
from dreamd.pictures.reading import read_picture
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_tools.contract import checks_of
from dreamd.settings.recipes.recipe import BackboneChoice
from dreamd.worker.recipes.backbones import load_backbone

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# A raw file


def values(form: str, *numbers: float) -> tuple[int, bytes]:
    """A TIFF tag's type and bytes."""
    kinds = {"B": 1, "H": 3, "I": 4, "rational": 5, "srational": 10}
    if form in ("rational", "srational"):
        pairs = [struct.pack("<ii", int(number * 10_000), 10_000) for number in numbers]
        return kinds[form], b"".join(pairs)
    return kinds[form], struct.pack(f"<{len(numbers)}{form}", *map(int, numbers))


def dng(width: int = 64, height: int = 48) -> bytes:
    """A DNG as a camera with a Bayer filter writes it: brighter from left to right."""
    raw = (np.mgrid[0:height, 0:width][1] * 800).astype("<u2").tobytes()
    tags = {
        254: values("I", 0), 256: values("I", width), 257: values("I", height), 258: values("H", 16),
        259: values("H", 1), 262: values("H", 32803), 271: (2, b"dreamd\0"), 272: (2, b"test\0"),
        274: values("H", 1), 277: values("H", 1), 278: values("I", height), 279: values("I", len(raw)),
        284: values("H", 1), 33421: values("H", 2, 2), 33422: values("B", 0, 1, 1, 2), 50706: values("B", 1, 4, 0, 0),
        50707: values("B", 1, 1, 0, 0), 50708: (2, b"dreamd test\0"), 50714: values("H", 0), 50717: values("H", 65535),
        50721: values("srational", 1, 0, 0, 0, 1, 0, 0, 0, 1), 50728: values("rational", 1, 1, 1),
        50778: values("H", 21),
    }  # fmt: skip
    begin = 8 + 2 + 12 * (len(tags) + 1) + 4
    tags[273] = values("I", begin + sum(len(data) for _, data in tags.values() if len(data) > 4))
    entries, beyond = b"", b""
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 10: 8}
    for tag, (kind, data) in sorted(tags.items()):
        entries += struct.pack("<HHI", tag, kind, len(data) // sizes[kind])
        entries += data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", begin + len(beyond))
        beyond += data if len(data) > 4 else b""
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + beyond + raw


@pytest.fixture
def raw_file(tmp_path: Path) -> Path:
    file = tmp_path / "holiday.dng"
    file.write_bytes(dng())
    return file


def test_a_raw_file_is_developed(raw_file: Path) -> None:
    decode = example("camera_raw").camera_raw
    picture = read_picture(raw_file, max_pixels=64 * 48, max_bytes=10**6, decode=decode)
    assert (picture.pixels.shape, picture.format, picture.alpha) == ((48, 64, 3), "PNG", None)
    brightness = picture.pixels.astype(int).mean((0, 2))
    assert (np.diff(brightness[4:-4]) >= 0).all()
    assert brightness[-5] > brightness[4] + 50


def test_a_raw_file_keeps_the_whole_contract_with_a_sample(raw_file: Path) -> None:
    checks = [
        check for check in checks_of(EXAMPLES / "camera_raw.py", samples=[raw_file]) if "fresh" not in check.words
    ]
    assert len(checks) == 6
    for check in checks:
        assert check.run() is None, check


@pytest.mark.parametrize("cut", [100, 400])
def test_a_raw_file_that_is_cut_off_is_refused_in_words(raw_file: Path, cut: int) -> None:
    raw_file.write_bytes(dng()[:cut])
    decode = example("camera_raw").camera_raw
    with pytest.raises(PictureError, match=r"^holiday\.dng: LibRaw cannot read it: "):
        read_picture(raw_file, max_pixels=64 * 48, max_bytes=10**6, decode=decode)


def test_a_raw_file_above_the_limits_is_refused_before_it_is_developed(raw_file: Path) -> None:
    decode = example("camera_raw").camera_raw
    with pytest.raises(PictureError, match=r"holiday\.dng: 64 x 48 pixels, more than limits\.max_pixels allows"):
        read_picture(raw_file, max_pixels=64 * 48 - 1, max_bytes=10**6, decode=decode)
    with pytest.raises(PictureError, match=r"more than limits\.max_bytes allows"):
        read_picture(raw_file, max_pixels=64 * 48, max_bytes=100, decode=decode)


# Decoders, in reading


def test_a_decoders_pixels_may_have_an_alpha_channel(tmp_path: Path) -> None:
    file = tmp_path / "a.mine"
    file.write_bytes(b"x")
    pixels = np.arange(4 * 5 * 4, dtype=np.uint8).reshape(4, 5, 4)
    picture = read_picture(file, max_pixels=20, max_bytes=10, decode=lambda _file, _check: pixels)
    assert np.array_equal(picture.pixels, pixels[:, :, :3])
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, pixels[:, :, 3])


def test_a_decoder_that_does_not_ask_is_held_to_the_limit_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.mine"
    file.write_bytes(b"x")
    with pytest.raises(PictureError, match=r"a\.mine: 5 x 4 pixels, more than limits"):
        read_picture(file, max_pixels=19, max_bytes=10, decode=lambda _f, _c: np.zeros((4, 5, 3), np.uint8))


def test_what_a_decoder_says_of_a_broken_file_is_told_with_the_files_name(tmp_path: Path) -> None:
    def decode(file: object, check_size: object) -> np.ndarray:
        raise PictureError("is no mine file")

    (tmp_path / "a.mine").write_bytes(b"x")
    with pytest.raises(PictureError, match=r"^a\.mine: is no mine file$"):
        read_picture(tmp_path / "a.mine", max_pixels=19, max_bytes=10, decode=decode)


# The others


def test_mirrored_gradients_are_symmetric(tiny_dream: Callable[..., Tensor]) -> None:
    gradient = torch.randn(1, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    mirror = example("mirror").mirror
    for across, axes in (("sides", [3]), ("top", [2]), ("both", [2, 3])):
        result = mirror(gradient.clone(), across=across)
        for axis in axes:
            torch.testing.assert_close(result, result.flip(axis))
        assert (result - result.flip(5 - axes[0])).abs().max() > 0.1 or len(axes) == 2


def test_a_zoom_shows_the_middle_of_the_picture_closer() -> None:
    image = torch.zeros(1, 3, 40, 60)
    image[:, :, 15:25, 20:40] = 1
    frames = list(example("dive").dive(image, Still(), frames=3, closer=1.5))
    white = [float(frame.mean()) for frame in frames]
    assert white[0] < white[1] < white[2]
    assert {tuple(frame.shape) for frame in frames} == {(1, 3, 40, 60)}


class Still:
    """An ascent that leaves pictures as they are."""

    def plan(self, ascents: int) -> None: ...

    def __call__(self, image: Tensor) -> Tensor:
        return image


def test_a_checkpoint_as_training_saves_it_is_loaded(tmp_path: Path) -> None:
    plugins = Plugins("dreamd.engine", folders=[EXAMPLES], only={"own_checkpoint"})
    registered = plugins.get(Kind.BACKBONE, "own_checkpoint")
    choice = {"name": "own_checkpoint", "width": 8}
    trained = load_backbone(registered, BackboneChoice(**choice, weights="random"), 3).backbone.network
    saved = {f"module.{key}": value for key, value in trained.state_dict().items()}
    file = tmp_path / "training.pth"
    torch.save({**saved, "module.head.weight": torch.ones(10, 64)}, file)
    loaded = load_backbone(registered, BackboneChoice(**choice, weights=str(file)), 0)
    for key, value in trained.state_dict().items():
        assert torch.equal(loaded.backbone.network.state_dict()[key], value)
    assert len(loaded.weights_sha256 or "") == 64
    with pytest.raises(WeightsError, match="does not fit own_checkpoint"):
        load_backbone(registered, BackboneChoice(name="own_checkpoint", width=16, weights=str(file)), 0)


# The webhook


class Server(HTTPServer):
    """Answers with the codes it is given, then 200; remembers what was posted."""

    def __init__(self, *codes: int) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.codes = list(codes)
        self.posted: list[dict[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        news = json.load(io.BytesIO(self.rfile.read(int(self.headers["Content-Length"]))))
        code = self.server.codes.pop(0) if self.server.codes else 200
        self.server.posted.append(news)
        self.send_response(code)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 (its name in the standard library)


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*codes: int) -> Server:
        servers.append(Server(*codes))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return servers[-1]

    yield start
    for one in servers:
        one.shutdown()
        one.server_close()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = example("webhook")
    monkeypatch.setattr(module, "WAITS_SECONDS", (0.01, 0.01))
    return module


def job(state: JobState) -> Job:
    return Job(id="01", folder=PurePosixPath("animals"), name="cat.jpg", state=state, result="animals/cat.jpg")


def test_a_webhook_tells_of_what_is_done_failed_or_held_and_of_nothing_else(
    webhook: ModuleType, server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = server()
    monkeypatch.setattr(webhook, "URL", one.url)
    for state in JobState:
        webhook.dreamd_job_changed(job(state))
    assert [news["state"] for news in one.posted] == ["held", "done", "failed"]
    expected = {"id": "01", "picture": "animals/cat.jpg", "state": "done", "result": "animals/cat.jpg", "reason": None}
    assert one.posted[1] == expected


def test_a_webhook_tries_again_what_may_pass(webhook: ModuleType, server: Callable[..., Server]) -> None:
    one = server(503, 429)
    assert webhook.post(one.url, {"picture": "cat.jpg"})
    assert len(one.posted) == 3


def test_a_webhook_gives_up_where_trying_is_no_use_and_says_so(
    webhook: ModuleType, server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    refusing, broken = server(404), server(500, 500, 500, 500)
    assert not webhook.post(refusing.url, {"picture": "cat.jpg"})
    assert not webhook.post(broken.url, {"picture": "dog.jpg"})
    assert not webhook.post("http://127.0.0.1:1/", {"picture": "cow.jpg"})
    assert (len(refusing.posted), len(broken.posted)) == (1, 3)
    for name in ("cat.jpg", "dog.jpg", "cow.jpg"):
        assert f"is not told of {name}" in caplog.text


def test_a_webhook_without_an_address_does_nothing(webhook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "URL", "")
    monkeypatch.setattr(webhook, "post", lambda *_: pytest.fail("it posted"))
    webhook.dreamd_job_changed(job(JobState.DONE))
