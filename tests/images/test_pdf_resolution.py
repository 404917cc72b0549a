"""The resolution that pages of PDF files are drawn at, and the pixels that come of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from pdfs import add_page, draw, fill, form, grey, image, one_page, saved
from pikepdf import Dictionary, Name

from flowkit.errors import ImageError
from flowkit.images.pdf_resolution import Content, Placed, resolution
from flowkit.images.reader import count_pages, read

TEXT = b"BT /F 8 Tf 10 10 Td (quick brown fox) Tj ET\n"
UNSEEN = b"BT 3 Tr /F 8 Tf 10 10 Td (quick brown fox) Tj ET\n"
LINE = b"10 10 m 80 60 l S\n"
GROUND = b"1 1 1 rg 0 0 200 200 re f\n"
CLIP = b"0 0 90 60 re W n\n"


@pytest.mark.parametrize(
    ("width", "height", "across", "down"),
    [
        (858, 644, 288, 644 * 288 / 858),  # 214.5 dpi, and sides that are no whole points
        (433, 217, 103.9, 52.07),
        (62, 41, 90, 60),  # less than 72 dpi
        (600, 400, 72, 48.1),  # pixels that are nearly square
    ],
)
def test_a_page_that_is_an_image_keeps_its_pixels(
    width: int, height: int, across: float, down: float, tmp_path: Path
) -> None:
    values = grey(height, width)
    path = one_page(tmp_path / "page.pdf", fill("I", across, down), {"I": values}, (across, down))
    picture = read(path)
    assert np.array_equal(picture.pixels[..., 0], values)
    assert picture.dpi == pytest.approx((72 * width / across, 72 * height / down), rel=1e-4)
    assert picture.notes == ()


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_turned_pages(rotate: int, tmp_path: Path) -> None:
    values = grey(40, 61)
    with pikepdf.new() as document:
        # drawn on its side, and turned with the page
        matrix = (0, 61 * 0.4, -40 * 0.4, 0, 40 * 0.4, 0)
        add_page(document, draw("I", matrix), {"I": image(document, values)}, (16, 24.4), Rotate=rotate)
        path = saved(document, tmp_path / "page.pdf")
    picture = read(path)
    assert picture.size == ((61, 40) if rotate % 180 == 0 else (40, 61))
    assert picture.dpi == pytest.approx((180, 180), rel=1e-4)
    assert np.array_equal(picture.pixels[..., 0], np.rot90(values, 1 - rotate // 90))


def test_strips_are_one_image(tmp_path: Path) -> None:
    values = grey(121, 200)
    cuts = [(0, 40), (40, 80), (80, 121)]
    # places as they are written with few digits
    content = b"".join(
        draw(f"I{n}", (48, 0, 0, round((b - a) * 0.24, 1), 0, round((121 - b) * 0.24, 1)))
        for n, (a, b) in enumerate(cuts)
    )
    things = {f"I{n}": values[a:b] for n, (a, b) in enumerate(cuts)}
    picture = read(one_page(tmp_path / "page.pdf", content, things, (48, 29.04)))
    assert picture.size == (121, 200)
    assert picture.dpi == pytest.approx((300, 300), rel=0.01)


@pytest.mark.parametrize("scale", [0.24, 72 / 214.5, 1 / 3, 0.123])
def test_strips_keep_their_pixels(scale: float, tmp_path: Path) -> None:
    values = grey(121, 97)
    cuts = [(0, 40), (40, 41), (41, 80), (80, 121)]
    content = b"".join(
        draw(f"I{n}", (97 * scale, 0, 0, (b - a) * scale, 0, (121 - b) * scale))
        for n, (a, b) in enumerate(cuts)
    )
    things = {f"I{n}": values[a:b] for n, (a, b) in enumerate(cuts)}
    picture = read(one_page(tmp_path / "page.pdf", content, things, (97 * scale, 121 * scale)))
    assert np.array_equal(picture.pixels[..., 0], values)


@pytest.mark.parametrize(
    ("content", "dpi"),
    [
        (b"", 96),
        (TEXT, 300),
        (LINE, 300),
        (UNSEEN, 96),  # a text layer
        (GROUND, 96),
        (CLIP, 96),
        (b"0.5 g 10 10 30 3 re f\n", 300),  # a rule
        (b"/S sh\n", 96),  # which is not there
    ],
)
def test_text_and_paths_want_300_dpi(content: bytes, dpi: float, tmp_path: Path) -> None:
    things = {"I": grey(80, 120)}
    path = one_page(tmp_path / "page.pdf", fill("I", 90, 60) + content, things, (90, 60))
    assert read(path).dpi == pytest.approx((dpi, dpi))
    # below a picture of the whole page nothing can be seen
    path = one_page(tmp_path / "page.pdf", content + fill("I", 90, 60), things, (90, 60))
    assert read(path).dpi == pytest.approx((96, 96))
    assert read(path).notes == (("the text in it is not kept as text",) if content in (TEXT, UNSEEN) else ())


def test_a_sharper_image_is_not_made_less_sharp_for_text(tmp_path: Path) -> None:
    path = one_page(tmp_path / "page.pdf", fill("I", 36, 36) + TEXT, {"I": grey(200, 200)}, (36, 36))
    assert read(path).dpi == pytest.approx((400, 400))


def test_small_images_count_up_to_300_dpi(tmp_path: Path) -> None:
    for side, dpi in ((25, 250), (200, 300)):
        content = fill("B", 90, 60) + draw("S", (7.2, 0, 0, 7.2, 9, 9))
        things = {"B": grey(80, 120), "S": grey(side, side)}
        path = one_page(tmp_path / "page.pdf", content, things, (90, 60))
        assert read(path).dpi == pytest.approx((dpi, dpi))


def test_pages_without_images(tmp_path: Path) -> None:
    for content in (b"", TEXT, LINE):
        assert read(one_page(tmp_path / "page.pdf", content, {}, (90, 60))).dpi == (300, 300)


@pytest.mark.parametrize("key", ["SMask", "Mask"])
def test_masks_are_as_sharp_as_images(key: str, tmp_path: Path) -> None:
    with pikepdf.new() as document:
        stencil = {"ImageMask": True} if key == "Mask" else {}
        mask = image(document, grey(240, 360), **stencil)
        things = {"B": image(document, grey(60, 90)), "F": image(document, grey(15, 23), **{key: mask})}
        add_page(document, fill("B", 90, 60) + fill("F", 90, 60), things, (90, 60))
        path = saved(document, tmp_path / "page.pdf")
    assert read(path).dpi == pytest.approx((288, 288))
    with pytest.raises(ImageError, match=r"page 1: 360 x 240 pixels, more than the limit of 80,000"):
        read(path, max_pixels=80_000)


@pytest.mark.parametrize(("within", "dpi"), [(False, 288), (True, 300)])
def test_soft_masks_of_graphics_states(within: bool, dpi: float, tmp_path: Path) -> None:
    with pikepdf.new() as document:
        place = b"" if within else b"90 0 0 60 0 0 cm "
        group = form(document, b"q " + place + b"/M Do Q", {"/M": image(document, grey(240, 360))})
        group.Group = Dictionary(S=Name.Transparency, CS=Name.DeviceGray)
        state = Dictionary(SMask=Dictionary(S=Name.Luminosity, G=group))
        things = {"B": image(document, grey(60, 90)), "F": image(document, grey(15, 23))}
        add_page(document, fill("B", 90, 60) + b"q 90 0 0 60 0 0 cm /G gs /F Do Q", things, (90, 60))
        if not within:
            document.pages[0].obj.Contents = pikepdf.Stream(
                document, fill("B", 90, 60) + b"q /G gs 90 0 0 60 0 0 cm /F Do Q"
            )
        document.pages[0].obj.Resources.ExtGState = Dictionary(G=state)
        path = saved(document, tmp_path / "page.pdf")
    assert read(path).dpi == pytest.approx((dpi, dpi))


def test_a_stencil_is_as_sharp_as_an_image(tmp_path: Path) -> None:
    with pikepdf.new() as document:
        things = {"B": image(document, grey(60, 90)), "F": image(document, grey(320, 480), ImageMask=True)}
        add_page(document, fill("B", 90, 60) + b"0 g\n" + fill("F", 90, 60), things, (90, 60))
        path = saved(document, tmp_path / "page.pdf")
    assert read(path).dpi == pytest.approx((384, 384))


def test_images_in_forms_in_forms(tmp_path: Path) -> None:
    with pikepdf.new() as document:
        mask = image(document, grey(200, 300))
        inner = form(
            document,
            fill("I", 3, 2),
            {"/I": image(document, grey(20, 30), SMask=mask)},
            Matrix=[2, 0, 0, 2, 0, 0],
        )
        outer = form(document, draw("N", (5, 0, 0, 5, 0, 0)), {"/N": inner})
        add_page(document, draw("O", (3, 0, 0, 3, 0, 0)), {"O": outer}, (90, 60))
        path = saved(document, tmp_path / "page.pdf")
    assert read(path).dpi == pytest.approx((240, 240))


def test_a_skewed_image_has_one_resolution(tmp_path: Path) -> None:
    turn = np.deg2rad(3)
    matrix = (90 * np.cos(turn), 90 * np.sin(turn), -60 * np.sin(turn), 60 * np.cos(turn), 0, 0)
    path = one_page(tmp_path / "page.pdf", draw("I", matrix), {"I": grey(160, 240)}, (90, 60))
    assert read(path).dpi == pytest.approx((192, 192))


def test_images_off_the_page_do_not_count(tmp_path: Path) -> None:
    content = fill("I", 90, 60) + draw("O", (9, 0, 0, 9, 200, 0))
    path = one_page(tmp_path / "page.pdf", content, {"I": grey(80, 120), "O": grey(90, 90)}, (90, 60))
    assert read(path).dpi == pytest.approx((96, 96))


def test_the_choice_by_area() -> None:
    def chosen(*images: Placed, drawn: bool = False) -> tuple[float, float]:
        return resolution(Content(list(images), drawn))

    assert chosen(Placed(1500, 1500, 0.6)) == (1500, 1500)
    assert chosen(Placed(1500, 1500, 0.4), Placed(200, 200, 0.6)) == (1200, 1200)
    assert chosen(Placed(1500, 1500, 0.04), Placed(200, 200, 0.9)) == (300, 300)
    assert chosen(Placed(1500, 1500, 0.04), Placed(350, 350, 0.9)) == (350, 350)
    assert chosen(Placed(600, 600, 0.05), Placed(610, 610, 0.06), Placed(200, 200, 1)) == pytest.approx(
        (605.45, 605.45), abs=0.01
    )
    assert chosen(Placed(204, 98, 1)) == (204, 204)
    assert chosen(Placed(204, 98, 1), drawn=True) == (300, 300)
    assert chosen() == (300, 300)


def test_user_units(tmp_path: Path) -> None:
    values = grey(40, 60)
    with pikepdf.new() as document:
        add_page(document, fill("I", 9, 6), {"I": image(document, values)}, (9, 6), UserUnit=2.5)
        path = saved(document, tmp_path / "page.pdf")
    picture = read(path)
    assert np.array_equal(picture.pixels[..., 0], values)
    assert picture.dpi == pytest.approx((192, 192))
    assert read(path, pdf_dpi=96).size == (20, 30)


@pytest.mark.parametrize("appearance", [True, False])
def test_values_of_forms_are_drawn(appearance: bool, tmp_path: Path) -> None:
    with pikepdf.new() as document:
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        fonts = Dictionary(Font=Dictionary(Helv=font))
        field = Dictionary(
            Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T="name", V="MARY",
            DA="/Helv 14 Tf 0 g", Rect=[10, 10, 80, 30], F=4,
        )  # fmt: skip
        if appearance:
            stream = pikepdf.Stream(document, b"/Tx BMC q BT /Helv 14 Tf 2 5 Td (MARY) Tj ET Q EMC")
            stream.Type, stream.Subtype, stream.BBox = Name.XObject, Name.Form, [0, 0, 70, 20]
            stream.Resources = fonts
            field.AP = Dictionary(N=stream)
        add_page(document, b"", {}, (90, 60))
        field = document.make_indirect(field)
        document.pages[0].obj.Annots = pikepdf.Array([field])
        document.Root.AcroForm = Dictionary(
            Fields=pikepdf.Array([field]), DR=fonts, DA="/Helv 14 Tf 0 g", NeedAppearances=not appearance
        )
        path = saved(document, tmp_path / "page.pdf")
    picture = read(path)
    assert picture.dpi == (300, 300)
    assert 0.01 < (picture.pixels < 128).mean() < 0.1


def test_a_stamp_wants_300_dpi_and_a_link_does_not(tmp_path: Path) -> None:
    for kind, dpi in (("Stamp", 300), ("Link", 96)):
        with pikepdf.new() as document:
            note = Dictionary(Type=Name.Annot, Subtype=Name(f"/{kind}"), Rect=[9, 9, 20, 20])
            things = {"I": image(document, grey(80, 120))}
            add_page(document, fill("I", 90, 60), things, (90, 60), Annots=pikepdf.Array([note]))
            path = saved(document, tmp_path / "page.pdf")
        assert read(path).dpi == pytest.approx((dpi, dpi))


def test_passwords(tmp_path: Path) -> None:
    with pikepdf.new() as document:
        things = {"I": image(document, grey(60, 90), SMask=image(document, grey(240, 360)))}
        for _ in range(2):
            add_page(document, fill("I", 90, 60), things, (90, 60))
        lock = pikepdf.Encryption(owner="a", user="b\u00e4r")
        path = saved(document, tmp_path / "page.pdf", encryption=lock)
    for act in (count_pages, read):
        with pytest.raises(ImageError, match=r"page\.pdf: an encrypted PDF, which needs a password \(--"):
            act(path)
        with pytest.raises(ImageError, match=r"page\.pdf: an encrypted PDF, and its password is another one"):
            act(path, pdf_password="c")  # type: ignore[operator]
    assert count_pages(path, "b\u00e4r") == 2
    assert read(path, page=1, pdf_password="b\u00e4r").dpi == pytest.approx((288, 288))


def test_the_program_that_opens_pdfs_loads_little() -> None:
    code = (
        "import sys, flowkit.images.pdf_process, flowkit.images.pdf_document\n"
        "print([name for name in ('torch', 'numpy', 'PIL.Image') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in said.stdout
    assert "numpy" not in said.stdout
