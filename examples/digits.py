"""Draw digits of a given class: p(image | class), where one-hot planes tell the flow the class.

python examples/digits.py      # a few minutes on one core; ends with digits.png
"""

# %% [markdown]
# A flow reads an image. A class becomes one: ten planes, one for each digit, of which one is 1 everywhere and
# the others are 0. (Cells begin with "# %%": VS Code, Spyder and jupytext open this file as a notebook.)

# %%
import numpy as np
import torch
from drawn import digits
from PIL import Image

from flowkit import build

SIDE, STEPS, BATCH = 24, 1200, 32
rng = np.random.default_rng(0)
torch.manual_seed(0)


def planes(classes: torch.Tensor) -> torch.Tensor:
    """Return one-hot planes (B, 10, SIDE, SIDE)."""
    return torch.eye(10)[classes][:, :, None, None].expand(-1, -1, SIDE, SIDE)


# %%
coupling = {"type": "affine_coupling", "hidden": 40, "context_kernel": 1}
step = ["actnorm", "conv1x1", {"type": "affine_injector", "hidden": 40, "kernel": 1}, coupling]
recipe = {
    "version": 1,
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "in_channels": 10, "widths": [16, 24, 32]},
    "flow": [{"repeat": 3, "steps": ["squeeze", {"repeat": 4, "steps": step}], "between": ["split"]}],
}
model = build(recipe)
model.recompute = False  # it would save memory, for time
optimiser = torch.optim.AdamW(model.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
for number in range(STEPS):
    y, classes = digits(rng, BATCH, SIDE)
    loss = model(planes(classes)).bits_per_dim(y).mean()
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    schedule.step()
    if number % 100 == 0:
        print(f"step {number}: {loss.item():.3f} bits per pixel", flush=True)

# %% Samples of every class; and Bayes' rule: the class under which an image is likeliest
model.eval()
with torch.no_grad():
    samples = model(planes(torch.arange(10))).sample(8, temperature=0.8)  # (8, 10, 1, SIDE, SIDE)
    y, classes = digits(rng, 200, SIDE)
    scores = torch.stack([model(planes(torch.full((200,), digit))).log_prob(y) for digit in range(10)])
print(f"recognised by their density: {100 * (scores.argmax(0) == classes).float().mean():.0f} % of 200")
picture = 1 - samples[:, :, 0].transpose(1, 2).reshape(8 * SIDE, 10 * SIDE)
Image.fromarray(picture.mul(255).byte().numpy()).resize((30 * SIDE, 24 * SIDE), 0).save("digits.png")
