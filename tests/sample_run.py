"""Writes a finished run folder whose numbers hang together, from drawn pictures and without any training.

The predictions are drawn at random first; every metric, interval, matrix and bin is then counted from them, so
a test can count again and compare.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "]]></style></svg><b>bold",
    "{{ 7 * 7 }} {% raw %}",
    "наука 蜜蜂 نحلة 🐝",
    "an & ampersand &lt; entity",
    "w" * 200,
    "right\u202eto-left \x07 bell",
    "javascript:alert(3)",
    "  spaces  and\ttabs ",
)
COLUMNS = (
    "stage",
    "epoch",
    "l2",
    "train_loss",
    "validation_loss",
    "train_metric",
    "validation_metric",
    "learning_rate",
    "gradient",
    "change",
    "seconds",
)
PENALTIES = (0.1, 0.01, 0.001)
# Recipe to its stages; "auto" is the ladder.
STAGES = {
    "features": ("features",),
    "frozen": ("features", "frozen"),
    "finetune": ("features", "finetune"),
    "scratch": ("scratch",),
    "auto": ("features", "frozen", "finetune"),
}
# Stage to its learning rate and the seconds of an epoch.
PACE = {"features": (0.001, 0.02), "frozen": (0.0003, 1.4), "finetune": (0.00003, 9.5), "scratch": (0.003, 6.0)}
HASH = "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"


def write_sample(
    folder: Path,
    *,
    classes: Sequence[str] = ("ants", "bees"),
    a_class: int = 40,
    status: str = "done",
    held_out: str = "test",
    recipe: str = "features",
    skill: float = 0.9,
    pictures: int = 4,
    seed: int = 0,
) -> Path:
    """Write a run folder of format 1 and return it.

    `a_class` is the number of held-out pictures a class, `skill` about the share of right answers, `pictures`
    the number of example pictures of each kind. With status "stopped" nothing that needs a finished run is
    written.
    """
    rng = np.random.default_rng(seed)
    (folder / "figures").mkdir(parents=True)
    done = status == "done"
    targets = np.repeat(np.arange(len(classes)), a_class)
    probabilities = _probabilities(rng, targets, len(classes), skill)
    stopping = "stopping" if held_out == "validation" else "validation"
    counts = {name: {"train": 3 * a_class, stopping: a_class, held_out: a_class} for name in classes}
    epochs = write_history(folder, rng, STAGES[recipe], short=not done)
    _write_splits(folder, counts)
    run = _run(folder.name, classes, counts, recipe, held_out, status, epochs) | {"stopping": stopping}
    run |= {"metric": "accuracy", **(_ladder() if recipe == "auto" and done else {})}
    if done:
        scored = {held_out: metrics(targets, probabilities, list(classes))}
        again = _probabilities(rng, targets, len(classes), skill)
        scored[stopping] = metrics(targets, again, list(classes))
        _write_json(folder / "metrics.json", scored)
        _write_predictions(folder, classes, targets, probabilities)
        _write_pictures(folder, rng, classes, targets, probabilities, pictures)
        run["verdict"] = [_verdict(scored[held_out], classes)]
        run["diagnosis"] = ["Train and validation loss fall together: no sign of overfitting."]
    _write_json(folder / "run.json", run)
    return folder


def metrics(targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of one split, counted from (n,) targets and (n, classes) probabilities."""
    predicted = probabilities.argmax(1)
    right, k, n = predicted == targets, len(classes), len(targets)
    matrix = np.zeros((k, k), int)
    np.add.at(matrix, (targets, predicted), 1)
    hits, were, said = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    per_class = {
        name: {
            "precision": share(hits[i], said[i]),
            "recall": share(hits[i], were[i]),
            "f1": share(2 * hits[i], were[i] + said[i]),
            "n": int(were[i]),
            "predicted": int(said[i]),
        }
        for i, name in enumerate(classes)
    }
    confidence = probabilities.max(1)
    bins: list[dict[str, float | int | None]] = []
    for low, high in zip(np.arange(10) / 10, (np.arange(10) + 1) / 10, strict=True):
        inside = (confidence > low) & (confidence <= high)
        n_inside = int(inside.sum())
        means = [float(values[inside].mean()) if n_inside else None for values in (confidence, right)]
        bins.append({"low": float(low), "high": float(high), "n": n_inside})
        bins[-1] |= {"confidence": means[0], "accuracy": means[1]}
    gap = float(abs(confidence.mean() - right.mean()))
    order = np.argsort(-probabilities, axis=1)[:, :5]
    truth = probabilities[np.arange(n), targets]
    return {
        "accuracy": share(right.sum(), n),
        "balanced_accuracy": share(round(float(np.mean(hits / were)) * n), n),
        "macro_f1": share(round(float(np.mean(2 * hits / (were + said))) * n), n),
        "log_loss": {"value": float(-np.log(truth).mean()), "low": None, "high": None, "n": n},
        "calibration_error": {"value": gap, "low": max(0.0, gap - 0.02), "high": gap + 0.03, "n": n},
        "top5": share((order == targets[:, None]).any(1).sum(), n) if k > 5 else None,
        "auc": {"value": 0.981, "low": 0.955, "high": 0.994, "n": n} if k == 2 else None,
        "threshold": 0.43 if k == 2 else None,
        "baseline_accuracy": float(were.max() / n),
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
        "calibration": bins,
    }


def share(part: int, whole: int) -> dict[str, float | int | None]:
    """Return a share with its Wilson 95 % interval."""
    part, whole = int(part), int(whole)
    if whole == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    z, p = 1.96, part / whole
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * np.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return {"value": p, "low": float(max(0, middle - half)), "high": float(min(1, middle + half)), "n": whole}


def _verdict(scored: dict[str, Any], classes: Sequence[str]) -> str:
    """Return two sentences on a split, the names in quotation marks as they are."""
    hits, matrix = scored["accuracy"], np.array(scored["confusion_matrix"])
    right, n = int(matrix.trace()), hits["n"]
    np.fill_diagonal(matrix, 0)
    worst, answer = divmod(int(matrix.argmax()), len(classes))
    return (
        f"It names the right class for {right} of {n} pictures it had never seen: {hits['value']:.0%}, and with "
        f"new pictures like these between {hits['low']:.0%} and {hits['high']:.0%}. It most often takes "
        f'"{classes[worst]}" for "{classes[answer]}" ({matrix.max()} of {matrix[worst].sum()} mistakes).'
    )


def _probabilities(rng: np.random.Generator, targets: np.ndarray, k: int, skill: float) -> np.ndarray:
    """Return (n, k) probabilities: class i is most often taken for class i + 1, and the last ones are hard."""
    n = len(targets)
    hard = skill - (1 - skill) * 1.5 * (targets / max(1, k - 1) - 0.5)
    right = rng.random(n) < hard
    other = np.where(rng.random(n) < 0.6, (targets + 1) % k, (targets + rng.integers(1, k, n)) % k)
    named = np.where(right, targets, other)
    sure = np.where(right, rng.beta(7, 1, n), rng.beta(3, 1.6, n)) * (1 - 1 / k) + 1 / k
    rest = rng.dirichlet(np.full(k, 0.6), n) + 1e-4
    rest[np.arange(n), named] = 0
    rest *= ((1 - sure) / rest.sum(1))[:, None]
    rest[np.arange(n), named] = sure
    # The named class stays the most probable one even where the rest is lumped on one class.
    largest = rest.max(1)
    rest[np.arange(n), named] = np.maximum(sure, largest + 1e-6)
    return np.asarray(rest / rest.sum(1, keepdims=True))


def write_history(
    folder: Path, rng: np.random.Generator, stages: Sequence[str], short: bool, errors: bool = False
) -> int:
    """Write history.csv and return the epochs of the last stage, which is cut short where `short`."""
    with (folder / "history.csv").open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines, lineterminator="\n")
        rows.writerow(COLUMNS)
        start = 0.69
        for place, stage in enumerate(stages):
            last = place == len(stages) - 1
            epochs = (5 if short else 24) if last else 18
            rate, seconds = PACE[stage]
            for penalty in PENALTIES if stage == "features" else ("",):
                slow = 5.0 if penalty == "" else 3 + 4 * float(penalty) ** 0.3
                floor = 0.17 - 0.04 * place
                for epoch in range(1, epochs + 1):
                    fall = float(np.exp(-epoch / slow))
                    train = floor / 2 + (start - floor / 2) * fall
                    seen = floor + (start - floor) * fall + 0.004 * max(0, epoch - 15)
                    noise = rng.normal(0, 0.006, 4)
                    values = [train + noise[0], seen + noise[1]]
                    values += [12 * values[0], 12 * values[1]] if errors else [1 - v / 3 for v in values]
                    # Fine-tuning warms up and comes to rest; heads on features keep their rate.
                    swing = min(1.0, epoch / 4) * (0.02 + np.cos(np.pi * epoch / (2 * epochs + 2)) ** 2)
                    now = rate if stage == "features" else rate * swing
                    numbers = (round(float(v), 4) for v in values)
                    rows.writerow([stage, epoch, penalty, *numbers, f"{now:.6g}", "", 0.01, seconds])
            start = 0.3 - 0.05 * place
    return epochs


def write_rates(folder: Path, seed: int = 0) -> None:
    """Write what the finder of learning rates leaves: rates.csv, and what it found into run.json."""
    rng = np.random.default_rng(seed)
    rates = np.geomspace(1e-6, 1, 60)
    places = np.log10(rates)
    losses = 1.1 - 0.75 / (1 + np.exp(-3 * (places + 3.2))) + np.exp(4 * (places + 0.75))
    rows = [f"{rate:.6g},{loss:.6g}" for rate, loss in zip(rates, losses + rng.normal(0, 0.05, 60), strict=True)]
    (folder / "rates.csv").write_text("\n".join(("learning_rate,loss", *rows)) + "\n", encoding="utf-8")
    change_run(
        folder, find_rate={"suggested": 6e-4, "sentence": "The loss fell fastest around 0.0006 and no more above 0.05."}
    )


def change_run(folder: Path, **fields: object) -> None:
    """Exchange fields of run.json."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    _write_json(folder / "run.json", run | fields)


def _ladder() -> dict[str, Any]:
    """Return what a ladder of three steps and two that were not taken leaves in run.json."""
    rows = [
        _step("features", "kept", None, 1.1, 0.912, reason="The first step: the others are compared with it."),
        _step("frozen", "not better", 24.0, 25.2, 0.915, 0.003, 0.58, "58 % for better is not enough."),
        _step("finetune", "replaced", 210.0, 228.0, 0.951, 0.039, 0.974, "97 % for better."),
        _step(
            "finetune all", "did not fit", 610.0, reason="It would have taken 10 min 10 s, and 5 min 45 s were left."
        ),
        _step("scratch", "not tried", reason="The pictures look like those the base was trained on."),
    ]
    why = "It stopped at fine-tuning: the next step would have taken longer than what was left of 10 minutes."
    return {"ladder": {"budget": 600.0, "rows": rows, "chosen": "finetune", "why": why}}


def _step(
    step: str,
    status: str,
    predicted: float | None = None,
    seconds: float | None = None,
    value: float | None = None,
    gain: float | None = None,
    probability: float | None = None,
    reason: str = "",
) -> dict[str, Any]:
    return {
        "step": step, "status": status, "predicted": predicted, "seconds": seconds, "value": value, "n": 240,
        "out_of_fold": False, "gain": gain, "probability": probability, "reason": reason,
    }  # fmt: skip


def _write_splits(folder: Path, counts: dict[str, dict[str, int]]) -> None:
    with (folder / "splits.csv").open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines, lineterminator="\n")
        rows.writerow(["path", "target", "split", "sha256", "group"])
        for name, splits in counts.items():
            for part, number in splits.items():
                rows.writerows([f"{part}/{name}/{i:03d}.jpg", name, part, "0" * 64, i] for i in range(number))


def _write_predictions(folder: Path, classes: Sequence[str], targets: np.ndarray, probabilities: np.ndarray) -> None:
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines, lineterminator="\n")
        rows.writerow(["path", "target", "predicted", "confidence", *(f"p:{name}" for name in classes)])
        for i, (target, row) in enumerate(zip(targets, probabilities, strict=True)):
            best = int(row.argmax())
            numbers = [round(float(p), 6) for p in (row[best], *row)]
            rows.writerow([f"{classes[target]}/{i:03d}.jpg", classes[target], classes[best], *numbers])


def _write_pictures(
    folder: Path,
    rng: np.random.Generator,
    classes: Sequence[str],
    targets: np.ndarray,
    probabilities: np.ndarray,
    number: int,
) -> None:
    """Write pictures with their maps: the surest mistakes, the least sure and the surest right answers."""
    named, sure = probabilities.argmax(1), probabilities.max(1)
    right = named == targets
    orders = {
        "mistake": np.flatnonzero(~right)[np.argsort(-sure[~right])],
        "hard": np.flatnonzero(right)[np.argsort(sure[right])],
        "typical": np.flatnonzero(right)[np.argsort(-sure[right])],
    }
    entries = []
    for kind, order in orders.items():
        for place, i in enumerate(order[:number], start=1):
            name = f"figures/{kind}-{place}.jpg"
            drawn, heat = draw_picture(rng, int(targets[i]))
            drawn.save(folder / name, quality=85)
            heat.save(folder / name.replace(".jpg", "-map.jpg"), quality=85)
            entries.append({
                "kind": kind, "picture": name, "map": name.replace(".jpg", "-map.jpg"),
                "path": f"{classes[targets[i]]}/{i:03d}.jpg", "target": classes[targets[i]],
                "predicted": classes[named[i]], "confidence": float(sure[i]),
            })  # fmt: skip
    _write_json(folder / "figures" / "pictures.json", entries)


def draw_picture(rng: np.random.Generator, target: int) -> tuple[Image.Image, Image.Image]:
    """Return a 320 x 240 picture of a shape whose corners tell its class, and the same under heat."""
    ground = tuple(int(v) for v in rng.integers(90, 200, 3))
    picture = Image.new("RGB", (320, 240), ground)
    pen = ImageDraw.Draw(picture)
    for _ in range(30):
        x, y, r = (int(rng.integers(low, high)) for low, high in ((0, 320), (0, 240), (4, 40)))
        shade = tuple(int(np.clip(v + rng.integers(-40, 40), 0, 255)) for v in ground)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=shade)
    x, y = int(rng.integers(90, 230)), int(rng.integers(80, 160))
    corners = 3 + target % 6
    pen.regular_polygon((x, y, 55), corners, rotation=int(rng.integers(0, 90)), fill=(35, 45, 60))
    glow = Image.new("L", picture.size)
    ImageDraw.Draw(glow).ellipse((x - 55, y - 55, x + 55, y + 55), fill=210)
    heat = picture.convert("L").convert("RGB")
    heat.paste((255, 170, 20), mask=glow.filter(ImageFilter.GaussianBlur(25)))
    return picture.filter(ImageFilter.GaussianBlur(1)), heat


def _run(
    name: str,
    classes: Sequence[str],
    counts: dict[str, dict[str, int]],
    recipe: str,
    held_out: str,
    status: str,
    epochs: int,
) -> dict[str, Any]:
    pictures = sum(sum(splits.values()) for splits in counts.values())
    first, second = f"{classes[0]}/007.jpg", f"{classes[1]}/011.jpg"
    features = recipe != "scratch"
    settled = {"auto": "finetune"}.get(recipe, recipe)
    run: dict[str, Any] = {
        "format": 1,
        "lensmith": "0.1.0",
        "name": name,
        "status": status,
        "task": "classification",
        "held_out": held_out,
        "request": {"data": "/home/someone/photos", "recipe": "auto", "network": "mobilenet_v2", "seed": 0},
        "recipe": {
            "recipe": settled, "network": "torchvision/mobilenet_v2" if features else "plain",
            "weights": "mobilenet_v2.safetensors" if features else None, "weights_licence": "Apache-2.0",
            "cut": "features.18", "pool": "mean", "dense": [], "dropout": 0.5, "image_size": 224,
            "resize": "crop", "interpolation": "bilinear", "batch_size": 64, "epochs": 100,
            "learning_rate": 0.001, "l2": list(PENALTIES) if features else [], "min_delta": 0.001,
            "patience": 10, "engine": "openvino",
            "unfreeze": "features.14" if settled == "finetune" else "none", "mixup": 0.0, "ema": 0.0, "clip": None,
        },
        "reasons": {
            "recipe": "Pretrained weights are at hand and there are few pictures, so only a head is trained.",
            "image_size": "The weights were trained at 224 pixels.",
            "engine": "OpenVINO was the fastest engine that agreed with torch.",
        },
        "engine": {
            "name": "openvino", "precision": "bf16", "device": "cpu",
            "check": "agrees with float32 torch on 16 pictures: cosine 0.997",
        },
        "findings": {
            "pictures": pictures + 3, "used": pictures, "classes": counts, "median_size": [400, 300],
            "unreadable": [{"path": f"{classes[0]}/broken.jpg", "reason": "the file ends too early"}],
            "copies": [[first, f"{classes[0]}/008.jpg"]],
            "contradictions": [[f"{classes[0]}/x.jpg", f"{classes[1]}/x.jpg"]],
            "leaks": [[f"train/{second}", f"{held_out}/{second}"]],
            "left_out": [
                {"path": f"{classes[0]}/broken.jpg", "reason": "the file ends too early"},
                {"path": f"train/{second}", "reason": "a copy of it is among the held-out pictures"},
            ],
            "not_pictures": {"count": 3, "examples": [".DS_Store", "notes.txt", "Thumbs.db"]},
            "without_class": {"count": 0, "examples": []},
            "warnings": ["1 picture stands under two classes at once. Decide which class is right."],
        },
        "versions": {"python": "3.11.7", "lensmith": "0.1.0", "numpy": "2.4.6", "openvino": "2026.4.1"},
        "machine": {"system": "Linux x86_64", "processor": "A processor at 2.5 GHz", "cores": 2},
        "seed": 0,
        "started": "2026-11-22T02:08:00Z",
        "times": {
            "started": "2026-11-22T02:08:00Z", "seconds": 4.2,
            "steps": {"reading": 1.2, "features": 1.0, "training": 1.4, "scoring": 0.3, "maps": 0.3},
        },
    }  # fmt: skip
    if status == "done":
        run["result"] = {
            "epoch": min(17, epochs),
            "l2": 0.01 if features else None,
            "stage": settled,
            "stopped": "validation loss did not improve by 0.001 for 10 epochs",
            "parameters": {"base": 2_223_872, "head": 2_562},
        }
    if features:
        trained = 1_681_220 if settled == "finetune" else 2_562
        run["frozen"] = {
            "trained": trained, "frozen": 2_226_434 - trained, "before": HASH, "after": HASH,
            "unfreeze": "features.14" if settled == "finetune" else "none",
            "sentence": "The base up to features.14 stayed as it came, and all batch statistics with it."
            if settled == "finetune" else "The base stays as it came; only the head is trained.",
        }  # fmt: skip
        if status != "done":
            del run["frozen"]["after"]
    return run


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
