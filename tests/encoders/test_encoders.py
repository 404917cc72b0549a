"""What every registered encoder owes: the shapes, the reach and the grid that it publishes."""

from __future__ import annotations

import pytest
import torch

from flowkit import build, registry
from flowkit.encoders import RRDB, UNet
from flowkit.errors import ShapeError
from flowkit.testing import check_encoder


def two_networks():
    """Make the parts of a stacked encoder, anew for every test: it keeps them."""
    first = UNet(in_channels=1, widths=(4, 5), contrast=(3,))
    return {"first": first, "second": UNet(in_channels=2, widths=(3, 4, 5)), "hidden": 6}


SMALL = {
    "none": [{"in_channels": 2}],
    "unet": [
        {"widths": (4, 5)},
        {"widths": (3, 4, 5), "blocks": 2, "in_channels": 1, "contrast": (3, 7)},
        {"widths": (3, 4), "scale": 3},
    ],
    "rrdb": [
        {"scale": 1, "features": 4, "growth": 2, "blocks": 1, "stack": (0,)},
        {"scale": 2, "features": 4, "growth": 2, "blocks": 2, "stack": (1,), "long_skip": "trunk"},
        {"scale": 1, "features": 4, "growth": 2, "blocks": 1, "stack": (0,), "unshuffle": 1},
        {"scale": 1, "features": 4, "growth": 2, "blocks": 1, "stack": (0,), "unshuffle": 4},
        {"scale": 2, "features": 4, "growth": 2, "blocks": 1, "stack": (0,), "enlarged": True},
        {"scale": 3, "features": 4, "growth": 2, "blocks": 1, "stack": (0,)},
    ],
    "stacked": [two_networks],
}
STRIDES = {
    "none": [(1, 2)],
    "unet": [(2, 4), (4,), (6, 12)],
    "rrdb": [(2, 4), (1, 2, 4), (2, 1), (2,), (2, 1), (3, 6)],
    "stacked": [(2, 8, 1)],
}
CASES = [(n, o, s) for n in registry.names("encoder") for o, s in zip(SMALL[n], STRIDES[n], strict=True)]


def given(options):
    return options() if callable(options) else options


def make(name, options, strides, perturb):
    torch.manual_seed(0)
    encoder = registry.get("encoder", name)(**given(options))
    shapes = [encoder.provide(stride) for stride in strides]
    return perturb(encoder, amount=0.05).double().eval(), shapes


@pytest.mark.parametrize(("name", "options", "strides"), CASES)
def test_every_encoder_keeps_its_contract(name, options, strides, perturb):
    torch.manual_seed(0)
    encoder = perturb(registry.get("encoder", name)(**given(options)), amount=0.05)
    check_encoder(encoder, strides)


def test_without_features_a_flow_is_unconditional(perturb):
    steps = ["squeeze", "actnorm", "conv1x1", "affine_injector", "affine_coupling", "conditional_split"]
    recipe = {"version": 1, "target": {"type": "continuous", "noise": "none"}, "flow": steps}
    recipe["encoder"] = {"type": "none"}
    model = perturb(build(recipe)).double().eval()
    a, b = (torch.rand(2, 1, 6, 10, dtype=torch.float64) for _ in range(2))
    y = torch.rand(2, 3, 6, 10, dtype=torch.float64)
    assert torch.equal(model(a).log_prob(y), model(b).log_prob(y))
    torch.testing.assert_close(model(a).decode(model(b).encode(y)), y)
    assert not torch.allclose(model(a).log_prob(y), model(a).log_prob(y.flip(3)))
    assert model.encoder.reach == 0


def test_odd_sizes_go_through_a_unet(perturb):
    encoder, _ = make("unet", {"widths": (3, 4, 5)}, (2, 4, 8), perturb)
    sizes = {s: tuple(u.shape[2:]) for s, u in encoder(torch.rand(1, 3, 14, 22).double()).items()}
    assert sizes == {2: (7, 11), 4: (4, 6), 8: (2, 3)}


def test_pages_lose_contrast_outside_of_training_only(perturb):
    options = {"widths": (3, 4), "contrast": (3,)}
    plain, _ = make("unet", options, (2,), perturb)
    calm, _ = make("unet", {**options, "gain": 0.6}, (2,), perturb)
    image = torch.rand(2, 3, 14, 22, dtype=torch.float64)
    torch.testing.assert_close(calm(image)[2], plain(0.5 + 0.6 * (image - 0.5))[2])
    torch.testing.assert_close(calm.train()(image)[2], plain.train()(image)[2])


def test_the_long_skip_starts_where_it_says(perturb):
    options = {"scale": 2, "features": 4, "growth": 2, "blocks": 1, "stack": ()}
    image = torch.rand(1, 3, 6, 8, dtype=torch.float64)
    outputs = []
    for long_skip in ("first", "trunk"):
        encoder, _ = make("rrdb", {**options, "long_skip": long_skip}, (2,), perturb)
        outputs.append(encoder(image)[2])
    first = encoder.first(image)
    trunk = encoder.trunk[0](first)
    torch.testing.assert_close(outputs[0] - outputs[1], first - trunk)


def test_without_unshuffling_the_image_itself_is_the_trunks_grid():
    torch.manual_seed(0)
    encoder = RRDB(scale=1, features=4, growth=2, blocks=1, stack=(0,), unshuffle=1).double()
    for stride in (1, 2):
        encoder.provide(stride)
    assert encoder.first.in_channels == 3
    assert encoder.multiple == 2
    features = encoder(torch.rand(1, 3, 6, 8, dtype=torch.float64))
    fine, coarse = features[1], features[2]
    torch.testing.assert_close(coarse[:, :4], torch.nn.functional.avg_pool2d(fine[:, :4], 2))
    torch.testing.assert_close(coarse[:, 4:], fine[:, 4:, ::2, ::2])


def test_the_image_itself_can_be_had_enlarged():
    encoder = RRDB(in_channels=1, scale=2, features=4, growth=2, blocks=1, stack=(), enlarged=True).double()
    assert [encoder.provide(stride).channels for stride in (1, 2)] == [1, 4]
    assert not encoder.up
    ramp = torch.linspace(0, 1, 12, dtype=torch.float64).reshape(1, 1, 1, 12).expand(1, 1, 8, 12)
    fine = encoder(ramp)[1]
    assert fine.shape == (1, 1, 16, 24)
    inner = fine[0, 0, 8, 6:-6]
    torch.testing.assert_close(inner.diff(), torch.full_like(inner[1:], 1 / 22))  # half of the image's slope


def test_rrdb_has_the_published_size():
    encoder = RRDB(scale=4)
    encoder.provide(2)
    parameters = sum(p.numel() for p in encoder.parameters())
    # ESRGAN's RRDBNet has 16,697,987; upconv2, HRconv (64 x 64 x 9 + 64 each) and conv_last serve no feature.
    assert parameters == 16_697_987 - 2 * (64 * 64 * 9 + 64) - (64 * 3 * 9 + 3)


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: UNet(scale=0), "scale must be 1 or more, got 0"),
        (
            lambda: RRDB(scale=6).provide(2),
            "RRDB has no features at stride 2 of the target, only at 3, 6, 12, 24",
        ),
        (lambda: UNet(in_channels=0), "in_channels must be positive, got 0"),
        (lambda: UNet(widths=()), "widths must be positive"),
        (lambda: UNet(blocks=0), "blocks must be positive, got 0"),
        (lambda: UNet(gain=0), "gain must be above 0 and at most 1, got 0"),
        (lambda: UNet(contrast=[4]), r"contrast must be odd sides of windows, from 3, got \[4\]"),
        (
            lambda: UNet().provide(1),
            "UNet has no features at stride 1 of the target, only at 2, 4, 8, 16, 32",
        ),
        (lambda: RRDB(blocks=2, stack=(2,)), r"stack counts blocks from 0 to 1, got \[2\]"),
        (lambda: RRDB(growth=0), "growth must be positive, got 0"),
        (lambda: RRDB(unshuffle=3), "unshuffle must be 1, 2, 4, 8, ..., got 3"),
        (lambda: RRDB().provide(3), "RRDB has no features at stride 3"),
    ],
)
def test_what_cannot_be_built_is_refused(make_it, message):
    with pytest.raises(ShapeError, match=message):
        make_it()
