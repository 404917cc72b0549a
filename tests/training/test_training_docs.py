"""docs/reference/training.md against the code."""

from __future__ import annotations

import re
from pathlib import Path

from flowkit.recipe import TrainOptions

DOCS = (Path(__file__).parents[2] / "docs" / "reference" / "training.md").read_text()


def test_every_train_option_is_in_the_table_with_its_default():
    defaults = TrainOptions()
    section = DOCS.partition("## Options")[2].partition("\n## ")[0]
    written = re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", section, re.MULTILINE)
    assert dict(written) == {name: str(value) for name, value in vars(defaults).items()} | {
        "schedule": "'cosine'",
        "precision": "'float32'",
    }
