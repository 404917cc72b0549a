"""Files of repositories on the Hugging Face hub, or on a server of its kind (`HF_ENDPOINT`).

Nothing here is called unless an address `hf://...` or a repository is named. Files are kept in the cache of
`huggingface_hub`, whose environment variables decide on its place, tokens and working without a network.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flowkit.errors import CheckpointError, FlowkitError

WEIGHTS = "model.safetensors"
SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?:/([\w./-]+\.safetensors))?")


def is_address(text: str) -> bool:
    """Return whether a model's name is an address of the hub."""
    return text.startswith(SCHEME)


def parse(address: str) -> tuple[str, str | None, str]:
    """Return repository, revision and file of `hf://owner/name[@revision][/file.safetensors]`.

    >>> parse("hf://owner/name"), parse("hf://owner/name@v1/old.safetensors")
    (('owner/name', None, 'model.safetensors'), ('owner/name', 'v1', 'old.safetensors'))

    Raises:
        CheckpointError: it has another form.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise CheckpointError(f"{address}: expected hf://owner/name[@revision][/file.safetensors]")
    return found[1], found[2], found[3] or WEIGHTS


def download(address: str) -> Path:
    """Return the file of an address, from the cache if it is there and current.

    Raises:
        CheckpointError: there is no such file, or the server cannot be reached.
        FlowkitError: huggingface_hub is not installed.
    """
    repository, revision, file = parse(address)
    library = _library(address)
    try:
        return Path(library.hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # of the library and of what it talks HTTP by
        raise CheckpointError(f"{address}: cannot be downloaded ({_reason(error)})") from None


def upload(folder: Path, repository: str, *, private: bool, message: str) -> str:
    """Make a repository if there is none, upload a folder's files in one commit, and return its address.

    Raises:
        FlowkitError: it cannot be, or huggingface_hub is not installed.
    """
    parse(SCHEME + repository)
    api = _library(repository).HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    except Exception as error:  # of the library and of what it talks HTTP by
        raise FlowkitError(f"{repository}: cannot be uploaded ({_reason(error)})") from None
    return SCHEME + repository


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _library(who: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise FlowkitError(f"{who}: needs huggingface_hub: pip install 'flowkit-nf[hub]'") from None
    return huggingface_hub
