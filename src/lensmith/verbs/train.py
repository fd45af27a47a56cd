"""`lensmith train`: from pictures to a run folder with a model, its scores and a report."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lensmith.data.audit import Findings, audit, require_enough
from lensmith.data.dataset import Dataset, said_of
from lensmith.data.source import open_data
from lensmith.data.split import Splits, split
from lensmith.data.store import Store
from lensmith.data.target import number
from lensmith.errors import RunError, UsageError
from lensmith.run import Run, create_run, discard, open_run, require_free
from lensmith.tasks.choose import task_for
from lensmith.training.recipe import Resolved, resolve
from lensmith.training.request import Request
from lensmith.training.stages import Course
from lensmith.verbs.climb import Climbed, Rung, climb
from lensmith.verbs.console import Console, Stopwatch, if_stopped
from lensmith.verbs.document import recipe_document, run_document, split_rows
from lensmith.verbs.finish import close, finish
from lensmith.verbs.kinds import pictures
from lensmith.verbs.kinds.kind import course_of
from lensmith.verbs.kinds.known import kind_of
from lensmith.verbs.learning import Place, study

SMALL_PICTURES = 64  # pixels; up to here a small network from scratch costs little enough to be worth a try


def train(
    data: str | Path | None = None,
    *,
    task: str = "auto",
    target: str | None = None,
    network: str | None = None,
    weights: str | Path = "auto",
    recipe: str = "auto",
    budget: str | None = None,
    cut: str | None = None,
    unfreeze: str = "auto",
    pool: str | None = None,
    dense: Sequence[int] | None = None,
    dropout: float | None = None,
    norm: str = "none",
    init: str = "default",
    output: str = "softmax",
    loss: str | None = None,
    augment: str = "auto",
    mixup: float = 0.0,
    cutmix: float = 0.0,
    preprocess: str | None = None,
    image_size: int | None = None,
    frames: int | None = None,
    resize: str = "crop",
    crop: float | None = None,
    interpolation: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    find_rate: bool = False,
    optimizer: str | None = None,
    weight_decay: float | None = None,
    clip: float | None = None,
    label_smoothing: float = 0.0,
    class_weights: str = "none",
    ema: float = 0.0,
    precision: str = "auto",
    min_delta: float = 0.001,
    patience: int = 10,
    stop_right: float | None = None,
    stop_rest: float | None = None,
    seed: int = 0,
    device: str = "auto",
    engine: str = "auto",
    out: str | Path = "runs",
    name: str | None = None,
    resume: Run | str | Path | None = None,
    quiet: bool = False,
) -> Run:
    """Train on labelled pictures and return the run.

    data: a folder with one sub-folder a class, or train, validation and test folders of such; or a table (.csv, .tsv,
    .jsonl) of pictures and labels, or of rows to learn from. task: auto, classification, multilabel or regression, and
    target: the column to learn, both for tables.
    network: a name that `lensmith networks` lists, convnet/WIDTHS/DENSE or module:factory (default mobilenet_v2).
    weights: auto, none, a published name, or the path of a .safetensors or .pth file.
    recipe: features (a pretrained base runs once, a head is trained), frozen (the same on augmented pictures), finetune
    (head, then head and top of the base together), scratch, or auto: these in turn, while the budget lasts and one
    proves better. budget: time for auto, such as 90s, 10m or 1h (default 10m).
    cut: where the base ends (default: its last feature map). unfreeze: auto, all, or the cut after which finetune
    trains the base. pool: mean or flatten. dense: widths of hidden layers of the head (default none with weights).
    dropout: share dropped in them (default 0.5, of tables 0.2). norm: none, first, before or after: batch normalisation
    of the head's inputs, or of its hidden layers before or after their ReLU (recipe features, and tables).
    init: default, uniform, xavier or he, the first weights of recipe scratch.
    output: softmax, or sigmoid for two classes. loss: mae, mse or huber for numbers (default huber).
    augment: auto, none, shift, small-data, strong, or such a word and changes: small-data,rotation=30,flip=false.
    mixup, cutmix: alpha of Beta(alpha, alpha), 0 for off. preprocess: standardise, channel-mean, mean-image, min-max,
    pca, whiten or zca (recipe scratch; pretrained weights bring their own).
    frames: how many frames of a clip are seen; given, folders of pictures are clips (default 16 for video files).
    image_size: side in pixels the network sees. resize: crop, squash or pad; crop: the part of the short side kept.
    interpolation: nearest, bilinear, bicubic or lanczos.
    epochs, batch_size, learning_rate, weight_decay: chosen by the recipe where None. find_rate: choose the learning
    rate by a range test. optimizer: sgd, momentum, adagrad, rmsprop, adam or adamw (default adamw).
    clip: the largest norm of a gradient. label_smoothing: the share of a target given to all classes alike.
    class_weights: none, balanced, or ants=2,bees=1. ema: decay of averaged weights, 0 for off.
    precision: auto, float32 or bfloat16 (mixed; auto takes it on a GPU).
    min_delta, patience: training stops when the validation loss has not fallen by min_delta for patience epochs.
    stop_right: also stop when this share of the training pictures is right; stop_rest: when an epoch moves the weights
    by less than this share of their length.
    seed: fixes splits, order, augmentation, dropout and initial weights.
    device: auto, cpu, cuda or mps. engine: auto, openvino or torch.
    out: the folder of runs. name: the run in it (a free one is made; an existing one is an error).
    resume: go on with an interrupted run, with its own settings; nothing but out and quiet is given along.
    quiet: show no progress; what is odd in the data, and what was chosen for you, is said all the same.

    Raises DataError (empty folder, one class, over 10 % unreadable), UsageError (unknown network, impossible size,
    existing name), WeightsError and RunError (full disk). An error leaves a run only where it can be resumed.
    """
    asked: dict[str, Any] = {
        "task": task,
        "target": target,
        "network": network,
        "weights": _found_anywhere(weights),
        "recipe": recipe,
        "budget": budget,
        "cut": cut,
        "unfreeze": unfreeze,
        "pool": pool,
        "dense": tuple(dense) if dense is not None else None,
        "dropout": dropout,
        "norm": norm,
        "init": init,
        "output": output,
        "loss": loss,
        "augment": augment,
        "mixup": mixup,
        "cutmix": cutmix,
        "preprocess": preprocess,
        "image_size": image_size,
        "frames": frames,
        "resize": resize,
        "crop": crop,
        "interpolation": interpolation,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "find_rate": find_rate,
        "optimizer": optimizer,
        "weight_decay": weight_decay,
        "clip": clip,
        "label_smoothing": label_smoothing,
        "class_weights": class_weights,
        "ema": ema,
        "precision": precision,
        "min_delta": min_delta,
        "patience": patience,
        "stop_right": stop_right,
        "stop_rest": stop_rest,
        "seed": seed,
        "device": device,
        "engine": engine,
    }
    if not (network is None or isinstance(network, str)):
        raise UsageError(
            f"network is a {type(network).__name__}; train builds its networks itself, by name. Name it as "
            f"module:factory, where factory() of module.py returns it."
        )
    console = Console(quiet)
    if resume is not None:
        return _resume(open_run(resume, Path(out)), data, name, Request("", **asked), console)
    if data is None:
        raise UsageError("data is missing: name a folder or a table of pictures, or a run by --resume.")
    request = Request(str(Path(data).expanduser().resolve()), **asked)
    require_free(Path(out), name)
    return _train(request, Path(out), name, None, console)


def _resume(run: Run, data: object, name: object, asked: Request, console: Console) -> Run:
    """Go on with an interrupted run; one that is done comes back as it is."""
    others = [field.name for field in fields(Request) if getattr(asked, field.name) != getattr(Request(""), field.name)]
    others += [option for option, value in (("data", data), ("name", name)) if value is not None]
    if others:
        raise UsageError(f"resume goes on with the run's own settings, but {', '.join(others)} is given too. Leave it.")
    with run.claimed():
        return _go_on(run, console)


def _go_on(run: Run, console: Console) -> Run:
    """Do what is left to do of a run that this process has claimed."""
    if run.field("status") == "done":
        if run.resumable or not run.report.exists():  # it was killed when all but this was done
            close(run)
        console.say(f"{run.folder} is done already; its report is {run.report}")
        return run
    try:
        said = dict(run.field("request"))
        request = Request(**{**said, "dense": None if said["dense"] is None else tuple(said["dense"])})
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.folder / 'run.json'} is damaged (request: {error}). Train again.") from error
    return _train(request, run.folder.parent, None, run, console)


@dataclass(frozen=True)
class Prepared:
    """All that is known before training begins."""

    resolved: Resolved
    dataset: Dataset
    findings: Findings
    splits: Splits
    course: Course

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Path, target, split and content of every picture, as splits.csv holds them."""
        return split_rows(self.dataset, self.course.task, self.findings, self.splits)


def _train(request: Request, out: Path, name: str | None, run: Run | None, console: Console) -> Run:
    """Train anew, or go on with `run`: the same way, which then finds what was done already."""
    watch, store = Stopwatch(), Store()
    with if_stopped("nothing was written" if run is None else _go_on_by(run)):
        prepared = _prepare(request, store, console, watch)
    if run is None:
        document = run_document(
            request, prepared.resolved, prepared.course, prepared.dataset, prepared.findings, prepared.splits
        )
        run = create_run(out, name, prepared.dataset.name or "run", document, prepared.rows)
        with run.claimed():
            return _study(Place(run, console, watch), prepared, store)
    _require_same(run, prepared)
    run.update(status="running")
    run.begin_history()
    console.say(f"going on with {run.folder}")
    return _study(Place(run, console, watch), prepared, store)


def _prepare(request: Request, store: Store, console: Console, watch: Stopwatch) -> Prepared:
    """Open the data, settle the recipe, read every picture once, and split."""
    frames = request.frames is not None
    dataset = open_data(request.data, task=request.task, target=request.target, frames=frames)
    with said_of(dataset.example):
        return _prepared(request, dataset, store, console, watch)


def _prepared(request: Request, dataset: Dataset, store: Store, console: Console, watch: Stopwatch) -> Prepared:
    kind = kind_of(dataset.example)
    require_enough(dataset, np.ones(len(dataset), bool))  # before minutes are spent on reading
    task = task_for(
        dataset.task, dataset.classes, target_name=dataset.target_name, loss=request.loss, output=request.output
    )
    console.say(f"{len(dataset)} {dataset.example}s {_of_what(dataset)}")
    with watch.step("choosing"):
        resolved = kind.settle(request, dataset, store, console.say)
    console.say(kind.headline(resolved))
    if resolved.recipe.recipe in ("finetune", "scratch"):
        # What will be needed anyway loads while the pictures are read.
        threading.Thread(target=import_module, args=("lensmith.training.fit",), daemon=True).start()
    material = kind.read(resolved, dataset, store, console, watch)
    findings = audit(dataset, material.records)
    findings.require_sound(dataset)
    _say_findings(findings, dataset, console)
    splits = split(dataset, findings, request.seed)
    return Prepared(resolved, dataset, findings, splits, course_of(kind, resolved, material, dataset, task, splits))


def _study(place: Place, prepared: Prepared, store: Store) -> Run:
    """Learn, save, score and report; what is left of a run that fails is what can be resumed."""
    run, watch = place.run, place.watch
    assert run is not None
    try:
        with watch.step("training"):
            rung = _learn(place, prepared, store)
        finish(run, rung, prepared.dataset, prepared.splits, store, watch)
    except BaseException as error:
        _abandon(run, error, place.console)
        raise
    for line in run.document["verdict"]:
        place.console.say(line)
    store.trim()
    return run


def _learn(place: Place, prepared: Prepared, store: Store) -> Rung:
    """Train by the recipe asked for, or climb the ladder."""
    resolved, course, dataset = prepared.resolved, prepared.course, prepared.dataset
    if resolved.request.recipe != "auto" or dataset.example != "picture":
        return Rung(resolved.recipe.recipe, resolved, course, study(place, resolved.recipe, course))

    def scratch() -> tuple[Resolved, Course]:
        request = replace(resolved.request, recipe="scratch", budget=None)
        other = resolve(request, dataset, store, place.console.say)
        material = pictures.read(other, dataset, store, place.console, place.watch)
        return other, course_of(pictures, other, material, dataset, course.task, prepared.splits)

    small = resolved.request.network is None and min(prepared.findings.median_size) <= SMALL_PICTURES
    climbed = climb(place, resolved, course, scratch if small else None)
    assert place.run is not None
    reasons = {**climbed.rung.resolved.reasons, "recipe": _why(climbed)}
    rung = replace(climbed.rung, resolved=replace(climbed.rung.resolved, reasons=reasons))
    place.run.update(ladder=climbed.account, recipe=recipe_document(rung.resolved, rung.course), reasons=reasons)
    return rung


def _require_same(run: Run, prepared: Prepared) -> None:
    """Raise RunError if pictures, labels, weights or engine are no longer those that the run began with."""
    there = run.read_table("splits.csv", ("path", "target", "split", "sha256"))
    before = [(row["path"], row["target"], row["split"], row["sha256"]) for row in there]
    rows = prepared.rows
    if before != rows:
        changed = next((one[0] for one, other in zip(before, rows, strict=False) if one != other), "their number")
        raise RunError(f"the pictures have changed since {run.folder} began (first: {changed}). Train again.")
    base = prepared.course.base
    if base is not None and run.document.get("base") not in (None, base.key):
        raise RunError(f"the weights or the network have changed since {run.folder} began. Train again.")
    engine, began = prepared.course.chosen, run.document.get("engine")
    if engine and began and (engine.engine.name, engine.engine.precision) != (began["name"], began["precision"]):
        raise RunError(
            f"{run.folder} began with {began['name']} in {began['precision']}; here it is {engine.engine.name} in "
            f"{engine.engine.precision}, and the weights would not be the same. Go on where it began, or train again."
        )


def _abandon(run: Run, error: BaseException, console: Console) -> None:
    """Leave nothing half-written: a run stays where it can be resumed, or where somebody interrupted it."""
    if not (run.resumable or isinstance(error, KeyboardInterrupt)):
        discard(run)
        return
    try:
        run.update(status="stopped")
    except RunError:
        if not run.resumable:
            discard(run)
            return
    if isinstance(error, KeyboardInterrupt):
        error.add_note(_go_on_by(run))
    else:
        console.note(f"stopped; {_go_on_by(run)}")


def _go_on_by(run: Run) -> str:
    return f"go on by: lensmith train --resume {shlex.quote(str(run.folder))}"


def _found_anywhere(weights: str | Path) -> str:
    """Return weights as the request holds them: a file by its whole path, for a run may go on from another folder."""
    file = Path(weights).expanduser()
    return str(file.resolve()) if str(weights) not in ("auto", "none") and file.is_file() else str(weights)


def _why(climbed: Climbed) -> str:
    rows = climbed.account["rows"]
    if len(rows) == 1:
        return climbed.rung.resolved.reasons.get("recipe", str(rows[0]["reason"]))
    chosen, why = climbed.account["chosen"], climbed.account["why"]
    return f"Of the steps that were tried, {chosen} is the one that proved best. {why}"


def _say_findings(findings: Findings, dataset: Dataset, console: Console) -> None:
    if findings.left_out:
        console.note(f"left out: {number(len(findings.left_out), dataset.example)} (the report names them)")
    for warning in findings.warnings:
        console.note(warning)


def _of_what(dataset: Dataset) -> str:
    if not dataset.classes:
        return f"with a number each: {dataset.target_name}"
    noun = "labels" if dataset.noun == "label" else "classes"
    return f"with {len(dataset.classes)} {noun}: {_some(dataset.classes)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
