"""Exact import of SRFlow's weights (Lugmayr et al., arXiv:2006.14200)."""

from __future__ import annotations

import collections
import itertools
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from flowkit.checkpoint import check_numbers
from flowkit.encoders.rrdb import RRDB, LongSkip
from flowkit.errors import CheckpointError
from flowkit.flow import ConditionalFlow
from flowkit.interop.rrdb import SRFLOW, Weights, fill_encoder, read_weights
from flowkit.interop.state_dict import read_state, refuse_unknown
from flowkit.recipe import build

WHAT = "SRFlow weights"
LAYERS = "flowUpsamplerNet.layers."
DEAD = re.compile(r"flowUpsamplerNet\.f\.0\.(weight|bias)")  # in every file, used by no computation
EPS = 1e-4

Shapes = dict[str, tuple[int, ...]]


def from_srflow(
    state_dict: Mapping[str, Any], *, scale: int, stack: Sequence[int], long_skip: LongSkip = "trunk"
) -> ConditionalFlow:
    """Build the conditional flow of a checkpoint of SRFlow's code, in eval mode.

    Depth, widths and splits come from the names and shapes; a prefix `module.` is taken off. Then, with
    `p = model(image)`, `p.encode(y)` gives SRFlow's latents in its order (those of the splits, then the
    last) and adds no noise, `p.decode(latents)` clips nothing, and -`p.log_prob(y)` / (ln 2 * H * W) is what
    SRFlow calls nll, in bits per pixel. The model carries a recipe, so `flowkit.save` takes it.

    `flowUpsamplerNet.f.0`, and the encoder's image head (`HRconv`, `conv_last`) and upsampling to strides
    that no level reads, are left out, because SRFlow computes nothing with them. This leaves 39,189,648 of
    the 39,541,811 parameters of the released 4x network.

    For scale 1, which SRFlow does not have, the encoder runs at the image's resolution, and the first level
    reads its features at one half of it.

    Args:
        state_dict: names and tensors, such as `torch.load(path, weights_only=True)` returns.
        scale: target pixels per image pixel; no name or shape says it.
        stack: the encoder's blocks whose outputs are stacked: 1, 8, 15, 22 in the released 4x network, 1, 3,
            5, 7 in the 8x ones.
        long_skip: where the encoder's long skip starts; in SRFlow's code from the trunk's output.

    Raises:
        CheckpointError: a weight is missing, unknown or of another shape (the first is named), or `scale` or
            `stack` do not belong to these weights.
    """
    state = read_state(state_dict)
    refuse_unknown((n for n in state if not n.startswith((SRFLOW, LAYERS)) and not DEAD.fullmatch(n)), WHAT)
    first = f"{SRFLOW}conv_first.weight"
    if first not in state:
        raise _missing(first)
    encoder = read_weights({name: value for name, value in state.items() if name.startswith(SRFLOW)})
    _check_options(encoder, scale, stack)
    layout = _layout(state, encoder, stack)
    _check(state, layout)
    model = build(_recipe(layout, encoder, scale, stack, long_skip))
    model.to(torch.promote_types(torch.float32, encoder.tensors["first.weight"].dtype))
    assert isinstance(model.encoder, RRDB)
    fill_encoder(model.encoder, encoder)
    flow = {
        f"{part.ours}.{name}": value
        for part in _parts(layout)
        for name, value in _ours(part, state, layout).items()
    }
    model.layers.load_state_dict(flow)
    return model.eval()


@dataclass(frozen=True)
class Layout:
    """The flow's layout by names and shapes: channels of each level, steps per level, widths."""

    channels: tuple[int, ...]
    free: int  # steps per level without injector and coupling, which come first
    steps: int  # conditional steps per level
    splits: int  # so many levels, from the first, end in a split
    hidden: int
    context: int


@dataclass(frozen=True)
class Part:
    """A module with weights: its kind, the prefix of its names in SRFlow, its layer in flowkit."""

    kind: Literal["actnorm", "conv1x1", "injector", "coupling", "split"]
    theirs: str
    ours: int
    channels: int


def _layout(state: Mapping[str, Tensor], encoder: Weights, stack: Sequence[int]) -> Layout:
    votes = collections.defaultdict[int, list[int]](list)
    conditional: set[int] = set()
    hidden = 0
    for name, value in state.items():
        found = re.fullmatch(rf"{re.escape(LAYERS)}(\d{{1,6}})\.(\w+)\.(.+)", name)
        if not found:
            continue
        index, kind, rest = int(found[1]), found[2], found[3]
        if kind in ("actnorm", "invconv") and value.dim() > 1:
            votes[index].append(value.shape[1])
        elif kind == "affine":
            conditional.add(index)
            if rest.endswith(".2.weight"):
                hidden = hidden or value.shape[0]
    # A step has three such weights: one may be missing or wrong, and one alone is a stray.
    channels = {index: statistics.mode(sizes) for index, sizes in votes.items() if len(sizes) > 1}
    if not channels or not conditional or not hidden:
        lacking = "1.actnorm.bias" if not channels else "3.affine.fAffine.2.weight"
        raise _missing(LAYERS + lacking)
    levels = [list(group) for _, group in itertools.groupby(sorted(channels), key=channels.__getitem__)]
    frees = [min(conditional & set(level)) - level[0] for level in levels if conditional & set(level)]
    free = max(frees, key=lambda n: (frees.count(n), n))  # what most levels have: one may be incomplete
    # More steps than names cannot be complete, however large a number is in one of them.
    steps = min(max(level[-1] - level[0] + 1 for level in levels) - free, len(state))
    sizes = [channels[level[0]] for level in levels]
    splits = sum(after == 2 * before for before, after in itertools.pairwise(sizes))
    # A squeeze makes 4 channels of one, and a split before it leaves half of them.
    possible = [sizes[0] // 4 * 4 ** (n + 1) // 2 ** min(n, splits) for n in range(len(sizes))]
    for level, size, other in zip(levels, sizes, possible, strict=True):
        if size != other:
            at = f"{LAYERS}{level[0]}"
            raise CheckpointError(f'{WHAT}: "{at}" has {size} channels, expected {other} at this place')
    features, _ = encoder.channels("first")
    context = features * (1 + len(stack))
    return Layout(tuple(sizes), free, steps, splits, hidden, context)


def _check_options(encoder: Weights, scale: int, stack: Sequence[int]) -> None:
    if scale < 1 or scale & (scale - 1):
        raise CheckpointError(f"{WHAT}: scale must be 1, 2, 4, 8, ..., got {scale}")
    # SRFlow's encoder has two upsamplings for its image head, and one more per octave from 8x on.
    own = 2**encoder.ups
    if "conv_last.weight" in encoder.tensors and own != max(4, scale):
        raise CheckpointError(f"{WHAT}: these are of a network for scale {own}, not {scale}")
    if list(stack) != sorted(set(stack)):
        raise CheckpointError(f"{WHAT}: stack must be blocks in rising order, got {list(stack)}")


def _missing(name: str) -> CheckpointError:
    return CheckpointError(f'{WHAT}: weight "{name}" is missing')


def _parts(layout: Layout) -> Iterator[Part]:
    theirs = ours = 0
    for level, channels in enumerate(layout.channels):
        theirs, ours = theirs + 1, ours + 1  # the squeeze
        for step in range(layout.free + layout.steps):
            at = f"{LAYERS}{theirs}."
            yield Part("actnorm", f"{at}actnorm.", ours, channels)
            yield Part("conv1x1", f"{at}invconv.", ours + 1, channels)
            theirs, ours = theirs + 1, ours + 2
            if step >= layout.free:
                yield Part("coupling", f"{at}affine.fAffine.", ours + 1, channels)
                yield Part("injector", f"{at}affine.fFeatures.", ours, channels)
                ours += 2
        if level < layout.splits:
            yield Part("split", f"{LAYERS}{theirs}.conv.", ours, channels)
            theirs, ours = theirs + 1, ours + 1


def _check(state: Mapping[str, Tensor], layout: Layout) -> None:
    """Refuse a flow's weights unless exactly the expected ones are there, of their shapes and finite."""
    expected = {
        part.theirs + name: shape for part in _parts(layout) for name, shape in _shapes(part, layout).items()
    }
    for name, shape in expected.items():
        if name not in state:
            raise _missing(name)
        if tuple(state[name].shape) != shape:
            hint = ""
            if name.endswith(("fFeatures.0.weight", "fAffine.0.weight")):
                hint = "; does the stack belong to these weights?"
            raise CheckpointError(
                f'{WHAT}: weight "{name}" is {tuple(state[name].shape)}, expected {shape}{hint}'
            )
        check_numbers(state[name], f'{WHAT}: weight "{name}"')
    refuse_unknown((n for n in state if n.startswith(LAYERS) and n not in expected), WHAT)


def _shapes(part: Part, layout: Layout) -> Shapes:
    """Return SRFlow's names of a part's weights, and their shapes."""
    c = part.channels
    if part.kind == "actnorm":
        return {"bias": (1, c, 1, 1), "logs": (1, c, 1, 1)}
    if part.kind == "conv1x1":
        return {"weight": (c, c)}
    if part.kind == "split":
        kept = c // 2
        out = 2 * (c - kept)
        return {"weight": (out, kept, 3, 3), "bias": (out,), "logs": (out, 1, 1)}
    latent = _latent(part)
    h, out = layout.hidden, 2 * (c - latent)
    return {
        "0.weight": (h, latent + layout.context, 3, 3),
        "0.actnorm.bias": (1, h, 1, 1),
        "0.actnorm.logs": (1, h, 1, 1),
        "2.weight": (h, h, 1, 1),
        "2.actnorm.bias": (1, h, 1, 1),
        "2.actnorm.logs": (1, h, 1, 1),
        "4.weight": (out, h, 3, 3),
        "4.bias": (out,),
        "4.logs": (out, 1, 1),
    }


def _ours(part: Part, state: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Return flowkit's names of a part's weights, and their values."""
    their = {name: state[part.theirs + name] for name in _shapes(part, layout)}
    if part.kind == "actnorm":
        return _actnorm("", their["bias"], their["logs"])
    if part.kind == "conv1x1":
        return their
    if part.kind == "split":
        # theirs: (z - mean) / exp(logs); ours: (z + shift) * exp(raw)
        return {
            "prior.weight": -_halves(their["weight"]),
            "prior.bias": -_halves(their["bias"]),
            "gain": _halves(their["logs"]),
        }
    latent = _latent(part)
    first = their["0.weight"]
    return {
        "network.on_context.weight": first[:, latent:],
        **({"network.on_latent.weight": first[:, :latent]} if latent else {}),
        **_actnorm("network.norms.0.", their["0.actnorm.bias"], their["0.actnorm.logs"]),
        "network.mix.weight": their["2.weight"],
        **_actnorm("network.norms.1.", their["2.actnorm.bias"], their["2.actnorm.logs"]),
        "network.out.weight": _halves(their["4.weight"]),
        "network.out.bias": _halves(their["4.bias"]),
        "network.gain": _halves(their["4.logs"]),
    }


def _actnorm(prefix: str, bias: Tensor, logs: Tensor) -> dict[str, Tensor]:
    # SRFlow keeps no flag: it takes an actnorm as initialised if any bias is not 0.
    return {f"{prefix}bias": bias, f"{prefix}log_scale": logs, f"{prefix}initialised": (bias != 0).any()}


def _halves(interleaved: Tensor) -> Tensor:
    """Turn [shift, scale, shift, scale, ...] into [shift ... | scale ...]."""
    return torch.cat([interleaved[0::2], interleaved[1::2]])


def _latent(part: Part) -> int:
    """Return the channels of the flow that a network reads beside the features."""
    return part.channels // 2 if part.kind == "coupling" else 0


def _recipe(
    layout: Layout, encoder: Weights, scale: int, stack: Sequence[int], long_skip: LongSkip
) -> dict[str, Any]:
    conditional = {"hidden": "$hidden", "scale": "sigmoid", "eps": EPS, "network": "srflow"}
    level: list[Any] = ["squeeze"]
    level.append({"repeat": layout.free, "steps": ["actnorm", "conv1x1"]})
    layers = [{"type": f"affine_{kind}", **conditional} for kind in ("injector", "coupling")]
    level.append({"repeat": "$steps", "steps": ["actnorm", "conv1x1", *layers]})
    split = {"type": "split", "scale": "exp", "gain": True}
    features, channels = encoder.channels("first")
    growth, _ = encoder.channels("trunk.0.dense.0.convs.0")
    return {
        "version": 1,
        "name": f"srflow-x{scale}",
        "about": "converted from a checkpoint of SRFlow",
        "vars": {"hidden": layout.hidden, "steps": layout.steps},
        "target": {"type": "continuous", "channels": layout.channels[0] // 4, "noise": "none"},
        "encoder": {
            "type": "rrdb",
            "in_channels": channels,
            "scale": scale,
            "features": features,
            "growth": growth,
            "blocks": encoder.blocks,
            "stack": list(stack),
            "long_skip": long_skip,
            "unshuffle": 1,
        },
        "flow": [
            {"repeat": layout.splits, "steps": [*level, split]},
            {"repeat": len(layout.channels) - layout.splits, "steps": level},
        ],
    }
