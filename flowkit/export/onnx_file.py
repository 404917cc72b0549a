"""Translation of traced programs to ONNX, and what torch does not translate."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from flowkit.errors import ExportError
from flowkit.export.computations import Computation

NEEDED = ("onnx", "onnxscript", "onnxruntime")


def check_installed() -> None:
    """Look for the libraries.

    Raises:
        ExportError: one is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX files need {', '.join(missing)}: pip install 'flowkit-nf[export]'")


def translate(
    program: ExportedProgram, computation: Computation, metadata: dict[str, str]
) -> tuple[bytes, Callable[[Sequence[Tensor]], Tensor]]:
    """Return the file's bytes, and a function that runs it by onnxruntime."""
    import onnxruntime

    names, output = list(computation.names), computation.output
    proto = _translated(program, input_names=names, output_names=[output])
    _name_dimensions(proto)
    for key, value in metadata.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    data: bytes = proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def run(inputs: Sequence[Tensor]) -> Tensor:
        fed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run([output], fed)[0])

    return data, run


def try_program(program: ExportedProgram) -> None:
    """Translate a program to see whether it can be."""
    _translated(program, optimize=False)


def _translated(program: ExportedProgram, **options: Any) -> Any:
    log = logging.getLogger("torch.onnx")
    before = log.level
    with warnings.catch_warnings(action="ignore"):  # torch and onnxscript warn of one another
        log.setLevel(logging.ERROR)
        try:
            own = program.run_decompositions(
                torch.export.default_decompositions() | {torch.ops.aten.special_ndtri.default: ndtri}
            )
            found = torch.onnx.export(own, (), dynamo=True, verbose=False, **_table(), **options)
        finally:
            log.setLevel(before)
    assert found is not None
    return found.model_proto


def _table() -> dict[str, Any]:
    return {"custom_translation_table": {torch.ops.aten._upsample_bicubic2d_aa.default: _bicubic}}


def _bicubic(
    image: Any,
    output_size: Any,
    align_corners: bool,
    scale_h: float | None = None,
    scale_w: float | None = None,
) -> Any:
    """Enlarge as torch does with `antialias`: Pillow's kernel, cut off at the borders."""
    from onnxscript import opset20

    op: Any = opset20
    return op.Resize(
        image,
        None,
        op.Constant(value_floats=[1.0, 1.0, scale_h, scale_w]),
        mode="cubic",
        antialias=1,
        cubic_coeff_a=-0.5,
        exclude_outside=1,
    )


def _name_dimensions(proto: Any) -> None:
    """Give torch's symbols (`s40`, `2*s39`) the names of what they count."""
    dims = [list(value.type.tensor_type.shape.dim) for value in proto.graph.input]
    image = dims[0]
    names = {}
    for dim, name in zip((image[0], image[2], image[3]), ("batch", "height", "width"), strict=True):
        (symbol,) = re.findall(r"s\d+", dim.dim_param)
        names[symbol] = name
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.dim_param = re.sub(r"s\d+", lambda found: names.get(found[0], found[0]), dim.dim_param)


# Numerators and denominators in rising powers; Wichura, Algorithm AS 241 (1988), PPND7: 7 digits.
_MIDDLE = (
    (3.3871327179, 50.434271938, 159.29113202, 59.109374720),
    (1.0, 17.895169469, 78.757757664, 67.187563600),
)
_TAIL = ((1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103), (1.0, 0.73700164250, 0.12021132975))
_FAR = ((6.6579051150, 3.0812263860, 0.42868294337, 0.017337203997), (1.0, 0.24197894225, 0.012258202635))


def ndtri(p: Tensor) -> Tensor:
    """Compute the standard normal's quantile for 0 < p < 1 by arithmetic that every runtime has."""
    q = p - 0.5
    middle = q * _ratio(0.180625 - q * q, _MIDDLE)
    r = torch.sqrt(-torch.log(torch.minimum(p, 1 - p)))
    tail = torch.where(r <= 5, _ratio(r - 1.6, _TAIL), _ratio(r - 5, _FAR))
    return torch.where(q.abs() <= 0.425, middle, torch.sign(q) * tail)


def _ratio(x: Tensor, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    over, under = (sum((c * x**k for k, c in enumerate(part)), torch.zeros_like(x)) for part in coefficients)
    return over / under
