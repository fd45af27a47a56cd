"""The sections on training: what the ladder tried, how each stage learned, and what stayed frozen."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from lensmith.reports import curves, figures, words
from lensmith.reports.leads import ACCURACY, ERROR, Lead
from lensmith.reports.source import Source, listing, mapping, number, text
from lensmith.reports.stages import Stage, column, read_stages

Values = dict[str, Any]

# metric of run.json: how the curve is called, whether it is a share, and what it should do.
METRICS = {
    "accuracy": ("Accuracy", True, "accuracy should rise"),
    "f1": ("Mean F1", True, "the mean F1 should rise"),
    "mae": ("Mean error", False, "the mean error should fall too"),
}

# Step of a recipe, and what it does, for somebody who has never trained a network.
STEPS = {
    "features": (
        "The ready-made network stays as it is and looks at every picture once. Only a new last layer learns, "
        "from what the network saw."
    ),
    "frozen": (
        "The network still stays as it is, but the pictures are changed a little in every epoch (turned, cropped, "
        "recoloured). So the last layer learns from more than was photographed."
    ),
    "finetune": (
        "The upper part of the network, which recognises whole things, goes on learning together with the last "
        "layer, in small steps, until it fits these pictures."
    ),
    "finetune all": (
        "The whole network goes on learning, down to edges and textures. It adapts most, and learns few pictures "
        "by heart most easily."
    ),
    "scratch": (
        "A network of random weights learns everything from these pictures alone. That pays where they are many "
        "and look like nothing the ready-made network knows."
    ),
}

# Status of a step in run.json: what is said of it. A step that was best for a time and then beaten is "replaced".
STATUS = {
    "not better": "not better",
    "did not fit": "did not fit the time",
    "not tried": "not tried",
}
SURE = 0.8  # from this probability on a step replaces the cheaper one
SHORT_HASH, LONGEST_STEP = 16, 30


def learning(source: Source) -> Values | None:
    """The curves of every stage; where several penalties were tried, the chosen one leads."""
    stages = read_stages(source)
    # The pictures that decide when to stop are named "stopping" where the validation pictures are held out.
    seen = text(source.run.get("stopping")) or "validation"
    name, share, should = _metric(source)
    scale = "share" if share else "zero"
    drawn = [
        curves.curves("loss", "Loss", [_panel(stage, "loss", seen) for stage in stages], "zero"),
        curves.curves("metric", name, [_panel(stage, "metric", seen) for stage in stages], scale),
    ]
    found = mapping(source.run.get("find_rate"))
    small = [_rates(stages), curves.finder(source.rates, number(found.get("suggested")))]
    if not any((*drawn, *small)):
        return None
    result = mapping(source.run.get("result"))
    kept = next((stage for stage in stages if stage.kept is not None), None)
    tried = next((stage for stage in stages if len(stage.penalties) > 1), None)
    return {
        "figures": [figure for figure in drawn if figure],
        "small": [figure for figure in small if figure],
        "should": should,
        "seen": seen,
        "stages": [_stage(stage, source) for stage in stages] if len(stages) > 1 else [],
        "explained": not _rows(source),
        "metric": name[:1].lower() + name[1:],
        "kept": kept,
        "tried": tried,
        "stopped": text(result.get("stopped")),
        "found": text(found.get("sentence")),
        "diagnosis": [text(sentence) for sentence in listing(source.run.get("diagnosis"))],
    }


def ladder(source: Source) -> Values | None:
    """What each step of the ladder cost and gained, and why the climb stopped there."""
    said, rows = mapping(source.run.get("ladder")), _rows(source)
    if not rows:
        return None
    name, share, _ = _metric(source)
    lead = ACCURACY if share else ERROR
    chosen = text(said.get("chosen"))
    allowed = number(said.get("budget")) or None
    steps = [_step(row, chosen, lead) for row in rows]
    spent = [(step["name"], step["seconds"], step["best"]) for step in steps if step["seconds"] is not None]
    counted = [number(row.get("n")) for row in rows if number(row.get("n"))]
    return {
        "why": words.kept_together(text(said.get("why"))),
        "metric": name,
        "steps": steps,
        "chosen": next((step["name"] for step in steps if step["best"]), ""),
        "budget": allowed,
        "spent": sum(seconds for _, seconds, _ in spent),
        "figure": figures.budget(spent, allowed) if spent else Markup(""),
        "n": max((int(n) for n in counted if n is not None), default=None),
        "out_of_fold": any(row.get("out_of_fold") is True for row in rows),
        "seen": text(source.run.get("stopping")) or "validation",
        "sure": SURE,
    }


def frozen(source: Source) -> Values | None:
    """Which weights were trained and which were not, and the proof that the latter did not move."""
    said = mapping(source.run.get("frozen"))
    trained, still = number(said.get("trained")), number(said.get("frozen"))
    before, after = text(said.get("before")), text(said.get("after"))
    known = trained is not None and still is not None and trained >= 0 and still >= 0 and trained + still > 0
    if not known or not (still or text(said.get("sentence"))):
        return None
    assert trained is not None and still is not None
    return {
        "trained": trained,
        "frozen": still,
        "share": still / (trained + still),
        "figure": figures.parted(trained, still),
        "cut": text(said.get("unfreeze")),
        "sentence": text(said.get("sentence")),
        "checked": bool(before and after),
        "moved": bool(before and after) and before != after,
        "before": before,
        "after": after,
        "short": SHORT_HASH,
    }


def _metric(source: Source) -> tuple[str, bool, str]:
    """Return the name of the curve of the metric, whether it is a share, and what it should do."""
    named = text(source.run.get("metric"))
    if named not in METRICS:
        named = "mae" if text(source.run.get("task")) == "regression" else "accuracy"
    return METRICS[named]


def _panel(stage: Stage, kind: str, seen: str) -> curves.Panel:
    lines = [curves.Line("other", "another penalty", column(rows, f"validation_{kind}")) for rows in stage.others]
    lines.append(curves.Line("train", "train", stage.column(f"train_{kind}")))
    lines.append(curves.Line("seen", seen, stage.column(f"validation_{kind}")))
    return curves.Panel(stage.name, lines, stage.kept)


def _rates(stages: list[Stage]) -> Markup:
    """Return the plot of learning rates, nothing where the rate was the same all the time."""
    lines = [curves.Line("rate", "rate", stage.column("learning_rate")) for stage in stages]
    if len({rate for line in lines for _, rate in line.points if rate is not None}) < 2:
        return Markup("")
    panels = [curves.Panel(stage.name, [line]) for stage, line in zip(stages, lines, strict=True)]
    return curves.curves("rate", "Learning rate", panels, "log")


def _stage(stage: Stage, source: Source) -> Values:
    """Return one row of the table of stages."""
    share = _metric(source)[1]
    values = [y for _, y in stage.column("validation_metric") if y is not None]
    best = (max(values) if share else min(values)) if values else None
    return {
        "name": stage.name,
        "does": _does(stage.name),
        "epochs": len(stage.rows),
        "seconds": stage.seconds,
        "best": (words.percent if share else words.quantity)(best),
        "kept": stage.kept,
    }


def _rows(source: Source) -> list[Values]:
    rows = (mapping(row) for row in listing(mapping(source.run.get("ladder")).get("rows")))
    return [row for row in rows if text(row.get("step"))]


def _step(row: Values, chosen: str, lead: Lead) -> Values:
    """Return one step of the ladder as the table shows it."""
    step, status = text(row.get("step")), text(row.get("status"))
    chance = number(row.get("probability"))
    chance = chance if chance is not None and 0 <= chance <= 1 else None
    best = step == chosen
    # Which of the two words it had does not matter: it was the best for a time, or it is.
    climbed = status in ("kept", "replaced")
    return {
        "name": words.shorten(step[:1].upper() + step[1:], LONGEST_STEP),
        "does": _does(step),
        "status": "chosen" if best else "replaced by a better step" if climbed else STATUS.get(status, status),
        "best": best,
        "seconds": number(row.get("seconds")),
        "predicted": number(row.get("predicted")),
        "value": None if number(row.get("value")) is None else lead.show(number(row.get("value"))),
        "gain": None if number(row.get("gain")) is None else lead.gain(number(row.get("gain"))),
        "chance": chance,
        "reason": words.kept_together(text(row.get("reason"))),
    }


def _does(step: str) -> str:
    """Return what a step does; a stage that came twice is numbered, and does the same again."""
    plain = step.rstrip("0123456789 ")
    return STEPS.get(plain, "")
