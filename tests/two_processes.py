"""Two processes that find one another as those of torchrun do."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist

# Forked from a server that has imported torch and done nothing with it: from the process of the tests, whose
# threads have worked, a child may wait for ever; and to import torch anew takes seconds for each process.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["flowkit.cli.train", "flowkit.layers", "flowkit.encoders"])


def two_processes(folder: Path, do: Callable[..., object], *arguments: Any) -> list[str]:
    """Call a function of a module in two processes (gloo, on the CPU); what each of them wrote."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "tests",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    files = [folder / f"output_{rank}.txt" for rank in range(2)]
    both = []
    for rank, file in enumerate(files):
        environment = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        both.append(_SERVER.Process(target=_work, args=(environment, file, do, arguments)))
        both[-1].start()
    for process in both:
        process.join()
    said = [file.read_text() for file in files]
    assert [process.exitcode for process in both] == [0, 0], "\n".join(said)
    return said


def _work(environment: dict[str, str], file: Path, do: Callable[..., object], arguments: Any) -> None:
    os.environ.update(environment)
    output = os.open(file, os.O_WRONLY | os.O_CREAT)
    for number in (1, 2):
        os.dup2(output, number)
    sys.exit(do(*arguments))
