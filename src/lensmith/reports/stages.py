"""The stages of a training, as history.csv tells them: what was tried, in which order, and which epoch was kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lensmith.reports.source import Numbers, Row, Source, mapping, number, text

Series = dict[float | None, list[Numbers]]  # weight penalty (None where there is none) to its epochs


@dataclass(frozen=True)
class Stage:
    """One stage: its name, the epochs of the penalty that was chosen, those of the others, and the kept epoch if it
    is in this stage."""

    name: str
    rows: list[Numbers]
    others: list[list[Numbers]]
    penalties: list[float]
    penalty: float | None
    kept: float | None

    @property
    def seconds(self) -> float | None:
        """What the stage took, all penalties together; None where no row tells it."""
        spent = [row.get("seconds") for series in (self.rows, *self.others) for row in series]
        known = [taken for taken in spent if taken is not None]
        return sum(known) if known else None

    def column(self, name: str) -> list[tuple[float, float | None]]:
        """Return (epoch, value) pairs of one column."""
        return column(self.rows, name)


def column(rows: Sequence[Numbers], name: str) -> list[tuple[float, float | None]]:
    """Return (epoch, value) pairs of one column."""
    return [(row["epoch"] or 0.0, row.get(name)) for row in rows]


def read_stages(source: Source) -> list[Stage]:
    """Return the stages in the order they ran."""
    recipe = text(mapping(source.run.get("recipe")).get("recipe"))
    attempts = _attempts(source.history, recipe)
    plain = [name for name, _ in attempts]
    result = mapping(source.run.get("result"))
    place = _kept_place(plain, source)
    wanted = number(result.get("l2"))
    stages = []
    for index, (name, (_, series)) in enumerate(zip(_numbered(plain), attempts, strict=True)):
        chosen = _chosen(series, wanted)
        epoch = number(result.get("epoch")) if index == place else None
        stages.append(
            Stage(
                name=name,
                rows=series[chosen],
                others=[rows for key, rows in series.items() if key != chosen],
                penalties=[key for key in series if key is not None],
                penalty=chosen,
                kept=epoch,
            )
        )
    return stages


def _attempts(history: Sequence[Row], recipe: str) -> list[tuple[str, Series]]:
    """Cut the history where the stage changes, or where its epochs begin again under the same penalty."""
    attempts: list[tuple[str, Series]] = []
    for row in history:
        name, penalty = row.stage or recipe or "training", row.values.get("l2")
        rows = attempts[-1][1].get(penalty, []) if attempts else []
        if not attempts or attempts[-1][0] != name or (rows and row.epoch <= (rows[-1]["epoch"] or 0.0)):
            attempts.append((name, {}))
        attempts[-1][1].setdefault(penalty, []).append(row.values)
    return attempts


def _numbered(plain: Sequence[str]) -> list[str]:
    """Return the names with a number where one comes again."""
    seen = [plain[:place].count(name) for place, name in enumerate(plain)]
    return [f"{name} {times + 1}" if times else name for name, times in zip(plain, seen, strict=True)]


def _kept_place(plain: Sequence[str], source: Source) -> int:
    """Return the place of the stage whose weights the model has: the one named by the run, else the last."""
    run = source.run
    for wanted in (
        text(mapping(run.get("result")).get("stage")),
        text(mapping(run.get("ladder")).get("chosen")),
        text(mapping(run.get("recipe")).get("recipe")),
    ):
        found = [place for place, name in enumerate(plain) if name == wanted]
        if found:
            return found[-1]
    return len(plain) - 1


def _chosen(series: Series, wanted: float | None) -> float | None:
    """Return the penalty that leads: the run's own where it is among them, else the one of the lowest loss."""
    for key in series:
        if key is not None and wanted is not None and math.isclose(key, wanted):
            return key
    return min(series, key=lambda key: _lowest(series[key]))


def _lowest(rows: Sequence[Numbers]) -> float:
    losses = [loss for row in rows if (loss := row.get("validation_loss")) is not None]
    return min(losses, default=math.inf)
