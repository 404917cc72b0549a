"""Modules with custom layers, loaded at the caller's request, never by a recipe."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from flowkit.errors import RecipeError


def import_modules(modules: Iterable[str]) -> None:
    """Import modules, by name (the working directory counts) or by the path of a .py file.

    A file is known by its stem afterwards: `requires: [my_layers]` is met by `layers/my_layers.py`.

    Raises:
        RecipeError: a module is missing or fails while it is imported.
    """
    here = str(Path.cwd())
    for module in modules:
        sys.path.insert(0, here)
        try:
            if module.endswith(".py"):
                _import_file(Path(module))
            else:
                importlib.import_module(module)
        except RecipeError:
            raise
        except (Exception, SystemExit) as error:  # a user's code can raise anything
            raise RecipeError(f"--import {module}: {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove(here)


def _import_file(path: Path) -> None:
    name = path.stem
    if not path.is_file():
        raise RecipeError(f"--import {path}: no such file")
    loaded = sys.modules.get(name)
    if loaded is not None:
        origin = getattr(loaded, "__file__", None)
        if origin is not None and Path(origin).resolve() == path.resolve():
            return
        raise RecipeError(f'--import {path}: another module "{name}" is loaded already; rename the file')
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
