"""The measure that opens the page: one for each kind of work, chosen by what was scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lensmith.reports import words
from lensmith.reports.source import Source, mapping, measure, text


@dataclass(frozen=True)
class Lead:
    """How a measure is shown: its key in metrics.json, what it is called, and what is said around it.

    `rays` is the measure that the lens draws, `ray` what one of its twenty rays stands for. `share`: it lies between
    0 and 1 and is shown in per cent; else it is a number in the unit of what is predicted.
    """

    key: str
    name: str
    share: bool
    truth: str
    baseline: str
    guess: str
    guessed: str
    rays: str
    ray: str
    groups: tuple[str, str]  # what pictures are counted by, one and several

    @property
    def show(self) -> Callable[[float | None], str]:
        """How a value of it is written."""
        return words.percent if self.share else words.quantity

    @property
    def gain(self) -> Callable[[float | None], str]:
        """How the difference of a value to an earlier one is written."""
        return words.points if self.share else words.closer


ACCURACY = Lead(
    key="accuracy",
    name="Accuracy",
    share=True,
    truth="the true share",
    baseline="baseline_accuracy",
    guess="guessing",
    guessed="always naming the commonest class would reach",
    rays="accuracy",
    ray="Each ray stands for a twentieth of the {split} pictures",
    groups=("class", "classes"),
)
PRECISION = Lead(
    key="map",
    name="Mean average precision",
    share=True,
    truth="the true value",
    baseline="baseline_map",
    guess="guessing",
    guessed="putting the pictures in any order would reach",
    rays="map",
    ray="Each ray stands for a twentieth of a perfect mean average precision",
    groups=("label", "labels"),
)
ERROR = Lead(
    key="mae",
    name="Mean error",
    share=False,
    truth="the true mean error",
    baseline="baseline_mae",
    guess="always the median",
    guessed="always answering the median would reach; the model should stay well below it",
    rays="r2",
    ray="Each ray stands for a twentieth of how far the true values are spread",
    groups=("", ""),
)
LEADS = (ACCURACY, PRECISION, ERROR)
_TASKS = {"classification": ACCURACY, "multilabel": PRECISION, "regression": ERROR}


def lead_of(scores: Mapping[str, Any], task: object = None) -> Lead:
    """Return the lead of what was scored; where nothing was, that of the task."""
    for lead in LEADS:
        if measure(scores.get(lead.key)).value is not None:
            return lead
    return _TASKS.get(text(task), ACCURACY)


def lead_in(source: Source) -> Lead:
    """Return the lead of a run."""
    return lead_of(source.metrics.get(source.held_out, {}), source.run.get("task"))


def target_name(run: Mapping[str, Any]) -> str:
    """Return the name of the column that is predicted; empty where the run does not say."""
    for place in (run, mapping(run.get("findings")), mapping(run.get("recipe")), mapping(run.get("request"))):
        for key in ("target_name", "target"):
            if isinstance(place.get(key), str) and place[key]:
                return str(place[key])
    return ""
