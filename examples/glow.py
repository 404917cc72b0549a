"""Train Glow, an unconditional flow p(y), by a recipe: drawn landscapes, and a walk between two of them.

python examples/glow.py      # a few minutes on one core; ends with glow.png
"""

# %%
import sys
from pathlib import Path

import numpy as np
import torch
from drawn import landscapes
from PIL import Image

from flowkit import build

SIDE, STEPS, BATCH = 24, 800, 32
rng = np.random.default_rng(0)
torch.manual_seed(0)

# %% [markdown]
# The encoder `none` makes any recipe unconditional: of the image that a flow is given, only the size is used.

# %%
model = build(Path(sys.path[0], "glow.yaml"))  # beside this file
model.recompute = False  # it would save memory, for time
blank = torch.zeros(BATCH, 1, SIDE, SIDE)
optimiser = torch.optim.AdamW(model.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
for number in range(STEPS):
    loss = model(blank).bits_per_dim(landscapes(rng, BATCH, SIDE)).mean()
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    schedule.step()
    if number % 100 == 0:
        print(f"step {number}: {loss.item():.2f} bits per dimension", flush=True)

# %% Rows: samples at rising temperatures; the way between two landscapes, through the latents
model.eval()
with torch.no_grad():
    samples = torch.cat([model(blank[:1]).sample(10, temperature=t)[:, 0] for t in (0.5, 0.7, 0.9)])
    p = model(blank[:2])
    ends = p.encode(landscapes(rng, 2, SIDE))
    walk = []
    for share in torch.linspace(0, 1, 10):
        walk += model(blank[:1]).decode([torch.lerp(z[:1], z[1:], share) for z in ends])
rows = torch.cat([samples, torch.stack(walk)]).clamp(0, 1).unflatten(0, (4, 10))
picture = rows.permute(0, 3, 1, 4, 2).reshape(4 * SIDE, 10 * SIDE, 3).mul(255).byte()
Image.fromarray(picture.numpy()).resize((30 * SIDE, 12 * SIDE), 0).save("glow.png")
