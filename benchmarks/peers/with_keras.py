"""Transfer learning in Keras, as its guide "Transfer learning & fine-tuning" has it, with given MobileNetV2 weights.

--way frozen: the frozen base and a new last layer are trained together on mirrored and turned pictures, which
`image_dataset_from_directory` reads and `cache` keeps. --way features: the faster and cheaper way that the guide
names first: the base runs once over every picture, a last layer is trained on what it said.

The weights come in torchvision's layout. Layers with weights stand in the same order in both networks; a kernel's axes
are turned, and the scale of a batch normalisation makes up for the eps that Keras adds to the variance.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file

SIZE = 224
EPS, KERAS_EPS = 1e-5, 1e-3  # what is added to a variance where the weights come from, and what Keras adds
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # what the weights expect, of 0..1
EPOCHS = {"features": 20, "frozen": 3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="train and test (or validation), with a folder a class; or, with")
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--way", choices=[*EPOCHS, "check"], default="features")
    parser.add_argument("--epochs", type=int)
    asked = parser.parse_args()
    keras.utils.set_random_seed(0)
    if asked.way == "check":
        print(json.dumps({"accuracy": checked(asked.folder, asked.weights)}))
        return
    way = {"features": on_features, "frozen": with_frozen_base}[asked.way]
    model, accuracy, pictures = way(asked.folder, asked.weights, asked.epochs or EPOCHS[asked.way])
    model.save(asked.out / "model.keras")
    print(json.dumps({"accuracy": accuracy, "pictures": pictures}))


def on_features(folder: Path, weights: Path, epochs: int) -> tuple[keras.Model, float, int]:
    """Run the base once over all pictures and train a last layer on its features."""
    train, held_out = (read(place, shuffle=False) for place in places(folder))
    inputs = keras.Input((SIZE, SIZE, 3))
    extractor = keras.Model(inputs, features(inputs, weights))
    (x, y), (held_x, held_y) = [
        (extractor.predict(pictures.prefetch(tf.data.AUTOTUNE), verbose=0), labels(pictures))
        for pictures in (train, held_out)
    ]
    head = keras.Sequential([keras.layers.Dropout(0.2), keras.layers.Dense(len(train.class_names))])
    compiled(head).fit(x, y, epochs=epochs, verbose=0)
    _, accuracy = head.evaluate(held_x, held_y, verbose=0)
    return keras.Model(inputs, head(extractor.output)), accuracy, len(y) + len(held_y)


def with_frozen_base(folder: Path, weights: Path, epochs: int) -> tuple[keras.Model, float, int]:
    """Train a last layer on top of the frozen base, on augmented pictures."""
    train, held_out = (read(place, shuffle=True) for place in places(folder))
    pictures = len(train.file_paths) + len(held_out.file_paths)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.RandomRotation(0.1)(keras.layers.RandomFlip("horizontal")(inputs))
    x = keras.layers.Dropout(0.2)(features(x, weights))
    model = keras.Model(inputs, keras.layers.Dense(len(train.class_names))(x))
    compiled(model).fit(train.cache().prefetch(tf.data.AUTOTUNE), epochs=epochs, verbose=0)
    _, accuracy = model.evaluate(held_out.prefetch(tf.data.AUTOTUNE), verbose=0)
    return model, accuracy, pictures


def places(folder: Path) -> tuple[Path, Path]:
    """Return the folder to learn from and the one that is held out."""
    return folder / "train", next(folder / name for name in ("test", "validation") if (folder / name).is_dir())


def read(folder: Path, *, shuffle: bool) -> tf.data.Dataset:
    """Return batches of 32 pictures and labels, as the function makes them by default."""
    return keras.utils.image_dataset_from_directory(folder, image_size=(SIZE, SIZE), shuffle=shuffle, verbose=False)


def labels(pictures: tf.data.Dataset) -> np.ndarray:
    """Return the class of each picture of a data set that is not shuffled, without reading it again."""
    return np.array([pictures.class_names.index(Path(path).parent.name) for path in pictures.file_paths])


def compiled(model: keras.Model) -> keras.Model:
    """Say how the model learns."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(), loss=loss, metrics=["accuracy"])
    return model


def features(x: keras.KerasTensor, weights: Path) -> keras.KerasTensor:
    """Return what the frozen base makes of pictures 0..255, averaged over their places."""
    base = keras.applications.MobileNetV2((SIZE, SIZE, 3), include_top=False, weights=None)
    place_weights(base, weights)
    base.trainable = False
    return keras.layers.GlobalAveragePooling2D()(base(normalised(x), training=False))


def normalised(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return pictures 0..255 as the weights expect them, which is not the -1..1 of the published Keras weights."""
    return keras.layers.Rescaling((1 / (255 * STD)).tolist(), (-MEAN / STD).tolist())(x)


def place_weights(network: keras.Model, weights: Path) -> None:
    """Put the tensors of a file in torchvision's layout into a Keras network, layer by layer in order."""
    tensors: dict[tuple[int | str, ...], dict[str, np.ndarray]] = {}
    for name, tensor in load_file(weights).items():
        *layer, kind = (int(part) if part.isdigit() else part for part in name.split("."))
        tensors.setdefault(tuple(layer), {})[str(kind)] = tensor.astype(np.float32)
    there = [tensors[layer] for layer in sorted(tensors, key=lambda layer: (layer[0] != "features", layer[1:]))]
    layers = [layer for layer in network.layers if layer.weights]
    for layer, found in zip(layers, there[: len(layers)], strict=True):
        layer.set_weights(turned(layer, found))


def turned(layer: keras.Layer, found: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Return the tensors of one layer as Keras has them."""
    if isinstance(layer, keras.layers.BatchNormalization):
        scale = np.sqrt((found["running_var"] + KERAS_EPS) / (found["running_var"] + EPS))
        return [found["weight"] * scale, found["bias"], found["running_mean"], found["running_var"]]
    if isinstance(layer, keras.layers.Dense):
        return [found["weight"].T, found["bias"]]
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return [found["weight"].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]


def checked(folder: Path, weights: Path) -> float:
    """Return the share of ImageNet pictures (the class leads the file's name) that the whole network gets right."""
    inputs = keras.Input((SIZE, SIZE, 3))
    network = keras.applications.MobileNetV2((SIZE, SIZE, 3), weights=None)
    place_weights(network, weights)
    model = keras.Model(inputs, network(normalised(inputs), training=False))
    files = sorted(folder.glob("*.jpg"))
    pictures = [keras.utils.load_img(file, target_size=(256, 256), keep_aspect_ratio=True) for file in files]
    border = (256 - SIZE) // 2
    cut = np.stack([np.asarray(picture)[border:-border, border:-border] for picture in pictures])
    right = model.predict(cut, verbose=0).argmax(1) == [int(file.name.split("_")[0]) for file in files]
    return float(right.mean())


if __name__ == "__main__":
    main()
