from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from flowkit import registry
from flowkit.degradations import (
    PRESETS,
    Between,
    Compose,
    Degradation,
    Range,
    degradations_file,
    degradations_from,
    draw,
)
from flowkit.degradations.bare_paper import paper, without_ink
from flowkit.degradations.scan import drawn_pair, lay_ink
from flowkit.errors import DataError, FlowkitError, RecipeError
from flowkit.synthetic.page import draw_page

ALL = registry.names("degradation")
SINGLE = [name for name in ALL if name != "one_of"]
SPECS: dict[str, list[Any]] = {name: [name] for name in SINGLE}
SPECS["one_of"] = [{"type": "one_of", "of": SINGLE}]
SPECS |= PRESETS


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def page() -> tuple[np.ndarray, np.ndarray]:
    ink = draw_page(160, 120, rng(3), text_size=30)
    image = np.where(ink[..., None], 0.15, np.array([0.85, 0.8, 0.7])).astype(np.float32)
    return image, ink


def striped() -> np.ndarray:
    other = np.full((50, 90, 3), 0.9, np.float32)
    other[:, ::7] = 0.1
    return other


@pytest.mark.parametrize("name", SPECS)
def test_each_repeats_itself_does_something_and_leaves_its_input_alone(name: str, page: Any) -> None:
    image, ink = page
    degrade, before = degradations_from(SPECS[name]), image.copy()
    first, again = (degrade(image, rng(7), ink=ink, other=striped) for _ in range(2))
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(first, again)
    seen = [degrade(image, rng(seed), ink=ink, other=striped) for seed in range(8)]
    assert all(out.shape == image.shape and out.dtype == np.float32 for out in seen)
    assert all(out.min() >= 0 and out.max() <= 1 for out in seen)
    assert max(np.abs(out - image).max() for out in seen) > 0.02
    if name != "grey":
        assert len({out.tobytes() for out in seen}) > 1


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (1, 90), (33, 65)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_any_size_black_or_white(name: str, shape: tuple[int, int], value: float) -> None:
    image = np.full((*shape, 3), value, np.float32)
    degrade = degradations_from(SPECS[name])
    for seed, ink in enumerate([None, np.ones(shape, bool), np.zeros(shape, bool)]):
        out = degrade(image, rng(seed), ink=ink)
        assert out.shape == image.shape
        assert np.isfinite(out).all()


@pytest.mark.parametrize("name", SINGLE)
def test_ink_stays_where_it_is(name: str) -> None:
    """Bars that are darkest in their middle: shifted by a pixel they would fit the result worse."""
    ink = np.zeros((120, 120), bool)
    for start in range(10, 110, 20):
        ink[start : start + 6, 10:50] = True
        ink[10:110, start // 2 + 60 : start // 2 + 64] = True
    clean = np.where(ink[..., None], 0.1, 0.9).astype(np.float32).repeat(3, 2)
    degrade = degradations_from([name])
    mean = np.mean([degrade(clean, rng(seed), ink=ink, other=striped) for seed in range(12)], axis=(0, 3))

    def fit(down: int, right: int) -> float:
        return float(np.corrcoef(np.roll(ink, (down, right), (0, 1)).ravel(), mean.ravel())[0, 1])

    shifts = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    assert min(shifts, key=lambda shift: fit(*shift)) == (0, 0)
    assert fit(0, 0) < -0.5


def test_probability_is_the_share_of_images_that_change(page: Any) -> None:
    image, _ = page
    degrade = degradations_from([{"type": "tint", "probability": 0.25}])
    generator = rng()
    changed = sum(degrade(image, generator) is not image for _ in range(400))
    assert 70 < changed < 130


def test_steps_act_in_their_order() -> None:
    image = np.full((4, 4, 3), 0.5, np.float32)
    darker = {"type": "gamma", "gamma": [2, 2]}
    lighter = {"type": "contrast", "contrast": [1, 1], "brightness": [0.3, 0.3]}
    np.testing.assert_allclose(degradations_from([darker, lighter])(image, rng()), 0.55, atol=1e-6)
    np.testing.assert_allclose(degradations_from([lighter, darker])(image, rng()), 0.64, atol=1e-6)


def test_one_of_takes_each_at_times_and_hands_on_what_it_knows(page: Any) -> None:
    image, ink = page
    low = {"type": "contrast", "contrast": [1, 1], "brightness": [-0.2, -0.2]}
    high = {"type": "contrast", "contrast": [1, 1], "brightness": [0.1, 0.1]}
    degrade = degradations_from([{"type": "one_of", "of": [low, high]}])
    moved = {round(float(degrade(image, rng(seed))[0, 0, 0] - image[0, 0, 0]), 3) for seed in range(30)}
    assert moved == {-0.2, 0.1}
    alone, inside = (degradations_from([spec]) for spec in ("fade", {"type": "one_of", "of": ["fade"]}))
    paper_only = np.zeros_like(ink)
    np.testing.assert_array_equal(inside(image, rng(), ink=paper_only), image)
    assert not np.array_equal(alone(image, rng()), image)
    moved = degradations_from([{"type": "one_of", "of": ["other_paper"]}])
    sheet = np.full_like(image, 0.5)
    np.testing.assert_array_equal(moved(image, rng(), ink=paper_only, paper=lambda: sheet), sheet)


def test_the_other_page_shows_through_mirrored_and_only_darkens() -> None:
    recto = np.full((40, 60, 3), 0.8, np.float32)
    verso = np.full((40, 60, 3), 0.9, np.float32)
    verso[:, :15] = 0.1
    for name in ("show_through", "bleed_through"):
        seen = degradations_from([name])(recto, rng(), other=lambda: verso)
        assert seen.max() <= 0.8 + 1e-4
        assert seen[:, 48:].mean() < seen[:, :30].mean() - 0.05


def test_bleed_through_reaches_the_darkness_of_ink(page: Any) -> None:
    blank = np.full((200, 200, 3), 0.9, np.float32)
    degrade = degradations_from(["bleed_through"])
    darkest = [np.quantile(degrade(blank, rng(seed)), 0.01) for seed in range(12)]
    assert min(darkest) < 0.35
    assert max(darkest) > 0.5


@pytest.mark.parametrize("name", ["fade", "worn_ink"])
def test_pale_ink_is_nearer_to_the_paper_and_never_gone(name: str, page: Any) -> None:
    image, ink = page
    outs = [degradations_from([name])(image, rng(seed), ink=ink) for seed in range(10)]
    for out in outs:
        assert (out >= image - 1e-6).all()
        assert out[ink].mean() < out[~ink].mean() - 0.05
    assert np.mean([out[ink].mean() for out in outs]) > image[ink].mean() + 0.05


def test_the_truth_of_drawn_pairs_hugs_the_visible_ink() -> None:
    excess_visible, excess_drawn = [], []
    for seed in range(6):
        drawn = draw_page(240, 200, rng(seed), text_size=28)
        page, visible = lay_ink(np.full((200, 240, 3), 0.9, np.float32), drawn, rng(seed), 1.0)
        # the strokes' own edge: half-way between the paper and the darkest ink within two pixels
        grey = Image.fromarray(np.round(255 * page.mean(axis=2)).astype(np.uint8))
        core = np.asarray(grey.filter(ImageFilter.MinFilter(5)), np.float32)
        area = ((np.asarray(grey) < (0.9 * 255 + core) / 2) & (core < 200)).sum()
        excess_visible.append(visible.sum() / area - 1)
        excess_drawn.append(drawn.sum() / area - 1)
    assert np.mean(excess_drawn) < -0.03
    assert abs(np.mean(excess_visible)) < 0.02


def test_drawn_pairs_repeat_and_differ() -> None:
    first, again, other = (drawn_pair(rng(seed), 90, 130) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    image, ink = drawn_pair(rng(4), 130, 90, [])
    assert image.shape == (130, 90, 3)
    assert image[ink].mean() < image[~ink].mean() - 40


def test_options_have_defaults_that_pass_their_own_checks() -> None:
    for name in SINGLE:
        made: Any = registry.get("degradation", name)()
        assert isinstance(made, Degradation)
        assert {field.name for field in fields(made)} == set(registry.options(type(made)))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (["stains"], r'unknown degradation "stains"; did you mean "stain"\?\n  at .*degradations\[0\]'),
        ([{"type": "jpeg", "qualty": [1, 2]}], r'has no option "qualty"; did you mean "quality"\?'),
        (
            [{"type": "jpeg", "quality": 50}],
            r'option "quality" of degradation "jpeg" must be \[float, float\]',
        ),
        (["grey", {"type": "jpeg", "quality": [50, 101]}], r"within 1 to 100, got \[50.0, 101.0\]\n.*\[1\]"),
        ([{"type": "stain", "count": [4, 1]}], r"low <= high, got \[4, 1\]"),
        ([{"type": "stain", "count": [0.5, 1]}], r'option "count"'),
        ([{"type": "grey", "probability": 1.5}], "probability must be within 0 to 1, got 1.5"),
        ([{"type": "grey", "probability": float("nan")}], "probability must be within 0 to 1"),
        ([{"quality": [1, 2]}], 'a degradation needs "type"'),
        ([{"type": "one_of"}], 'needs option "of"'),
        ([{"type": "one_of", "of": []}], "at least one"),
        ([{"type": "one_of", "of": ["jepg"]}], r'did you mean "jpeg"\?\n  at .*\[0\].of\[0\]'),
        ([3], 'must be a degradation\'s name or a mapping with "type"'),
        (["jepg", {"type": "jpeg", "quality": [50, 101]}], r'"jpeg"\?\n.*\n.*within 1 to 100'),
        ({"type": "jpeg"}, "must be a list of degradations"),
    ],
)
def test_a_wrong_list_is_explained(spec: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        degradations_from(spec)


def test_an_unknown_preset_is_explained() -> None:
    with pytest.raises(DataError, match='unknown preset "archiv"; did you mean "archive"'):
        degradations_from("archiv")


def test_a_file_is_read_and_its_errors_have_lines(tmp_path: Any) -> None:
    file = tmp_path / "worse.yaml"
    file.write_text("degradations:\n  - grey\n  - {type: jpeg, quality: [20, 30]}\n")
    assert [type(step).__name__ for step in degradations_file(file).steps] == ["Grey", "Jpeg"]
    file.write_text("degradations:\n  - grey\n  - {type: jpg}\nmore: 1\n")
    with pytest.raises(FlowkitError, match=r"worse.yaml:3: degradations\[1\].type") as caught:
        degradations_file(file)
    assert 'no key "more"' in str(caught.value)


def test_a_degradation_of_ones_own() -> None:
    @registry.register("test_haze")
    @dataclass(frozen=True, kw_only=True)
    class Haze(Degradation):
        amount: Annotated[Range, Between(0, 1)] = (0.5, 0.5)

        def apply(self, image: Any, scene: Any) -> Any:
            return image + (1 - image) * draw(scene.rng, self.amount)

    try:
        compose = degradations_from(["test_haze"])
        assert isinstance(compose, Compose)
        np.testing.assert_allclose(compose(np.zeros((2, 2, 3), np.float32), rng()), 0.5)
        with pytest.raises(RecipeError, match="Haze: amount must be within 0 to 1"):
            degradations_from([{"type": "test_haze", "amount": [0, 2]}])
    finally:
        del registry._entries["degradation"]["test_haze"]


def test_paper_of_any_strength_is_an_image() -> None:
    for strength in (0.0, 1.2):
        sheet = paper((20, 31), rng(), strength)
        assert sheet.shape == (20, 31, 3)
        assert sheet.min() >= 0
        assert sheet.max() <= 1


def test_ink_moves_to_the_paper_of_another_page(page: Any) -> None:
    image, ink = page
    stained = image * np.where(np.arange(image.shape[0])[:, None, None] < 40, np.float32(0.6), 1)
    sheet = np.linspace(0.5, 0.9, image.shape[1], dtype=np.float32)[:, None].repeat(3, 1)
    sheet = np.broadcast_to(sheet, image.shape)
    away = np.asarray(Image.fromarray(ink).filter(ImageFilter.MaxFilter(13))) == 0
    move = degradations_from([{"type": "other_paper", "density": [1, 1]}])
    moved = move(stained, rng(), ink=ink, paper=lambda: sheet)
    np.testing.assert_allclose(moved[away], sheet[away], atol=1e-6)
    # ink lets through what it let through on its own paper, stained or not
    own = np.array([0.85, 0.8, 0.7])
    np.testing.assert_allclose((moved / sheet)[ink].mean(0), 0.15 / own, atol=0.02)
    paler = degradations_from([{"type": "other_paper", "density": [0.5, 0.5]}])
    half = paler(stained, rng(), ink=ink, paper=lambda: sheet)
    np.testing.assert_allclose((half / sheet)[ink].mean(0), (0.15 / own) ** 0.5, atol=0.03)


def test_paper_without_its_ink_goes_on_under_it() -> None:
    ink = draw_page(160, 120, rng(3), text_size=30)
    slope = np.linspace(0.6, 0.9, 160, dtype=np.float32)[None, :, None]
    sheet = slope * np.ones((120, 1, 3), np.float32)
    soft = np.asarray(Image.fromarray(ink).convert("L").filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    written = sheet * (1 - 0.8 * soft[..., None] / 255)
    left = without_ink(written, ink, rng())
    assert np.abs(left - sheet).mean() < 0.01
    assert np.abs(left - sheet).max() < 0.1
    assert np.abs(written - sheet).max() > 0.4
    # another seed, other grain, and only under the ink
    grainy = written + 0.02 * rng(1).standard_normal((120, 160, 1), np.float32)
    first, second = (without_ink(grainy, ink, rng(seed)) for seed in (0, 1))
    away = np.asarray(Image.fromarray(ink).filter(ImageFilter.MaxFilter(13))) == 0
    np.testing.assert_allclose(first[away], second[away], atol=1e-6)
    assert (first[ink] - left[ink]).std() > 0.01
    assert not np.array_equal(first[ink], second[ink])
