"""Batches of pages: from files to files, with a report that can be resumed from."""
