"""Fine-tuning beside the plain way: two epochs on the folder of benchmarks/photographs.py, whole processes.

The plain way is the loop that tutorials lead to: torchvision's mobilenet_v2, a head fitted first on the features of
the pictures as they are, then everything trained at 3e-4 by AdamW with batch statistics held, float32, a DataLoader
with two workers. Ours: the whole base, and the base from a place upwards, whose lower part the engine runs; all with
the pictures never seen and the base converted. `--count` for another number of pictures, `--rows` for some rows alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import measure
import photographs

EPOCHS, BATCH, RATE, SIZE = 2, 32, 3e-4, 224
ROWS = {
    "plain": (),
    "whole base": ("--unfreeze", "all"),
    "from features.3": ("--unfreeze", "features.3"),
    "from features.6": ("--unfreeze", "features.6"),
    "from features.10": ("--unfreeze", "features.10"),
    "as chosen": (),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=photographs.COUNT)
    options.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    options.add_argument("--name", default="finetune")
    options.add_argument("--plain", nargs=2, type=Path, metavar=("FOLDER", "WEIGHTS"), help="run the plain way alone")
    asked = options.parse_args()
    if asked.plain:
        print(json.dumps(plain(*asked.plain)))
        return
    weights = measure.data() / "weights" / "mobilenet_v2.safetensors"
    values: dict[str, object] = {"pictures": asked.count, "epochs": EPOCHS}
    with tempfile.TemporaryDirectory() as place:
        cache = Path(place) / "cache"
        folder = photographs.make(Path(place) / "photographs", asked.count)
        train = [measure.LENSMITH, "train", str(folder), "--weights", str(weights), "--json", "--quiet"]
        measure.run([*train, "--recipe", "features"], cache=cache, folder=Path(place))  # converts the base
        for row in asked.rows:
            for name in ("features", "files", "pixels"):
                shutil.rmtree(cache / name, ignore_errors=True)
            command = [sys.executable, __file__, "--plain", str(folder), str(weights)]
            if row != "plain":
                command = [*train, "--recipe", "finetune", "--epochs", str(EPOCHS), *ROWS[row]]
            process = measure.run(command, cache=cache, folder=Path(place))
            said = json.loads(process.output)
            accuracy = said["accuracy"] if row == "plain" else said["metrics"]["test"]["accuracy"]["value"]
            values[row] = {"seconds": process.seconds, "peak MB": process.megabytes, "accuracy": round(accuracy, 4)}
            if row != "plain":
                values[row] |= {"steps": said["times"]["steps"], "unfreeze": said["recipe"]["unfreeze"]}  # type: ignore[operator]
            print(row, values[row], flush=True)
    measure.write(asked.name, values)


def plain(folder: Path, weights: Path) -> dict[str, float]:
    """Return the accuracy on folder/test after the head and two epochs of everything on folder/train."""
    import torch
    import torchvision
    from safetensors.torch import load_file
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    normalise = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    still = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(SIZE), transforms.ToTensor(), normalise])
    moving = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE, (0.5, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            normalise,
        ]
    )
    train, test = datasets.ImageFolder(folder / "train", moving), datasets.ImageFolder(folder / "test", still)
    network = torchvision.models.mobilenet_v2()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(weights).items()})
    network.classifier = nn.Linear(network.last_channel, len(train.classes))
    network.eval()  # batch statistics are held throughout

    def logits(data: object) -> tuple[torch.Tensor, torch.Tensor]:
        found = [(network(images), targets) for images, targets in DataLoader(data, 128, num_workers=2)]  # type: ignore[arg-type, var-annotated]
        return torch.cat([each for each, _ in found]), torch.cat([targets for _, targets in found])

    head, network.classifier = network.classifier, nn.Identity()
    with torch.no_grad():
        features, targets = logits(datasets.ImageFolder(folder / "train", still))
    optimizer = torch.optim.Adam(head.parameters(), 1e-3, weight_decay=1e-4)
    for _ in range(30):
        for rows in torch.randperm(len(features)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(head(features[rows]), targets[rows]).backward()
            optimizer.step()
    network.classifier = head
    loader = DataLoader(train, BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * len(loader), pct_start=0.1)
    for _ in range(EPOCHS):
        for images, targets in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images), targets).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        answers, targets = logits(test)
    return {"accuracy": float((answers.argmax(1) == targets).float().mean())}


if __name__ == "__main__":
    main()
