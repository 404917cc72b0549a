"""The server of `flowkit view`: what it lets others see, and the page in a real browser."""

from __future__ import annotations

import http.client
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
from reports import last

from flowkit.batch.report import REPORT
from flowkit.view import server
from flowkit.view.pages import Pages


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


@pytest.mark.slow
def test_a_clean_page_is_done_again_in_a_browser(cleaned: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    site, browser = Site(Pages(cleaned)), Browser(tmp_path / "profile")
    try:
        browser.open(site.url)
        browser.until("document.querySelectorAll('#list button').length === 3")
        browser.press("j")
        browser.press("r")
        shown = str(browser.run("$('form').innerText"))
        assert "keep pictures" in shown
        assert "ink if" not in shown
        browser.run("$('form').elements.pictures.checked = false")
        browser.run("$('form').requestSubmit()")
        browser.until("pages.find(one => one.number === at).settings.pictures === false")
        assert not browser.run("$('form').elements.pictures.checked")
    finally:
        browser.close()
        site.close()
    assert {record.settings["task"] for record in last(cleaned).values()} == {"clean"}
