from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from places import Place
from scans import PAGES, document, scan

from flowkit.batch import processes
from flowkit.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a tree of scans and a document."""
    monkeypatch.chdir(tmp_path)
    for i, place in enumerate(["1.png", "b/2.png", "b/c/3.tif", "b/c/.hidden.png", "b/notes.txt"]):
        path = Path("scans", place)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.touch()
        else:
            scan(i).save(path, dpi=(300, 300))
    document(Path("scans/book.tif"), PAGES - 3)
    return tmp_path


@pytest.fixture
def binarize(ink_checkpoint: Path) -> Callable[..., int]:
    return lambda *arguments: main(["binarize", *map(str, arguments), "--model", str(ink_checkpoint)])


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the processes of a run: to spawn one takes the seconds in which it imports torch."""
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(processes.multiprocessing, "get_context", lambda method: fork)


@pytest.fixture
def temporary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, empty."""
    path = folder / "tmp"
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    monkeypatch.setenv("TMPDIR", str(path))
    return path


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket `tests` in a store that speaks S3, on this machine: the beginning of its URLs."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    servers = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    server = servers.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("tests")
    yield "s3://tests"
    server.stop()
    fsspec.filesystem("s3").clear_instance_cache()


@pytest.fixture
def place(folder: Path, temporary: Path) -> Iterator[Callable[[str, str], Place]]:
    """A folder by its name, in a store by the protocol of its URLs; nothing may be left in temporary ones."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield lambda base, name: Place(f"{base}{folder / 'far' if base == 'file://' else ''}/{name}")
    memory.store.clear()
    # PyTorch makes a folder of its own there when it is first used
    assert [path for path in temporary.iterdir() if not path.name.startswith("torchinductor_")] == []
