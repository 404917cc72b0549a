"""Scores and times of programs that binarize, side by side on one folder of pages with truths (img/, gt/).

    python docs/site/tools.py dibco/2014 --kraken /opt/kraken/bin/python

Writes `docs/results/tools.json`, of which `docs/site/tables.py` makes a table, and prints its rows. Times
are of the processor, so that other work on the machine counts little: all threads together, without what the
same program takes for one small page. A program that is not here is left out. kraken asks for another PyTorch
than flowkit, so that its Python is named.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from flowkit.images.reader import read
from flowkit.metrics.dibco import evaluate

OUT = Path(__file__).parents[1] / "results" / "tools.json"
SMALL = 64  # pixels a side of the page that shows what starting a program takes

DOXA = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from flowkit.evaluation.baselines import baseline
for path in sorted(Path(sys.argv[2]).glob("*.png")):
    ink = baseline(sys.argv[1])(np.asarray(Image.open(path).convert("RGB")))
    Image.fromarray(~ink).save(Path(sys.argv[3], path.name))
"""
KRAKEN = """
import sys
from pathlib import Path
from PIL import Image
from kraken.binarization import nlbin
for path in sorted(Path(sys.argv[1]).glob("*.png")):
    nlbin(Image.open(path)).save(Path(sys.argv[2], path.name))
"""
# Everything that moves or crops a page is off, so that it can be compared pixel by pixel.
UNPAPER = """
for page in "$0"/*.pgm; do
    unpaper --quiet --overwrite --no-deskew --no-mask-scan --no-mask-center --no-border-scan \\
        --no-border-align --no-wipe --type pbm "$page" "$1/$(basename "$page" .pgm).pbm"
done
"""


def commands(pages: Path, out: Path, kraken: str | None) -> dict[str, list[str]]:
    """Return how each program that is here binarizes a folder into another."""
    places = [str(pages), str(out)]
    flowkit = [sys.executable, "-m", "flowkit", "binarize", f"{pages}/*.png", "-o", str(out), "--quiet"]
    found = {f"doxapy {name}": [sys.executable, "-c", DOXA, name, *places] for name in ("sauvola", "wolf")}
    if shutil.which("unpaper"):
        found["unpaper"] = ["sh", "-c", UNPAPER, *places]
    if kraken is not None:
        found["kraken nlbin"] = [kraken, "-c", KRAKEN, *places]
    found["flowkit binarize-fix"] = [*flowkit, "--model", "binarize-fix", "--threads", "1"]
    return found


def timed(command: list[str]) -> float:
    """Run a command; return the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def score(out: Path, truths: Path) -> float:
    """Return the mean F-measure of the results in a folder."""
    values = []
    for path in sorted(truths.iterdir()):
        [made] = [found for found in out.iterdir() if found.stem == path.stem and found.suffix != ".jsonl"]
        ink, truth = (read(one).eight_bits()[..., 0] < 128 for one in (made, path))
        values.append(evaluate(ink, truth)["f_measure"])
    return float(np.mean(values))


def save(image: Image.Image, place: Path) -> None:
    """Write a page as colour for most programs, and as grey for unpaper."""
    image.save(place.with_suffix(".png"))
    image.convert("L").save(place.with_suffix(".pgm"))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("set", type=Path, metavar="SET")
    parser.add_argument("--kraken", metavar="PYTHON", help="the Python of an environment with kraken")
    args = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        pages, small = Path(scratch, "pages"), Path(scratch, "small")
        pages.mkdir()
        small.mkdir()
        pixels = 0
        for path in sorted((args.set / "img").iterdir()):
            image = Image.fromarray(read(path).rgb8())
            pixels += image.width * image.height
            save(image, pages / path.stem)
        save(image.crop((0, 0, SMALL, SMALL)), small / "small")
        for name in commands(pages, pages, args.kraken):
            took = []
            for folder in (small, pages):
                out = Path(scratch, f"{name} of {folder.name}")
                out.mkdir()
                took.append(timed(commands(folder, out, args.kraken)[name]))
            rows[name] = {"f_measure": score(out, args.set / "gt"), "seconds": took[1] - took[0]}
            print(name, rows[name])
    found = {"set": "/".join(args.set.parts[-2:]), "megapixels": pixels / 1e6, "rows": rows}
    OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
