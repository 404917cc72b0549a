"""What is kept of a PDF beside its pages, and what is said of what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pytest
from pdfs import add_page, fill, grey, image, saved
from pikepdf import Dictionary, Name, OutlineItem, Pdf

from flowkit.errors import ImageError, OutputError
from flowkit.images import pdf
from flowkit.images.multipage import bind, keep_frame, replace_page
from flowkit.images.reader import read
from flowkit.images.writer import check_fits, write_ink, write_picture


def book(path: Path, pages: int = 3, **options: Any) -> Path:
    """A PDF with all that frames pages."""
    with pikepdf.new() as document:
        for number in range(pages):
            things = {"I": image(document, grey(60, 90, number))}
            add_page(document, fill("I", 90, 60), things, (90, 60))
        document.docinfo["/Title"] = "Die M\u00fchle \u2014 1893"
        document.docinfo["/Author"] = "M. Jones"
        document.docinfo["/Producer"] = "a scanner"
        document.Root.PageLabels = Dictionary(
            Nums=[0, Dictionary(S=Name.r), 1, Dictionary(S=Name.D, P="A-", St=7)]
        )
        named = pikepdf.make_page_destination(document, pages - 1)
        document.Root.Names = Dictionary(Dests=Dictionary(Names=[pikepdf.String("end"), named]))
        with document.open_outline() as outline:
            first = OutlineItem("One", 0, pikepdf.PageLocation.XYZ, left=0, top=45, zoom=0)
            first.children.append(OutlineItem("One, below", min(1, pages - 1)))
            first.is_closed = True
            go = Dictionary(S=Name.GoTo, D=pikepdf.String("end"))
            outline.root.extend([first, OutlineItem("The end", action=go), OutlineItem("Nowhere")])
        return saved(document, path, **options)


def outline_of(document: Pdf) -> list[Any]:
    """Titles, pages and items below, as pikepdf reads them."""
    pages = {page.objgen: number for number, page in enumerate(document.pages)}

    def items(entries: Any) -> list[Any]:
        return [
            (entry.title, entry.destination and pages[entry.destination[0].objgen], items(entry.children))
            for entry in entries
        ]

    with document.open_outline() as outline:
        return items(outline.root)


def test_title_author_outline_and_labels_are_kept(tmp_path: Path) -> None:
    source = book(tmp_path / "book.pdf")
    parts = [tmp_path / f"{number}.pdf" for number in range(3)]
    for number, part in enumerate(parts):
        write_ink(part, grey(120, 180, number) < 99, (144, 144))
    assert bind(tmp_path / "out.pdf", parts, source) == ()
    with pikepdf.open(tmp_path / "out.pdf") as out:
        assert {key: str(value) for key, value in out.docinfo.items()} == {
            "/Title": "Die M\u00fchle \u2014 1893", "/Author": "M. Jones",
        }  # fmt: skip
        assert [page.label for page in out.pages] == ["i", "A-7", "A-8"]
        below = [("One, below", 1, [])]
        assert outline_of(out) == [("One", 0, below), ("The end", 2, []), ("Nowhere", None, [])]
        with out.open_outline() as outline:
            first = outline.root[0]
            assert first.is_closed
            assert first.destination[1] == "/XYZ"
            assert float(first.destination[3]) == pytest.approx(45)
    for number, part in enumerate(parts):
        assert np.array_equal(read(tmp_path / "out.pdf", page=number).pixels, read(part).pixels)
    data = (tmp_path / "out.pdf").read_bytes()
    bind(tmp_path / "out.pdf", parts, source)
    assert (tmp_path / "out.pdf").read_bytes() == data  # the same every time


def test_a_page_takes_the_place_of_one_in_a_pdf(tmp_path: Path) -> None:
    parts = [tmp_path / f"{number}.pdf" for number in range(4)]
    for number, part in enumerate(parts):
        write_ink(part, grey(120, 180, number) < 99, (144, 144))
    out = tmp_path / "out.pdf"
    bind(out, parts[:3], book(tmp_path / "book.pdf"))
    size = out.stat().st_size
    replace_page(out, 1, parts[3])
    for number, part in enumerate((parts[0], parts[3], parts[2])):
        assert np.array_equal(read(out, page=number).pixels, read(part).pixels)
    with pikepdf.open(out) as document:
        assert len(document.pages) == 3
        assert document.docinfo.Author == "M. Jones"
        assert [page.label for page in document.pages] == ["i", "A-7", "A-8"]
        below = [("One, below", 1, [])]
        assert outline_of(document) == [("One", 0, below), ("The end", 2, []), ("Nowhere", None, [])]
    assert abs(out.stat().st_size - size) < 500  # what the page was is gone
    data = out.read_bytes()
    with pytest.raises(ImageError, match=r"out\.pdf: has 3 pages, page 4 was asked for"):
        replace_page(out, 3, parts[3])
    parts[3].write_bytes(b"no PDF")
    with pytest.raises(ImageError, match=r"its page cannot be replaced"):
        replace_page(out, 1, parts[3])
    assert out.read_bytes() == data


def test_of_one_page_and_of_an_encrypted_file(tmp_path: Path) -> None:
    source = book(tmp_path / "book.pdf", 1, encryption=pikepdf.Encryption(owner="a", user="b"))
    out = tmp_path / "out.pdf"
    write_ink(out, grey(120, 180) < 99, (144, 144))
    before = read(out)
    assert keep_frame(out, source, "b") == ()
    with pikepdf.open(out) as document:
        assert str(document.docinfo.Title) == "Die M\u00fchle \u2014 1893"
        assert [page.label for page in document.pages] == ["i"]
        assert len(outline_of(document)) == 3
    assert np.array_equal(read(out).pixels, before.pixels)
    assert keep_frame(tmp_path / "none.tif", source, "b") == ()
    write_picture(tmp_path / "scan.png", grey(9, 9))
    data = out.read_bytes()
    assert keep_frame(out, tmp_path / "scan.png") == ()
    assert out.read_bytes() == data


def test_titles_in_metadata_alone(tmp_path: Path) -> None:
    with pikepdf.new() as document:
        add_page(document, b"", {}, (90, 60))
        with document.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
            metadata["dc:title"] = "A title"
            metadata["dc:creator"] = ["A", "B"]
        saved(document, tmp_path / "book.pdf")
    assert pdf.frame(tmp_path / "book.pdf")["info"] == {"Title": "A title", "Author": "A, B"}


def test_outlines_and_labels_that_make_no_sense(tmp_path: Path) -> None:
    with pikepdf.new() as document:
        add_page(document, b"", {}, (90, 60))
        item = document.make_indirect(Dictionary(Title="round and round", Dest=pikepdf.Array([])))
        item.Next = item
        item.First = item
        document.Root.Outlines = document.make_indirect(Dictionary(First=item, Last=item, Count=10**9))
        document.Root.PageLabels = Dictionary(Nums=["x", 5, 3, Dictionary(S=Name.D)])
        document.docinfo["/Title"] = pikepdf.String(b"\xfe\xff\xd8\x00")  # half a character
        saved(document, tmp_path / "book.pdf")
    write_ink(tmp_path / "1.pdf", grey(60, 90) < 99, (72, 72))
    bind(tmp_path / "out.pdf", [tmp_path / "1.pdf"], tmp_path / "book.pdf")
    assert read(tmp_path / "out.pdf").size == (60, 90)


def test_what_cannot_be_read_has_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path, password: str | None) -> dict[str, Any]:
        raise ImageError("it takes too much time")

    monkeypatch.setattr(pdf, "frame", failing)
    write_ink(tmp_path / "1.pdf", grey(60, 90) < 99, (72, 72))
    [note] = bind(tmp_path / "out.pdf", [tmp_path / "1.pdf"], book(tmp_path / "book.pdf"))
    assert note == "its title, author, outline and page labels cannot be read, and are not kept"


def test_sheets_of_more_than_200_inches(tmp_path: Path) -> None:
    path = tmp_path / "receipt.pdf"
    ink = grey(4000, 30) < 99
    write_ink(path, ink, (10, 10))  # 400 inches long
    with pikepdf.open(path) as document:
        [page] = document.pages
        unit = float(page.obj.UserUnit)
        assert [float(edge) * unit for edge in page.mediabox] == pytest.approx([0, 0, 216, 28_800])
        assert max(page.mediabox) <= 14_400
    picture = read(path)
    assert picture.dpi == pytest.approx((10, 10), rel=1e-3)
    assert np.array_equal(picture.pixels[..., 0] < 128, ink)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("a.pdf", (12, 500), r"a\.pdf: 120 x 2.88 points, a page of a PDF has 3 or more a side"),
        ("a.webp", (9, 16_384), r"a\.webp: 16384 x 9 pixels, WebP holds 16383 a side"),
        ("a.jpg", (65_501, 9), r"a\.jpg: 9 x 65501 pixels, JPEG holds 65500 a side"),
    ],
)
def test_sizes_that_a_format_does_not_hold(name: str, size: tuple[int, int], message: str) -> None:
    with pytest.raises(OutputError, match=message):
        check_fits(name, size, (300, 300))
    check_fits("a.png", size, (300, 300))
