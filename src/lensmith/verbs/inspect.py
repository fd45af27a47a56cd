"""`lensmith inspect`: the arithmetic of a network, layer by layer, as a table, JSON, a drawing or a page."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensmith.data.store import Store
from lensmith.errors import LensmithError, RunError, UsageError
from lensmith.files import write_atomic, writing
from lensmith.model import load_model
from lensmith.run import Run, open_run
from lensmith.verbs.subject import is_run, named
from lensmith.zoo.names import NetworkName, contract

if TYPE_CHECKING:
    from torch import nn

    from lensmith.zoo.arithmetic import Arithmetic

WRITTEN = {"svg": (".svg",), "page": (".html", ".htm")}
OURS, BEGINNING = b"lensmith inspect", 65536  # what the beginning of our files holds, and how much that is, in bytes


@dataclass(frozen=True)
class Inspection:
    """The arithmetic of a network or run called `name`, its classes if it was trained, and of another beside it."""

    name: str
    arithmetic: Arithmetic
    classes: tuple[str, ...] = ()
    other: Inspection | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that --json prints."""
        _, last_map = self.arithmetic.ends()
        return {
            "network": self.name,
            "classes": list(self.classes) or None,
            "receptive_field": list(last_map.field) if last_map and last_map.field else None,
            "receptive_field_of": last_map.name if last_map else None,
            "sees_the_whole_picture": self.arithmetic.sees_all,
            **self.arithmetic.as_dict(),
            "compare": self.other.as_dict() if self.other else None,
        }


def inspect(
    network: str | Path | Run | nn.Module,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    compare: str | Path | Run | nn.Module | None = None,
    svg: str | Path | None = None,
    page: str | Path | None = None,
    out: str | Path = "runs",
) -> Inspection:
    """Return sizes, parameters, multiply-adds and receptive fields of every layer of a network.

    network: a name as for train, module:factory, stack:SIDESxCHANNELS/LAYER/..., a run, or in Python any torch module
    that takes pictures. image_size: the side of the picture (default: what the network is made for). channels: of the
    picture (default: what its first layer takes). compare: another one, looked at in the same way. svg: a file for the
    drawing (.svg). page: a file for a page with the drawing and all formulas (.html). Both may replace what inspect
    wrote before, and nothing else. out: the folder of runs.

    Raises UsageError for a network that does not exist or cannot take such pictures, RunError for a run without a
    model or a file that cannot be written.
    """
    drawing, sheet = _place("svg", svg), _place("page", page)
    found = _inspected(network, image_size, channels, Path(out))
    if compare is not None:
        other = _inspected(compare, image_size, channels, Path(out))
        found = Inspection(found.name, found.arithmetic, found.classes, other)
    if drawing or sheet:
        from lensmith.reports import diagram
        from lensmith.reports import network as pages

        said = found.as_dict()
        for place, draw in ((drawing, diagram.drawing), (sheet, pages.page)):
            if place:
                _write(place, draw(said))
    return found


def _inspected(given: str | Path | Run | nn.Module, size: int | None, channels: int | None, out: Path) -> Inspection:
    if size is not None and size < 1:
        raise UsageError(f"image_size is {size}; it must be at least 1.")
    if channels is not None and channels < 1:
        raise UsageError(f"channels is {channels}; it must be at least 1.")
    if isinstance(given, Run) or (isinstance(given, str | Path) and is_run(str(given), out)):
        return _of_run(open_run(given, out), size)
    if not isinstance(given, str | Path):
        return _of_module(type(given).__name__, given, size or 224, channels)
    return _of_name(str(given), size, channels, out)


def _of_name(text: str, size: int | None, channels: int | None, out: Path) -> Inspection:
    """Inspect what a name means."""
    from lensmith.zoo.arithmetic import arithmetic
    from lensmith.zoo.stack import is_stack, stack

    if is_stack(text):
        made, shape = stack(text)
        if size is not None:
            shape = (shape[0], *(size for _ in shape[1:]))
        return Inspection(text, arithmetic(made, shape))
    name = named(text, out)
    wanted = size or contract(name, Store().folder).image_size
    return _of_module(str(name), _built(name, size, channels, wanted), wanted, channels)


def _built(name: NetworkName, size: int | None, channels: int | None, wanted: int) -> nn.Module:
    """Return a network with its head; weightless, and so built at once, where its code allows."""
    import torch

    from lensmith.zoo.arithmetic import shape_for
    from lensmith.zoo.sizes import runs

    if name.source != "python":
        # Some builders read numbers from tensors, and some networks while they run: those are built with weights.
        with suppress(Exception):
            with torch.device("meta"):
                network = _made(name, size, channels)
            if runs(network, shape_for(network, wanted, channels)):
                return network
    return _made(name, size, channels)


def _made(name: NetworkName, size: int | None, channels: int | None) -> nn.Module:
    from lensmith.zoo.build import build, whole

    if name.source == "lensmith":
        return whole(name, channels=channels or 3)
    return build(name, image_size=size)


def _of_module(name: str, network: nn.Module, size: int, channels: int | None) -> Inspection:
    from torch import nn as kinds

    from lensmith.zoo.arithmetic import arithmetic, shape_for

    if not isinstance(network, kinds.Module):
        raise UsageError(f"network is of type {name}; it must be a name, a run or a torch.nn.Module.")
    return Inspection(name, arithmetic(network, shape_for(network, size, channels)))


def _of_run(run: Run, size: int | None) -> Inspection:
    """Inspect the model of a run: its base up to the cut, and the head that was trained."""
    from lensmith.zoo.arithmetic import arithmetic
    from lensmith.zoo.trained import trained

    model = load_model(run.model_folder, Store(), engine="torch")
    widths = [*(weight.shape[0] for weight in model.head.weights), len(model.head.biases[-1])]
    network, shape = trained(model.base, widths, size)
    return Inspection(run.name, arithmetic(network, shape), tuple(model.task.classes))


def _place(option: str, given: str | Path | None) -> Path | None:
    """Return the file to write, before anything is computed: a new one, or one that was written by inspect before.

    Raises UsageError for a name that ends in something else or belongs to another file, RunError without a folder.
    """
    if given is None:
        return None
    path, suffixes = Path(given), WRITTEN[option]
    if path.suffix.lower() not in suffixes or path.is_dir():
        seen = ", a folder" if path.is_dir() else ""
        name = path / f"network{suffixes[0]}" if path.is_dir() else f"{path}{suffixes[0]}"
        raise UsageError(
            f"{option} is {str(path)!r}{seen}; the file must end in {' or '.join(suffixes)}. Try --{option} {name}."
        )
    if not path.parent.is_dir():
        raise RunError(f"there is no folder {str(path.parent)!r} to write {path.name} into. Make it first.")
    if path.is_file() and path.stat().st_size and OURS not in _beginning(path):
        raise UsageError(f"{path} is there already and was not written by lensmith inspect. Choose another name.")
    return path


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(BEGINNING)
    except OSError as error:
        raise RunError(f"{path} is there already and cannot be read ({error.strerror}). Choose another name.") from None


def _write(path: Path, text: str) -> None:
    """Write a file, whole or not at all. Raises RunError where it cannot be written."""
    try:
        with writing(path):
            write_atomic(path, text.encode("utf-8", "replace"))
    except LensmithError:
        raise
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}).") from error
