"""RRDB weights of every program that trains them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from flowkit.encoders import RRDB
from flowkit.errors import CheckpointError, ShapeError
from flowkit.interop.rrdb import load_rrdb, load_rrdb_net, read_weights
from flowkit.synthetic.page import draw_page

NF, GC, BLOCKS = 6, 3, 2
PARTS = ("weight", "bias")


def names(scheme, blocks=BLOCKS, ups=2):
    """The names as their programs write them, in one order for all schemes; written out by hand."""
    if scheme == "new":
        first, trunk, hr, last = "conv_first", "trunk_conv", "HRconv", "conv_last"
        dense, up = "RRDB_trunk.{}.RDB{}.conv{}", "upconv{}".format
    elif scheme == "basicsr":
        first, trunk, hr, last = "conv_first", "conv_body", "conv_hr", "conv_last"
        dense, up = "body.{}.rdb{}.conv{}", "conv_up{}".format
    else:
        first, trunk, hr, last = (
            "model.0",
            f"model.1.sub.{blocks}",
            f"model.{3 * ups + 2}",
            f"model.{3 * ups + 4}",
        )
        dense, up = "model.1.sub.{}.RDB{}.conv{}.0", lambda u: f"model.{3 * u}"
    numbers = [(b, r, k) for b in range(blocks) for r in (1, 2, 3) for k in (1, 2, 3, 4, 5)]
    return [first, *(dense.format(*n) for n in numbers), trunk, *map(up, range(1, ups + 1)), hr, last]


def make_state(scheme="new", ups=2, inputs=3, image=3):
    generator = torch.Generator().manual_seed(0)
    state = {}
    shapes = [(NF, inputs)]
    shapes += [(NF if k == 4 else GC, NF + k * GC) for _ in range(3 * BLOCKS) for k in range(5)]
    shapes += [(NF, NF)] * (2 + ups) + [(image, NF)]
    for name, (out, channels) in zip(names(scheme, ups=ups), shapes, strict=True):
        state[f"{name}.weight"] = 0.2 * torch.randn(out, channels, 3, 3, generator=generator)
        state[f"{name}.bias"] = 0.2 * torch.randn(out, generator=generator)
    return state


def picture(height=8, width=12, channels=3):
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(1))


def restated(state, x, ups=2):
    """ESRGAN's network in plain torch, from its names: the trunk's features for both skips, and the image."""

    def conv(name, x):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    first = hidden = conv("conv_first", x)
    for b in range(BLOCKS):
        block = hidden
        for r in (1, 2, 3):
            seen = [hidden]
            for k in (1, 2, 3, 4):
                seen.append(F.leaky_relu(conv(f"RRDB_trunk.{b}.RDB{r}.conv{k}", torch.cat(seen, 1)), 0.2))
            hidden = hidden + 0.2 * conv(f"RRDB_trunk.{b}.RDB{r}.conv5", torch.cat(seen, 1))
        hidden = block + 0.2 * hidden
    change = conv("trunk_conv", hidden)
    y = first + change
    for u in range(1, ups + 1):
        y = F.leaky_relu(conv(f"upconv{u}", F.interpolate(y, scale_factor=2)), 0.2)
    return first + change, hidden + change, conv("conv_last", F.leaky_relu(conv("HRconv", y), 0.2))


FORMS = {
    "new": lambda: make_state("new"),
    "old": lambda: make_state("old"),
    "basicsr": lambda: make_state("basicsr"),
    "params_ema": lambda: {"params": make_state("basicsr", image=1), "params_ema": make_state("basicsr")},
    "params": lambda: {"params": make_state("basicsr")},
    "module.": lambda: {f"module.{name}": value for name, value in make_state("new").items()},
    "SRFlow": lambda: {
        **{f"RRDB.{name}": value for name, value in make_state("new").items()},
        "flowUpsamplerNet.layers.1.invconv.weight": torch.zeros(12, 12),
    },
    "float16": lambda: {name: value.half() for name, value in make_state("new").items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_scheme_gives_the_same_network(form):
    state = make_state("new")
    if form == "float16":
        state = {name: value.half().float() for name, value in state.items()}
    first, trunk, image = restated(state, picture())
    torch.testing.assert_close(load_rrdb(FORMS[form]())(picture())[4], first)
    torch.testing.assert_close(load_rrdb(FORMS[form](), long_skip="trunk")(picture())[4], trunk)
    net = load_rrdb_net(FORMS[form]())
    assert (net.scale, net.training) == (4, False)
    torch.testing.assert_close(net(picture()), image)


def test_a_given_encoder_is_filled_and_keeps_its_own_ways():
    encoder = RRDB(scale=8, features=NF, growth=GC, blocks=BLOCKS, stack=[1], long_skip="trunk")
    encoder.provide(4)  # the first upsampling of this encoder, as of any
    assert load_rrdb(make_state(), encoder) is encoder
    assert encoder.long_skip == "trunk"
    state = make_state()
    _, trunk, _ = restated(state, picture())
    expected = F.conv2d(
        F.interpolate(trunk, scale_factor=2), state["upconv1.weight"], state["upconv1.bias"], padding=1
    )
    torch.testing.assert_close(encoder(picture())[4][:, :NF], F.leaky_relu(expected, 0.2))
    assert load_rrdb(state, encoder, "first").long_skip == "first"


@pytest.mark.parametrize(("side", "ups", "scale"), [(2, 2, 2), (4, 2, 1)])
def test_networks_that_unshuffle_their_image(side, ups, scale):
    state = make_state("new", ups=ups, inputs=3 * side**2)
    net = load_rrdb_net(state)
    assert (net.encoder.unshuffle, net.encoder.in_channels, net.scale) == (side, 3, scale)
    _, _, expected = restated(state, F.pixel_unshuffle(picture(), side), ups)
    torch.testing.assert_close(net(picture()), expected)
    with pytest.raises(ShapeError, match=rf"H and W multiples of {side}, got \(1, 3, 7, 12\)"):
        net(picture(height=7))


@pytest.mark.parametrize(("side", "trained"), [(2, 1), (4, 1), (4, 2)])
def test_an_encoder_that_unshuffles_more_reads_the_image_reduced(side, trained):
    state = make_state("basicsr", inputs=3 * trained**2)
    encoder = RRDB(scale=1, unshuffle=side, features=NF, growth=GC, blocks=BLOCKS, stack=())
    encoder.provide(side)
    load_rrdb(state, encoder)
    reduced = F.avg_pool2d(picture(16, 24), side // trained)
    expected, _, _ = restated(make_state(inputs=3 * trained**2), F.pixel_unshuffle(reduced, trained))
    torch.testing.assert_close(encoder(picture(16, 24))[side], expected)


@pytest.mark.parametrize("ups", [0, 1, 3])
@pytest.mark.parametrize("scheme", ["new", "old", "basicsr"])
def test_other_scales(scheme, ups):
    net = load_rrdb_net(make_state(scheme, ups=ups))
    assert net.scale == 2**ups
    torch.testing.assert_close(net(picture()), restated(make_state(ups=ups), picture(), ups)[2])


def test_depth_width_and_growth_are_found():
    encoder = load_rrdb(make_state("old"))
    assert (encoder.width, len(encoder.trunk), encoder.trunk[0].dense[0].convs[0].out_channels) == (
        NF,
        BLOCKS,
        GC,
    )
    weights = read_weights(make_state("basicsr"))
    assert (weights.blocks, weights.ups, weights.unshuffle) == (BLOCKS, 2, 1)


def without(scheme, start):
    return {name: value for name, value in make_state(scheme).items() if not name.startswith(start)}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: {**make_state(), "netD.weight": torch.zeros(1)}, '"netD.weight" is not one'),
        (lambda: {**make_state("old"), "model.2.weight": torch.zeros(1)}, '"model.2.weight" is not one'),
        (lambda: {**make_state("basicsr"), "body.1.rdb4.conv1.bias": torch.zeros(1)}, "rdb4"),
        (lambda: without("new", "RRDB_trunk.1.RDB3.conv2.bias"), '"RRDB_trunk.1.RDB3.conv2.bias" is missing'),
        (lambda: without("basicsr", "body.0.rdb1.conv1.weight"), '"body.0.rdb1.conv1.weight" is missing'),
        (lambda: without("old", "model.0"), '"model.0.weight" is missing'),
        (lambda: without("basicsr", "conv_up1"), '"conv_up1.weight" is missing'),
        (lambda: without("new", "RRDB_trunk"), '"RRDB_trunk.0.RDB1.conv1.weight" is missing'),
        (lambda: {**make_state(), "RRDB_trunk.999999.RDB1.conv1.weight": torch.zeros(1)}, "RRDB_trunk"),
        (lambda: {**make_state(), "trunk_conv.bias": torch.zeros(5)}, 'bias" is (5,), expected (6,)'),
        (lambda: {**make_state(), "conv_first.weight": torch.zeros(6)}, "conv_first.weight"),
        (
            lambda: {**make_state(), "trunk_conv.bias": torch.full((6,), torch.nan)},
            "6 of 6 values that are not",
        ),
        (lambda: {**make_state(), "trunk_conv.bias": torch.ones(6).cfloat()}, "is torch.complex64, expected"),
        (lambda: {**make_state(), "trunk_conv.bias": torch.ones(6).int()}, "is torch.int32, expected"),
        (lambda: {**make_state(), "conv_last.bias": 3}, '"conv_last.bias" is a int, expected a tensor'),
        (lambda: {"params_ema": {}}, "holds no weights"),
        (lambda: make_state(ups=0, inputs=12), "its image head makes the image smaller"),
    ],
)
def test_what_is_no_rrdb_is_refused_by_its_first_name(state, message):
    with pytest.raises(CheckpointError) as error:
        load_rrdb(state())
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 1}, '"RRDB_trunk.1.RDB1.conv1.weight" is of a block that the encoder does not have'),
        ({"blocks": 3}, '"RRDB_trunk.2.RDB1.conv1.weight" is missing'),
        ({"features": 5}, '"conv_first.weight" is (6, 3, 3, 3), expected (5, 3, 3, 3)'),
        ({"growth": 2}, '"RRDB_trunk.0.RDB1.conv1.weight" is (3, 6, 3, 3), expected (2, 6, 3, 3)'),
        ({"scale": 1, "features": 5}, '"conv_first.weight" is (6, 3, 3, 3), expected (5, 3, 3, 3)'),
        (
            {"scale": 1, "in_channels": 1},
            '"conv_first.weight" is (6, 3, 3, 3), expected (6, 4, 3, 3); this encoder unshuffles pixels, '
            "2 x 2, into channels (option unshuffle)",
        ),
    ],
)
def test_weights_for_another_encoder_are_refused_and_change_nothing(options, message):
    encoder = RRDB(**{"features": NF, "growth": GC, "blocks": BLOCKS, "stack": (), **options})
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        load_rrdb(make_state(), encoder)
    assert message in str(error.value)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


def test_an_octave_that_the_weights_do_not_reach_is_named():
    encoder = RRDB(scale=8, features=NF, growth=GC, blocks=BLOCKS, stack=())
    encoder.provide(1)
    with pytest.raises(CheckpointError, match=r'"model\.9\.weight" is missing'):
        load_rrdb(make_state("old"), encoder)


def test_an_encoder_alone_has_no_image():
    state = {
        name: value for name, value in make_state().items() if not name.startswith(("HRconv", "conv_last"))
    }
    assert load_rrdb(state).scale == 4
    with pytest.raises(CheckpointError, match='"conv_last.weight" is missing'):
        load_rrdb_net(state)


def test_a_file(tmp_path):
    torch.save({"params_ema": make_state("basicsr")}, tmp_path / "net.pth")
    torch.testing.assert_close(
        load_rrdb_net(tmp_path / "net.pth")(picture()), restated(make_state(), picture())[2]
    )
    with pytest.raises(CheckpointError, match=r"no\.pth: no such file"):
        load_rrdb(tmp_path / "no.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_rrdb(tmp_path)


@pytest.mark.slow
def test_the_example(tmp_path):
    torch.save(make_state("basicsr"), tmp_path / "net.pth")
    script = Path(__file__).parents[2] / "examples" / "super_resolve_rrdb.py"
    out = ["-o", tmp_path / "row.png", "--width", "64", "--height", "32"]
    command = [sys.executable, script, tmp_path / "net.pth", *out]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "16 x 8 to 64 x 32 pixels\n"
    with Image.open(tmp_path / "row.png") as row:
        assert row.size == (3 * 64 + 2 * 12, 32)


@pytest.fixture
def shared() -> Path:
    folder = os.environ.get("FLOWKIT_DATA")
    if not folder:
        pytest.skip("no data: FLOWKIT_DATA names no folder with weights, with numbers beside it")
    return Path(folder).resolve()


@pytest.mark.parametrize("scheme", ["new", "basicsr", "old"])
def test_the_numbers_of_the_original_programs(shared, scheme):
    file = shared.parent / "golden" / "rrdb_names.npz"
    if not file.is_file():
        pytest.skip("no data: no golden/rrdb_names.npz beside the folder that FLOWKIT_DATA names")
    arrays = {name: torch.from_numpy(value) for name, value in np.load(file).items()}
    state = {n.removeprefix(f"{scheme}/"): v for n, v in arrays.items() if n.startswith(f"{scheme}/")}
    image = arrays["x"]
    dtype = arrays["y_esrgan"].dtype
    for long_skip, expected in (("first", "fea_esrgan"), ("trunk", "fea_srflow")):
        encoder = load_rrdb(state, long_skip=long_skip).to(dtype)
        torch.testing.assert_close(encoder(image.to(dtype))[4], arrays[expected])
    net = load_rrdb_net(state).to(dtype)
    torch.testing.assert_close(net(image.to(dtype)), arrays["y_esrgan"])


@pytest.mark.slow
def test_real_weights_super_resolve_a_drawn_page(shared):
    file = shared / "weights" / "RealESRGAN_x4plus_rrdb23_fp16.pth"
    if not file.is_file():
        pytest.skip(f"no data: no weights/{file.name} in the folder that FLOWKIT_DATA names")
    net = load_rrdb_net(file)
    assert sum(p.numel() for p in net.parameters()) == 16_697_987
    page = 1 - torch.from_numpy(draw_page(96, 64, np.random.default_rng(3))).float().expand(1, 3, 64, 96)
    low = F.avg_pool2d(page, 4)
    with torch.no_grad():
        found = net(low).clamp(0, 1)
    assert found.shape == page.shape
    # Trained networks keep the picture and sharpen its edges: nearer to it than noise, steeper than bicubic.
    bicubic = F.interpolate(low, scale_factor=4, mode="bicubic").clamp(0, 1)
    assert (F.avg_pool2d(found, 4) - low).abs().mean() < 0.1
    assert found.diff(dim=3).abs().amax() > bicubic.diff(dim=3).abs().amax()
