"""The contract finds what it is there to find, says it in words, and lets good plugins pass; dreamd's own keep it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

import pytest

import dreamd.plugin_tools.contract
from dreamd.errors import UnknownNameError, UsageError
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_tools.contract import Check, checks_of
from dreamd.plugin_tools.new import make_plugin
from dreamd.plugin_tools.target import find_target
from dreamd.testing import contract

EXAMPLES = Path(__file__).parents[3] / "examples"

pytest_plugins = ["pytester"]

HEAD = """
import os, random, time
import numpy as np
import torch
from typing import Annotated
from pydantic import Field
from dreamd.api import Backbone, PictureError, hookimpl, summed

"""

HOOK = """
@hookimpl
def dreamd_{hook}(register):
    register("mine", mine)
"""


def plugin(folder: Path, hook: str, body: str, end: str = HOOK) -> Path:
    folder.chmod(0o755)
    file = folder / "mine.py"
    file.write_text(f"{HEAD}{dedent(body)}{end.format(hook=hook)}", encoding="utf-8")
    file.chmod(0o644)
    return file


def failures(file: Path, words: str = "", *, slow: bool = False) -> dict[str, str]:
    """What the checks of a file that begin with some words find; without those that start a process, unless asked."""
    found = {}
    for check in checks_of(file):
        if check.words.startswith(words) and (slow or "fresh" not in check.words):
            failure = check.run()
            if failure is not None:
                found[check.words] = failure
    return found


# What is broken, and the words for it

DOC = '"""One line."""'

BROKEN: dict[str, tuple[str, str, str, str]] = {
    "no_docstring": ("losses", "def mine(a): return a.flatten(1).mean(1)", "is documented", "has no docstring"),
    "undocumented_parameter": (
        "losses", f"def mine(a, *, power: float = 2.0):\n    {DOC}\n    return a.abs().pow(power).flatten(1).mean(1)",
        "is documented", "parameter 'power' has no line in the docstring",
    ),
    "shape": ("losses", f"def mine(a):\n    {DOC}\n    return a.mean()", "gives one value",
              "loss 'mine' of plugin 'mine' returned a tensor of shape [] (float32)"),
    "dtype": ("losses", f"def mine(a):\n    {DOC}\n    return a.double().flatten(1).mean(1)", "gives one value",
              "keep the dtype"),
    "raises": ("losses", f"def mine(a):\n    {DOC}\n    return a.nothing()", "gives one value",
               "AttributeError: 'Tensor' object has no attribute 'nothing' (mine.py:"),
    "nan": ("losses", f"def mine(a):\n    {DOC}\n    return a.flatten(1).mean(1).log()", "has a finite gradient",
            "its gradient is not-a-number or infinite"),
    "infinite_slope_at_zero": ("losses", f"def mine(a):\n    {DOC}\n    return a.square().flatten(1).sum(1).sqrt()",
                               "has a finite gradient", "its gradient is not-a-number or infinite"),
    "no_gradient": ("losses", f"def mine(a):\n    {DOC}\n    return a.detach().flatten(1).mean(1)",
                    "has a finite gradient", "it has no gradient"),
    "bad_at_its_own_bound": (
        "losses",
        "def mine(a, *, by: Annotated[float, Field(ge=0)] = 1.0):\n"
        "    '''One.\n\n    Args:\n        by: what.\n    '''\n    return a.flatten(1).mean(1) / by",
        "has a finite gradient", "its gradient is not-a-number or infinite, with by=0",
    ),
    "across_the_batch": ("losses", f"def mine(a):\n    {DOC}\n    return (a - a.mean()).square().flatten(1).mean(1)",
                         "takes a batch", "a batch differs from its pictures"),
    "views_it": ("losses", f"def mine(a):\n    {DOC}\n    return a.view(len(a), -1).mean(1)",
                 "takes activations in any order", "Use .reshape(...) instead"),
    "wrong_sums": (
        "losses",
        "@summed(part=lambda a: a.flatten(1).mean(1), finish=lambda s: s)\n"
        f"def mine(a):\n    {DOC}\n    return a.flatten(1).mean(1)",
        "is the same in tiles", "the loss of the @summed sums of two parts differs from the whole's",
    ),
    "random": ("losses", f"def mine(a):\n    {DOC}\n    return (a * torch.rand_like(a)).flatten(1).mean(1)",
               "gives the same each time", "it draws from torch's global random numbers"),
    "remembers": ("losses", f"calls = []\ndef mine(a):\n    {DOC}\n    calls.append(1)\n"
                            "    return a.flatten(1).mean(1) * len(calls)",
                  "gives the same each time", "another result the second time"),
    "writes_into_it": ("losses", f"def mine(a):\n    {DOC}\n    with torch.no_grad(): a.mul_(2)\n"
                                 "    return a.flatten(1).mean(1)",
                       "leaves what it is given", "it changes what it is given"),
    "wrong_default": (
        "losses",
        "def mine(a, *, by: Annotated[float, Field(ge=0)] = -1.0):\n"
        "    '''One.\n\n    Args:\n        by: what.\n    '''\n    return a.flatten(1).mean(1)",
        "takes its own defaults", "its own default -1.0 is not a number ≥ 0",
    ),
    "state": ("losses", f"def mine(a):\n    {DOC}\n    np.random.rand()\n    return a.flatten(1).mean(1)",
              "leaves no state", "it changes NumPy's random numbers"),
    "environment": ("losses", f"def mine(a):\n    {DOC}\n    os.environ['MINE'] = str(random.random())\n"
                              "    return a.flatten(1).mean(1)",
                    "leaves no state", "it changes"),
    "step_shape": ("gradients", f"def mine(g):\n    {DOC}\n    return g[:, :1]", "keeps shape",
                   "it must return the like"),
    "step_divides_by_zero": ("gradients", f"def mine(g):\n    {DOC}\n    return g / g.std()", "is finite",
                             "what it returns is not-a-number or infinite"),
    "step_across_the_batch": ("gradients", f"def mine(g):\n    {DOC}\n    return g / (g.std() + 1e-9)",
                              "takes a batch", "a batch differs from its pictures"),
    "schedule_size": ("schedules", f"def mine(image, ascend):\n    {DOC}\n    yield ascend(image)[:, :, 1:]",
                      "gives pictures of the size", "its last pictures must be as large"),
    "schedule_idle": ("schedules", f"def mine(image, ascend):\n    {DOC}\n    yield image", "gives pictures",
                      "it never calls `ascend`"),
    "schedule_across_the_batch": (
        "schedules",
        f"def mine(image, ascend):\n    {DOC}\n    yield ascend((image - image.mean() + 0.5).clamp(0, 1))",
        "takes a batch", "a batch differs from its pictures",
    ),
    "schedule_range": ("schedules", f"def mine(image, ascend):\n    {DOC}\n    yield ascend(image * 3 - 1)",
                       "gives pictures", "clamp them to 0 … 1"),
    "schedule_plan": ("schedules", f"def mine(image, ascend):\n    {DOC}\n    ascend.plan(3)\n    yield ascend(image)",
                      "gives pictures", "it planned 3 ascents and made 1"),
    "schedule_rubbish": ("schedules", f"def mine(image, ascend):\n    {DOC}\n    yield ascend(image[0])",
                         "gives pictures", "the schedule has a tensor of shape [3, 33, 41] ascend"),
    "backbone_type": ("backbones", f"def mine(name):\n    {DOC}\n    return torch.nn.Identity()", "lists layers",
                      "build returned a Identity, not a dreamd.api.Backbone"),
    "backbone_layer": (
        "backbones",
        f"def mine(name):\n    {DOC}\n    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1))\n"
        "    return Backbone(network=net, layers={'a': '0', 'b': '7'}, default_layer='a')",
        "lists layers", "layer 'b': the network has no module '7'",
    ),
    "backbone_seed": (
        "backbones",
        f"def mine(name):\n    {DOC}\n    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1))\n"
        "    net[0].weight.data += float(np.random.rand())\n"
        "    return Backbone(network=net, layers={'a': '0'}, default_layer='a')",
        "has the same random weights", "with the same seed it has other random weights",
    ),
    "hangs": ("losses", f"def mine(a):\n    {DOC}\n    time.sleep(60)", "gives one value",
              "it hangs: a check of a tiny picture was not over after 0.3 s"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_breaks_its_clause_in_words(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook, body, words, reason = BROKEN[name]
    if name == "hangs":
        monkeypatch.setattr(dreamd.plugin_tools.contract, "_CHECK_SECONDS", 0.3)
    file = plugin(tmp_path, hook, body)
    (failure,) = failures(file, words).values()
    assert reason in failure
    assert "\n" not in failure


DECODERS = {
    "takes_anything": ("def mine(file, check_size):\n    'One.'\n    return np.zeros((4, 4, 3), np.uint8)",
                       "it takes a file that is no picture for one"),
    "lets_errors_out": ("def mine(file, check_size):\n    'One.'\n    raise ValueError('bad header')",
                        "ValueError: bad header (mine.py:"),
}  # fmt: skip


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_must_refuse_broken_files_in_its_own_words(name: str, tmp_path: Path) -> None:
    body, reason = DECODERS[name]
    end = '\n@hookimpl\ndef dreamd_decoders(register):\n    register("mine", mine, extensions=(".mine",))\n'
    found = failures(plugin(tmp_path, "", body, end))
    assert reason in found["refuses broken files with a PictureError"]


def test_a_decoder_that_does_not_ask_for_the_size_is_told_so(tmp_path: Path) -> None:
    body = (
        "def mine(file, check_size):\n    'One.'\n    if file.read(4) != b'MINE': raise PictureError('is none')\n"
        "    if len(file.read()) < 4: raise PictureError('is cut off')\n    return np.zeros((4, 4, 3), np.uint8)"
    )
    end = '\n@hookimpl\ndef dreamd_decoders(register):\n    register("mine", mine, extensions=(".mine",))\n'
    file = plugin(tmp_path, "", body, end)
    sample = tmp_path / "a.mine"
    sample.write_bytes(b"MINE" + bytes(300))
    found = [(check.words, check.run()) for check in quick(checks_of(file, samples=[sample]))]
    wrong = {words: why for words, why in found if why is not None}
    assert wrong.keys() == {"refuses broken files with a PictureError", "asks check_size before it decodes a.mine"}
    assert "it never asks check_size" in wrong["asks check_size before it decodes a.mine"]


def test_films_whose_frames_do_not_come_back_are_told_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    file = make_plugin("mine", Kind.FILM, tmp_path)
    file.write_text(file.read_text().replace("for _ in range(self.frames)", "for _ in range(self.frames - 1)"))
    found = failures(file)
    assert "of 5 frames it reads 4" in found["reads the frames of .mine that it writes, at their times"]


def test_a_transform_that_fails_for_a_picture_of_one_pixel_is_told_so(tmp_path: Path) -> None:
    body = "def mine(image):\n    'One.'\n    return image * image.new_tensor(image.shape[2] - 1.5).sqrt()\n"
    end = "\n@hookimpl\ndef dreamd_transforms(register):\n    register('mine', mine)\n"
    found = failures(plugin(tmp_path, "", body, end))
    assert "of a picture of 1x1 pixels is not-a-number" in found["gives pictures, whatever its parameters allow"]


@pytest.mark.slow
def test_a_loss_that_takes_a_vector_is_given_one(tmp_path: Path) -> None:
    body = """
    from dreamd.api import Vector

    def mine(activation, *, vector: Vector):
        'One.\\n\\nArgs:\\n    vector: the way.'
        return (activation * vector).flatten(1).mean(1)
    """
    assert failures(plugin(tmp_path, "losses", body), slow=True) == {}


@pytest.mark.parametrize("other", ["picture: Seen | None = None", "other_vector: Vector | None = None"])
def test_a_loss_that_needs_one_of_two_files_is_given_one(tmp_path: Path, other: str) -> None:
    name = other.partition(":")[0]
    body = f"""
    from dreamd.api import Seen, Vector

    def mine(activation, *, {other}, vector: Vector | None = None):
        'One.\\n\\nArgs:\\n    {name}: one.\\n    vector: another.'
        if ({name} is None) == (vector is None):
            raise ValueError("one of them")
        way = vector if {name} is None else {name}.mean((2, 3), keepdim=True)
        return (activation * way).flatten(1).mean(1)
    """
    assert failures(plugin(tmp_path, "losses", body)) == {}


def test_a_plugin_that_cannot_be_loaded_is_told_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import nothing_of_that_name\n")
    file.chmod(0o644)
    tmp_path.chmod(0o755)
    (check,) = checks_of(file)
    assert (check.subject, check.words) == ("plugin mine", "loads")
    assert "No module named 'nothing_of_that_name' (mine.py:1)" in str(check.run())


# The daemon's


def test_an_executor_that_lacks_something_is_told_what(tmp_path: Path) -> None:
    body = "class mine:\n    'One.'\n    def __init__(self, context): ...\n    def open(self, fleet): ...\n"
    end = '\n@hookimpl\ndef dreamd_executors(register):\n    register("mine", mine)\n'
    found = failures(plugin(tmp_path, "", body, end))
    assert found["makes what dreamd.api.Executor describes"].startswith(
        "it has no want, order, cancel, drop, renew, close"
    )


def test_a_notifier_that_raises_for_a_job_without_a_result_is_told_so(tmp_path: Path) -> None:
    end = "\n@hookimpl\ndef dreamd_job_changed(job):\n    'One.'\n    print(job.result.upper())\n"
    found = failures(plugin(tmp_path, "", "", end))
    assert "AttributeError: 'NoneType' object has no attribute 'upper'" in found["takes a job in every state"]


@pytest.mark.slow
def test_a_plugin_of_the_daemon_that_imports_torch_is_told_so(tmp_path: Path) -> None:
    end = "\n@hookimpl\ndef dreamd_job_changed(job):\n    'One.'\n"
    found = failures(plugin(tmp_path, "", "", end), slow=True)
    assert "it imports torch" in found["loads in a fresh process, without torch"]


@pytest.mark.slow
def test_a_plugin_that_works_in_one_process_only_is_found_by_a_fresh_worker(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    body = f"""
        if os.path.exists({str(flag)!r}):
            raise RuntimeError("once is enough")
        open({str(flag)!r}, "w").close()

        def mine(a):
            "One."
            return a.flatten(1).mean(1)
        """
    found = failures(plugin(tmp_path, "losses", body), slow=True)
    assert found.keys() == {"loads and dreams in a fresh worker"}
    assert "RuntimeError: once is enough (mine.py:" in found["loads and dreams in a fresh worker"]


# Which plugin


@pytest.mark.parametrize(
    ("plugin", "error", "words"),
    [
        ("nowhere.py", UsageError, "there is no such file"),
        ("octavs", UnknownNameError, "did you mean octaves?"),
    ],
)
def test_a_plugin_that_is_not_there_is_said(plugin: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        checks_of(plugin)


def test_a_file_that_is_no_drop_in_is_said(tmp_path: Path) -> None:
    (tmp_path / "_mine.py").write_text("")
    with pytest.raises(UsageError, match="whose name does not begin with _"):
        find_target(tmp_path / "_mine.py")


def test_a_family_needs_one_of_its_names() -> None:
    with pytest.raises(UsageError, match=r"timm/\* is a family of backbones: name one to check, `--only timm/NAME`"):
        checks_of("timm")
    with pytest.raises(UnknownNameError, match="no thing of this plugin 'vgg'"):
        checks_of("l2", names=["vgg"])


def test_names_that_share_a_function_are_checked_once() -> None:
    assert {check.subject for check in checks_of("vgg")} == {"backbone vgg11", "plugin vgg"}


# Who keeps it


def test_a_folder_is_a_plugin_to_check_as_a_file_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "bell"
    folder.mkdir(mode=0o755)
    (folder / "__init__.py").write_text("from .hooks import dreamd_job_changed\n")
    (folder / "hooks.py").write_text(
        'from dreamd.api import hookimpl\n\n\n@hookimpl\ndef dreamd_job_changed(job):\n    """Ring."""\n'
    )
    for file in folder.iterdir():
        file.chmod(0o644)
    assert [(target.name, target.group) for target in (find_target(folder), find_target(f"{folder}/"))] == [
        ("bell", "dreamd.daemon")
    ] * 2
    for check in checks_of(f"{folder}/"):
        assert check.run() is None, check


def quick(checks: list[Check]) -> list[Check]:
    return [check for check in checks if "fresh" not in check.words]


OWN = {"timm": ["timm/test_resnet"], "torchvision": ["squeezenet1_1"], "vgg": ["vgg11"]}
"""Of plugins that bring many networks, a small one."""

GROUPS = ("dreamd.engine", "dreamd.daemon")

MINE = [
    point.name for group in GROUPS for point in entry_points(group=group) if point.dist and point.dist.name == "dreamd"
]


@pytest.mark.parametrize("name", ["l2", "normalize", "local"])
def test_a_small_plugin_of_dreamds_own_keeps_the_contract(name: str) -> None:
    for check in quick(checks_of(name)):
        assert check.run() is None, check


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MINE)
def test_every_plugin_of_dreamds_own_keeps_the_whole_contract(name: str) -> None:
    for check in checks_of(name, names=OWN.get(name, ())):
        assert check.run() is None, check


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(Kind))
def test_what_plugins_new_writes_keeps_the_contract(kind: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for check in quick(checks_of(make_plugin("my_own", kind, tmp_path))):
        assert check.run() is None, check


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("contrast", "dive", "mirror", "own_checkpoint", "camera_raw", "webhook"),
        *("daylight", "sharp", "polar", "towards"),
    ],
)
def test_an_example_keeps_the_contract(name: str) -> None:
    for check in quick(checks_of(EXAMPLES / f"{name}.py")):
        assert check.run() is None, check


def test_every_example_is_held_to_the_contract() -> None:
    marks = test_an_example_keeps_the_contract.pytestmark  # type: ignore[attr-defined]
    (marker,) = (mark for mark in marks if mark.name == "parametrize")
    assert {file.stem for file in EXAMPLES.glob("*.py")} == set(marker.args[1])


# As an author's tests

test_contract_of_a_file = pytest.mark.slow(contract("../../../examples/mirror.py"))


def test_an_authors_one_line_makes_a_test_of_every_clause(pytester: pytest.Pytester) -> None:
    plugin(pytester.path, "losses", BROKEN["across_the_batch"][1])
    pytester.makepyfile(
        test_mine="from dreamd.testing import contract\n\ntest_contract = contract('mine.py')\n"
        "def test_own(tiny_backbone, tiny_picture, tiny_dream):\n"
        "    assert tiny_backbone.default_layer == 'relu2'\n"
        "    assert tiny_dream(tiny_picture).shape == tiny_picture.shape\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "not fresh")
    result.assert_outcomes(passed=10, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*loss mine (takes a batch as its pictures one by one): a batch differs from its*"])


def test_the_pytest_plugin_does_not_load_torch_into_the_tests_of_others() -> None:
    code = "import sys, dreamd.testing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
