"""Finding the weights of a network: a file the user has, one that some library has fetched before, or a download."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from lensmith.errors import UsageError, WeightsError, nearest
from lensmith.zoo.contract import Contract, Published
from lensmith.zoo.download import Unreachable, fetch
from lensmith.zoo.names import NetworkName, published
from lensmith.zoo.tensors import load_tensors, load_weights, read_tensors

__all__ = ["Found", "find_weights", "load_tensors", "load_weights", "read_tensors"]

HUB_FILE = "model.safetensors"
OLDER_HUB_FILE = "pytorch_model.bin"
YES = ("1", "on", "yes", "true")

# A file does not say which part of a picture its weights were trained to see; most were tested on this one. LOG.md
# has what it is worth.
CLASSIC_CROP = 224 / 256
SMALL = 64  # pixels


@dataclass(frozen=True)
class Found:
    """What was found: the file, or None; `sentence` says for people where it came from, or why there is none.

    `label` is what the weights are called: their published name, the name of the file, or "none". `contract` is what
    the network expects with these weights.
    """

    file: Path | None
    label: str
    contract: Contract
    sentence: str

    @property
    def licence(self) -> str | None:
        """The licence of the weights, None if there are none or it is unknown."""
        return self.contract.licence


def find_weights(name: NetworkName, request: str, cache: Path, say: Callable[[str], None] = print) -> Found:
    """Return the weights that `request` means: auto, none, a published name, or the path of a file.

    Published weights are looked for in `cache/weights/`, then where torch and Hugging Face keep theirs, then fetched,
    which `say` announces in one line with size, source and licence. LENSMITH_OFFLINE=1 or HF_HUB_OFFLINE=1 forbid
    that. Where "auto" finds nothing, the answer has no file and a sentence that says which file goes where. Raises
    WeightsError for a published name that cannot be had, UsageError for a name that is neither published nor a file.
    """
    known = published(name, cache)
    if request == "none":
        return Found(None, "none", _without_licence(known[0]), "no weights were asked for.")
    if request == "auto":
        return _published(name, known[0], cache, say)
    entry = next((entry for entry in known if entry.name == request), None)
    if entry is None:
        return _given(name, request, known)
    found = _published(name, entry, cache, say)
    if found.file is None:
        raise WeightsError(f"weights {request} were asked for, but {found.sentence}")
    return found


def _given(name: NetworkName, request: str, known: tuple[Published, ...]) -> Found:
    """Return the user's own file."""
    file = Path(request).expanduser()
    if file.is_file():
        whole = known[0].contract.image_size <= SMALL  # pictures of that size hold nothing but the thing itself
        contract = replace(_without_licence(known[0]), crop=1.0 if whole else CLASSIC_CROP)
        return Found(file, file.name, contract, f"weights from {file}.")
    names = [entry.name for entry in known if entry.name and entry.exists]
    raise UsageError(
        f"weights is {request!r}, which is neither a file nor weights of {name}; "
        f"allowed are auto, none, a file, {', '.join(names) or 'nothing else'}.{nearest(request, names)}"
    )


def _without_licence(entry: Published) -> Contract:
    """Return a contract for weights whose licence is not known, or none at all."""
    return replace(entry.contract, licence=None)


def _published(name: NetworkName, entry: Published, cache: Path, say: Callable[[str], None]) -> Found:
    """Return published weights from a folder that has them, or fetch them."""
    if not entry.exists:
        return Found(None, "none", _without_licence(entry), f"no weights are published for {name}.")
    own = cache / "weights" / _file_name(entry)
    file = next((file for file in (own, *_elsewhere(entry)) if file.is_file()), None)
    if file is not None:
        return _found(entry, file, "found in the cache")
    place = f"Put {own.name} from {_address(entry)} into {own.parent}, or give a file by --weights PATH."
    if _offline():
        return Found(None, "none", _without_licence(entry), f"lensmith is offline by request. {place}")
    try:
        fetch(_address(entry), own, lambda size: say(_announcement(own, entry, size)), _sha256_prefix(entry))
    except Unreachable as reason:
        return Found(None, "none", _without_licence(entry), f"the download failed ({reason}). {place}")
    return _found(entry, own, "downloaded")


def _found(entry: Published, file: Path, how: str) -> Found:
    label = entry.name or file.name
    return Found(file, label, entry.contract, f"weights {label}, {how}, licence {entry.contract.licence}.")


def _announcement(file: Path, entry: Published, size: int | None) -> str:
    megabytes = size / 1e6 if size is not None else entry.megabytes
    amount = f"{megabytes:.1f} MB" if megabytes is not None else "size unknown"
    source = urlsplit(_address(entry)).hostname
    return f"Downloading {file.name}: {amount} from {source}, licence {entry.contract.licence}."


def _offline() -> bool:
    return any(os.environ.get(name, "").lower() in YES for name in ("LENSMITH_OFFLINE", "HF_HUB_OFFLINE"))


def _address(entry: Published) -> str:
    """Return where the file is fetched from."""
    if entry.hub is None:
        return str(entry.url)
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    repository, _, revision = entry.hub.partition("@")
    return f"{host}/{repository}/resolve/{revision or 'main'}/{HUB_FILE}"


def _file_name(entry: Published) -> str:
    """Return what the file is called in `cache/weights/`: every file on the hub is model.safetensors."""
    if entry.hub is not None:
        return f"{entry.hub.rpartition('/')[2]}.safetensors"
    return urlsplit(str(entry.url)).path.rpartition("/")[2]


def _sha256_prefix(entry: Published) -> str:
    """Return the start of the SHA-256 that torch's file names carry: mobilenet_v2-7ebf99e0.pth."""
    carried = re.search(r"-([0-9a-f]{8,64})\.\w+$", _file_name(entry))
    return carried[1] if carried and entry.hub is None else ""


def _elsewhere(entry: Published) -> list[Path]:
    """Return the places where torch or Hugging Face would keep the file."""
    if entry.hub is None:
        home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
        return [Path(home).expanduser() / "hub" / "checkpoints" / _file_name(entry)]
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = entry.hub.partition("@")
    kept = [try_to_load_from_cache(repository, file, revision=revision or None) for file in (HUB_FILE, OLDER_HUB_FILE)]
    return [Path(path) for path in kept if isinstance(path, str)]
