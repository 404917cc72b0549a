"""`check_layer`: a check of a flow layer against its contract, on one example.

    layer, inputs, features = MyLayer.example(torch.Generator().manual_seed(0))
    check_layer(layer, inputs, features)

flowkit's own test suite calls it for every registered layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError

from flowkit.layers import FlowLayer
from flowkit.testing.demand import demand

ROUND_TRIP = 1e-10
LOG_DET = 1e-8
AUTOCAST_ROUND_TRIP = 1e-4

Direction = Callable[[Tensor, Any], tuple[Tensor, Tensor]]


def check_layer(layer: FlowLayer, inputs: Tensor, context: Tensor | None = None) -> None:
    """Check, in both directions, on an example with random weights:

    - `inverse` undoes `forward` to 1e-10, and log|det| is that of autograd's Jacobian to 1e-8;
    - log-dets are (B,), in the inputs' dtype and on their device; inputs are left as they are;
    - samples of a batch do not see one another, in any order and alone;
    - features may be given raw, or conditioned once;
    - nothing further away than `reach` cells matters (for layers that keep the grid);
    - gradients of inputs, features and parameters agree with finite differences;
    - parameters and buffers are contiguous, as safetensors and FSDP want them;
    - deepcopy keeps the function, and state_dict gives it back to a copy whose weights were changed;
    - float32 comes close to float64, and stays float32 under bfloat16 autocast, where the round trip holds
      to 1e-4;
    - torch.compile(fullgraph=True) gives the same (unless the layer says `compiles = False`).

    Args:
        layer: small, float64, in eval mode; weights random, because many a wrong formula is right at zero.
        inputs: (B, C, H, W), float64, B >= 2; better with H != W and odd C.
        context: features (B, C', H, W), float64, for a layer that reads them.

    Raises:
        AssertionError: naming the layer, the direction and what is not so.
    """
    demand(
        inputs.dtype == torch.float64 and len(inputs) >= 2,
        layer,
        "the example is float64, two samples or more",
    )
    outputs, _ = _pair(layer, "forward", layer(inputs, context))
    _pair(layer, "inverse", layer.inverse(outputs, context))
    ways: list[tuple[str, Direction, Tensor]] = [
        ("forward", layer.forward, inputs.detach()),
        ("inverse", layer.inverse, outputs.detach()),
    ]
    _check_shapes(layer, inputs, outputs)
    for name, tensor in layer.state_dict().items():
        demand(tensor.is_contiguous(), layer, f'"{name}" is not contiguous; .contiguous() copies it')
    for way, direction, x in ways:
        label = f"{type(layer).__name__}.{way}"
        back = layer.inverse if way == "forward" else layer.forward
        _check_bijection(label, direction, back, x, context)
        _check_batch(label, direction, x, context)
        if layer.out_shape.stride == layer.shape.stride and not layer.whole_image:
            _check_reach(label, layer, direction, x, context)
        _check_gradients(label, layer, way, x, context)
        _check_copies(label, layer, way, x, context)
        _check_precision(label, layer, way, x, context)
        if layer.compiles:
            _check_compile(label, direction, x, context)
    if context is not None:
        _same(
            f"{type(layer).__name__}: conditioned once",
            layer(inputs, layer.condition(context)),
            layer(inputs, context),
        )


def _pair(layer: FlowLayer, way: str, found: object) -> tuple[Tensor, Tensor]:
    """Check that a direction returned two tensors; one of two samples would pass for them."""
    if isinstance(found, tuple) and len(found) == 2 and all(isinstance(part, Tensor) for part in found):
        return found
    label = f"{type(layer).__name__}.{way}"
    raise AssertionError(f"{label}: returned {type(found).__name__}, expected (outputs, log|det|)")


def _check_shapes(layer: FlowLayer, inputs: Tensor, outputs: Tensor) -> None:
    demand(
        inputs.shape[1] == layer.shape.channels,
        layer,
        f"takes {layer.shape}, its example {tuple(inputs.shape)}",
    )
    channels = layer.out_shape.channels + layer.latent_channels
    demand(outputs.shape[1] == channels, layer, f"promised {channels} channels, gave {tuple(outputs.shape)}")
    cells = inputs.shape[2] * layer.shape.stride == outputs.shape[2] * layer.out_shape.stride
    demand(cells, layer, f"promised {layer.out_shape}, gave {tuple(outputs.shape)}")


def _check_bijection(label: str, direction: Direction, back: Direction, x: Tensor, context: Any) -> None:
    before = x.clone()
    y, log_det = direction(x, context)
    demand(torch.equal(x, before), label, "changes its input in place")
    demand(log_det.shape == (len(x),), label, f"log|det| is {tuple(log_det.shape)}, expected ({len(x)},)")
    demand(
        y.dtype == log_det.dtype == x.dtype, label, f"{x.dtype} became {y.dtype}, log|det| {log_det.dtype}"
    )
    demand(log_det.device == x.device, label, "log|det| is on another device")
    error = (back(y, context)[0] - x).abs().max().item()
    demand(error <= ROUND_TRIP, label, f"its inverse is off by {error:.1e}")
    for i in range(len(x)):
        own = None if context is None else context[i : i + 1]

        def alone(v: Tensor, own: Any = own) -> Tensor:
            return direction(v, own)[0]

        jacobian = torch.autograd.functional.jacobian(alone, x[i : i + 1])  # type: ignore[no-untyped-call]
        true = torch.linalg.slogdet(jacobian.reshape(x[i].numel(), x[i].numel()))[1]
        error = (log_det[i] - true).abs().item()
        demand(error <= LOG_DET, label, f"log|det| is off the Jacobian's by {error:.1e}")


def _check_batch(label: str, direction: Direction, x: Tensor, context: Any) -> None:
    y, log_det = direction(x, context)
    turned = direction(x.flip(0), None if context is None else context.flip(0))
    _same(f"{label}: in another order of the batch", turned, (y.flip(0), log_det.flip(0)))
    _same(f"{label}: alone", direction(x[:1], None if context is None else context[:1]), (y[:1], log_det[:1]))


def _check_reach(label: str, layer: FlowLayer, direction: Direction, x: Tensor, context: Any) -> None:
    side = 2 * layer.reach + 4

    def larger(t: Tensor) -> Tensor:
        times = [-(-side // n) for n in t.shape[2:]]
        return t[:1].detach().repeat(1, 1, *times)[..., :side, :side].requires_grad_()

    given = [larger(t) for t in (x, context) if t is not None]
    y, _ = direction(given[0], given[1] if context is not None else None)
    row = layer.reach + 1
    for column in (row, row + 1):  # neighbours: a checkerboard moves one of them
        weights = torch.linspace(1, 2, y.shape[1], dtype=y.dtype, device=y.device)
        value = (weights * y[0, :, row, column]).sum()
        for gradient in torch.autograd.grad(value, given, retain_graph=True, allow_unused=True):
            if gradient is not None:
                seen = gradient.abs().sum((0, 1)).nonzero()
                away = int((seen - seen.new_tensor([row, column])).abs().max()) if len(seen) else 0
                demand(away <= layer.reach, label, f"sees {away} cells away, but its reach is {layer.reach}")


def _check_gradients(label: str, layer: FlowLayer, way: str, x: Tensor, context: Any) -> None:
    names = [name for name, parameter in layer.named_parameters() if parameter.requires_grad]
    module = _Way(layer, way)

    def function(*values: Tensor) -> tuple[Tensor, Tensor]:
        v, u, *weights = values
        parameters = {f"layer.{name}": weight for name, weight in zip(names, weights, strict=True)}
        y, log_det = torch.func.functional_call(module, parameters, (v, u))
        # gradcheck passes over an output that needs no gradient, so a detached log-det would go unseen alone.
        return y, log_det + y.flatten(1).sum(1)

    given = [x, context, *(layer.get_parameter(name) for name in names)]
    values: Any = [None if value is None else value.detach().clone().requires_grad_() for value in given]
    try:
        torch.autograd.gradcheck(function, values, fast_mode=True)
    except GradcheckError as error:
        raise AssertionError(f"{label}: gradients are not those of finite differences: {error}") from None


def _check_copies(label: str, layer: FlowLayer, way: str, x: Tensor, context: Any) -> None:
    expected = getattr(layer, way)(x, context)
    twin = copy.deepcopy(layer)
    _same(f"{label}: after deepcopy", getattr(twin, way)(x, context), expected)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.5)
    twin.load_state_dict(layer.state_dict())
    _same(f"{label}: after load_state_dict", getattr(twin, way)(x, context), expected)


def _check_precision(label: str, layer: FlowLayer, way: str, x: Tensor, context: Any) -> None:
    single = copy.deepcopy(layer).float()
    low, u = x.float(), None if context is None else context.float()
    expected, _ = getattr(layer, way)(x, context)
    y, log_det = getattr(single, way)(low, u)
    demand(
        y.dtype == log_det.dtype == torch.float32,
        label,
        f"float32 became {y.dtype}, log|det| {log_det.dtype}",
    )
    scale = expected.abs().max().item() + 1
    demand((y - expected).abs().max().item() <= 1e-3 * scale, label, "float32 is far from float64")
    with torch.autocast(x.device.type, dtype=torch.bfloat16):
        y, log_det = getattr(single, way)(low, u)
        back, _ = getattr(single, "inverse" if way == "forward" else "forward")(y, u)
    kinds = f"autocast made float32 {y.dtype}, log|det| {log_det.dtype}"
    demand(y.dtype == log_det.dtype == torch.float32, label, kinds)
    error = ((back - low).abs().max() / (low.abs().max() + 1)).item()
    demand(error <= AUTOCAST_ROUND_TRIP, label, f"under autocast its inverse is off by {error:.1e}")


def _check_compile(label: str, direction: Direction, x: Tensor, context: Any) -> None:
    torch.compiler.reset()
    # aot_eager traces forward and backward as every backend does, and needs no compiler.
    compiled = torch.compile(direction, fullgraph=True, backend="aot_eager")
    try:
        found = compiled(x, context)
    except RuntimeError as error:  # what Dynamo raises is derived from it
        why = str(error).partition("\n")[0]
        raise AssertionError(f"{label}: torch.compile(fullgraph=True) fails: {why}") from None
    _same(f"{label}: compiled", found, direction(x, context))


class _Way(nn.Module):
    """One direction of a layer as a module, for `functional_call`."""

    def __init__(self, layer: FlowLayer, way: str) -> None:
        super().__init__()
        self.layer = layer
        self.way = way

    def forward(self, x: Tensor, context: Any) -> tuple[Tensor, Tensor]:
        result: tuple[Tensor, Tensor] = getattr(self.layer, self.way)(x, context)
        return result


def _same(label: str, found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    for what, a, b in zip(("outputs", "log|det|"), found, expected, strict=True):
        close = a.shape == b.shape and torch.allclose(a, b, rtol=1e-9, atol=1e-9)
        demand(close, label, f"{what} differ")
