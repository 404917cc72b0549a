"""The command line in a shell: pipes, new folders, names that differ in case, JSON, no colour."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowkit.batch import Record
from flowkit.batch.report import REPORT
from flowkit.batch.storage import Storage
from flowkit.cli import VERBS, main, parsers
from flowkit.cli.completion import SHELLS


@pytest.fixture
def model(ink_checkpoint: Path) -> list[str]:
    return ["--model", str(ink_checkpoint)]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch):
    def pipe(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return pipe


def scan(kind: str) -> bytes:
    data = io.BytesIO()
    with Image.open("page.png") as image:
        image.convert("L" if kind == "PPM" else "RGB").save(data, kind)
    return data.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "PPM", "WEBP", "GIF", "JPEG2000"])
def test_an_image_on_standard_input(kind: str, folder: Path, model: list[str], pipe, capsys) -> None:
    pipe(scan(kind))
    assert main(["binarize", "-", "-o", "out.png", *model]) == 0
    with Image.open("out.png") as image:
        assert image.size == (37, 53)
    assert capsys.readouterr().out.startswith("out.png: 37 x 53, ")


def test_a_piped_image_among_files_and_in_a_folder(folder: Path, model: list[str], pipe) -> None:
    for _ in range(2):  # the second run finds it done, though the file that held it is gone
        pipe(Path("page.png").read_bytes())
        assert main(["binarize", "page.png", "-", "-o", "out/", *model]) == 0
    assert Path("out/stdin.png").read_bytes() == Path("out/page.png").read_bytes()
    records = [Record.from_json(line) for line in Path("out", REPORT).read_text().splitlines()]
    assert [(one.input, one.output) for one in records] == [
        ("page.png", "page.png"),
        ("standard input", "stdin.png"),
    ]


def test_all_pages_of_a_piped_document(folder: Path, model: list[str], pipe, capsys) -> None:
    pages = [Image.fromarray(np.full((9, 8), level, np.uint8)) for level in (10, 200)]
    pages[0].save("two.tif", save_all=True, append_images=pages[1:])
    pipe(Path("two.tif").read_bytes())
    assert main(["binarize", "-", "-o", "new/two.tif", *model]) == 0
    with Image.open("new/two.tif") as image:
        assert image.n_frames == 2
    assert capsys.readouterr().out.startswith("new/two.tif: page 1: 8 x 9")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "-: no paths on standard input"),
        (b"none.png\n", "none.png: no such file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "standard input: not an image that can be read"),
    ],
)
def test_what_is_no_image(data: bytes, error: str, folder: Path, model: list[str], pipe, capsys) -> None:
    pipe(data)
    assert main(["binarize", "-", "-o", "out/" if b"PNG" not in data else "out.png", *model]) == 2
    assert error in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["page.png"]


def test_a_piped_image_that_is_cut_short(folder: Path, model: list[str], pipe, capsys) -> None:
    pipe(scan("PNG")[:900])
    assert main(["binarize", "-", "-o", "out.png", *model]) == 2
    assert capsys.readouterr().err.startswith("flowkit: standard input: the image is damaged or cut short")


def test_missing_folders_are_made_when_there_is_something_to_write(folder: Path, model: list[str]) -> None:
    Path("bad.png").write_text("no image")
    assert main(["binarize", "bad.png", "-o", "bad/folder/x.png", *model]) == 2
    assert not Path("bad").exists()
    assert main(["binarize", "page.png", "-o", "new/folder/x.png", "--probability", "p/q/x.png", *model]) == 0
    assert Path("new/folder/x.png").is_file()
    assert Path("p/q/x.png").is_file()
    assert main(["binarize", "page.png", "bad.png", "-o", "more/new/folders", *model]) == 1
    assert Path("more/new/folders/page.png").is_file()


@pytest.mark.parametrize("tells", [True, False])
def test_names_that_differ_in_case(
    tells: bool, folder: Path, model: list[str], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    Path("scans").mkdir()
    for name in ("A.png", "a.png"):
        shutil.copy("page.png", f"scans/{name}")
    if len(list(Path("scans").iterdir())) < 2:
        pytest.skip("this file system does not tell A.png from a.png")
    assert Storage().tells_case(folder)
    monkeypatch.setattr(Storage, "tells_case", lambda *_: tells)
    assert main(["binarize", "scans", "-o", "out", *model]) == (0 if tells else 2)
    if tells:
        assert sorted(path.name for path in Path("out").glob("*.png")) == ["A.png", "a.png"]
    else:
        assert "would both be written to out/a.png" in capsys.readouterr().err


def test_a_line_of_json_for_every_page(folder: Path, model: list[str], capsys) -> None:
    Path("bad.png").write_text("no image")
    assert main(["binarize", "page.png", "bad.png", "-o", "out", "--json", *model]) == 1
    printed = capsys.readouterr().out
    assert printed == Path("out", REPORT).read_text()
    good, bad = map(json.loads, printed.splitlines())
    assert (good["status"], good["width"], good["files"]["result"]["path"]) == ("done", 37, "page.png")
    assert bad["status"] == "failed"
    assert bad["error"].startswith("bad.png: not an image")


def test_nothing_is_coloured(folder: Path, model: list[str]) -> None:
    """Not even on a terminal, so that NO_COLOR has nothing to turn off."""
    pty = pytest.importorskip("pty")
    for argv in ([*("binarize", "page.png", "page.png", "no.png", "-o", "out"), *model], ["--help"]):
        ours, theirs = pty.openpty()
        environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm-256color"}
        subprocess.run(
            [sys.executable, "-m", "flowkit", *argv],
            stdout=theirs,
            stderr=theirs,
            env=environment,
            check=False,
        )
        os.close(theirs)
        said = b""
        with pytest.raises(OSError):  # the end of a terminal
            while True:
                said += os.read(ours, 65536)
        os.close(ours)
        assert b"flowkit" in said
        assert re.search(rb"\x1b\[[0-9;]*m", said) is None


@pytest.mark.parametrize("shell", SHELLS)
def test_completion(shell: str, capsys, tmp_path: Path) -> None:
    pytest.importorskip("shtab", reason="needs shtab")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*VERBS, "uncertainty", "temperatures"):
        assert word in script
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    path = tmp_path / "script"
    path.write_text(script)
    subprocess.run([program, "-n", path], check=True)


def completed(line: str, script: str, folder: Path) -> set[str]:
    """The words that bash offers at the end of a line."""
    words = line.split(" ")
    array = " ".join(f"'{word}'" for word in words)
    call = f"COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _shtab_flowkit"
    code = f"{script}\n{call}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    return set(done.stdout.split())


def test_bash_offers_verbs_options_choices_and_files(folder: Path, capsys) -> None:
    pytest.importorskip("shtab", reason="needs shtab")
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert completed("flowkit b", script, folder) >= {"binarize", "bench", "blend", "build-kernels"}
    assert completed("flowkit binarize --dec", script, folder) == {"--decision"}
    assert completed("flowkit binarize --decision ", script, folder) == {"mode", "mean"}
    assert "page.png" in completed("flowkit binarize pa", script, folder)
    assert "page.png" in completed("flowkit binarize x.png -o pa", script, folder)


def test_the_manual_page(capsys) -> None:
    assert main(["man"]) == 0
    page = capsys.readouterr().out
    plain = page.replace("\\-", "-")
    _, verbs = parsers()
    for verb, parser in verbs.items():
        assert f"flowkit {verb}" in plain
        for action in parser.declared()._actions:
            if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
                assert all(name in plain for name in action.option_strings)
    if shutil.which("mandoc") is None:
        pytest.skip("no mandoc here")
    lint = ["mandoc", "-T", "lint", "-W", "error"]  # it has no date, of which there is a warning
    done = subprocess.run(lint, input=page, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    shown = subprocess.run(["mandoc", "-T", "utf8"], input=page, capture_output=True, text=True, check=True)
    assert "--max-pixels N" in re.sub(".\b", "", shown.stdout)
