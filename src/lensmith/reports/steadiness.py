"""The page of `lensmith stress`: for every disturbance a curve, and below it one picture at every level."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from lensmith.reports import words
from lensmith.reports.draw import draw
from lensmith.reports.fragility import SMALL, place, style, uri
from lensmith.reports.levels import Steps, figure, scale
from lensmith.seeing.disturbances import Series

LONGEST, GAP = 224, 6  # of the sheet, in pixels
FEW = 9  # pictures: of so few a score without a range is said with their number
NAMES = {"accuracy": "accuracy", "map": "mean average precision", "mae": "mean absolute error"}
TITLES = {"jpeg": "JPEG"}
SLIGHT = 0.005  # a cost below half a point is not told in numbers: they would say more than is known


@dataclass(frozen=True)
class Answer:
    """What is said of a picture: in words, with its confidence (None where there is none), and whether it is still
    what was said of the undisturbed one."""

    text: str
    share: float | None
    same: bool


@dataclass(frozen=True)
class Row:
    """One picture at every level of a disturbance, undisturbed first."""

    name: str
    squares: tuple[np.ndarray, ...]
    answers: tuple[Answer, ...]


def rows(tried: Sequence[Series], squares: Sequence[np.ndarray], answers: Sequence[Answer]) -> list[Row]:
    """Return the example by disturbance, from all its squares in the order in which they were asked for."""
    found, start = [], 1
    for one in tried:
        end = start + len(one.amounts)
        shown = (squares[0], *squares[start:end])
        found.append(Row(one.disturbance.name, shown, (answers[0], *answers[start:end])))
        start = end
    return found


def sheet(lines: Sequence[Row]) -> bytes:
    """Return the squares of all rows as one PNG, a row each."""
    side = len(lines[0].squares[0])
    scale_by = max(1, LONGEST // (2 * side))  # small squares are shown pixel by pixel
    step = side * scale_by + GAP
    columns = max(len(line.squares) for line in lines)
    found = Image.new("RGB", (columns * step - GAP, len(lines) * step - GAP), (255, 255, 255))
    for down, line in enumerate(lines):
        for across, square in enumerate(line.squares):
            picture = Image.fromarray(square).resize((side * scale_by,) * 2, Image.Resampling.NEAREST)
            found.paste(picture, (across * step, down * step))
    file = io.BytesIO()
    found.save(file, "PNG")
    return file.getvalue()


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all levels together say: for each disturbance the mean over its levels and what that costs.

    measure: what is averaged: the metric, or without labels the share of answers that stay ("same"), of numbers how far
    they move ("moved"). clean: its value undisturbed. cost: how much worse the mean is, above zero where it is.
    mean: of all disturbances. disturbances: the costliest first.
    """
    numbers = found["task"] == "regression"
    measure = found["metric"] or ("moved" if numbers else "same")
    clean = found["clean"]["value"] if found["clean"] else float(not numbers)
    parts = []
    for curve in found["curves"]:
        values = [level["score" if found["metric"] else "same"]["value"] for level in curve["levels"]]
        costs = [_cost(clean, value, numbers) for value in values]
        mean, cost = _mean(values), _mean(costs)
        parts.append({"name": curve["name"], "mean": mean, "cost": cost, "costs": costs})
    parts.sort(key=lambda part: -(part["cost"] if part["cost"] is not None else -1.0))
    return {"measure": measure, "clean": clean, "mean": _mean([part["mean"] for part in parts]), "disturbances": parts}


def _cost(clean: float | None, value: float | None, numbers: bool) -> float | None:
    if clean is None or value is None:
        return None
    return value - clean if numbers else clean - value


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def sentences(found: Mapping[str, Any]) -> list[str]:
    """Return what was found, in sentences, the headline first."""
    seen = found["summary"]
    said = [_middle(found, part["name"]) for part in seen["disturbances"]]
    known = [(what, cost) for what, cost in said if cost is not None]
    if not known:
        return ["There is nothing to compare"]
    known.sort(key=lambda one: -one[1])
    (worst, most), (best, least) = known[0], known[-1]
    amount, of = _amount_of(found), " of answers" if seen["measure"] == "same" else ""
    verb = "costs" if found["metric"] else "turns" if seen["measure"] == "same" else "moves the answer by"
    small = SLIGHT if _shares(found) else 0.0
    slight = f"less than half a {'point' if found['metric'] else 'per cent'}" if _shares(found) else "nothing"
    if most <= small:
        head = "Nothing that was tried changes much"
    elif len(known) == 1:
        head = f"{worst[0].upper()}{worst[1:]} {verb} {amount(most)}{of}"
    else:
        mild = slight if least <= small else amount(least)
        head = f"{worst[0].upper()}{worst[1:]} {verb} {amount(most)}{of}, {best} {mild}"
    lines = [head]
    if len(known) > 2:
        others = "; ".join(f"{what}, {slight if cost <= small else amount(cost)}" for what, cost in known[1:-1])
        lines.append(f"In between, each at the middle one of its levels: {others}.")
    lines.append(_overall(found))
    if found["fgsm"] is not None:
        lines.append(_of_fgsm(found))
    return [*lines, *found["notes"]]


def _middle(found: Mapping[str, Any], name: str) -> tuple[str, float | None]:
    """Return the middle level of a disturbance in words, and its cost."""
    curve = next(curve for curve in found["curves"] if curve["name"] == name)
    costs = next(part["costs"] for part in found["summary"]["disturbances"] if part["name"] == name)
    place = len(costs) // 2
    return curve["levels"][place]["words"], costs[place]


def _overall(found: Mapping[str, Any]) -> str:
    """Return the score undisturbed and the mean over everything."""
    seen = found["summary"]
    mean = words.percent(seen["mean"]) if _shares(found) else words.quantity(seen["mean"])
    if not found["metric"]:
        stays = "of the answers stay what they were" if _shares(found) else "is how far the answer moves"
        few = "" if found["pictures"] > FEW else f" That is said of {words.plural(found['pictures'], 'picture')} alone."
        return f"Over all levels of all disturbances {mean} {stays}.{few}"
    clean = words.percent(seen["clean"]) if _shares(found) else words.quantity(seen["clean"])
    name = NAMES[found["metric"]]
    said = f"Undisturbed its {name} is {clean}; the mean over all levels of all disturbances is {mean}."
    low, high = found["clean"]["low"], found["clean"]["high"]
    if low is None or not low < high:
        return said
    within = f"{50 * (high - low):.1f} points" if _shares(found) else words.quantity((high - low) / 2)
    return f"{said} With {words.plural(found['pictures'], 'picture')} a score is known to within about {within}."


def _of_fgsm(found: Mapping[str, Any]) -> str:
    """Return what noise in the worst direction does."""
    fgsm = found["fgsm"]
    size, same, noise = fgsm["epsilons"][0], fgsm["same"][0]["value"], fgsm["noise"][-1]["value"]
    large = fgsm["epsilons"][-1]
    step = words.plural(size, "grey level")
    if found["task"] == "regression":
        return (
            f"A change of {step} along the gradient (FGSM) moves the answer by {words.quantity(same)}; plus or minus "
            f"{large} by the toss of a coin moves it by {words.quantity(noise)}."
        )
    return (
        f"A change of {step} along the gradient (FGSM) turns {words.percent(1 - same)} of "
        f"{words.plural(fgsm['pictures'], 'answer')}; "
        f"plus or minus {large} by the toss of a coin turns {words.percent(1 - noise)}."
    )


def _shares(found: Mapping[str, Any]) -> bool:
    return bool(found["task"] != "regression")


def _amount_of(found: Mapping[str, Any]) -> Any:
    """Return how a cost is said: in points, in per cent of answers, or in the unit of the number."""
    if not _shares(found):
        return words.quantity

    def amount(cost: float) -> str:
        many = f"{100 * cost:.0f}" if cost >= 0.01 else f"{100 * cost:.1f}"
        if not found["metric"]:
            return f"{many} %"
        return f"{many} {'point' if many == '1' else 'points'}"

    return amount


def page(found: Mapping[str, Any], lines: Sequence[Row], path: str) -> str:
    """Return the page from what --json prints and the example, which came from `path`."""
    shares, (headline, *rest) = _shares(found), sentences(found)
    by_name = {line.name: line for line in lines}
    curves = {curve["name"]: curve for curve in found["curves"]}
    key = "score" if found["metric"] else "same"
    start = found["clean"] or {"value": float(shares), "low": None, "high": None}
    measured = [level[key]["value"] for curve in found["curves"] for level in curve["levels"]]
    axis = scale([start["value"], *measured], shares)
    trials = []
    for part in found["summary"]["disturbances"]:
        curve = curves[part["name"]]
        levels = [start, *(level[key] for level in curve["levels"])]
        drawn = [_main(found, levels)]
        if found["metric"] and shares:
            same = [1.0, *(level["same"]["value"] for level in curve["levels"])]
            drawn.append(Steps("Answers that stay the same", "side", same))
        amounts = ["clean", *(f"{level['amount']:g}" for level in curve["levels"])]
        trials.append(
            {
                **curve,
                "title": TITLES.get(curve["name"], curve["name"].capitalize()),
                "cost": _cost_words(found, part["cost"]),
                "figure": figure(curve["name"], f"{curve['name']}, by level", amounts, drawn, axis, shares),
                "tiles": _tiles(by_name[curve["name"]], amounts),
            }
        )
    values = {
        "style": style(),
        "found": found,
        "measure": _measure(found),
        "shares": shares,
        "headline": words.kept_together(headline),
        "paragraphs": [words.kept_together(one) for one in rest],
        "facts": _facts(found),
        "trials": trials,
        "example": place(path),
        "place": place,
        "small": len(lines[0].squares[0]) <= SMALL,
        "fgsm": _fgsm_figure(found, shares),
    }
    return str(draw("fragility/stress.html", values))


def _main(found: Mapping[str, Any], levels: Sequence[Mapping[str, Any]]) -> Steps:
    values, low, high = ([level[end] for level in levels] for end in ("value", "low", "high"))
    return Steps(_measure(found), "main", values, low, high, told=True)


def _measure(found: Mapping[str, Any]) -> str:
    if found["metric"]:
        return NAMES[found["metric"]].capitalize()
    return "Answers that stay the same" if _shares(found) else "How far the answer moves"


def _cost_words(found: Mapping[str, Any], cost: float | None) -> str:
    """Return what a disturbance costs on average, for the line above its figure."""
    if cost is None:
        return ""
    if _shares(found):
        return f"{words.points(-cost)} on average" if abs(cost) >= 5e-4 else "no cost on average"
    return f"{'+' if cost > 0 else ''}{words.quantity(cost)} on average"


def _tiles(line: Row, amounts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the squares with their amounts and answers as the template wants them."""
    return [
        {
            "uri": uri(square),
            "amount": amount,
            "answer": answer.text,
            "share": answer.share,
            "turned": not answer.same,
        }
        for square, answer, amount in zip(line.squares, line.answers, amounts, strict=True)
    ]


def _facts(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    seen, clean = found["summary"], found["clean"]
    split = "" if found["split"] == "new" else f"{found['split']} split"
    facts = [("Network", found["network"], ""), ("Pictures", f"{found['pictures']:,}", split)]
    show = words.percent if _shares(found) else words.quantity
    if clean is not None:
        ends = f"{show(clean['low'])} to {show(clean['high'])}" if clean["low"] is not None else ""
        facts.append((f"{_measure(found)}, undisturbed", show(clean["value"]), ends))
    facts.append(("Mean over all levels", show(seen["mean"]), "" if found["metric"] else _measure(found).lower()))
    if found["fgsm"] is not None:
        first = found["fgsm"]["same"][0]["value"]
        name = "Stay under FGSM of ±1" if _shares(found) else "Moved by FGSM of ±1"
        facts.append(
            (name, show(first), f"of {words.plural(found['fgsm']['pictures'], 'picture')}" if _shares(found) else "")
        )
    return facts


def _fgsm_figure(found: Mapping[str, Any], shares: bool) -> dict[str, Any] | None:
    """Return the figure of FGSM beside noise of the same size."""
    fgsm = found["fgsm"]
    if fgsm is None:
        return None
    start = {"value": float(shares), "low": None, "high": None}
    along, coins = [start, *fgsm["same"]], [start, *fgsm["noise"]]
    lines = [
        _main({**found, "metric": ""}, along),
        Steps("By the toss of a coin", "side", [level["value"] for level in coins], told=False),
    ]
    columns = ["clean", *(f"±{size}" for size in fgsm["epsilons"])]
    axis = scale([level["value"] for level in (*along, *coins)] + ([0.0] if shares else []), shares)
    title = "Answers under FGSM, by grey levels"
    return {"columns": columns, "figure": figure("fgsm", title, columns, lines, axis, shares)}
