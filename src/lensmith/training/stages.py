"""The stages that trainings are made of: a head on cached features, a head on augmented ones, the top of a base, all.

Each returns the series of epochs to try, one of which is kept. What differs is where the network is cut, what is
cached, what is trained and at which rate.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from lensmith.data.clips import Moving
from lensmith.data.encoding import Encoding
from lensmith.data.pixels import Pictures
from lensmith.data.preprocess import Preprocessing
from lensmith.data.store import Store
from lensmith.data.vocabulary import Vocabulary
from lensmith.engines.choose import Chosen, resolve_device
from lensmith.engines.head import from_tensors
from lensmith.reproduce import counter
from lensmith.tasks.interface import Task
from lensmith.training.augmentation import parse
from lensmith.training.balance import class_weights, picture_weights
from lensmith.training.epoch import Epoch
from lensmith.training.head import Examples, HeadSettings, fit_head
from lensmith.training.ladder import FEW
from lensmith.training.plan import Plan
from lensmith.training.recipe import Recipe
from lensmith.training.rows import Matrix
from lensmith.zoo.base import Base, assemble, assemble_top
from lensmith.zoo.measured import Measured

if TYPE_CHECKING:
    from torch import nn

    from lensmith.training.fit import FitSettings, Lessons
    from lensmith.training.views import Activations, Augmented
    from lensmith.zoo.heads import Classifier

MAX_NORM = 3.0  # of what leads to a class from the text CNN's filters (Kim 2014, section 2.1)
VIEWS_AT_ONCE = 64  # pictures augmented together while the engine runs those before
Weights = Mapping[str, np.ndarray]
Series = list[Generator[Epoch, None, None]]


@dataclass(frozen=True)
class Course:
    """What a training learns from.

    task: how numbers become answers. targets, strata, sha256: of every picture of the data set. train, stopping:
    positions. features: (n, F) of the base as it came, where there is one. pixels() gives all pictures, (n, s, s, 3)
    uint8. kept: what the stages and folds of one training share.
    """

    task: Task
    targets: np.ndarray
    strata: np.ndarray
    sha256: tuple[str, ...]
    train: np.ndarray
    stopping: np.ndarray
    plan: Plan
    preprocessing: Preprocessing | Encoding | Vocabulary | Moving
    inputs: Mapping[str, np.ndarray]
    pixels: Callable[[], Pictures]
    store: Store
    features: Matrix | None = None
    base: Base | Measured | None = None
    chosen: Chosen | None = None
    kept: dict[object, Activations] = field(default_factory=dict)

    def on(self, train: np.ndarray, stopping: np.ndarray) -> Course:
        """Return the same course on other positions, such as those of a fold."""
        return replace(self, train=train, stopping=stopping)


def features_stage(recipe: Recipe, course: Course) -> Series:
    """Return one series for each penalty, of a head on the features of the pictures as they are."""
    train, stopping = _examples(recipe, course)
    settings = _head_settings(recipe, course, "features")
    watched, outputs = course.task.watched, course.task.outputs
    return [fit_head(train, stopping, outputs, l2, settings, metric=watched) for l2 in recipe.l2]


def frozen_stage(recipe: Recipe, course: Course, kept: Epoch, resume: Weights | None = None) -> Series:
    """Return a series in which the head goes on from `kept`, on the features of pictures augmented anew every epoch.

    The engine runs the base, so that nothing of it can change and an epoch costs no more than a look at the pictures.
    """
    train, stopping = _examples(recipe, course)
    settings = _head_settings(recipe, course, "frozen")
    return [
        fit_head(
            train,
            stopping,
            course.task.outputs,
            kept.l2 or 0.0,
            settings,
            metric=course.task.watched,
            start=from_tensors(kept.state),
            views=views_of(recipe, course),
            resume=resume,
        )
    ]


def finetune_stage(recipe: Recipe, course: Course, kept: Epoch, resume: Weights | None = None) -> Series:
    """Return a series in which the top of the base and the head of `kept` are trained together, at a small rate."""
    import torch

    from lensmith.training.fit import fit

    lessons, unit = lessons_of(recipe, course), unit_of(course)
    head = {name: torch.from_numpy(tensor) for name, tensor in standardised(kept.state, unit).items()}
    lessons.network.load_state_dict(head, strict=False)
    return [fit(lessons, settings_of(recipe, course, unit, "finetune"), resume)]


def scratch_stage(recipe: Recipe, course: Course, resume: Weights | None = None) -> Series:
    """Return a series in which a new network is trained, or one with weights that is trained as a whole."""
    from lensmith.training.fit import fit
    from lensmith.training.initial import draw_weights
    from lensmith.training.seeded import seeded

    lessons = lessons_of(recipe, course)
    if not recipe.weights:
        with seeded(counter(recipe.seed, "init")):
            draw_weights(lessons.network, recipe.init)
    return [fit(lessons, settings_of(recipe, course, unit_of(course), recipe.recipe), resume)]


def _examples(recipe: Recipe, course: Course) -> tuple[Examples, Examples]:
    """Return what a head is trained on and what ends its training."""
    features, weights = course.features, _counted(recipe, course)
    assert features is not None
    train, stopping = course.train, course.stopping
    counted = None if weights is None else weights[train]
    return (
        Examples(features, course.targets[train], counted, rows=train),
        Examples(features, course.targets[stopping], rows=stopping),
    )


def _counted(recipe: Recipe, course: Course) -> np.ndarray | None:
    """Return how much every picture of the data set counts, by the classes of the training pictures; None for alike."""
    if recipe.class_weights == "none":
        return None
    weights = class_weights(recipe.class_weights, course.task.classes, course.targets[course.train])
    return picture_weights(weights, course.targets)


def _head_settings(recipe: Recipe, course: Course, stage: str) -> HeadSettings:
    return HeadSettings(
        dense=recipe.dense,
        dropout=recipe.dropout,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        seed=recipe.seed,
        loss=course.task.loss,
        norm=recipe.norm,
        scaled=isinstance(course.base, Measured),
        stage=stage,
    )


def _required(course: Course) -> tuple[Base, Chosen]:
    assert isinstance(course.base, Base) and course.chosen is not None
    return course.base, course.chosen


def shown_of(recipe: Recipe, course: Course) -> Augmented:
    """Return what shows the pictures of the data set as the recipe augments them."""
    from lensmith.training.views import Augmented

    return Augmented(course.pixels(), parse(recipe.augment), recipe.seed, course.train)


def views_of(recipe: Recipe, course: Course) -> Callable[[int], Matrix]:
    """Return what gives the features (n, F) of the training pictures as they are augmented in an epoch."""
    from lensmith.training.features import gathered

    _, chosen = _required(course)
    shown, train = shown_of(recipe, course), course.train

    def features(epoch: int) -> Matrix:
        parts = (train[begin : begin + VIEWS_AT_ONCE] for begin in range(0, len(train), VIEWS_AT_ONCE))
        pictures = (picture for part in parts for picture in shown(epoch, part))
        return gathered(chosen.engine.run(pictures), len(train), course.store.folder)

    return features


def lessons_of(recipe: Recipe, course: Course) -> Lessons:
    """Return what the loop learns from: for scratch and finetune a network of the seed, with the base's weights where
    there are some.

    Where only the upper part of a base is trained on a processor, the network is that part, and its views are what the
    engine makes of the pictures in the lower one.
    """
    from lensmith.engines.pytorch import Normalise
    from lensmith.training.fit import Lessons, Positions
    from lensmith.training.views import FromMaps

    if isinstance(course.preprocessing, Vocabulary):
        from lensmith.training.words import sentence_lessons

        return sentence_lessons(recipe, course, course.preprocessing)
    if isinstance(course.preprocessing, Moving):
        from lensmith.training.moving import clip_lessons

        return clip_lessons(recipe, course, course.preprocessing)
    upper = _upper(recipe, course)
    geometry = course.preprocessing
    assert isinstance(geometry, Preprocessing)
    return Lessons(
        network=_network(recipe, course, upper),
        views=shown_of(recipe, course) if upper is None else activations_of(recipe, course),
        prepare=Normalise(geometry.mean, geometry.std, course.inputs) if upper is None else FromMaps(),
        train=Positions(course.targets, course.train, _counted(recipe, course)),
        stopping=Positions(course.targets, course.stopping),
        watched=course.task.watched,
    )


def activations_of(recipe: Recipe, course: Course) -> Activations:
    """Return the maps at which the frozen part of a base ends; all folds and trials of a training share them."""
    from lensmith.training.views import Activations

    colours = course.train.tobytes() if parse(recipe.augment).pca_colour else b""  # which decide what is added
    key = recipe.unfreeze, recipe.augment, recipe.seed, recipe.epochs, colours
    if key not in course.kept:
        base, chosen = _required(course)
        lower = replace(base, cut=recipe.unfreeze, pool="mean", tensors=_below(base, recipe))
        engine = lower.engine(course.store, engine=chosen.engine.name, precision=chosen.engine.precision).engine
        shown = shown_of(recipe, course)
        again = recipe.epochs if len(course.train) + len(course.stopping) < FEW else 0  # the folds show the same views
        course.kept[key] = Activations(shown, engine, course.store.folder, again)
    return course.kept[key]


def _below(base: Base, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return the tensors of the frozen lower part of a base."""
    names = assemble(recipe.network, recipe.unfreeze, recipe.image_size)[0].state_dict()
    return {name: tensor for name, tensor in base.tensors.items() if name in names}


def _upper(recipe: Recipe, course: Course) -> nn.Module | None:
    """Return the part of a base that is trained, None where all of it is or where it cannot be run alone.

    Mixed pictures are mixed before the network. Where torch is the engine, nothing is gained by running the lower part
    in it, and its last digits follow from how pictures fall into batches, so that a resumed run would not be the same.
    """
    chosen, mixes = course.chosen, recipe.mixup or recipe.cutmix
    if recipe.recipe != "finetune" or recipe.unfreeze == "all" or mixes:
        return None
    if chosen is None or chosen.engine.name != "openvino":
        return None
    return assemble_top(recipe.network, recipe.unfreeze, recipe.cut, recipe.image_size)


def _network(recipe: Recipe, course: Course, upper: nn.Module | None) -> Classifier:
    """Return base and head with weights drawn by the seed, for scratch with the auxiliary heads of the network; for
    finetune with the base's weights, what is frozen taken out of training and normalisation folded in."""
    import torch

    from lensmith.engines.folding import fold_batch_norm
    from lensmith.training.freezing import freeze, frozen_names
    from lensmith.training.seeded import seeded
    from lensmith.zoo.heads import Classifier
    from lensmith.zoo.pretrained import load_tensors
    from lensmith.zoo.sides import new_classifier

    features, outputs = course.plan.features(recipe.pool), course.task.outputs
    # A network of the user may draw its weights on the GPU.
    with seeded(counter(recipe.seed, "weights"), resolve_device(recipe.device)):
        if recipe.recipe == "scratch":
            return new_classifier(
                recipe.network,
                recipe.cut,
                recipe.image_size,
                features,
                outputs,
                pool=recipe.pool,
                dense=recipe.dense,
                dropout=recipe.dropout,
                softmax=course.task.loss == "cross_entropy",
            )
        part = upper if upper is not None else assemble(recipe.network, recipe.cut, recipe.image_size)[0]
        network = Classifier(part, features, outputs, recipe.pool, recipe.dense, recipe.dropout)
    if recipe.recipe == "finetune":
        base, _ = _required(course)
        names = network.base.state_dict()
        tensors = {name: tensor for name, tensor in base.tensors.items() if name in names}
        load_tensors(network.base, {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()})
        freeze(network.base, frozen_names(recipe.network, recipe.unfreeze, recipe.image_size, names))
        fold_batch_norm(network.base.eval())
    return network


def settings_of(recipe: Recipe, course: Course, unit: tuple[float, float], stage: str) -> FitSettings:
    """Return how the loop learns; `unit` is that of the targets."""
    from lensmith.training.fit import FitSettings
    from lensmith.training.mixing import Mixing

    return FitSettings(
        stage=stage,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        optimizer=recipe.optimizer,
        weight_decay=recipe.weight_decay,
        loss=course.task.loss,
        device=resolve_device(recipe.device),
        seed=recipe.seed,
        hold=stage == "finetune",
        clip=recipe.clip,
        label_smoothing=recipe.label_smoothing,
        mixing=Mixing(recipe.mixup, recipe.cutmix) if recipe.mixup or recipe.cutmix else None,
        ema=recipe.ema,
        precision=recipe.precision,
        unit=unit,
        max_norm=MAX_NORM if isinstance(course.preprocessing, Vocabulary) else None,
    )


def unit_of(course: Course) -> tuple[float, float]:
    """Return mean and deviation of the training targets where they are numbers; (0, 1) for classes."""
    if course.task.classes:
        return 0.0, 1.0
    numbers = course.targets[course.train].astype(np.float64)
    return float(numbers.mean()), float(numbers.std()) or 1.0


def standardised(head: Weights, unit: tuple[float, float]) -> dict[str, np.ndarray]:
    """Return a head that answers in the targets' own unit as one that answers in standardised units."""
    from lensmith.training.fit import in_own_unit

    mean, deviation = unit
    return in_own_unit(head, (-mean / deviation, 1 / deviation))
