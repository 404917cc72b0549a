"""Recipes with changed text: what `flowkit check` says, within the limits on time and memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

RECIPES = sorted(Path(__file__).parents[2].glob("recipes/*.yaml"))
VALUES = """
-1 0 1 1.5 1e999 -1e308 .nan 99999999999999999999 null true [] {} [1,2] {a:1} '' x $x $steps actnorm unet
split [[[[]]]] !!python/object:os.system *a &a @ 0x10 1_000 12:30 2026-11-30 ~ ? % | >
""".split()  # noqa: SIM905
MEMORY = 1_000_000_000  # bytes beyond what this process has


def changed(text: str, rng: random.Random) -> bytes:
    """Cut, with changed characters, with lines twice, elsewhere or gone, or with other values."""
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(lines))
        line = lines[place]
        kind = rng.random()
        if kind < 0.5 and ":" in line:
            key = line.rpartition(":")[0] if rng.random() < 0.3 else line.partition(":")[0]
            lines[place] = f"{key}: {rng.choice(VALUES)}"
        elif kind < 0.6:
            lines.insert(rng.randrange(len(lines)), line)
        elif kind < 0.7:
            lines[place] = " " * rng.randrange(9) + line.lstrip()
        elif kind < 0.8 and len(lines) > 1:
            del lines[place]
        elif line:
            at = rng.randrange(len(line))
            lines[place] = line[:at] + rng.choice("{}[]:,-#&*!|>'\"%@`0\t\0\x1b\x9bé9") + line[at + 1 :]
    data = bytearray("\n".join(lines).encode())
    if rng.random() < 0.1:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.1 else data)


@pytest.mark.slow
def test_changed_recipes(
    attempt: Callable[..., tuple[int, str]],
    fuzzed: Callable[[int], range],
    resident: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = {0: 0, 2: 0}
    for number in fuzzed(1):
        rng = random.Random(f"recipe {number}")
        Path("r.yaml").write_bytes(changed(rng.choice(RECIPES).read_text(), rng))
        status, said = attempt(["check", "r.yaml"], resident + MEMORY)
        assert status in found, (number, status, said)
        found[status] += 1
        assert all(c.isprintable() or c == "\n" for c in said), (number, said)
        assert status == 0 or "r.yaml" in said, (number, said)
    print(f"recipes: {found[0]} usable, {found[2]} refused")
