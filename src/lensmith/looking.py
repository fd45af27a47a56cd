"""The command line of the verbs that look into networks. Nothing heavy is imported here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import lensmith
from lensmith import flags
from lensmith.verbs.helping import Verb, examples


def add_to(app: typer.Typer) -> None:
    """Give the verbs to the program."""
    verbs = (
        (
            inspect,
            "The arithmetic of a network, layer by layer.",
            (
                "lensmith inspect resnet18",
                "lensmith inspect first --formulas",
                "lensmith inspect resnet18 --compare vgg16 --page both.html",
                "lensmith inspect stack:28x28x192/conv5-32",
            ),
        ),
        (
            see,
            "What a network has learned, in pictures.",
            (
                "lensmith see mobilenet_v2",
                "lensmith see mobilenet_v2 photos/ --class 'zebra,volcano'",
                "lensmith see first new.jpg --layer features.3 --filter 0,5",
            ),
        ),
        (
            explain,
            "Why a network answered so, and whether to believe the heat map.",
            (
                "lensmith explain mobilenet_v2 cat.jpg",
                "lensmith explain first photos/ --method occlusion --class bees",
            ),
        ),
        (
            attack,
            "How little noise fools a network.",
            (
                "lensmith attack mobilenet_v2 cat.jpg",
                "lensmith attack first photos/ --to bees --epsilon 4",
            ),
        ),
        (
            stress,
            "How answers change under noise, blur, shift, rotation and more.",
            (
                "lensmith stress first",
                "lensmith stress first other-photos/ --levels 'blur rotation=15,30'",
            ),
        ),
    )
    for verb, short, lines in verbs:
        app.command(cls=Verb, short_help=short, epilog=examples(*lines))(verb)


def inspect(
    network: Annotated[
        str,
        typer.Argument(metavar="NETWORK|RUN", help="A network, module:factory, stack:..., or a run."),
    ],
    image_size: flags.SeenSide = None,
    channels: Annotated[int | None, typer.Option(help="Of the picture. [what the first layer takes]")] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="NETWORK|RUN", help="Another one, to be put beside it.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Also write a drawing to this file.")] = None,
    page: Annotated[Path | None, typer.Option(help="Also write a page with all formulas to this file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Write out activations and repeated blocks too.")] = False,
    formulas: Annotated[bool, typer.Option("--formulas", help="Show how each number is made.")] = False,
    out: flags.Out = Path("runs"),
    as_json: flags.AsJson = False,
) -> None:
    """The arithmetic of a network: sizes, parameters, multiply-adds, receptive fields."""
    from lensmith.verbs import ledger

    found = lensmith.inspect(
        network, image_size=image_size, channels=channels, compare=compare, svg=svg, page=page, out=out
    )
    flags.print_json(found.as_dict()) if as_json else ledger.inspection(found, every=every, formulas=formulas)


def see(
    network: flags.NetworkPlace,
    pictures: Annotated[list[Path] | None, typer.Argument(help="Pictures it is shown, or folders of them.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layers, with commas. [a few, first to last]")] = None,
    filters: Annotated[
        str | None, typer.Option("--filter", metavar="N,N", help="Channels of the layer. [a few that stand out]")
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="NAME", help="Classes, with commas or repeated. [a few]")
    ] = None,
    search: Annotated[
        Path | None,
        typer.Option("--in", metavar="FOLDER", help="Pictures to search. [a run's training pictures, or PICTURES]"),
    ] = None,
    count: Annotated[int, typer.Option(help="Most pictures searched.")] = 300,
    start: Annotated[str, typer.Option(help="How pictures are made by ascent: fourier, blank or noise.")] = "fourier",
    steps: Annotated[int | None, typer.Option(help="Of an ascent. [as suits the start]")] = None,
    weights: flags.Weights = "auto",
    image_size: flags.SeenSide = None,
    save: Annotated[Path | None, typer.Option(help="The folder to write to. [sights, in the run]")] = None,
    seed: Annotated[int, typer.Option(help="Of the starts of ascent.")] = 0,
    device: flags.Device = "auto",
    out: flags.Out = Path("runs"),
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> None:
    """What a network has learned: filters, feature maps, what excites them, classes, likenesses."""
    from lensmith.verbs import telling

    found = lensmith.see(
        network,
        pictures or (),
        layer=layer,
        filters=filters,
        classes=classes,
        search=search,
        count=count,
        start=start,
        steps=steps,
        weights=weights,
        image_size=image_size,
        save=save,
        seed=seed,
        device=device,
        out=out,
        quiet=quiet,
    )
    flags.print_json(found.as_dict()) if as_json else telling.sights(found)
    if found.found["unreadable"]:
        sys.exit(1)


def explain(
    network: flags.NetworkPlace,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    method: Annotated[
        str,
        typer.Option(
            help="grad-cam, cam, guided-grad-cam, occlusion, saliency, integrated, smoothgrad, deconvnet, or auto: "
            "the first of a few that passes its tests."
        ),
    ] = "auto",
    target: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="The class to explain. [what it answers]")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Whose map is drawn. [the last that has one]")] = None,
    rule: Annotated[str, typer.Option(help="At every ReLU: plain, guided or rectified.")] = "plain",
    window: Annotated[int | None, typer.Option(help="Of occlusion, in pixels. [a seventh of the side]")] = None,
    stride: Annotated[int | None, typer.Option(help="Of occlusion, in pixels. [half a window]")] = None,
    fill: Annotated[
        str, typer.Option(help="In the window, and where integrated begins: mean, grey, black, white or blur.")
    ] = "mean",
    steps: Annotated[int, typer.Option(help="Of integrated.")] = 32,
    samples: Annotated[int, typer.Option(help="Noisy copies of smoothgrad.")] = 25,
    noise: Annotated[float, typer.Option(help="Of smoothgrad, as a share of the picture's range.")] = 0.15,
    weights: flags.Weights = "auto",
    image_size: flags.SeenSide = None,
    save: Annotated[Path | None, typer.Option(help="The folder to write to. [explained, in the run]")] = None,
    grade: Annotated[bool, typer.Option("--grade/--no-grade", help="Test each map, and say whether to believe it.")] = (
        True
    ),
    seed: Annotated[int, typer.Option(help="Of the random maps and weights it is tested with.")] = 0,
    device: flags.Device = "auto",
    engine: flags.Engine = "auto",
    out: flags.Out = Path("runs"),
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> None:
    """Why a network answered as it did, as heat maps, and whether to believe them."""
    from lensmith.reports.words import plural
    from lensmith.seeing.methods import Settings
    from lensmith.verbs.explaining import Question, answers, table

    settings = Settings(rule, layer, window, stride, fill, steps, samples, noise, seed)
    found, coming = answers(
        Question(
            network, pictures, method, target, settings, weights, image_size, save, grade, device, engine, out, quiet
        )
    )
    for _ in coming:  # each is written before the next is made, and none is kept
        pass
    if as_json:
        flags.print_json(found.as_dict())
    else:
        print("\n".join(table(found)))
        if found.page is not None:
            print(f"\n{found.seconds:.1f} s for {plural(len(found.entries), 'picture')}\npage  {found.page}")
    if found.unreadable:
        sys.exit(1)


def attack(
    network: flags.NetworkPlace,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    to: Annotated[str | None, typer.Option(metavar="CLASS", help="The class to be answered. [any other]")] = None,
    epsilon: Annotated[int, typer.Option(help="The largest change of a number, in grey levels, 1 to 255.")] = 8,
    steps: Annotated[int, typer.Option(help="Of the iterative attack.")] = 10,
    method: Annotated[str, typer.Option(help="fgsm, iterative, or auto: iterative where fgsm does not do.")] = "auto",
    weights: flags.Weights = "auto",
    image_size: flags.SeenSide = None,
    save: Annotated[Path | None, typer.Option(help="The folder to write to. [attacked, in the run]")] = None,
    seed: Annotated[int, typer.Option(help="Of the noise beside the attack.")] = 0,
    device: flags.Device = "auto",
    out: flags.Out = Path("runs"),
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> None:
    """How little noise fools a network."""
    from lensmith.verbs import shaken

    found = lensmith.attack(
        network,
        pictures,
        to=to,
        epsilon=epsilon,
        steps=steps,
        method=method,
        weights=weights,
        image_size=image_size,
        save=save,
        seed=seed,
        device=device,
        out=out,
        quiet=quiet,
    )
    flags.print_json(found.as_dict()) if as_json else shaken.attack(found)
    if any(one.reason for one in found.pictures):
        sys.exit(1)


def stress(
    network: flags.NetworkPlace,
    data: Annotated[
        Path | None, typer.Argument(help="A folder of pictures, or a table. [the run's held-out split]")
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="What to try, how strong: 'blur rotation=15,30'. [all, five levels each]")
    ] = None,
    attack: Annotated[int, typer.Option(help="Try FGSM on so many of the pictures.")] = 32,
    most: Annotated[int, typer.Option(help="Most pictures, spread over all.")] = 1000,
    weights: flags.Weights = "auto",
    image_size: flags.SeenSide = None,
    save: Annotated[Path | None, typer.Option(help="The folder to write to. [stressed, in the run]")] = None,
    seed: Annotated[int, typer.Option(help="Of noise and directions.")] = 0,
    engine: flags.Engine = "auto",
    device: flags.Device = "auto",
    out: flags.Out = Path("runs"),
    as_json: flags.AsJson = False,
    quiet: flags.Quiet = False,
) -> None:
    """How answers change under noise, blur, shift, rotation and more."""
    from lensmith.verbs import shaken

    found = lensmith.stress(
        network,
        data,
        levels=levels,
        attack=attack,
        most=most,
        weights=weights,
        image_size=image_size,
        save=save,
        seed=seed,
        engine=engine,
        device=device,
        out=out,
        quiet=quiet,
    )
    flags.print_json(found.as_dict()) if as_json else shaken.stress(found)
    if found.unreadable:
        sys.exit(1)
