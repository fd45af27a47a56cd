"""The training loop: a generator that yields an Epoch after every pass and touches no disk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lensmith.reproduce import counter, generator
from lensmith.training.average import Average
from lensmith.training.criteria import LOSSES, criterion, soft_targets
from lensmith.training.epoch import Epoch
from lensmith.training.memory import keep_memory
from lensmith.training.mixing import Mixing, mixed
from lensmith.training.optimizers import build_optimizer
from lensmith.training.seeded import seeded
from lensmith.training.snapshot import restore, snapshot
from lensmith.training.views import Views
from lensmith.zoo.heads import Classifier

WARM_UP = 0.1  # share of all steps in which the learning rate rises
EVALUATION_BATCH = 64  # of 256 pictures of 224 pixels the widest maps of mobilenet_v2 take 2.4 GB
Watched = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class FitSettings:
    """How a network is trained.

    hold: the base stays in evaluation mode, its batch statistics as they are; the head alone drops out. clip: the
    largest norm of a step's gradient, None for no limit. label_smoothing: the share of a target given to all classes
    alike (Szegedy et al. 2016, section 7). mixing: mixup and cutmix. ema: the decay of averaged weights, 0 for none.
    precision: float32, or bfloat16 where torch's autocast takes it. unit: mean and standard deviation of the targets;
    the network learns (target - mean) / deviation. max_norm: after a step, what leads to an output from the features is
    made no longer than this (Hinton et al. 2012, section 2), None for no limit.
    """

    stage: str
    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str
    weight_decay: float
    loss: str
    device: str
    seed: int
    hold: bool = False
    clip: float | None = None
    label_smoothing: float = 0.0
    mixing: Mixing | None = None
    ema: float = 0.0
    precision: str = "float32"
    unit: tuple[float, float] = (0.0, 1.0)
    max_norm: float | None = None


@dataclass(frozen=True)
class Positions:
    """The targets (n, ...) of a data set, which of its positions to use, and what each counts in the loss: (n,), or a
    number a label (n, k), None where all count alike."""

    targets: np.ndarray
    chosen: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Lessons:
    """What `fit` is given: a network that takes what `prepare` makes of what `views` show, and two sets of positions.

    views(epoch, positions) -> an array, a row each; epoch 0 is without chance. watched(targets, logits) -> the metric
    of the curves.
    """

    network: Classifier
    views: Views
    prepare: nn.Module
    train: Positions
    stopping: Positions
    watched: Watched


@dataclass(frozen=True)
class _Pass:
    """What one pass gave: mean loss and metric of the pictures learned from, the last rate, the median gradient."""

    loss: float
    metric: float
    rate: float
    gradient: float


def fit(
    lessons: Lessons, settings: FitSettings, start: Mapping[str, np.ndarray] | None = None
) -> Generator[Epoch, None, None]:
    """Train with warm-up and cosine decay; `start` is what `Epoch.snapshot` gave after an earlier epoch.

    Order, mixing and dropout follow from (seed, epoch, step), as views do, so the weights after an epoch depend on
    nothing else but the hardware. A loss that is no number ends the pass. The training loss includes label
    smoothing and mixing, the validation loss does not.
    """
    keep_memory()
    network = lessons.network.to(settings.device, memory_format=layout(lessons.network))  # type: ignore[call-overload]
    lessons.prepare.to(settings.device)
    optimizer = build_optimizer(settings.optimizer, network, settings.learning_rate, settings.weight_decay)
    average = Average(network, settings.ema) if settings.ema else None
    done = restore(start, network, optimizer, average) if start else 0
    for number in range(done + 1, settings.epochs + 1):
        begin, before = time.perf_counter(), _trained(network)
        passed = _train_one_epoch(lessons, optimizer, average, settings, number)
        change = _change(before, _trained(network))
        del before
        with average.swapped() if average else nullcontext():
            loss, logits = evaluate(lessons, settings)
            state = {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}
        yield Epoch(
            stage=settings.stage,
            number=number,
            l2=None,
            train_loss=passed.loss,
            validation_loss=loss,
            train_metric=passed.metric,
            validation_metric=lessons.watched(lessons.stopping.targets[lessons.stopping.chosen], logits),
            learning_rate=passed.rate,
            gradient=passed.gradient,
            change=change,
            seconds=time.perf_counter() - begin,
            state=in_own_unit(state, settings.unit),
            logits=logits,
            snapshot=lambda number=number: snapshot(number, network, optimizer, average),  # type: ignore[misc]
        )


def layout(network: nn.Module) -> torch.memory_format:
    """Return how weights and maps lie in memory: channels last, which is faster on processors and GPUs alike."""
    moving = any(tensor.ndim == 5 for tensor in network.parameters())
    return torch.channels_last_3d if moving else torch.channels_last


def evaluate(lessons: Lessons, settings: FitSettings) -> tuple[float, np.ndarray]:
    """Return the mean loss on the stopping pictures and their logits (n, k), in the targets' own unit."""
    network, data = lessons.network.eval(), lessons.stopping
    plain = LOSSES[settings.loss]
    losses, found = 0.0, []
    for begin in range(0, len(data.chosen), EVALUATION_BATCH):
        chosen = data.chosen[begin : begin + EVALUATION_BATCH]
        with torch.inference_mode():
            images = lessons.prepare(torch.from_numpy(lessons.views(0, chosen)).to(settings.device))
            with _precision(settings):
                logits = network(images).float()
            losses += float(plain(logits, _targets(data, chosen, settings), None, 0.0).sum())
        found.append(logits.cpu().numpy())
    mean, deviation = settings.unit
    return losses / max(len(data.chosen), 1), np.concatenate(found) * np.float32(deviation) + np.float32(mean)


def _train_one_epoch(
    lessons: Lessons,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
    settings: FitSettings,
    number: int,
) -> _Pass:
    network, train = lessons.network, lessons.train
    network.train()
    if settings.hold:
        network.base.eval()
    order = train.chosen[generator(settings.seed, "order", number).permutation(len(train.chosen))]
    steps = math.ceil(len(order) / settings.batch_size)
    losses, rate = 0.0, 0.0
    seen: list[np.ndarray] = []
    logits: list[np.ndarray] = []
    norms: list[float] = []
    for step, (chosen, pictures) in enumerate(ahead(lessons.views, number, order, settings.batch_size)):
        if len(chosen) == 1 and steps > 1 and not settings.hold:
            continue  # batch normalisation cannot learn from one picture
        rate = learning_rate((number - 1) * steps + step, settings.epochs * steps, settings.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, answer, norm = train_one_step(
            lessons, optimizer, settings, chosen, pictures, (settings.seed, number, step)
        )
        if average:
            average.update()
        losses += loss * len(chosen)
        seen.append(chosen)
        logits.append(answer)
        norms.append(norm)
        if not math.isfinite(loss):
            break
    mean, deviation = settings.unit
    answers = np.concatenate(logits) * np.float32(deviation) + np.float32(mean)
    metric = lessons.watched(train.targets[np.concatenate(seen)], answers)
    return _Pass(losses / len(answers), metric, rate, float(np.median(norms)))


def train_one_step(
    lessons: Lessons,
    optimizer: torch.optim.Optimizer,
    settings: FitSettings,
    chosen: np.ndarray,
    pictures: np.ndarray,
    place: tuple[int, int, int],
) -> tuple[float, np.ndarray, float]:
    """Move the weights by one step; return its loss, the logits (n, k) and the norm of the gradient.

    `place` is (seed, epoch, step), from which dropout and mixing follow. What auxiliary heads say is learned from as
    well, but is no part of the loss that is returned, so that it compares with that of other pictures.
    """
    seed, number, step = place
    images = lessons.prepare(torch.from_numpy(np.ascontiguousarray(pictures)).to(settings.device))
    targets = _targets(lessons.train, chosen, settings)
    weights = lessons.train.weights
    counted = None if weights is None else torch.from_numpy(weights[chosen]).to(settings.device)
    if settings.mixing is not None:
        outputs = lessons.network.outputs
        images, targets, counted = _mixed(
            images, soft_targets(targets, settings.loss, outputs), counted, settings, place
        )
    with seeded(counter(seed, "dropout", number, step), settings.device), _precision(settings):
        logits, *others = (answer.float() for answer in lessons.network.every_answer(images))
    measure = criterion(settings.loss)
    loss = measure(logits, targets, counted, settings.label_smoothing)
    beside = [measure(other, targets, counted, settings.label_smoothing) for other in others]
    total = loss + lessons.network.side_weight * sum(beside) if beside else loss
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    gradients = [tensor.grad for tensor in lessons.network.parameters() if tensor.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if settings.clip is not None:
        nn.utils.clip_grads_with_norm_(lessons.network.parameters(), settings.clip, norm)
    optimizer.step()
    if settings.max_norm is not None:
        with torch.no_grad():
            weight = lessons.network.head[-1].get_parameter("weight")
            weight.copy_(weight.renorm(2, 0, settings.max_norm))
    return float(loss.detach()), logits.detach().cpu().numpy(), float(norm)


def ahead(views: Views, number: int, order: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the positions and the views of every step; the next are made while one is learned from."""

    def made(begin: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = order[begin : begin + size]
        return chosen, views(number, chosen)

    with ThreadPoolExecutor(1, thread_name_prefix="views") as pool:
        coming = pool.submit(made, 0)
        for begin in range(size, len(order) + size, size):
            there = coming.result()
            if begin < len(order):
                coming = pool.submit(made, begin)
            yield there


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Rise linearly over the first tenth of all steps, then fall along half a cosine to zero."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return highest * (step + 1) / warm
    return highest * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def in_own_unit(state: Mapping[str, np.ndarray], unit: tuple[float, float]) -> dict[str, np.ndarray]:
    """Return weights whose last dense layer answers in the targets' own unit: mean + deviation * what was learned."""
    mean, deviation = unit
    found = dict(state)
    if unit != (0.0, 1.0):
        last = max(int(name.split(".")[1]) for name in state if name.startswith("head."))
        found[f"head.{last}.weight"] = state[f"head.{last}.weight"] * np.float32(deviation)
        found[f"head.{last}.bias"] = state[f"head.{last}.bias"] * np.float32(deviation) + np.float32(mean)
    return found


def _targets(data: Positions, chosen: np.ndarray, settings: FitSettings) -> Tensor:
    """Return the targets of the chosen pictures as the loss wants them."""
    values = data.targets[chosen]
    if settings.unit != (0.0, 1.0):
        mean, deviation = settings.unit
        values = (values - np.float32(mean)) / np.float32(deviation)
    return torch.from_numpy(np.ascontiguousarray(values)).to(settings.device)


def _mixed(
    images: Tensor, targets: Tensor, counted: Tensor | None, settings: FitSettings, place: tuple[int, int, int]
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mix pictures and targets, and what each picture counts in the same share."""
    assert settings.mixing is not None
    if counted is None or counted.ndim == 2:
        return (*mixed(images, targets, settings.mixing, place), counted)
    columns = torch.cat([targets.reshape(len(targets), -1), counted[:, None]], 1)
    images, columns = mixed(images, columns, settings.mixing, place)
    return images, columns[:, :-1].reshape(targets.shape), columns[:, -1]


def _precision(settings: FitSettings) -> torch.autocast:
    """Autocast for bfloat16, which keeps weights, losses and sums in float32; it changes nothing for float32."""
    return torch.autocast(settings.device, torch.bfloat16, enabled=settings.precision == "bfloat16")


def _trained(network: nn.Module) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in network.parameters() if tensor.requires_grad]


def _change(before: list[Tensor], after: list[Tensor]) -> float:
    """Return the length of what the weights moved by, over their length now."""
    moved = math.sqrt(sum(float((one - other).square().sum()) for one, other in zip(before, after, strict=True)))
    return moved / max(math.sqrt(sum(float(one.square().sum()) for one in after)), 1e-12)
