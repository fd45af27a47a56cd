"""`lensmith predict`: what a model says of pictures it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensmith.data.store import Store
from lensmith.model import load_model
from lensmith.run import Run, open_run
from lensmith.verbs.console import Console
from lensmith.verbs.kinds.known import kind_of


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture: `answer` as the task words it, with "predicted" (a class, labels, or a number) and,
    for classes, "confidence" and "probabilities". `reason` is set, and the answer empty, if it could not be read."""

    path: str
    answer: Mapping[str, Any]
    reason: str = ""

    @property
    def predicted(self) -> Any:
        """The class, the list of labels, or the number; None if the picture could not be read."""
        return self.answer.get("predicted")

    @property
    def confidence(self) -> float | None:
        """The probability of the class; None where there is none."""
        return self.answer.get("confidence")

    @property
    def probabilities(self) -> Mapping[str, float]:
        """The probability of every class or label; empty where there is none."""
        shares: Mapping[str, float] = self.answer.get("probabilities", {})
        return shares

    def as_dict(self) -> dict[str, object]:
        """Return the JSON-ready form."""
        if self.reason:
            return {"path": self.path, "error": self.reason}
        return {"path": self.path, **self.answer}


def predict(
    run: Run | str | Path,
    pictures: str | Path | Sequence[str | Path],
    *,
    engine: str = "",
    device: str = "auto",
    out: str | Path = "runs",
    quiet: bool = False,
) -> list[Prediction]:
    """Return one Prediction a picture, in the order given; folders are searched for pictures, sub-folders too.

    run: a run, its folder, or its name in `out`. pictures: one file or folder, or several; tables for a run that was
    trained on rows; tables, text files or sentences for one that was trained on sentences;
    videos, folders of frames or of clips for one that was trained on clips. engine: openvino or
    torch (default: the one the model was trained with). device: auto, cpu, cuda or mps. out: the folder of runs.
    quiet: show no progress.

    A picture that cannot be read gives a Prediction with a reason. Raises RunError if there is no such run,
    DataError if there is nothing to look at.
    """
    found, console, store = open_run(run, Path(out)), Console(quiet), Store()
    places = [pictures] if isinstance(pictures, str | Path) else pictures
    kind = kind_of(found.document.get("example", ""))
    model = load_model(found.model_folder, store, engine=engine, device=device)
    return [
        Prediction(said.name, {} if said.answer is None else model.task.row(said.answer), said.reason)
        for said in kind.ask(model, places, store, console)
    ]
