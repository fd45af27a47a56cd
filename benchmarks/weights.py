"""Published weights on pictures they were not trained on: do our networks, and our way to the pixels, fit them?

resnet20 of CIFAR-10 in lensmith's own `resnet20`, on objects32/test (a thousand pictures that were JPEG-compressed),
with ImageNet's mean and deviation; mobilenet_v2 and squeezenet1_0 of ImageNet on photos (one photograph of every tenth
class, whose number its file name begins with). All in float32 in torch. Goals: 0.78, 0.70 and 0.55.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

import measure
from lensmith.data.preprocess import Preprocessing, read_square
from lensmith.engines.pytorch import Normalise
from lensmith.zoo.build import whole
from lensmith.zoo.names import canonical
from lensmith.zoo.tensors import load_tensors, read_tensors

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AT_ONCE = 50
GOALS = {"resnet20": 0.78, "mobilenet_v2": 0.70, "squeezenet1_0": 0.55}


def main() -> None:
    folder = measure.data()
    values: dict[str, object] = {}
    pictures, classes = objects(folder / "objects32" / "test")
    photos = sorted((folder / "photos").glob("*.jpg"))
    rows = (
        ("resnet20", "resnet20_cifar10", resnet20, Preprocessing(32, MEAN, STD), pictures, classes),
        (
            "mobilenet_v2",
            "mobilenet_v2",
            torchvision,
            Preprocessing(224, MEAN, STD, crop=224 / 256),
            photos,
            numbers(photos),
        ),
        (
            "squeezenet1_0",
            "squeezenet1_0",
            torchvision,
            Preprocessing(224, MEAN, STD, crop=224 / 256),
            photos,
            numbers(photos),
        ),
    )
    for name, file, make, geometry, paths, targets in rows:
        network = make(name, read_tensors(folder / "weights" / f"{file}.safetensors"))
        right = answers(network, geometry, paths) == np.array(targets)
        values[f"{name}, right"] = round(float(right.mean()), 4)
        values[f"{name}, pictures"] = len(paths)
        values[f"{name}, goal"] = GOALS[name]
    measure.write("weights", values)


def objects(folder: Path) -> tuple[list[Path], list[int]]:
    """Return the pictures of class folders and the number of each one's class, in the order of the names."""
    classes = sorted(place.name for place in folder.iterdir())
    paths = [path for name in classes for path in sorted((folder / name).iterdir())]
    return paths, [classes.index(path.parent.name) for path in paths]


def numbers(paths: Sequence[Path]) -> list[int]:
    """Return the classes that the file names begin with."""
    return [int(path.name[:4]) for path in paths]


def resnet20(name: str, tensors: dict[str, np.ndarray]) -> nn.Module:
    """Return our own network with weights whose classes are made by a layer called `linear`."""
    network = whole(canonical(f"lensmith/{name}"))
    head = {"head.0.weight": tensors.pop("linear.weight"), "head.0.bias": tensors.pop("linear.bias")}
    load_tensors(network, {f"base.{place}": tensor for place, tensor in tensors.items()} | head)
    return network


def torchvision(name: str, tensors: dict[str, np.ndarray]) -> nn.Module:
    """Return torchvision's network with its weights."""
    network = whole(canonical(f"torchvision/{name}"))
    load_tensors(network, tensors)
    return network


def answers(network: nn.Module, geometry: Preprocessing, paths: Sequence[Path]) -> np.ndarray:
    """Return the class that a network gives each picture."""
    network.eval()
    prepare = Normalise(geometry.mean, geometry.std, {})
    found = []
    for begin in range(0, len(paths), AT_ONCE):
        squares = [read_square(path.read_bytes(), geometry)[0] for path in paths[begin : begin + AT_ONCE]]
        with torch.inference_mode():
            found.append(network(prepare(torch.from_numpy(np.stack(squares)))).argmax(1).numpy())
    return np.concatenate(found)


if __name__ == "__main__":
    main()
