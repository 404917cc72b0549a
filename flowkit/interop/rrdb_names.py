"""Weight names of the programs that train RRDB networks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# The modules outside the trunk's blocks; `up` is counted from the trunk's grid, from 1.
HEAD = ("conv_hr", "conv_last")


@dataclass(frozen=True)
class Scheme:
    """Names of an RRDB's convolutions. `b` counts blocks from 0, `r`, `k` and `u` from 1, as do the files.

    Attributes:
        sign: a name that only this scheme has.
    """

    sign: str
    dense: str
    last: str
    up: str
    conv_hr: str
    first: str = "conv_first"
    conv_last: str = "conv_last"

    def blocks(self, names: Iterable[str]) -> int:
        """Return the depth of a network with these names."""
        return 1 + _largest(self.dense, "{b}", names, default=-1)

    def ups(self, names: Iterable[str]) -> int:
        """Return the number of octaves by which a network with these names upsamples."""
        if self is OLD:
            # Its numbers count activations and upsamplers too: the last of 3 u + 4 is the image's.
            return max(0, (_largest("model.{u}", "{u}", names, default=4) - 4) // 3)
        return _largest(self.up, "{u}", names, default=0)

    def convolutions(self, blocks: int, ups: int) -> dict[str, str]:
        """Map flowkit's name of every convolution to this scheme's. `up.1` makes the first octave."""
        counts = {"blocks": blocks, "hr": 3 * ups + 2, "image": 3 * ups + 4}
        names = {"first": self.first}
        for b in range(blocks):
            for r in (1, 2, 3):
                for k in (1, 2, 3, 4, 5):
                    names[f"trunk.{b}.dense.{r - 1}.convs.{k - 1}"] = self.dense.format(b=b, r=r, k=k)
        names["last"] = self.last.format(**counts)
        names |= {f"up.{u}": self.up.format(u=u, place=3 * u) for u in range(1, ups + 1)}
        names |= {name: getattr(self, name).format(**counts) for name in HEAD}
        return names

    def weights(self, blocks: int, ups: int) -> dict[str, str]:
        """Map flowkit's name of every weight and bias to this scheme's."""
        convolutions = self.convolutions(blocks, ups).items()
        return {
            f"{our}.{part}": f"{name}.{part}" for our, name in convolutions for part in ("weight", "bias")
        }


ESRGAN = Scheme(
    sign="RRDB_trunk.",
    dense="RRDB_trunk.{b}.RDB{r}.conv{k}",
    last="trunk_conv",
    up="upconv{u}",
    conv_hr="HRconv",
)
BASICSR = Scheme(
    sign="body.", dense="body.{b}.rdb{r}.conv{k}", last="conv_body", up="conv_up{u}", conv_hr="conv_hr"
)
OLD = Scheme(
    sign="model.",
    dense="model.1.sub.{b}.RDB{r}.conv{k}.0",
    last="model.1.sub.{blocks}",
    up="model.{place}",
    conv_hr="model.{hr}",
    first="model.0",
    conv_last="model.{image}",
)


def recognise(names: Iterable[str]) -> Scheme:
    """Return the scheme of these names; ESRGAN's unless they match another."""
    found = list(names)
    return next((s for s in (OLD, BASICSR) if any(name.startswith(s.sign) for name in found)), ESRGAN)


def _largest(template: str, field: str, names: Iterable[str], default: int) -> int:
    """Return the largest number that names have at a template's field."""
    parts = re.split(r"(\{\w\})", template)
    number = {field: r"(\d{1,6})"}
    regex = "".join(number.get(p, r"\d+" if p.startswith("{") else re.escape(p)) for p in parts)
    found = (re.fullmatch(rf"{regex}\.(?:weight|bias)", name) for name in names)
    return max((int(match[1]) for match in found if match), default=default)
