"""Plain YAML scalars by the rules of YAML 1.2 (core schema), read and written.

PyYAML reads by YAML 1.1, where `1e-4` is text, `on` is true, `12:30` is 750 and `010` is 8. Here:

    null, ~, nothing            None
    true, false                 bool (also True, TRUE, ...); yes, no, on, off are text
    12, -3, 010, 200_000        int, always decimal (010 is 10); 0x1F and 0o17 too; at most 64 bits
    1e-4, .5, 2., .inf, .nan    float
    everything else             text: 12:30 and 2024-01-01 too
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def scalar(text: str) -> bool | int | float | str | None:
    """The value of a plain (unquoted) scalar.

    Raises:
        ValueError: a whole number that does not fit into 64 bits.

    >>> [scalar(text) for text in ("1e-4", "200_000", "on", "12:30", "010")]
    [0.0001, 200000, 'on', '12:30', 10]
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        base = {"0x": 16, "0o": 8}.get(text[:2], 10)
        # Python itself refuses to convert thousands of digits: look at the length first.
        if len(text) > 80 or not fits(number := int(text, base)):
            raise ValueError(f"the number {text[:20]}{'...' * (len(text) > 20)} does not fit into 64 bits")
        return number
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def fits(number: int) -> bool:
    """Whether a whole number fits into 64 bits, the most that torch takes."""
    return -(2**63) <= number < 2**63


class _Dumper(yaml.SafeDumper):
    """Writes so that `scalar` reads the same values back; no anchors, lists indented under their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML quotes what YAML 1.1 would misread; `1e-4` as text is what only YAML 1.2 would.
    try:
        plain = isinstance(scalar(text), str)
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else "'")


_Dumper.add_representer(str, _represent_str)


def dump(data: dict[str, Any]) -> str:
    """YAML text of plain data; innermost lists and mappings on one line.

    >>> print(dump({"name": "1e-4", "flow": ["squeeze", {"type": "split", "eps": 1e-4}]}), end="")
    name: '1e-4'
    flow:
      - squeeze
      - {type: split, eps: 0.0001}
    """
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100
    )
    return text
