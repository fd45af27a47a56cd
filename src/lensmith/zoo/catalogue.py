"""What torchvision and timm can build and which weights they know of, kept as JSON between runs.

Importing the two libraries takes seconds; the answer changes only with their versions. One file a library and
version, so that a network of torchvision never waits for timm.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from lensmith.files import write_atomic
from lensmith.zoo.contract import Contract, Published, published_from_dict

FORMAT = 2
LIBRARIES = ("torchvision", "timm")
Entries = Mapping[str, list[dict[str, Any]]]

# torchvision trained these two on pictures scaled to -1..1. Its own loader says so by switching on an inner
# re-normalisation; lensmith builds them without it and states what the weights really want.
SCALED_TO_ONE = ("googlenet", "inception_v3")
HALF = (0.5, 0.5, 0.5)
CLIPS = ("r3d_18", "mc3_18", "r2plus1d_18")  # of its networks for clips, those that are built here
# torchvision names a licence only where it differs from its own; its weights were trained on ImageNet.
TORCHVISION_LICENCE = "BSD-3-Clause (trained on ImageNet-1k, whose terms may apply)"


def entries(library: str, cache: Path | None) -> Entries:
    """Return `{network: [weights entry, ...]}` of "torchvision" or "timm", from `cache` if it is there.

    The library is imported on first need (seconds); the answer is then written into `cache/catalogue/`. A folder
    that cannot be written costs time, not the answer.
    """
    if cache is None:
        return READERS[library]()
    file = catalogue_file(library, cache)
    found = _read(file)
    if found is None:
        found = READERS[library]()
        with contextlib.suppress(OSError):
            _write(file, found)
    return found


def published(library: str, network: str, cache: Path | None) -> tuple[Published, ...]:
    """Return the weights known for a network that `entries` lists; the library's own choice is first."""
    return tuple(published_from_dict(entry) for entry in entries(library, cache)[network])


def catalogue_file(library: str, cache: Path) -> Path:
    """Return where the list of a library is kept: its name holds the installed version."""
    return cache / "catalogue" / f"{library}-{metadata.version(library)}.json"


def _read(file: Path) -> Entries | None:
    """Return the list in a file, or None if there is none that can be used."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        return None
    networks: Entries = stored["networks"]
    return networks


def _write(file: Path, found: Entries) -> None:
    """Write a list so that a reader sees all of it or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps({"format": FORMAT, "networks": found}, separators=(",", ":")).encode())


def _read_torchvision() -> dict[str, list[dict[str, Any]]]:
    """Ask torchvision for its classifiers and their weights."""
    from torchvision import models

    found: dict[str, list[dict[str, Any]]] = {}
    for network in (*models.list_models(module=models), *CLIPS):
        weights = models.get_model_weights(network)
        known = sorted(weights, key=lambda entry: entry is not weights.DEFAULT)
        found[network] = [_torchvision_entry(network, entry).as_dict() for entry in known]
    return found


def _torchvision_entry(network: str, entry: Any) -> Published:
    """Return one member of a torchvision weights enumeration as plain values."""
    asked = entry.transforms()
    image_size = asked.crop_size[0]
    smallest = max(entry.meta["min_size"])
    mean, std = (HALF, HALF) if network in SCALED_TO_ONE else (tuple(asked.mean), tuple(asked.std))
    contract = Contract(
        image_size=image_size,
        smallest=smallest,
        fixed=smallest == image_size,
        mean=mean,
        std=std,
        crop=round(image_size / asked.resize_size[0], 6),
        interpolation=asked.interpolation.value,
        licence=entry.meta.get("license", TORCHVISION_LICENCE),
    )
    return Published(entry.name, contract, url=entry.url, megabytes=entry.meta.get("_file_size"))


def _read_timm() -> dict[str, list[dict[str, Any]]]:
    """Ask timm for its networks and their weights."""
    import timm
    from timm.models import get_arch_pretrained_cfgs

    return {
        network: [_timm_entry(tag, config).as_dict() for tag, config in get_arch_pretrained_cfgs(network).items()]
        or [Published("", Contract(image_size=224)).as_dict()]
        for network in timm.list_models()
    }


def _timm_entry(tag: str, config: Any) -> Published:
    """Return one of timm's pretrained configurations as plain values."""
    image_size = config.input_size[-1]
    smallest = config.min_input_size[-1] if config.min_input_size else 1
    # A file that is not on the hub may be in a foreign layout, which only code of timm's own can read.
    alone = config.url if isinstance(config.url, str) and config.url and not config.custom_load else None
    hub = config.hf_hub_id or None
    url = None if hub else alone
    contract = Contract(
        image_size=image_size,
        smallest=image_size if config.fixed_input_size else smallest,
        fixed=config.fixed_input_size,
        mean=tuple(config.mean),
        std=tuple(config.std),
        # A few tokens-only networks were tested with a border; there is nothing beyond the whole picture.
        crop=min(config.crop_pct, 1.0),
        interpolation=config.interpolation,
        licence=(config.license or "unknown") if hub or url else None,
    )
    return Published(tag.split(".", 1)[1] if "." in tag else "", contract, url=url, hub=hub)


READERS = {"torchvision": _read_torchvision, "timm": _read_timm}
