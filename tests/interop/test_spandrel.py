"""flowkit's weights in spandrel: its own loader, and what stands behind it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flowkit import build, load, save
from flowkit.checkpoint import shipped_weights
from flowkit.errors import CheckpointError, FlowkitError
from flowkit.interop.spandrel import enlarger, install, is_flowkits
from flowkit.pages import upscale

FUNCTIONS = "torchvision.transforms.functional"


@pytest.fixture
def spandrel(monkeypatch):
    """The real spandrel. Two of its architectures want three names of torchvision, which may not be there."""
    try:
        importlib.import_module(FUNCTIONS)
    except (ImportError, RuntimeError):  # it is not installed, or is for another torch
        for name in ("torchvision", "torchvision.transforms", FUNCTIONS):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        for name in ("InterpolationMode", "rotate", "normalize"):
            monkeypatch.setattr(sys.modules[FUNCTIONS], name, None, raising=False)
    return pytest.importorskip("spandrel")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["super-resolve-x2", "super-resolve-x4"])
def test_spandrels_loader_gives_what_upscale_gives(spandrel, name):
    registry = spandrel.MAIN_REGISTRY.copy()
    install(registry)
    install(registry)  # once more changes nothing
    model = spandrel.ModelLoader(registry=registry).load_from_file(shipped_weights()[name])
    assert (model.architecture.id, model.purpose) == ("flowkit", "SR")
    assert (model.input_channels, model.output_channels) == (3, 3)
    page = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    image = torch.from_numpy(page).permute(2, 0, 1)[None] / 255
    levels = (255 * model(image)[0]).round().permute(1, 2, 0).numpy()
    np.testing.assert_allclose(levels, upscale(page, model=name).image, atol=1)
    assert model(image[..., :21, :33]).shape == (1, 3, 21 * model.scale, 33 * model.scale)


def test_weights_are_known_by_their_tensors():
    state = load_file(shipped_weights()["super-resolve-x2"])
    assert is_flowkits(state)
    assert not is_flowkits({"conv_first.weight": torch.zeros(1)})
    model = enlarger(state)
    flow = load("super-resolve-x2")
    image = torch.rand(2, 1, 12, 16).expand(2, 3, 12, 16)
    with torch.no_grad():
        wanted = flow(image[:, :1]).sample(temperature=0)[0].clamp(0, 1)
    torch.testing.assert_close(model(image), wanted.expand(2, 3, 24, 32), atol=1e-5, rtol=0)
    assert model.name == "super-resolve-x2"


def test_other_weights_are_refused(tmp_path):
    for made in ("binarize", {"encoder.blocks": 1}):
        model = build(made) if isinstance(made, str) else build("super-resolve-x2", overrides=made)
        save(model, tmp_path / "model.safetensors")
        with pytest.raises(CheckpointError, match="fit no recipe for super-resolution"):
            enlarger(load_file(tmp_path / "model.safetensors"))


def test_without_spandrel_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(FlowkitError, match="pip install spandrel"):
        install()
