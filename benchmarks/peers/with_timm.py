"""A plain loop that fine-tunes all of timm's mobilenetv2_100: its own transforms, a DataLoader, AdamW, a cosine.

This is what timm's documentation leads to: create_model, resolve_model_data_config, create_transform. The weights come
in torchvision's layout, whose layers stand in the same order; they were made for pad_type="same".
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

BATCH, RATE, EPOCHS = 32, 5e-4, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="train and test (or validation), with a folder a class")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--way", choices=["finetune", "check"], default="finetune")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    asked = parser.parse_args()
    torch.manual_seed(0)
    if asked.way == "check":
        print(json.dumps({"accuracy": checked(asked.folder, asked.weights)}))
        return
    held_out = next(asked.folder / name for name in ("test", "validation") if (asked.folder / name).is_dir())
    model = pretrained(asked.weights)
    config = timm.data.resolve_model_data_config(model)
    train = ImageFolder(asked.folder / "train", timm.data.create_transform(**config, is_training=True))
    test = ImageFolder(held_out, timm.data.create_transform(**config, is_training=False))
    model.reset_classifier(len(train.classes))
    finetune(model, loader(train, shuffle=True), asked.epochs)
    accuracy = evaluate(model, loader(test, shuffle=False))
    torch.save(model.state_dict(), asked.out / "model.pth")
    print(json.dumps({"accuracy": accuracy, "pictures": len(train) + len(test)}))


def loader(pictures: ImageFolder, *, shuffle: bool) -> DataLoader:
    """Return batches of pictures, made by a process a core."""
    return DataLoader(pictures, BATCH, shuffle=shuffle, num_workers=os.cpu_count() or 1, persistent_workers=True)


def finetune(model: torch.nn.Module, batches: DataLoader, epochs: int) -> None:
    """Train all of the network."""
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    for _ in range(epochs):
        model.train()
        for images, targets in batches:
            loss = cross_entropy(model(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.inference_mode()
def evaluate(model: torch.nn.Module, batches: DataLoader) -> float:
    """Return the share of pictures that are named right."""
    model.eval()
    right = [model(images).argmax(1) == targets for images, targets in batches]
    return float(torch.cat(right).float().mean())


def pretrained(weights: Path) -> torch.nn.Module:
    """Return mobilenetv2_100 with the tensors of a file in torchvision's layout, put into its own in order."""
    model = timm.create_model("mobilenetv2_100", pad_type="same")
    tensors = load_file(weights)
    layers = sorted({name.rpartition(".")[0] for name in tensors}, key=position)
    own = list(dict.fromkeys(name.rpartition(".")[0] for name in model.state_dict()))
    names = dict(zip(own, layers, strict=True))
    model.load_state_dict(
        {
            name: tensors[f"{names[layer]}.{kind}"].to(tensor.dtype)
            for name, tensor in model.state_dict().items()
            for layer, _, kind in [name.rpartition(".")]
        }
    )
    return model


def position(layer: str) -> tuple[bool, list[int]]:
    """Return where a layer of torchvision's network stands: by its numbers, the classifier last."""
    return layer.startswith("classifier"), [int(number) for number in re.findall(r"\d+", layer)]


def checked(folder: Path, weights: Path) -> float:
    """Return the share of ImageNet pictures (the class leads the file's name) that the network gets right."""
    model = pretrained(weights).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    files = sorted(folder.glob("*.jpg"))
    images = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
    with torch.inference_mode():
        right = model(images).argmax(1) == torch.tensor([int(file.name.split("_")[0]) for file in files])
    return float(right.float().mean())


if __name__ == "__main__":
    main()
