"""Plain data written as YAML that `flowkit.recipe.yaml_text` reads back as the same values."""

from __future__ import annotations

from typing import Any

import yaml

from flowkit.recipe.yaml_text import scalar


class _Dumper(yaml.SafeDumper):
    """A dumper without anchors, whose lists are indented."""

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
    """Write plain data as YAML; innermost lists and mappings on one line.

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
