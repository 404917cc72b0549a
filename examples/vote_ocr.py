"""OCR by vote: N samples of a line's binarization, N transcripts, and the characters most of them agree on.

python examples/vote_ocr.py --data FOLDER --language deu    # images of lines, a .txt beside each
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict

from rapidfuzz.distance import Levenshtein

from flowkit import load
from flowkit.evaluation.reading import find_texts, text_of
from flowkit.metrics.ocr import Tesseract, character_error_rate, normalised
from flowkit.pages import binarize


def vote(texts: list[str]) -> tuple[str, float]:
    """The characters that most transcripts have, and the mean share of those that have them.

    All are aligned to the one that is nearest to the others (as ROVER does with words; Fiscus, ASRU 1997).
    """
    pivot = min(texts, key=lambda one: sum(Levenshtein.distance(one, other) for other in texts))
    slots = [Counter[str]() for _ in range(2 * len(pivot) + 1)]  # a gap, a character, a gap, ...
    for text in texts:
        said = [""] * len(slots)
        for tag, start, end, first, last in Levenshtein.opcodes(pivot, text):
            if tag == "insert":
                said[2 * start] = text[first:last]
            elif tag != "delete":
                said[2 * start + 1 : 2 * end : 2] = text[first:last]
        for slot, characters in zip(slots, said, strict=True):
            slot[characters] += 1
    best = [slot.most_common(1)[0] for slot in slots if set(slot) != {""}]
    confidence = sum(count for _, count in best) / (len(texts) * max(1, len(best)))
    return "".join(characters for characters, _ in best), confidence


def main() -> None:
    """Read the command line; print what each line was voted to be, and the error rates of all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, metavar="FOLDER")
    parser.add_argument("--language", default="eng")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--lines", type=int)
    args = parser.parse_args()
    reader, model, pairs = Tesseract(args.language), load("binarize"), defaultdict(list)
    for image, _ in find_texts([args.data])[: args.lines]:
        truth, page = text_of(image), binarize(image, model=model, samples=args.samples, keep_samples=True)
        voted, confidence = vote(texts := [normalised(reader.read(ink)) for ink in page.samples])
        pairs["T 0"] += [(reader.read(binarize(image, model=model).binary), truth)]
        pairs["a sample"] += [(text, truth) for text in texts]
        pairs["vote"] += [(voted, truth)]
        print(f"{image.name}: confidence {confidence:.2f}, {voted}")
    print(*(f"{name}: CER {character_error_rate(own):.2f} %" for name, own in pairs.items()), sep="\n")


if __name__ == "__main__":
    main()
