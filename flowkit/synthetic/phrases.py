"""Text to set on a drawn page: sentences put together from short phrases, in the voice of an old register."""

from __future__ import annotations

import numpy as np

_WHEN = (
    "In the spring of that year", "On the third day", "Before the first frost", "At the feast of the harvest",
    "Some weeks after the flood", "In the same winter", "Toward evening", "When the river was low",
    "After the bells had rung", "Upon the following market day", "By candle light", "During the long rains",
)  # fmt: skip
_WHO = (
    "the miller and his two sons", "a ferryman from the lower bank", "the keeper of the granary",
    "an old clockmaker", "the widow at the north gate", "four masons and a carpenter",
    "the clerk of this parish", "a certain Johannes", "the wardens of the bridge", "our neighbour Agnes",
    "the master of the school", "several merchants of wool", "the beekeeper",
    "a travelling surveyor", "the younger gardener",
)  # fmt: skip
_DID = (
    "did carry", "measured and sold", "brought back", "laid claim to", "repaired with great care",
    "recorded in this book", "hid beneath the floor", "gave freely", "asked a fair price for",
    "counted twice", "delivered", "exchanged for salt", "did inspect", "promised to return", "set aside",
)  # fmt: skip
_WHAT = (
    "twelve barrels of cider", "a quantity of sound timber", "the keys of the lower mill",
    "six fathoms of rope", "the map of the common fields", "forty bushels of barley",
    "a copper kettle, much worn", "the old sundial", "nine ells of blue cloth",
    "the letters of the former owner", "a chest of iron nails", "three hives",
    "the stones left over from the tower", "a quire of good paper", "seventeen lambs",
    "the weights and scales",
)  # fmt: skip
_END = (
    "as the custom is in these parts", "which was witnessed by all present", "to the value of 24 shillings",
    "without any dispute", "and the matter was closed", "though few believed it afterwards",
    "in exchange for a year of free passage", "so that nobody should want for bread",
    "and this I have seen with my own eyes", "for which no receipt was given", "at a cost of 118 florins",
    "under the great lime tree", "according to the measure of the town", "and it was judged to be just",
)  # fmt: skip
_TITLES = (
    "Of Mills and Waters", "The Ferry Book", "A Register of Common Things", "On the Keeping of Bees",
    "The Second Chapter", "Accounts of the Bridge", "Of Weights and Measures", "The Orchard",
    "A Description of the Harbour", "Concerning Timber", "The Clockmaker", "Of Winds and Seasons",
)  # fmt: skip
_SUBTITLES = (
    "as it was told to the clerk", "with divers remarks", "the first part", "newly set in order",
    "for the use of this parish", "from the older books", "in the year 1738", "anno 1694",
)  # fmt: skip
_NOTES = (
    "see the map of the fields", "paid in full", "here a leaf is wanting", "compare the older book",
    "so also in the ledger", "doubtful", "written in another hand", "nota bene", "of the same year",
)  # fmt: skip


def _pick(rng: np.random.Generator, phrases: tuple[str, ...]) -> str:
    return phrases[int(rng.integers(len(phrases)))]


def sentence(rng: np.random.Generator) -> str:
    """Return one sentence, capitalised and ended with a full stop.

    >>> sentence(np.random.default_rng(0)).endswith(".")
    True
    """
    core = f"{_pick(rng, _WHO)} {_pick(rng, _DID)} {_pick(rng, _WHAT)}"
    if rng.random() < 0.6:
        core = f"{_pick(rng, _WHEN)} {core}"
    if rng.random() < 0.7:
        core = f"{core}, {_pick(rng, _END)}"
    if rng.random() < 0.25:
        core = f"{core}; and {_pick(rng, _WHO)} {_pick(rng, _DID)} {_pick(rng, _WHAT)}"
    return core[0].upper() + core[1:] + "."


def paragraph(rng: np.random.Generator) -> list[str]:
    """Return the words of a paragraph of two to five sentences."""
    return [word for _ in range(int(rng.integers(2, 6))) for word in sentence(rng).split()]


def title(rng: np.random.Generator) -> str:
    """Return the heading of a page."""
    return _pick(rng, _TITLES)


def subtitle(rng: np.random.Generator) -> str:
    """Return the smaller line below a heading."""
    return _pick(rng, _SUBTITLES)


def note(rng: np.random.Generator) -> list[str]:
    """Return the words of a marginal note."""
    return _pick(rng, _NOTES).split()


def with_long_s(word: str) -> str:
    """Return `word` in the spelling of old prints: every small s but a last one becomes the long s.

    >>> with_long_s("masses,")
    'maſſes,'
    """
    letters = list(word)
    for i, letter in enumerate(letters[:-1]):
        if letter == "s" and letters[i + 1].isalpha():
            letters[i] = "\u017f"
    return "".join(letters)
