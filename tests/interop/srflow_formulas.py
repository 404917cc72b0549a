"""SRFlow's formulas in plain torch, from its published description, and random weights in its format."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

NF, GC, BLOCKS, HIDDEN = 6, 3, 3, 5
STACK = [0, 2]
FLOW = "flowUpsamplerNet.layers."


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
