"""Explanations against Captum 0.9: are they the same, and what do they cost.

1. The worst difference, relative to the largest value, for each method over three networks and some photographs; to
   finite differences, in float64, for networks whose ReLUs are functions, in place or shared; and what Captum's guided
   backpropagation gives there, which looks for modules.
2. Occlusion of one photograph, window 32 and stride 16, mobilenet_v2: lensmith's engine against Captum at its best of
   several settings. Both take turns; the ratio is of medians.
3. Grad-CAM of a hundred photographs against a plain forward pass of torch, channels-last: in torch, as `explain` does
   it, and by the engine and the head, as the report of a training does it.

`benchmarks/attribution.py [PICTURES] [ROUNDS]`: how many photographs for the first and third, and how many turns.
"""

from __future__ import annotations

import copy
import itertools
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from captum.attr import (
    Deconvolution,
    GuidedBackprop,
    GuidedGradCam,
    IntegratedGradients,
    LayerGradCam,
    Occlusion,
    Saliency,
)
from torch import Tensor, nn
from torchvision import models

import measure
from lensmith.data.read import Files, read_pictures
from lensmith.data.store import Store
from lensmith.engines.folding import fold_batch_norm
from lensmith.engines.head import Head
from lensmith.engines.pytorch import Normalise
from lensmith.seeing import cam
from lensmith.seeing.attribution import integrated, saliency
from lensmith.seeing.cams import grad_cam, guided_grad_cam
from lensmith.seeing.eye import Eye, asking, pixels_of
from lensmith.seeing.gradients import of_output
from lensmith.seeing.layers import layers, named
from lensmith.seeing.methods import Settings, explained, targets_of
from lensmith.seeing.occlusion import hide, sizes, spread
from lensmith.seeing.subject import Subject
from lensmith.verbs.subject import open_subject
from lensmith.zoo.base import Base
from lensmith.zoo.tensors import load_tensors, read_tensors

COMPARED, STEPS = 3, 6  # photographs a network for the first part; steps of integrated gradients
AT_ONCE = (1, 4, 8, 16, 32, 64, 170)  # Captum's perturbations_per_eval that are tried, twice each
FEW = (4, 32)
BATCHES = (8, 16, 32)  # of torch's forward pass; the fastest counts
LAYERS = {"mobilenet_v2": "features.17.conv.3", "squeezenet1_0": "features.12.expand3x3", "resnet18": "layer4.1.bn2"}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main(count: int, rounds: int) -> None:
    warnings.filterwarnings("ignore")  # Captum's, of hooks
    with tempfile.TemporaryDirectory() as place:
        os.environ["LENSMITH_CACHE"] = place
        weights = str(measure.data() / "weights" / "mobilenet_v2.safetensors")
        subject = open_subject("torchvision/mobilenet_v2", weights=weights, say=lambda _: None)
        squares = list(photographs(subject, count))
        values: dict[str, Any] = {"photographs": len(squares), "turns": rounds}
        values |= {f"to Captum, {name}": worst for name, worst in to_captum(squares[:COMPARED]).items()}
        values |= to_finite_differences()
        values |= occlusion(subject, squares[0], rounds)
        values |= grad_cams(subject, squares, Store(Path(place)), rounds)
    measure.write("attribution", values)


def photographs(subject: Subject, count: int) -> Iterator[np.ndarray]:
    """Yield what the network sees of the photographs."""
    folder = measure.data() / "photos"
    names = sorted(path.name for path in folder.iterdir())[:count]
    for picture in read_pictures(Files(folder, names, Store()), subject.geometry):
        assert picture.pixels is not None
        yield picture.pixels


def to_captum(squares: list[np.ndarray]) -> dict[str, float]:
    """Return the worst relative difference of each method over the networks."""
    found: dict[str, float] = {}
    pixels = pixels_of(np.stack(squares))
    for name in LAYERS:
        eye = eye_of(name)
        for method, (ours, theirs) in both_ways(eye, pixels, squares[0], LAYERS[name]).items():
            worst = float((ours - theirs).abs().max() / theirs.abs().max())
            print(f"  {name:<16} {method:<32} {worst:.1e}", flush=True)
            found[method] = max(found.get(method, 0.0), float(f"{worst:.2e}"))
    return found


def eye_of(name: str) -> Eye:
    """Return a network with its weights where there are any; ReLUs not in place, which Captum's hooks do not take."""
    torch.manual_seed(0)
    network = getattr(models, name)()
    file = measure.data() / "weights" / f"{name}.safetensors"
    if file.exists():
        load_tensors(network, read_tensors(file))
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return Eye(network, Normalise(MEAN, STD, {}))


def both_ways(eye: Eye, pixels: Tensor, square: np.ndarray, name: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Return ours and Captum's for each method; those that change ReLUs only where Captum knows all of them."""
    targets = eye(pixels).argmax(1).tolist()
    score, layer, module = of_output(targets), named(layers(eye, pixels[:1]), name), eye.network.get_submodule(name)
    black, leaf = torch.zeros_like(pixels), pixels.clone().requires_grad_()
    integral = IntegratedGradients(eye)
    whole, hidden = hide(asking(eye, of_output(targets[0])), square, 56, 56, "black")
    slid = Occlusion(eye).attribute(pixels[:1], (3, 56, 56), (3, 56, 56), 0.0, targets[0], perturbations_per_eval=8)
    found = {
        "saliency": (saliency(eye, pixels, score), Saliency(eye).attribute(leaf, targets, abs=False)),
        "integrated gradients": (
            integrated(eye, pixels, score, black, STEPS),
            integral.attribute(
                pixels, black, targets, n_steps=STEPS, method="riemann_middle", internal_batch_size=len(pixels)
            ),
        ),
        "Grad-CAM": (
            grad_cam(eye, pixels, score, layer)[:, None],
            LayerGradCam(eye, module).attribute(pixels, targets, relu_attributions=True).detach(),
        ),
        "occlusion": (torch.from_numpy(spread((whole - hidden)[..., 0], 224, 56, 56)), slid[0, 0].float()),
    }
    if not any(isinstance(each, nn.ReLU6) for each in eye.modules()):
        guided = GuidedGradCam(eye, module).attribute(leaf, targets, interpolate_mode="bilinear").detach()
        found |= {
            "guided backpropagation": (
                saliency(eye, pixels, score, "guided"),
                GuidedBackprop(eye).attribute(leaf, targets),
            ),
            "deconvnet": (saliency(eye, pixels, score, "rectified"), Deconvolution(eye).attribute(leaf, targets)),
            "guided Grad-CAM": (guided_grad_cam(eye, pixels, score, layer), guided),
        }
    return found


class Written(nn.Module):
    """Two convolutions and two dense layers, their ReLUs written in one of the ways that there are."""

    def __init__(self, relus: Callable[[], list[Callable[[Tensor], Tensor]]]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, stride=2)
        self.dense, self.out = nn.Linear(8 * 36, 16), nn.Linear(16, 4)
        self.relus = relus()
        self.known = nn.ModuleList(each for each in self.relus if isinstance(each, nn.Module))

    def forward(self, images: Tensor) -> Tensor:
        """Return four scores of pictures (N, 3, 16, 16)."""
        values = self.relus[1](self.second(self.relus[0](self.first(images))))
        return self.out(self.relus[2](self.dense(values.flatten(1))))


WAYS: dict[str, Callable[[], list[Callable[[Tensor], Tensor]]]] = {
    "modules": lambda: [nn.ReLU(), nn.ReLU(), nn.ReLU()],
    "functional": lambda: [torch.relu] * 3,
    "in place": lambda: [torch.relu_] * 3,
    "shared": lambda: [nn.ReLU()] * 3,
}


def to_finite_differences() -> dict[str, Any]:
    """Return how far gradients are from finite differences, and guided ones from those of a twin with modules."""
    torch.manual_seed(0)
    pixels, step = torch.rand(1, 3, 16, 16, dtype=torch.float64), 1e-6
    moves = torch.eye(pixels.numel(), dtype=torch.float64).reshape(-1, 3, 16, 16) * step
    score, state, found, twin = of_output(1), None, {}, torch.empty(0)
    for way, relus in WAYS.items():
        network = Written(relus).double().eval()
        network.load_state_dict(state := state or network.state_dict())
        with torch.no_grad():
            slopes = ((score(network(pixels + moves)) - score(network(pixels - moves))) / (2 * step)).reshape(
                1, 3, 16, 16
            )
        found[f"to finite differences, {way}"] = relative(saliency(network, pixels, score), slopes)
        guided = saliency(network, pixels, score, "guided")
        twin = guided if way == "modules" else twin
        theirs = GuidedBackprop(network).attribute(pixels.clone().requires_grad_(), 1)
        found[f"guided to the twin, {way}"] = relative(guided, twin)
        found[f"Captum's guided to the twin, {way}"] = relative(theirs, twin)
    return found


def relative(ours: Tensor, other: Tensor) -> float:
    """Return the worst difference, relative to the largest value."""
    return float(f"{float((ours - other).abs().max() / other.abs().max()):.2e}")


def occlusion(subject: Subject, square: np.ndarray, rounds: int) -> dict[str, Any]:
    """Return the seconds of both for one picture, taking turns, Captum with the best of its settings."""
    (target,) = targets_of(subject, [square])
    window, stride = sizes(224, None, None)
    fill = torch.from_numpy(square.mean((0, 1)).round()).float()[:, None, None].expand(3, 224, 224)[None]
    plain = copy.deepcopy(subject.eye)
    folded = copy.deepcopy(plain)
    fold_batch_norm(folded.network)
    eyes = {
        "as it is": (plain, torch.contiguous_format),
        "channels-last": (copy.deepcopy(plain).to(memory_format=torch.channels_last), torch.channels_last),
        "folded, channels-last": (folded.to(memory_format=torch.channels_last), torch.channels_last),
    }

    def captum(name: str, at_once: int) -> Tensor:
        eye, memory = eyes[name]
        pixels = pixels_of(square[None]).contiguous(memory_format=memory)
        with torch.inference_mode():
            return Occlusion(eye).attribute(
                pixels, (3, window, window), (3, stride, stride), fill, target.output, perturbations_per_eval=at_once
            )

    tried: dict[tuple[str, int], float] = {}
    for name, at_once in itertools.product(eyes, AT_ONCE):
        if name == "as it is" and at_once not in FEW:  # three times slower than the others, whatever the number
            continue
        tried[name, at_once] = min(seconds(lambda: captum(name, at_once)) for _ in range(2))  # noqa: B023
        print(f"  Captum {name}, {at_once} at once: {tried[name, at_once]:.2f} s", flush=True)
    best = min(tried, key=lambda each: tried[each])
    ours = lambda: next(explained(subject, [square], [""], [target], "occlusion", Settings()))  # noqa: E731
    ours()
    turns = [(seconds(lambda: captum(*best)), seconds(ours)) for _ in range(rounds)]
    theirs_median, ours_median = (round(statistics.median(each), 3) for each in zip(*turns, strict=True))
    likeness = np.corrcoef(ours().map.ravel(), captum(*best)[0, 0].numpy().ravel())[0, 1]
    return {
        "occlusion, Captum's best setting": f"{best[0]}, {best[1]} at once",
        "occlusion, Captum tried, s": {f"{name}, {at_once}": round(each, 3) for (name, at_once), each in tried.items()},
        "occlusion, turns, s": [[round(each, 3) for each in turn] for turn in turns],
        "occlusion, Captum, median s": theirs_median,
        "occlusion, lensmith, median s": ours_median,
        "occlusion, times as fast": round(theirs_median / ours_median, 2),
        "occlusion, correlation of the maps": round(float(likeness), 4),
    }


def grad_cams(subject: Subject, squares: list[np.ndarray], store: Store, rounds: int) -> dict[str, Any]:
    """Return the seconds of torch's forward pass and of both ways to Grad-CAM, taking turns."""
    eye = subject.eye.to(memory_format=torch.channels_last)
    batch = np.stack(squares)
    targets = targets_of(subject, squares)
    tensors = {name: tensor.numpy() for name, tensor in eye.network.state_dict().items()}
    own = {name: tensor for name, tensor in tensors.items() if name.startswith("features.")}
    base = Base("torchvision/mobilenet_v2", "features", "mean", subject.geometry, own)
    engine = base.engine(store).engine
    head = Head((tensors["classifier.1.weight"].T.copy(),), (tensors["classifier.1.bias"],))

    def forward(size: int) -> None:
        with torch.inference_mode():
            for start in range(0, len(batch), size):
                eye(pixels_of(batch[start : start + size]))

    def in_torch() -> list[np.ndarray]:
        paths = [""] * len(squares)
        return [one.map for one in explained(subject, squares, paths, targets, "grad-cam", Settings())]

    def by_engine() -> list[np.ndarray]:
        found: list[np.ndarray] = []
        for output in engine.run(iter(squares), maps=True):
            assert output.maps is not None
            classes = np.array([target.output for target in targets[len(found) : len(found) + len(output.features)]])
            found += list(cam.grad_cam(head, "mean", output.features, output.maps, classes))
        return found

    tried = {size: seconds(lambda: forward(size)) for size in BATCHES for _ in range(2)}  # noqa: B023
    best = min(tried, key=lambda size: tried[size])
    maps, others = in_torch(), by_engine()
    turns = [(seconds(lambda: forward(best)), seconds(in_torch), seconds(by_engine)) for _ in range(rounds)]
    medians = [round(statistics.median(each), 3) for each in zip(*turns, strict=True)]
    likeness = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(maps, others, strict=True)]
    return {
        "Grad-CAM, turns, s (forward, torch, engine)": [[round(each, 3) for each in turn] for turn in turns],
        "Grad-CAM, forward pass alone, median s": medians[0],
        "Grad-CAM, torch, median s": medians[1],
        "Grad-CAM, engine, median s": medians[2],
        "Grad-CAM, torch, times forward": round(medians[1] / medians[0], 2),
        "Grad-CAM, engine, times forward": round(medians[2] / medians[0], 2),
        "Grad-CAM, lowest correlation of torch and engine": round(float(min(likeness)), 4),
    }


def seconds(work: Callable[[], object]) -> float:
    """Return how long a piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:3]]
    main(*(given + [100, 7][len(given) :]))
