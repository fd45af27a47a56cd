"""The command line of the verbs that look into networks. Nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import lensmith
from lensmith import flags


def add_to(app: typer.Typer) -> None:
    """Give the verbs to the program."""
    app.command(
        epilog="Examples: lensmith inspect resnet18    lensmith inspect first --formulas    "
        "lensmith inspect stack:28x28x192/conv5-32 --compare stack:28x28x192/conv1-16/conv5-32"
    )(inspect)


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
    out: flags.Out = Path("runs"),
    as_json: flags.AsJson = False,
) -> None:
    """The arithmetic of a network: sizes, parameters, multiply-adds, receptive fields."""
    from lensmith.verbs import ledger

    found = lensmith.inspect(
        network, image_size=image_size, channels=channels, compare=compare, svg=svg, page=page, out=out
    )
    flags.print_json(found.as_dict()) if as_json else ledger.inspection(found, every=every, formulas=formulas)
