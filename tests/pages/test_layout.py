"""Layouts of pages: PAGE and ALTO files, and what they keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowkit.batch import BatchJob, Binarize, Upscale, run
from flowkit.cli import main
from flowkit.errors import FlowkitError, ImageError
from flowkit.pages import binarize, clean, read_layout

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
  <Page imageFilename="a.png" imageWidth="60" imageHeight="40">
    <Border><Coords points="5,0 59,0 59,39 5,39"/></Border>
    <ReadingOrder><OrderedGroup><RegionRefIndexed regionRef="r1"/></OrderedGroup></ReadingOrder>
    <TextRegion id="r1"><Coords points="0,5 29,5 29,14 0,14"/>
      <TextLine id="l1"><Coords points="0,0 59,0 59,39 0,39"/></TextLine>
    </TextRegion>
    <ImageRegion id="r2"><Coords points="40,20 49,20 49,29 40,29"/></ImageRegion>
    <NoiseRegion id="r3"><Coords points="10,5 14,5 14,9 10,9"/></NoiseRegion>
  </Page>
</PcGts>"""
OLD = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2010-03-19">
  <Page imageFilename="a.png" imageWidth="60" imageHeight="40">
    <Border><Coords>
      <Point x="5" y="0"/><Point x="59" y="0"/><Point x="59" y="39"/><Point x="5" y="39"/>
    </Coords></Border>
  </Page>
</PcGts>"""
ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#">
  <Description><MeasurementUnit>mm10</MeasurementUnit></Description>
  <Layout><Page ID="p" WIDTH="600" HEIGHT="400"><PrintSpace HPOS="0" VPOS="0" WIDTH="600" HEIGHT="400">
    {blocks}
  </PrintSpace></Page></Layout>
</alto>"""
BLOCKS = """<ComposedBlock><TextBlock HPOS="100" VPOS="50" WIDTH="190" HEIGHT="90"/></ComposedBlock>
    <Illustration ID="i" HPOS="0" VPOS="0" WIDTH="600" HEIGHT="400">
      <Shape><Polygon POINTS="400,200 490,200 490,290 400,290"/></Shape></Illustration>"""


def layout(tmp_path: Path, text: str):
    path = tmp_path / "a.xml"
    path.write_text(text)
    return read_layout(path)


def boxes(*corners: tuple[int, int, int, int]) -> np.ndarray:
    """Left, top, right and bottom of each, of 40 x 60 pixels."""
    mask = np.zeros((40, 60), bool)
    for left, top, right, bottom in corners:
        mask[top:bottom, left:right] = True
    return mask


def test_a_page_file(tmp_path):
    found = layout(tmp_path, PAGE)
    expected = boxes((5, 5, 30, 15), (40, 20, 50, 30)) & ~boxes((10, 5, 15, 10))
    np.testing.assert_array_equal(found.inside((40, 60)), expected)
    np.testing.assert_array_equal(found.of_pictures((40, 60)), boxes((40, 20, 50, 30)))


def test_a_page_file_with_points_and_no_regions(tmp_path):
    np.testing.assert_array_equal(layout(tmp_path, OLD).inside((40, 60)), boxes((5, 0, 60, 40)))


def test_an_alto_file_in_another_unit(tmp_path):
    found = layout(tmp_path, ALTO.format(blocks=BLOCKS))
    kept = found.inside((40, 60))
    # the last pixel of a box may be on either side
    assert (kept != boxes((10, 5, 30, 15), (40, 20, 50, 30))).sum() < 60
    assert (found.of_pictures((40, 60)) != boxes((40, 20, 50, 30))).sum() < 30
    assert layout(tmp_path, ALTO.format(blocks="")).inside((40, 60)).all()


def test_an_image_of_another_size(tmp_path):
    found = layout(tmp_path, PAGE)
    twice = found.inside((80, 120))
    assert abs(twice.mean() - found.inside((40, 60)).mean()) < 0.03
    with pytest.raises(
        ImageError, match=r"a\.xml: is the layout of a page of 60 x 40, and the image has 40 x 60"
    ):
        found.inside((60, 40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html/>", r"its root is <html>, expected <PcGts> \(PAGE\) or <alto> \(ALTO\)"),
        ("no xml", "is not a PAGE or ALTO file: syntax error"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><PcGts>&b;</PcGts>', "declares a document type"),
        ("<PcGts/>", "it has 0 elements <Page>, expected one"),
        ("<PcGts><Page imageWidth='4'/></PcGts>", "is damaged: an element has no imageHeight"),
        (
            PAGE.replace("40,20 49,20 49,29 40,29", "40,20 49,20"),
            'a ImageRegion has the points "40,20 49,20"',
        ),
        (PAGE.replace("40,20 49,20", "NaN,20 49,20"), 'a ImageRegion has the points "NaN'),
        (PAGE.replace('imageWidth="60"', 'imageWidth="0"'), "expected a size above 0"),
    ],
)
def test_what_is_no_layout(tmp_path, text, message):
    with pytest.raises(ImageError, match=message):
        layout(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ImageError, match=r"none\.xml: no such file, expected a PAGE or ALTO file"):
        read_layout(tmp_path / "none.xml")


def test_ink_outside_is_left_out_with_a_note(tmp_path, pixels, ink_checkpoint):
    found, page = layout(tmp_path, PAGE), pixels(40, 60, 0)
    options = {"model": ink_checkpoint, "samples": 3, "keep_samples": True, "scale": 1}
    whole, part = binarize(page, **options), binarize(page, **options, layout=found)
    inside = found.inside((40, 60))
    np.testing.assert_array_equal(part.binary, whole.binary & inside)
    np.testing.assert_array_equal(part.votes, whole.votes * inside)
    np.testing.assert_array_equal(part.samples, whole.samples & inside)
    share = 100 * (whole.binary & ~inside).sum() / whole.binary.sum()
    assert part.notes == (*whole.notes, f"{share:.1f} % of the ink is outside of the layout, and left out")
    with pytest.raises(ImageError, match="expected the same proportions"):
        binarize(pixels(60, 40, 0), **options, layout=found)


def test_a_clean_page_is_white_outside_and_keeps_its_pictures(tmp_path, pixels, ink_checkpoint):
    found, page = layout(tmp_path, PAGE), pixels(40, 60, 0)
    made = clean(page, model=ink_checkpoint, layout=found)
    inside, pictures = found.inside((40, 60)), found.of_pictures((40, 60))
    assert (made.image[~inside] == 255).all()
    np.testing.assert_array_equal(made.pictures, pictures)
    without = clean(page, model=ink_checkpoint, layout=found, pictures=False)
    assert made.image[pictures].std() > 10  # as the page was there
    difference = made.image[inside & ~pictures].astype(int) - without.image[inside & ~pictures]
    assert np.abs(difference).max() <= 4  # grey levels: the paper below the picture is another


def test_a_folder_of_layouts(tmp_path, pixels, write, ink_checkpoint, capsys):
    scans, layouts, out = (tmp_path / name for name in ("scans", "layouts", "out"))
    for name in ("a", "sub/b"):
        write(scans / f"{name}.png", pixels(40, 60, 1))
    (layouts / "sub").mkdir(parents=True)
    (layouts / "sub" / "b.xml").write_text(OLD)
    command = ["binarize", *map(str, (scans, "-o", out, "--layout", layouts, "--model", ink_checkpoint))]
    assert main(command) == 1
    assert f"{layouts / 'a.xml'}: no such file, expected a PAGE or ALTO file" in capsys.readouterr().err
    (layouts / "a.xml").write_text(PAGE)
    job = BatchJob([scans], out, Binarize(model=str(ink_checkpoint)), layout=layouts)
    with run(job) as pages:
        # both: what one page needs anew, all do
        assert [(record.status, len(record.notes) > 0) for record in pages] == [("done", True)] * 2
    with run(job) as pages:
        assert list(pages) == []


def test_places_that_hold_no_layouts(tmp_path, pixels, write, ink_checkpoint):
    scan = write(tmp_path / "a.png", pixels(40, 60, 1))
    (tmp_path / "a.xml").write_text(PAGE)
    task = Binarize(model=str(ink_checkpoint))
    for place, more, message in (
        ("none", {}, "none: no such file"),
        (
            "a.xml",
            {"out": tmp_path / "out/"},
            r"a\.xml: expected a folder of PAGE or ALTO files, as OUT is a",
        ),
        ("a.xml", {"task": Upscale()}, "layouts are for ink and clean pages"),
    ):
        given = {"out": tmp_path / "b.png", "task": task, **more}
        (tmp_path / "out").mkdir(exist_ok=True)
        with pytest.raises(FlowkitError, match=message):
            run(BatchJob([scan], **given, layout=tmp_path / place))
    with run(BatchJob([scan], tmp_path / "b.png", task, layout=tmp_path / "a.xml")) as pages:
        assert [record.status for record in pages] == ["done"]
