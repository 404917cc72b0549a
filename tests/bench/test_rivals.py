from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from PIL import Image

from flowkit.bench import rivals


@pytest.fixture
def page():
    levels = np.full((130, 147, 3), 220, np.uint8)  # larger than doxapy's windows
    levels[10:14, 5:40] = 30
    return levels


def test_what_is_not_here_has_a_note(monkeypatch):
    monkeypatch.setattr(rivals.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(rivals.shutil, "which", lambda name: None)
    names, notes = rivals.found()
    assert names == []
    assert [note.partition(" ")[0] for note in notes] == ["doxapy", "unpaper", "kraken"]
    monkeypatch.setattr(rivals.importlib.util, "find_spec", lambda name: types.SimpleNamespace())
    monkeypatch.setattr(rivals.shutil, "which", lambda name: f"/usr/bin/{name}")
    names, notes = rivals.found()
    assert names == [*rivals.DOXAPY, rivals.UNPAPER, rivals.NLBIN]
    assert notes == []


def test_doxapy_finds_the_ink(page):
    pytest.importorskip("doxapy")
    work = rivals.action("doxapy sauvola")
    assert work is not None
    ink = work(page)
    assert ink[12, 20] == 0
    assert ink[115, 130] == 255


def test_unpaper_is_run_on_a_grey_page(page, monkeypatch):
    seen = []

    def run(command, **options):
        assert options["check"]
        with Image.open(command[-2]) as image:
            seen.append((command[0], image.mode, image.size, image.getpixel((20, 12))))
        Image.new("1", (147, 130)).save(command[-1])

    monkeypatch.setattr(rivals.subprocess, "run", run)
    work = rivals.action(rivals.UNPAPER)
    assert work is not None
    work(page)
    assert seen == [("unpaper", "L", (147, 130), 30)]


def test_kraken_is_given_the_page(page, monkeypatch):
    kraken = types.ModuleType("kraken.binarization")
    kraken.nlbin = lambda image: (image.size, image.getpixel((20, 12)))
    monkeypatch.setitem(sys.modules, "kraken", types.ModuleType("kraken"))
    monkeypatch.setitem(sys.modules, "kraken.binarization", kraken)
    work = rivals.action(rivals.NLBIN)
    assert work is not None
    assert work(page) == ((147, 130), (30, 30, 30))


def test_other_names_are_not_theirs():
    assert rivals.action("temperature 0") is None
