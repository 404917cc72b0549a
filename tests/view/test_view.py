"""`flowkit view`: its pages, what it lets others see, and the page in a real browser."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import CHROMIUM, Browser
from PIL import Image

from flowkit.batch import BatchJob, Binarize, run
from flowkit.batch.report import REPORT, records_of
from flowkit.cli import main
from flowkit.errors import FlowkitError
from flowkit.view import server
from flowkit.view.pages import Pages


@pytest.fixture
def scans(tmp_path: Path, pixels, write) -> Path:
    """A folder with a folder of pages: two that can be read, and one that cannot."""
    folder = tmp_path / "scans"
    for seed, name in enumerate(["a/1.png", "a/2.png"]):
        write(folder / name, pixels(61, 83, seed), dpi=(300, 300))
    (folder / "bad.png").write_text("no image")
    return folder


@pytest.fixture
def task(ink_checkpoint: Path) -> Binarize:
    return Binarize(model=str(ink_checkpoint), samples=4)


@pytest.fixture
def ink(scans: Path, task: Binarize) -> Path:
    """A run over these pages."""
    out = scans.with_name("ink")
    with run(BatchJob([scans], f"{out}/", task, maps={"probability": out / "p"})) as records:
        assert sorted(one.status for one in records) == ["done", "done", "failed"]
    return out


def last(folder: Path) -> dict[str, Any]:
    records, skipped = records_of((folder / REPORT).read_text())
    assert not skipped
    return {output: record for (output, _), record in records.items()}


def image(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


def number(pages: Pages, name: str) -> int:
    return next(one["number"] for one in pages.shown() if one["name"].endswith(name))


def test_pages_of_a_run(ink: Path, scans: Path) -> None:
    pages = Pages(ink)
    first, *more = pages.shown()
    assert (first["status"], first["layers"]) == ("failed", ["input"])
    assert "not an image" in first["error"]
    assert more[0]["review"] >= more[1]["review"]
    assert more[0]["layers"] == ["input", "result", "probability"]
    one = number(pages, "a/1.png")
    with Image.open(scans / "a" / "1.png") as page:
        assert np.array_equal(image(pages.layer(one, "input")), np.asarray(page))
    votes, result = image(pages.layer(one, "probability")), image(pages.layer(one, "result"))
    assert np.array_equal(votes >= 128, result == 0)
    for kind in ("../report.jsonl", "uncertainty"):
        with pytest.raises(FlowkitError, match="has no"):
            pages.layer(one, kind)
    with pytest.raises(FlowkitError, match="not an image"):
        pages.layer(first["number"], "input")
    with pytest.raises(FlowkitError, match="no page 17"):
        pages.layer(17, "input")


def test_an_accepted_page_stays_as_it_is(ink: Path, scans: Path, task: Binarize) -> None:
    pages = Pages(ink)
    one = number(pages, "a/1.png")
    before = (ink / "a" / "1.png").read_bytes()
    pages.accept(one, accepted=True)
    assert last(ink)["a/1.png"].status == "kept"
    other = Binarize(model=task.model, samples=4, seed=9)
    with run(BatchJob([scans], f"{ink}/", other, maps={"probability": ink / "p"})) as again:
        assert sorted(record.output for record in again) == ["a/2.png", "bad.png"]
    assert (ink / "a" / "1.png").read_bytes() == before
    pages.accept(one, accepted=False)
    assert last(ink)["a/1.png"].status == "done"
    with pytest.raises(FlowkitError, match="no result that could be accepted"):
        pages.accept(number(pages, "bad.png"), accepted=True)


def test_a_page_is_done_again_with_other_options(ink: Path) -> None:
    pages = Pages(ink)
    one = number(pages, "a/1.png")
    before = {name: record.sha256 for name, record in last(ink).items()}
    assert pages.do(one, {"samples": 6, "decision": 0.3, "temperature": 1.5}).status == "done"
    record = last(ink)["a/1.png"]
    asked = ("samples", "decision", "temperature", "seed")
    assert [record.settings[name] for name in asked] == [6, 0.3, 1.5, 0]
    assert record.sha256 == before["a/1.png"]
    assert set(record.files) == {"result", "probability", "uncertainty"}
    votes = image(pages.layer(one, "probability"))
    assert np.array_equal(votes >= 255 * 0.3 - 0.5, image(pages.layer(one, "result")) == 0)
    assert pages.do(one, {"samples": 1}).settings["decision"] == "mode"  # not what was for samples
    for options, message in [
        ({"samples": "2"}, "samples: must be int, got '2'"),
        ({"memory": 1}, 'unknown option "memory"'),
        ({"samples": 1, "decision": 0.5}, "samples of 2 or more"),
    ]:
        with pytest.raises(FlowkitError, match=message):
            pages.do(one, options)
    assert pages.busy is None


def test_tables_are_no_images_and_are_made_again_with_the_page(scans: Path, task: Binarize) -> None:
    out = scans.with_name("ink")
    maps = {kind: out / kind for kind in ("probability", "components")}
    list(run(BatchJob([scans / "a"], f"{out}/", task, maps=maps)))
    pages = Pages(out)
    one = number(pages, "a/1.png")
    assert next(page["layers"] for page in pages.shown() if page["number"] == one) == [
        "input", "result", "probability",
    ]  # fmt: skip
    before = json.loads((out / "components" / "1.json").read_text())
    record = pages.do(one, {"samples": 6})
    after = json.loads((out / "components" / "1.json").read_text())
    assert (before["samples"], after["samples"]) == (4, 6)
    assert record.files["components"].path == "components/1.json"


def test_pages_that_were_never_done(scans: Path, task: Binarize) -> None:
    out = scans.with_name("new")
    pages = Pages(out, [str(scans)], task)
    assert [one["status"] for one in pages.shown()] == ["new"] * 3
    assert not out.exists()
    one = number(pages, "a/2.png")
    pages.do(one, {})
    assert last(out)["a/2.png"].settings["samples"] == 4
    first = pages.shown()[0]
    assert (first["number"], first["status"]) == (one, "done")
    with run(BatchJob([scans], f"{out}/", task)) as records:
        assert sorted(record.output for record in records) == ["a/1.png", "bad.png"]


def test_nothing_is_written_outside_of_the_folder(ink: Path, tmp_path: Path) -> None:
    line = json.loads((ink / REPORT).read_text().splitlines()[0])
    for output in ("../stolen.png", str(tmp_path / "stolen.png")):
        (ink / REPORT).write_text(json.dumps({**line, "output": output}) + "\n")
        pages = Pages(ink)
        with pytest.raises(FlowkitError, match="is not in the folder"):
            pages.do(0, {})
    assert not (tmp_path / "stolen.png").exists()
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (ink / REPORT).write_text(json.dumps({**line, "input": str(secret)}) + "\n")
    with pytest.raises(FlowkitError, match="not an image"):
        Pages(ink).layer(0, "input")


def test_a_page_of_a_document_is_shown_and_not_done_alone(scans: Path, task: Binarize) -> None:
    frames = [Image.fromarray(np.full((40, 30), level, np.uint8)) for level in (10, 200)]
    frames[0].save(scans / "two.tif", save_all=True, append_images=frames[1:])
    out = scans.with_name("bound")
    with run(BatchJob([scans / "two.tif"], f"{out}/", task, format="tif")) as records:
        assert len(list(records)) == 3
    pages = Pages(out)
    second = number(pages, "two.tif: page 2")
    assert image(pages.layer(second, "input")).mean() == 200
    assert image(pages.layer(second, "result")).shape == (40, 30)
    with pytest.raises(FlowkitError, match=r"is a page of two\.tif"):
        pages.do(second, {})
    pages.accept(second, accepted=True)
    with run(BatchJob([scans / "two.tif"], f"{out}/", task, format="tif")) as records:
        assert list(records) == []
    with pytest.raises(FlowkitError, match="would be written anew"):
        pages.accept(second, accepted=False)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["scans"], "scans: has no report.jsonl; expected a folder that flowkit wrote, or -o OUT"),
        (["scans", "ink"], "several inputs need -o OUT"),
        (["none", "-o", "out"], "none: no such file"),
        (["ink", "--port", "99999"], "--port must be 65535 or less, got 99999"),
    ],
)
def test_wrong_use(argv: list[str], message: str, scans: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(scans.parent)
    assert main(["view", *argv]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra(missing: str, ink: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["view", str(ink)]) == 2
    assert capsys.readouterr().err.endswith(f"flowkit view needs {missing}: pip install 'flowkit-nf[view]'\n")


class Site:
    """A viewer that runs in a thread."""

    def __init__(self, pages: Pages) -> None:
        uvicorn = pytest.importorskip("uvicorn", reason="needs the extra view")
        pytest.importorskip("starlette", reason="needs the extra view")
        self.token = "a-token"
        app = server.application(pages, self.token)
        self._listener = server.listen(0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/{self.token}/"
        self._server = uvicorn.Server(server.configuration(app))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        data = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, data, headers)
        answer = connection.getresponse()
        said = answer.status, answer.read(), dict(answer.getheaders())
        connection.close()
        return said


@pytest.fixture
def site(ink: Path) -> Iterator[Site]:
    opened = Site(Pages(ink))
    yield opened
    opened.close()


def test_only_who_has_the_token_sees_anything(site: Site, ink: Path) -> None:
    status, page, headers = site.ask("/a-token/")
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["referrer-policy"] == "no-referrer"
    assert b"http://" not in page
    assert b"https://" not in page
    for path in ("/", "/pages", "/a-toke/pages", "/a-token2/", "/b/pages", "//a-token/", "/a-token/../pages"):
        assert site.ask(path)[0] == 404, path
    for path in ("pages/0/..%2f..%2freport.jsonl", "pages/0/result/x", "pages/-1/result", "report.jsonl"):
        assert site.ask(f"/a-token/{path}")[0] in (400, 404), path
    assert site.ask("/a-token/pages", Host="evil.example")[0] == 404
    assert site.ask("/a-token/pages", Host=f"localhost:{site.port}")[0] == 200
    accept = "/a-token/pages/1/accept"
    before = (ink / REPORT).read_bytes()
    assert site.ask(accept, {"accepted": True}, Origin="http://evil.example")[0] == 404
    assert site.ask(accept, {"accepted": True, "more": "x" * 20_000})[0] == 400
    assert site.ask(accept, [])[0] == 400
    assert (ink / REPORT).read_bytes() == before
    assert site.ask(accept, {"accepted": True}, Origin=site.url[: -len("/a-token/")])[0] == 200
    assert (ink / REPORT).read_bytes() != before


def test_only_this_machine_can_connect(site: Site) -> None:
    assert site._listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.slow
def test_the_verb_prints_its_address_and_ends_with_ctrl_c(ink: Path) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra view")
    command = [sys.executable, "-m", "flowkit", "view", ink]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = urllib.parse.urlsplit(process.stdout.readline().strip())
        assert (address.hostname, len(address.path) > 20) == ("127.0.0.1", True)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        connection.request("GET", f"{address.path}pages")
        assert len(json.loads(connection.getresponse().read())["pages"]) == 3
        connection.close()
        os.kill(process.pid, signal.SIGINT)
        assert (process.wait(), process.stderr.read()) == (0, "")


@pytest.mark.slow
def test_in_a_browser(site: Site, ink: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    browser = Browser(tmp_path / "profile")
    try:
        look(browser, site, ink)
    finally:
        browser.close()
    assert {urllib.parse.urlsplit(url).netloc for url in browser.requests} == {f"127.0.0.1:{site.port}"}


def look(browser: Browser, site: Site, ink: Path) -> None:
    def chosen() -> str:
        return str(browser.run("document.querySelector('[aria-current=true]').firstChild.textContent"))

    def loaded(side: str) -> str:
        return f"$('{side}').complete && $('{side}').naturalWidth === 83"

    browser.open(site.url)
    browser.until("document.querySelectorAll('#list button').length === 3")
    assert chosen().endswith("bad.png")  # a failure is the first thing to look at
    assert "not an image" in browser.run("$('notes').textContent")
    browser.press("j")
    first = chosen()
    browser.until(loaded("before"))
    browser.until(loaded("after"))
    assert browser.run("$('over').style.clipPath") == "inset(0px 0px 0px 50%)"
    browser.press(" ")
    assert browser.run("$('split').value") == "100"
    browser.press("1")
    assert browser.run("$('sheet').style.width") == "83px"
    browser.press("n")
    assert float(browser.run("parseFloat($('zoom').textContent)")) > 100

    # the threshold on P(ink), against the file
    with Image.open(ink / "p" / first.rpartition("scans/")[2]) as votes:
        share = np.asarray(votes) >= 255 * 0.75 - 0.5
    browser.run("$('right').value = 'threshold'; $('right').onchange()")
    browser.run("$('cut').value = 0.75; $('cut').oninput()")
    shown = f"{100 * share.mean():.1f} % ink"
    browser.until(f"$('cutat').textContent.includes({json.dumps(shown)})")

    browser.press("a")
    browser.until("$('count').textContent === '3 pages, 1 accepted'")
    assert [one.status for one in last(ink).values()].count("kept") == 1
    second = chosen()
    assert second not in (first, "bad.png")  # the next one that is open
    browser.press("r")
    browser.run("$('form').elements.samples.value = 3")
    browser.run("$('form').requestSubmit()")
    browser.until("pages.find(one => one.number === at).settings.samples === 3")
    assert last(ink)[second.rpartition("scans/")[2]].settings["samples"] == 3

    browser.width(390, 844)
    browser.until("innerWidth === 390")
    assert browser.run("document.documentElement.scrollWidth") <= 390
    assert browser.run("$('stage').clientHeight") > 300
