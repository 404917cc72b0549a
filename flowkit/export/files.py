"""Exported files: traced, translated, compared with the model, and written."""

from __future__ import annotations

import io
import json
import math
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.fx.experimental._config as config
from torch import Tensor
from torch.export import Dim, ExportedProgram

from flowkit.errors import ExportError, suggest
from flowkit.export import onnx_file
from flowkit.export.computations import COMPUTATIONS, WHATS, Computation, Sample, What
from flowkit.export.culprit import culprit
from flowkit.files import replacing
from flowkit.flow import ConditionalFlow

SUFFIXES = (".pt2", ".onnx")
METADATA = "flowkit.json"  # in a .pt2; an .onnx has the same entries as its metadata
TOLERANCE = 1e-3  # of the mean difference from the model, relative to the mean value, or to 1

Run = Callable[[Sequence[Tensor]], Tensor]


def export(model: ConditionalFlow, path: str | os.PathLike[str], *, what: What = "mode") -> None:
    """Write a computation of a model to a file that runs without flowkit.

    Batch, height and width are free; height and width are multiples of `model.multiple`. Nothing is drawn at
    random: the numbers are inputs. Before it is written, the file is run at three sizes, and compared with
    the model.

    Args:
        model: on any device, in any mode; it is not changed, and exported in eval mode.
        path: ends in `.pt2` (PyTorch's `torch.export`) or `.onnx` (needs the extra `export`).
        what: `mode`, from the image to the y of z = 0; `sample`, from the image and latents z0, z1, ... to
            y; `log_prob`, from the image, y and, where the target is dequantised, noise of y's shape to log
            p(y | x).

    Raises:
        ExportError: another suffix or computation; an op that cannot be exported, with the name of its layer;
            results that differ from the model's.
        OutputError: the file cannot be written.
    """
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise ExportError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if what not in WHATS:
        raise ExportError(f'there is no export of "{what}"; {suggest(what, WHATS)}')
    if suffix == ".onnx":
        onnx_file.check_installed()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        computation = COMPUTATIONS[what](model)
        metadata = _metadata(computation, what)
        translate = _to_pt2 if suffix == ".pt2" else onnx_file.translate
        try:
            program = trace(computation)
            data, run = translate(program, computation, metadata)
        except Exception as error:  # torch raises exceptions of many types
            why = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            who = culprit(computation.flow, None if suffix == ".pt2" else onnx_file.try_program)
            raise ExportError(f"{path}: {who} cannot be exported ({why})") from error
        _compare(path, computation, run)
    with replacing(path) as draft:
        draft.write_bytes(data)


def trace(computation: Computation) -> ExportedProgram:
    """Trace a computation with free batch, height and width."""
    flow = computation.flow
    grid = math.lcm(flow.multiple, flow.grid)
    inputs = computation.examples(2, 3 * grid, 4 * grid)
    # Gradients are on since networks have special paths without, for processors; sizes of 1 are sizes like
    # any other, or the program would refuse images that have one cell at the coarsest level.
    tracing: Any = config  # whose `patch` torch adds when it runs
    free = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    shapes: tuple[Any, ...] = (free,) * len(inputs)
    if isinstance(computation, Sample):
        shapes = (free, shapes[1:])  # torch wants those of `*latents` in one tuple
    with _quiet(), torch.enable_grad(), tracing.patch(backed_size_oblivious=True):
        return torch.export.export(computation, inputs, dynamic_shapes=shapes, strict=False)


def _to_pt2(
    program: ExportedProgram, computation: Computation, metadata: dict[str, str]
) -> tuple[bytes, Run]:
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(program, buffer, extra_files={METADATA: json.dumps(metadata)})
        buffer.seek(0)
        module: Any = torch.export.load(buffer).module()
    return buffer.getvalue(), lambda inputs: module(*inputs)


def _compare(path: str | os.PathLike[str], computation: Computation, run: Run) -> None:
    """Run an exported file at three sizes.

    Raises:
        ExportError: it fails, or its results are not the model's.
    """
    unit = computation.flow.multiple
    for size in ((1, 2 * unit, 3 * unit), (1, 7 * unit, 5 * unit), (3, 16 * unit, 11 * unit)):
        inputs = computation.examples(*size)
        with torch.no_grad():
            expected = computation(*inputs).double()
            try:
                found = run(inputs).double()
            except Exception as error:  # the runtime raises exceptions of its own
                why = str(error).strip().partition("\n")[0]
                raise ExportError(f"{path}: the exported model fails for {size}: {why}") from error
        difference = (found - expected).abs().mean() / max(1.0, float(expected.abs().mean()))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{path} was not written: for images {size} its results differ from the model's by "
                f"{float(difference):.1g} on average, expected {TOLERANCE:g} or less"
            )


def _metadata(computation: Computation, what: What) -> dict[str, str]:
    """Describe a file: what it computes, of which model, and what it takes."""
    flow = computation.flow
    return {
        "what": what,
        "inputs": " ".join(computation.names),
        "output": computation.output,
        "multiple": str(flow.multiple),
        "scale": str(flow.scale),
        "nll_of": flow.target.nll_of,
        "recipe": flow.recipe or "",
    }


def _quiet() -> warnings.catch_warnings:
    """Silence warnings of torch and onnxscript about their own use of one another."""
    return warnings.catch_warnings(action="ignore")
