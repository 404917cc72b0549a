"""Search for recipes: a file, a shipped recipe or a mapping, with what it extends merged in."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from flowkit.errors import RecipeError, suggest
from flowkit.recipe.document import Document, from_dict, merge
from flowkit.recipe.yaml_text import parse, read_base, read_file

MAX_CHAIN = 20  # recipes of which each extends the next

RecipeSource = str | PathLike[str] | Mapping[str, Any]


def model_name(text: str) -> str:
    """Spell a name as shipped models and recipes are spelled: `_` and `-` are the same in it.

    >>> model_name("super_resolve_x4")
    'super-resolve-x4'
    """
    return text.replace("_", "-")


def shipped() -> list[str]:
    """List the recipes that travel with the package, by name."""
    return sorted(model_name(path.stem) for path in _folder().glob("*.yaml"))


def load(source: RecipeSource, *, extends_anywhere: bool = False) -> Document:
    """Read the document that `source` names, with what it extends merged in.

    Args:
        source: a file, the name of a shipped recipe, or a mapping, whose folder is the working directory.
        extends_anywhere: let it extend files outside of its folder.

    Raises:
        RecipeError: there is none, it is not valid YAML, or it extends itself, a file outside of its folder,
            or more than `MAX_CHAIN` recipes in a row.
    """
    if isinstance(source, Mapping):
        document, folder = from_dict(source), Path()
        chain: tuple[Path, ...] = ()
    else:
        path = locate(source, Path())
        document, folder, chain = read_file(path), path.parent, (path.resolve(),)
    return _extended(document, folder, chain, None if extends_anywhere else folder.resolve())


def load_text(text: str, origin: str) -> Document:
    """Read a document from a text that stands alone: a checkpoint's recipe must not read other files.

    Raises:
        RecipeError: it is not valid YAML, or extends another recipe.
    """
    document = parse(text, origin)
    if "extends" in document.data:
        raise RecipeError(f'"extends" is for recipe files\n  {document.place(("extends",))}')
    return document


def locate(source: str | PathLike[str], folder: Path) -> Path:
    """Find a recipe's file, by a path relative to `folder` or by the name of a shipped recipe.

    `recipes/NAME.yaml` is found from any folder too, so that what works in a checkout works elsewhere.

    Raises:
        RecipeError: there is no such file.
    """
    text = str(source)
    if "\n" in text:
        raise RecipeError(
            "expected a recipe's file or name, got a text of several lines; use read_recipe_text"
        )
    given = Path(source)
    path = folder / given
    is_file = given.suffix in (".yaml", ".yml")
    bare = isinstance(source, str) and given.name == text and not is_file
    name = model_name(given.stem if is_file else text)
    own = _folder() / f"{name.replace('-', '_')}.yaml" if name in shipped() else None
    if bare and own:
        return own
    if _exists(path):
        return path
    if own and given.parent == Path("recipes") and given.suffix == ".yaml":
        return own
    if bare:
        raise RecipeError(f'no recipe "{text}": neither a file nor shipped; {suggest(name, shipped())}')
    hint = f'; did you mean the shipped recipe "{name}"?' if own else ""
    raise RecipeError(f"no file {path}{hint}")


def _extended(document: Document, folder: Path, chain: tuple[Path, ...], root: Path | None) -> Document:
    """Merge in what a document in `folder` extends: below `root`, if given, or shipped."""
    if "extends" not in document.data:
        return document
    name, place = document.data.pop("extends"), document.place(("extends",))
    if not isinstance(name, str) or not name:
        raise RecipeError(f'"extends" must be one recipe, a path or a name, got {name!r}\n  {place}')
    try:
        _check_inside(name, folder, root)
        path = locate(name, folder)
        if path.resolve() in chain:
            raise RecipeError(f'"{name}" extends itself')
        if len(chain) == MAX_CHAIN:
            raise RecipeError(f"more than {MAX_CHAIN} recipes extend one another")
        base = read_base(path)
    except RecipeError as error:
        raise RecipeError(f"{error}\n  {place}") from None
    return merge(_extended(base, path.parent, (*chain, path.resolve()), root), document)


def _check_inside(name: str, folder: Path, root: Path | None) -> None:
    """Refuse what leads out of `root` (and is not shipped) before anything is said of it."""
    if root is None or model_name(name) in shipped():
        return
    try:
        path = (folder / name).resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a character that no path has, ...
        return  # `locate` says that there is no such file
    if not any(path.is_relative_to(allowed) for allowed in (root, _folder().resolve())):
        raise RecipeError(
            f'"{name}" is outside of the recipe\'s folder, {root}; --extends-anywhere '
            "(extends_anywhere=True) allows that"
        )


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):  # too long, a character that no path has, ...
        return False
    return True


def _folder() -> Path:
    """Find the recipes: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"
