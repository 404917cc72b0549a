"""OCR-D with the processor: the real command line, on workspaces of drawn pages."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import flowkit
from flowkit.degradations.scan import degrade
from flowkit.pages import binarize
from flowkit.synthetic.page import draw_page

pytest.importorskip("ocrd", reason="ocrd is not installed (extra ocrd)")

PC = "{http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15}"
SIZES = (500, 300), (420, 260)  # width and height
SEGMENTED = """<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15" pcGtsId="SEG_1">
  <Metadata>
    <Creator>a test</Creator><Created>2026-01-01T00:00:00</Created>
    <LastChange>2026-01-01T00:00:00</LastChange>
  </Metadata>
  <Page imageFilename="IMG/1.png" imageWidth="500" imageHeight="300">
    <Border><Coords points="10,20 490,20 490,290 10,290"/></Border>
    <TextRegion id="r1">
      <Coords points="30,40 470,40 470,200 30,200"/>
      <TextLine id="l1"><Coords points="40,50 400,50 400,110 40,110"/></TextLine>
      <TextLine id="l2"><Coords points="40,110 400,110 400,160 40,160"/></TextLine>
    </TextRegion>
  </Page>
</PcGts>
"""


class Workspace:
    """A folder with two drawn pages of 200 dpi, and the programs of OCR-D and the processor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "workspace"
        (self.folder / "IMG").mkdir(parents=True)
        programs = folder / "programs"
        programs.mkdir()
        processor = programs / "ocrd-flowkit-binarize"  # the one under test, wherever another is installed
        processor.write_text(f"#!{sys.executable}\nfrom flowkit.ocrd import main\nmain()\n")
        processor.chmod(0o755)
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "HOME": str(folder)}
        self.run("ocrd workspace init")
        self.run("ocrd workspace set-id drawn")
        for number, size in enumerate(SIZES, 1):
            rng = np.random.default_rng(number)
            page = self.folder / "IMG" / f"{number}.png"
            Image.fromarray(degrade(draw_page(*size, rng), rng)).save(page, dpi=(200, 200))
            self.add("IMG", number, "image/png", page)

    def add(self, group: str, number: int, kind: str, path: Path) -> None:
        place = path.relative_to(self.folder)
        self.run(f"ocrd workspace add -G {group} -i {group}_{number} -g P{number} -m {kind} {place}")

    def run(self, command: str, *, ok: bool = True, **more: str) -> str:
        """Run a command, and return what it printed."""
        environment = {**self.environment, **more}
        done = subprocess.run(
            shlex.split(command),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("ocrd"))


def alternatives(path: Path, kind: str) -> list[tuple[str, Image.Image]]:
    """Return comments and image of the alternatives of all elements of a kind."""
    found = []
    for element in ElementTree.parse(path).iter(f"{PC}{kind}"):
        for image in element.findall(f"{PC}AlternativeImage"):
            with Image.open(path.parents[1] / image.attrib["filename"]) as opened:
                opened.load()
                found.append((image.attrib["comments"], opened))
    return found


@pytest.mark.slow
def test_pages_side_by_side(workspace):
    start = shlex.split("ocrd workspace -U mets.sock server start")
    with subprocess.Popen(start, cwd=workspace.folder, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            assert any("running on" in line for line in server.stderr)
            task = "flowkit-binarize -I IMG -O BIN -P probability true -P samples 4"
            workspace.run(f"ocrd process -U mets.sock '{task}'", OCRD_MAX_PARALLEL_PAGES="2")
            workspace.run("ocrd workspace -U mets.sock server stop")
        finally:
            server.kill()
    # OCR-D's own `add` writes names of files where its `validate` wants URLs
    workspace.run("ocrd workspace validate --skip url")
    for number, size in enumerate(SIZES, 1):
        ((comments, image),) = alternatives(workspace.folder / "BIN" / f"BIN_{number}.xml", "Page")
        assert (comments, image.mode, image.size) == ("binarized", "1", size)
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        expected = binarize(workspace.folder / "IMG" / f"{number}.png").binary
        assert (np.asarray(image) == ~expected).mean() > 0.999  # up to rounding
        with Image.open(workspace.folder / "BIN" / f"BIN_{number}_IMG-INK.png") as shares:
            assert (shares.mode, shares.size) == ("L", size)
            assert len(np.unique(np.asarray(shares))) <= 5


@pytest.mark.slow
def test_pages_regions_and_lines(workspace):
    page = workspace.folder / "SEG" / "SEG_1.xml"
    page.parent.mkdir()
    page.write_text(SEGMENTED)
    workspace.add("SEG", 1, "application/vnd.prima.page+xml", page)
    for level, kind, comment, sizes in (
        ("page", "Page", "cropped,binarized", [(480, 270)]),
        ("region", "TextRegion", "binarized", [(440, 160)]),  # cropped goes without saying below the page
        ("line", "TextLine", "binarized", [(360, 60), (360, 50)]),
    ):
        workspace.run(f"ocrd-flowkit-binarize -I SEG -O {level} -P level-of-operation {level}")
        found = alternatives(workspace.folder / level / f"{level}_1.xml", kind)
        assert [said for said, _ in found] == [comment] * len(sizes)
        for (_, image), size in zip(found, sizes, strict=True):
            assert np.abs(np.subtract(image.size, size)).max() <= 1
            assert image.mode == "1"
            assert 0.01 < 1 - np.asarray(image).mean() < 0.5
    workspace.run("ocrd workspace validate --skip url")


@pytest.mark.slow
def test_its_description_and_resources(workspace):
    tool = Path(flowkit.__file__).parent / "ocrd" / "ocrd-tool.json"
    assert json.loads(tool.read_text())["version"] == flowkit.__version__
    assert 'valid="true"' in workspace.run(f"ocrd ocrd-tool {tool} validate")
    assert "binarize\n" in workspace.run("ocrd-flowkit-binarize --list-resources")
    said = workspace.run("ocrd-flowkit-binarize -I IMG -O NONE -P model none-such", ok=False)
    assert "Could not find resource 'none-such'" in said
