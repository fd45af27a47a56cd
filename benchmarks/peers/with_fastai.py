"""Transfer learning in fastai, as its quick start has it: vision_learner and fine_tune, or the frozen half of that.

The network is timm's mobilenetv2_100 by name, the way that fastai's documentation gives for networks beyond the few
that it knows where to cut (torchvision's mobilenet_v2 is not one). timm must be installed beside it. The weights come
in torchvision's layout, whose layers stand in the same order as timm's; they were made for pad_type="same".
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import timm
import torch
from fastai.vision.all import ImageDataLoaders, Resize, accuracy, set_seed, vision_learner
from safetensors.torch import load_file, save_file

NETWORK, SIZE, EPOCHS = "mobilenetv2_100", 224, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="train and test (or validation), with a folder a class")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--way", choices=["frozen", "finetune"], default="frozen")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    asked = parser.parse_args()
    set_seed(0)
    held_out = next(name for name in ("test", "validation") if (asked.folder / name).is_dir())
    batches = ImageDataLoaders.from_folder(asked.folder, valid=held_out, item_tfms=Resize(SIZE))
    file = asked.out / f"{NETWORK}.safetensors"
    save_file(renamed(load_file(asked.weights)), file)
    learner = vision_learner(
        batches,
        NETWORK,
        metrics=accuracy,
        path=asked.out,
        pad_type="same",
        pretrained_cfg_overlay={"file": str(file)},
    )
    with learner.no_bar(), learner.no_logging():
        if asked.way == "frozen":
            learner.fit_one_cycle(asked.epochs)
        else:
            learner.fine_tune(asked.epochs)
    learner.export("model.pkl")
    pictures = len(batches.train_ds) + len(batches.valid_ds)
    print(json.dumps({"accuracy": float(learner.recorder.values[-1][-1]), "pictures": pictures}))


def renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors of torchvision's network under timm's names, layer by layer in order."""
    theirs = timm.create_model(NETWORK).state_dict()
    layers = sorted({name.rpartition(".")[0] for name in tensors}, key=position)
    own = list(dict.fromkeys(name.rpartition(".")[0] for name in theirs))
    names = dict(zip(own, layers, strict=True))
    found = {}
    for name, tensor in theirs.items():
        layer, _, kind = name.rpartition(".")
        found[name] = tensors[f"{names[layer]}.{kind}"].to(tensor.dtype)
        assert found[name].shape == tensor.shape, name
    return found


def position(layer: str) -> tuple[bool, list[int]]:
    """Return where a layer of torchvision's network stands: by its numbers, the classifier last."""
    return layer.startswith("classifier"), [int(number) for number in re.findall(r"\d+", layer)]


if __name__ == "__main__":
    main()
