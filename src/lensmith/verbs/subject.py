"""From what a user names, a run or a network, to something that can be looked into."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensmith.data.preprocess import Preprocessing
from lensmith.data.store import Store
from lensmith.engines.choose import resolve_device
from lensmith.errors import RunError, UsageError, WeightsError, nearest
from lensmith.model import Model, load_model
from lensmith.reproduce import counter
from lensmith.run import Run, list_runs, open_run
from lensmith.seeing.subject import Subject
from lensmith.tasks.classification import Classification
from lensmith.tasks.multilabel import Multilabel
from lensmith.zoo.base import Base
from lensmith.zoo.contract import Contract
from lensmith.zoo.names import NetworkName, contract, resolve
from lensmith.zoo.pretrained import find_weights

if TYPE_CHECKING:
    from torch import nn

    from lensmith.seeing.eye import Eye

IMAGENET = 1000  # outputs of a network with the classes of ImageNet
SIDE, MEAN, STD = 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pictures, where nothing else is known

Says = Callable[[Iterable[np.ndarray]], np.ndarray]


def open_subject(
    network: str | Path | Run | nn.Module,
    *,
    weights: str = "auto",
    image_size: int | None = None,
    engine: str = "auto",
    device: str = "auto",
    out: Path = Path("runs"),
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Subject:
    """Return what a user names, ready to be looked into.

    network: a run, a network by name (with `weights` as in train), module:factory, or in Python any torch module that
    takes (N, 3, s, s) pictures with ImageNet's normalisation. image_size: the side it sees, for networks alone. device:
    where it is asked and differentiated. seed: of weights that are random. say: takes a line about weights that are
    fetched. Raises UsageError, RunError or WeightsError for what cannot be opened, or was not trained on pictures.
    """
    if isinstance(network, Run) or (isinstance(network, str | Path) and is_run(str(network), out)):
        run = open_run(network, out)
        _refuse_of_networks(run, weights, image_size)
        return _of_run(run, engine, device)
    if not isinstance(network, str | Path):
        return _of_module(
            _copied(network), type(network).__name__, Preprocessing(image_size or SIDE, MEAN, STD), device
        )
    return _of_name(named(str(network), out), weights, image_size, engine, device, seed, say)


def is_run(text: str, out: Path) -> bool:
    """Return whether there is a run of this name, or it can only be the path of one."""
    if any((folder / "run.json").is_file() for folder in (Path(text), out / text)):
        return True
    return "/" in text and ":" not in text and Path(text).is_dir()


def named(text: str, out: Path) -> NetworkName:
    """Return the network of a name. Raises UsageError with near names of networks and runs, RunError for the folder of
    a run that holds none."""
    try:
        return resolve(text, Store().folder)
    except UsageError as error:
        if (out / text).is_dir():
            raise RunError(f"{out / text} holds no run: there is no run.json in it. Name another.") from None
        near = nearest(text, [run.name for run in list_runs(out)])
        if not near:
            raise
        raise UsageError(f"{error} Of the runs in {out}:{near.removeprefix(' Nearest:')}") from None


def _refuse_of_networks(run: Run, weights: str, image_size: int | None) -> None:
    """Raise UsageError for what a run has of its own."""
    for name, given in (("weights", weights != "auto"), ("image_size", image_size is not None)):
        if given:
            raise UsageError(f"{name} is of networks by name; {run.name} has its own. Leave it out.")


def _of_run(run: Run, engine: str, device: str) -> Subject:
    model = load_model(run.model_folder, Store(), engine="" if engine == "auto" else engine, device=device)
    base = model.base
    if not isinstance(base, Base):
        example = run.document.get("example", "picture")
        raise UsageError(f"{run.name} was trained on {example}s; this looks into networks for pictures.")

    def says(squares: Iterable[np.ndarray]) -> np.ndarray:
        found = [model.head.logits(output.features) for output in model.chosen.engine.run(squares)]
        return _joined(found, model.task.outputs)

    def make() -> Eye:
        return _eye_of(model, base).to(resolve_device(device))

    return Subject(run.name, model.task, base.preprocessing, says, make)


def _eye_of(model: Model, base: Base) -> Eye:
    """Return base and head of a model as one torch module with their weights."""
    from lensmith.engines.pytorch import Normalise
    from lensmith.seeing.eye import Eye
    from lensmith.zoo.tensors import load_tensors
    from lensmith.zoo.trained import trained

    widths = [*(weight.shape[0] for weight in model.head.weights), len(model.head.biases[-1])]
    network, _ = trained(base, widths)
    load_tensors(network, {f"base.{name}": tensor for name, tensor in base.tensors.items()} | model.head.tensors())
    geometry = base.preprocessing
    return Eye(network, Normalise(geometry.mean, geometry.std, base.inputs))


def _of_name(
    name: NetworkName,
    weights: str,
    image_size: int | None,
    engine: str,
    device: str,
    seed: int,
    say: Callable[[str], None],
) -> Subject:
    """Return a network with the classes it was published with."""
    store = Store()
    found = find_weights(name, weights, store.folder, say=say)
    network, called = _published(name, found.file, image_size, seed), str(name)
    if found.file is None and name.source in ("lensmith", "torchvision", "timm"):
        called += ", random weights"
        if weights == "auto":
            say(f"{name} has random weights: {found.sentence}")
    geometry = _geometry(found.contract if found.file else contract(name, store.folder), image_size)
    if name.source in ("torchvision", "timm"):
        from lensmith.zoo.cut import cuts

        end = cuts(network, geometry.image_size)[-1]
        tensors = {place: tensor.numpy() for place, tensor in network.state_dict().items()}
        chosen = Base(str(name), end.name, "flatten", geometry, tensors).engine(store, engine=engine, device=device)

        def says(squares: Iterable[np.ndarray]) -> np.ndarray:
            return _joined([output.features for output in chosen.engine.run(squares)], end.shape[0])

        return _of_module(network, called, geometry, device, says, end.shape[0])
    return _of_module(network, called, geometry, device)


def _published(name: NetworkName, file: Path | None, image_size: int | None, seed: int) -> nn.Module:
    """Return a network with its head, with weights from a file or random ones."""
    from lensmith.training.seeded import seeded
    from lensmith.zoo.build import build, whole
    from lensmith.zoo.tensors import load_tensors, read_tensors

    with seeded(counter(seed, "weights")):
        network = build(name, image_size=image_size) if name.source != "lensmith" or file is not None else whole(name)
    if file is None:
        return network
    if name.source != "lensmith":
        tensors = read_tensors(file)
        known = set(network.state_dict())  # auxiliary heads are for training alone
        load_tensors(network, {place: tensor for place, tensor in tensors.items() if place in known})
        return network
    tensors = read_tensors(file)
    base = {f"base.{place}": tensor for place, tensor in tensors.items() if place in network.state_dict()}
    rest = [(place, tensor) for place, tensor in tensors.items() if f"base.{place}" not in base]
    head = {f"head.0.{place.rpartition('.')[2]}": tensor for place, tensor in rest if tensor.ndim in (1, 2)}
    if len(rest) != 2 or set(head) != {"head.0.weight", "head.0.bias"}:
        raise WeightsError(f"{file} does not hold {name} and one dense layer for its classes. Name a run instead.")
    network = whole(name, len(head["head.0.bias"]))
    load_tensors(network, base | head)
    return network


def _geometry(expected: Contract, image_size: int | None) -> Preprocessing:
    """Return how a file becomes what a network of this contract sees; ImageNet's colours where none are known."""
    return Preprocessing(
        image_size or expected.image_size,
        expected.mean or MEAN,
        expected.std or STD,
        crop=expected.crop,
        interpolation=expected.interpolation,  # type: ignore[arg-type]
    )


def _copied(network: nn.Module) -> nn.Module:
    """Return a copy: looking must not change the user's own network, nor its mode."""
    from torch import nn as kinds

    if not isinstance(network, kinds.Module):
        raise UsageError(f"network is of type {type(network).__name__}; it must be a name, a run or a torch.nn.Module.")
    try:
        return copy.deepcopy(network)
    except (RuntimeError, ValueError) as error:  # as with the older weight_norm
        raise _unfit(error) from error


def _unfit(error: Exception) -> UsageError:
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    return UsageError(f"the network cannot be looked into ({said}). Load its weights into a plain torch module.")


def _of_module(
    network: nn.Module,
    name: str,
    geometry: Preprocessing,
    device: str,
    engine_says: Says | None = None,
    outputs: int = 0,
) -> Subject:
    """Return a torch module with its classes, asked in torch itself where there is no engine."""
    from lensmith.engines.pytorch import Normalise
    from lensmith.seeing.eye import Eye

    try:
        eye = Eye(network.float().cpu(), Normalise(geometry.mean, geometry.std, {}))
    except (RuntimeError, ValueError) as error:  # a script, or weights that are not there yet
        raise _unfit(error) from error
    outputs = outputs or _outputs(eye, geometry.image_size)
    classes = _class_names(outputs)
    # Where each score goes through a sigmoid of its own, each is a label, and they do not compete.
    task = Multilabel(classes) if eye.end in ("sigmoid", "logsigmoid") else Classification(classes)
    eye = eye.to(resolve_device(device))
    return Subject(name, task, geometry, engine_says or eye.says, lambda: eye)


def _outputs(eye: Eye, side: int) -> int:
    """Return how many scores a network gives. Raises UsageError for one that does not take such pictures, or gives
    something else than finite scores."""
    import torch

    from lensmith.zoo.sizes import impossible

    try:
        with torch.inference_mode():
            found = eye(eye.pixels(np.zeros((1, side, side, 3), np.uint8)))
    except Exception as error:
        raise impossible(eye.network, (3, side, side), error, None) from error
    if not isinstance(found, torch.Tensor):
        raise UsageError(
            f"the network gives a {type(found).__name__}, not a tensor of scores. Wrap it in one that does."
        )
    if found.ndim != 2 or found.shape[1] < 2:
        raise UsageError(
            f"the network gives {tuple(found.shape[1:])} numbers for a picture; two or more scores are needed."
        )
    if not found.isfinite().all():
        raise UsageError("the network answers a black picture with numbers that are not finite. Check its weights.")
    return int(found.shape[1])


def _class_names(outputs: int) -> tuple[str, ...]:
    """Return ImageNet's names for a thousand outputs, numbers otherwise; a name that comes twice gets its number."""
    if outputs != IMAGENET:
        return tuple(map(str, range(outputs)))
    from torchvision.models import MobileNet_V2_Weights

    names = MobileNet_V2_Weights.DEFAULT.meta["categories"]
    return tuple(f"{name} {place}" if names.count(name) > 1 else name for place, name in enumerate(names))


def _joined(parts: list[np.ndarray], outputs: int) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty((0, outputs), np.float32)
