"""Recomputation in training: the plain path's values and gradients, from memory that depth does not raise."""

from __future__ import annotations

import pytest
import torch

from flowkit import ConditionalFlow, build
from flowkit.errors import FlowkitError
from flowkit.flow import recompute, sparse_packing

NETWORK = {"hidden": 4, "network": "srflow"}
UNET = {"type": "unet", "widths": [4, 5, 6]}
# its finest features lie on a coarser grid, but for four channels
RRDB = {"type": "rrdb", "scale": 4, "features": 4, "growth": 2, "blocks": 2, "stack": [0, 1]}
STEP = ["actnorm", "conv1x1", {"type": "affine_injector", **NETWORK}, {"type": "affine_coupling", **NETWORK}]


def make(
    steps: int, levels: int = 2, dtype: torch.dtype = torch.float64, encoder: dict = UNET
) -> ConditionalFlow:
    torch.manual_seed(0)
    level = ["squeeze", {"repeat": steps, "steps": STEP}]
    model = build(
        {
            "version": 1,
            "target": {"type": "continuous", "noise": "none"},
            "encoder": encoder,
            "flow": [{"repeat": levels, "steps": level, "between": ["conditional_split"]}],
        }
    )
    return model.to(dtype).train()


def pair(dtype: torch.dtype = torch.float64, scale: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = (8, 12), (8 * scale, 12 * scale)
    image, y = (torch.rand(2, 3, *size, generator=generator, dtype=dtype) for size in sizes)
    return image, y


def gradients(model: ConditionalFlow, *, recomputing: bool, calls: int = 1) -> list[torch.Tensor]:
    """Of the image, the target and every parameter; and the value."""
    image, y = (t.requires_grad_() for t in pair(scale=model.scale))
    model.recompute = recomputing
    p = model(image)
    value = sum(p.log_prob(y + i / 10).sum() for i in range(calls))
    found = torch.autograd.grad(value, [image, y, *model.parameters()], allow_unused=True)
    return [value.detach(), *(g for g in found if g is not None)]


def perturbed(steps: int, perturb, encoder: dict = UNET) -> ConditionalFlow:
    model = make(steps, encoder=encoder)
    image, y = pair(scale=model.scale)
    model(image).log_prob(y)  # sets the actnorms
    return perturb(model, amount=0.05)


@pytest.mark.parametrize("encoder", [UNET, RRDB], ids=["unet", "rrdb"])
@pytest.mark.parametrize("kept", [0, 3, 18, 1000])
@pytest.mark.parametrize("segments", [2, 24])
def test_gradients_are_those_of_the_plain_path(kept, segments, encoder, perturb, monkeypatch):
    monkeypatch.setattr(recompute, "KEPT", kept)
    monkeypatch.setattr(recompute, "SEGMENTS", segments)
    model = perturbed(3, perturb, encoder)
    plain = gradients(model, recomputing=False, calls=2)
    for a, b in zip(plain, gradients(model, recomputing=True, calls=2), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_all_that_fits_is_kept_and_no_more_is_packed_than_must_be():
    sizes = {"a": 1.0, "b": 4.0, "c": 4.0, "d": 8.0}
    for budget, noted in {
        17: {"a": False, "b": False, "c": False, "d": False},
        14: {"a": False, "b": False, "c": False, "d": True},
        11: {"a": False, "b": False, "c": True, "d": True},
        8.5: {"a": True, "b": True, "c": True, "d": True},
        6: {"a": True, "b": True, "c": True},
        0.4: {},
    }.items():
        assert recompute._noted(sizes, budget, 0.5) == noted, budget
    assert recompute._noted(sizes, 14, 1.0) == {"a": False, "b": False, "c": False}  # nothing is saved


def test_what_is_packed_is_half(perturb, monkeypatch):
    monkeypatch.setattr(recompute, "KEPT", 38)  # enough for all, if some are packed
    model = perturbed(8, perturb)
    image, y = pair()
    packed = []

    def pack(tensor):
        layout, *parts = sparse_packing.pack(tensor)
        packed.append(sum(part.nbytes for part in parts) / tensor.nbytes)
        return layout, *parts

    monkeypatch.setattr(recompute, "pack", pack)
    model(image).log_prob(y)
    assert len(packed) > 8
    assert 0.4 < sum(packed) / len(packed) < 0.6


def test_the_first_pass_initialises_once_and_alike():
    plain, recomputing = make(3), make(3)
    for a, b in zip(
        gradients(plain, recomputing=False), gradients(recomputing, recomputing=True), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    for (name, a), b in zip(plain.state_dict().items(), recomputing.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, msg=name)


def test_weights_changed_before_the_backward_pass_are_noticed(perturb):
    model = perturbed(5, perturb)
    image, y = pair()
    assert model.recompute  # by default: it has 10 steps
    loss = model(image).log_prob(y).sum()
    with torch.no_grad():
        model.layers[1].bias.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    loss = model(image).log_prob(y).sum()
    model.layers[1].bias = torch.nn.Parameter(model.layers[1].bias.detach().clone())
    with pytest.raises(FlowkitError, match="replaced by others"):
        loss.backward()


def test_autocast_costs_no_more_precision_than_on_the_plain_path(perturb):
    model = perturbed(3, perturb).float()
    image, y = pair(torch.float32)

    def gradient(*, low: bool, recomputing: bool) -> torch.Tensor:
        model.recompute = recomputing
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            loss = model(image).log_prob(y).sum()
        found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        return torch.cat([g.flatten() for g in found if g is not None])

    exact = gradient(low=False, recomputing=False)
    plain, recomputed = ((gradient(low=True, recomputing=r) - exact).norm() for r in (False, True))
    assert recomputed <= 1.2 * plain


def test_a_backward_pass_inside_autocast_has_all_gradients(perturb):
    """There autocast's own cache has weights that were taken in without gradients."""
    model = perturbed(3, perturb).float()
    image, y = pair(torch.float32)

    def gradients(recomputing: bool) -> dict[str, torch.Tensor]:
        model.recompute = recomputing
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.autograd.backward(model(image).log_prob(y).sum())
        return {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}

    plain, recomputed = gradients(False), gradients(True)
    assert recomputed.keys() == plain.keys()
    assert all((g == 0).all() == (recomputed[k] == 0).all() for k, g in plain.items())


def test_conditions_made_without_gradients_serve_none_that_wants_them(perturb):
    model = perturbed(5, perturb)
    image, _ = pair()
    p = model(image.requires_grad_())
    with torch.no_grad():
        p.sample(1)
    z = [torch.zeros(2, *shape, dtype=torch.float64) for shape in p.latent_shapes]
    assert torch.autograd.grad(p.decode(z).sum(), image)[0].abs().max() > 0


def test_kept_bytes_do_not_grow_with_depth(perturb):
    def kept(steps: int) -> int:
        model = perturbed(steps, perturb)
        model.encoder.requires_grad_(False)
        image, y = pair()
        weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        seen: dict[int, torch.Tensor] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            seen[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            _loss = model(image).log_prob(y)  # alive, and with it what it keeps
        return sum(t.untyped_storage().nbytes() for k, t in seen.items() if k not in weights)

    assert kept(64) <= 1.3 * kept(8)


def test_the_last_layers_are_kept_first(monkeypatch):
    """Behind a split they are small, so that more of them fit."""
    flow = make(3)
    image, v = pair()
    features = flow.encoder.features(image)
    readers = [layer for layer in flow.layers if layer.context is not None]
    counts = []
    for kept in (1, 8, 14, 100):
        monkeypatch.setattr(recompute, "KEPT", kept)
        noted = list(recompute._plan(flow.steps(), features, v).noted)
        assert noted == readers[::-1][: len(noted)]
        counts.append(len(noted))
    assert counts == sorted(counts)
    assert 0 < counts[2] < counts[-1] == len(readers)
