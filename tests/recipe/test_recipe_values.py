"""Values against annotations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest

from flowkit.recipe.values import convert, type_name

GOOD: list[tuple[Any, Any, Any]] = [
    (3, int, 3),
    (3, float, 3.0),
    (0.5, float, 0.5),
    (True, bool, True),
    ("x", str, "x"),
    ("soft", Literal["soft", "hard"], "soft"),
    (2, Literal[1, 2], 2),
    (None, int | None, None),
    (3, float | None, 3.0),
    (None, Literal["a"] | None, None),
    ([1, 2], list[int], [1, 2]),
    ([1, 2], list[float], [1.0, 2.0]),
    ([1, 2], tuple[int, ...], (1, 2)),
    ([1, "a"], tuple[int, str], (1, "a")),
    ([], tuple[int, ...], ()),
    ([1], Sequence[int], (1,)),
    ([[1], [2]], list[tuple[int, ...]], [(1,), (2,)]),
    ([1, "x"], list, [1, "x"]),
    ([1, 2], int | list[int], [1, 2]),
    ({"a": 1}, Any, {"a": 1}),
]

BAD: list[tuple[Any, Any, str]] = [
    (True, int, "must be int, got True"),
    (1.0, int, "must be int, got 1.0"),
    ("3", int, "must be int, got '3'"),
    (None, int, "must be int, got None"),
    (True, float, "must be float, got True"),
    (1, bool, "must be bool, got 1"),
    (1, str, "must be str, got 1"),
    (True, Literal[1, 2], "must be one of 1, 2, got True"),
    ("c", Literal["a", "b"], "must be one of 'a', 'b', got 'c'"),
    ("c", Literal["a"] | None, "must be 'a' | None, got 'c'"),
    ("x", int | None, "must be int | None, got 'x'"),
    (1, list[int], "must be list[int], got 1"),
    ([1, True], list[int], "must be list[int], got [1, True]"),
    ([1], tuple[int, int], "must be [int, int], got [1]"),
    ("ab", Sequence[str], "must be list[str], got 'ab'"),
    (3, Callable[[int], int], "must be collections.abc.Callable[[int], int], got 3"),
    ("x" * 99, int, f"must be int, got '{'x' * 56}..."),
]


@pytest.mark.parametrize(("value", "annotation", "expected"), GOOD)
def test_taken(value: Any, annotation: Any, expected: Any) -> None:
    found = convert(value, annotation)
    assert repr(found) == repr(expected)  # types too


@pytest.mark.parametrize(("value", "annotation", "message"), BAD)
def test_refused(value: Any, annotation: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        convert(value, annotation)
    assert str(error.value) == message


def test_names_of_types() -> None:
    assert type_name(int | None) == "int | None"
    assert type_name(tuple[float, ...]) == "list[float]"
    assert type_name(list[Literal["a", "b"] | None]) == "list['a' | 'b' | None]"
    assert type_name(Any) == "Any"
