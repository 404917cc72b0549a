"""PDF files that are drawn for tests."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
from pikepdf import Dictionary, Name, Pdf, Stream


def grey(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def image(document: Pdf, values: np.ndarray, **keys: Any) -> Stream:
    """An image of grey (H, W); a stencil, if `ImageMask` is among the keys."""
    data = np.packbits(values > 127, axis=1) if "ImageMask" in keys else values
    made = Stream(document, zlib.compress(data.tobytes()))
    made.Type, made.Subtype, made.Filter = Name.XObject, Name.Image, Name.FlateDecode
    made.Height, made.Width = values.shape
    made.BitsPerComponent = 1 if "ImageMask" in keys else 8
    if "ImageMask" not in keys:
        made.ColorSpace = Name.DeviceGray
    for key, value in keys.items():
        made[f"/{key}"] = value
    return made


def form(document: Pdf, content: bytes, things: Mapping[str, Any], **keys: Any) -> Stream:
    made = Stream(document, content)
    made.Type, made.Subtype, made.BBox = Name.XObject, Name.Form, [0, 0, 10_000, 10_000]
    made.Resources = Dictionary(XObject=Dictionary(things))
    for key, value in keys.items():
        made[f"/{key}"] = value
    return made


def add_page(
    document: Pdf, content: bytes, things: Mapping[str, Any], size: tuple[float, float], **keys: Any
) -> None:
    """A page with a font /F, and things that its content may name."""
    page = document.add_blank_page(page_size=size)
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    page.obj.Contents = Stream(document, content)
    page.obj.Resources = Dictionary(
        XObject=Dictionary({f"/{name}": thing for name, thing in things.items()}), Font=Dictionary(F=font)
    )
    for key, value in keys.items():
        page.obj[f"/{key}"] = value


def draw(name: str, matrix: tuple[float, ...]) -> bytes:
    return b"q %s cm /%s Do Q\n" % (" ".join(f"{v:.6f}" for v in matrix).encode(), name.encode())


def fill(name: str, width: float, height: float) -> bytes:
    return draw(name, (width, 0, 0, height, 0, 0))


def saved(document: Pdf, path: Path, **options: Any) -> Path:
    data = io.BytesIO()
    document.save(data, **options)
    path.write_bytes(data.getvalue())
    return path


def one_page(path: Path, content: bytes, things: Mapping[str, np.ndarray], size: tuple[float, float]) -> Path:
    """A PDF of one page with plain images."""
    with pikepdf.new() as document:
        made = {name: image(document, values) for name, values in things.items()}
        add_page(document, content, made, size)
        return saved(document, path)
