"""`flowkit binarize` from and to URLs: the same files and records as with folders of this machine."""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile
from scans import document, report, scan, tree

from flowkit.cli import main
from flowkit.errors import OutputError
from flowkit.pages.batch import following, store
from flowkit.pages.batch.mirror import AtHand, Mirror
from flowkit.pages.batch.plan import Sheet
from flowkit.pages.reading import count_pages

BASES = ("memory://", "file://")


class Place:
    """A folder at a URL, filled and read without flowkit."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fs, self.root = fsspec.core.url_to_fs(url)

    def take(self, folder: str) -> None:
        for path in Path(folder).rglob("*"):
            if path.is_file():
                self.write(str(path.relative_to(folder)), path.read_bytes())

    def write(self, place: str, data: bytes) -> None:
        path = f"{self.root}/{place}"
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.fs.pipe_file(path, data)

    def tree(self) -> dict[str, bytes]:
        names = {name.removeprefix(self.root).lstrip("/"): name for name in self.fs.find(self.root)}
        return {k: self.fs.cat_file(v) for k, v in names.items() if not k.startswith("report.")}

    def report(self) -> list[dict[str, Any]]:
        lines = self.fs.cat_file(f"{self.root}/report.jsonl").decode().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def temporary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, empty."""
    path = folder / "tmp"
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    monkeypatch.setenv("TMPDIR", str(path))
    return path


@pytest.fixture
def place(folder: Path, temporary: Path) -> Iterator[Callable[[str, str], Place]]:
    """A folder by its name, in a store by the protocol of its URLs; nothing may be left in temporary ones."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield lambda base, name: Place(f"{base}{folder / 'far' if base == 'file://' else ''}/{name}")
    memory.store.clear()
    assert list(temporary.iterdir()) == []


Places = Callable[[str, str], Place]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("suffix", ["png", "tif", "pdf"])
def test_the_same_as_with_folders(
    suffix: str, base: str, place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    document(Path("scans/b/more.pdf"), 2)
    options = ["--format", suffix, "--samples", "2"]
    assert binarize("scans", "-o", "out", "--probability", "maps", *options) == 0
    printed = capsys.readouterr().out
    scans, out, maps = (place(base, name) for name in ("scans", "out", "maps"))
    scans.take("scans")
    scans.write("b/none.txt", b"none")
    assert binarize(scans.url, "-o", out.url, "--probability", maps.url, *options) == 0
    assert capsys.readouterr().out.replace(out.url, "out") == printed
    assert out.tree() == tree("out")
    assert maps.tree() == tree("maps")
    mine = ("input", "modified", "seconds", "finished")
    far, near = (
        [{k: v for k, v in r.items() if k not in mine} for r in rs] for rs in (out.report(), report())
    )
    assert far == near
    assert [r["input"] for r in out.report()] == [f"{scans.url}/{r['input'][6:]}" for r in report()]
    assert binarize(scans.url, "-o", out.url, "--probability", maps.url, *options) == 0
    assert capsys.readouterr().out == ""
    if base == "file://":
        assert not Path("far/out/.flowkit-parts").exists()


def test_one_side_only(place: Places, binarize: Callable[..., int]) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    assert binarize("scans", "-o", "near") == 0
    assert binarize(scans.url, "-o", "from") == 0
    assert binarize("scans", "-o", out.url, "--save-samples", "samples", "--samples", "2") == 0
    assert list(out.tree()) == list(tree("near"))
    assert tree("from") == tree("near")
    assert len(tree("samples")) == 2 * len(tree("near"))
    assert report("from")[0]["input"] == f"{scans.url}/1.png"
    assert out.report()[0]["input"] == "scans/1.png"


def test_files_patterns_and_lists(
    place: Places, binarize: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    assert binarize(f"{scans.url}/1.png", f"{scans.url}/b/2.png", "-o", f"{out.url}/files") == 0
    assert binarize(f"{scans.url}/**/*.png", "-o", f"{out.url}/pattern") == 0
    listed = f"{scans.url}/b/2.png\nscans/1.png\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed.encode())))
    assert binarize("-", "-o", f"{out.url}/list") == 0
    assert binarize(f"{scans.url}/b/2.png", "-o", f"{out.url}/2.tif") == 0
    assert binarize(f"{scans.url}/book.tif", "-o", f"{out.url}/book.pdf") == 0
    results = [name for name in out.tree() if not name.endswith("/report.jsonl") or ".parts" in name]
    assert results == [
        "2.tif", "book.pdf", "files/1.png", "files/2.png", "list/scans/1.png", "list/scans/b/2.png",
        "pattern/1.png", "pattern/b/2.png",
    ]  # fmt: skip
    Path("book.pdf").write_bytes(out.tree()["book.pdf"])
    assert count_pages(Path("book.pdf")) == 3


def test_what_is_done_is_left_out(
    place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    scans, out = place("file://", "scans"), place("file://", "out")
    scans.take("scans")

    def again(*arguments: str) -> list[str]:
        capsys.readouterr()
        assert binarize(scans.url, "-o", out.url, *arguments) == 0
        return [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()]

    everything = [f"{out.url}/{name}" for name in out.tree()]
    assert everything == []
    everything = again()
    assert everything == [f"{out.url}/{name}" for name in out.tree()]
    assert again() == []
    os.utime("far/scans/1.png", (0, 0))  # touched, but the same; and a time that says nothing
    assert again() == []
    scan(77).save("far/scans/1.png")
    assert again() == [f"{out.url}/1.png"]
    Path("far/out/b/2.png").unlink()
    assert again() == [f"{out.url}/b/2.png"]
    assert again("--overwrite") == everything
    assert again("--seed", "1", "--samples", "2") == everything


def test_files_of_others_stay(place: Places, binarize: Callable[..., int]) -> None:
    out = place("memory://", "out")
    out.write("1.png", b"by hand")
    for _ in range(2):
        assert binarize("scans", "-o", out.url) == 0
        assert out.tree()["1.png"] == b"by hand"
    assert binarize("scans", "-o", out.url, "--overwrite") == 0
    assert out.tree()["1.png"] != b"by hand"


@pytest.mark.parametrize("base", BASES)
def test_a_bad_page_does_not_stop_the_rest(
    base: str, place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    scans, out = place(base, "scans"), place(base, "out")
    scans.take("scans")
    scans.write("b/2.png", Path("scans/b/2.png").read_bytes()[:500])
    scans.write("none.png", b"")
    scans.write("book.tif", Path("scans/book.tif").read_bytes()[:-900])
    options = [scans.url, "-o", out.url, "--format", "tif"]
    assert binarize(*options, "--html") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-5] == "flowkit: 3 of 7 pages failed:"
    assert lines[-4].startswith(f"  {scans.url}/b/2.png: the image is damaged or cut short")
    assert lines[-3].startswith(f"  {scans.url}/book.tif: page 3: the image is damaged or cut short")
    assert lines[-2] == f"  {scans.url}/none.png: the file is empty"
    assert lines[-1] == f"flowkit: {out.url}/book.tif: not written, because pages of it failed"
    assert {r["input"] for r in out.report() if r["status"] == "failed"} == {
        f"{scans.url}/{name}" for name in ("b/2.png", "book.tif", "none.png")
    }
    parts = [f".flowkit-parts/book.tif/00{page}.tif" for page in (1, 2)]
    assert list(out.tree()) == [*parts, "1.tif", "b/c/3.tif"]
    page = out.fs.cat_file(f"{out.root}/report.html").decode()
    assert page.count("<img") == 2 * 2 + 2  # pages of no document
    assert f"{scans.url}/none.png: the file is empty" in page
    scans.take("scans")
    scans.fs.rm(f"{scans.root}/none.png")
    assert binarize(*options) == 0
    assert list(out.tree()) == ["1.tif", "b/2.tif", "b/c/3.tif", "book.tif"]
    scans.write("book.tif", Path("scans/book.tif").read_bytes()[:-900])
    assert binarize(f"{scans.url}/book.tif", "-o", f"{out.url}/again.tif") == 1
    assert list(out.tree()) == ["1.tif", "b/2.tif", "b/c/3.tif", "book.tif"]
    assert binarize(f"{scans.url}/none.png", "-o", f"{out.url}/again.tif") == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"flowkit: {scans.url}/none.png: no such file"


def test_an_input_is_not_overwritten(
    place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    scans = place("file://", "scans")
    scans.write("1.png", Path("scans/1.png").read_bytes())
    before = scans.tree()
    for source, out in ((scans.url, "far/scans"), ("far/scans/1.png", scans.url), (scans.url, scans.url)):
        assert binarize(source, "-o", out) == 2
    assert "far/scans/1.png: is an input too, and would be overwritten" in capsys.readouterr().err
    assert scans.tree() == before


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("memory://none", "memory://out", "memory://none: no such file"),
        ("memory://none/*.png", "memory://out", "memory://none/*.png: no such file, and no image that it"),
        ("scans", "memori://out", 'memori://out: unknown protocol "memori"; did you mean "memory"?'),
        ("s4://a/b", "out", 's4://a/b: unknown protocol "s4"; known: abfs'),
        ("scans", "file:///proc/none/out", "file:///proc/none/out: cannot be written ("),
        ("scans", "file://out", "file://out: expected file:///, and a path from the root"),
        ("sftp://me:secret@host/a", "out", "sftp://...@host: holds a password"),
        ("memory://a/../b", "out", "memory://a/../b: has a part that is empty, . or .."),
        (
            "zip://*.png::memory://a.zip",
            "out",
            "zip://*.png::memory://a.zip: several URLs in one, expected one",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(
    source: str,
    out: str,
    message: str,
    place: Places,
    binarize: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert binarize(source, "-o", out) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"flowkit: {message}")
    assert "secret" not in line
    assert not Path("out").exists()


def test_what_is_not_installed_is_named(
    place: Places,
    binarize: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lacking(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", lacking)
    assert binarize("s3://archive/scans", "-o", "out") == 2
    assert capsys.readouterr().err == "flowkit: s3://archive/scans: Install s3fs to access S3\n"
    found = importlib.import_module

    def missing(name: str) -> object:
        if name == "fsspec":
            raise ImportError(name)
        return found(name)

    monkeypatch.setattr("importlib.import_module", missing)
    assert binarize("s3://archive/scans", "-o", "out") == 2
    assert capsys.readouterr().err == (
        "flowkit: s3://archive/scans: needs fsspec: pip install 'flowkit-nf[remote]'\n"
    )
    assert binarize("scans", "-o", "out") == 0


def test_a_store_that_fails_in_the_middle(
    place: Places,
    binarize: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    put, get = type(out.fs).put_file, type(out.fs).get_file

    def putting(self: Any, path: str, to: str) -> None:
        if "b/c/" in to:
            put(self, os.devnull, to)
            raise PermissionError("no\nkey")
        put(self, path, to)

    def getting(self: Any, place: str, to: str) -> None:
        if "b/2" in place:
            raise TimeoutError
        get(self, place, to)

    monkeypatch.setattr(type(out.fs), "put_file", putting)
    monkeypatch.setattr(type(out.fs), "get_file", getting)
    assert binarize(scans.url, "-o", out.url) == 1
    err = capsys.readouterr().err
    assert f"  {scans.url}/b/2.png: cannot be read (TimeoutError)\n" in err
    assert f"  {out.url}/b/c/3.png: cannot be written (no key)\n" in err
    assert list(out.tree()) == ["1.png", "book-001.png", "book-002.png", "book-003.png"]
    monkeypatch.undo()


@pytest.mark.parametrize("how", ["interrupted", "ended"])
def test_a_run_that_is_stopped_keeps_its_report(
    how: str, place: Places, binarize: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = place("memory://", "out")
    put = store.put

    def stopping(path: Path, url: str) -> None:
        put(path, url)
        if url.endswith("book-001.png"):
            os.kill(os.getpid(), signal.SIGTERM if how == "ended" else signal.SIGINT)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(store, "put", stopping)
    if how == "ended":
        with pytest.raises(SystemExit):
            binarize("scans", "-o", out.url)
    else:
        assert binarize("scans", "-o", out.url) == 130
    assert signal.getsignal(signal.SIGTERM) == before
    assert [r["output"] for r in out.report()] == ["1.png", "b/2.png", "b/c/3.png"]


def kill_in(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int, after: bool) -> None:
    inner, calls = getattr(owner, name), iter(range(1, 1000))

    def deadly(*args: Any, **options: Any) -> Any:
        mine = next(calls) == call
        if mine and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*args, **options)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    monkeypatch.setattr(owner, name, deadly)


@pytest.mark.parametrize(
    ("where", "call", "after"),
    [
        ("put", 8, False),
        ("_rename", 8, False),
        ("_rename", 9, True),
        ("remove", 2, False),
        ("remove", 2, True),
    ],
)
def test_killed_and_run_again(
    where: str,
    call: int,
    after: bool,
    place: Places,
    temporary: Path,
    binarize: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scans, out = place("file://", "scans"), place("file://", "out")
    scans.take("scans")
    options = ["--format", "tif"]
    assert binarize("scans", "-o", "whole", *options) == 0
    child = os.fork()
    if not child:
        try:
            kill_in(monkeypatch, store, where, call, after)
            binarize(scans.url, "-o", out.url, *options)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    whole = tree("whole")
    there = {name: data for name, data in out.tree().items() if name in whole}
    assert there
    assert there == {name: whole[name] for name in there}  # nothing half-written
    assert binarize(scans.url, "-o", out.url, *options) == 0
    assert out.tree() == whole
    assert {r["status"] for r in out.report()} == {"done"}  # none is taken for somebody else's


@pytest.mark.slow
def test_processes_that_die_leave_nothing(
    place: Places, binarize: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    scans, out = place("file://", "scans"), place("file://", "out")
    scan(3).save("scans/deadly.png")
    scans.take("scans")
    Path("scans/deadly.png").unlink()
    assert binarize("scans", "-o", "whole") == 0
    Path("deadly_far.py").write_text(
        "import os, signal\n"
        "from flowkit.pages.batch import work\n"
        "read = work.read\n"
        "def deadly(path, **options):\n"
        "    if path.name == 'deadly.png':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return read(path, **options)\n"
        "if os.environ.get('DEADLY') != str(os.getpid()):\n"
        "    work.read = deadly\n"
    )
    monkeypatch.setenv("DEADLY", str(os.getpid()))
    assert binarize(scans.url, "-o", out.url, "--jobs", "2", "--import", "deadly_far.py") == 1
    assert out.tree() == tree("whole")
    [failed] = [r for r in out.report() if r["status"] == "failed"]
    assert failed["error"].startswith(f"{scans.url}/deadly.png: the process that worked on it was killed")


def test_on_another_machine_nothing_is_left(place: Places, folder: Path, temporary: Path) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    mirror = Mirror(folder / "elsewhere")
    bring = AtHand(mirror)
    for page in (0, 1):
        sheet = Sheet(mirror.path(f"{scans.url}/book.tif"), page, mirror.path(f"{out.url}/{page}.tif"))
        with bring(sheet) as (local, named):
            assert local.source.read_bytes() == Path("scans/book.tif").read_bytes()
            assert named(local.name) == f"{scans.url}/book.tif: page {page + 1}"
            assert named(str(local.out)) == f"{out.url}/{page}.tif"
            local.out.parent.mkdir(parents=True)
            local.out.write_bytes(b"page %d" % page)
        [kept] = temporary.iterdir()
    scans.write("book.tif", b"another")
    with (
        pytest.raises(OutputError, match=f"^{out.url}/1.tif: cannot be written"),
        bring(sheet) as (local, named),
    ):
        assert local.source.read_bytes() == b"another"
        assert not kept.exists()
    assert out.tree() == {"0.tif": b"page 0", "1.tif": b"page 1"}
    del bring, named
    gc.collect()
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_on_ray(place: Places, binarize: Callable[..., int], ink_checkpoint: Path) -> None:
    pytest.importorskip("ray.data", reason="ray is not installed")
    scans, out = place("file://", "scans"), place("file://", "out")
    scans.take("scans")
    options = ["--format", "tif", "--samples", "2"]
    assert binarize("scans", "-o", "whole", *options) == 0
    verb = [sys.executable, "-m", "flowkit", "binarize", scans.url, "-o", out.url, *options]
    done = subprocess.run(
        [*verb, "--model", str(ink_checkpoint), "--engine", "ray", "--jobs", "2"],
        env=os.environ | {"RAY_TMPDIR": "/tmp"},  # its sockets want short names
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert out.tree() == tree("whole")


def test_a_report_follows_while_it_is_written(
    place: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAUSE", 0.01)
    url, near = place("memory://", "out").url + "/report.jsonl", tmp_path / "report.jsonl"

    def there() -> bytes:
        with store.opened(url) as file:
            return file.read()

    with following.followed(near, url, tmp_path / "draft"):
        assert there() == b""
        near.write_bytes(b"{}\n{")
        for _ in range(1000):
            if there():
                break
            time.sleep(0.01)
        assert there() == b"{}\n"  # whole lines
        near.write_bytes(b"{}\n{}\n")
    assert there() == b"{}\n{}\n"


def test_names_that_only_a_store_takes(
    place: Places, binarize: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    image = Path("scans/1.png").read_bytes()
    names = ["1.png", "b/../../../../2.png", "b//3.png", "c::4.png", "5" * 300 + ".png", "d e/é%20#.png"]
    for where in (scans, out):
        for name in names:
            where.fs.store[f"{where.root}/{name}"] = MemoryFile(where.fs, f"{where.root}/{name}", image)
    before = tree(tmp_path)
    assert binarize(scans.url, "-o", out.url, "--overwrite") == 1
    assert {name: data for name, data in tree(tmp_path).items() if not name.startswith("tmp/")} == before
    err = capsys.readouterr().err
    assert err.splitlines()[-4:] == [
        "flowkit: 3 of 5 pages failed:",
        f"  {scans.url}/{names[4]}: cannot be worked on (File name too long)",
        f"  {scans.url}/b//3.png: has a part that is empty, . or .., expected names",
        f"  {scans.url}/c::4.png: several URLs in one, expected one",
    ]
    assert [r["output"] for r in out.report()] == ["1.png", "d e/é%20#.png"]


def test_enlarged_pages(place: Places, doubling_checkpoint: Path) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    options = ["--model", str(doubling_checkpoint), "--format", "jpg"]
    assert main(["upscale", "scans", "-o", "near", *options]) == 0
    assert main(["upscale", scans.url, "-o", out.url, *options]) == 0
    assert out.tree() == tree("near")


def test_what_a_store_says_of_a_file(place: Places) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    ns = 1767323045678901000
    for value in (
        moment,
        moment.replace(tzinfo=None),
        moment.timestamp(),
        moment.isoformat(),
        "2026-01-02T03:04:05.678901Z",
    ):
        assert store._entry({"size": 3, "type": "file", "LastModified": value}).modified == ns
    assert store._entry({"size": None, "type": "file", "mtime": "soon"}) == store.Entry(0, 0, False)
    assert store.entry("memory://none") is None


def test_a_path_is_one_url(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    for url in (
        "s3://a/b c/1.png",
        "file:///a/é%20?.png",
        "memory://",
        "memory:///a",
        "arrow_hdfs://host:8020/a",
    ):
        assert mirror.url(mirror.path(url)) == url
        assert mirror.named(f"{mirror.path(url)}: empty") == f"{url}: empty"
    assert mirror.path("s3://a/b/") == mirror.path("s3://a/b")
    assert mirror.named(f"{tmp_path}/1-2/3 and {tmp_path}") == f"{tmp_path}/1-2/3 and {tmp_path}"
