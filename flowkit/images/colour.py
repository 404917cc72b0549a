"""Colour of decoded images: profiles, inks, transparency and depth, all to sRGB or grey."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from flowkit.errors import ImageError
from flowkit.images.colour16 import joined
from flowkit.images.depth import Depth, as_stored, full_range
from flowkit.images.guard import guarded

_STRIP = 256  # rows
_NO_PROFILE = (ImageCms.PyCMSError, OSError, ValueError)
_NOT_APPLIED = "its colour profile is damaged or for other colours, and is not applied"


def pixels(layers: Sequence[Image.Image], name: str, depth: Depth) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return (H, W, 1) grey or (H, W, 3) sRGB, uint8 or uint16, and notes on what could not be honoured.

    Transparency is laid on white, and a colour profile is applied (Pillow takes CMYK without one as plain
    inks).

    Args:
        layers: the decoded image; of one of 16-bit RGB its high bytes and its low ones, see `colour16`.
        name: for errors.
        depth: of its samples.

    Raises:
        ImageError: floating point pixels: nothing says which value is white; or samples out of range.
    """
    image, *low = layers
    if image.mode == "F":
        raise ImageError(f"{name}: floating point pixels, expected integers (which value is white?)")
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or (image.mode == "L" and depth.signed):
        stored = as_stored(image, depth)
        values, notes = full_range(stored, depth, name)
        values, more = _graded(values, profile)
        clear = image.info.get("transparency")
        if isinstance(clear, int):
            values = np.where(stored == clear, np.iinfo(values.dtype).max, values)
        return values, notes + more
    if low:
        return full_range(joined(image, *low), depth, name)
    grey = image.mode in ("1", "L", "LA")
    image, notes = _on_white(image, grey)
    image, more = _to_srgb(image, profile)
    mode = "L" if grey else "RGB"
    return _array(image if image.mode == mode else image.convert(mode)), notes + more


def keeps_colours(image: Image.Image) -> bool:
    """Return true if an image has no colour profile, or one that changes nothing."""
    profile = image.info.get("icc_profile")
    if profile is None:
        return True
    try:
        return _is_identity(_transform(profile, image.mode), image.mode)
    except _NO_PROFILE:
        return True


def _on_white(image: Image.Image, grey: bool) -> tuple[Image.Image, tuple[str, ...]]:
    """Lay transparency on white; a page that is all transparent, over a picture, shows the picture."""
    mode = "L" if grey else "RGB"
    with guarded():
        if not image.has_transparency_data:
            plain = image.mode in ("1", "L", "RGB", "CMYK", "LAB")
            return image if plain else image.convert("RGB"), ()
        layer = image.convert("RGBA")
        colours = layer.convert("RGB").convert(mode)
        clear = layer.getchannel("A").getextrema() == (0, 0)
        if clear and any(low != high for low, high in _ranges(colours)):
            return colours, ("every pixel is transparent; the colours under the transparency are used",)
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(layer)
        return paper.convert(mode), ()


def _ranges(image: Image.Image) -> list[tuple[float, float]]:
    """Return the least and the greatest value of each band."""
    return [band.getextrema() for band in image.split()]  # type: ignore[misc]  # of one band, it is one pair


def _array(image: Image.Image) -> NDArray[np.uint8]:
    """Return pixels (H, W, C), made strip by strip: Pillow's bytes of all would be one more whole page."""
    values = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
    for top in range(0, image.height, _STRIP):
        with guarded():  # `crop` checks Pillow's limit, too
            strip = image.crop((0, top, image.width, min(image.height, top + _STRIP)))
        values[top : top + _STRIP] = np.asarray(strip).reshape(strip.height, strip.width, -1)
    return values


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    if image.mode == "1" or (profile is None and image.mode != "LAB"):
        return image, ()
    try:
        transform = _transform(profile, image.mode)
        if _is_identity(transform, image.mode):
            return image, ()  # a conversion there and back would only round
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None  # it is not asked to work in place
        return converted, ()
    except _NO_PROFILE:
        return image, (_NOT_APPLIED,)


def _graded(values: NDArray[Any], profile: bytes | None) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Apply a profile of grey to values of 8 or 16 bits, by its curve at 256 places."""
    if profile is None:
        return values, ()
    ramp = Image.fromarray(np.arange(256).astype(np.uint8)[None])
    try:
        found = ImageCms.applyTransform(ramp, _transform(profile, "L"))
    except _NO_PROFILE:
        return values, (_NOT_APPLIED,)
    assert found is not None
    top = np.iinfo(values.dtype).max
    curve = np.asarray(found.convert("L"))[0] * (top / 255)
    table = np.interp(np.arange(top + 1), np.arange(256) * (top / 255), curve)
    return table.round().astype(values.dtype)[values], ()


def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform:
    """Make the transform to sRGB from a profile, or from Lab where there is none."""
    space = ImageCms.createProfile("LAB") if profile is None else io.BytesIO(profile)
    return ImageCms.buildTransform(space, ImageCms.createProfile("sRGB"), mode, "RGB")


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return true if a transform keeps colours, up to rounding; a profile's name does not tell."""
    if mode not in ("L", "RGB"):
        return False
    levels = np.arange(0, 256, 15).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    probe = Image.fromarray(cube if mode == "RGB" else levels[None])
    found = ImageCms.applyTransform(probe, transform)
    assert found is not None
    before, after = (np.asarray(image.convert("RGB"), np.int16) for image in (probe, found))
    return bool(np.abs(after - before).max() <= 1)
