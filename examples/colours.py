"""Colour grey landscapes: p(colours | luma), whose samples are different colourings of one image.

python examples/colours.py      # a few minutes on one core; ends with colours.png
"""

# %% [markdown]
# The target need not be an image to look at: here it is the two chroma channels of YCbCr, given the luma. In
# these landscapes any hue is as likely as another. The mean of all answers is grey; samples have colours.

# %%
import numpy as np
import torch
from drawn import landscapes
from PIL import Image

from flowkit import build

SIDE, STEPS, BATCH = 16, 400, 32
rng = np.random.default_rng(0)
torch.manual_seed(0)
YCBCR = torch.tensor([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])


def pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw landscapes: luma (count, 1, SIDE, SIDE) and chroma (count, 2, SIDE, SIDE), both in [0, 1]."""
    values = torch.einsum("cd,bdhw->bchw", YCBCR, landscapes(rng, count, SIDE))
    return values[:, :1].clamp(0, 1), values[:, 1:] + 0.5


# %%
injector = {"type": "affine_injector", "hidden": 24, "kernel": 1}
coupling = {"type": "affine_coupling", "hidden": 40}
level = ["squeeze", {"repeat": 4, "steps": ["actnorm", "conv1x1", injector, coupling]}]
target = {"type": "continuous", "channels": 2, "noise": "gaussian"}
encoder = {"type": "unet", "in_channels": 1, "widths": [16, 24, 32]}
flow = [{"repeat": 3, "steps": level, "between": ["conditional_split"]}]
model = build({"version": 1, "target": target, "encoder": encoder, "flow": flow})
model.recompute = False  # it would save memory, for time
optimiser = torch.optim.AdamW(model.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
for number in range(STEPS):
    luma, chroma = pairs(BATCH)
    loss = model(luma).bits_per_dim(chroma).mean()
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    schedule.step()
    if number % 100 == 0:
        print(f"step {number}: {loss.item():.2f} bits per dimension", flush=True)

# %% Rows: the luma, the truth, five samples
luma, chroma = pairs(10)
with torch.no_grad():
    samples = model.eval()(luma).sample(5, temperature=0.8)
rows = torch.cat([torch.full_like(chroma, 0.5)[None], chroma[None], samples])
values = torch.cat([luma.expand(7, -1, -1, -1, -1), rows - 0.5], dim=2)
rgb = torch.einsum("cd,nbdhw->nhbwc", torch.linalg.inv(YCBCR), values).clamp(0, 1)
picture = rgb.reshape(7 * SIDE, 10 * SIDE, 3).mul(255).byte().numpy()
Image.fromarray(picture).resize((30 * SIDE, 21 * SIDE), 0).save("colours.png")
