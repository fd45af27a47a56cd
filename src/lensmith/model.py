"""A model: a base run by an engine, a dense head, and everything needed to use them on a new picture.

A model folder holds model.safetensors (`base.*`, `head.*`, and `input.*` where the preprocessing has arrays),
config.json and a README.md card. Nothing in it is executed when it is read, unless its network is the user's own
`module:factory`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.data.clips import Moving, moving_from_dict
from lensmith.data.encoding import Encoding, encoding_from_dict
from lensmith.data.preprocess import from_dict
from lensmith.data.store import Store
from lensmith.data.vocabulary import Vocabulary, vocabulary_from_dict
from lensmith.engines.choose import Chosen
from lensmith.engines.head import Head, from_tensors
from lensmith.errors import RunError, UsageError, WeightsError
from lensmith.files import json_bytes
from lensmith.tasks.choose import task_from_dict
from lensmith.tasks.interface import Task
from lensmith.zoo.base import Base
from lensmith.zoo.measured import CUTS, Measured

FORMAT = 1


@dataclass(frozen=True)
class Answer:
    """What a model says of one batch: its task's answers (n, ...), features (n, F), maps (n, C, h, w) or None."""

    answers: np.ndarray
    features: np.ndarray
    maps: np.ndarray | None


@dataclass(frozen=True)
class Model:
    """A trained model, ready to be asked."""

    task: Task
    base: Base | Measured
    head: Head
    chosen: Chosen
    licence: str

    def ask(self, pictures: Iterable[np.ndarray], *, maps: bool = False) -> Iterator[Answer]:
        """Yield answers batch by batch, in order, for (s, s, 3) uint8 pictures of the model's geometry, or for
        what its encoding makes of rows or sentences."""
        for output in self.chosen.engine.run(pictures, maps=maps):
            logits = self.head.logits(output.features)
            yield Answer(self.task.answers(logits), output.features, output.maps)


def model_files(task: Task, base: Base | Measured, head: Head, chosen: Chosen, licence: str) -> dict[str, bytes]:
    """Return the files of a model folder by name."""
    from safetensors.numpy import save

    config = {
        "format": FORMAT,
        **task.as_dict(),
        "network": base.network,
        "cut": base.cut,
        "pool": base.pool,
        "preprocessing": base.preprocessing.as_dict(),
        "engine": chosen.as_dict(),
        "licence": licence,
    }
    tensors = {f"base.{name}": tensor for name, tensor in base.tensors.items()} | head.tensors()
    tensors |= {f"input.{name}": array for name, array in base.inputs.items()}
    # safetensors reads the memory as it lies, so it must lie in order; np.ascontiguousarray would lift a single
    # number (the counter of a batch normalisation) to one dimension.
    ordered = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    return {
        "model.safetensors": save(ordered),
        "config.json": json_bytes(config),
    }


def load_model(folder: Path, store: Store, *, engine: str = "", device: str = "auto") -> Model:
    """Return the model in a folder, run by the engine and precision it was trained with where they can be had.

    Raises RunError if there is none, WeightsError if its files are damaged.
    """
    config = _read_config(folder)
    tensors = _read_tensors(folder / "model.safetensors")
    head = from_tensors(tensors)
    try:
        task, base, trained = _parts(config, tensors, len(head.biases[-1]))
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{folder / 'config.json'} is damaged ({said}). Train again.") from error
    wanted = engine or ("auto" if device != "auto" or trained["device"] != "cpu" else trained["name"])
    chosen = base.engine(store, engine=wanted, device=device, precision=trained["precision"])
    return Model(task, base, head, chosen, str(config.get("licence", "")))


def _parts(
    config: dict[str, Any], tensors: dict[str, np.ndarray], outputs: int
) -> tuple[Task, Base | Measured, dict[str, str]]:
    """Return task, base and the engine of the training; raise one of several errors for what does not fit."""
    task = task_from_dict(config)
    if task.outputs != outputs:
        raise ValueError(f"its {task.kind} needs {task.outputs} outputs, but the head gives {outputs}")
    trained = {name: str(config["engine"][name]) for name in ("name", "device", "precision")}
    own = {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("base.")}
    if config["network"] in CUTS:
        return task, Measured(_read_preprocessing(config["preprocessing"]), str(config["network"]), own), trained
    if config["pool"] not in ("mean", "flatten"):
        raise ValueError(f"pool is {config['pool']!r}")
    base = Base(
        network=str(config["network"]),
        cut=str(config["cut"]),
        pool=config["pool"],
        preprocessing=from_dict(config["preprocessing"]),
        tensors=own,
        inputs={name[6:]: array for name, array in tensors.items() if name.startswith("input.")},
    )
    return task, base, trained


def _read_preprocessing(fields: dict[str, Any]) -> Encoding | Vocabulary | Moving:
    """Return how what is no picture becomes numbers."""
    if fields["kind"] == "words":
        return vocabulary_from_dict(fields)
    return moving_from_dict(fields) if fields["kind"] == "frames" else encoding_from_dict(fields)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder} holds no model: the run did not get that far. Train again.") from None
    except ValueError as error:
        raise RunError(f"{folder / 'config.json'} is damaged ({error}). Train again.") from error
    number = config.get("format") if isinstance(config, dict) else None
    if not isinstance(number, int):
        raise RunError(f"{folder / 'config.json'} is damaged (it names no format). Train again.")
    if number > FORMAT:
        raise RunError(
            f"{folder} has format {config['format']}; this lensmith reads up to {FORMAT}. Install a newer one."
        )
    return dict(config)


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise RunError(f"{path} is missing. Train again.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged ({error}). Train again, or copy the whole model folder.") from error
