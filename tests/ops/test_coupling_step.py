"""The compiled inverse of couplings, against the layers' own in float64."""

from __future__ import annotations

import copy
import threading

import pytest
import torch

from flowkit.errors import KernelError, ShapeError
from flowkit.flow.coupling_stages import Stage, stages
from flowkit.flow.folding import Folded
from flowkit.layers import ActNorm, AffineCoupling, AffineInjector, Conv1x1, Shape
from flowkit.ops import build_cache, coupling_library, coupling_source, coupling_step
from flowkit.ops.coupling_library import LEVELS, Found, library

EXACT, LOW = 2e-6, 1e-2
"""Relative errors: of float32, and of products of bfloat16 values, which have 8 bits."""


@pytest.fixture(autouse=True)
def _library():
    if library().invert is None:
        pytest.skip("no library for couplings (a C++ compiler, then: pip install -e .)")


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A process that has not looked for a library, with an empty cache, in an installation without one."""
    monkeypatch.setattr(coupling_library, "_found", None)
    monkeypatch.setattr(coupling_source, "prebuilt", lambda: None)
    monkeypatch.setenv("FLOWKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FLOWKIT_KERNELS", raising=False)
    monkeypatch.setattr("flowkit.ops.kernels._warned", False)
    return tmp_path / "cache"


@torch.no_grad()
def layers(channels: int, hidden: int, *, followed: bool = True, **options) -> list:
    """Layers of random weights in the order of decoding."""
    torch.manual_seed(channels * hidden)
    shape, context = Shape(channels, 2), Shape(6, 2)
    found = [AffineCoupling(shape, context, hidden=hidden, context_kernel=1, **options)]
    if followed:
        found += [AffineInjector(shape, context, hidden=8, kernel=1)]
        found += [Folded([ActNorm(shape), Conv1x1(shape)])]
    for layer in found:
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=min(0.3, parameter[0].numel() ** -0.5))
        layer.eval()
    found[0].network.out.weight.mul_(0.3)  # scales that do not magnify the errors of rounding
    return found


def inverted(found: list, z: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """What the layers themselves make of a latent."""
    for layer in found:
        z, _ = layer.inverse(z, layer.condition(u) if layer.context else None)
    return z


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


SHAPES = [
    (4, 32, 7, 9, {}),
    (4, 32, 33, 65, {"flip": True}),
    (4, 32, 4, 64, {"scale": "exp", "network": "srflow"}),
    (5, 16, 1, 1, {"scale": "sigmoid", "eps": 1e-4}),
    (5, 96, 6, 17, {"eps": 0.1}),
    (9, 48, 3, 40, {"mask": "first"}),
    (16, 64, 5, 33, {"flip": True, "network": "srflow", "scale": "sigmoid"}),
]


@pytest.mark.parametrize("level", range(len(LEVELS)), ids=LEVELS)
@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("followed", [False, True], ids=["alone", "followed"])
@pytest.mark.parametrize(("channels", "hidden", "height", "width", "options"), SHAPES)
@torch.no_grad()
def test_it_is_the_layers_inverse(level, low, followed, channels, hidden, height, width, options):
    found = layers(channels, hidden, followed=followed, **options)
    z, u = torch.randn(1, channels, height, width), torch.randn(1, 6, height, width)
    exact = [copy.deepcopy(layer).double() for layer in found]
    coupling, injector, folded = [*found, None, None][:3]
    context = coupling.network.condition(u)
    if low:  # what the network reads is rounded, then what it computes, on processors that can
        context = context.bfloat16()
    expected = coupling_expected(exact[0], z.double(), context.double())
    for layer in exact[1:]:
        expected, _ = layer.inverse(expected, layer.condition(u.double()) if layer.context else None)
    step = coupling_step.CouplingStep(
        coupling.network.maps(),
        coupling.partition.start,
        scale=coupling.scale,
        eps=coupling.eps,
        affine=None if folded is None else (folded.back, folded.back_bias),
    )
    cells = None
    if injector is not None:
        shift, log_scale = injector.condition(u)
        cells = -shift, torch.exp(-log_scale)
    limit = LOW if low and LEVELS[min(level, library().level)] in ("AVX-512 BF16", "AMX") else EXACT
    assert error(step(z, context, cells, level=level), expected) < limit


def coupling_expected(coupling: AffineCoupling, z: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
    return coupling.inverse(z, coupling.complete(projected))[0]


@torch.no_grad()
def test_a_stage_is_its_layers_one_after_the_other():
    found = layers(4, 32)
    (stage,) = stages(found)
    z, u = torch.randn(2, 1, 4, 9, 14), torch.randn(1, 6, 9, 14)
    contexts = [layer.condition(u) if layer.context else None for layer in found]
    for of_sample, made in zip(z, stage.at_once(list(z), contexts), strict=True):
        assert error(made, inverted(found, of_sample, u)) < EXACT


def test_stages_hold_what_follows_a_coupling_and_nothing_else():
    coupling, injector, folded = layers(4, 32)
    order = [folded, coupling, injector, folded, coupling, folded, injector, coupling]
    assert [len(stage.layers) for stage in stages(order)] == [1, 3, 2, 1, 1]
    assert [layer for stage in stages(order) for layer in stage.layers] == order


@pytest.mark.parametrize(
    ("hidden", "options"),
    [(8, {}), (32, {"kernel": 1}), (32, {"mask": "alternate"}), (32, {"mask": "checkerboard"})],
)
@torch.no_grad()
def test_what_it_does_not_serve_is_left_to_the_layers(hidden, options):
    found = layers(4, hidden, followed=False, **options)
    u = torch.randn(1, 6, 4, 5)
    assert Stage(found).at_once([torch.randn(1, 4, 4, 5)], [found[0].condition(u)]) is None


@torch.no_grad()
def test_batches_and_other_types_are_left_to_the_layers():
    found = layers(4, 32, followed=False)
    stage, u = Stage(found), torch.randn(1, 6, 4, 5)
    assert stage.at_once([torch.randn(2, 4, 4, 5)], [found[0].condition(u)]) is None
    exact = layers(4, 32, followed=False)[0].double()
    values = [torch.randn(1, 4, 4, 5, dtype=torch.float64)]
    assert Stage([exact]).at_once(values, [exact.condition(u.double())]) is None


@torch.no_grad()
@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
def test_a_cell_is_the_same_bits_wherever_its_window_begins(low):
    step, z, context = ready(40, 150, low=low)
    whole = step(z, context)
    for top, left in ((3, 5), (0, 31), (11, 64)):
        window = (..., slice(top, top + 20), slice(left, left + 70))
        inner = (..., slice(2, -2), slice(2, -2))
        assert torch.equal(step(z[window], context[window])[inner], whole[window][inner])


def ready(height: int, width: int, *, low: bool):
    """A step, a latent, and a context."""
    coupling = layers(4, 32, followed=False)[0]
    step = coupling_step.CouplingStep(coupling.network.maps(), coupling.partition.start)
    context = coupling.network.condition(torch.randn(1, 6, height, width))
    return step, torch.randn(1, 4, height, width), context.bfloat16() if low else context


@torch.no_grad()
@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
def test_what_is_not_a_number_stays_so_and_spreads_two_cells(low):
    step, z, context = ready(12, 40, low=low)
    z[0, 0, 5, 20] = torch.nan  # of the kept channels
    lost = step(z, context)[0, 2:].isnan().all(0)
    assert lost[3:8, 18:23].all()
    assert not lost[:3].any()
    assert not lost[8:].any()
    assert step(torch.randn(1, 4, 12, 40), context).isfinite().all()


@pytest.mark.parametrize("level", range(LEVELS.index("AMX")), ids=LEVELS[:-1])
@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
@torch.no_grad()
def test_no_cell_reads_beyond_its_neighbours(level, low):
    """27 values around a cell: no pair of bfloat16 values may take one from the next cell."""
    coupling = layers(6, 32, followed=False)[0]
    step = coupling_step.CouplingStep(coupling.network.maps(), coupling.partition.start)
    z, context = torch.randn(1, 6, 9, 40), coupling.network.condition(torch.randn(1, 6, 9, 40))
    z[0, :3, 4, 20] = torch.nan
    lost = step(z, context.bfloat16() if low else context, level=level)[0, 3:].isnan().any(0)
    expected = torch.zeros(9, 40, dtype=torch.bool)
    expected[2:7, 18:23] = True
    assert torch.equal(lost, expected)


@torch.no_grad()
def test_products_of_bfloat16_values_are_used_where_the_processor_has_them():
    step, z, context = ready(6, 30, low=True)
    by_level = [step(z, context, level=level) for level in range(library().level + 1)]
    exact = LEVELS.index("AVX-512")
    for level, found in enumerate(by_level):
        assert (error(found, by_level[0]) < EXACT) == (level <= exact)


@torch.no_grad()
def test_other_libraries_find_their_tiles_as_they_left_them():
    """oneDNN computes in bfloat16 with the same tiles, before and after."""
    step, z, context = ready(30, 70, low=True)
    a, b = torch.randn(70, 96).bfloat16(), torch.randn(33, 96).bfloat16()
    before = torch.nn.functional.linear(a, b)
    first = step(z, context)
    assert torch.equal(torch.nn.functional.linear(a, b), before)
    assert torch.equal(step(z, context), first)


@torch.no_grad()
def test_threads_do_not_disturb_each_other():
    step, z, context = ready(60, 90, low=True)
    latents = [z + n for n in range(4)]
    expected = [step(latent, context) for latent in latents]
    made: list[list[torch.Tensor]] = [[] for _ in latents]

    def work(index: int) -> None:
        for _ in range(10):
            made[index].append(step(latents[index], context))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found, of_latent in zip(made, expected, strict=True):
        assert all(torch.equal(one, of_latent) for one in found)


def test_shapes_that_do_not_fit():
    step, z, context = ready(6, 7, low=False)
    with pytest.raises(ShapeError, match=r"expected z \(1, 4, H, W\) and a context \(1, 32, 6, 7\)"):
        step(z[:, :3], context)
    with pytest.raises(ShapeError, match=r"context \(1, 32, 6, 6\)"):
        step(z[..., :6], context)
    with pytest.raises(ShapeError, match="hidden channels in multiples of 16"):
        coupling_step.CouplingStep(layers(4, 24, followed=False)[0].network.maps(), 2)


def test_without_a_library_nothing_is_compiled_or_said(fresh, recwarn):
    assert library() == Found(None, None)
    assert coupling_library.status().startswith("pure PyTorch (nothing built")
    assert not fresh.exists()
    assert not recwarn


def test_off(monkeypatch, fresh):
    monkeypatch.setenv("FLOWKIT_KERNELS", "off")
    monkeypatch.setattr(coupling_source, "prebuilt", lambda: pytest.fail("looked for"))
    assert library().invert is None
    assert coupling_library.status() == "pure PyTorch (FLOWKIT_KERNELS=off)"


@pytest.mark.slow
def test_require_builds_and_the_next_process_finds_it(fresh, monkeypatch):
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    found = library()
    assert found.path is not None
    assert found.path.parent == fresh
    monkeypatch.setattr(coupling_library, "_found", None)
    monkeypatch.setenv("FLOWKIT_KERNELS", "auto")
    monkeypatch.setattr(coupling_library, "build", lambda: pytest.fail("built again"))
    assert library().path == found.path
    assert coupling_library.status() == f"compiled, {LEVELS[found.level]}, {found.path}"


def test_require_without_a_compiler_is_an_error(fresh, monkeypatch):
    monkeypatch.setenv("FLOWKIT_KERNELS", "require")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(KernelError, match=r"FLOWKIT_KERNELS=require, but .* \(no C\+\+ compiler"):
        library()


def test_a_compiler_that_fails_leaves_its_output_and_nothing_else(fresh, monkeypatch):
    monkeypatch.setattr(coupling_source, "FLAGS", ("--no-such-flag",))
    with pytest.raises(KernelError, match=f"compilation failed; the compiler's output: {fresh}"):
        coupling_library.build()
    assert [path.name for path in fresh.iterdir()] == ["build-coupling.log"]


def test_a_library_that_does_not_load_is_said_once(fresh):
    fresh.mkdir(mode=0o700)
    (fresh / "new").write_bytes(b"not a library")
    build_cache.store(fresh / "new", coupling_source.cached())
    with pytest.warns(UserWarning, match=r"cannot be loaded: .*; try: flowkit build-kernels --force"):
        assert library().invert is None


@torch.no_grad()
def test_a_library_that_computes_something_else_is_not_used(monkeypatch):
    _, z, context = ready(6, 7, low=False)
    found = library()
    wrong = found._replace(path=found.path.with_name("wrong.so"), invert=lambda job, level: 0)
    monkeypatch.setattr(coupling_library, "_found", wrong)
    monkeypatch.setattr("flowkit.ops.kernels._warned", False)
    with pytest.warns(UserWarning, match=r"wrong.so computes wrong results"):
        assert not coupling_step.available(z, context)
    monkeypatch.setattr(coupling_library, "_found", found)
    assert coupling_step.available(z, context)
