"""Training data that are no pages: tensors, arrays, a dataset, or a function of the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from flowkit.data.fingerprint import fingerprint
from flowkit.errors import DataError
from flowkit.flow import ConditionalFlow
from flowkit.targets import ROUNDING

Own = Sequence[Any] | Dataset[Any] | Callable[[int], Any]
"""Pairs (image, target), a map-style dataset of them, or a function from an index to one."""

SHOWN = 20  # problems of pairs that a message lists


class Example(NamedTuple):
    """An image and its target, for messages with a name."""

    name: str
    image: Tensor
    target: Tensor


def is_own(data: object) -> bool:
    """Return whether training data are the caller's own, rather than descriptions of pages."""
    if isinstance(data, Dataset) or callable(data):
        return True
    return isinstance(data, Sequence) and len(data) > 0 and all(map(_is_pair, data))


class Examples(Sequence[Example]):
    """Some of the caller's examples, as tensors that fit a model; what does not fit is an error.

    Args:
        data: pairs or a dataset.
        model: says what fits: channels, scale, and the values of its target.
        numbers: of those that are meant; all by default.
    """

    def __init__(self, data: Any, model: ConditionalFlow, numbers: Sequence[int] | None = None) -> None:
        self.data = data
        self.target = model.target
        self.scale = model.scale
        self.in_channels = model.in_channels
        self.numbers = range(len(data)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]  # no slices
        number = self.numbers[index]
        return self.fitted(self.data[number], f"example {number}")

    def fitted(self, pair: Any, name: str) -> Example:
        """Return a pair as float32 tensors (C, h, w) and (C', scale h, scale w).

        Raises:
            DataError: it is no pair, or has other channels, sizes or values.
        """
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(f"{name}: expected a pair (image, target), got {type(pair).__name__}")
        image = _tensor(pair[0], f"{name}: the image", self.in_channels)
        target = _tensor(pair[1], f"{name}: the target", self.target.channels)
        sides = tuple(self.scale * side for side in image.shape[1:])
        if tuple(target.shape[1:]) != sides:
            raise DataError(
                f"{name}: the target is {tuple(target.shape)}, expected {(self.target.channels, *sides)} for "
                f"an image {tuple(image.shape)} and the scale {self.scale}"
            )
        _check(
            image, (image >= -ROUNDING) & (image <= 1 + ROUNDING), f"{name}: the image", "values in [0, 1]"
        )
        _check(target, self.target.admits(target), f"{name}: the target", self.target.values)
        return Example(name, image, target)


class ExampleSet(Dataset[tuple[Tensor, Tensor]]):
    """Samples of a run from the caller's own examples: a window of `patch` target pixels of each.

    Which example, and which window of a larger one, is a function of the seed and the sample's index. Nothing
    is turned, mirrored or degraded.

    Args:
        data: pairs, a map-style dataset, or a function of the sample's index, which must give the same pair
            for the same index, in every process.
        model: whose input they are to be.
        patch: side of the target, in pixels.
        seed: of all choices.
        length: number of samples.
        validation: a share of the examples, or others; not trained on.
        notes: for the summary and the log.

    Attributes:
        fingerprints: of the images of pairs; those of a dataset or a function are not known.
        validation: whole examples.

    Raises:
        DataError: data that do not fit the model (of a dataset or a function: the first is looked at).
    """

    def __init__(
        self,
        data: Own,
        model: ConditionalFlow,
        *,
        patch: int,
        seed: int,
        length: int,
        validation: object = None,
        notes: Sequence[str] = (),
    ) -> None:
        unit = model.multiple * model.scale
        if patch < 1 or patch % unit:
            raise DataError(f"train.patch must be a multiple of {unit} for this flow, got {patch}")
        if isinstance(data, IterableDataset):
            raise DataError("training data: expected a map-style dataset; a run that resumes needs an index")
        self.patch, self.seed, self.length, self.notes = patch, seed, length, tuple(notes)
        self.endless = not hasattr(data, "__getitem__")
        count = 0 if self.endless else len(data)  # type: ignore[arg-type]
        self.validation: Examples | tuple[()] = ()
        kept: Sequence[int] = range(count)
        if validation is not None and not isinstance(validation, int | float):
            if not is_own(validation) or not hasattr(validation, "__getitem__"):
                raise DataError("validation: expected a share of the examples, pairs or a dataset of others")
            self.validation = Examples(validation, model)
        elif validation:
            kept, held = self._divided(count, validation)
            self.validation = Examples(data, model, held)
        self.examples = Examples(data, model, kept)
        if not self.endless and not count:
            raise DataError("no training data was given")
        self.fingerprints = self._checked(data)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, index])
        return self._window(self._example(index, rng), rng)

    def summary(self) -> list[str]:
        """Describe the data."""
        what = "examples without end" if self.endless else f"{len(self.examples)} examples"
        notes = (f"note: {note}" for note in self.notes)
        return [f"own data: {what}", f"validation: {len(self.validation)} examples", *notes]

    def _example(self, index: int, rng: np.random.Generator) -> Example:
        if self.endless:
            return self.examples.fitted(self.examples.data(index), f"sample {index}")
        return self.examples[int(rng.integers(len(self.examples)))]

    def _window(self, example: Example, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        name, image, target = example
        scale, low = self.examples.scale, self.patch // self.examples.scale
        if min(image.shape[1:]) < low:
            raise DataError(
                f"{name}: the target is {tuple(target.shape)}, smaller than train.patch, {self.patch}"
            )
        top, left = (int(rng.integers(side - low + 1)) for side in image.shape[1:])
        return (
            image[:, top : top + low, left : left + low].contiguous(),
            target[:, scale * top :, scale * left :][:, : self.patch, : self.patch].contiguous(),
        )

    def _checked(self, data: Any) -> frozenset[str]:
        """Look at all pairs, or at the first sample of other data; return the fingerprints of pairs."""
        if self.endless or isinstance(data, Dataset):
            self[0]
            return frozenset()
        problems, prints = [], set()
        rng = np.random.default_rng(0)
        for index in range(len(self.examples)):
            try:
                example = self.examples[index]
                self._window(example, rng)
                prints.add(fingerprint(example.image.numpy()))
            except DataError as error:
                problems.append(str(error))
        if problems:
            more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
            raise DataError("\n".join([*problems[:SHOWN], *more]))
        return frozenset(prints)

    def _divided(self, count: int, share: float) -> tuple[list[int], list[int]]:
        """Hold back a share of the examples, at least one; which, depends on the seed."""
        if not 0 <= share < 1:
            raise DataError(f"validation must be a share of the examples, 0 or more and below 1, got {share}")
        if self.endless or count < 2:
            raise DataError(f"a share of {share:g} of the examples cannot be held back: give others")
        order = np.random.default_rng(self.seed).permutation(count).tolist()
        held = max(1, min(count - 1, round(share * count)))
        return sorted(order[held:]), sorted(order[:held])


def _is_pair(value: object) -> bool:
    arrays = Tensor | np.ndarray
    return isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(v, arrays) for v in value)


def _tensor(value: Any, what: str, channels: int) -> Tensor:
    if not isinstance(value, Tensor | np.ndarray):
        raise DataError(f"{what}: expected a tensor or a NumPy array, got {type(value).__name__}")
    found = torch.as_tensor(value)
    if found.dim() == 2:
        found = found[None]
    if found.dim() != 3 or found.shape[0] != channels or 0 in found.shape:
        last = found.dim() == 3 and found.shape[2] == channels
        advice = "; channels come first, .transpose(2, 0, 1) moves them" if last else ""
        raise DataError(f"{what}: expected ({channels}, H, W), got {tuple(value.shape)}{advice}")
    return found.detach().to("cpu", torch.float32)


def _check(value: Tensor, admitted: Tensor, what: str, expected: str) -> None:
    if bool(admitted.all()):
        return
    low, high = (float(end) for end in value.aminmax())
    advice = "; 8-bit levels are divided by 255 first" if high > 2 and high <= 255 and low >= 0 else ""
    raise DataError(f"{what}: expected {expected}, got values from {low:g} to {high:g}{advice}")
