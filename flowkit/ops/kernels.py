"""The choice of compiled kernels for the affine op: found or built once per process, with reasons.

The environment variable FLOWKIT_KERNELS decides:

- `auto` (or not set): on CUDA they are built at the first use; on the CPU they are used if they have been
  built (`flowkit build-kernels`), so that a user who did not ask for it never waits for a compiler.
- `off`: the pure-PyTorch path.
- `require`: built where they have to be; an error where they cannot.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import _disable_current_modes

from flowkit.errors import FlowkitError, KernelError
from flowkit.ops import build, build_cache, build_check
from flowkit.ops.build import KINDS
from flowkit.ops.library import register_fakes
from flowkit.ops.tracing import assume_constant

POLICIES = ("auto", "off", "require")


class Kernels(NamedTuple):
    """The result for one kind of device."""

    library: Path | None
    """The library, or None for the pure-PyTorch path."""
    why: str
    """The reason why there is none; empty if none was expected."""


_resolved: dict[str, Kernels] = {}
_loaded: dict[str, Path] = {}
_lock = threading.Lock()
_warned = False


def available(device: torch.device) -> bool:
    """Return true if compiled kernels serve this device; a constant to `torch.compile`.

    The first call for a kind of device may load them, and on CUDA compile them; later ones look them up.

    Raises:
        KernelError: FLOWKIT_KERNELS is `require`, and they cannot be had.
        FlowkitError: FLOWKIT_KERNELS is none of the values above.
    """
    return bool(_active(device.type))


@assume_constant
def _active(kind: str) -> bool:
    found = _resolved.get(kind)
    if found is None:
        found = _resolve(kind)
    return found.library is not None


@contextmanager
def without() -> Iterator[None]:
    """Use the pure-PyTorch path inside this context: for comparisons, in one thread."""
    kept = dict(_resolved)
    _resolved.update({kind: Kernels(None, "") for kind in KINDS})
    try:
        yield
    finally:
        _resolved.clear()
        _resolved.update(kept)


def policy() -> str:
    """Return the value of FLOWKIT_KERNELS.

    Raises:
        FlowkitError: it is not one of `POLICIES`.
    """
    value = os.environ.get("FLOWKIT_KERNELS") or "auto"
    if value not in POLICIES:
        raise FlowkitError(f'FLOWKIT_KERNELS must be one of {", ".join(POLICIES)}; got "{value}"')
    return value


def status() -> dict[str, str]:
    """Return, for each kind of device, its path and the reason; loads libraries, builds none.

    Raises:
        FlowkitError: FLOWKIT_KERNELS is none of the values above.
    """
    chosen = policy()
    told = {}
    for kind in KINDS:
        if chosen == "off":
            told[kind] = "pure PyTorch (FLOWKIT_KERNELS=off)"
        elif kind == "cuda" and not torch.cuda.is_available():
            told[kind] = "no device"
        else:
            with _lock:
                found = _resolved.get(kind) or _find(kind, may_build=False)
            told[kind] = f"compiled, {found.library}" if found.library else _pure(found.why)
    return told


def _pure(why: str) -> str:
    return f"pure PyTorch ({why or 'nothing built; `flowkit build-kernels` does'})"


def _resolve(kind: str) -> Kernels:
    with _lock:
        if kind in _resolved:
            return _resolved[kind]
        chosen = policy()
        found = Kernels(None, "")
        if kind in KINDS and chosen != "off":
            found = _find(kind, may_build=kind == "cuda" or chosen == "require")
        if found.library is None and kind in KINDS and chosen == "require":
            raise KernelError(f"FLOWKIT_KERNELS=require, but compiled kernels are unavailable ({found.why})")
        _resolved[kind] = found
    if found.why and build.has_sources(kind):  # otherwise none could be expected
        warn(found.why)
    return found


def warn(why: str) -> None:
    """Warn, once in a process, that compiled kernels are unavailable."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"flowkit: compiled kernels unavailable ({why}); using the pure-PyTorch path: same results, "
            "slower. FLOWKIT_KERNELS=off hides this, =require turns it into an error.",
            stacklevel=2,
        )


def _find(kind: str, *, may_build: bool) -> Kernels:
    try:
        # The library for the CPU declares the op; the one for CUDA adds to it.
        needed = KINDS[: KINDS.index(kind) + 1]
        for part in needed:
            why = _load(part, may_build=may_build)
            if why is not None:
                return Kernels(None, why)
        _check(kind)
    except KernelError as error:
        return Kernels(None, str(error))
    return Kernels(_loaded[kind], "")


def _load(kind: str, *, may_build: bool) -> str | None:
    """Load one library; return None, or the reason if there is none (empty: none was built or wanted)."""
    if kind in _loaded:
        return None
    plan = build.plan(kind)
    prebuilt = build.prebuilt(plan)
    library = prebuilt or build_cache.find(plan.name)
    if library is None and may_build:
        library = build.build(plan)
    if library is None:
        if build_cache.damaged(plan.name):
            return "the library in the cache is damaged; run: flowkit build-kernels"
        return ""
    try:
        if prebuilt is None:
            build_cache.load(library)
        else:  # as trusted as the package that it is in
            torch.ops.load_library(str(prebuilt))  # type: ignore[no-untyped-call]
        if kind == "cpu":
            register_fakes()
    except (OSError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        raise KernelError(f"{library} cannot be loaded: {why}; try: flowkit build-kernels --force") from None
    _loaded[kind] = library
    return None


def _check(kind: str) -> None:
    """Compare the loaded op with the formula on a few numbers, before it is used.

    Raises:
        KernelError: it fails, or computes something else.
    """
    try:
        # whatever the caller is doing (tracing, inference, autocast), this computes real numbers
        with _disable_current_modes(), torch.inference_mode(False), torch.enable_grad():
            worst = build_check.difference(torch.device(kind))
    except (RuntimeError, AttributeError) as error:  # torch.ops has no attribute of an op that is not there
        why = str(error).partition("\n")[0]
        raise KernelError(f"{_loaded[kind]} does not run: {why}") from None
    if not worst < 1e-4:
        raise KernelError(f"{_loaded[kind]} computes wrong results, off by {worst:.1g}")
