"""SRFlow's formulas, written out in plain torch from its published description, against what is imported."""

from __future__ import annotations

import math
import re

import pytest
import torch
import torch.nn.functional as F

import flowkit
from flowkit import build
from flowkit.cli import main
from flowkit.errors import CheckpointError, FlowkitError
from flowkit.interop.srflow import from_srflow

NF, GC, BLOCKS, HIDDEN = 6, 3, 3, 5
STACK = [0, 2]
FLOW = "flowUpsamplerNet.layers."

# scale, levels, conditional steps, unconditional steps, splits, channels of the target
LAYOUTS = [
    (4, 1, 2, 2, 0, 3),
    (4, 2, 1, 2, 0, 3),
    (4, 3, 2, 1, 1, 3),
    (8, 4, 1, 2, 2, 3),
    (8, 2, 1, 0, 1, 3),
    (1, 1, 2, 2, 0, 1),
]


def make_state(scale=4, levels=2, steps=1, free=2, splits=0, channels=3, seed=0):
    """A checkpoint in SRFlow's format with random weights, float64."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def random(name, *shape, std=0.1):
        state[name] = std * torch.randn(shape, generator=generator, dtype=torch.float64)

    def conv(name, inputs, outputs, std=0.5):
        random(f"{name}.weight", outputs, inputs, 3, 3, std=std / math.sqrt(inputs))
        random(f"{name}.bias", outputs)

    conv("RRDB.conv_first", 3, NF)
    for b in range(BLOCKS):
        for r in (1, 2, 3):
            for k in range(5):
                conv(f"RRDB.RRDB_trunk.{b}.RDB{r}.conv{k + 1}", NF + k * GC, NF if k == 4 else GC)
    conv("RRDB.trunk_conv", NF, NF)
    for octave in range(1, 4 if scale == 8 else 3):
        conv(f"RRDB.upconv{octave}", NF, NF)
    conv("RRDB.HRconv", NF, NF)
    conv("RRDB.conv_last", NF, 3)

    def network(name, inputs, outputs):
        for place, shape in (("0", (HIDDEN, inputs, 3, 3)), ("2", (HIDDEN, HIDDEN, 1, 1))):
            random(f"{name}.{place}.weight", *shape, std=0.3)
            random(f"{name}.{place}.actnorm.bias", 1, HIDDEN, 1, 1)
            random(f"{name}.{place}.actnorm.logs", 1, HIDDEN, 1, 1)
        gained(f"{name}.4", HIDDEN, outputs)

    def gained(name, inputs, outputs):
        conv(name, inputs, outputs, std=0.05)
        random(f"{name}.logs", outputs, 1, 1)

    c, index, u = channels, 0, NF * (1 + len(STACK))
    for level in range(levels):
        c, index = 4 * c, index + 1
        for step in range(free + steps):
            random(f"{FLOW}{index}.actnorm.bias", 1, c, 1, 1)
            random(f"{FLOW}{index}.actnorm.logs", 1, c, 1, 1)
            matrix = torch.randn(c, c, generator=generator, dtype=torch.float64)
            state[f"{FLOW}{index}.invconv.weight"] = torch.linalg.qr(matrix)[0].contiguous()
            if step >= free:
                network(f"{FLOW}{index}.affine.fAffine", c // 2 + u, c)
                network(f"{FLOW}{index}.affine.fFeatures", u, 2 * c)
            index += 1
        if level < splits:
            gained(f"{FLOW}{index}.conv", c // 2, c)
            c, index = c // 2, index + 1
    conv("flowUpsamplerNet.f.0", u, 7)
    return state


def restated_features(state, image, size, long_skip):
    """The features at one size of grid: the trunk's output, and the stacked blocks behind it."""

    def conv(name, x):
        return F.conv2d(x, state[f"RRDB.{name}.weight"], state[f"RRDB.{name}.bias"], padding=1)

    first = hidden = conv("conv_first", image)
    stacked = []
    for b in range(BLOCKS):
        block = hidden
        for r in (1, 2, 3):
            seen = [hidden]
            for k in range(1, 6):
                out = conv(f"RRDB_trunk.{b}.RDB{r}.conv{k}", torch.cat(seen, 1))
                seen.append(F.leaky_relu(out, 0.2) if k < 5 else out)
            hidden = hidden + 0.2 * seen[-1]
        hidden = block + 0.2 * hidden
        stacked += [hidden] if b in STACK else []
    own, octave = conv("trunk_conv", hidden) + (hidden if long_skip == "trunk" else first), 0
    while own.shape[2] < size[0]:
        octave += 1
        own = F.leaky_relu(conv(f"upconv{octave}", F.interpolate(own, scale_factor=2)), 0.2)
    if own.shape[2] > size[0]:
        own = F.avg_pool2d(own, 2)  # what bilinear halving is
    return torch.cat([own, *(F.interpolate(s, size=size, mode="nearest") for s in stacked)], 1)


def restated_encode(state, image, y, long_skip="trunk"):
    """Latents, and the log-determinant with the log-density of those that were split off: SRFlow's encode."""

    def network(name, x):
        for place, padding in (("0", 1), ("2", 0)):
            x = F.conv2d(x, state[f"{name}.{place}.weight"], padding=padding)
            x = F.relu(
                (x + state[f"{name}.{place}.actnorm.bias"]) * state[f"{name}.{place}.actnorm.logs"].exp()
            )
        return gained(f"{name}.4", x)

    def gained(name, x):
        x = F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)
        return x * (3 * state[f"{name}.logs"]).exp()

    def total(x):
        return x.flatten(1).sum(1)

    z, log_det, latents = y, y.new_zeros(len(y)), []
    last = max(int(name[len(FLOW) :].split(".")[0]) for name in state if name.startswith(FLOW))
    for index in range(last + 1):
        at = f"{FLOW}{index}."
        if f"{at}conv.weight" in state:
            z, away = z.chunk(2, 1)
            h = gained(f"{at}conv", z)
            mean, logs = h[:, 0::2], h[:, 1::2]
            latents.append((away - mean) / logs.exp())
            log_det = log_det + total(-0.5 * (latents[-1] ** 2 + math.log(2 * math.pi)) - logs)
        elif f"{at}invconv.weight" not in state:
            z = F.pixel_unshuffle(z, 2)
        else:
            cells = z.shape[2] * z.shape[3]
            z = (z + state[f"{at}actnorm.bias"]) * state[f"{at}actnorm.logs"].exp()
            matrix = state[f"{at}invconv.weight"]
            z = torch.einsum("ij,bjhw->bihw", matrix, z)
            log_det = log_det + cells * (state[f"{at}actnorm.logs"].sum() + torch.linalg.slogdet(matrix)[1])
            if f"{at}affine.fAffine.0.weight" in state:
                u = restated_features(state, image, tuple(z.shape[2:]), long_skip)
                h = network(f"{at}affine.fFeatures", u)
                s = torch.sigmoid(h[:, 1::2] + 2) + 1e-4
                z, log_det = (z + h[:, 0::2]) * s, log_det + total(s.log())
                kept, moved = z.chunk(2, 1)
                h = network(f"{at}affine.fAffine", torch.cat([kept, u], 1))
                s = torch.sigmoid(h[:, 1::2] + 2) + 1e-4
                z, log_det = torch.cat([kept, (moved + h[:, 0::2]) * s], 1), log_det + total(s.log())
    return [*latents, z], log_det


def pair(scale, levels, channels, seed=1):
    generator = torch.Generator().manual_seed(seed)
    cells = max(2**levels // scale, 1)
    image = torch.rand(2, 3, 2 * cells, 4 * cells, generator=generator, dtype=torch.float64)
    size = (scale * image.shape[2], scale * image.shape[3])
    return image, torch.rand(2, channels, *size, generator=generator, dtype=torch.float64)


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
