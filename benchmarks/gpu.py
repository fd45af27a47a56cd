"""Pictures a second on a GPU beside a plain timm loop, in one run: features, training, predictions.

Any machine whose GPU torch sees can run it; it needs no data, since pictures and weights are drawn, on whose values no
speed depends. Elsewhere it says so and ends; `--device cpu --count 96 --rounds 1 --results FOLDER` tries it out there.

The plain loop is what timm's documentation leads to: create_model, create_transform, a DataLoader with as many workers
as cores and pinned memory, autocast to bfloat16. Features and training are timed in this process, turn by turn, after
a round that is not counted. Training in lensmith shows pictures that were read once before, as in a run; the plain
loop reads them in every epoch. Predictions are timed as whole processes, from shell to answers.

Whether decoding and augmenting keep the GPU fed is told by two numbers: of features, how much faster the engine alone
is on pictures in memory; of training, the share of the time that steps waited for pictures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

import measure
from lensmith.data.preprocess import Preprocessing
from lensmith.data.read import Files, read_pictures
from lensmith.data.store import Store
from lensmith.data.synthetic import check_pictures
from lensmith.engines.pytorch import Normalise
from lensmith.reproduce import cores, generator
from lensmith.tasks.classification import Classification
from lensmith.training.augmentation import PRESETS
from lensmith.training.features import extract
from lensmith.training.fit import FitSettings, Lessons, Positions, ahead, train_one_step
from lensmith.training.optimizers import build_optimizer
from lensmith.training.views import Augmented
from lensmith.zoo.base import Base, assemble
from lensmith.zoo.heads import Classifier

NETWORK, SIZE, BATCH, RATE, COUNT, ROUNDS = "mobilenetv2_100", 224, 32, 3e-4, 4000, 3
CLASSES = ("even", "odd")
WIDTH, HEIGHT, QUALITY, SCENES = 533, 400, 86, 32


def main() -> None:
    asked = arguments()
    device = asked.device or gpu()
    if not device or device not in (gpu(), "cpu"):
        print(f"torch sees no {device or 'GPU'} on this machine, so there is nothing to measure.")
        return
    if asked.plain:
        print(json.dumps(answers(*asked.plain, device)))
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), device)
        draw(place.pictures, asked.count)
        save_file(timm.create_model(NETWORK).state_dict(), place.weights)
        found = compared(place, asked.rounds)
    if asked.results:
        measure.RESULTS = asked.results
    if asked.results or device != "cpu":
        measure.write("gpu", {"device": device_name(device), "pictures": asked.count, "batch": BATCH, **found})
    else:
        print(json.dumps(found, indent=1))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "mps", "cpu"], help="default: the GPU that torch sees")
    parser.add_argument("--count", type=int, default=COUNT, help="how many pictures to draw")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--results", type=Path, help="the folder of gpu.json (default: benchmarks/results, for GPUs)")
    parser.add_argument(
        "--plain", nargs=2, type=Path, metavar=("FOLDER", "WEIGHTS"), help="the plain predictions alone"
    )
    return parser.parse_args()


@dataclass(frozen=True)
class Place:
    """Where everything lies, and the device that is measured."""

    folder: Path
    device: str

    @property
    def pictures(self) -> Path:
        """A folder a class."""
        return self.folder / "pictures"

    @property
    def weights(self) -> Path:
        """Drawn weights of the network, named as timm names them."""
        return self.folder / "weights.safetensors"


def gpu() -> str:
    """Return the GPU that torch sees, "" for none."""
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else ""


def device_name(device: str) -> str:
    """Return the device in words."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def draw(folder: Path, count: int) -> None:
    """Write pictures of the size and the file size of photographs, cut from drawn scenes."""
    scenes = check_pictures(SCENES, 640)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)

    def write(number: int) -> None:
        random = generator(0, "picture", number)
        x, y = random.integers(0, 640 - WIDTH), random.integers(0, 640 - HEIGHT)
        cut = scenes[number % SCENES][y : y + HEIGHT, x : x + WIDTH] * random.uniform(0.7, 1)
        Image.fromarray(cut.astype(np.uint8)).save(folder / CLASSES[number % 2] / f"{number:06d}.jpg", quality=QUALITY)

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(write, range(count)))


def compared(place: Place, rounds: int) -> dict[str, object]:
    """Return pictures a second of both sides, and how well the GPU is fed."""
    ours, plain = Ours(place), Plain(place)
    found: dict[str, object] = {}
    found["features"] = turns({"lensmith": ours.features, "plain loop": plain.features}, ours.count, rounds)
    alone = turns({"engine alone": ours.engine_alone}, ours.count, rounds)
    found["features, from memory"] = alone
    for precision in ("float32", "bfloat16"):
        epoch = partial(ours.epoch, ours.learner(precision))
        both = {"lensmith": epoch, "plain loop": partial(plain.epoch, plain.learner(), precision)}
        ours.waited = ours.trained = 0.0
        found[f"training in {precision}"] = {
            **turns(both, ours.count, rounds),
            "share waited for pictures": round(ours.waited / ours.trained, 3),
        }
    found["predictions"] = predictions(place, ours.count, rounds)
    return found


def turns(sides: dict[str, Callable[[], None]], count: int, rounds: int) -> dict[str, float]:
    """Run the sides turn by turn; return the median of their pictures a second, the first round left out."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            begun = time.perf_counter()
            side()
            if number:
                rates[name].append(count / (time.perf_counter() - begun))
    return {name: round(statistics.median(each), 1) for name, each in rates.items()}


def predictions(place: Place, count: int, rounds: int) -> dict[str, float]:
    """Return pictures a second of whole processes: `lensmith predict`, and the plain loop with the same weights."""
    cache = place.folder / "verbs"
    train = [measure.LENSMITH, "train", str(place.pictures), "--recipe", "features", "--network", f"timm/{NETWORK}"]
    train += ["--weights", str(place.weights), "--device", place.device, "--name", "gpu", "--quiet"]
    measure.run(train, cache=cache, folder=place.folder)
    predict = [measure.LENSMITH, "predict", "gpu", str(place.pictures), "--device", place.device, "--json", "--quiet"]
    plain = [sys.executable, __file__, "--device", place.device, "--plain", str(place.pictures), str(place.weights)]

    def run(command: list[str]) -> None:
        said = json.loads(measure.run(command, cache=cache, folder=place.folder).output)
        assert len(said["predictions"] if isinstance(said, dict) else said) == count

    return turns({"lensmith": partial(run, predict), "plain loop": partial(run, plain)}, count, rounds)


class Ours:
    """lensmith's own pieces: the engine and the loop that it takes for this device."""

    def __init__(self, place: Place) -> None:
        self.place = place
        module, cut = assemble(f"timm/{NETWORK}", None, SIZE)
        tensors = {name: tensor for name, tensor in load_file(place.weights).items() if name in module.state_dict()}
        config = timm.data.resolve_data_config(model=timm.create_model(NETWORK))
        self.shape, self.weights = cut.shape, tensors
        self.preprocessing = Preprocessing(SIZE, config["mean"], config["std"], config["crop_pct"], "crop", "bicubic")
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        self.base = Base(f"timm/{NETWORK}", cut.name, "mean", self.preprocessing, arrays)
        self.engine = self.base.engine(Store(place.folder / "bases"), device=place.device).engine
        self.paths = sorted(str(path.relative_to(place.pictures)) for path in place.pictures.rglob("*.jpg"))
        self.count = len(self.paths)
        self.targets = np.array([CLASSES.index(path.split("/")[0]) for path in self.paths])
        read = read_pictures(self._files(), self.preprocessing)
        self.pixels = np.stack([picture.pixels for picture in read if picture.pixels is not None])
        self.waited = self.trained = 0.0

    def _files(self) -> Files:
        return Files(self.place.pictures, self.paths, self._store())

    def _store(self) -> Store:
        """Return a store with nothing in it."""
        return Store(Path(tempfile.mkdtemp(dir=self.place.folder)))

    def features(self) -> None:
        """From files to features, nothing of them stored before."""
        extract(self._files(), self.preprocessing, self.base.key, self.engine, self._store())

    def engine_alone(self) -> None:
        """From pictures in memory to features."""
        for _ in self.engine.run(self.pixels):
            pass

    def learner(self, precision: str) -> tuple[Lessons, torch.optim.Optimizer, FitSettings]:
        """Return a network with the weights, all of which is trained, and how."""
        base, everything = assemble(f"timm/{NETWORK}", None, SIZE)[0], np.arange(self.count)
        base.load_state_dict(self.weights)
        settings = FitSettings(
            stage="scratch",
            epochs=1,
            batch_size=BATCH,
            learning_rate=RATE,
            optimizer="adamw",
            weight_decay=0.01,
            loss="cross_entropy",
            device=self.place.device,
            seed=0,
            precision=precision,
        )
        network = Classifier(base, self.shape[0], len(CLASSES), "mean", (), 0.0).to(
            settings.device, memory_format=torch.channels_last
        )
        lessons = Lessons(
            network,
            Augmented(self.pixels, PRESETS["small-data"], 0, everything),
            Normalise(self.preprocessing.mean, self.preprocessing.std, {}).to(settings.device),
            Positions(self.targets, everything),
            Positions(self.targets, everything[:1]),
            Classification(CLASSES).watched,
        )
        return lessons, build_optimizer("adamw", network, RATE, 0.01), settings

    def epoch(self, learner: tuple[Lessons, torch.optim.Optimizer, FitSettings]) -> None:
        """One pass; what it took and how long its steps waited for pictures is added up."""
        lessons, optimizer, settings = learner
        lessons.network.train()
        order = generator(0, "order").permutation(self.count)
        begun = time.perf_counter()
        for step, (chosen, shown) in enumerate(self._awaited(ahead(lessons.views, 1, order, BATCH))):
            train_one_step(lessons, optimizer, settings, chosen, shown, (0, 1, step))
        self.trained += time.perf_counter() - begun

    def _awaited(self, batches: Iterator[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            begun = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - begun
            if batch is None:
                return
            yield batch


class Plain:
    """The loop that timm's documentation leads to."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.network = self._network(0)
        self.seen = loader(place, self.network, is_training=False)

    def _network(self, classes: int) -> torch.nn.Module:
        """Return the network with the weights and a new last layer; with none for 0 classes."""
        network = timm.create_model(NETWORK)
        network.load_state_dict(load_file(self.place.weights))
        network.reset_classifier(classes)
        return network.to(self.place.device)

    def features(self) -> None:
        """From files to features."""
        self.network.eval()
        with torch.inference_mode():
            for images, _ in self.seen:
                with torch.autocast(self.place.device, torch.bfloat16):
                    found = self.network(images.to(self.place.device, non_blocking=True))
                found.float().cpu()

    def learner(self) -> tuple[torch.nn.Module, torch.optim.Optimizer, DataLoader]:
        """Return a network with the weights, what trains all of it, and the pictures."""
        network = self._network(len(CLASSES))
        return network, torch.optim.AdamW(network.parameters(), RATE), loader(self.place, network, is_training=True)

    def epoch(self, learner: tuple[torch.nn.Module, torch.optim.Optimizer, DataLoader], precision: str) -> None:
        """One pass over the pictures."""
        network, optimizer, batches = learner
        device = self.place.device
        network.train()
        for images, targets in batches:
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                logits = network(images.to(device, non_blocking=True))
                loss = torch.nn.functional.cross_entropy(logits, targets.to(device, non_blocking=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        float(loss.detach())  # the GPU is done when this is known


def loader(place: Place, network: torch.nn.Module, *, is_training: bool) -> DataLoader:
    """Return batches of the pictures as timm's own transforms make them."""
    config = timm.data.resolve_data_config(model=network)
    pictures = ImageFolder(place.pictures, timm.data.create_transform(**config, is_training=is_training))
    return DataLoader(
        pictures,
        BATCH,
        shuffle=is_training,
        num_workers=cores(),
        persistent_workers=True,
        pin_memory=place.device == "cuda",
    )


def answers(pictures: Path, weights: Path, device: str) -> list[int]:
    """Return the class of every picture, as a plain script finds it."""
    network = timm.create_model(NETWORK)
    network.load_state_dict(load_file(weights))
    network.to(device).eval()
    config = timm.data.resolve_data_config(model=network)
    folder = ImageFolder(pictures, timm.data.create_transform(**config, is_training=False))
    found: list[int] = []
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
        for images, _ in DataLoader(folder, BATCH, num_workers=cores(), pin_memory=device == "cuda"):
            found += network(images.to(device, non_blocking=True)).argmax(1).tolist()
    return found


if __name__ == "__main__":
    main()
