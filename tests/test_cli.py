from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from flowkit.cli import VERBS, main
from flowkit.errors import FlowkitError

TRAIN = ["train", "binarize", "--data", "x", "--out", "y"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert f"flowkit {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["paint"],
        ["train", "binarize"],
        ["env", "--no-such-option"],
        [*TRAIN, "--threads", "-1"],
        [*TRAIN, "--threads", "1" + "0" * 30],
    ],
)
def test_wrong_use_exits_with_2(argv, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert "usage: flowkit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (FlowkitError("page.png: no such file"), 2, "flowkit: page.png: no such file\n"),
        (OSError(36, "File name too long", "x.png"), 2, "flowkit: [Errno 36] File name too long: 'x.png'\n"),
        (MemoryError(), 2, "flowkit: out of memory\n"),
        (KeyboardInterrupt(), 130, "flowkit: interrupted\n"),
    ],
)
def test_errors_become_a_line_and_a_code(error, code, message, monkeypatch, capsys):
    def fail(args):
        raise error

    monkeypatch.setattr("flowkit.cli.env.run", fail)
    assert main(["env"]) == code
    assert capsys.readouterr().err == message


def test_env_says_what_matters_in_a_bug_report(capsys):
    assert main(["env"]) == 0
    out = capsys.readouterr().out
    for word in ("flowkit", "torch", "nflows", "normflows", "cuda devices", "super-resolve-x4"):
        assert word in out


def test_train_and_evaluate(drawn, tmp_path, capsys):
    shrunk = ["vars.steps=1", "vars.hidden=4", "encoder.widths=[4, 4]", "train.steps=2", "train.patch=32"]
    sets = [word for change in shrunk for word in ("--set", change)]
    run = str(tmp_path / "run")
    assert main(["train", "binarize", "--data", str(drawn), "--out", run, "--quiet", *sets]) == 0
    assert capsys.readouterr().out == f"{run}/model.safetensors: binarize, 2 steps\n"
    evaluate = ["evaluate", f"{run}/model.safetensors", "--data", str(drawn), "--quiet"]
    assert main(evaluate) == 2
    assert "0.png: " in (said := capsys.readouterr().err)
    assert "was trained on this page; --allow-train" in said
    assert main([*evaluate, "--allow-train"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split()[:4] == ["page", "by", "f_measure", "fps"]
    assert [row.split()[0] for row in rows[1:4]] == [str(drawn), "0.png", "1.png"]
    assert rows[4].startswith("mean of 2 ")
    assert main(["train", "binarise", "--data", str(drawn), "--out", run]) == 2
    assert 'did you mean "binarize"' in capsys.readouterr().err


def test_freed_memory_is_reused_on_glibc_unless_the_user_said_otherwise():
    """In a process of its own: large blocks, freed and asked for again, cost no more page faults."""
    script = """
import resource
import numpy as np
from flowkit.malloc import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

told = keep_freed_memory()
np.ones(10_000_000)
before = faults()
for _ in range(5):
    np.ones(10_000_000)
print(told, faults() - before)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}

    def run(**more):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment | more,
            capture_output=True,
            text=True,
            check=True,
        )
        told, faults = done.stdout.split()
        return told == "True", int(faults)

    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not glibc")
    told, faults = run()
    assert told
    told, more_faults = run(MALLOC_TOP_PAD_="131072")
    assert not told
    assert 10 * faults < more_faults
