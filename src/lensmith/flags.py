"""The flags of the verbs: what each is called, and what --help says of it. `docs/VERB.md` says more."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lensmith.files import as_json

Data = Annotated[
    Path,
    typer.Argument(
        help="A folder with a sub-folder a class (or train, validation, test), of pictures or clips; or a table."
    ),
]
RunPlace = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or the name of a run in --out.")]
NetworkPlace = Annotated[str, typer.Argument(metavar="NETWORK|RUN", help="A run, a network, or module:factory.")]
SeenSide = Annotated[int | None, typer.Option(help="Side of the picture. [what it is made for]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Out = Annotated[Path, typer.Option(help="The folder of runs.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Engine = Annotated[str, typer.Option(help="auto, openvino or torch.")]

# Of train alone.
TrainData = Annotated[
    Path | None,
    typer.Argument(help="A folder with a sub-folder a class, of pictures or clips; or a table: .csv, .tsv, .jsonl."),
]
Task = Annotated[str, typer.Option(help="auto, classification, multilabel or regression (tables).")]
Target = Annotated[str | None, typer.Option(help="The column of a table to learn. [label, class, target, ...]")]
Network = Annotated[
    str | None,
    typer.Option(help="A name that lensmith networks lists, convnet/WIDTHS/DENSE, module:factory. [mobilenet_v2]"),
]
Weights = Annotated[str, typer.Option(help="auto, none, a published name, or a .safetensors or .pth file.")]
Recipe = Annotated[
    str, typer.Option(help="features, frozen, finetune, scratch, or auto: in turn, while one proves better.")
]
Budget = Annotated[str | None, typer.Option(help="Time for recipe auto: 90s, 10m, 1h. [10m]")]
Cut = Annotated[str | None, typer.Option(help="Where the base ends. [its last feature map]")]
Unfreeze = Annotated[str, typer.Option(help="The cut after which finetune trains the base, or all.")]
Pool = Annotated[str | None, typer.Option(help="How a map becomes features: mean or flatten.")]
Dense = Annotated[str | None, typer.Option(help="Hidden layers of the head: 256, 256-128, or none.", metavar="WIDTHS")]
Dropout = Annotated[float | None, typer.Option(help="Share dropped in the hidden layers. [0.5, of tables 0.2]")]
Norm = Annotated[str, typer.Option(help="Batch normalisation in the head: none, first, before or after (the ReLU).")]
Init = Annotated[str, typer.Option(help="First weights from scratch: default, uniform, xavier or he.")]
Output = Annotated[str, typer.Option(help="softmax, or sigmoid for two classes.")]
Loss = Annotated[str | None, typer.Option(help="For numbers: mae, mse or huber. [huber]")]
Augment = Annotated[
    str, typer.Option(help="none, shift, small-data, strong, and changes: small-data,rotation=30,flip=false.")
]
Mixup = Annotated[float, typer.Option(help="Alpha of mixup, 0 for off.")]
Cutmix = Annotated[float, typer.Option(help="Alpha of CutMix, 0 for off.")]
Preprocess = Annotated[
    str | None,
    typer.Option(help="standardise, channel-mean, mean-image, min-max, pca, whiten or zca. [as the weights expect]"),
]
ImageSize = Annotated[int | None, typer.Option(help="Side in pixels that the network sees.")]
Frames = Annotated[int | None, typer.Option(help="Frames seen of a clip; given, folders of pictures are clips. [16]")]
Resize = Annotated[str, typer.Option(help="crop, squash or pad.")]
Crop = Annotated[
    float | None, typer.Option(help="Part of the short side that resize crop keeps. [as the weights expect]")
]
Interpolation = Annotated[str | None, typer.Option(help="nearest, bilinear, bicubic or lanczos.")]
Epochs = Annotated[int | None, typer.Option(help="Most passes over the pictures.")]
BatchSize = Annotated[int | None, typer.Option(help="Pictures a step.")]
LearningRate = Annotated[float | None, typer.Option(help="The highest learning rate.")]
FindRate = Annotated[
    bool, typer.Option("--find-rate", help="Choose the learning rate by a range test, drawn in the report.")
]
Optimizer = Annotated[str | None, typer.Option(help="sgd, momentum, adagrad, rmsprop, adam or adamw. [adamw]")]
WeightDecay = Annotated[float | None, typer.Option(help="How strongly weights are pulled to zero.")]
Clip = Annotated[float | None, typer.Option(help="The largest norm of a gradient. [no limit]")]
LabelSmoothing = Annotated[float, typer.Option(help="Share of a target given to all classes alike.")]
ClassWeights = Annotated[str, typer.Option(help="none, balanced, or pairs: ants=2,bees=1.")]
Ema = Annotated[float, typer.Option(help="Decay of averaged weights, 0 for off.")]
Precision = Annotated[str, typer.Option(help="auto, float32 or bfloat16.")]
MinDelta = Annotated[float, typer.Option(help="What counts as a fall of the validation loss.")]
Patience = Annotated[int, typer.Option(help="Epochs to wait for one before stopping.")]
StopRight = Annotated[float | None, typer.Option(help="Also stop at this share of training pictures right.")]
StopRest = Annotated[
    float | None, typer.Option(help="Also stop when an epoch moves the weights by less than this share.")
]
Seed = Annotated[int, typer.Option(help="Fixes splits, order, augmentation and initial weights.")]
RunName = Annotated[str | None, typer.Option(help="The run's name. [a free one is made]")]
Resume = Annotated[
    str | None, typer.Option(metavar="RUN", help="Go on with an interrupted run, with its own settings.")
]
PreviewTo = Annotated[
    Path | None, typer.Option("--preview", help="Write a sheet of augmented pictures to this file, and end.")
]


def print_json(value: Any) -> None:
    """Print what --json promises."""
    print(as_json(value, plain_letters=not sys.stdout.encoding.lower().startswith("utf")), end="")
