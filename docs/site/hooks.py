"""What mkdocs has to know beside the pages of docs/: files elsewhere in the repository, and formulas.

The README is the home page; examples, recipes, the cards of models and the project's own files become pages,
so that links to them, which are written for readers of the repository, work on the site too. Formulas become
MathML when the site is built, and need no script.
"""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
TEXTS = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
TEXTS |= {
    f"flowkit/weights/{card.name}": f"weights/{card.name}" for card in ROOT.glob("flowkit/weights/*.md")
}
SHOWN = ("examples/*.py", "examples/*.yaml", "recipes/*.yaml")
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each file that lies outside of docs/."""
    for source, uri in TEXTS.items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text()))
    for path in (path for pattern in SHOWN for path in sorted(ROOT.glob(pattern))):
        language = {".py": "python", ".yaml": "yaml"}[path.suffix]
        text = f"# {path.relative_to(ROOT)}\n\n````{language}\n{path.read_text()}````\n"
        files.append(File.generated(config, f"{path.relative_to(ROOT).as_posix()}.md", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    uri = page.file.src_uri
    if page.file.generated_by and uri not in TEXTS.values():
        return markdown  # a file's text, as it is
    source = next((text for text, shown in TEXTS.items() if shown == uri), f"docs/{uri}")

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        there = TEXTS.get(target) or (
            target.removeprefix("docs/") if target.startswith("docs/") else f"{target}.md"
        )
        return posixpath.relpath(there, posixpath.dirname(uri) or ".")

    return LINK.sub(moved, markdown)


def on_page_content(content: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn formulas into MathML."""

    def drawn(formula: re.Match[str]) -> str:
        return convert(html.unescape(formula[2]), display="block" if formula[1] == "div" else "inline")

    return FORMULA.sub(drawn, content)
