"""Every example is short, and runs."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from flowkit import build, load
from flowkit.checkpoint import save, trained_on
from flowkit.cli import main
from flowkit.evaluation.ssn_baseline import load_ssn
from flowkit.pages import binarize

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a script in this process, which has imported torch already; what it printed."""
    monkeypatch.syspath_prepend(EXAMPLES)

    def run(script: str, *args: object) -> str:
        monkeypatch.setattr(sys, "argv", [script, *map(str, args)])
        torch.manual_seed(0)
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_short_and_explained(script):
    lines = script.read_text().splitlines()
    assert len(lines) <= 60
    assert lines[0].startswith('"""')


@pytest.mark.slow
def test_draw_and_binarize_a_page(tmp_path, run):
    page = tmp_path / "page.png"
    run("draw_page.py", page, "--width", 160, "--height", 120, "--seed", 1)
    out = run("binarize_page.py", page, "-o", tmp_path / "row.png", "--samples", 2)
    assert "% ink" in out
    with Image.open(tmp_path / "row.png") as row:
        assert row.size == (3 * 160 + 2 * 12, 120)


@pytest.mark.slow
def test_clean_a_page(tmp_path, run):
    out = run("clean_page.py", "-o", tmp_path / "row.png", "--width", 360)
    assert str(tmp_path / "row.png") in out
    with Image.open(tmp_path / "row.png") as row:
        assert row.size == (2 * 360 + 12, 360)
        before, after = (np.asarray(row.convert("L").crop((left, 0, left + 360, 360))) for left in (0, 372))
    assert np.median(before) < 250
    assert np.median(after) == 255


@pytest.mark.slow
def test_a_layer_of_ones_own(run, registry_restored, capsys):
    recipe, module = EXAMPLES / "custom_layer.yaml", EXAMPLES / "custom_layer.py"
    assert main(["check", str(recipe), "--import", str(module)]) == 0
    assert ": ok, 17 layers" in capsys.readouterr().out
    assert "layers, " in run("use_custom_layer.py")
    del sys.modules["custom_layer"]


@pytest.mark.slow
def test_bits_tell_a_bad_page_from_a_good_one(tmp_path, run):
    head, *lines = run("score_pages.py").splitlines()
    bits = {line[:24].strip(): float(line[24:].split()[0]) for line in lines}
    assert head.split() == ["image", "bits", "per", "pixel", "ink", "%"]
    assert bits["blank paper"] < bits["a page"] < bits["a bad page"]


@pytest.mark.slow
def test_readings_are_blended(tmp_path, run):
    lines = run("blend_readings.py", "-o", tmp_path / "readings.png").splitlines()
    dark = [float(line.split(":")[1].split("%")[0]) for line in lines[:-1]]
    assert dark == sorted(dark)
    assert (dark[0], dark[-1]) == (0, 100)
    assert 0 < dark[2] < 100
    with Image.open(tmp_path / "readings.png") as row:
        assert row.size == (6 * 128 + 5 * 8, 128)


@pytest.mark.slow
def test_both_figures(tmp_path, doubling_checkpoint, run):
    page = tmp_path / "page.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)).save(page)
    for number, pictures, model in ((1, 6, "binarize"), (2, 4, doubling_checkpoint)):
        figure = tmp_path / f"figure{number}.png"
        models = ["--models", model, model] if number == 2 else []
        assert run("figures.py", number, "--page", page, "-o", figure, *models) == f"{figure}\n"
        rows = max(1, len(models) - 1)
        with Image.open(figure) as sheet:
            assert sheet.size == (pictures * (56 + 8) - 8, rows * (40 + 8) - 8)


@pytest.mark.slow
def test_ink_from_low_resolution(tmp_path, drawn, perturb, run):
    small = ["vars.steps=1", "encoder.widths=[4, 4]"]
    one = tmp_path / "one.safetensors"
    save(perturb(build("super-resolve-binarize-x4", overrides=small)), one)
    lines = run("ink_from_low_resolution.py", drawn, "--one", one).splitlines()
    assert [line[:12].strip() for line in lines] == ["", "bicubic", "not reduced", "one flow"]
    floor, ceiling = (float(line[12:].split()[0]) for line in lines[1:3])
    assert floor < ceiling


def test_a_vote_of_transcripts():
    pytest.importorskip("rapidfuzz")
    vote = runpy.run_path(str(EXAMPLES / "vote_ocr.py"))["vote"]
    assert vote(["a cat sat"] * 3) == ("a cat sat", 1)
    assert vote(["a cat sat", "a cut sat", "o cat sat.", "a cat at"])[0] == "a cat sat"
    assert vote(["cat", "coat", "coats"])[0] == "coat"
    text, confidence = vote(["ab", "ac", "ab", "ac", "ab"])
    assert (text, confidence) == ("ab", (1 + 3 / 5) / 2)
    assert vote(["", ""]) == ("", 0)


@pytest.mark.slow
def test_ocr_by_vote(tmp_path, run):
    if shutil.which("tesseract") is None:
        pytest.skip("tesseract is not installed")
    pytest.importorskip("rapidfuzz")
    text = "The river runs to the north"
    line = Image.new("L", (560, 60), 235)
    ImageDraw.Draw(line).text((12, 12), text, 25, ImageFont.truetype(findfont("DejaVu Serif"), 30))
    line.save(tmp_path / "line.png")
    (tmp_path / "line.txt").write_text(text)
    out = run("vote_ocr.py", "--data", tmp_path, "--samples", 3).splitlines()
    assert out[0].startswith("line.png: confidence ")
    assert float(out[-1].removeprefix("vote: CER ").removesuffix(" %")) < 20


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train_binarize.py", "train_super_resolution.py"])
def test_small_runs_reach_their_bounds(script, tmp_path, run):
    assert "(bound " in run(script, tmp_path / "run")  # it fails where the bound is not reached
    assert (tmp_path / "run" / "samples.png").is_file()


def test_quickstart(run):
    lines = run("quickstart.py").splitlines()
    assert any("decoded again: True" in line for line in lines)
    bits = [float(line.split()[0]) for line in lines[-3:]]
    assert 0 < bits[0] < bits[2]  # the truth, and the truth upside down


def test_evaluate_a_page(run):
    out = run("evaluate_page.py", "--pages", 2, "--width", 120, "--height", 80, "--samples", 4)
    assert {line.split()[0] for line in out.splitlines() if line[:1].isalpha()} >= {"flowkit", "otsu"}
    assert "expected calibration error" in out


def test_other_libraries(run):
    lines = run("other_libraries.py").splitlines()
    ours, theirs, others = ([float(n) for n in re.findall(r"-\d+\.\d+", line)] for line in lines[1:4])
    assert len(ours) == 2
    torch.testing.assert_close(torch.tensor([theirs, others]), torch.tensor([ours, ours]))
    assert "bits per dimension" in lines[-1]


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Run an example of cells, small and for a few steps; the names that it leaves."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)

    def run(script: str, steps: int) -> dict:
        text, changed = re.subn(
            r"^SIDE, STEPS, BATCH = .*$",
            f"SIDE, STEPS, BATCH = 16, {steps}, 16",
            (EXAMPLES / script).read_text(),
            flags=re.MULTILINE,
        )
        assert changed == 1
        assert text.count("\n# %%") >= 4
        names: dict = {}
        exec(compile(text, script, "exec"), names)
        return names

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "bound", "shape"),
    [("colours.py", -2.6, (10, 7)), ("glow.py", -1.8, (10, 4))],
)
def test_images_that_are_no_documents(script, bound, shape, notebook):
    assert notebook(script, 40)["loss"] < bound
    with Image.open(script.replace(".py", ".png")) as picture:
        assert picture.size == tuple(3 * 16 * cells for cells in shape)


@pytest.mark.slow
def test_digits_of_a_class(notebook):
    names = notebook("digits.py", 120)
    assert names["loss"] < 0.5
    right = (names["scores"].argmax(0) == names["classes"]).float().mean()
    assert right > 0.25  # by chance 0.1
    with Image.open("digits.png") as picture:
        assert picture.size == (30 * 16, 24 * 16)


def test_super_resolve_by_a_flow(run, doubling_checkpoint, tmp_path):
    out = run("super_resolve.py", doubling_checkpoint, "-o", tmp_path / "row.png", "--samples", 2)
    assert "80 x 48 to 160 x 96, 2 samples" in out
    with Image.open(tmp_path / "row.png") as row:
        assert row.size == (7 * (160 + 8), 96)


def test_import_srflow(run, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES.parent / "tests" / "interop")
    from srflow_formulas import STACK, make_state

    torch.save(make_state(scale=4, levels=2, steps=1), tmp_path / "srflow.pth")
    places = ["-o", tmp_path / "row.png", "--save", tmp_path / "model.safetensors"]
    out = run("import_srflow.py", tmp_path / "srflow.pth", "--stack", *STACK, *places)
    assert "decode(encode(y)) is y to" in out
    assert load(tmp_path / "model.safetensors").scale == 4
    with Image.open(tmp_path / "row.png") as row:
        assert row.size == (4 * 192, 96)


@pytest.mark.slow
def test_train_a_stochastic_segmentation_network(run, tmp_path):
    recipe = {
        "version": 1,
        "target": {"type": "binary"},
        "encoder": {"type": "unet", "widths": [4, 6]},
        "flow": ["squeeze", "affine_injector"],
    }
    save(build(recipe), tmp_path / "model.safetensors")
    file = tmp_path / "ssn.safetensors"
    small = ("--steps", 2, "--patch", 32)
    assert "step 2: " in run("train_ssn.py", tmp_path / "model.safetensors", file, *small)
    before = load(tmp_path / "model.safetensors").encoder.state_dict()
    after = load_ssn(file).encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_train_readings(tmp_path, perturb, run):
    """Two folds of one drawn page each, and a model for verdicts."""
    verdict = {
        "version": 1,
        "target": {"type": "binary"},
        "encoder": {"type": "unet", "widths": [4, 5]},
        "flow": ["squeeze", {"type": "affine_injector", "hidden": 64, "kernel": 1}],
    }
    folds = []
    for seed, name in enumerate(("a", "b")):
        model = tmp_path / f"{name}.safetensors"
        save(perturb(build(verdict), amount=0.1), model)
        page, truth = tmp_path / name / "img" / "1.png", tmp_path / name / "gt" / "1.png"
        page.parent.mkdir(parents=True)
        truth.parent.mkdir()
        run("draw_page.py", page, "--width", 160, "--height", 128, "--seed", seed)
        page.with_name("1_truth.png").rename(truth)
        folds.append(f"{model}={tmp_path / name}")
    small = ["train.steps=2", "train.patch=64", "encoder.second.widths=[2, 2, 3, 3, 4]", "vars.hidden=4"]
    small += ["encoder.first.widths=[4, 5]", "encoder.first.contrast=[]", "encoder.first.gain=1.0"]
    first = tmp_path / "a.safetensors"
    run("train_readings.py", tmp_path / "run", "--folds", *folds, "--first", first, "--set", *small)
    found = tmp_path / "run" / "readings.safetensors"
    assert len(trained_on(found)) == 2
    page = binarize(tmp_path / "a" / "img" / "1.png", model=load(found), samples=3, keep_samples=True)
    assert page.samples.shape == (3, 128, 160)


def test_four_readings(tmp_path, run):
    figure = tmp_path / "readings.png"
    name, *shares = run("readings.py", "-o", figure).split()
    assert name == str(figure)
    assert len(set(shares)) == 4
    pixels = np.asarray(Image.open(figure))
    assert pixels.shape == (5 * 200 + 4 * 8, 480, 3)
    assert (pixels == (214, 40, 40)).all(2).sum() > 50
