"""Runs over URLs that are stopped, killed, or lose a process, and their reports."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from places import Places
from scans import scan, tree

from flowkit.batch import page_work
from flowkit.batch.plan import Sheet
from flowkit.batch.remote import report_upload, store
from flowkit.batch.remote.placeholders import FetchedPages, Mirror
from flowkit.errors import FlowkitError, ImageError, OutputError


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts are heard, which they are not in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
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


WAITING = ".flowkit-parts/book.tif"  # the folder of pages that wait to be bound


def die_at(patch: pytest.MonkeyPatch, name: str, ending: str, *, after: bool) -> None:
    """SIGKILL where a function of the store is called for a place that ends so, before it or right after."""
    inner = getattr(store, name)

    def dying(*places: Any, **options: Any) -> Any:
        meant = str(places[0 if name == "remove" else -1]).endswith(ending)
        if meant and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*places, **options)
        if meant:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    patch.setattr(store, name, dying)


def before_a_page_is_put(patch: pytest.MonkeyPatch) -> None:
    die_at(patch, "put", f"{WAITING}/002.tif", after=False)


def before_a_page_gets_its_name(patch: pytest.MonkeyPatch) -> None:
    die_at(patch, "_rename", "/out/b/c/3.tif", after=False)


def when_a_page_has_its_name(patch: pytest.MonkeyPatch) -> None:
    die_at(patch, "_rename", "/out/b/2.tif", after=True)


def before_a_document_gets_its_name(patch: pytest.MonkeyPatch) -> None:
    die_at(patch, "_rename", "/out/book.tif", after=False)


def when_a_document_has_its_name(patch: pytest.MonkeyPatch) -> None:
    die_at(patch, "_rename", "/out/book.tif", after=True)


def before_waiting_pages_are_removed(patch: pytest.MonkeyPatch) -> None:
    die_at(patch, "remove", WAITING, after=False)


def when_waiting_pages_are_removed(patch: pytest.MonkeyPatch) -> None:
    die_at(patch, "remove", WAITING, after=True)


MOMENTS = [
    before_a_page_is_put,
    before_a_page_gets_its_name,
    when_a_page_has_its_name,
    before_a_document_gets_its_name,
    when_a_document_has_its_name,
    before_waiting_pages_are_removed,
    when_waiting_pages_are_removed,
]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_killed_and_run_again(
    moment: Callable[[pytest.MonkeyPatch], None],
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
            moment(monkeypatch)
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


@pytest.mark.usefixtures("forked")
def test_processes_that_die_leave_nothing(
    place: Places, binarize: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    scans, out = place("file://", "scans"), place("file://", "out")
    scan(3).save("scans/deadly.png")
    scans.take("scans")
    Path("scans/deadly.png").unlink()
    options = "--precision", "float32"
    assert binarize("scans", "-o", "whole", *options) == 0
    read, parent = page_work.read, os.getpid()

    def deadly(path: Path, **reading: Any) -> Any:
        if path.name == "deadly.png" and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path, **reading)

    monkeypatch.setattr(page_work, "read", deadly)
    assert binarize(scans.url, "-o", out.url, *options, "--jobs", "2") == 1
    assert out.tree() == tree("whole")
    [failed] = [r for r in out.report() if r["status"] == "failed"]
    assert failed["error"].startswith(f"{scans.url}/deadly.png: the process that worked on it was killed")


def test_on_another_machine_nothing_is_left(place: Places, folder: Path, temporary: Path) -> None:
    scans, out = place("memory://", "scans"), place("memory://", "out")
    scans.take("scans")
    mirror = Mirror(folder / "elsewhere")
    bring = FetchedPages(mirror)
    for page in (0, 1):
        sheet = Sheet(mirror.path(f"{scans.url}/book.tif"), page, mirror.path(f"{out.url}/{page}.tif"))
        with bring(sheet) as local:
            assert local.source.read_bytes() == Path("scans/book.tif").read_bytes()
            local.out.parent.mkdir(parents=True)
            local.out.write_bytes(b"page %d" % page)
        [kept] = temporary.iterdir()
    scans.write("book.tif", b"another")
    with (
        pytest.raises(OutputError, match=f"^{out.url}/1.tif: cannot be written"),
        bring(sheet) as local,
    ):
        assert local.source.read_bytes() == b"another"
        assert not kept.exists()
    assert out.tree() == {"0.tif": b"page 0", "1.tif": b"page 1"}
    with (
        pytest.raises(ImageError, match=f"^{scans.url}/book.tif and {out.url}/1.tif$"),
        bring(sheet) as local,
    ):
        raise ImageError(f"{local.source} and {local.out}")
    with pytest.raises(FlowkitError, match=f"^RuntimeError: {out.url}/1.tif$"), bring(sheet) as local:
        raise RuntimeError(local.out)
    del bring
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_report_follows_while_it_is_written(
    place: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_upload, "PAUSE", 0.01)
    url, near = place("memory://", "out").url + "/report.jsonl", tmp_path / "report.jsonl"

    def there() -> bytes:
        with store.opened(url) as file:
            return file.read()

    with report_upload.followed(near, url, tmp_path / "draft"):
        assert there() == b""
        near.write_bytes(b"{}\n{")
        for _ in range(1000):
            if there():
                break
            time.sleep(0.01)
        assert there() == b"{}\n"  # whole lines
        near.write_bytes(b"{}\n{}\n")
    assert there() == b"{}\n{}\n"
