from __future__ import annotations

import copy
import os
import resource
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torch import nn

from flowkit import registry
from flowkit.checkpoint import save
from flowkit.cli import main
from flowkit.degradations.scan import degrade
from flowkit.flow import ConditionalFlow
from flowkit.recipe import build
from flowkit.synthetic.page import draw_page

# --doctest-modules would import them as modules too, and fails where two folders' are in one run
collect_ignore_glob = ["*/conftest.py"]

for kind in registry.KINDS:
    registry.names(kind)  # before a test works on a copy of the registry

torch.set_num_threads(1)  # tests are small: threads would only wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")  # in the processes that tests start, too


@pytest.fixture(autouse=True)
def _same_on_every_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `precision: auto` be float32, so that pages can be compared with the model's own numbers."""
    monkeypatch.setattr("flowkit.pages.precision.QUICK", ())


NO_GPU, NO_DATA = "no GPU: ", "no data: "
"""Reasons of skips that `--no-skips` allows; the latter where FLOWKIT_DATA is not set."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="fail if tests are skipped, but for want of a GPU"
    )


def _skipped(config: pytest.Config) -> list[str]:
    """Tests that were skipped, each with its reason."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = {r.nodeid: r for r in reporter.stats.get("skipped", [])} if reporter else {}
    return [f"{name}: {report.longrepr[2].removeprefix('Skipped: ')}" for name, report in reports.items()]


def _others(config: pytest.Config) -> list[str]:
    allowed = [NO_GPU] if os.environ.get("FLOWKIT_DATA") else [NO_GPU, NO_DATA]
    return [line for line in _skipped(config) if not any(f": {why}" in line for why in allowed)]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--no-skips") and _others(session.config):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--no-skips"):
        others = _others(config)
        terminalreporter.section("skipped tests")
        allowed = len(_skipped(config)) - len(others)
        terminalreporter.line(f"{allowed} for want of a GPU, or of FLOWKIT_DATA; {len(others)} others")
        for line in others:
            terminalreporter.line(f"not allowed by --no-skips: {line}", red=True)


def _perturb(module: nn.Module, seed: int = 0, amount: float = 0.2) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(amount * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return module


@pytest.fixture
def perturb() -> Callable[..., nn.Module]:
    """Random, non-zero weights: many networks start at zero, where a wrong formula is still right."""
    return _perturb


@pytest.fixture
def enlarging() -> Callable[..., ConditionalFlow]:
    """Flows to twice the resolution, in float64 and eval mode: these steps on each of so many levels."""

    def make(steps: list[object], levels: int) -> ConditionalFlow:
        torch.manual_seed(0)
        recipe = {
            "version": 1,
            "target": {"type": "continuous", "noise": "none"},
            "encoder": {"type": "rrdb", "scale": 2, "features": 6, "growth": 3, "blocks": 1, "stack": [0]},
            "flow": [{"repeat": levels, "steps": ["squeeze", *steps], "between": ["split"]}],
        }
        flow = build(recipe)
        _perturb(flow, amount=0.1)
        return flow.double().eval()

    return make


@pytest.fixture
def registry_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it: the suites of layers run over the registry."""
    for name in ("_entries", "_aliases", "_refused"):
        monkeypatch.setattr(registry, name, copy.deepcopy(getattr(registry, name)))


@pytest.fixture
def data() -> Path:
    """The real pages that FLOWKIT_DATA names; tests that want them skip without."""
    folder = os.environ.get("FLOWKIT_DATA")
    if not folder or not Path(folder, "dibco").is_dir():
        pytest.skip("no data: FLOWKIT_DATA does not name a folder with real pages (dibco/...)")
    return Path(folder)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Two drawn pages and their truths, as `img` and `gt` folders."""
    folder = tmp_path_factory.mktemp("drawn") / "set"
    (folder / "img").mkdir(parents=True)
    (folder / "gt").mkdir()
    for i, size in enumerate([(120, 90), (40, 150)]):
        rng = np.random.default_rng(i)
        ink = draw_page(*size, rng)
        Image.fromarray(degrade(ink, rng)).save(folder / "img" / f"{i}.png")
        Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)).convert("1").save(folder / "gt" / f"{i}.png")
    return folder


def _checkpoint(path: Path, target: str, encoder: dict[str, object]) -> Path:
    torch.manual_seed(0)
    steps = ["squeeze", "actnorm", "conv1x1", "affine_injector", "affine_coupling"]
    recipe = {"version": 1, "name": "tiny", "target": {"type": target}, "encoder": encoder, "flow": steps}
    flow = build(recipe)
    with torch.no_grad():
        for weight in flow.parameters():
            if weight.dim() == 4 and weight.shape[-1] == 3:
                weight.normal_(0, 1.5 / weight[0].numel() ** 0.5)
    save(flow, path)
    return path


@pytest.fixture(scope="session")
def ink_checkpoint(tmp_path_factory) -> Path:
    """A tiny model with random weights, for `flowkit binarize`."""
    encoder = {"type": "unet", "in_channels": 1, "widths": [8]}
    return _checkpoint(tmp_path_factory.mktemp("model") / "tiny.safetensors", "binary", encoder)


@pytest.fixture(scope="session")
def doubling_checkpoint(tmp_path_factory) -> Path:
    """A tiny model with random weights, for `flowkit upscale`, twice as large."""
    encoder = {"type": "rrdb", "features": 8, "growth": 4, "blocks": 1, "stack": [0], "scale": 2}
    return _checkpoint(tmp_path_factory.mktemp("model") / "double.safetensors", "continuous", encoder)


def _pixels(height: int, width: int, seed: int) -> np.ndarray:
    """Dark squares on light, slightly coloured paper: no two places are alike."""
    rng = np.random.default_rng(seed)
    ink = np.kron(rng.random((height // 8 + 1, width // 8 + 1)) < 0.3, np.ones((8, 8)))[:height, :width] > 0
    paper = rng.integers(190, 250, (height, width, 3))
    return np.where(ink[..., None], rng.integers(20, 60, (height, width, 3)), paper).astype(np.uint8)


@pytest.fixture
def pixels() -> Callable[[int, int, int], np.ndarray]:
    """A page (height, width, 3) of dark squares on light paper, by its seed."""
    return _pixels


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one good scan."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (53, 37, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("page.png", dpi=(300, 300))
    return tmp_path


@pytest.fixture(scope="session")
def linear_profile() -> bytes:
    """A colour profile of sRGB's primaries and linear light; its name says sRGB all the same."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    curve = profile.index(b"para") + 12
    linear = struct.pack(">5I", 0x10000, 0x10000, 0, 0x10000, 0)  # y = x
    return profile[:curve] + linear + profile[curve + len(linear) :]


@pytest.fixture(scope="session")
def grey_profile() -> bytes:
    """A colour profile of grey in linear light."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0" + bytes(4)  # of no entries: y = x
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(79)
    tags = {b"desc": name, b"wtpt": white, b"kTRC": curve}
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = bytes(4) + b"lcms\x02\x10\0\0mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28)
    light = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    header = (head + light).ljust(128, b"\0")[4:]
    return struct.pack(">I", 128 + len(table) + len(body)) + header + table + body


@pytest.fixture
def write() -> Callable[..., Path]:
    """Save an array as an image; folders are made."""

    def save(path: Path, array: np.ndarray, **options: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path, **options)
        return path

    return save


CPU_SECONDS = 10


@pytest.fixture(scope="session")
def fuzzed() -> Callable[[int], range]:
    """The numbers of what is tried of one of so many kinds; in all FLOWKIT_FUZZ (300, say), or a few."""
    return lambda kinds: range(max(1, int(os.environ.get("FLOWKIT_FUZZ", 20)) // kinds))


@pytest.fixture
def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[[list[str], int], tuple[int, str]]:
    """Runs the command line in a child of this process: its status and what it wrote.

    It fails the test on a traceback, on more than `CPU_SECONDS` of work, and on more memory than that.
    """

    def run(arguments: list[str], memory: int) -> tuple[int, str]:
        said = tmp_path / "said.txt"
        child = os.fork()
        if child == 0:
            try:
                file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(file, 1)
                os.dup2(file, 2)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
                resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
                status = main(arguments)
                sys.stdout.flush()
                sys.stderr.flush()
            except BaseException:
                os.write(2, traceback.format_exc().encode())
                status = 99
            os._exit(status)
        _, status, used = os.wait4(child, 0)
        text = said.read_text(errors="backslashreplace")
        assert "Traceback" not in text, text
        assert not os.WIFSIGNALED(status), f"{signal.Signals(os.WTERMSIG(status)).name} (SIGXCPU: too long)"
        assert used.ru_maxrss * 1024 < memory, f"{used.ru_maxrss / 1e3:.0f} of {memory / 1e6:.0f} MB"
        return os.waitstatus_to_exitcode(status), text

    return run


@pytest.fixture
def interrupted() -> Callable[..., float]:
    """Runs a function in a child of this process, and ends it by a signal after some seconds of work, if any.

    The number is the seconds of work that the child has done.
    """

    def run(do: Callable[[], object], number: int = 0, after: float = 0) -> float:
        child = os.fork()
        if child == 0:
            if number and number != signal.SIGKILL:
                signal.signal(signal.SIGPROF, lambda *_: os.kill(os.getpid(), number))
            if number:  # SIGPROF itself ends a process at once, as SIGKILL does
                signal.setitimer(signal.ITIMER_PROF, after)
            try:
                do()
            finally:
                os._exit(0)
        _, _, used = os.wait4(child, 0)
        return used.ru_utime + used.ru_stime

    return run
