"""Four readings of one page: what all of sixteen samples have is black, what only some have is red.

python examples/readings.py [PAGE] [--model MODEL] [--seed N] [-o FILE]

Without PAGE, a page is drawn whose ink fades to one side.
"""

import argparse

import numpy as np
from PIL import Image

from flowkit import load
from flowkit.degradations.scan import degrade
from flowkit.errors import FlowkitError
from flowkit.pages import binarize, read
from flowkit.synthetic.page import draw_page

SHOWN, SAMPLES, GAP, RED = 4, 16, 8, (214, 40, 40)


def faded_page(seed: int) -> np.ndarray:
    """Draw a page whose ink fades from left to right, on old paper."""
    rng = np.random.default_rng(seed)
    truth = draw_page(480, 200, rng, text_size=24)
    page = degrade(truth, rng, 0.6).astype(np.float64)
    faded, paper = np.linspace(0, 0.92, page.shape[1])[:, None] ** 1.5, np.percentile(page, 60)
    return np.uint8(page + faded * (paper - page) * (page < paper))


def coloured(sample: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Return a sample as an image, with what it does not share with all others in red."""
    image = np.full((*sample.shape, 3), 255, np.uint8)
    image[sample] = RED
    image[common] = 0
    return image


def main() -> None:
    """Read the command line, write the figure, print the readings' shares of ink."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", nargs="?")
    parser.add_argument("--model", default="readings")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("-o", "--out", metavar="FILE", default="readings.png")
    args = parser.parse_args()
    try:
        page = read(args.page).pixels if args.page else faded_page(args.seed)
        found = binarize(page, model=load(args.model), samples=SAMPLES, keep_samples=True, seed=args.seed)
    except (FlowkitError, OSError) as error:
        parser.error(str(error))
    shown = np.asarray(Image.fromarray(page.squeeze()).convert("RGB"))
    rows = [shown, *(coloured(sample, found.samples.all(0)) for sample in found.samples[:SHOWN])]
    image = np.concatenate([np.pad(row, ((0, GAP), (0, 0), (0, 0)), constant_values=255) for row in rows])
    Image.fromarray(image[:-GAP]).save(args.out)
    print(args.out, *(f"{sample.mean():.2%}" for sample in found.samples[:SHOWN]))


if __name__ == "__main__":
    main()
