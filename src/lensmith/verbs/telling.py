"""How what see found looks on a terminal. Plain text."""

from __future__ import annotations

from lensmith.reports.words import plural, quantity
from lensmith.verbs.cells import cell, plain
from lensmith.verbs.see import Sights

WIDEST = 46


def sights(found: Sights) -> None:
    """Print what ascent reached for classes and filters beside the highest of any picture, and where the page is."""
    said = found.found
    first = said["first_layer"]
    print(f"{found.network}, pictures of {said['image_size']} x {said['image_size']} pixels")
    if first["picture"]:
        print(f"first layer {first['layer']}: {first['filters']} filters of {first['size'][1]} x {first['size'][0]}")
    else:
        print(f"first layer: not drawn, {first['reason']}")
    if said["activations"]:
        ends = [f"{100 * one['zeros']:.0f} %" for one in (said["activations"][0], said["activations"][-1])]
        print(f"zero after the first activation {ends[0]}, after the last {ends[1]}")
    rows = [(one["class"], one) for one in said["classes"]]
    rows += [(f"{one['layer']} filter {one['channel']}", one) for one in said["filters"]]
    several = f"of {plural(said['searched']['pictures'], 'picture')}"
    print(f"\n  {'':<{WIDEST}}{'by ascent':>12}{several if said['searched']['pictures'] else '':>20}")
    for name, one in rows:
        highest = one["highest_of_pictures"]
        print(f"  {cell(name, WIDEST)}{quantity(one['score']):>12}{'' if highest is None else quantity(highest):>20}")
    for one in said["unreadable"]:
        print(f"  {plain(one['path'])} cannot be read: {one['reason']}")
    print(f"\npage  {found.page}")
