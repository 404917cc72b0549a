"""The CUDA kernels without a GPU: run on the processor by an emulator; compiled where there is an nvcc."""

from __future__ import annotations

import ctypes
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.cpp_extension import COMMON_NVCC_FLAGS

from flowkit.ops import SCALES, build, build_tools, sources
from flowkit.ops.formula import affine_formula

HERE = Path(__file__).parent
TORCH = Path(torch.__file__).parent
LAST, FIRST = torch.channels_last, torch.contiguous_format
ARCHITECTURES = ("75", "80", "90")


def call(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def emulated(tmp_path_factory) -> ctypes.CDLL:
    """The kernels' own source, as `torch.ops.flowkit_emulated`."""
    if build_tools.compiler() is None:
        pytest.skip("no C++ compiler")
    library = tmp_path_factory.mktemp("emulated") / "emulated.so"
    includes = ["-I", sources.CSRC, "-isystem", TORCH / "include"]
    target = sources.target_define(torch.__version__)
    call(
        *(build_tools.compiler(), "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"),
        *("-shared", "-fPIC", target, *includes, HERE / "cuda_emulated.cpp", "-o", library),
        *("-L", TORCH / "lib", "-ltorch_cpu", "-lc10"),
    )
    torch.ops.load_library(str(library))
    loaded = ctypes.CDLL(str(library))
    loaded.wide_accesses.restype = ctypes.c_int64
    return loaded


def tensors(shape, count, layout, dtype, seed=0):
    """z, a network's output for `count` of its channels, and gradients of the two results."""
    generator = torch.Generator().manual_seed(seed)
    batch, _, *sides = shape

    def random(*size):
        values = torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)
        return values.contiguous(memory_format=layout) if len(size) == 4 else values

    real = torch.promote_types(dtype, torch.float32)
    return random(*shape), random(batch, 2 * count, *sides), random(*shape), random(batch).to(real)


def check(z, parameters, by_out, by_log_det, *, start, interleaved, scale="soft", eps=0.0, inverse=False):
    """Both passes of the emulated kernels against the formula in float64, and twice for the same bits."""
    count = parameters.shape[1] // 2
    halves = (parameters[:, 0::2], parameters[:, 1::2]) if interleaved else parameters.chunk(2, 1)
    options = (SCALES.index(scale), eps, inverse)
    ours = [
        (
            *torch.ops.flowkit_emulated.affine(z, *halves, start, *options),
            *torch.ops.flowkit_emulated.affine_backward(
                by_out, by_log_det, z, *halves, start, interleaved, *options
            ),
        )
        for _ in range(2)
    ]
    exact = [t.double().requires_grad_() for t in (z, parameters)]
    wide = (exact[1][:, 0::2], exact[1][:, 1::2]) if interleaved else exact[1].chunk(2, 1)
    moved, log_det = affine_formula(
        exact[0][:, start : start + count], *wide, scale=scale, eps=eps, inverse=inverse
    )
    out = torch.cat([exact[0][:, :start], moved, exact[0][:, start + count :]], 1)
    gradients = torch.autograd.grad((out, log_det), exact, (by_out.double(), by_log_det.double()))
    relative = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2**-8, torch.float16: 2**-10}
    for one, again, expected in zip(*ours, (out, log_det, *gradients), strict=True):
        assert torch.equal(one, again)
        tolerance = min(relative[z.dtype], 1e-5) if expected.dim() == 1 else relative[z.dtype]
        torch.testing.assert_close(one.double(), expected, rtol=tolerance, atol=min(tolerance, 1e-4))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("layout", [FIRST, LAST])
@pytest.mark.parametrize(
    ("shape", "start", "count", "wide"),
    [
        ((2, 16, 6, 20), 8, 8, True),  # whole packs, a tail in the last block
        ((1, 16, 36, 66), 0, 8, True),  # several blocks, rows longer than one of them
        ((2, 7, 5, 13), 3, 4, False),  # odd everything
        ((1, 3, 51, 43), 0, 3, False),
        ((3, 8, 1, 1), 0, 8, None),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_kernels_in_every_type_and_layout(
    emulated, dtype, shape, start, count, wide, layout, interleaved
):
    before = emulated.wide_accesses()
    given = tensors(shape, count, layout, dtype)
    check(*given, start=start, interleaved=interleaved, inverse=start == 0)
    if wide is not None:
        assert (emulated.wide_accesses() > before) is wide


@pytest.mark.parametrize("shape", [(2, 8, 4, 6), (2, 5, 3, 3)])
def test_every_scale_map_both_ways(emulated, shape):
    for scale, eps, inverse in itertools.product(SCALES, (0.0, 1e-4), (False, True)):
        given = tensors(shape, 4, FIRST, torch.float64)
        check(*given, start=1, interleaved=False, scale=scale, eps=eps, inverse=inverse)


@pytest.mark.parametrize("offset", [0, 1])
def test_what_is_not_on_a_boundary_of_sixteen_bytes_goes_one_by_one(emulated, offset):
    z, parameters, *by = tensors((1, 8, 8, 8), 8, FIRST, torch.float32)
    shifted = torch.empty(z.numel() + 1)[offset : offset + z.numel()].view_as(z).copy_(z)
    before = emulated.wide_accesses()
    check(shifted, parameters, *by, start=0, interleaved=False)
    assert (emulated.wide_accesses() > before) is (offset == 0)


def test_slices_are_read_where_they_lie(emulated):
    """A part of a larger tensor, a shift for all pixels, and separate tensors in different layouts."""
    z, parameters, *by = tensors((2, 8, 6, 4), 4, LAST, torch.float32)
    whole = torch.cat([z, z], 1).contiguous(memory_format=LAST)
    check(whole[:, 8:], parameters, *by, start=4, interleaved=False)
    shift = torch.randn(2, 4, 1, 1).expand(2, 4, 6, 4)
    out, log_det = torch.ops.flowkit_emulated.affine(z[:, ::2], shift, parameters[:, 4:], 0, 0, 0.0, False)
    for ours, expected in zip(
        (out, log_det), affine_formula(z[:, ::2], shift, parameters[:, 4:]), strict=True
    ):
        torch.testing.assert_close(ours, expected)


@pytest.fixture(scope="module")
def nvcc() -> str:
    command = build_tools.nvcc()
    if command is None:
        pytest.skip("no nvcc: the CUDA sources are not compiled here")
    return command


STRICT = (
    *sources.NVCC_FLAGS,
    "-std=c++20",
    "-Werror",
    "all-warnings",
    "-Xcompiler",
    "-Wall,-Wextra",
    "-I",
    sources.CSRC,
)


@pytest.mark.slow
def test_nvcc_compiles_the_kernels_without_a_warning_and_without_spills(nvcc, tmp_path):
    codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES]
    told = call(
        *(nvcc, *STRICT, *codes, "--threads", 2, "-Xptxas", "-v"),
        *("-c", HERE / "cuda_kernels_alone.cu", "-o", tmp_path / "kernels.o"),
    )
    assert "warning" not in told
    entries = re.findall(
        r"Compiling entry function '(\w+)' for 'sm_(\d+)'.*?(\d+) bytes spill stores", told, re.DOTALL
    )
    assert {architecture for _, architecture, _ in entries} == set(ARCHITECTURES)
    assert {name for name, _, bytes_spilled in entries if bytes_spilled != "0"} == set()


@pytest.fixture(scope="module")
def ptx(nvcc, tmp_path_factory) -> str:
    """Of the binding, against the stable headers of the torch that is here, though it may be without CUDA."""
    path = tmp_path_factory.mktemp("ptx") / "affine.ptx"
    told = call(
        *(nvcc, *STRICT, *COMMON_NVCC_FLAGS, "-arch=compute_90", "-ptx"),
        *(sources.target_define(torch.__version__), "-isystem", TORCH / "include"),
        *(*sources.cuda_sources(), "-o", path),
    )
    assert told == ""
    return path.read_text()


def entries(ptx: str, kernel: str) -> dict[str, str]:
    """Bodies of the kernels of such a name."""
    return {m[1]: m[0] for m in re.finditer(rf"\.entry (\w*{kernel}\w*)\(.*?\n}}\n", ptx, re.DOTALL)}


@pytest.mark.slow
def test_the_sum_of_log_dets_waits_where_it_may_be_early(ptx):
    """Its launch may come early: without the wait it would add up old numbers."""
    kernels = entries(ptx, "sum_kernel")
    assert len(kernels) == 2  # floats and doubles
    for body in kernels.values():
        before, _, after = body.partition("griddepcontrol.wait")
        assert "ld.global" in after
        assert "ld.global" not in before


@pytest.mark.slow
def test_nvcc_makes_accesses_of_sixteen_bytes(ptx):
    """Loads and stores of a wide kernel, but for the sums of log s and the gradients by them."""
    kernels = entries(ptx, "affine_kernel")
    assert len(kernels) == 48  # types, widths, scale maps, passes
    for name, body in kernels.items():
        assert ".local" not in body
        width, backward = re.search(r"Li(\d)ELi\dELb([01])", name).groups()
        if width == "1":
            continue
        accesses = re.findall(r"\b(ld|st)\.global\.(\S+)", body)
        loads = [of for kind, of in accesses if kind == "ld"]
        stores = [of for kind, of in accesses if kind == "st"]
        assert sum("v4" in of for of in loads) >= 3
        assert sum("v4" in of for of in stores) >= 1
        assert {of for of in loads if "v4" not in of} <= ({"f32", "f64"} if backward == "1" else set())
        assert {of for of in stores if "v4" not in of} <= (set() if backward == "1" else {"f32", "f64"})


LOAD = """
import sys, torch
for library in sys.argv[1:]:
    torch.ops.load_library(library)
for name in ("flowkit::affine", "flowkit::affine_backward"):
    print(torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA"))
"""


@pytest.mark.slow
def test_the_whole_library_is_linked_and_loads_where_torch_has_cuda(library, monkeypatch, tmp_path):
    """It needs no GPU: without one, the kernels are there all the same."""
    if torch.version.cuda is None:
        pytest.skip(f"no GPU: torch {torch.__version__} is built without CUDA")
    if why := build_tools.missing("cuda"):
        pytest.skip(f"the CUDA library cannot be built here: {why}")
    monkeypatch.setenv("FLOWKIT_CACHE", str(tmp_path))
    built = build.build(build.plan("cuda"))
    # in a process of its own: what has been loaded stays loaded
    assert call(sys.executable, "-c", LOAD, library, built) == "True\nTrue\n"
