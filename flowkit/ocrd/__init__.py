"""An OCR-D processor, `ocrd-flowkit-binarize`: black ink on white paper for pages, regions or lines."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the processor on the command line; without OCR-D's core, say what to install."""
    try:
        from flowkit.ocrd.processor import command
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("flowkit"):
            raise
        sys.exit(f"ocrd-flowkit-binarize: {error}; install the extra ocrd: pip install 'flowkit-nf[ocrd]'")
    command()
