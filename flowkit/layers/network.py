"""The network inside injectors and couplings, split so that the image's part is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from flowkit.errors import ShapeError
from flowkit.layers.actnorm import ActNorm
from flowkit.layers.base import FlowLayer, Shape
from flowkit.layers.features import Features, convolve, dense
from flowkit.layers.saved_hidden import Noted, known
from flowkit.ops.convolution import MOST_NARROW, convolve_cells, convolve_narrow, convolve_relu, planar
from flowkit.ops.coupling_step import Maps

Network = Literal["plain", "srflow"]

GAIN = 3.0  # per unit of a learned log-gain, as in Glow and SRFlow
SRFLOW_STD = 0.05  # of SRFlow's hidden weights at the start


@dataclass(frozen=True)
class Low:
    """A u in a lower precision than the parameters', in which the network computes its hidden values, too.

    The tensors in a layer's context are brought to the precision of its input; this one is not.

    Attributes:
        projected: A u (B, hidden, h, w).
    """

    projected: Tensor


class ConditionalNetwork(nn.Module):
    """A network from latent part z1 and features u to the parameters of a map, such as [shift | raw scale].

        h = relu(A u + B z1),   h = relu(M h),   parameters = O h

    A, B, O are k x k convolutions, M is 1x1. Since A [z1, u] = B z1 + A u, the costly part A u reads only the
    image: `condition` computes it once for all samples, directions and temperatures. O starts at zero, so
    that an untrained layer equals its map at parameters 0.

    The `srflow` network has actnorms N in place of A's and M's biases, and a learned gain on its output:

        h = relu(N1(A u + B z1)),   h = relu(N2(M h)),   parameters = exp(3 g) * O h

    Args:
        latent: channels of z1; 0 where the map reads the image only.
        context: channels of u.
        out: channels of the parameters, all together.
        hidden: channels of h.
        kernel: k of B and O.
        context_kernel: k of A.
        network: `plain` (the first) or `srflow`.

    Raises:
        ShapeError: `hidden` is not positive, or a kernel is even.
    """

    def __init__(
        self,
        latent: int,
        context: int,
        out: int,
        *,
        hidden: int,
        kernel: int,
        context_kernel: int,
        network: Network = "plain",
    ) -> None:
        super().__init__()
        for name, value in (("kernel", kernel), ("context_kernel", context_kernel)):
            if value < 1 or value % 2 == 0:
                raise ShapeError(f"{name} must be odd and positive, got {value}")
        if hidden < 1:
            raise ShapeError(f"hidden must be positive, got {hidden}")
        plain = network == "plain"
        self.hidden = hidden
        self.on_context = nn.Conv2d(context, hidden, context_kernel, padding=context_kernel // 2, bias=plain)
        self.on_latent = (
            nn.Conv2d(latent, hidden, kernel, padding=kernel // 2, bias=False) if latent else None
        )
        self.mix = nn.Conv2d(hidden, hidden, 1, bias=plain)
        self.out = nn.Conv2d(hidden, out, kernel, padding=kernel // 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(_bias(self.out))
        self.norms: nn.ModuleList | None = None
        self.gain: nn.Parameter | None = None
        if not plain:
            self.norms = nn.ModuleList(HiddenNorm(hidden) for _ in range(2))
            self.gain = nn.Parameter(torch.zeros(out, 1, 1))
            for convolution in (self.on_context, self.on_latent, self.mix):
                if convolution is not None:
                    nn.init.normal_(convolution.weight, std=SRFLOW_STD)
        self.reach = kernel // 2 + max(context_kernel // 2, kernel // 2 if latent else 0)

    def condition(self, features: Features) -> Tensor:
        """Compute A u (B, hidden, h, w); without gradients on a CPU, in the dtype of the features."""
        if not self._infers():
            return convolve(self.on_context, features)
        if isinstance(features, Tensor):
            return convolve_cells(features, self.on_context.weight, self.on_context.bias)
        dtype = features.fine.dtype
        with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
            return convolve(self.on_context, features).contiguous(memory_format=torch.channels_last)

    def for_latents(self, projected: Tensor | Noted) -> Tensor | Noted | Low:
        """Return A u as the context of a layer whose latents go through the network.

        It stays low if the features are. Under autocast they are not, and latents go through in full.
        """
        if isinstance(projected, Noted) or torch.is_autocast_enabled(projected.device.type):
            return projected
        lower = projected.dtype.itemsize < self.mix.weight.dtype.itemsize
        return Low(projected) if lower else projected

    def forward(
        self, conditioned: Tensor | Noted | Low, latent: Tensor | None = None, *, initialise: bool = True
    ) -> Tensor:
        """Compute the parameters (B, out, h, w) from A u and z1.

        `initialise` says that z1 comes from data: only then may the first training pass set the actnorms.
        """
        if isinstance(conditioned, Low):
            return self._infer(conditioned.projected, latent)
        if isinstance(conditioned, Noted):
            hidden = self._noted(conditioned, latent, initialise)
        elif self._infers():
            return self._infer(conditioned, latent)
        else:
            hidden = torch.relu(self._normalise(0, self._first(conditioned, latent), initialise))
        hidden = torch.relu(self._normalise(1, convolve(self.mix, hidden), initialise))
        return apply_gain(convolve(self.out, hidden), self.gain)

    def _first(self, conditioned: Tensor, latent: Tensor | None) -> Tensor:
        """Compute A u + B z1."""
        if self.on_latent is None or latent is None:
            return conditioned
        return conditioned + convolve(self.on_latent, latent)

    def _noted(self, note: Noted, latent: Tensor | None, initialise: bool) -> Tensor:
        before = self._first(note.projected, latent)
        if note.hidden is None:
            note.hidden = torch.relu(self._normalise(0, before, initialise))
            return note.hidden
        if self.norms is None:
            return known(note.hidden, before)
        norm = self.norms[0]
        assert isinstance(norm, HiddenNorm)
        return known(note.hidden, before, norm.log_scale, norm.bias)

    def _infers(self) -> bool:
        # not in training, where recomputed values must equal the first ones to the last bit
        return not (self.training or torch.is_grad_enabled()) and self.mix.weight.device.type == "cpu"

    def _infer(self, conditioned: Tensor, latent: Tensor | None) -> Tensor:
        """Compute `forward` without gradients, in an order for a CPU's caches; the result is contiguous.

        Hidden values have the dtype of `conditioned`, which may be lower than the parameters'. Norms and gain
        are folded into weights and biases, which are fewer than the hidden values.
        """
        dtype = conditioned.dtype
        scale, bias = self._norm(0)
        if scale is not None:
            conditioned = conditioned * _planes(scale.to(dtype))
        if self.on_latent is not None and latent is not None:
            # Hidden values are quickest with channels last, the flow's few channels plane by plane.
            around = self.on_latent.kernel_size[0] // 2
            hidden = convolve_relu(
                latent.to(dtype),
                *_scaled(self.on_latent, scale, bias),
                padding=(around, around),
                plus=conditioned,
            )
        else:
            hidden = torch.relu(conditioned if bias is None else conditioned + _planes(bias.to(dtype)))
        hidden = convolve_relu(hidden, *_scaled(self.mix, *self._norm(1)))
        gain = None if self.gain is None else torch.exp(GAIN * self.gain).flatten()
        weight, bias = _scaled(self.out, gain, None)
        if self.out.kernel_size == (3, 3) and self.out.out_channels <= MOST_NARROW and dtype == weight.dtype:
            return convolve_narrow(hidden, weight, bias)
        return planar(convolve_cells(hidden, weight, bias), weight.dtype)

    def maps(self) -> Maps | None:
        """Return the weights of the part that reads z1, actnorms and gain folded in; None without one."""
        if self.on_latent is None:
            return None
        gain = None if self.gain is None else torch.exp(GAIN * self.gain).flatten()
        mix, mix_bias = _scaled(self.mix, *self._norm(1))
        last, last_bias = _scaled(self.out, gain, None)
        assert mix_bias is not None and last_bias is not None
        return Maps(self.on_latent.weight, mix[:, :, 0, 0], mix_bias, last, last_bias, *self._norm(0))

    def _norm(self, index: int) -> tuple[Tensor | None, Tensor | None]:
        """Return an actnorm as h * scale + bias, (C,) each; None without one."""
        if self.norms is None:
            return None, None
        norm = self.norms[index]
        assert isinstance(norm, HiddenNorm)
        scale = torch.exp(norm.log_scale).flatten()
        return scale, norm.bias.flatten() * scale

    def _normalise(self, index: int, hidden: Tensor, initialise: bool) -> Tensor:
        if self.norms is None:
            return hidden
        norm = self.norms[index]
        assert isinstance(norm, HiddenNorm)
        return norm.normalise(hidden, initialise=initialise)


class Conditioned(FlowLayer):
    """A layer whose `condition` begins with its network's convolution of the features.

    This convolution is by far the most expensive part: training keeps the hidden values that follow from it
    instead of computing it again, see `flowkit.flow.recompute`. To write such a layer, implement `complete`.
    """

    network: ConditionalNetwork

    def condition(self, features: Features) -> Any:
        """Compute what depends on the features alone; see `complete`."""
        return self.complete(self.project(features))

    def project(self, features: Features) -> Tensor:
        """Compute A u (B, hidden, h, w): the image's part of the network's first convolution."""
        return self.network.condition(features)

    def complete(self, projected: Tensor | Noted) -> Any:
        """Compute the result of `condition` from that of `project`."""
        raise NotImplementedError


class HiddenNorm(ActNorm):
    """An actnorm inside a network: no log-det, and initialised only where its caller declares data."""

    def __init__(self, channels: int) -> None:
        super().__init__(Shape(channels, 1))

    def normalise(self, hidden: Tensor, *, initialise: bool) -> Tensor:
        """Normalise (B, C, h, w): (h + b) * exp(l)."""
        if initialise and self.training and not self._ready:
            self._initialise(hidden.to(self.bias.dtype))  # statistics need full precision
        return (hidden + self.bias.to(hidden.dtype)) * torch.exp(self.log_scale.to(hidden.dtype))


def condition(layer: FlowLayer, features: Features) -> Any:
    """Condition a layer on features, which are first made as dense and as precise as it needs them."""
    if isinstance(layer, Conditioned):
        return layer.condition(features)
    whole, own = dense(features), next(layer.parameters(), None)
    if not torch.is_autocast_enabled(whole.device.type):
        whole = whole.to(torch.promote_types(whole.dtype, torch.float32 if own is None else own.dtype))
    return layer.condition(whole)


def condition_all(layers: Sequence[FlowLayer], features: Mapping[int, Features]) -> list[Any]:
    """Return every layer's context, from the features at its stride; None for a layer that reads none.

    On a GPU the networks' convolutions of the same features are one: alone, each is too small to fill it.
    """
    groups: dict[tuple[int, int, bool], list[Conditioned]] = {}
    for layer in layers:
        if isinstance(layer, Conditioned) and layer.context and _joins(features[layer.context.stride]):
            convolution = layer.network.on_context
            key = layer.context.stride, convolution.kernel_size[0], convolution.bias is not None
            groups.setdefault(key, []).append(layer)
    projected: dict[FlowLayer, Tensor] = {}
    for (stride, *_), group in groups.items():
        together = convolve([layer.network.on_context for layer in group], features[stride])
        projected.update(
            zip(group, torch.split(together, [layer.network.hidden for layer in group], dim=1), strict=True)
        )
    return [
        layer.complete(projected[layer])
        if isinstance(layer, Conditioned) and layer in projected
        else layer.context and condition(layer, features[layer.context.stride])
        for layer in layers
    ]


def _joins(features: Features) -> bool:
    """Return true if joined convolutions of these features are faster; on a CPU, separate ones are."""
    return (features if isinstance(features, Tensor) else features.fine).device.type != "cpu"


def apply_gain(parameters: Tensor, gain: Tensor | None) -> Tensor:
    """Return exp(3 g) * parameters, for a learned log-gain g of shape (C, 1, 1); None for no gain."""
    return parameters if gain is None else parameters * torch.exp(GAIN * gain).to(parameters.dtype)


def _scaled(
    convolution: nn.Conv2d, scale: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of scale * convolution(h) + bias, for (C,) of each or None."""
    weight, own = convolution.weight, convolution.bias
    if scale is not None:
        weight = weight * scale[:, None, None, None]
        own = None if own is None else own * scale
    return weight, own if bias is None else bias if own is None else own + bias


def _planes(values: Tensor) -> Tensor:
    return values[:, None, None]


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias
