"""`lensmith train`: from a folder of pictures to a run folder with a model, its scores and a report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from lensmith import __version__
from lensmith.data.audit import Findings, audit, require_enough
from lensmith.data.dataset import Dataset
from lensmith.data.folders import open_folder
from lensmith.data.preprocess import Preprocessing
from lensmith.data.split import Splits, split
from lensmith.data.store import Store
from lensmith.engines.head import from_tensors
from lensmith.errors import RunError
from lensmith.model import Model, load_model, model_files
from lensmith.reports import write_report
from lensmith.reports.card import model_card
from lensmith.reports.examples import write_examples
from lensmith.reproduce import machine, versions
from lensmith.run import Run, create_run, discard, require_free
from lensmith.tasks.classification import Classification
from lensmith.training.diagnosis import diagnose
from lensmith.training.epoch import Epoch
from lensmith.training.recipe import Request, Resolved, resolve, weights_name
from lensmith.verbs.console import Console, Stopwatch
from lensmith.verbs.learning import Learned, Material, learn, read_material
from lensmith.verbs.score import Answers, score_split
from lensmith.zoo.base import Base


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
    augment: str = "auto",
    image_size: int | None = None,
    resize: str = "crop",
    crop: float | None = None,
    interpolation: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    optimizer: str | None = None,
    weight_decay: float | None = None,
    clip: float | None = None,
    label_smoothing: float = 0.0,
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
    augment: auto, none, shift, small-data, strong, or such a word and changes: small-data,rotation=30,flip=false.
    image_size: side in pixels the network sees. resize: crop, squash or pad; crop: the part of the short side kept.
    interpolation: nearest, bilinear, bicubic or lanczos.
    epochs, batch_size, learning_rate, weight_decay: chosen by the recipe where None.
    optimizer: sgd, momentum, adagrad, rmsprop, adam or adamw (recipe scratch; default adamw).
    clip: the largest norm of a gradient. label_smoothing: the share of a target given to all classes alike.
    min_delta, patience: training stops when the validation loss has not fallen by min_delta for patience epochs.
    seed: fixes splits, order, augmentation, dropout and initial weights.
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
        augment=augment,
        image_size=image_size,
        resize=resize,
        crop=crop,
        interpolation=interpolation,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer=optimizer,
        weight_decay=weight_decay,
        clip=clip,
        label_smoothing=label_smoothing,
        min_delta=min_delta,
        patience=patience,
        seed=seed,
        device=device,
        engine=engine,
    )
    console, watch, store = Console(quiet), Stopwatch(), Store()
    require_free(Path(out), name)
    dataset = open_folder(Path(request.data))
    require_enough(dataset, np.ones(len(dataset), bool))  # before minutes are spent on reading
    console.say(f"{len(dataset)} pictures in {len(dataset.classes)} classes: {_some(dataset.classes)}")
    with watch.step("choosing"):
        resolved = resolve(request, dataset, store, console.say)
    console.say(_headline(resolved))
    material = read_material(resolved, dataset, store, console, watch)
    findings = audit(dataset, material.records)
    findings.require_sound(dataset)
    _say_findings(findings, console)
    splits = split(dataset, findings, seed)
    if material.base is None:
        resolved = _with_statistics(resolved, material.values, splits)
    document = _document(request, resolved, dataset, findings, splits)
    run = create_run(Path(out), name, dataset.root.name or "run", document)
    try:
        names = [dataset.classes[target] for target in dataset.targets]
        run.write_splits(dataset.paths, names, splits.names.tolist(), findings.sha256)
        with watch.step("training"):
            learned = learn(run, resolved, material, dataset, splits, console)
        _finish(run, resolved, material, learned, dataset, splits, store, watch)
    except BaseException as error:
        _abandon(run, error, console)
        raise
    for line in run.document["verdict"]:
        console.say(line)
    store.trim()
    return run


def _finish(
    run: Run,
    resolved: Resolved,
    material: Material,
    learned: Learned,
    dataset: Dataset,
    splits: Splits,
    store: Store,
    watch: Stopwatch,
) -> None:
    """Save the model, score it as it was read back from disk, and write the report."""
    with watch.step("saving"):
        model = _save(run, learned.epoch, material, resolved, dataset, store)
    with watch.step("scoring"):
        model, scores, held_out = _score(run, model, dataset, splits, store, resolved.recipe.seed)
    with watch.step("pictures"):
        if material.base is None:
            _write_sheet(run, resolved, material, splits)
        write_examples(run, model, dataset.root, held_out.paths, held_out.targets, held_out.probabilities)
    verdict = [model.task.verdict(scores[splits.held_out], splits.held_out)]
    if resolved.plan.weights is None and "recipe" in resolved.reasons:
        verdict.append(resolved.reasons["recipe"])
    kept, baseline = learned.epoch, scores[splits.stopping]["baseline_accuracy"]
    run.update(
        verdict=verdict,
        diagnosis=diagnose(learned.series, kept.number, resolved.recipe.epochs, baseline),
        engine=model.chosen.as_dict(),
        result={
            "epoch": kept.number,
            "l2": kept.l2,
            "stopped": learned.why,
            "parameters": {"base": _size(model.base), "head": model.head.parameters},
        },
    )
    run.write_text("model/README.md", model_card(run.document, scores[splits.held_out], splits.held_out))
    run.update(status="done", times={"started": run.document["started"], **watch.as_dict()})
    write_report(run.folder)


def _write_sheet(run: Run, resolved: Resolved, material: Material, splits: Splits) -> None:
    """Write what augmentation made of a few training pictures, for the report."""
    from lensmith.training.scratch import shown

    sheet = shown(resolved, material.values, splits.indices("train"))
    if sheet is not None:
        buffer = io.BytesIO()
        sheet.save(buffer, "PNG", optimize=True)
        run.write_bytes("figures/augmented.png", buffer.getvalue())


def _save(run: Run, kept: Epoch, material: Material, resolved: Resolved, dataset: Dataset, store: Store) -> Model:
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
) -> tuple[Model, dict[str, Any], Answers]:
    """Settle the threshold on the stopping split, score it and the held-out split, and write what was found."""
    stopping, held_out = (
        score_split(model, dataset, splits.indices(name), store) for name in (splits.stopping, splits.held_out)
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
    return f"recipe {recipe.recipe}: {recipe.network} up to {recipe.cut}, {weights}, {recipe.image_size} pixels"


def _say_findings(findings: Findings, console: Console) -> None:
    if findings.left_out:
        console.say(f"left out: {len(findings.left_out)} pictures (the report names them)")
    for warning in findings.warnings:
        console.say(warning)


def _parts(splits: Splits) -> tuple[str, ...]:
    return ("train", splits.stopping, splits.held_out)


def _size(base: Base) -> int:
    """Return the number of parameters; counters and running statistics of normalisation layers are none."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return sum(tensor.size for name, tensor in base.tensors.items() if not name.endswith(statistics))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
