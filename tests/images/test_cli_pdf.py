"""`flowkit binarize` on PDF files: what goes in comes out, and what does not is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pikepdf
import pytest
from pdfs import add_page, fill, grey, image, saved
from PIL import Image

from flowkit.cli import main
from flowkit.images.reader import read
from flowkit.images.writer import write_picture

TEXT = b"BT 3 Tr /F 8 Tf 10 10 Td (quick brown fox) Tj ET\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with pikepdf.new() as document:
        for number in range(3):
            things = {"I": image(document, grey(60, 90, number))}
            add_page(document, fill("I", 90, 60) + TEXT, things, (90, 60), UserUnit=2)
        document.docinfo["/Title"] = "A book"
        document.Root.PageLabels = pikepdf.Dictionary(Nums=[0, pikepdf.Dictionary(S=pikepdf.Name.r)])
        with document.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("Two", 1))
        saved(document, tmp_path / "book.pdf")
        saved(document, tmp_path / "locked.pdf", encryption=pikepdf.Encryption(owner="a", user="secret"))
        del document.pages[1:]
        saved(document, tmp_path / "page.pdf")
    return tmp_path


@pytest.mark.parametrize("name", ["book", "page"])
def test_a_document_keeps_its_frame(
    name: str, folder: Path, ink_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["binarize", f"{name}.pdf", "-o", "out.pdf", "--model", str(ink_checkpoint)]
    assert main(command) == 0
    said = capsys.readouterr().err.splitlines()
    page = ": page 1" if name == "book" else ""
    assert said == [f"flowkit: {name}.pdf{page}: the text in it is not kept as text"]  # once
    with pikepdf.open("out.pdf") as out:
        assert str(out.docinfo.Title) == "A book"
        assert out.pages[0].label == "i"
        with out.open_outline() as outline:
            assert [item.title for item in outline.root] == ["Two"]
        unit = float(out.pages[0].obj.get("/UserUnit", 1))
        assert [float(edge) * unit for edge in out.pages[0].mediabox] == [0, 0, 180, 120]
    picture = read(Path("out.pdf"), page=0)
    assert picture.dpi == (36, 36)
    assert picture.size == (60, 90)


def test_a_folder_of_documents(folder: Path, ink_checkpoint: Path) -> None:
    (folder / "locked.pdf").unlink()
    assert main(["binarize", ".", "-o", "ink", "--format", "pdf", "--model", str(ink_checkpoint)]) == 0
    for name in ("book", "page"):
        with pikepdf.open(f"ink/{name}.pdf") as out:
            assert str(out.docinfo.Title) == "A book"
    # the same command again does nothing
    before = (folder / "ink" / "page.pdf").stat().st_mtime_ns
    command = ["binarize", "book.pdf", "page.pdf", "-o", "ink", "--format", "pdf"]
    assert main([*command, "--model", str(ink_checkpoint)]) == 0
    assert (folder / "ink" / "page.pdf").stat().st_mtime_ns == before


def test_passwords_are_read_from_a_file_or_the_environment(
    folder: Path, ink_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["binarize", "locked.pdf", "-o", "out.pdf", "--model", str(ink_checkpoint)]
    assert main(command) == 2
    assert "locked.pdf: an encrypted PDF, which needs a password (--pdf-password" in capsys.readouterr().err
    for place, message in {
        "secret": "expected file:PATH or env:NAME",
        "env:": "expected file:PATH or env:NAME",
        "env:NO_SUCH_NAME": "there is no environment variable NO_SUCH_NAME",
        "file:none.txt": "none.txt: cannot be read (No such file or directory)",
        "file:empty.txt": "empty.txt: the file is empty",
    }.items():
        (folder / "empty.txt").touch()
        assert main([*command, "--pdf-password", place]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert "secret" not in said
    assert not (folder / "out.pdf").exists()
    (folder / "word.txt").write_text("secret\nand a line\n")
    monkeypatch.setenv("WORD", "secret")
    monkeypatch.setenv("OTHER", "another")
    for place in ("file:word.txt", "env:WORD"):
        assert main([*command, "--pdf-password", place, "--overwrite"]) == 0
        with pikepdf.open("out.pdf") as out:  # which is not encrypted
            assert len(out.pages) == 3
            assert str(out.docinfo.Title) == "A book"
        assert "secret" not in "".join(capsys.readouterr())
    assert main([*command, "--pdf-password", "env:OTHER"]) == 2
    assert "locked.pdf: an encrypted PDF, and its password is another one" in capsys.readouterr().err


def test_dots_per_inch_may_be_given(
    folder: Path, ink_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["binarize", "page.pdf", "-o", "ink/", "--model", str(ink_checkpoint)]
    assert main([*command, "--pdf-dpi", "72"]) == 0
    assert read("ink/page.png").size == (120, 180)
    assert read("ink/page.png").dpi == (72, 72)
    assert main(command) == 0  # other dots are another result
    assert read("ink/page.png").size == (60, 90)
    for wrong in ("0", "nan", "many"):
        with pytest.raises(SystemExit):
            main([*command, "--pdf-dpi", wrong])
    assert "expected 10 to 25,400, got 0" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["pdf", "webp"])
def test_what_a_file_cannot_hold_is_refused_before_the_work(
    suffix: str,
    folder: Path,
    ink_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = (8, 20) if suffix == "pdf" else (2, 16_384)
    write_picture("scan.png", np.zeros(size, np.uint8), (300, 300))

    def work(*arguments: object, **options: object) -> None:
        pytest.fail("the work began")

    monkeypatch.setattr("flowkit.batch.tasks.binarize", work)
    assert main(["binarize", "scan.png", "-o", f"out.{suffix}", "--model", str(ink_checkpoint)]) == 2
    assert f"out.{suffix}: " in capsys.readouterr().err


def test_a_long_receipt(folder: Path, ink_checkpoint: Path) -> None:
    Image.new("L", (40, 2100), 230).save("receipt.png", dpi=(10, 10))  # 210 inches
    assert main(["binarize", "receipt.png", "-o", "out.pdf", "--model", str(ink_checkpoint)]) == 0
    assert read("out.pdf").size == (2100, 40)
