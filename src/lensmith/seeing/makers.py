"""Running the methods that need gradients, batch by batch, each brought to the one form of an Explanation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from lensmith.reproduce import generator
from lensmith.seeing.attribution import integrated, saliency, smoothgrad
from lensmith.seeing.cams import cam, drawn_layer, grad_cam, guided_grad_cam, relus_above
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.eye import Eye
from lensmith.seeing.fills import FILLS, filled
from lensmith.seeing.gradients import Score, of_output
from lensmith.seeing.layers import Layer
from lensmith.seeing.methods import Method, Settings, probabilities_of
from lensmith.seeing.subject import Subject, Target
from lensmith.zoo.chain import device_of

PIXELS = 8 * 224 * 224  # of a batch: what a network made of it is kept for the way back
STRONGEST = "the strongest of the three colours"
ALIKE = 0.95  # cosine of two maps that show the same
RULES = {"guided-grad-cam": "guided", "deconvnet": "rectified"}


@dataclass(frozen=True)
class Made:
    """What a method made of a batch: maps (N, h, w), colours (N, 3, s, s), and unit and sentences of Explanation."""

    maps: Tensor
    colours: Tensor | None
    unit: str
    how: Sequence[str]


@dataclass
class Heard:
    """A score that remembers the outputs that it was last asked about, so that they need not be computed twice."""

    score: Score
    outputs: Tensor = field(default_factory=lambda: torch.empty(0))

    def __call__(self, outputs: Tensor) -> Tensor:
        """Return the scores (N,)."""
        self.outputs = outputs.detach()
        return self.score(outputs)


@dataclass(frozen=True)
class Asked:
    """A batch that is to be explained: pictures as `squares` (N, s, s, 3) uint8 and as `pixels` (N, 3, s, s)."""

    eye: Eye
    squares: np.ndarray
    pixels: Tensor
    targets: Sequence[Target]
    heard: Heard
    layer: Layer | None
    settings: Settings

    def drawn(self) -> Layer:
        """Return the layer, for methods that need one."""
        assert self.layer is not None
        return self.layer

    @torch.no_grad()
    def ask(self, pixels: Tensor) -> Tensor:
        """Return the scores (N,) of pixels."""
        return self.heard(self.eye(pixels))


def differentiated(
    subject: Subject, asked: Iterable[tuple[np.ndarray, str, Target]], method: Method, settings: Settings
) -> Iterator[Explanation]:
    """Yield explanations by a method that needs gradients of (square, path, target)."""
    eye = subject.eye.to(memory_format=torch.channels_last)
    side, coming = subject.geometry.image_size, iter(asked)
    empty = torch.empty(1, 3, side, side, device=device_of(eye))
    layer = drawn_layer(eye, empty, settings.layer) if method.needs_map else None
    while batch := list(islice(coming, max(1, PIXELS // side**2))):
        start = time.perf_counter()
        squares = np.stack([square for square, _, _ in batch])
        targets = [target for _, _, target in batch]
        heard = Heard(of_output([target.output for target in targets], [target.sign for target in targets]))
        made = MAKERS[method.name](Asked(eye, squares, eye.pixels(squares), targets, heard, layer, settings))
        outputs = heard.outputs.float().cpu().numpy()
        probabilities = probabilities_of(subject, subject.says(squares), targets)  # as every verb tells them
        seconds = (time.perf_counter() - start) / len(batch)
        for place, (square, path, target) in enumerate(batch):
            yield Explanation(
                picture=square,
                path=path,
                target=target.name,
                output=target.output,
                score=float(outputs[place, target.output]) * target.sign,
                probability=probabilities[place],
                method=method.name,
                rule=RULES.get(method.name, settings.rule),
                layer=None if layer is None else layer.name,
                map=made.maps[place].cpu().numpy(),
                unit=made.unit,
                how=made.how[place],
                seconds=seconds,
                colours=None if made.colours is None else made.colours[place].permute(1, 2, 0).cpu().numpy(),
            )


def _saliency(asked: Asked) -> Made:
    rule = asked.settings.rule
    slopes = saliency(asked.eye, asked.pixels, asked.heard, rule)
    how = f"gradient of the score, {STRONGEST}"
    return _of_slopes(slopes, "score per grey level", how + (_blind(asked, slopes) if rule == "rectified" else ""))


def _deconvnet(asked: Asked) -> Made:
    slopes = saliency(asked.eye, asked.pixels, asked.heard, "rectified")
    how = f"the score sent back through the network, positive signals alone through each ReLU, {STRONGEST}"
    return _of_slopes(slopes, "score per grey level", how + _blind(asked, slopes))


def _blind(asked: Asked, slopes: Tensor) -> str:
    """Return a warning if a picture of noise gives the same as the first of a batch.

    A ReLU that lets through whatever is positive forgets the picture; only the switches of max pooling remember it
    (Springenberg et al. 2015, section 3.4).
    """
    noise = generator(0, "blind").uniform(0, 255, (1, *asked.pixels.shape[1:]))
    first = of_output(asked.targets[0].output, asked.targets[0].sign)
    other = saliency(asked.eye, torch.from_numpy(noise).to(asked.pixels), first, "rectified")
    likeness = float(torch.cosine_similarity(other.flatten(), slopes[0].flatten(), 0))
    if likeness < ALIKE:
        return ""
    return "; a picture of noise gives the same: without max pooling nothing of the picture is left in this map"


def _smoothgrad(asked: Asked) -> Made:
    given = asked.settings
    slopes = smoothgrad(
        asked.eye,
        asked.pixels,
        asked.heard,
        samples=given.samples,
        noise=given.noise,
        seed=given.seed,
        rule=given.rule,
    )
    asked.ask(asked.pixels)
    how = f"mean gradient over {given.samples} copies with noise of {given.noise:.0%} of the picture's range, "
    return _of_slopes(slopes, "score per grey level", how + STRONGEST)


def _integrated(asked: Asked) -> Made:
    given = asked.settings
    baseline = asked.eye.pixels(np.stack([filled(square, given.fill) for square in asked.squares]))
    shares = integrated(asked.eye, asked.pixels, asked.heard, baseline, given.steps)
    before = asked.ask(baseline)
    differences = (asked.ask(asked.pixels) - before).tolist()  # last of all, so that these outputs are remembered
    maps = shares.sum(1)
    sums = maps.sum((1, 2), dtype=torch.float64).tolist()
    way = f"gradients at {given.steps} places between {FILLS[given.fill]} and the picture; the shares add up to "
    how = [f"{way}{sum_:.3f}, the score differs by {by:.3f}" for sum_, by in zip(sums, differences, strict=True)]
    return Made(maps, shares, "score", how)


def _grad_cam(asked: Asked) -> Made:
    layer = asked.drawn()
    maps = grad_cam(asked.eye, asked.pixels, asked.heard, layer, asked.settings.rule)
    how = f"the maps of {layer.name}, each times its mean gradient; what speaks against the target is cut off"
    rule = asked.settings.rule
    if rule != "plain" and not relus_above(asked.eye, asked.pixels[:1], layer):
        how += f"; no ReLU lies above that layer, so rule {rule} changes nothing"
    return Made(maps, None, "score", [how] * len(maps))


def _cam(asked: Asked) -> Made:
    layer = asked.drawn()
    maps = cam(asked.eye, asked.pixels, asked.heard, layer)
    how = f"the maps of {layer.name}, each times its weight in the score; their mean is the score less its bias"
    return Made(maps, None, "score", [how] * len(maps))


def _guided_grad_cam(asked: Asked) -> Made:
    layer = asked.drawn()
    product = guided_grad_cam(asked.eye, asked.pixels, asked.heard, layer)
    return _of_slopes(product, "product", f"guided saliency times Grad-CAM of {layer.name}, {STRONGEST}")


def _of_slopes(slopes: Tensor, unit: str, how: str) -> Made:
    """Return a map of what each pixel weighs, whichever way: the largest of the three colours."""
    return Made(slopes.abs().amax(1), slopes, unit, [how] * len(slopes))


MAKERS: dict[str, Callable[[Asked], Made]] = {
    "grad-cam": _grad_cam,
    "cam": _cam,
    "guided-grad-cam": _guided_grad_cam,
    "saliency": _saliency,
    "integrated": _integrated,
    "smoothgrad": _smoothgrad,
    "deconvnet": _deconvnet,
}
