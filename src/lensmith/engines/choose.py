"""Choosing the engine for a base: the fastest one whose answers were checked, converted once and kept."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from lensmith.data.store import Store
from lensmith.engines.interface import Engine
from lensmith.errors import LensmithError, UsageError

if TYPE_CHECKING:
    from lensmith.engines.pytorch import WithNormalisation
    from lensmith.engines.trust import Trust

EngineName = Literal["auto", "openvino", "torch"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Chosen:
    """An engine, and in words what its answers were checked against."""

    engine: Engine
    check: str

    def as_dict(self) -> dict[str, str]:
        """Return name, precision, device and check, as run.json and the model's config.json hold them."""
        engine = self.engine
        return {
            "name": engine.name,
            "precision": engine.precision,
            "device": engine.device,
            "check": self.check,
        }


def choose_engine(
    key: str,
    image_size: int,
    store: Store,
    make: Callable[[], WithNormalisation],
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "",
) -> Chosen:
    """Return the engine for the base named `key`; `make` builds it in torch, and is only called where that is needed.

    `precision` asks for the one a model was trained with ("float32" or "bfloat16"); where this machine cannot be
    trusted with it the best trusted one is taken, and `Chosen.check` says so.
    """
    if engine not in get_args(EngineName):
        raise UsageError(f"engine is {engine!r}; allowed are {', '.join(get_args(EngineName))}.")
    place = resolve_device(device)
    if engine == "torch" or (engine == "auto" and place != "cpu"):
        return _torch(make, place)
    try:
        folder, trust = _converted(key, image_size, store, make)
    except LensmithError:
        raise
    except Exception as error:
        # Converter and tracer raise many kinds; all of them mean "not this network", never a wrong answer.
        said = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        return _refused(engine, make, f"OpenVINO cannot take this network ({said})")
    if not trust.precision:
        return _refused(engine, make, f"OpenVINO answers differently from torch ({trust.sentence()})")
    from lensmith.engines.openvino import OpenVinoEngine

    if not precision or precision in trust.agreement:
        return Chosen(OpenVinoEngine(folder, precision or trust.precision), trust.sentence())
    said = f"{trust.sentence()}; the model was trained in {precision}, which this machine does not offer"
    return Chosen(OpenVinoEngine(folder, trust.precision), said)


def resolve_device(device: str) -> str:
    """Return "cpu", "cuda" or "mps" for `device`, importing torch only where a GPU may be present."""
    if device not in get_args(DeviceName):
        raise UsageError(f"device is {device!r}; allowed are {', '.join(get_args(DeviceName))}.")
    if device == "cpu" or (device == "auto" and not _gpu_likely()):
        return "cpu"
    import torch

    there = [name for name, place in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if place.is_available()]
    if device == "auto":
        return there[0] if there else "cpu"
    if device not in there:
        raise UsageError(f"device is {device}, but torch sees {', '.join(there) or 'no GPU'} here. Try --device cpu.")
    return device


def _gpu_likely() -> bool:
    """Whether asking torch is worth the two seconds of its import."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return sys.platform == "win32" or Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists()


def _torch(make: Callable[[], WithNormalisation], device: str, why: str = "") -> Chosen:
    from lensmith.engines.pytorch import TorchEngine

    return Chosen(TorchEngine(make(), device), f"torch in float32 is the reference itself{why}")


def _refused(engine: str, make: Callable[[], WithNormalisation], why: str) -> Chosen:
    if engine == "openvino":
        raise UsageError(f"{why}. Try --engine torch.")
    return _torch(make, "cpu", f"; {why}")


def _converted(key: str, image_size: int, store: Store, make: Callable[[], WithNormalisation]) -> tuple[Path, Trust]:
    """Return the folder of the converted base and what its check found, converting or checking where needed."""
    from lensmith.engines.trust import check, read_trust, write_trust

    folder = store.folder / "bases" / key
    if not (folder / "base.json").exists():
        from lensmith.engines.convert import convert

        with store.new_folder("bases", key) as building:
            convert(make(), image_size, building)
    trust = read_trust(folder)
    if trust is None:  # made by another version or on another machine: ask again
        trust = check(folder, image_size)
        write_trust(folder, trust)
    store.touch(folder)
    return folder, trust
