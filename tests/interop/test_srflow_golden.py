"""Numbers that SRFlow's own code computed, against ours: in `golden`, beside the folder FLOWKIT_DATA."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from flowkit import build
from flowkit.interop.srflow import from_srflow

FLOW = "flowUpsamplerNet.layers."
CONFIGS = ["A_sr4_L3", "C_bin1_L1"]
TOLERANCE = {"f64": 1e-10, "f32": 1e-5}  # relative to the largest value


@pytest.fixture(scope="module")
def golden() -> Path:
    folder = Path(os.environ.get("FLOWKIT_DATA") or "missing").resolve().parent / "golden"
    if not folder.is_dir():
        pytest.skip("no data: no folder `golden` with SRFlow's numbers beside FLOWKIT_DATA's")
    return folder


class Case:
    def __init__(self, golden: Path, name: str) -> None:
        self.config = json.loads((golden / "configs.json").read_text())[name]
        self.layers = self.config["layers"]
        self.state = {k: torch.from_numpy(v) for k, v in np.load(golden / f"{name}.state.npz").items()}
        self.io = {k: torch.from_numpy(v) for k, v in np.load(golden / f"{name}.io.npz").items()}
        self.norms = json.loads((golden / f"{name}.gradnorms.json").read_text())

    def model(self, suffix="f64", state=None):
        options = {"scale": self.config["config"]["scale"], "stack": self.config["config"]["stack_blocks"]}
        model = from_srflow(self.state if state is None else state, **options)
        return model.double() if suffix == "f64" else model

    def inputs(self, suffix="f64"):
        dtype = torch.float64 if suffix == "f64" else torch.float32
        return self.io["lr"].to(dtype), self.io["hr"].to(dtype)

    def latents(self, prefix, suffix):
        return [self.io[n] for n in sorted(self.io) if n.startswith(prefix) and n.endswith(suffix)]

    def places(self):
        """SRFlow's layer -> the places of our layers that are the same."""
        place, kinds = 0, {"noCoupling": 2, "CondAffineSeparatedAndCond": 4, None: 1}
        for layer in self.layers:
            count = kinds[layer["coupling"]]
            yield layer["i"], range(place, place + count)
            place += count


@pytest.fixture(scope="module", params=CONFIGS)
def case(request, golden) -> Case:
    return Case(golden, request.param)


def same(found, expected, suffix, at_least=0.0):
    assert found.shape == expected.shape
    error = (found - expected).abs().max() / max(expected.abs().max(), at_least)
    assert error <= TOLERANCE[suffix], error


@pytest.mark.parametrize("suffix", ["f64", "f32"])
def test_encode_and_nll(case, suffix):
    image, y = case.inputs(suffix)
    p = case.model(suffix)(image)
    found, expected = p.encode(y), case.latents("enc_eps", suffix)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs, suffix)
    nll = -p.log_prob(y) / (math.log(2) * y.shape[2] * y.shape[3])
    same(nll, case.io[f"enc_nll_{suffix}"], suffix)


@pytest.mark.parametrize("suffix", ["f64", "f32"])
def test_decode(case, suffix):
    image, y = case.inputs(suffix)
    p = case.model(suffix)(image)
    same(p.decode(case.latents("enc_eps", suffix)), case.io[f"dec_of_enc_x_{suffix}"], suffix)
    fixed = [z.to(y.dtype) for z in case.latents("fixed_eps", "")]
    same(p.decode(fixed), case.io[f"dec_fixed_x_{suffix}"], suffix)
    same(p.decode([torch.zeros_like(z) for z in fixed]), case.io[f"dec_tau0_x_{suffix}"], suffix)
    same(p.sample(temperature=0)[0], case.io[f"dec_tau0_x_{suffix}"], suffix)


def test_every_layer_on_the_way_up(case):
    image, z = case.inputs()
    model = case.model()
    contexts = model(image)._contexts
    total = torch.zeros(len(z), dtype=z.dtype)
    for index, places in case.places():
        for place in places:
            layer = model.layers[place]
            z, change = layer(z, contexts[place])
            total = total + change
            if layer.latent_channels:
                z, e = z[:, : layer.out_shape.channels], z[:, layer.out_shape.channels :]
                # SRFlow counts the density of what leaves at once
                total = total - 0.5 * (e**2 + math.log(2 * math.pi)).flatten(1).sum(1)
        same(z, case.io[f"enc_layer{index:02}_z_f64"], "f64")
        same(total, case.io[f"enc_layer{index:02}_logdet_f64"], "f64", at_least=1.0)
    same(total, case.io["enc_logdet_f64"], "f64")


def test_every_layer_on_the_way_down(golden):
    case = Case(golden, "A_sr4_L3")
    image, _ = case.inputs()
    model = case.model()
    contexts = model(image)._contexts
    *rest, z = [z.double() for z in case.latents("fixed_eps", "")]
    for index, places in reversed(list(case.places())):
        for place in reversed(places):
            layer = model.layers[place]
            if layer.latent_channels:
                z = torch.cat([z, rest.pop()], 1)
            z, _ = layer.inverse(z, contexts[place])
        same(z, case.io[f"decfixed_layer{index:02}_z_f64"], "f64")


def test_features(case):
    image, _ = case.inputs()
    names = case.config["level_to_feature"]
    for stride, features in case.model().encoder(image).items():
        same(features, case.io[f"rrdb_{names[str(stride.bit_length() - 1)]}_f64"], "f64")


def theirs_of(model, case):
    """SRFlow's name of a weight -> ours; a convolution that we hold in two parts has two."""
    names = {}

    def both(our, their):
        names.setdefault(their, []).append(our)

    for index, places in case.places():
        at = f"{FLOW}{index}."
        for place in places:
            for name, _ in model.layers[place].named_parameters():
                our = f"layers.{place}.{name}"
                kind = type(model.layers[place]).__name__
                name = name.replace("log_scale", "logs")
                if kind == "Conv1x1":
                    both(our, f"{at}invconv.{name}")
                elif kind == "ActNorm":
                    both(our, f"{at}actnorm.{name}")
                elif kind == "Split":
                    both(our, f"{at}conv.{'logs' if name == 'gain' else name.removeprefix('prior.')}")
                else:
                    net = "fFeatures" if kind == "AffineInjector" else "fAffine"
                    name = name.removeprefix("network.")
                    for old, new in (
                        ("on_context", "0"),
                        ("on_latent", "0"),
                        ("mix", "2"),
                        ("out", "4"),
                        ("norms.0", "0.actnorm"),
                        ("norms.1", "2.actnorm"),
                        ("gain", "4.logs"),
                    ):
                        if name.startswith(old):
                            name = new + name.removeprefix(old)
                            break
                    both(our, f"{at}affine.{net}.{name}")
    ups = sorted((int(k) for k in model.encoder.up), reverse=True)
    for name, _ in model.encoder.named_parameters():
        their = name.replace("first.", "conv_first.", 1).replace("last.", "trunk_conv.", 1)
        parts = name.split(".")
        if parts[0] == "trunk":
            _, b, _, r, _, k, part = parts
            their = f"RRDB_trunk.{b}.RDB{int(r) + 1}.conv{int(k) + 1}.{part}"
        elif parts[0] == "up":
            their = f"upconv{ups.index(int(parts[1])) + 1}.{parts[2]}"
        both(f"encoder.{name}", f"RRDB.{their}")
    return names


def test_gradients(case):
    image, y = case.inputs()
    y.requires_grad_()
    model = case.model()
    nll = -model(image).log_prob(y).mean() / (math.log(2) * y.shape[2] * y.shape[3])
    nll.backward()
    same(y.grad, case.io["grad_hr_f64"], "f64")
    names = theirs_of(model, case)
    ours = dict(model.named_parameters())
    assert sum(map(len, names.values())) == len(ours)
    alive = {name for name, norm in case.norms.items() if norm is not None}
    # a weight of an octave that no level reads gets no gradient, and is not there
    assert set(names) == alive
    for their, parts in names.items():
        norm = math.sqrt(sum(float(ours[our].grad.square().sum()) for our in parts))
        assert norm == pytest.approx(case.norms[their][0], rel=1e-8, abs=1e-12), their
    for name, gradient in case.io.items():
        their = name.removeprefix("grad/")
        if name.startswith("grad/"):
            # z1 comes before the features in their inputs; their outputs are shift, scale, shift, scale, ...
            parts = sorted(names[their], key=lambda our: "on_latent" not in our)
            found = torch.cat([ours[our].grad for our in parts], 1) if len(parts) > 1 else ours[parts[0]].grad
            outputs = [gradient[0::2], gradient[1::2]] if ".4." in their else [gradient]
            same(found, torch.cat(outputs), "f64")


def test_data_dependent_initialisation(case):
    zeroed = {k: torch.zeros_like(v) if ".actnorm." in k else v for k, v in case.state.items()}
    model = case.model("f32", zeroed).train()
    image, y = case.inputs("f32")
    with torch.no_grad():
        model(image).encode(y)
    ours = dict(model.named_parameters())
    checked = 0
    for their, parts in theirs_of(model, case).items():
        if ".actnorm." in their:
            # Where the data were standard before, the bias is rounding: 1e-8 beside values of 1.
            same(ours[parts[0]], case.state[their], "f32", at_least=1.0)
            checked += 1
    assert checked == sum(".actnorm." in name for name in case.state)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("official", "recipe"), [("SRFlow_DF2K_4X", "srflow_x4"), ("SRFlow_DF2K_8X", "srflow_x8")]
)
def test_the_released_networks_names_and_shapes(golden, official, recipe):
    shapes = json.loads((golden / "official_keys.json").read_text())[official]
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    model = build(recipe)
    options = {"scale": model.scale, "stack": model.encoder.stack}
    imported = {name: value.shape for name, value in from_srflow(state, **options).state_dict().items()}
    assert imported == {name: value.shape for name, value in model.state_dict().items()}
