"""What is imported from SRFlow's format, against its formulas written out in plain torch."""

from __future__ import annotations

import math
import re

import pytest
import torch
from srflow_formulas import (
    BLOCKS,
    FLOW,
    GC,
    HIDDEN,
    NF,
    STACK,
    make_state,
    pair,
    restated_encode,
)

import flowkit
from flowkit import build
from flowkit.cli import main
from flowkit.errors import CheckpointError, FlowkitError
from flowkit.interop.srflow import from_srflow

# scale, levels, conditional steps, unconditional steps, splits, channels of the target
LAYOUTS = [
    (4, 1, 2, 2, 0, 3),
    (4, 2, 1, 2, 0, 3),
    (4, 3, 2, 1, 1, 3),
    (8, 4, 1, 2, 2, 3),
    (8, 2, 1, 0, 1, 3),
    (1, 1, 2, 2, 0, 1),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("long_skip", ["trunk", "first"])
def test_the_formulas_are_srflows(layout, long_skip):
    scale, levels, _, _, splits, channels = layout
    state = make_state(*layout)
    model = from_srflow(state, scale=scale, stack=STACK, long_skip=long_skip)
    image, y = pair(scale, levels, channels)
    latents, log_det = restated_encode(state, image, y, long_skip)
    p = model(image)
    found = p.encode(y)
    assert len(found) == splits + 1
    for ours, theirs in zip(found, latents, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11 * theirs.abs().max().item())
    z = latents[-1]
    total = log_det - 0.5 * (z**2 + math.log(2 * math.pi)).flatten(1).sum(1)
    torch.testing.assert_close(p.log_prob(y), total, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(p.decode(latents), y, rtol=0, atol=1e-9)
    generator = torch.Generator().manual_seed(2)
    drawn = [z + 0.01 * torch.randn(z.shape, generator=generator, dtype=z.dtype) for z in latents]
    there, _ = restated_encode(state, image, p.decode(drawn), long_skip)
    for ours, theirs in zip(drawn, there, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_the_long_skip_matters():
    image, _ = pair(4, 2, 3)
    one, other = (
        from_srflow(make_state(), scale=4, stack=STACK, long_skip=skip)(image).sample(temperature=0)
        for skip in ("trunk", "first")
    )
    assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("change", ["module.", "without the dead", "float32"])
def test_forms_of_the_same_weights(change):
    state = make_state()
    image, y = pair(4, 2, 3)
    expected = from_srflow(state, scale=4, stack=STACK)(image).encode(y)
    if change == "module.":
        state = {f"module.{name}": value for name, value in state.items()}
    elif change == "float32":
        state = {name: value.float() for name, value in state.items()}
    else:
        dead = re.compile(r"flowUpsamplerNet\.f\.0|RRDB\.(upconv2|HRconv|conv_last)")
        state = {name: value for name, value in state.items() if not dead.match(name)}
    model = from_srflow(state, scale=4, stack=STACK).double()
    found = model(image).encode(y)
    for ours, theirs in zip(found, expected, strict=True):
        tolerance = 1e-5 if change == "float32" else 0
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


def test_weights_that_never_saw_data_are_initialised_by_the_first_training_pass():
    state = make_state(4, 3, 1, 1, 1)
    for name in state:
        if "actnorm" in name:
            state[name] = torch.zeros_like(state[name])
    model = from_srflow(state, scale=4, stack=STACK)
    flags = {n: b for n, b in model.named_buffers() if n.endswith("initialised")}
    assert len(flags) == 3 * 2 + 3 * 2 * 2  # two actnorms per level, and two in each of its two networks
    image, y = pair(4, 3, 3)
    latents = model(image).encode(y)
    model.train()(image)  # the injectors read the image alone
    assert {n.split(".")[1] for n, b in flags.items() if b} == {"5", "13", "20"}
    model(image).decode(latents)
    assert sum(map(bool, flags.values())) == 3 * 2  # what was decoded was no data
    first = model(image).encode(y)
    assert all(flags.values())
    again = model.eval()(image).encode(y)
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b)
    trained = from_srflow(make_state(4, 3, 1, 1, 1), scale=4, stack=STACK)
    assert all(bool(b) for n, b in trained.named_buffers() if n.endswith("initialised"))


@pytest.mark.parametrize(
    ("name", "official", "unread"),
    [("srflow_x4", 39_541_811, "upconv2"), ("srflow_x8", 50_821_891, "upconv3")],
)
def test_the_recipes_are_the_released_networks(name, official, unread):
    model = build(name)
    dead = {
        "flowUpsamplerNet.f.0": 96 * 320 * 9 + 96,
        f"RRDB.{unread}": 64 * 64 * 9 + 64,
        "RRDB.HRconv": 64 * 64 * 9 + 64,
        "RRDB.conv_last": 3 * 64 * 9 + 3,
    }
    assert sum(p.numel() for p in model.parameters()) == official - sum(dead.values())


@pytest.mark.parametrize(("name", "levels", "splits"), [("srflow_x4", 3, 1), ("srflow_x8", 4, 2)])
def test_the_recipes_take_imported_weights(name, levels, splits):
    scale = int(name[-1])
    imported = from_srflow(make_state(scale, levels, 1, 2, splits), scale=scale, stack=STACK)
    small = {"features": NF, "growth": GC, "blocks": BLOCKS, "stack": STACK}
    changes = {"vars.steps": 1, "vars.hidden": HIDDEN, **{f"encoder.{k}": v for k, v in small.items()}}
    model = build(name, overrides=changes).double().eval()
    model.load_state_dict(imported.state_dict())
    image, y = pair(scale, levels, 3)
    torch.testing.assert_close(model(image).encode(y), imported(image).encode(y), rtol=0, atol=0)


def without(part):
    return lambda state: {name: value for name, value in state.items() if not name.startswith(part)}


def reshaped(name, *shape):
    return lambda state: {**state, name: torch.zeros(shape)}


def changed(name, change):
    return lambda state: {**state, name: change(state[name])}


def also(name):
    return lambda state: {**state, name: torch.zeros(1)}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (also("netG.conv.weight"), {}, '"netG.conv.weight" is not one that this network has'),
        (also(f"{FLOW}2.actnorm.inited"), {}, f'"{FLOW}2.actnorm.inited" is not one'),
        (also(f"{FLOW}99.affine.fPixel.weight"), {}, f'"{FLOW}99.affine.fPixel.weight" is not one'),
        (also("RRDB.upconv1.scale"), {}, '"RRDB.upconv1.scale" is not one'),
        (also("flowUpsamplerNet.f.1.weight"), {}, '"flowUpsamplerNet.f.1.weight" is not one'),
        (reshaped(f"{FLOW}999999.actnorm.bias", 1, 48, 1, 1), {}, f'"{FLOW}999999.actnorm.bias" is not one'),
        (without(f"{FLOW}2.actnorm.logs"), {}, f'"{FLOW}2.actnorm.logs" is missing'),
        (without(f"{FLOW}3.affine.fAffine.4.bias"), {}, f'"{FLOW}3.affine.fAffine.4.bias" is missing'),
        (without(f"{FLOW}5."), {}, f'"{FLOW}5.actnorm.bias" is missing'),
        (without(f"{FLOW}7."), {}, f'"{FLOW}7.actnorm.bias" is missing'),
        (without(f"{FLOW}7.affine"), {}, f'"{FLOW}7.affine.fAffine.0.weight" is missing'),
        (without(FLOW), {}, f'"{FLOW}1.actnorm.bias" is missing'),
        (without("RRDB."), {}, '"RRDB.conv_first.weight" is missing'),
        (without("RRDB.trunk_conv.bias"), {}, '"RRDB.trunk_conv.bias" is missing'),
        (without("RRDB.upconv1"), {}, '"RRDB.upconv1.weight" is missing'),
        (without("RRDB.RRDB_trunk.1.RDB2"), {}, '"RRDB.RRDB_trunk.1.RDB2.conv1.weight" is missing'),
        (reshaped(f"{FLOW}2.invconv.weight", 12, 11), {}, '2.invconv.weight" is (12, 11), expected (12, 12)'),
        (reshaped(f"{FLOW}2.invconv.weight", 24, 24), {}, '2.invconv.weight" is (24, 24), expected (12, 12)'),
        (reshaped(f"{FLOW}3.affine.fFeatures.4.logs", 24), {}, '4.logs" is (24,), expected (24, 1, 1)'),
        (reshaped("RRDB.conv_first.weight", 6, 3, 5, 5), {}, '"RRDB.conv_first.weight" is (6, 3, 5, 5)'),
        (reshaped("RRDB.trunk_conv.bias", 5), {}, '"RRDB.trunk_conv.bias" is (5,), expected (6,)'),
        (dict, {"stack": [2]}, 'fAffine.0.weight" is (5, 24, 3, 3), expected (5, 18, 3, 3); does the stack'),
        (dict, {"stack": [0, 3]}, "stack counts blocks from 0 to 2, got [0, 3]"),
        (dict, {"stack": [2, 0]}, "stack must be blocks in rising order, got [2, 0]"),
        (dict, {"scale": 8}, "these are of a network for scale 4, not 8"),
        (dict, {"scale": 3}, "scale must be 1, 2, 4, 8, ..., got 3"),
        (changed(f"{FLOW}2.invconv.weight", lambda w: w / 0), {}, "144 of 144 values that are not finite"),
        (
            changed(f"{FLOW}2.actnorm.logs", torch.Tensor.long),
            {},
            'logs" is torch.int64, expected torch.float32',
        ),
        (
            changed("RRDB.trunk_conv.bias", lambda w: w + torch.inf),
            {},
            'bias" has 6 of 6 values that are not',
        ),
        (lambda state: {**state, "x": 3}, {}, '"x" is a int, expected a tensor'),
        (lambda state: {}, {}, "holds no weights"),
    ],
)
def test_what_is_not_srflows_is_refused_by_the_first_name(change, options, message):
    with pytest.raises(FlowkitError) as error:
        from_srflow(change(make_state(splits=0)), **{"scale": 4, "stack": STACK, **options})
    assert message in str(error.value)


def test_a_missing_split_is_named():
    with pytest.raises(CheckpointError, match=rf'"{FLOW}4.conv.weight" is missing'):
        from_srflow(without(f"{FLOW}4.")(make_state(8, 2, 1, 2, 1)), scale=8, stack=STACK)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_convert(tmp_path, capsys, suffix):
    state = {name: value.float() for name, value in make_state(4, 3, 1, 1, 1).items()}
    source, out = tmp_path / f"in{suffix}", tmp_path / "out.safetensors"
    if suffix == ".pth":
        torch.save(state, source)
    else:
        from safetensors.torch import save_file

        save_file(state, source)
    assert main(["convert", "srflow", str(source), str(out), "--scale", "4", "--stack", "0", "2"]) == 0
    assert "layers, " in capsys.readouterr().out
    model = flowkit.load(out)
    image, y = pair(4, 3, 3)
    image, y = image.float(), y.float()
    expected = from_srflow(state, scale=4, stack=STACK)(image).encode(y)
    torch.testing.assert_close(model(image).encode(y), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("no.pth", None, [], "no.pth: no such file"),
        ("bad.pth", b"not weights", [], "bad.pth: not weights that torch.load can read safely"),
        ("bad.safetensors", b"not weights", [], "bad.safetensors: not a complete safetensors file"),
        ("in.pth", None, ["--stack", "1"], "does the stack belong to these weights"),
        ("in.pth", None, [], "does the stack belong to these weights"),
        ("list.pth", None, [], "holds a list, expected a mapping of weights"),
    ],
)
def test_convert_refuses_in_one_line(tmp_path, capsys, name, content, options, message):
    torch.save(make_state(), tmp_path / "in.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    if content:
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out.safetensors"
    assert main(["convert", "srflow", str(tmp_path / name), str(out), "--scale", "4", *options]) == 2
    found = capsys.readouterr().err
    assert message in found
    assert not out.exists()


def test_convert_writes_safetensors_only(tmp_path, capsys):
    assert main(["convert", "srflow", "in.pth", str(tmp_path / "out.pth"), "--scale", "4"]) == 2
    assert "must end in .safetensors" in capsys.readouterr().err
