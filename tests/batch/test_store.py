"""What a store says of a file, and paths in the place of URLs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from places import Places

from flowkit.batch.remote import store
from flowkit.batch.remote.placeholders import Mirror
from flowkit.errors import FlowkitError


def test_what_a_store_says_of_a_file(place: Places) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    ns = 1767323045678901000
    for value in (
        moment,
        moment.replace(tzinfo=None),
        moment.timestamp(),
        moment.isoformat(),
        "2026-01-02T03:04:05.678901Z",
    ):
        assert store._entry({"size": 3, "type": "file", "LastModified": value}).modified == ns
    assert store._entry({"size": None, "type": "file", "mtime": "soon"}) == store.Entry(0, 0, False)
    assert store.entry("memory://none") is None


def test_a_path_is_one_url(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    for url in (
        "s3://a/b c/1.png",
        "file:///a/é%20?.png",
        "memory://",
        "memory:///a",
        "arrow_hdfs://host:8020/a",
    ):
        assert mirror.url(mirror.path(url)) == url
        assert mirror.named(f"{mirror.path(url)}: empty") == f"{url}: empty"
    assert mirror.path("s3://a/b/") == mirror.path("s3://a/b")
    assert mirror.named(f"{tmp_path}/1-2/3 and {tmp_path}") == f"{tmp_path}/1-2/3 and {tmp_path}"


@pytest.mark.parametrize(
    "url", ["s3://..", "s3://../a", "memory://.", "s3://a/../b", "s3://a/./b", "s3://a//b"]
)
def test_parts_that_lead_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(FlowkitError, match=r"has a part that is empty, \. or \.\., expected names"):
        store.split(url)
    assert store.split("s3://..a/b..") == ("s3://", "..a/b..")
