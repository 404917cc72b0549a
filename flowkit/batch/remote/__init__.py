"""Batches whose files are at URLs: storage, placeholders, uploads."""
