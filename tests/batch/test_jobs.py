from __future__ import annotations

import pytest

from flowkit.batch import BatchJob, Binarize, jobs
from flowkit.cli import main
from flowkit.pages.memory import MEMORY


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of 8 cores, whose memory is written into files as Linux does."""
    monkeypatch.setattr(jobs, "cores", lambda: 8)
    monkeypatch.setattr(jobs, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(jobs, "_GROUP", tmp_path)
    return tmp_path


def job_of(**options):
    return BatchJob(["a.png"], "out", Binarize(memory=options.pop("memory", MEMORY)), **options)


@pytest.mark.parametrize(
    ("memory", "pages", "expected"),
    [
        (100 * MEMORY, 1000, 8),
        (100 * MEMORY, 3, 3),
        (5 * MEMORY + 17, 1000, 5),
        (MEMORY, 1000, 1),
        (MEMORY // 2, 1000, 1),
        (100 * MEMORY, 0, 1),
    ],
)
def test_as_many_as_cores_pages_and_memory_allow(machine, memory, pages, expected):
    job = jobs.settled(job_of(memory=memory, jobs="auto"), pages)
    assert job.jobs == expected
    assert job.task.memory == memory // expected


def test_a_number_stays(machine):
    job = job_of(jobs=11)
    assert jobs.settled(job, 3) is job


@pytest.mark.parametrize(
    ("meminfo", "most", "current", "expected"),
    [
        (None, None, None, MEMORY),  # not Linux
        (9 * MEMORY, None, None, 9 * MEMORY),
        (9 * MEMORY, "max", "5", 9 * MEMORY),
        (9 * MEMORY, str(6 * MEMORY), str(2 * MEMORY), 4 * MEMORY),
        (3 * MEMORY, str(6 * MEMORY), str(2 * MEMORY), 3 * MEMORY),
        (9 * MEMORY, str(MEMORY), str(MEMORY - 5), MEMORY),  # one process runs, whatever there is
    ],
)
def test_the_memory_that_is_free(machine, meminfo, most, current, expected):
    if meminfo is not None:
        (machine / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {meminfo // 1024} kB\n")
    if most is not None:
        (machine / "memory.max").write_text(f"{most}\n")
        (machine / "memory.current").write_text(f"{current}\n")
    assert jobs.free_memory() == expected // 1024 * 1024


@pytest.mark.parametrize(("given", "whole"), [([], 3 * MEMORY), (["--memory", "6.5GB"], 6_500_000_000)])
def test_the_command_line_hands_all_the_memory_on(machine, monkeypatch, given, whole):
    """Without --memory, what is free: how many pages share it is not known yet."""
    seen = []
    monkeypatch.setattr("flowkit.cli.pages.free_memory", lambda: 3 * MEMORY)
    monkeypatch.setattr("flowkit.cli.pages.run", lambda job, progress: seen.append(job) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["binarize", "a.png", "b.png", "-o", "out", "--jobs", "auto", *given])
    [job] = seen
    assert job.jobs == "auto"
    assert job.task.memory == whole


def test_a_cluster_has_no_auto(tmp_path, capsys):
    argv = ["binarize", "a.png", "-o", str(tmp_path / "out"), "--engine", "ray", "--jobs", "auto"]
    assert main(argv) == 2
    assert "--jobs auto is for this machine; expected a number with --engine ray" in capsys.readouterr().err
