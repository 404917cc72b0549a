"""A viewer of pages and results in the browser of this machine."""
