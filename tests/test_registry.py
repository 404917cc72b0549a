"""Names -> classes."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from flowkit import registry
from flowkit.errors import RegistryError
from flowkit.registry import get, names, options, positional, register, summary

pytestmark = pytest.mark.usefixtures("registry_restored")


class Thing:
    """What it is.

    More.
    """

    kind = "layer"

    def __init__(self, shape: int, context: int, *, hidden: int, rate: float | None = 0.5) -> None: ...


class Other:
    kind = "layer"


def test_registered_is_found() -> None:
    assert register("thing")(Thing) is Thing
    assert get("layer", "thing") is Thing
    assert "thing" in names("layer")
    assert names("layer") == sorted(names("layer"))
    assert "thing" not in names("encoder")


def test_functions_and_kinds() -> None:
    def loss(*, weight: float = 1.0) -> None: ...

    register("some_loss", kind="loss")(loss)
    assert get("loss", "some_loss") is loss
    assert list(options(loss)) == ["weight"]


def test_the_signature_is_the_schema() -> None:
    found = options(Thing)
    assert list(found) == ["hidden", "rate"]
    assert (found["hidden"].annotation, found["hidden"].required) == (int, True)
    assert (found["rate"].annotation, found["rate"].default, found["rate"].required) == (
        float | None,
        0.5,
        False,
    )
    assert positional(Thing) == ["shape", "context"]
    assert summary(Thing) == "What it is."
    assert summary(Other) == ""


def test_a_former_name_warns_and_works() -> None:
    register("thing", was=("thingy",))(Thing)
    with pytest.warns(FutureWarning, match='^layer "thingy" is now called "thing"$'):
        assert get("layer", "thingy") is Thing
    assert "thingy" not in names("layer")


def test_a_name_belongs_to_one_class() -> None:
    register("thing", was=("thingy",))(Thing)
    register("thing", was=("thingy",))(Thing)  # a module that ran twice
    for name in ("thing", "thingy"):
        with pytest.raises(RegistryError) as error:
            register(name)(Other)
        assert str(error.value) == (
            f'layer "{name}" is registered twice: by {__name__}.Thing and by {__name__}.Other'
        )
        with pytest.raises(RegistryError):
            register("other", was=(name,))(Other)
    assert "other" not in names("layer")  # a refused registration leaves no trace


def test_a_class_that_was_redefined_replaces_itself() -> None:
    register("thing")(Thing)
    newer = type("Thing", (), {"kind": "layer", "__module__": __name__, "__qualname__": "Thing"})
    register("thing")(newer)
    assert get("layer", "thing") is newer


@pytest.mark.parametrize("name", ["", "Thing", "a-b", "1x", "a.b", "a/b/c", "a b", "ä"])
def test_malformed_names(name: str) -> None:
    with pytest.raises(RegistryError, match=r"^cannot register layer "):
        register(name)(Thing)


def test_names_of_adapters() -> None:
    register("nflows2/thing")(Thing)
    assert get("layer", "nflows2/thing") is Thing


def test_unknown_names_and_kinds() -> None:
    register("thing")(Thing)
    with pytest.raises(RegistryError, match=r'^unknown layer "thign"; did you mean "thing"\?$'):
        get("layer", "thign")
    with pytest.raises(RegistryError, match=r'^unknown kind "layers"; did you mean "layer"\?$'):
        names("layers")
    with pytest.raises(RegistryError, match=r"^cannot register .x.: kind must be one of .*, got 'page'$"):
        register("x", kind="page")(Thing)
    with pytest.raises(RegistryError, match=r'^cannot register "x": kind must be one of .*, got None$'):
        register("x")(lambda: None)


class Point:
    name = "layers_of_somebody"
    value = "somebody.layers"

    def __init__(self, load: Any) -> None:
        self.load = load


def entry_points(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    monkeypatch.setattr(registry, "_entry_points_loaded", False)
    groups = {"flowkit.layers": [Point(load)]}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: groups[group])


def test_entry_points_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    entry_points(monkeypatch, lambda: calls.append(1) or register("thing")(Thing))
    assert get("layer", "thing") is Thing
    assert "thing" in names("layer")
    assert calls == [1]


def test_a_broken_entry_point_warns_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> None:
        raise ImportError("no such thing")

    entry_points(monkeypatch, load)
    message = "^entry point layers_of_somebody = somebody.layers failed to load: no such thing$"
    with pytest.warns(UserWarning, match=message):
        assert "squeeze" in names("layer")
