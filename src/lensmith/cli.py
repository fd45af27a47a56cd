"""The command line: flags for the verbs, and how their results are printed. Nothing heavy is imported here."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import lensmith
from lensmith import flags, looking
from lensmith.errors import LensmithError
from lensmith.verbs.cells import plain
from lensmith.verbs.helping import Verb, Verbs, examples

app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich would double the time of --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Point it at a folder of pictures: get a vision model that works, and a report that shows why.",
    epilog="\b\nBegin with:\n  lensmith demo\n  lensmith train YOUR-FOLDER",
)


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
        lines = map(plain, f"lensmith: {error}".split("\n"))
        print("\n".join(lines), file=sys.stderr)
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


@app.command(
    cls=Verb,
    short_help="What is in your data, and what is wrong with it.",
    epilog=examples("lensmith check photos/", "lensmith check list.csv --target age --json"),
)
def check(
    data: flags.Data,
    task: Annotated[str, typer.Option(help="For tables: auto, classification, multilabel or regression.")] = "auto",
    target: Annotated[str | None, typer.Option(help="The column of a table to learn.")] = None,
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> None:
    """What is in a folder or a table of pictures, and what is wrong with it."""
    from lensmith.verbs import show

    found = lensmith.check(data, task=task, target=target, quiet=quiet)
    flags.print_json(found.as_dict()) if as_json else show.check(found)
    if found.problem:
        sys.exit(1)


@app.command(
    cls=Verb,
    short_help="From labelled examples to a model, its scores and a report.",
    epilog=examples(
        "lensmith train photos/ --name first",
        "lensmith train list.csv --target age",
        "lensmith train --resume first",
    ),
)
def train(
    data: flags.TrainData = None,
    task: flags.Task = "auto",
    target: flags.Target = None,
    network: flags.Network = None,
    weights: flags.Weights = "auto",
    recipe: flags.Recipe = "auto",
    budget: flags.Budget = None,
    cut: flags.Cut = None,
    unfreeze: flags.Unfreeze = "auto",
    pool: flags.Pool = None,
    dense: flags.Dense = None,
    dropout: flags.Dropout = None,
    norm: flags.Norm = "none",
    init: flags.Init = "default",
    output: flags.Output = "softmax",
    loss: flags.Loss = None,
    augment: flags.Augment = "auto",
    mixup: flags.Mixup = 0.0,
    cutmix: flags.Cutmix = 0.0,
    preprocess: flags.Preprocess = None,
    image_size: flags.ImageSize = None,
    frames: flags.Frames = None,
    resize: flags.Resize = "crop",
    crop: flags.Crop = None,
    interpolation: flags.Interpolation = None,
    epochs: flags.Epochs = None,
    batch_size: flags.BatchSize = None,
    learning_rate: flags.LearningRate = None,
    find_rate: flags.FindRate = False,
    optimizer: flags.Optimizer = None,
    weight_decay: flags.WeightDecay = None,
    clip: flags.Clip = None,
    label_smoothing: flags.LabelSmoothing = 0.0,
    class_weights: flags.ClassWeights = "none",
    ema: flags.Ema = 0.0,
    precision: flags.Precision = "auto",
    min_delta: flags.MinDelta = 0.001,
    patience: flags.Patience = 10,
    stop_right: flags.StopRight = None,
    stop_rest: flags.StopRest = None,
    seed: flags.Seed = 0,
    device: flags.Device = "auto",
    engine: flags.Engine = "auto",
    out: flags.Out = Path("runs"),
    name: flags.RunName = None,
    resume: flags.Resume = None,
    see: flags.PreviewTo = None,
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> None:
    """Train on pictures, rows, sentences or clips: a model, its scores, a report."""
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
    flags.print_json(show.run_as_dict(run)) if as_json else show.run(run)


@app.command(
    cls=Verb,
    short_help="A sheet of what augmentation does to your pictures.",
    epilog=examples("lensmith preview photos/ --augment strong,rotation=90"),
)
def preview(
    data: flags.Data,
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


@app.command(
    cls=Verb,
    epilog=examples("lensmith evaluate first", "lensmith evaluate first other-photos/ --csv answers.csv"),
)
def evaluate(
    run: flags.RunPlace,
    data: Annotated[
        Path | None, typer.Argument(help="New pictures in class folders. [the run's held-out split]")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write one row a picture to this file.")] = None,
    engine: Annotated[str, typer.Option(help="openvino or torch. [as in training]")] = "",
    device: flags.Device = "auto",
    out: flags.Out = Path("runs"),
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> None:
    """Score a run's model, with intervals."""
    from lensmith.verbs import show

    found = lensmith.evaluate(run, data, engine=engine, device=device, out=out, quiet=quiet)
    if csv is not None:
        show.write_evaluation(found, csv)
    flags.print_json(found.as_dict()) if as_json else show.evaluation(found)


@app.command(
    cls=Verb,
    epilog=examples(
        "lensmith predict first new.jpg",
        "lensmith predict first inbox/ --csv > answers.csv",
        'lensmith predict reviews "a fine, quiet film"',
    ),
)
def predict(
    run: flags.RunPlace,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures or folders of them, tables, clips or sentences.")],
    as_json: flags.AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the result as CSV.")] = False,
    engine: Annotated[str, typer.Option(help="openvino or torch. [as in training]")] = "",
    device: flags.Device = "auto",
    out: flags.Out = Path("runs"),
    quiet: flags.Quiet = False,
) -> None:
    """What a run's model says of new examples."""
    from lensmith.verbs import show

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    found = lensmith.predict(run, pictures, engine=engine, device=device, out=out, quiet=quiet)
    if as_json:
        flags.print_json([prediction.as_dict() for prediction in found])
    elif as_csv:
        show.predictions_csv(found)
    else:
        show.predictions(found)
    if any(prediction.reason for prediction in found):
        sys.exit(1)


@app.command(cls=Verb, epilog=examples("lensmith report first", "lensmith report first --deep"))
def report(
    run: flags.RunPlace,
    deep: Annotated[
        bool, typer.Option("--deep", help="Explain the best, worst and typical pictures in several ways first.")
    ] = False,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
    out: flags.Out = Path("runs"),
    quiet: flags.Quiet = False,
) -> None:
    """Build a run's report again, and open it."""
    print(lensmith.report(run, deep=deep, browse=browse and sys.stdout.isatty(), out=out, quiet=quiet))


@app.command(
    cls=Verb,
    short_help="The networks that can be built, with their numbers.",
    epilog=examples("lensmith networks resnet", "lensmith networks 'timm/*vit*tiny*'"),
)
def networks(
    pattern: Annotated[str, typer.Argument(help="Part of a name, or a pattern with * and ?.")] = "",
    as_json: flags.AsJson = False,
) -> None:
    """The networks of the papers with their numbers, or all that can be built and whose names match."""
    from lensmith.verbs import show
    from lensmith.verbs.networks import facts

    found = lensmith.networks(pattern)
    flags.print_json([network.as_dict() for network in facts(found)]) if as_json else show.networks(found, pattern)
    if not found:
        sys.exit(1)


@app.command(cls=Verb, epilog=examples("lensmith cache --clear"))
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all that can be made again (weights stay).")] = False,
    as_json: flags.AsJson = False,
) -> None:
    """What is stored between runs."""
    from lensmith.verbs import show

    found = lensmith.cache(clear=clear)
    if as_json:
        flags.print_json([{"kind": e.kind, "name": e.name, "bytes": e.bytes, "used": e.used} for e in found])
    else:
        show.entries(found, cleared=clear)


@app.command(
    cls=Verb,
    short_help="The whole way in a minute; or an experiment with networks.",
    epilog=examples("lensmith demo", "lensmith demo --task residual"),
)
def demo(
    task: Annotated[
        str | None,
        typer.Option(help="An experiment instead: residual, capacity, rates, init, pooling, shift or drop-block."),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("lensmith-demo"),
    out: flags.Out = Path("runs"),
    seed: Annotated[int, typer.Option(help="As in train.")] = 0,
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> None:
    """The whole way in a minute, with no download; or an experiment with networks, and a page about it."""
    from lensmith.verbs import show

    run = lensmith.demo(task=task, folder=folder, out=out, seed=seed, quiet=quiet)
    if task is not None:
        from lensmith.verbs.demo import as_dict, told

        return flags.print_json(as_dict(run)) if as_json else print(told(run))
    flags.print_json(show.run_as_dict(run)) if as_json else show.run(run)


looking.add_to(app)


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
