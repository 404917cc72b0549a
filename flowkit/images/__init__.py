"""Image files: reading, writing, colour, resolution, and documents of many pages (TIFF, PDF)."""
