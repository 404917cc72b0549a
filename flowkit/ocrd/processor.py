"""The processor: images of PAGE segments in, binarized AlternativeImages out."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from ocrd import Processor
from ocrd.decorators import ocrd_cli_options, ocrd_cli_wrap_processor
from ocrd.processor.ocrd_page_result import OcrdPageResult, OcrdPageResultImage
from ocrd_models.ocrd_page import AlternativeImageType, PageType
from ocrd_utils import config
from PIL import Image

if TYPE_CHECKING:
    from flowkit.flow import ConditionalFlow
    from flowkit.pages.working_scale import Scale

FEATURE = "binarized"
"""The class of the images in `AlternativeImage/@comments`."""


@dataclass(frozen=True)
class Segment:
    """A page, a region or a line: its image, what was done to that, and the working scale."""

    element: Any
    image: Image.Image
    features: str
    scale: Scale = "auto"

    @property
    def prefix(self) -> str:
        """Return what the names of its files begin with."""
        return "" if isinstance(self.element, PageType) else f"{self.element.id}."


class FlowkitBinarize(Processor):  # OCR-D prints this docstring with --help
    """
    Binarize the pages, regions or lines of PAGE files with a conditional normalizing flow.

    Read the image of each segment at the level of operation: of its AlternativeImages that are not binarized
    the one with the most features, or else the image of its parent, cropped and deskewed as annotated.
    Images of 1 bit stay as they are.

    Add the black and white image to the segment as AlternativeImage with the comment `binarized`, with the
    dpi of the original. With `probability`, write P(ink) beside it.
    """

    @property
    def metadata_filename(self) -> str:
        """Return the place of ocrd-tool.json in the package."""
        return "ocrd/ocrd-tool.json"

    @property
    def executable(self) -> str:
        """Return the key of the processor in ocrd-tool.json."""
        return "ocrd-flowkit-binarize"

    def setup(self) -> None:
        """Find the model, by its name or among OCR-D's resources; pages load it, in their own processes."""
        from flowkit.checkpoint import shipped_weights  # imports torch
        from flowkit.recipe.find import model_name

        name = self.parameter["model"]
        self.model = name if model_name(name) in shipped_weights() else self.resolve_resource(name)

    def list_all_resources(self) -> Iterator[str]:
        """Yield the names of models that ship with flowkit, and of files in OCR-D's resource folders."""
        from flowkit.checkpoint import shipped_weights
        from flowkit.recipe import read_recipe

        recipes = {name: read_recipe(name).resolved for name in shipped_weights()}
        yield from (name for name, recipe in recipes.items() if recipe["target"]["type"] == "binary")
        yield from super().list_all_resources()

    def process_page_pcgts(self, *input_pcgts: Any, page_id: str | None = None) -> OcrdPageResult:
        """Binarize the segments of one page.

        Raises:
            FlowkitError: a segment cannot be binarized.
        """
        pcgts = input_pcgts[0]
        result = OcrdPageResult(pcgts)
        for segment in self._segments(pcgts.get_Page(), page_id):
            result.images += self._binarized(segment)
        if not result.images:
            level = self.parameter["level-of-operation"]
            self.logger.warning("page %s has no %ss to binarize", page_id, level)
        return result

    def _segments(self, page: Any, page_id: str | None) -> Iterator[Segment]:
        """Yield the page, its regions or its lines."""
        level = self.parameter["level-of-operation"]
        image, coords, _ = self.workspace.image_from_page(page, page_id, feature_filter=FEATURE)
        if level == "page":
            yield Segment(page, image, coords["features"])
            return
        # a line or two do not tell how wide the strokes of print are; the page does
        scale = _scale(image)
        for region in page.get_AllRegions(classes=["Text", "Table"] if level == "region" else ["Text"]):
            part = self.workspace.image_from_segment(region, image, coords, feature_filter=FEATURE)
            if level == "region":
                yield Segment(region, part[0], part[1]["features"], scale)
                continue
            for line in region.get_TextLine():
                own, own_coords = self.workspace.image_from_segment(line, *part, feature_filter=FEATURE)
                yield Segment(line, own, own_coords["features"], scale)

    def _binarized(self, segment: Segment) -> Iterator[OcrdPageResultImage]:
        """Add the binarized image to a segment, and yield the images to be written."""
        ink, probability = self._ink(segment)
        features = [name for name in segment.features.split(",") if name]
        added = AlternativeImageType(comments=",".join([*features, FEATURE]))
        segment.element.add_AlternativeImage(added)
        for image, kind, reference in ((ink, "BIN", added), (probability, "INK", None)):
            if image is not None:
                if "dpi" in segment.image.info:
                    image.info["dpi"] = segment.image.info["dpi"]
                yield OcrdPageResultImage(image, f"{segment.prefix}IMG-{kind}", reference)

    def _ink(self, segment: Segment) -> tuple[Image.Image, Image.Image | None]:
        """Return a segment in black and white, and P(ink) where it is asked for."""
        if segment.image.mode == "1":
            return segment.image, None
        from flowkit.pages import binarize

        image, wanted = segment.image, self.parameter["probability"]
        threshold = self.parameter.get("threshold")
        page = binarize(
            image,
            model=_loaded(str(self.model)),
            decision="mode" if threshold is None else threshold,
            temperature=None if wanted or threshold is not None else 0,
            samples=int(self.parameter["samples"]) if wanted or threshold is not None else 1,
            max_pixels=image.width * image.height,  # OCR-D has decoded it
            scale=segment.scale,
        )
        for note in page.notes:
            self.logger.warning("%s", note)
        ink, probability = Image.fromarray(~page.binary), page.probability
        if not wanted or probability is None:
            return ink, None
        return ink, Image.fromarray(np.rint(255 * probability).astype(np.uint8))


def _scale(image: Image.Image) -> Scale:
    """Return the main working scale of a page."""
    from flowkit.pages import read
    from flowkit.pages.polarity import dark_on_light
    from flowkit.pages.strokes import strokes
    from flowkit.pages.working_scale import working_scales

    picture = read(image, max_pixels=image.width * image.height)
    return working_scales(strokes(dark_on_light(picture, "auto"))).scales[0]


@functools.lru_cache(maxsize=1)
def _loaded(model: str) -> ConditionalFlow:
    import torch

    from flowkit.pages.ink import load_binary

    # processes that OCR-D forks share the processor
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // max(1, config.OCRD_MAX_PARALLEL_PAGES)))
    return load_binary(model)


@click.command()
@ocrd_cli_options
def command(*args: Any, **kwargs: Any) -> Any:
    """Run the processor as OCR-D's command line describes it."""
    return ocrd_cli_wrap_processor(FlowkitBinarize, *args, **kwargs)
