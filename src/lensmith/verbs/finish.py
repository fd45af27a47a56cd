"""The end of train: the model saved and read back, scored once, and the report written."""

from __future__ import annotations

import threading
from dataclasses import fields, replace
from typing import Any

from lensmith.data.dataset import Dataset, spoken
from lensmith.data.preprocess import Preprocessing
from lensmith.data.split import Splits
from lensmith.data.store import Store
from lensmith.engines.head import from_tensors
from lensmith.model import Model, load_model, model_files
from lensmith.reports import write_report
from lensmith.reports.card import model_card
from lensmith.reports.draw import prepare
from lensmith.run import Run
from lensmith.training import trials
from lensmith.training.diagnosis import Point, diagnose
from lensmith.training.epoch import Epoch
from lensmith.training.freezing import frozen_digest, frozen_names, parameter_counts
from lensmith.training.memory import give_back
from lensmith.training.recipe import Resolved
from lensmith.training.stages import Course
from lensmith.verbs.climb import Rung
from lensmith.verbs.console import Stopwatch
from lensmith.verbs.kinds.kind import Kind
from lensmith.verbs.kinds.known import kind_of
from lensmith.verbs.learning import Learned
from lensmith.verbs.score import Answers, score_split
from lensmith.zoo.base import Base
from lensmith.zoo.measured import Measured


def finish(run: Run, rung: Rung, dataset: Dataset, splits: Splits, store: Store, watch: Stopwatch) -> None:
    """Save the model, score it as it was read back from disk, and write the report."""
    resolved, course, learned = rung.resolved, rung.course, rung.learned
    assert learned is not None
    kind = kind_of(dataset.example)
    give_back()
    with watch.step("saving"):
        model = _save(run, learned.epoch, resolved, course, store)
    with watch.step("scoring"):
        model, scores, held_out = _score(run, model, kind, dataset, splits, store, resolved.recipe.seed)
    threading.Thread(target=prepare, daemon=True).start()
    with watch.step("pictures"):
        chosen = splits.indices(splits.held_out)
        kind.show(run, resolved, course, model, dataset, chosen, held_out)
    verdict = [spoken(model.task.verdict(scores[splits.held_out], splits.held_out), dataset.example)]
    if dataset.example == "picture" and resolved.plan.weights is None and resolved.request.recipe == "auto":
        verdict.append(resolved.reasons["recipe"])
    kept = learned.epoch
    run.update(
        recipe=_with_found_rate(run.document, kept),
        verdict=verdict,
        diagnosis=[
            spoken(said, dataset.example) for said in _diagnosis(learned, resolved, course, scores[splits.stopping])
        ],
        frozen=_frozen(resolved, course, model, kept),
        result={
            "stage": kept.stage,
            "epoch": kept.number,
            "l2": kept.l2,
            "stopped": learned.why,
            "parameters": {"base": _size(model.base), "head": model.head.parameters},
        },
    )
    run.write_text("model/README.md", model_card(run.document, scores[splits.held_out], splits.held_out))
    # The engine of what was trained comes last: until then run.json names the one that a resumed run must have.
    times = {"started": run.document["started"], **watch.as_dict()}
    run.update(status="done", engine=model.chosen.as_dict(), times=times)
    close(run)


def close(run: Run) -> None:
    """Write the report of a run that is done, then remove what only an unfinished one needs."""
    write_report(run.folder)
    run.clear_checkpoints()


def _with_found_rate(document: dict[str, Any], kept: Epoch) -> dict[str, Any]:
    """Return the recipe with the learning rate that was looked for, where one was found and used."""
    recipe, found = dict(document["recipe"]), document.get("find_rate") or {}
    if found.get("suggested") and kept.stage == found["stage"]:
        recipe["learning_rate"] = found["suggested"]
    return recipe


def _diagnosis(learned: Learned, resolved: Resolved, course: Course, scores: dict[str, Any]) -> list[str]:
    """Return sentences on how training went, from its history and from a look at the layers."""
    names = [field.name for field in fields(Point) if field.name != "number"]
    points = [Point(row["epoch"], **{name: row[name] for name in names}) for row in learned.history]
    metric, kept = course.task.metric, learned.epoch
    dead, gradients = (
        trials.layers(resolved.recipe, course, kept) if kept.stage in ("finetune", "scratch") else ({}, {})
    )
    epochs = resolved.recipe.epochs if kept.stage == resolved.recipe.recipe else 0
    baseline = float(scores.get(f"baseline_{metric}") or 0.0)
    pictures = isinstance(course.preprocessing, Preprocessing)
    said = diagnose(
        points, kept.number, epochs, baseline, metric=metric, dead=dead, gradients=gradients, pictures=pictures
    )
    return [learned.warning, *said] if learned.warning else said


def _frozen(resolved: Resolved, course: Course, model: Model, kept: Epoch) -> dict[str, Any] | None:
    """Return what was frozen and the proof that it was: its hash before training, and in the model as it was saved."""
    if course.base is None or not course.base.tensors:
        return None
    recipe, before, after = resolved.recipe, course.base.tensors, model.base.tensors
    unfreeze = recipe.unfreeze if kept.stage == "finetune" else "none"
    names = frozen_names(recipe.network, unfreeze, recipe.image_size, after)
    trained, frozen = parameter_counts(after, names)
    what = {
        "none": "The whole base stayed as it came; only the head was trained.",
        "all": "Every layer of the base was trained; the statistics of its batch normalisation stayed as they were.",
    }
    sentence = what.get(unfreeze, f"The base up to {unfreeze} stayed as it came, and all batch statistics with it.")
    return {
        "trained": trained + model.head.parameters,
        "frozen": frozen,
        "unfreeze": unfreeze,
        "sentence": sentence,
        "before": frozen_digest(before, names),
        "after": frozen_digest(after, names),
    }


def _save(run: Run, kept: Epoch, resolved: Resolved, course: Course, store: Store) -> Model:
    """Write the model folder and return the model read back from it: the proof that the save is enough."""
    recipe = resolved.recipe
    tensors = {name[5:]: tensor for name, tensor in kept.state.items() if name.startswith("base.")}
    base, chosen = course.base, course.chosen
    if tensors or base is None:
        if base is not None:  # of a base that was trained in part the rest is as it came
            tensors = {**base.tensors, **tensors}
        if isinstance(course.preprocessing, Preprocessing):
            base = Base(recipe.network, recipe.cut, recipe.pool, course.preprocessing, tensors, course.inputs)
        else:
            base = Measured(course.preprocessing, recipe.network, tensors)
        chosen = None
    chosen = chosen or base.engine(store, engine=recipe.engine, device=recipe.device)
    files = model_files(course.task, base, from_tensors(kept.state), chosen, recipe.weights_licence or "")
    for name, data in files.items():
        run.write_bytes(f"model/{name}", data)
    return load_model(run.model_folder, store)


def _score(
    run: Run, model: Model, kind: Kind, dataset: Dataset, splits: Splits, store: Store, seed: int
) -> tuple[Model, dict[str, Any], Answers]:
    """Settle the thresholds on the stopping split, score it and the held-out split, and write what was found."""
    stopping, held_out = (
        score_split(model, dataset, splits.indices(name), store, kind.features)
        for name in (splits.stopping, splits.held_out)
    )
    model = replace(model, task=model.task.settled(stopping.targets, stopping.answers))
    config = model_files(model.task, model.base, model.head, model.chosen, model.licence)["config.json"]
    run.write_bytes("model/config.json", config)
    scores = {
        splits.held_out: model.task.score(held_out.targets, held_out.answers, seed),
        splits.stopping: model.task.score(stopping.targets, stopping.answers, seed),
    }
    run.write_json("metrics.json", scores)
    rows = model.task.table_rows(held_out.paths, held_out.targets, held_out.answers)
    run.write_table("predictions.csv", model.task.table_header(), rows)
    return model, scores, held_out


def _size(base: Base | Measured) -> int:
    """Return the number of parameters; counters and running statistics of normalisation layers are none."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return sum(tensor.size for name, tensor in base.tensors.items() if not name.endswith(statistics))
