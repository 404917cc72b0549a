"""Models in folders and on a hub: a server on the loopback stands for it, and nothing else is asked."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from flowkit import build, load, save
from flowkit.checkpoint import TRAIN_PAGES, read_checkpoint, write_checkpoint
from flowkit.cli import main
from flowkit.errors import CheckpointError
from flowkit.hub import parse
from flowkit.pretrained import from_pretrained, save_pretrained

RECIPE = {
    "version": 1,
    "name": "tiny",
    "about": "Very small",
    "target": {"type": "binary"},
    "encoder": {"type": "unet", "widths": [4]},
    "flow": ["squeeze", "actnorm", "conv1x1", {"type": "affine_coupling", "hidden": 4}],
}


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load(path).state_dict()


def test_a_folder_is_a_model(tmp_path, perturb):
    model = perturb(build(RECIPE))
    save_pretrained(model, tmp_path / "deep" / "model")
    again = from_pretrained(tmp_path / "deep" / "model")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    card = (tmp_path / "deep" / "model" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: flowkit\n")
    assert "# tiny\n\nVery small\n" in card
    assert build(tmp_path / "deep" / "model" / "recipe.yaml").recipe == model.recipe


def test_the_pages_that_a_checkpoint_was_trained_on_and_its_card_go_along(tmp_path, perturb):
    path = tmp_path / "mine.safetensors"
    save(perturb(build(RECIPE)), path)
    tensors, metadata = read_checkpoint(path)
    write_checkpoint(path, tensors, metadata | {TRAIN_PAGES: '["abc"]', "progress": "{}"})
    path.with_suffix(".md").write_text("# Mine\n")
    save_pretrained(path, tmp_path / "folder")
    _, kept = read_checkpoint(tmp_path / "folder" / "model.safetensors")
    assert kept == metadata | {TRAIN_PAGES: '["abc"]'}
    assert (tmp_path / "folder" / "README.md").read_text().endswith("---\n\n# Mine\n")
    save_pretrained(path, tmp_path / "other", card="---\nlicense: mit\n---\n# Own\n")
    assert (tmp_path / "other" / "README.md").read_text() == "---\nlicense: mit\n---\n# Own\n"


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"is a folder without model\.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize("address", ["hf://", "hf://name", "hf://a/b/c", "hf://a/../b", "hf://a/b@"])
def test_addresses_of_another_form_are_refused(address):
    with pytest.raises(CheckpointError, match=r"expected hf://owner/name"):
        parse(address)


def test_without_the_library_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main(["models", "hf://owner/name"]) == 2
    assert capsys.readouterr().err == (
        "flowkit: hf://owner/name: needs huggingface_hub: pip install 'flowkit-nf[hub]'\n"
    )


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as an upload and a download need."""

    files: dict[str, bytes]
    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        start, _, name = self.path.partition("/resolve/main/")
        if start != "/owner/name" or name not in self.files:
            self.answer(404, X_Error_Code="RepositoryNotFound" if start != "/owner/name" else "EntryNotFound")
            return
        content = self.files[name]
        etag = hashlib.sha1(content).hexdigest()
        self.answer(200, content, ETag=f'"{etag}"', X_Repo_Commit="0" * 40)

    do_GET = do_HEAD

    def do_POST(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path == "/api/repos/create":
            found: object = {"url": f"http://{self.headers['Host']}/owner/name", "id": "1"}
        elif "/preupload/" in self.path:
            wanted = json.loads(body)["files"]
            found = {
                "files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in wanted]
            }
        elif "/commit/" in self.path:
            for line in body.splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    self.files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
            found = {
                "success": True,
                "commitOid": "0" * 40,
                "commitUrl": f"http://{self.headers['Host']}/owner/name/commit/0",
            }
        else:
            found = {"errors": [], "warnings": []}
        self.answer(200, json.dumps(found).encode(), Content_Type="application/json")


@pytest.fixture
def hub() -> Iterator[tuple[str, type[Hub]]]:
    handler = type("Handler", (Hub,), {"files": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


SCRIPT = """
import sys
from flowkit import load
from flowkit.errors import FlowkitError
from flowkit.pretrained import push_to_hub
print(push_to_hub(sys.argv[1], "owner/name"))
model, again = load(sys.argv[1]).state_dict(), load("hf://owner/name").state_dict()
assert all((again[name] == value).all() for name, value in model.items())
for wrong in ("hf://owner/none", "hf://owner/name/none.safetensors"):
    try:
        load(wrong)
    except FlowkitError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_a_model_is_uploaded_and_loaded_by_its_address(tmp_path, perturb, hub):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (extra `hub`)")
    endpoint, server = hub
    save(perturb(build(RECIPE)), tmp_path / "m.safetensors")
    own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_test", "NO_PROXY": "*"}
    environment = os.environ | own | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    argv = [sys.executable, "-c", SCRIPT, str(tmp_path / "m.safetensors")]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr + str(server.asked)
    first, *errors = done.stdout.splitlines()
    assert first == "hf://owner/name"
    assert set(server.files) == {"model.safetensors", "recipe.yaml", "README.md"}
    assert [error.partition(" (")[0] for error in errors] == [
        "CheckpointError hf://owner/none: cannot be downloaded",
        "CheckpointError hf://owner/name/none.safetensors: cannot be downloaded",
    ]
