"""Learning rate and batch size: one small network, trained with every pair of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lensmith.gallery.exhibit import Part, Plate, Said, facts, listed, number, share
from lensmith.gallery.figures import Line, Scale, cells, chart, table
from lensmith.gallery.lessons import Steps, Values, Way, learned, network, stack
from lensmith.gallery.pictures import digits

GUESSED = 2.0  # a network that is right no more than this many times as often as guessing has learned nothing
NEAR = 0.02  # an accuracy this close to the best counts as good
WIDTH, FEATURES = 16, 64


@dataclass(frozen=True)
class Rates:
    """Plain descent without momentum or normalisation, on digits of 16 pixels, the same epochs for every pair."""

    question: ClassVar[str] = "How do learning rate and batch size go together?"

    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    batches: tuple[int, ...] = (2, 8, 32, 128)
    epochs: int = 6
    train: int = 1000
    held_out: int = 500
    size: int = 16

    @property
    def notes(self) -> int:
        """Every pair has its own training."""
        return len(self.rates) * len(self.batches) * self.epochs

    def measured(self, seed: int) -> Steps:
        """Train the same network, from the same weights, once for each pair."""
        lot = digits(self.size, self.train, self.held_out, seed)
        runs = []
        for batch in self.batches:
            for rate in self.rates:
                pupil = network(lambda: stack(WIDTH, norm=False), FEATURES, lot, seed)
                way = Way(self.epochs, batch, rate, optimizer="sgd", weight_decay=0.0)
                rows = yield from learned(pupil, lot, way, seed, f"batch {batch}, rate {rate:g}")
                runs.append({"batch": batch, "rate": rate, "rows": rows})
        return {
            **facts(lot, len(runs), self.epochs),
            "rates": list(self.rates),
            "batches": list(self.batches),
            "classes": len(lot.classes),
            "runs": runs,
        }

    @staticmethod
    def said(values: Values) -> Said:
        """Return which rates suit which batches."""
        return Said(_headline(values), (_failures(values), _room(values)))

    @staticmethod
    def parts(values: Values) -> list[Part]:
        """Return the map of accuracies, and the loss by rate."""
        rates, batches = values["rates"], values["batches"]
        grid = [[accuracy_of(values, batch, rate) for batch in batches] for rate in rates]
        marked = [(rates.index(best(values, batch)), place) for place, batch in enumerate(batches)]
        lines = [
            Line(f"batch {batch}", [(rate, _loss(values, batch, rate)) for rate in rates], place)
            for place, batch in enumerate(batches, start=1)
        ]
        rows = [
            (
                str(batch),
                f"{best(values, batch):g}",
                _share(values, batch, best(values, batch)),
                f"{_steps(values, batch):,}",
                f"{_seconds(values, batch):.1f}",
            )
            for batch in batches
        ]
        return [
            Part(
                "Every pair",
                "Held-out accuracy in per cent. The framed cell has the lowest held-out loss of its column; a dash is "
                "a training whose loss was no longer a number. The highest rates are at the bottom.",
                [
                    Plate(
                        "Accuracy by rate and batch",
                        cells(
                            "pairs",
                            "Held-out accuracy by learning rate and batch size",
                            [f"{rate:g}" for rate in rates],
                            [str(batch) for batch in batches],
                            grid,
                            ("learning rate", "pictures a step"),
                            marked,
                        ),
                    ),
                    Plate(
                        "Loss by rate",
                        chart(
                            "losses",
                            "Training loss by learning rate",
                            lines,
                            Scale("learning rate", "log"),
                            Scale("training loss", "log"),
                            dots=True,
                        ),
                    ),
                ],
            ),
            Part(
                "Column by column",
                "Small batches take more steps in an epoch, and each costs nearly as much time as a larger one. "
                "The rate is the highest of a training: it rises to it in the first tenth and then falls to zero.",
                [
                    Plate(
                        "",
                        table(
                            "The best rate of each batch size",
                            ("Pictures a step", "Best rate", "Held-out accuracy", "Steps", "Seconds"),
                            rows,
                        ),
                    )
                ],
            ),
        ]


def _run(values: Values, batch: int, rate: float) -> Values:
    found: Values = next(run for run in values["runs"] if run["batch"] == batch and run["rate"] == rate)
    return found


def accuracy_of(values: Values, batch: int, rate: float) -> float | None:
    """Return the held-out accuracy of a pair; None where the loss was no longer a number."""
    row = _run(values, batch, rate)["rows"][-1]
    return None if row["train_loss"] is None or row["loss"] is None else row["accuracy"]


def _loss(values: Values, batch: int, rate: float) -> float | None:
    found: float | None = _run(values, batch, rate)["rows"][-1]["train_loss"]
    return found


def best(values: Values, batch: int) -> float:
    """Return the rate with the lowest held-out loss for a batch size: it tells apart what accuracy cannot."""

    def rank(rate: float) -> tuple[int, float]:
        found = accuracy_of(values, batch, rate)
        return (0, 0.0) if found is None else (1, -_run(values, batch, rate)["rows"][-1]["loss"])

    return float(max(values["rates"], key=rank))


def _share(values: Values, batch: int, rate: float) -> str:
    found = accuracy_of(values, batch, rate)
    return "–" if found is None else share(found)


def _headline(values: Values) -> str:
    small, large = values["batches"][0], values["batches"][-1]
    low, high = best(values, small), best(values, large)
    if high > low:
        return f"The best learning rate grew with the batch: {low:g} for {small} pictures a step, {high:g} for {large}."
    if high == low:
        return f"The best learning rate was {low:g} for {small} pictures a step and for {large}: it did not grow."
    return f"The best learning rate fell from {low:g} to {high:g} with the batch: not what is usually seen."


def _failures(values: Values) -> str:
    """Return where nothing was learned, above the best rate of a batch and below it."""
    runs, most = values["runs"], GUESSED / values["classes"]
    lost = [run for run in runs if (accuracy_of(values, run["batch"], run["rate"]) or 0.0) <= most]
    high = [run for run in lost if run["rate"] > best(values, run["batch"])]
    low = [run for run in lost if run["rate"] < best(values, run["batch"])]
    said = [
        f"Each of the {len(runs)} trainings began with the same weights and saw {values['data']['train']:,} pictures "
        f"{values['epochs']} times."
    ]
    if high:
        first = {batch: min(run["rate"] for run in high if run["batch"] == batch) for batch in _batches(high)}
        where = listed([f"{rate:g} with {batch}" for batch, rate in first.items()])
        said.append(
            f"{number(len(high)).capitalize()} ended no better than guessing because the rate was too high: from "
            f"{where} pictures a step. Such a step leaps over the valley that it should go down into."
        )
    else:
        said.append("No rate of this grid was so high that training fell apart.")
    if low:
        last_one = {batch: max(run["rate"] for run in low if run["batch"] == batch) for batch in _batches(low)}
        where = listed([f"{rate:g} with {batch}" for batch, rate in last_one.items()])
        said.append(
            f"{number(len(low)).capitalize()} had hardly begun when their time was up: the rate was too low, up to "
            f"{where} pictures a step."
        )
    else:
        said.append("None was so low that nothing was learned.")
    return " ".join(said)


def _batches(runs: Sequence[Values]) -> list[int]:
    return sorted({run["batch"] for run in runs})


def _room(values: Values) -> str:
    """Return how many rates are good for each batch, and what small batches cost."""
    small, large = values["batches"][0], values["batches"][-1]
    good = {batch: _good(values, batch) for batch in (small, large)}
    ratio = best(values, large) / best(values, small)
    said = [
        f"With {small} pictures a step, {number(len(good[small]))} of {number(len(values['rates']))} rates came within "
        f"two points of the best ({_share(values, small, best(values, small))}), with {large} it was "
        f"{number(len(good[large]))} (best {_share(values, large, best(values, large))})."
    ]
    if ratio > 1:
        said.append(
            f"The batch grew {large / small:g}-fold and the best rate {ratio:.3g}-fold: a mean over more pictures is "
            "surer of its way and can bear a longer step."
        )
    said.append(
        f"In the same epochs the small batches took {_steps(values, small):,} steps and {_seconds(values, small):.1f} "
        f"seconds a training, the large ones {_steps(values, large):,} and {_seconds(values, large):.1f}."
    )
    return " ".join(said)


def _good(values: Values, batch: int) -> list[float]:
    top = accuracy_of(values, batch, best(values, batch)) or 0.0
    found = {rate: accuracy_of(values, batch, rate) for rate in values["rates"]}
    return [rate for rate, accuracy in found.items() if accuracy is not None and accuracy >= top - NEAR]


def _steps(values: Values, batch: int) -> int:
    return int(-(-values["data"]["train"] // batch) * values["epochs"])


def _seconds(values: Values, batch: int) -> float:
    """Return how long a training took at the best rate, which ran to its end."""
    return float(sum(row["seconds"] for row in _run(values, batch, best(values, batch))["rows"]))
