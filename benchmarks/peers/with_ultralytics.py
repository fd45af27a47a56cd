"""Classification in Ultralytics with a torchvision base, as its own model files (yolo11-cls-resnet18.yaml) have it.

--way frozen: the base is held by `freeze=1`, the head is trained, for one epoch. --way finetune: all of it. All other
settings are its own, but for the drawings of the training, for which it would fetch a font. What it reports, and so
what is printed, is the accuracy of the best epoch on the held-out pictures.

Ultralytics feeds pictures of 0..1 where the weights expect them normalised. Without help they would lose a good part
of what they know, so the first layer and the means of its batch normalisation are rescaled to take 0..1.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("YOLO_OFFLINE", "true")

import torch
from safetensors.torch import load_file
from torchvision.models import MobileNet_V2_Weights
from ultralytics import YOLO, settings

SIZE = 224
EPOCHS = {"frozen": 1, "finetune": 3}
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
MODEL = """
nc: 1000
backbone:
  - [-1, 1, TorchVision, [1280, mobilenet_v2, DEFAULT, True, 1]] # all but the last layer
head:
  - [-1, 1, Classify, [nc]]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="train and test (or validation), with a folder a class")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--way", choices=[*EPOCHS], default="frozen")
    parser.add_argument("--epochs", type=int)
    asked = parser.parse_args()
    settings.update({"sync": False})
    out = asked.out.resolve()
    place_weights(asked.weights, out)
    description = out / "mobilenet_v2-cls.yaml"
    description.write_text(MODEL, encoding="utf-8")
    model = YOLO(description, task="classify")
    found = model.train(
        data=asked.folder,
        epochs=asked.epochs or EPOCHS[asked.way],
        freeze=1 if asked.way == "frozen" else None,
        imgsz=SIZE,
        device="cpu",
        project=str(out),
        plots=False,
        verbose=False,
    )
    pictures = sum(len(loader.dataset) for loader in (model.trainer.train_loader, model.trainer.test_loader))
    print(json.dumps({"accuracy": float(found.top1), "pictures": pictures}))


def place_weights(weights: Path, out: Path) -> None:
    """Put the weights where torchvision looks for those it has downloaded before, made to take pictures of 0..1."""
    tensors = {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load_file(weights).items()
    }
    first = tensors["features.0.0.weight"] / STD[:, None, None]
    tensors["features.0.0.weight"] = first
    tensors["features.0.1.running_mean"] = tensors["features.0.1.running_mean"] + (first.sum((2, 3)) @ MEAN)
    os.environ["TORCH_HOME"] = str(out / "torch")
    folder = out / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(tensors, folder / MobileNet_V2_Weights.DEFAULT.url.rpartition("/")[2])


if __name__ == "__main__":
    main()
