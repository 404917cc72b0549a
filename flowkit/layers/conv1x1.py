"""Invertible 1x1 convolution."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowkit.layers.base import FlowLayer, Shape
from flowkit.registry import register


@register("conv1x1")
class Conv1x1(FlowLayer):
    """A learned mixing of channels: y = W x at every cell; log|det| = H W log|det W|.

    W (C x C) starts as a random rotation. Its inverse and log-det are taken in float64 and kept until W
    changes. Kingma and Dhariwal, Glow (arXiv:1807.03039).

    Args:
        shape: of the input.
        decomposition: what is learned. `none`: W itself. `plu`: the factors of W = P L (U + diag(s)), with
            the permutation P and the signs of s fixed, L unit lower triangular, U strictly upper triangular
            and log|s| learned: W cannot become singular, and log|det W| = sum log|s|.

    >>> import torch
    >>> from flowkit.layers import Conv1x1, Shape
    >>> layer, x = Conv1x1(Shape(4, 2)), torch.randn(2, 4, 6, 5)
    >>> z, log_det = layer(x)
    >>> bool(torch.allclose(layer.inverse(z)[0], x, atol=1e-5)), log_det.shape
    (True, torch.Size([2]))
    """

    affine = True

    def __init__(self, shape: Shape, *, decomposition: Literal["none", "plu"] = "none") -> None:
        super().__init__(shape)
        # contiguous, which LAPACK's matrices are not: safetensors and FSDP take no others
        rotation = torch.linalg.qr(torch.randn(shape.channels, shape.channels))[0].contiguous()
        if decomposition == "plu":
            self.factors = _Factors(rotation)
        else:
            self.weight = nn.Parameter(rotation)
        self.decomposition = decomposition
        self._cache: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Mix the channels by W."""
        # in training W changes with every step, so that an inverse that was kept would never be used
        log_det = self._log_det() if self._differentiable() or self.training else self._kept()[1]
        return self._mix(inputs, self._matrix()), self._spread(log_det, inputs)

    def inverse(self, inputs: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Mix the channels by W^-1."""
        inverse, log_det = self._solve() if self._differentiable() else self._kept()
        return self._mix(inputs, inverse), -self._spread(log_det, inputs)

    def extra_repr(self) -> str:
        """Return the decomposition, for `print(model)`."""
        return f"decomposition={self.decomposition}"

    def _matrix(self) -> Tensor:
        matrix: Tensor = self.factors() if self.decomposition == "plu" else self.weight
        return matrix

    def _log_det(self) -> Tensor:
        if self.decomposition == "plu":
            return self.factors.log_diagonal.double().sum()
        log_det: Tensor = torch.linalg.slogdet(self.weight.double())[1]
        return log_det

    def _differentiable(self) -> bool:
        # The cache is for inference; under compilation a comparison would break the graph.
        return torch.is_grad_enabled() or torch.compiler.is_compiling()

    def _solve(self) -> tuple[Tensor, Tensor]:
        matrix = self._matrix().double()
        # while a CUDA graph is recorded, W cannot be checked for singularity, which would wait for the device
        return torch.linalg.inv_ex(matrix, check_errors=not _recorded(matrix))[0], self._log_det()

    def forget(self) -> None:
        """Drop the inverse and the log-det that are kept until W changes."""
        self._cache = None

    def _kept(self) -> tuple[Tensor, Tensor]:
        matrix, kept = self._matrix(), self._cache
        if kept is None or not _unchanged(kept[0], matrix):
            self._cache = kept = (matrix.clone(), *self._solve())
        return kept[1:]

    @staticmethod
    def _mix(inputs: Tensor, weight: Tensor) -> Tensor:
        weight = weight.to(inputs.dtype)
        if inputs.device.type == "cpu" and inputs.is_contiguous() and not torch.is_grad_enabled():
            # a convolution of one small image takes a slow path
            return torch.matmul(weight, inputs.flatten(2)).view_as(inputs)
        return F.conv2d(inputs, weight[:, :, None, None])

    @staticmethod
    def _spread(log_det: Tensor, inputs: Tensor) -> Tensor:
        total = log_det * (inputs.shape[2] * inputs.shape[3])
        return total.to(inputs.dtype).expand(inputs.shape[0])


def _unchanged(kept: Tensor, matrix: Tensor) -> bool:
    if (kept.device, kept.dtype) != (matrix.device, matrix.dtype):
        return False
    if _recorded(matrix):
        return True  # a comparison would wait for the device; the weights of a graph stay as they are
    # W itself is compared: fused optimisers and `.data` change it without increasing its version counter.
    return torch.equal(kept, matrix)


def _recorded(matrix: Tensor) -> bool:
    """Return true while a CUDA graph is being recorded."""
    return matrix.is_cuda and not torch.compiler.is_compiling() and torch.cuda.is_current_stream_capturing()


class _Factors(nn.Module):
    """The parametrisation W = P L (U + diag(s)), initialised from a given matrix."""

    permutation: Tensor
    sign: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        permutation, lower, upper = torch.linalg.lu(matrix)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", permutation.contiguous())
        self.register_buffer("sign", diagonal.sign())
        self.lower = nn.Parameter(lower.tril(-1).contiguous())
        self.upper = nn.Parameter(upper.triu(1).contiguous())
        self.log_diagonal = nn.Parameter(diagonal.abs().log())

    def forward(self) -> Tensor:
        """Compose W (C, C) in float64, which autocast does not change."""
        diagonal = torch.diag(self.sign.double() * torch.exp(self.log_diagonal.double()))
        one = torch.eye(len(diagonal), dtype=diagonal.dtype, device=diagonal.device)
        lower = self.lower.double().tril(-1) + one
        matrix: Tensor = self.permutation.double() @ lower @ (self.upper.double().triu(1) + diagonal)
        return matrix
