"""Batches whose files are at URLs: storage, placeholders, uploads."""

from __future__ import annotations

import os
from collections.abc import Iterable

from flowkit.batch.inputs import LIST
from flowkit.batch.remote import store
from flowkit.batch.remote.fsspec_storage import FsspecStorage
from flowkit.batch.storage import Storage

__all__ = ["FsspecStorage", "storage_for"]


def storage_for(places: Iterable[str | os.PathLike[str]]) -> Storage:
    """Return storage for places: fsspec's where one is a URL or a list of them, otherwise this machine's."""
    names = [os.fspath(place) for place in places]
    return FsspecStorage() if LIST in names or any(map(store.is_url, names)) else Storage()
