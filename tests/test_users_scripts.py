"""Scripts as users of flow libraries write them, after what they ask for in public."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from flowkit import build

RECIPE = {
    "version": 1,
    "target": {"type": "continuous", "channels": 2},
    "encoder": {"type": "unet", "in_channels": 3, "widths": [8]},
    "flow": ["squeeze", {"repeat": 2, "steps": ["actnorm", "conv1x1", "affine_injector", "affine_coupling"]}],
}


def test_a_pixel_loss_on_samples():
    """Samples of an 8-bit target that are drawn with gradients come nearer to the truth."""
    torch.manual_seed(0)
    model = build(RECIPE).train()
    x, y = torch.rand(4, 3, 8, 12), torch.rand(4, 2, 8, 12)
    model(x).log_prob(y)  # the first pass initialises the actnorms
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        samples = model(x).rsample(3, temperature=0.5, generator=torch.Generator().manual_seed(0))
        loss = (samples - y).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        assert all(weight.grad is not None for weight in model.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert not model(x).sample().requires_grad


def test_a_loss_on_samples_and_their_density():
    """E log q(y | x) - log r(y), as in variational inference: both terms have gradients, in one pass."""
    torch.manual_seed(0)
    model = build({**RECIPE, "target": {"type": "continuous", "channels": 2, "noise": "none"}})
    x = torch.rand(1, 3, 4, 6)
    model.train()(x).log_prob(torch.randn(1, 2, 4, 6))
    wanted = torch.distributions.Normal(3.0, 0.5)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-2)
    losses = []
    for _ in range(60):
        y, log_prob = model(x).sample_and_log_prob(8)
        loss = (log_prob - wanted.log_prob(y).flatten(2).sum(2)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("flow", [["squeeze", "conv1x1"], ["squeeze", "normflows/invertible1x1_conv"]])
def test_weights_through_safetensors(flow, tmp_path):
    model = build({**RECIPE, "flow": [*flow, "affine_coupling"]})
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    again = build({**RECIPE, "flow": [*flow, "affine_coupling"]})
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    x, y = torch.rand(1, 3, 4, 6), torch.rand(1, 2, 4, 6)
    for twin in (again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        noise = torch.rand(1, 2, 4, 6)
        assert torch.equal(
            twin.eval()(x).log_prob(y, generator=noise), model.eval()(x).log_prob(y, generator=noise)
        )


def test_a_condition_that_is_a_class():
    """One-hot planes: the density learns which class an image is of."""
    torch.manual_seed(0)
    model = build({**RECIPE, "target": {"type": "binary"}})
    planes = torch.eye(3)[:, :, None, None].expand(3, 3, 8, 12)
    truth = torch.zeros(3, 1, 8, 12)
    truth[1, :, :4] = truth[2, :, :, :6] = 1
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = model(planes).bits_per_dim(truth).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        p = model.eval()(planes)
        scores = torch.stack([p.log_prob(truth.roll(shift, 0)) for shift in range(3)])
    assert scores.argmax(0).tolist() == [0, 0, 0]
