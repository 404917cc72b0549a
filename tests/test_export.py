"""Exported files compute what the model does, for any batch and size, without flowkit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flowkit import build, load, save
from flowkit.cli import main
from flowkit.errors import ExportError
from flowkit.export import export
from flowkit.export.onnx_file import ndtri
from flowkit.flow import ConditionalFlow
from flowkit.layers import AffineInjector

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra `export`)")

INK = {
    "version": 1,
    "name": "ink",
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "in_channels": 1, "widths": [4, 6], "contrast": [5]},
    "flow": [
        "squeeze",
        "actnorm",
        "conv1x1",
        {"type": "affine_injector", "hidden": 4},
        {"type": "affine_coupling", "hidden": 4},
    ],
}
LARGER = {
    "version": 1,
    "name": "larger",
    "target": {"type": "continuous", "channels": 1, "noise": "none"},
    "encoder": {
        "type": "rrdb",
        "in_channels": 1,
        "scale": 2,
        "features": 6,
        "growth": 3,
        "blocks": 1,
        "stack": [0],
        "enlarged": True,
    },
    "flow": [
        "subtract",
        {
            "repeat": 2,
            "steps": ["squeeze", "conv1x1", {"type": "affine_injector", "hidden": 4}],
            "between": ["split"],
        },
    ],
}
SIZES = [(1, 3, 5), (2, 10, 6), (4, 1, 2)]  # batch, and sides in multiples of the model's


def model_of(recipe: dict[str, Any], perturb: Any) -> ConditionalFlow:
    torch.manual_seed(0)
    return perturb(build(recipe), amount=0.1).eval()


def test_ndtri_is_the_quantile_of_the_standard_normal():
    p = torch.cat([torch.linspace(1e-4, 1 - 1e-4, 999), torch.tensor([1e-30, 1e-12, 1e-7])]).double()
    torch.testing.assert_close(ndtri(p), torch.special.ndtri(p), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_pt2_samples_of_any_size(tmp_path, perturb):
    model = model_of(LARGER, perturb)
    export(model, tmp_path / "m.pt2", what="sample")
    program = torch.export.load(tmp_path / "m.pt2", extra_files=(extra := {"flowkit.json": ""}))
    sample = program.module()
    for batch, height, width in SIZES[:2]:
        image = torch.rand(batch, 1, height * model.multiple, width * model.multiple)
        p = model(image)
        latents = [torch.randn(batch, *shape) for shape in p.latent_shapes]
        torch.testing.assert_close(sample(image, *latents), p.decode(latents), rtol=1e-4, atol=1e-5)
    assert json.loads(extra["flowkit.json"])["inputs"] == "image z0 z1"
    assert not [n for n in program.graph.nodes if "flowkit" in str(n.target) or "rand" in str(n.target)]


FOUR_TIMES = {
    "version": 1,
    "name": "four times",
    "target": {"type": "continuous", "channels": 1},
    "encoder": {**LARGER["encoder"], "scale": 4, "features": 4, "growth": 2, "stack": []},
    "flow": [
        "subtract",
        "squeeze",
        {"type": "affine_injector", "hidden": 4, "kernel": 1},
        "split",
    ],
}


def sizes_agree(model: ConditionalFlow, file: Path, what: Any, sizes: list[tuple[int, int, int]]) -> None:
    """Compare an exported file with the model for images of these batches, heights and widths."""
    run = torch.export.load(file).module()
    for batch, height, width in sizes:
        image = torch.rand(batch, model.in_channels, height, width)
        with torch.no_grad():
            p = model(image)
            if what == "sample":
                latents = [0.7 * torch.randn(batch, *shape) for shape in p.latent_shapes]
                found, expected = run(image, *latents), p.decode(latents)
                assert found.shape == (batch, 1, 4 * height, 4 * width)
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
            else:
                y, noise = torch.rand(2, batch, 1, 4 * height, 4 * width)
                found, expected = run(image, y, noise), p.log_prob(y, generator=noise)
                assert found.shape == (batch,)
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("what", ["sample", "log_prob"])
def test_pt2_of_a_model_that_enlarges_four_times(what, tmp_path, perturb):
    model = model_of(FOUR_TIMES, perturb)
    export(model, tmp_path / "m.pt2", what=what)
    sizes_agree(model, tmp_path / "m.pt2", what, [(1, 6, 10), (2, 14, 8), (3, 4, 22)])


@pytest.mark.slow
@pytest.mark.parametrize("what", ["sample", "log_prob"])
def test_pt2_of_the_model_that_ships_for_four_times(what, tmp_path):
    file = tmp_path / "m.pt2"
    assert main(["export", "super-resolve-x4", str(file), "--what", what]) == 0
    sizes_agree(load("super-resolve-x4"), file, what, [(1, 6, 10), (2, 14, 8), (1, 4, 22)])


def test_an_operation_that_cannot_go_to_pt2_names_its_layer(tmp_path, perturb, monkeypatch):
    model = model_of(FOUR_TIMES, perturb)
    inverse = AffineInjector.inverse

    def branching(self: AffineInjector, z: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        if z.mean() > 0:
            z = 2 * z
        return inverse(self, z, *given)

    monkeypatch.setattr(AffineInjector, "inverse", branching)
    with pytest.raises(ExportError, match=r'm\.pt2: layer "affine_injector" cannot be exported'):
        export(model, tmp_path / "m.pt2", what="sample")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_pt2_log_prob_of_any_batch(tmp_path, perturb):
    model = model_of(LARGER, perturb)
    export(model, tmp_path / "m.pt2", what="log_prob")
    log_prob = torch.export.load(tmp_path / "m.pt2").module()
    for batch in (1, 3):
        image, y = torch.rand(batch, 1, 10, 6), torch.rand(batch, 1, 20, 12)
        with torch.no_grad():
            torch.testing.assert_close(log_prob(image, y), model(image).log_prob(y), rtol=1e-4, atol=1e-2)


@pytest.mark.slow
def test_onnx_mode_by_onnxruntime_at_three_sizes(tmp_path, perturb, capsys):
    model = model_of(LARGER, perturb)
    save(model, tmp_path / "m.safetensors")
    assert main(["export", str(tmp_path / "m.safetensors"), str(tmp_path / "m.onnx")]) == 0
    assert "multiples of 2, the result 2 times as large" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == ["image"]
    assert session.get_modelmeta().custom_metadata_map["what"] == "mode"
    for batch, height, width in SIZES:
        image = torch.rand(batch, 1, height * model.multiple, width * model.multiple)
        (found,) = session.run(["y"], {"image": image.numpy()})
        expected = model(image).sample(1, temperature=0)[0]
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_onnx_log_prob_takes_the_noise_of_a_binary_target(tmp_path, perturb):
    model = model_of(INK, perturb)
    export(model, tmp_path / "m.onnx", what="log_prob")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == ["image", "y", "noise"]
    for batch, height, width in SIZES:
        image, y, noise = torch.rand(3, batch, 1, height * model.multiple, width * model.multiple)
        y = y.round()
        fed = {"image": image.numpy(), "y": y.numpy(), "noise": noise.numpy()}
        (found,) = session.run(["log_prob"], fed)
        with torch.no_grad():
            np.testing.assert_allclose(found, model(image).log_prob(y, generator=noise), rtol=1e-4, atol=1e-2)


@pytest.mark.slow
def test_an_op_that_cannot_go_names_its_layer(tmp_path, perturb):
    recipe = {**LARGER, "flow": ["squeeze", {"type": "conditional_conv1x1", "hidden": 4}]}
    model = model_of({**recipe, "encoder": {**LARGER["encoder"], "enlarged": False}}, perturb)
    with pytest.raises(ExportError, match=r'm\.onnx: layer "conditional_conv1x1" cannot be exported'):
        export(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "what"), [("m.pt", "mode"), ("m", "mode"), ("m.onnx", "moods")])
def test_wrong_use_is_one_clear_error(name: str, what: Any, tmp_path: Path, perturb):
    with pytest.raises(ExportError, match=r'ends in \.pt2 or \.onnx|did you mean "mode"'):
        export(model_of(INK, perturb), tmp_path / name, what=what)


def test_results_that_differ_are_not_written(tmp_path, perturb, monkeypatch):
    model = model_of(INK, perturb)
    monkeypatch.setattr("flowkit.export.files.trace", lambda computation: None)
    wrong = lambda program, computation, metadata: (b"", lambda inputs: 1 + computation(*inputs))  # noqa: E731
    monkeypatch.setattr("flowkit.export.files._to_pt2", wrong)
    with pytest.raises(
        ExportError, match=r"m\.pt2 was not written: for images \(1, 4, 6\) its results differ"
    ):
        export(model, tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "channels", "scale", "suffix"),
    [("binarize", 3, 1, ".pt2"), ("super-resolve-x2", 1, 2, ".onnx")],
)
def test_models_that_ship_are_exported(name, channels, scale, suffix, tmp_path):
    """`export` compares the file with the model at three sizes."""
    file = tmp_path / f"model{suffix}"
    assert main(["export", name, str(file)]) == 0
    image = torch.rand(1, channels, 14, 22)
    if suffix == ".pt2":
        found = torch.export.load(file).module()(image)
    else:
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(["y"], {"image": image.numpy()})[0])
    assert found.shape == (1, 1, 14 * scale, 22 * scale)
    assert found.isfinite().all()
