"""The recipes of the paper's networks begin with RRDB weights as other programs wrote them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from flowkit import load, read_recipe
from flowkit.cli import main
from flowkit.encoders import RRDB
from flowkit.interop.rrdb_names import BASICSR, ESRGAN, OLD
from flowkit.recipe import build
from flowkit.training.start import start_from

RRDB_OPTIONS = {"blocks": 2, "stack": [0, 1], "features": 6, "growth": 3}
SMALL = [*(f"encoder.{key}={value}" for key, value in RRDB_OPTIONS.items()), "vars.steps=1", "vars.hidden=4"]
UPS = {"up.1": "up.2", "up.2": "up.1"}  # the files count octaves from the coarsest, an encoder names strides
SCHEMES = {
    "ESRGAN": lambda named: named(ESRGAN),
    "ESRGAN, old": lambda named: named(OLD),
    "BasicSR": lambda named: {"params": named(BASICSR)},
    "Real-ESRGAN": lambda named: {"params_ema": named(BASICSR)},
}


@pytest.fixture
def network() -> RRDB:
    """An encoder for images at full resolution, enlarged twice by 2."""
    torch.manual_seed(3)
    encoder = RRDB(scale=4, **RRDB_OPTIONS)
    for stride in (1, 2, 4, 8):
        encoder.provide(stride)
    return encoder


@pytest.fixture
def file(network, tmp_path):
    """Its weights and an image head, saved as a program would."""
    head = {"conv_hr.weight": (6, 6, 3, 3), "conv_hr.bias": (6,)}
    head |= {"conv_last.weight": (3, 6, 3, 3), "conv_last.bias": (3,)}
    own = network.state_dict() | {name: torch.randn(shape) for name, shape in head.items()}

    def named(scheme):
        files = scheme.weights(blocks=2, ups=2)
        return {their: own[UPS.get(our[:4], our[:4]) + our[4:]] for our, their in files.items()}

    def write(scheme):
        torch.save(SCHEMES[scheme](named), tmp_path / "rrdb.pth")
        return tmp_path / "rrdb.pth"

    return write


def started(recipe, file, *more):
    model = build(read_recipe(recipe, [*SMALL, *more]))
    assert start_from(model, file) == frozenset()
    return model.encoder


IMAGE = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_super_resolution_is_conditioned_by_the_network_that_was_trained(scheme, network, file):
    encoder = started("paper-super-resolve-x4", file(scheme))
    expected, found = network(IMAGE), encoder(IMAGE)
    assert sorted(found) == [2, 4, 8]
    for stride, features in found.items():
        torch.testing.assert_close(features, expected[stride])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_binarization_is_conditioned_by_it_at_full_resolution(scheme, network, file):
    encoder = started("paper-binarize", file(scheme))
    [(stride, features)] = encoder(IMAGE).items()
    assert (encoder.unshuffle, stride) == (1, 2)
    torch.testing.assert_close(features, network(IMAGE)[8])  # half the trunk's grid, in both


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_encoder_that_unshuffles_begins_with_it_on_the_image_reduced(scheme, network, file):
    encoder = started("paper-binarize", file(scheme), "encoder.unshuffle=2")
    torch.testing.assert_close(encoder(IMAGE)[2], network(F.avg_pool2d(IMAGE, 2))[4])
    plain = torch.full((1, 3, 8, 12), 0.3)
    torch.testing.assert_close(
        encoder.first(F.pixel_unshuffle(plain, 2))[:, :, 1:-1, 1:-1],
        network.first(plain)[:, :, 1:3, 1:5],
        msg="a constant image has the same response",
    )


@pytest.mark.parametrize("name", ["paper-binarize", "paper-super-resolve-x4"])
def test_the_verb_begins_with_it(name, network, file, drawn, tmp_path, capsys):
    sets = [*SMALL, "train.steps=1", "train.batch=1", "train.patch=32", "train.encoder_from=1"]
    command = ["train", name, "--init", str(file("Real-ESRGAN")), "--data", str(drawn)]
    command += [word for change in sets for word in ("--set", change)]
    assert main([*command, "--out", str(tmp_path / "run"), "--workers", "0", "--quiet"]) == 0
    assert f"{name}, 1 steps" in capsys.readouterr().out
    kept = load(tmp_path / "run" / "model.safetensors").encoder.state_dict()
    for key, value in network.state_dict().items():
        if key in kept:  # one pass of a frozen encoder, saved in float16
            torch.testing.assert_close(kept[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["encoder.unshuffle=2"]])
def test_real_weights_fit_the_whole_network(options, data):
    file = data / "weights" / "RealESRGAN_x4plus_rrdb23_fp16.pth"
    if not file.is_file():
        pytest.skip(f"no data: no weights/{file.name} in the folder that FLOWKIT_DATA names")
    model = build(read_recipe("paper-binarize", options))
    start_from(model, file)
    features = model.encoder(torch.rand(1, 3, 16, 16))[2]
    assert features.isfinite().all()
    assert features.std() > 0.01
