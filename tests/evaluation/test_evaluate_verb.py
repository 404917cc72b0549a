from __future__ import annotations

import json
import shutil
import statistics

import numpy as np
import pytest
from PIL import Image

from flowkit.cli import main
from flowkit.data import find_pairs, load_pages
from flowkit.evaluation.baselines import otsu
from flowkit.metrics import dibco
from flowkit.metrics.components import count


def scores_of(out) -> dict[tuple[str, str], dict[str, float]]:
    data = json.loads((out / "results" / "evaluation.json").read_text())
    return {(row["set"], row["by"]): row["mean"] for row in data["sets"]}


def test_a_model_beside_a_baseline_and_a_folder(checkpoint, drawn, tmp_path, capsys):
    file, out = str(checkpoint()), tmp_path / "out"
    folder = tmp_path / "elsewhere"
    shutil.copytree(drawn / "gt", folder)
    command = ["evaluate", file, "--data", str(drawn), "--baselines", f"otsu,{folder}", "--quiet"]
    assert main([*command, "--temperatures", "0,1", "--samples", "1,3", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    head, _, *rows = printed.splitlines()
    assert head.split() == ["page", "by", *dibco.SCORES]
    assert [row.split()[0] for row in rows[:10]] == ["0.png"] * 5 + ["1.png"] * 5
    found = scores_of(out)
    assert found[str(drawn), str(folder)]["f_measure"] == 100
    pages = load_pages(find_pairs([drawn]))
    expected = statistics.fmean(dibco.evaluate(otsu(page.image), page.ink)["fps"] for page in pages)
    assert found[str(drawn), "otsu"]["fps"] == pytest.approx(expected)
    text = (out / "results.md").read_text()
    assert "## Calibration and uncertainty" in text
    data = json.loads((out / "results" / "evaluation.json").read_text())
    [connected] = [part for part in data["parts"] if part["title"] == "Connected components"]
    assert [row["by"] for row in connected["rows"]][-2:] == ["otsu", str(folder)]
    truth = sum(count(page.ink) for page in pages)
    assert connected["rows"][-1] == {
        "set": str(drawn),
        "by": str(folder),
        "components": truth,
        **dict.fromkeys(("broken %", "merged %", "lost %", "made up %"), 0.0),
    }
    assert "No cross-entropy head on the same encoder stands beside these figures" in text
    assert "worst-tiles.png](" not in text
    assert "](results/evaluation-calibration.png)" in text
    assert "results/evaluation-worst-tiles.png: the 160 x 160 tiles of " in text
    for name in ("calibration", "worst-tiles"):
        with Image.open(out / "results" / f"evaluation-{name}.png") as picture:
            assert min(picture.size) > 100


def test_notes_of_the_reader_are_in_the_report(checkpoint, pixels, write, tmp_path):
    other = Image.fromarray(pixels(8, 8, 1))
    write(tmp_path / "set" / "img" / "a.tif", pixels(40, 48, 0), save_all=True, append_images=[other])
    write(tmp_path / "set" / "gt" / "a.png", np.eye(40, 48, dtype=np.uint8) * 255)
    command = ["evaluate", str(checkpoint()), "--data", str(tmp_path / "set"), "--quiet"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "results.md").read_text()
    assert f"{tmp_path / 'set'}/a.tif: holds 2 images, only the first is used." in text


def test_pages_that_were_trained_on_are_refused_before_any_is_scored(checkpoint, images, drawn, capsys):
    file = checkpoint(pages=images[1:])
    command = ["evaluate", str(file), "--data", str(drawn), "--quiet"]
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"flowkit: {drawn}/img/1.png: {file} was trained on this page; --allow-train scores it all the same\n"
    )
    assert main([*command, "--allow-train"]) == 0


def test_a_page_is_known_by_its_pixels_whatever_its_file(checkpoint, images, drawn, tmp_path, capsys):
    copies = tmp_path / "copies"
    shutil.copytree(drawn, copies)
    with Image.open(copies / "img" / "0.png") as image:
        image.save(copies / "img" / "renamed.webp", lossless=True)
    (copies / "img" / "0.png").unlink()
    (copies / "gt" / "0.png").rename(copies / "gt" / "renamed.png")
    assert main(["evaluate", str(checkpoint(pages=images[:1])), "--data", str(copies), "--quiet"]) == 2
    assert "renamed.webp: " in capsys.readouterr().err


def test_a_protocol_scores_its_test_sets_and_says_whether_the_model_kept_to_it(
    checkpoint, all_sets, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("FLOWKIT_DATA", str(all_sets))
    trained = [page.image for page in load_pages(find_pairs([all_sets / "dibco/2009", all_sets / "bickley"]))]
    out = tmp_path / "out"
    file = checkpoint(pages=trained)
    assert main(["evaluate", str(file), "--protocol", "fix", "--quiet", "--out", str(out)]) == 0
    assert {name for name, _ in scores_of(out)} == {
        f"dibco/{year}" for year in (2011, 2013, 2014, 2016, 2017, 2018)
    }
    sentence = (
        f"Of the 4 pages that {file} was trained on, 4 are among the 12 of the protocol's training sets, "
        "and 0 are not."
    )
    assert sentence in capsys.readouterr().out
    assert sentence in (out / "results.md").read_text()


def test_leaving_one_year_out_takes_a_model_for_each_year(checkpoint, all_sets, tmp_path, capsys):
    for year in (2009, 2010, 2011, 2012, 2013, 2014, 2016, 2017, 2018):
        others = [p for p in all_sets.glob("dibco/*/img/0.png") if str(year) not in str(p)]
        checkpoint(name=f"{year}.safetensors", pages=[np.asarray(Image.open(p)) for p in others], seed=year)
    command = ["evaluate", "--data", str(all_sets), "--protocol", "loyo", "--quiet"]
    out, template = tmp_path / "out", f"{tmp_path}/{{year}}.safetensors"
    assert main([*command, template, "--out", str(out)]) == 0
    found = scores_of(out)
    assert len(found) == 9
    assert {by for _, by in found} == {template}
    assert found["dibco/2009", template] != found["dibco/2010", template]
    capsys.readouterr()
    assert main([*command, f"{tmp_path}/2009.safetensors"]) == 2
    assert "expected {year} in the checkpoint's name" in capsys.readouterr().err
    shutil.copy(tmp_path / "2009.safetensors", tmp_path / "2010.safetensors")  # which has seen 2010
    assert main([*command, template]) == 2
    assert "dibco/2010/img/0.png: " in capsys.readouterr().err


def test_a_cross_entropy_head_stands_beside(
    checkpoint, binary_recipe, images, drawn, all_sets, tmp_path, capsys
):
    model, head = checkpoint(), checkpoint(name="head.safetensors", pages=images[:1], seed=1)
    scored = str(all_sets / "dibco/2011")
    out = tmp_path / "out"
    command = ["evaluate", str(model), "--data", scored, "--samples", "2", "--quiet", "--head", str(head)]
    assert main([*command, "--head-data", str(drawn), "--out", str(out)]) == 0
    text = (out / "results.md").read_text()
    assert f"{head}: trained by cross-entropy; log-odds " in text
    assert "fitted on pages that its training held back (1)." in text
    assert "No cross-entropy head" not in text
    parts = {
        part["title"]: part["rows"]
        for part in json.loads((out / "results" / "evaluation.json").read_text())["parts"]
    }
    for title in ("Calibration and uncertainty", "Samples of whole pages"):
        assert [row["by"] for row in parts[title]] == [f"{model}, T 1, 2 samples", str(head)]
    pieces = parts["Reliability of components"]
    assert {row["by"] for row in pieces} == {f"{model}, T 1, 2 samples", str(head)}
    assert "| energy score |" in text
    capsys.readouterr()
    # the pages that it is fitted on are as good as trained on
    assert main([*command[:3], str(drawn), *command[4:], "--head-data", str(drawn)]) == 2
    assert "1.png: " in capsys.readouterr().err
    assert main(command) == 2
    assert "--head needs --head-data" in capsys.readouterr().err
    assert main([*command[:-1], str(model), "--head-data", str(drawn)]) == 2
    assert "does not say which pages it was trained on" in capsys.readouterr().err
    wider = {**binary_recipe, "encoder": {"type": "unet", "widths": [4, 8]}}
    other = checkpoint(wider, "other.safetensors", pages=images[:1])
    assert main([*command[:-1], str(other), "--head-data", str(drawn)]) == 2
    assert "other.safetensors: its encoder is {" in capsys.readouterr().err
    seen = checkpoint(name="seen.safetensors", pages=images)
    assert main([*command[:-1], str(seen), "--head-data", str(drawn)]) == 2
    assert "train it with --validation 0.1" in capsys.readouterr().err
    went_on = checkpoint(name="on.safetensors", pages=images, last=images[:1])
    assert main([*command[:-1], str(went_on), "--head-data", str(drawn)]) == 0
    assert "1 of the pages held back were seen by earlier trainings" in capsys.readouterr().out


def test_a_broken_page_ends_the_run_before_it_begins(checkpoint, drawn, tmp_path, capsys):
    copies = tmp_path / "copies"
    shutil.copytree(drawn, copies)
    (copies / "img" / "0.png").write_bytes(b"\x89PNG no more")
    grey = Image.open(copies / "gt" / "1.png").convert("L").point(lambda level: 100 if level < 128 else 255)
    grey.save(copies / "gt" / "1.png")
    assert main(["evaluate", "otsu", "--data", str(copies), "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "0.png: not an image that can be read" in said.err
    assert "1.png: a truth has black (ink) and white pixels only, found grey ones" in said.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", "4", "--temperatures", "0"], "4 samples at temperature 0 are all the same"),
        (["--baselines", "sauvol"], 'did you mean "sauvola"'),
        (["--protocol", "fix"], "dibco/2011"),
        (["--out", __file__], f"{__file__}: cannot be made"),
        (["--ocr", "xx-no-language"], "tesseract"),
        (["--head", "nowhere.safetensors", "--head-data", "x"], "nowhere.safetensors: no such file"),
    ],
)
def test_wrong_use(options, message, checkpoint, drawn, capsys):
    if "--baselines" in options:
        pytest.importorskip("doxapy")
    assert main(["evaluate", str(checkpoint()), "--data", str(drawn), "--quiet", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", "0"], "expected 1 or more, got 0"),
        (["--samples", "1,x"], "argument --samples"),
        (["--temperatures", "-1"], "expected a temperature of 0 or more, got -1"),
        (["--temperatures", "hot"], "argument --temperatures"),
        (["--protocol", "best"], "invalid choice"),
    ],
)
def test_options_that_argparse_refuses(options, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "binarize", "--data", "x", *options])
    assert message in capsys.readouterr().err


def test_what_draws_no_samples_is_not_asked_for_any(drawn, capsys):
    assert main(["evaluate", "otsu", "--data", str(drawn), "--samples", "4"]) == 2
    assert "otsu is not a model: --temperatures and --samples do not apply" in capsys.readouterr().err


def test_data_have_no_default_without_a_protocol(capsys, monkeypatch):
    monkeypatch.delenv("FLOWKIT_DATA", raising=False)
    assert main(["evaluate", "otsu"]) == 2
    assert "--data is missing" in capsys.readouterr().err
    assert main(["evaluate", "otsu", "--protocol", "fix"]) == 2
    assert "--protocol fix needs one folder with all sets below it" in capsys.readouterr().err


@pytest.mark.slow
def test_otsu_has_the_published_scores_through_the_verb(data, tmp_path):
    folder = str(data / "dibco" / "2018")
    assert main(["evaluate", "otsu", "--data", folder, "--quiet", "--out", str(tmp_path)]) == 0
    means = scores_of(tmp_path)[folder, "otsu"]
    found = tuple(round(means[key], 2) for key in ("f_measure", "fps", "psnr", "drd"))
    assert found == (51.45, 53.05, 9.74, 59.07)
