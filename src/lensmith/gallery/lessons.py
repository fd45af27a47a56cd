"""Small networks on pictures in memory: building them, training them by the one loop there is, asking them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensmith.gallery.pictures import Lot
from lensmith.reproduce import counter

if TYPE_CHECKING:
    from torch import nn

    from lensmith.engines.pytorch import Normalise
    from lensmith.zoo.heads import Classifier

AT_ONCE = 250  # pictures asked about together
POOLS = ("max", "mean", "stride")

Row = dict[str, float | int | None]
Values = dict[str, Any]
Steps = Generator[str, None, Values]
"""What an exhibit does: a word or two after every epoch, the measured values at the end."""


@dataclass(frozen=True)
class Way:
    """How a network is trained; the names and units are those of `FitSettings`, augment as in `lensmith train`."""

    epochs: int
    batch_size: int = 32
    learning_rate: float = 0.1
    optimizer: str = "momentum"
    weight_decay: float = 1e-4
    augment: str = "none"
    device: str = "cpu"


def network(
    base: Callable[[], nn.Module], features: int, lot: Lot, seed: int, pool: str = "mean", dense: Sequence[int] = ()
) -> Classifier:
    """Return a classifier for the lot on the base that `base()` makes, its weights drawn from `seed`.

    features: what the base gives after `pool`, as in `Classifier`.
    """
    from lensmith.training.seeded import seeded
    from lensmith.zoo.heads import Classifier

    with seeded(counter(seed, "weights")):
        return Classifier(base(), features, len(lot.classes), pool, dense, 0.0)


def stack(width: int, each: int = 1, pool: str = "max", norm: bool = True, stages: int = 3) -> nn.Module:
    """Return `stages` stages of `each` 3 x 3 convolutions: (N, 3, s, s) -> (N, width * 2 ** (stages - 1), s', s').

    The width doubles from stage to stage. Each stage ends by halving the picture: "max" or "mean" over 2 x 2, or
    "stride", where its last convolution looks at every second position only. With `norm` every convolution is followed
    by batch normalisation, without by nothing but a bias; then ReLU.
    """
    from torch import nn

    layers: list[nn.Module] = []
    before = 3
    for stage in range(stages):
        after = width * 2**stage
        for place in range(each):
            skips = 2 if pool == "stride" and place == each - 1 else 1
            convolution = nn.Conv2d(before, after, 3, stride=skips, padding=1, bias=not norm)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            layers += [convolution, *([nn.BatchNorm2d(after)] if norm else []), nn.ReLU()]
            before = after
        if pool != "stride":
            layers.append(nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2))
    return nn.Sequential(*layers)


def learned(pupil: Classifier, lot: Lot, way: Way, seed: int, name: str) -> Generator[str, None, list[Row]]:
    """Train a network, yielding a note after each of `way.epochs`; return a row for every epoch that was run.

    A row has epoch, train_loss and loss (nats; of the pictures learned from while they were learned, and of those held
    out), train_accuracy and accuracy, gradient and seconds. Numbers that are none are None; a loss of that kind ends
    the training.
    """
    from lensmith.tasks.classification import Classification
    from lensmith.training.augmentation import parse
    from lensmith.training.fit import FitSettings, Lessons, Positions, fit
    from lensmith.training.views import Augmented

    train, held_out = np.arange(lot.train), np.arange(lot.train, len(lot.targets))
    lessons = Lessons(
        network=pupil,
        views=Augmented(lot.pictures, parse(way.augment), seed, train),
        prepare=prepared(lot),
        train=Positions(lot.targets, train),
        stopping=Positions(lot.targets, held_out),
        watched=Classification(lot.classes).watched,
    )
    settings = FitSettings(
        stage="gallery",
        epochs=way.epochs,
        batch_size=way.batch_size,
        learning_rate=way.learning_rate,
        optimizer=way.optimizer,
        weight_decay=way.weight_decay,
        loss="cross_entropy",
        device=way.device,
        seed=seed,
    )
    rows: list[Row] = []
    for epoch in fit(lessons, settings):
        rows.append(
            {
                "epoch": epoch.number,
                "train_loss": known(epoch.train_loss),
                "loss": known(epoch.validation_loss),
                "train_accuracy": known(epoch.train_metric),
                "accuracy": known(epoch.validation_metric),
                "gradient": known(epoch.gradient),
                "seconds": round(epoch.seconds, 4),
            }
        )
        yield name
        if rows[-1]["train_loss"] is None or rows[-1]["loss"] is None:
            break
    for _ in range(way.epochs - len(rows)):  # epochs that a diverged training has no use for
        yield name
    return rows


def prepared(lot: Lot) -> Normalise:
    """Return what brings pictures to mean 0 and standard deviation 1 over those that are learned from."""
    from lensmith.engines.pytorch import Normalise

    values = lot.pictures[: lot.train].reshape(-1, 3) / 255
    return Normalise(tuple(values.mean(0).tolist()), tuple(np.maximum(values.std(0), 1e-3).tolist()), {})


def answers(pupil: Classifier, lot: Lot, pictures: np.ndarray) -> np.ndarray:
    """Return the classes (n,) that a network names for pictures (n, s, s, 3) uint8."""
    import torch

    prepare, found = prepared(lot), []
    pupil.eval().cpu()
    for begin in range(0, len(pictures), AT_ONCE):
        with torch.inference_mode():
            part = torch.from_numpy(np.ascontiguousarray(pictures[begin : begin + AT_ONCE]))
            found.append(pupil(prepare(part)).argmax(1).numpy())
    return np.concatenate(found)


def accuracy(pupil: Classifier, lot: Lot) -> float:
    """Return the share of the held-out pictures that a network names right."""
    return float((answers(pupil, lot, lot.pictures[lot.train :]) == lot.targets[lot.train :]).mean())


def maps(pupil: Classifier, lot: Lot, pictures: np.ndarray, places: Sequence[nn.Module]) -> list[np.ndarray]:
    """Return what the modules at `places` give for pictures, each (n, C, h, w) float32, in evaluation mode."""
    import torch

    with torch.inference_mode(), _heard(places) as found:
        pupil.eval()(prepared(lot)(torch.from_numpy(np.ascontiguousarray(pictures))))
    return [found[place].numpy() for place in places]


def spreads(pupil: Classifier, lot: Lot, count: int) -> list[float]:
    """Return the standard deviation of what each ReLU passes on, from the first layer up, in training mode."""
    import copy

    import torch
    from torch import nn

    twin = copy.deepcopy(pupil).train()  # looking must not move the running statistics
    places = [layer for layer in twin.base.modules() if isinstance(layer, nn.ReLU)]
    with torch.inference_mode(), _heard(places) as found:
        twin(prepared(lot)(torch.from_numpy(lot.pictures[:count])))
    return [float(found[place].std()) for place in places]


def gradients(pupil: Classifier, lot: Lot, count: int) -> list[float]:
    """Return the gradient of each convolution's weights over the weights, |g| / |w|, from the first layer up.

    The gradient is that of the first `count` pictures together, in training mode.
    """
    import copy

    import torch
    from torch import nn
    from torch.nn import functional

    twin = copy.deepcopy(pupil).train()
    logits = twin(prepared(lot)(torch.from_numpy(lot.pictures[:count])))
    functional.cross_entropy(logits, torch.from_numpy(lot.targets[:count])).backward()  # type: ignore[no-untyped-call]
    weights = [layer.weight for layer in twin.base.modules() if isinstance(layer, nn.Conv2d)]
    return [float(weight.grad.norm() / weight.detach().norm()) for weight in weights if weight.grad is not None]


def parameters(pupil: nn.Module) -> int:
    """Return how many numbers of a network are learned."""
    return sum(tensor.numel() for tensor in pupil.parameters())


def known(number: float | None) -> float | None:
    """Return a number that JSON can hold, None for one that is none."""
    return None if number is None or not math.isfinite(number) else float(number)


@contextmanager
def _heard(places: Sequence[nn.Module]) -> Iterator[dict[nn.Module, Any]]:
    """Collect what each module gives while the block runs; the last time it ran counts."""
    found: dict[nn.Module, Any] = {}

    def keep(module: nn.Module, given: object, output: Any) -> None:
        found[module] = output

    hooks = [place.register_forward_hook(keep) for place in places]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
