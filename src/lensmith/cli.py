"""The command line: flags for the verbs, and how their results are printed. Nothing heavy is imported here."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import lensmith
from lensmith.errors import LensmithError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich would double the time of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Point it at a folder of pictures: get a vision model that works, and a report that shows why.",
    epilog="Begin with: lensmith demo. Then: lensmith train YOUR-FOLDER.",
)

Data = Annotated[
    Path, typer.Argument(help="A folder with one sub-folder a class (or train, validation, test of such), or a table.")
]
RunPlace = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or the name of a run in --out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Out = Annotated[Path, typer.Option(help="The folder of runs.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Engine = Annotated[str, typer.Option(help="auto, openvino or torch.")]


def main() -> None:
    """Run the command line and exit: 0 done, 1 a problem of data or run, 2 wrong usage, 130 interrupted."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `lensmith networks | head` ends quietly
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):  # a name the terminal cannot show is escaped, never a crash
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Threads that wait for each other should sleep, not spin: a tenth slower alone, four times as fast when another
    # program wants the same cores (LOG.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # numpy's threads always spin. Its matrices are small here: one is as fast alone, eight times as fast beside others.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        app()
    except LensmithError as error:
        print(f"lensmith: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lensmith {lensmith.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Options before the verb."""


@app.command(epilog="Example: lensmith check photos/ --json")
def check(
    data: Data,
    task: Annotated[str, typer.Option(help="For tables: auto, classification, multilabel or regression.")] = "auto",
    target: Annotated[str | None, typer.Option(help="The column of a table to learn.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """What is in a folder or a table of pictures, and what is wrong with it."""
    from lensmith.verbs import show

    found = lensmith.check(data, task=task, target=target, quiet=quiet)
    _print_json(found.as_dict()) if as_json else show.check(found)
    if found.problem:
        sys.exit(1)


@app.command(
    epilog="Examples: lensmith train photos/ --name first    lensmith train list.csv --target age    "
    "lensmith train --resume first"
)
def train(
    data: Annotated[
        Path | None, typer.Argument(help="A folder with one sub-folder a class, or a .csv, .tsv or .jsonl of pictures.")
    ] = None,
    task: Annotated[str, typer.Option(help="auto, classification, multilabel or regression (tables).")] = "auto",
    target: Annotated[
        str | None, typer.Option(help="The column of a table to learn. [label, class, target, ...]")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="A name that lensmith networks lists, convnet/WIDTHS/DENSE, module:factory. [mobilenet_v2]"),
    ] = None,
    weights: Annotated[
        str, typer.Option(help="auto, none, a published name, or a .safetensors or .pth file.")
    ] = "auto",
    recipe: Annotated[
        str, typer.Option(help="features, frozen, finetune, scratch, or auto: in turn, while one proves better.")
    ] = "auto",
    budget: Annotated[str | None, typer.Option(help="Time for recipe auto: 90s, 10m, 1h. [10m]")] = None,
    cut: Annotated[str | None, typer.Option(help="Where the base ends. [its last feature map]")] = None,
    unfreeze: Annotated[str, typer.Option(help="The cut after which finetune trains the base, or all.")] = "auto",
    pool: Annotated[str | None, typer.Option(help="How a map becomes features: mean or flatten.")] = None,
    dense: Annotated[
        str | None, typer.Option(help="Hidden layers of the head: 256, 256-128, or none.", metavar="WIDTHS")
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Share dropped in the hidden layers. [0.5, of tables 0.2]")
    ] = None,
    norm: Annotated[
        str, typer.Option(help="Batch normalisation in the head: none, first, before or after (the ReLU).")
    ] = "none",
    init: Annotated[str, typer.Option(help="First weights from scratch: default, uniform, xavier or he.")] = "default",
    output: Annotated[str, typer.Option(help="softmax, or sigmoid for two classes.")] = "softmax",
    loss: Annotated[str | None, typer.Option(help="For numbers: mae, mse or huber. [huber]")] = None,
    augment: Annotated[
        str, typer.Option(help="none, shift, small-data, strong, and changes: small-data,rotation=30,flip=false.")
    ] = "auto",
    mixup: Annotated[float, typer.Option(help="Alpha of mixup, 0 for off.")] = 0.0,
    cutmix: Annotated[float, typer.Option(help="Alpha of CutMix, 0 for off.")] = 0.0,
    preprocess: Annotated[
        str | None,
        typer.Option(
            help="standardise, channel-mean, mean-image, min-max, pca, whiten or zca. [as the weights expect]"
        ),
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels that the network sees.")] = None,
    frames: Annotated[
        int | None, typer.Option(help="Frames seen of a clip; given, folders of pictures are clips. [16]")
    ] = None,
    resize: Annotated[str, typer.Option(help="crop, squash or pad.")] = "crop",
    crop: Annotated[
        float | None, typer.Option(help="Part of the short side that resize crop keeps. [as the weights expect]")
    ] = None,
    interpolation: Annotated[str | None, typer.Option(help="nearest, bilinear, bicubic or lanczos.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the pictures.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Choose the learning rate by a range test, drawn in the report.")
    ] = False,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, momentum, adagrad, rmsprop, adam or adamw. [adamw]")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="How strongly weights are pulled to zero.")] = None,
    clip: Annotated[float | None, typer.Option(help="The largest norm of a gradient. [no limit]")] = None,
    label_smoothing: Annotated[float, typer.Option(help="Share of a target given to all classes alike.")] = 0.0,
    class_weights: Annotated[str, typer.Option(help="none, balanced, or pairs: ants=2,bees=1.")] = "none",
    ema: Annotated[float, typer.Option(help="Decay of averaged weights, 0 for off.")] = 0.0,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    min_delta: Annotated[float, typer.Option(help="What counts as a fall of the validation loss.")] = 0.001,
    patience: Annotated[int, typer.Option(help="Epochs to wait for one before stopping.")] = 10,
    stop_right: Annotated[
        float | None, typer.Option(help="Also stop at this share of training pictures right.")
    ] = None,
    stop_rest: Annotated[
        float | None, typer.Option(help="Also stop when an epoch moves the weights by less than this share.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes splits, order, augmentation and initial weights.")] = 0,
    device: Device = "auto",
    engine: Engine = "auto",
    out: Out = Path("runs"),
    name: Annotated[str | None, typer.Option(help="The run's name. [a free one is made]")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with an interrupted run, with its own settings.")
    ] = None,
    see: Annotated[
        Path | None, typer.Option("--preview", help="Write a sheet of augmented pictures to this file, and end.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train on pictures: model, metrics, report.html."""
    from lensmith.verbs import show

    if see is not None:
        if data is None:
            raise typer.BadParameter("--preview needs a folder or a table of pictures")
        shown = "small-data" if augment == "auto" else augment
        print(lensmith.preview(data, augment=shown, task=task, target=target, seed=seed, out=see))
        return
    run = lensmith.train(
        data,
        task=task,
        target=target,
        network=network,
        weights=weights,
        recipe=recipe,
        budget=budget,
        cut=cut,
        unfreeze=unfreeze,
        pool=pool,
        dense=_widths(dense),
        dropout=dropout,
        norm=norm,
        init=init,
        output=output,
        loss=loss,
        augment=augment,
        mixup=mixup,
        cutmix=cutmix,
        preprocess=preprocess,
        image_size=image_size,
        frames=frames,
        resize=resize,
        crop=crop,
        interpolation=interpolation,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        find_rate=find_rate,
        optimizer=optimizer,
        weight_decay=weight_decay,
        clip=clip,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        ema=ema,
        precision=precision,
        min_delta=min_delta,
        patience=patience,
        stop_right=stop_right,
        stop_rest=stop_rest,
        seed=seed,
        device=device,
        engine=engine,
        out=out,
        name=name,
        resume=resume,
        quiet=quiet,
    )
    _print_json(show.run_as_dict(run)) if as_json else show.run(run)


@app.command(epilog="Example: lensmith preview photos/ --augment strong,rotation=90")
def preview(
    data: Data,
    augment: Annotated[
        str, typer.Option(help="none, shift, small-data, strong, and changes: small-data,rotation=30,flip=false.")
    ] = "small-data",
    task: Annotated[str, typer.Option(help="For tables: auto, classification, multilabel or regression.")] = "auto",
    target: Annotated[str | None, typer.Option(help="The column of a table to learn.")] = None,
    seed: Annotated[int, typer.Option(help="Shows what training with this seed shows.")] = 0,
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("preview.png"),
) -> None:
    """A contact sheet of what augmentation does to your pictures."""
    print(lensmith.preview(data, augment=augment, task=task, target=target, seed=seed, out=out))


@app.command(epilog="Examples: lensmith evaluate first    lensmith evaluate first other-photos/ --csv answers.csv")
def evaluate(
    run: RunPlace,
    data: Annotated[
        Path | None, typer.Argument(help="New pictures in class folders. [the run's held-out split]")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write one row a picture to this file.")] = None,
    engine: Annotated[str, typer.Option(help="openvino or torch. [as in training]")] = "",
    device: Device = "auto",
    out: Out = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score a run's model, with intervals."""
    from lensmith.verbs import show

    found = lensmith.evaluate(run, data, engine=engine, device=device, out=out, quiet=quiet)
    if csv is not None:
        show.write_evaluation(found, csv)
    _print_json(found.as_dict()) if as_json else show.evaluation(found)


@app.command(epilog="Examples: lensmith predict first new.jpg    lensmith predict first inbox/ --csv > answers.csv")
def predict(
    run: RunPlace,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the result as CSV.")] = False,
    engine: Annotated[str, typer.Option(help="openvino or torch. [as in training]")] = "",
    device: Device = "auto",
    out: Out = Path("runs"),
    quiet: Quiet = False,
) -> None:
    """What a run's model says of pictures."""
    from lensmith.verbs import show

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    found = lensmith.predict(run, pictures, engine=engine, device=device, out=out, quiet=quiet)
    if as_json:
        _print_json([prediction.as_dict() for prediction in found])
    elif as_csv:
        show.predictions_csv(found)
    else:
        show.predictions(found)
    if any(prediction.reason for prediction in found):
        sys.exit(1)


@app.command(epilog="Example: lensmith report first")
def report(
    run: RunPlace,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
    out: Out = Path("runs"),
) -> None:
    """Build a run's report again, and open it."""
    print(lensmith.report(run, browse=browse and sys.stdout.isatty(), out=out))


@app.command(epilog="Examples: lensmith networks resnet    lensmith networks 'timm/*vit*tiny*'")
def networks(
    pattern: Annotated[str, typer.Argument(help="Part of a name, or a pattern with * and ?.")] = "",
    as_json: AsJson = False,
) -> None:
    """The networks of the papers with their numbers, or all that can be built and whose names match."""
    from lensmith.verbs import show
    from lensmith.verbs.networks import facts

    found = lensmith.networks(pattern)
    _print_json([network.as_dict() for network in facts(found)]) if as_json else show.networks(found, pattern)
    if not found:
        sys.exit(1)


@app.command(
    epilog="Examples: lensmith inspect resnet18    lensmith inspect first --formulas    "
    "lensmith inspect stack:28x28x192/conv5-32 --compare stack:28x28x192/conv1-16/conv5-32"
)
def inspect(
    network: Annotated[
        str,
        typer.Argument(metavar="NETWORK|RUN", help="A network, module:factory, stack:..., or a run."),
    ],
    image_size: Annotated[int | None, typer.Option(help="Side of the picture. [what it is made for]")] = None,
    channels: Annotated[int | None, typer.Option(help="Of the picture. [what the first layer takes]")] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="NETWORK|RUN", help="Another one, to be put beside it.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Also write a drawing to this file.")] = None,
    page: Annotated[Path | None, typer.Option(help="Also write a page with all formulas to this file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Write out activations and repeated blocks too.")] = False,
    formulas: Annotated[bool, typer.Option("--formulas", help="Show how each number is made.")] = False,
    out: Out = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """The arithmetic of a network: sizes, parameters, multiply-adds, receptive fields."""
    from lensmith.verbs import ledger

    found = lensmith.inspect(
        network, image_size=image_size, channels=channels, compare=compare, svg=svg, page=page, out=out
    )
    _print_json(found.as_dict()) if as_json else ledger.inspection(found, every=every, formulas=formulas)


@app.command(epilog="Example: lensmith cache --clear")
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all that can be made again (weights stay).")] = False,
    as_json: AsJson = False,
) -> None:
    """What is stored between runs."""
    from lensmith.verbs import show

    found = lensmith.cache(clear=clear)
    if as_json:
        _print_json([{"kind": e.kind, "name": e.name, "bytes": e.bytes, "used": e.used} for e in found])
    else:
        show.entries(found, cleared=clear)


@app.command(epilog="Example: lensmith demo. Or: lensmith demo --task residual")
def demo(
    task: Annotated[
        str | None,
        typer.Option(help="An experiment instead: residual, capacity, rates, init, pooling, shift or drop-block."),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("lensmith-demo"),
    out: Out = Path("runs"),
    seed: Annotated[int, typer.Option(help="As in train.")] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """The whole way in a minute, with no download; or an experiment with networks, and a page about it."""
    from lensmith.verbs import show

    run = lensmith.demo(task=task, folder=folder, out=out, seed=seed, quiet=quiet)
    if task is not None:
        from lensmith.verbs.demo import as_dict, told

        return _print_json(as_dict(run)) if as_json else print(told(run))
    _print_json(show.run_as_dict(run)) if as_json else show.run(run)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=not sys.stdout.encoding.lower().startswith("utf")))


def _widths(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if text.strip().lower() in ("", "none"):
        return ()
    try:
        return tuple(int(width) for width in text.replace(",", "-").split("-"))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no list of widths; write 256, 256-128 or none", param_hint="--dense"
        ) from None
