"""The plan of a batch: names of results, and results that would be one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.batch.plan import Document, Places, check, plan_document
from flowkit.errors import OutputError


def document(source: str, out: str, pages: int = 1, *, samples: int = 0) -> Document:
    places = Places(Path(out), samples=Path("s.png") if samples else None)
    return plan_document(Path(source), pages, places, samples=samples, parts=Path("parts"))


@pytest.mark.parametrize(
    ("pages", "first", "last"),
    [(2, "001", "002"), (999, "001", "999"), (1000, "0001", "1000"), (12345, "00001", "12345")],
)
def test_numbers_of_pages_sort_as_the_pages(pages: int, first: str, last: str) -> None:
    for out in ("book.png", "book.pdf", "book.PDF"):
        names = [sheet.out.stem.removeprefix("book-") for sheet in document("in.pdf", out, pages).sheets]
        assert (names[0], names[-1]) == (first, last)
        assert names == sorted(names)
        assert len(set(names)) == pages


@pytest.mark.parametrize(("samples", "last"), [(9, "09"), (99, "99"), (100, "100")])
def test_numbers_of_samples_sort_as_the_samples(samples: int, last: str) -> None:
    [sheet] = document("in.png", "out.png", samples=samples).sheets
    names = [path.stem.removeprefix("s-") for path in sheet.samples]
    assert names[-1] == last
    assert names == sorted(names)


@pytest.mark.parametrize("other", ["out/a.png", "out/A.png", "out/a.PNG", "OUT/a.png"])
def test_results_that_one_file_system_or_another_takes_for_one_file(other: str) -> None:
    check([document("1.tif", "out/a.png"), document("2.tif", "out/b.png")])
    with pytest.raises(OutputError, match=r"1\.tif and 2\.tif would both be written to"):
        check([document("1.tif", "out/a.png"), document("2.tif", other)])


def test_names_that_fold_alike_in_another_alphabet() -> None:
    with pytest.raises(OutputError, match="would both be written to"):
        check([document("1.tif", "out/STRASSE.png"), document("2.tif", "out/straße.png")])


def test_no_input_is_overwritten_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    Path("scans/1.png").touch()
    Path("link").symlink_to("scans")
    for out in ("scans/1.png", "link/1.png", str(tmp_path / "scans" / "1.png"), "scans/../link/1.png"):
        with pytest.raises(OutputError, match=r"1\.png: is an input too, and would be overwritten"):
            check([document("2.png", "other.png"), document("scans/1.png", out)])
    with pytest.raises(OutputError, match="is an input too"):
        check([document("2.png", "scans/1.png"), document("scans/1.png", "other.png")])


@pytest.mark.parametrize("kind", ["maps", "samples"])
def test_every_result_of_a_file_has_a_place_of_its_own(kind: str) -> None:
    same = Path("out/a.png")
    places = (
        Places(same, {"probability": same}) if kind == "maps" else Places(Path("out/a-01.png"), samples=same)
    )
    planned = plan_document(Path("1.png"), 1, places, samples=2, parts=Path("parts"))
    with pytest.raises(OutputError, match=r"out/a(-01)?\.png: is meant for more than one result of 1\.png"):
        check([planned])


def test_maps_of_pages_that_are_bound_count_too() -> None:
    places = [Places(Path(f"out/{n}.pdf"), {"probability": Path("maps/a.png")}) for n in (1, 2)]
    planned = [
        plan_document(Path(f"{n}.tif"), 2, of_one, samples=0, parts=Path(f"parts/{n}"))
        for n, of_one in enumerate(places, 1)
    ]
    with pytest.raises(OutputError, match=r"1\.tif and 2\.tif would both be written to maps/a-001\.png"):
        check(planned)


@pytest.mark.parametrize("out", ["book.pdf", "book.PDF", "book.Tif"])
def test_pages_are_bound_whatever_the_case_of_the_suffix(out: str) -> None:
    planned = document("in.pdf", out, 2)
    assert planned.out == Path(out)
    assert [sheet.result for sheet in planned.sheets] == [Path(out)] * 2
    assert planned.parts == Path("parts")
