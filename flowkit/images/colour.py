"""Colour of decoded images: profiles, inks, transparency and depth, all to sRGB or grey."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from flowkit.errors import ImageError
from flowkit.images.guard import guarded

_STRIP = 256  # rows


def pixels(image: Image.Image, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """(H, W, 1) grey or (H, W, 3) sRGB, uint8 or uint16, and notes on what could not be honoured.

    Transparency is laid on white, and a colour profile is applied (Pillow takes CMYK without one as plain
    inks). Colour of 16 bits comes as 8, which is what Pillow decodes; grey of 16 bits stays so.

    Raises:
        ImageError: floating point pixels: nothing says which value is white.
    """
    if image.mode == "F":
        raise ImageError(f"{name}: floating point pixels, expected 1, 8 or 16 bits (which value is white?)")
    profile = image.info.get("icc_profile")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow gives a 16-bit PNM as 32-bit integers
        deep: NDArray[Any] = np.asarray(image).clip(0, 0xFFFF).astype(np.uint16)
        return deep[..., None], ("its colour profile is not applied to 16 bits",) if profile else ()
    grey = image.mode in ("1", "L", "LA")
    with guarded():
        if image.has_transparency_data:
            paper = Image.new("RGBA", image.size, "white")
            paper.alpha_composite(image.convert("RGBA"))
            image = paper.convert("L" if grey else "RGB")
        elif image.mode not in ("1", "L", "RGB", "CMYK", "LAB"):
            image = image.convert("RGB")
    image, notes = _to_srgb(image, profile)
    mode = "L" if grey else "RGB"
    return _array(image if image.mode == mode else image.convert(mode)), notes


def _array(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W, C), strip by strip: Pillow gives its pixels as bytes, which would be one more whole page."""
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
        space = ImageCms.createProfile("LAB") if profile is None else _opened(profile)
        transform = ImageCms.buildTransform(space, ImageCms.createProfile("sRGB"), image.mode, "RGB")
        if _is_identity(transform, image.mode):
            return image, ()  # through the tables and back would only round
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None  # it is not asked to work in place
        return converted, ()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image, ("its colour profile is damaged or for other colours, and is not applied",)


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform leaves colours as they are, but for rounding; a profile's name does not tell."""
    if mode not in ("L", "RGB"):
        return False
    levels = np.arange(0, 256, 15).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    probe = Image.fromarray(cube if mode == "RGB" else levels[None])
    found = ImageCms.applyTransform(probe, transform)
    assert found is not None
    before, after = (np.asarray(image.convert("RGB"), np.int16) for image in (probe, found))
    return bool(np.abs(after - before).max() <= 1)


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))
