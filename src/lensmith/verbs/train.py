"""`lensmith train`: from a folder of pictures to a run folder with a model, its scores and a report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lensmith import __version__
from lensmith.data.audit import Findings, audit
from lensmith.data.dataset import Dataset
from lensmith.data.folders import open_folder
from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files
from lensmith.data.split import Splits, split
from lensmith.data.store import Store
from lensmith.engines.choose import Chosen
from lensmith.engines.head import from_tensors
from lensmith.errors import RunError
from lensmith.model import Model, load_model, model_files
from lensmith.networks.base import Base
from lensmith.report import write_report
from lensmith.report.card import model_card
from lensmith.report.examples import write_examples
from lensmith.reproduce import machine, versions
from lensmith.run import Run, create_run, discard, require_free
from lensmith.tasks.classification import Classification
from lensmith.training.diagnosis import Point, diagnose
from lensmith.training.epoch import EarlyStopping, Epoch
from lensmith.training.recipe import Recipe, Request, Resolved, resolve, weights_name
from lensmith.verbs.console import Console
from lensmith.verbs.score import score_split


@dataclass
class Stopwatch:
    """Seconds by step, for run.json."""

    started: float = field(default_factory=time.perf_counter)
    steps: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the block to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.steps[name] = round(self.steps.get(name, 0.0) + time.perf_counter() - start, 3)

    def as_dict(self) -> dict[str, Any]:
        """Return the total so far and the steps."""
        return {"seconds": round(time.perf_counter() - self.started, 3), "steps": self.steps}


@dataclass(frozen=True)
class Material:
    """What is learned from: features of the pictures, or their pixels, and the base that made the features."""

    values: np.ndarray
    base: Base | None
    chosen: Chosen | None


def train(
    data: str | Path,
    *,
    network: str | None = None,
    weights: str | Path = "auto",
    recipe: str = "auto",
    cut: str | None = None,
    pool: str | None = None,
    dense: Sequence[int] | None = None,
    dropout: float = 0.5,
    image_size: int | None = None,
    resize: str = "crop",
    interpolation: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    min_delta: float = 0.001,
    patience: int = 10,
    seed: int = 0,
    device: str = "auto",
    engine: str = "auto",
    out: str | Path = "runs",
    name: str | None = None,
    quiet: bool = False,
) -> Run:
    """Train a classifier on a folder of pictures and return its run.

    data: a folder with one sub-folder a class, or train, validation and test folders of such.
    network: torchvision/NAME, timm/NAME, convnet/WIDTHS/DENSE, lenet5 or module:factory (default mobilenet_v2).
    weights: auto, none, a published name, or the path of a .safetensors or .pth file.
    recipe: auto, features (a pretrained base runs once, a head is trained) or scratch.
    cut: where the base ends (default: its last feature map). pool: mean or flatten.
    dense: widths of hidden layers of the head (default none for features). dropout: share dropped in them.
    image_size: side in pixels the network sees. resize: crop, squash or pad. interpolation: bilinear and others.
    epochs, batch_size, learning_rate: chosen by the recipe where None.
    min_delta, patience: training stops when the validation loss has not fallen by min_delta for patience epochs.
    seed: fixes splits, order, shifts, dropout and initial weights.
    device: auto, cpu, cuda or mps. engine: auto, openvino or torch.
    out: the folder of runs. name: the run in it (a free one is made; an existing one is an error).
    quiet: say nothing.

    Raises DataError (empty folder, one class, over 10 % unreadable), UsageError (unknown network, impossible size,
    existing name), WeightsError and RunError (full disk). Nothing half-written is left behind by any of them.
    """
    request = Request(
        data=str(Path(data).expanduser().resolve()),
        network=network,
        weights=str(weights),
        recipe=recipe,
        cut=cut,
        pool=pool,
        dense=tuple(dense) if dense is not None else None,
        dropout=dropout,
        image_size=image_size,
        resize=resize,
        interpolation=interpolation,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        min_delta=min_delta,
        patience=patience,
        seed=seed,
        device=device,
        engine=engine,
    )
    console, watch, store = Console(quiet), Stopwatch(), Store()
    require_free(Path(out), name)
    dataset = open_folder(Path(request.data))
    console.say(f"{len(dataset.paths)} pictures in {len(dataset.classes)} classes: {_some(dataset.classes)}")
    with watch.step("choosing"):
        resolved = resolve(request, dataset, store, console.say)
    console.say(_headline(resolved))
    material, records = _read(resolved, dataset, store, console, watch)
    findings = audit(dataset, records)
    findings.require_sound(dataset)
    _say_findings(findings, console)
    splits = split(dataset, findings, seed)
    if material.base is None:
        resolved = _with_statistics(resolved, material.values, splits)
    document = _document(request, resolved, dataset, findings, splits, watch)
    run = create_run(Path(out), name, dataset.root.name or "run", document)
    try:
        _work(run, resolved, material, dataset, findings, splits, store, console, watch)
    except BaseException as error:
        _abandon(run, error, console)
        raise
    store.trim()
    return run


def _work(
    run: Run,
    resolved: Resolved,
    material: Material,
    dataset: Dataset,
    findings: Findings,
    splits: Splits,
    store: Store,
    console: Console,
    watch: Stopwatch,
) -> None:
    """Everything between the new run folder and the finished report."""
    names = [dataset.classes[target] for target in dataset.targets]
    run.write_splits(dataset.paths, names, splits.names.tolist(), findings.sha256)
    with watch.step("training"):
        kept, why, series = _learn(run, resolved.recipe, material, resolved, dataset, splits, console)
    with watch.step("saving"):
        model = _save(run, kept, material, resolved, dataset, store)
    with watch.step("scoring"):
        model, scores, held_out = _score(run, model, dataset, splits, store, resolved.recipe.seed)
    with watch.step("pictures"):
        paths = [dataset.paths[index] for index in splits.indices(splits.held_out)]
        write_examples(run, model, dataset.root, paths, held_out.targets, held_out.probabilities)
    baseline = scores[splits.stopping]["baseline_accuracy"]
    verdict = [model.task.verdict(scores[splits.held_out], splits.held_out)]
    if resolved.plan.weights is None and resolved.reasons.get("recipe"):
        verdict.append(resolved.reasons["recipe"])
    run.update(
        verdict=verdict,
        diagnosis=diagnose(series, kept.number, resolved.recipe.epochs, baseline),
        engine=model.chosen.as_dict(),
        result={
            "epoch": kept.number,
            "l2": kept.l2,
            "stopped": why,
            "parameters": {"base": _size(model.base), "head": model.head.parameters},
        },
    )
    card = model_card(run.document, scores[splits.held_out], splits.held_out)
    run.write_text("model/README.md", card)
    run.update(status="done", times={"started": run.document["started"], **watch.as_dict()})
    with watch.step("report"):
        write_report(run.folder)
    for line in verdict:
        console.say(line)


def _read(
    resolved: Resolved, dataset: Dataset, store: Store, console: Console, watch: Stopwatch
) -> tuple[Material, Sequence[Any]]:
    """Return what is learned from and one record a file: the only pass over the pictures."""
    recipe = resolved.recipe
    files = Files(dataset.root, dataset.paths, store)
    if recipe.recipe == "scratch":
        from lensmith.data.pixels import load_pixels

        with watch.step("reading"), console.progress("reading", len(dataset.paths)) as advance:
            pixels, records = load_pixels(files, resolved.preprocessing, store.folder, advance=advance)
        return Material(pixels, None, None), records
    from lensmith.training.features import extract

    with watch.step("engine"):
        base = resolved.plan.base(recipe.pool, resolved.preprocessing)
        chosen = base.engine(store, engine=recipe.engine, device=recipe.device)
    with watch.step("features"), console.progress("features", len(dataset.paths)) as advance:
        found = extract(files, resolved.preprocessing, base.key, chosen.engine, store, advance=advance)
    return Material(found.values, base, chosen), found.records


def _learn(
    run: Run,
    recipe: Recipe,
    material: Material,
    resolved: Resolved,
    dataset: Dataset,
    splits: Splits,
    console: Console,
) -> tuple[Epoch, str, list[Point]]:
    """Return the best epoch, why training ended, and the history of the series the best epoch belongs to."""
    best: tuple[Epoch, str, list[Point]] | None = None
    all_series = _series(recipe, material, resolved, dataset, splits)
    with console.progress("training", recipe.epochs * len(all_series)) as advance:
        for place, epochs in enumerate(all_series):
            stopping, points = EarlyStopping(recipe.min_delta, recipe.patience), []
            for epoch in epochs:
                run.append_history({"epoch": epoch.number, **asdict(epoch)})
                points.append(_point(epoch))
                advance(place * recipe.epochs + epoch.number, f"loss {epoch.validation_loss:.3f}")
                if stopping.stops(epoch):
                    break
            found = stopping.best
            if found is not None and (best is None or found.validation_loss < best[0].validation_loss):
                best = (found, stopping.sentence(epoch), points)
        advance(recipe.epochs * len(all_series))
    if best is None:
        raise RunError(
            f"training diverged: the loss was never a number. learning_rate is {recipe.learning_rate:g}; try a tenth."
        )
    return best


def _series(
    recipe: Recipe, material: Material, resolved: Resolved, dataset: Dataset, splits: Splits
) -> list[Iterator[Epoch]]:
    """Return one generator of epochs a penalty (features), or a single one (scratch)."""
    train, stopping = splits.indices("train"), splits.indices(splits.stopping)
    if recipe.recipe == "features":
        from lensmith.training.head import Examples, HeadSettings, fit_head

        settings = HeadSettings(
            recipe.dense, recipe.dropout, recipe.learning_rate, recipe.batch_size, recipe.epochs, recipe.seed
        )
        parts = [Examples(material.values[part], dataset.targets[part]) for part in (train, stopping)]
        return [fit_head(parts[0], parts[1], len(dataset.classes), l2, settings) for l2 in recipe.l2]
    from lensmith.training.scratch import start

    return [start(resolved, material.values, dataset.targets, len(dataset.classes), train, stopping)]


def _save(
    run: Run, kept: Epoch, material: Material, resolved: Resolved, dataset: Dataset, store: Store
) -> Model:
    """Write the model folder and return the model read back from it: the proof that the save is enough."""
    recipe = resolved.recipe
    base = material.base
    if base is None:
        tensors = {name[5:]: tensor for name, tensor in kept.state.items() if name.startswith("base.")}
        base = Base(recipe.network, recipe.cut, recipe.pool, resolved.preprocessing, tensors)
    chosen = material.chosen or base.engine(store, engine=recipe.engine, device=recipe.device)
    task = Classification(dataset.classes)
    files = model_files(task, base, from_tensors(kept.state), chosen, recipe.weights_licence or "")
    for name, data in files.items():
        run.write_bytes(f"model/{name}", data)
    return load_model(run.model_folder, store)


def _score(
    run: Run, model: Model, dataset: Dataset, splits: Splits, store: Store, seed: int
) -> tuple[Model, dict[str, Any], Any]:
    """Settle the threshold on the stopping split, score it and the held-out split, and write what was found."""
    stopping, held_out = (
        score_split(model, dataset, splits.indices(name), store)
        for name in (splits.stopping, splits.held_out)
    )
    model = replace(model, task=model.task.settled(stopping.targets, stopping.probabilities))
    config = model_files(model.task, model.base, model.head, model.chosen, model.licence)["config.json"]
    run.write_bytes("model/config.json", config)
    scores = {
        splits.held_out: model.task.score(held_out.targets, held_out.probabilities, seed),
        splits.stopping: model.task.score(stopping.targets, stopping.probabilities, seed),
    }
    run.write_json("metrics.json", scores)
    run.write_predictions(
        held_out.paths,
        held_out.targets,
        model.task.decode(held_out.probabilities),
        held_out.probabilities,
        dataset.classes,
    )
    return model, scores, held_out


def _with_statistics(resolved: Resolved, pixels: np.ndarray, splits: Splits) -> Resolved:
    """Return the recipe with mean and std of the training split in its preprocessing."""
    from lensmith.data.pixels import channel_statistics

    mean, std = channel_statistics(pixels, splits.indices("train"))
    preprocessing: Preprocessing = replace(resolved.preprocessing, mean=mean, std=std)
    return replace(resolved, preprocessing=preprocessing)


def _document(
    request: Request,
    resolved: Resolved,
    dataset: Dataset,
    findings: Findings,
    splits: Splits,
    watch: Stopwatch,
) -> dict[str, Any]:
    """Return run.json as it stands before training."""
    found = findings.as_dict(dataset)
    found["classes"] = {
        name: {part: int((splits.names[dataset.targets == target] == part).sum()) for part in _parts(splits)}
        for target, name in enumerate(dataset.classes)
    }
    recipe = {**asdict(resolved.recipe), "weights": weights_name(resolved.recipe.weights)}
    return {
        "lensmith": __version__,
        "status": "running",
        "task": "classification",
        "held_out": splits.held_out,
        "stopping": splits.stopping,
        "request": asdict(request),
        "recipe": {**recipe, "preprocessing": resolved.preprocessing.as_dict()},
        "reasons": resolved.reasons,
        "findings": found,
        "versions": versions(),
        "machine": machine(),
        "seed": request.seed,
        "times": watch.as_dict(),
    }


def _abandon(run: Run, error: BaseException, console: Console) -> None:
    """Leave nothing half-written: a run without a model goes, one with a model is marked as stopped."""
    if not (run.model_folder / "config.json").exists() and not isinstance(error, KeyboardInterrupt):
        discard(run)
        return
    try:
        run.update(status="stopped")
    except RunError:
        discard(run)
        return
    console.say(f"stopped; what there is stands in {run.folder}")


def _headline(resolved: Resolved) -> str:
    recipe = resolved.recipe
    weights = f"weights {weights_name(recipe.weights)}" if recipe.weights else "random weights"
    return (
        f"recipe {recipe.recipe}: {recipe.network} up to {recipe.cut}, {weights}, {recipe.image_size} pixels"
    )


def _say_findings(findings: Findings, console: Console) -> None:
    if findings.left_out:
        console.say(f"left out: {len(findings.left_out)} pictures (the report names them)")
    for warning in findings.warnings:
        console.say(warning)


def _point(epoch: Epoch) -> Point:
    return Point(
        epoch.number, epoch.train_loss, epoch.validation_loss, epoch.train_accuracy, epoch.validation_accuracy
    )


def _parts(splits: Splits) -> tuple[str, ...]:
    return ("train", splits.stopping, splits.held_out)


def _size(base: Base) -> int:
    """Return the number of parameters; counters and running statistics of normalisation layers are none."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return sum(tensor.size for name, tensor in base.tensors.items() if not name.endswith(statistics))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
