"""The gallery: every exhibit runs and hangs on its page, and no page says what its numbers do not."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lensmith.errors import UsageError
from lensmith.gallery import capacity, dropped, exhibits, initial, lessons, pictures, pooling, rates, residual, shift
from lensmith.gallery.exhibit import Exhibit, differ, figure, listed, share
from lensmith.gallery.figures import GAP, Line, Picture, Scale, cells, chart, spread, strip, table
from lensmith.gallery.page import document, render
from running import leftovers, refused
from running import lensmith as front_door
from test_report import ALLOWED, Page

Values = dict[str, Any]

# Every exhibit cut down to what shows that it works.
SMALL: dict[str, Exhibit] = {
    "residual": residual.Residual(deep=32, epochs=1, train=48, held_out=20, size=8),
    "capacity": capacity.Capacity(widths=(2, 4), eaches=(1, 2), epochs=1, train=48, held_out=32, size=16),
    "rates": rates.Rates(rates=(0.01, 0.1, 1e9), batches=(8, 32), epochs=2, train=48, held_out=20, size=8),
    "init": initial.Initial(each=2, epochs=1, train=48, held_out=20, size=8),
    "pooling": pooling.Pooling(trials=2, epochs=1, train=48, held_out=32, size=16),
    "shift": shift.Shift(epochs=1, train=48, held_out=20, size=8, canvas=16, step=2),
    "drop-block": dropped.Dropped(depth=20, epochs=1, train=48, held_out=20, size=8, most=2, draws=2),
}


def gone_through(steps: Iterator[str]) -> tuple[list[str], Values]:
    """Return the notes of an exhibit and its values."""
    notes = []
    while True:
        try:
            notes.append(next(steps))
        except StopIteration as end:
            return notes, end.value


def told(task: str, values: Values) -> dict[str, Any]:
    """Return the document of some values, as it comes back from disk."""
    said = document(task, values, seed=3, seconds=12.5, started="2026-11-22T10:00:00Z")
    return json.loads(json.dumps(said, allow_nan=False))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For networks this small a second thread only costs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[list[str], Values]]:
    """Notes and values of every small exhibit."""
    return {task: gone_through(small.measured(0)) for task, small in SMALL.items()}


@pytest.mark.parametrize("task", exhibits.EXHIBITS)
def test_an_exhibit_runs_and_its_page_opens(
    task: str, measured: dict[str, tuple[list[str], Values]], tmp_path: Path
) -> None:
    notes, values = measured[task]
    assert len(notes) == SMALL[task].notes == values["trainings"] * values["epochs"]
    said = told(task, values)  # JSON holds all of it
    place = tmp_path / "report.html"
    place.write_text(render(said), encoding="utf-8")
    page = Page(place)
    assert not page.open and {tag for tag, _ in page.tags} <= ALLOWED
    text = page.text()
    for sentence in (SMALL[task].question, said["headline"], *said["paragraphs"]):
        assert " ".join(sentence.replace(" %", "\u202f%").split()) in text
    assert "nan" not in text.lower().split() and ">None<" not in page.source and "inf " not in text
    assert page.source.count("<svg") + page.source.count("<table") >= 4
    links = [found[name] for _, found in page.tags for name in ("src", "href") if name in found]
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids)), "an id is there twice"
    for svg in re.findall(r"<svg class=\"chart.*?</svg>", page.source, re.S):
        assert "<title" in svg and "<desc" in svg


def test_the_same_seed_gives_the_same_numbers(measured: dict[str, tuple[list[str], Values]]) -> None:
    def numbers(values: Values) -> list[Any]:
        return [[{**row, "seconds": 0} for row in run["rows"]] for run in values["runs"]]

    _, again = gone_through(SMALL["rates"].measured(0))
    _, other = gone_through(SMALL["rates"].measured(1))
    assert numbers(again) == numbers(measured["rates"][1]) != numbers(other)


def test_a_training_that_falls_apart_is_none_and_no_more(measured: dict[str, tuple[list[str], Values]]) -> None:
    _, values = measured["rates"]
    assert rates.accuracy_of(values, 8, 1e9) is None and rates.accuracy_of(values, 8, 0.01) is not None
    runs = {run["rate"]: run["rows"] for run in values["runs"] if run["batch"] == 8}
    assert len(runs[1e9]) < 2 == len(runs[0.01])
    assert "because the rate was too high" in rates.Rates.said(values).paragraphs[0]


# Sentences follow from numbers: values are made up in which an effect is there, or is not.


def rows(**final: float | None) -> list[dict[str, float | int | None]]:
    """Return two epochs, the second with these numbers."""
    first = {"epoch": 1, "train_loss": 2.0, "loss": 2.0, "train_accuracy": 0.2, "accuracy": 0.2, "seconds": 1.5}
    return [first, {**first, "train_loss": 0.1, "loss": 0.3, "train_accuracy": 0.95, **final, "epoch": 2}]


def base(**more: Any) -> Values:
    return {"data": {"what": "digits", "train": 1000, "held_out": 1000}, "trainings": 4, "epochs": 2, **more}


def depths(plain: tuple[float | None, float | None], shortcuts: tuple[float, float]) -> Values:
    networks = {}
    for kind, losses in (("plain", plain), ("residual", shortcuts)):
        slope = 0.0 if kind == "residual" else -0.1
        for depth, loss in zip((20, 56), losses, strict=True):
            gradients = [10 ** (slope * layer) for layer in range(depth - 1)]
            networks[f"{kind}{depth}"] = {
                "kind": kind,
                "depth": depth,
                "parameters": 270_000,
                "gradients": gradients,
                "rows": rows(train_loss=loss, accuracy=0.9),
            }
    return base(depths=[20, 56], networks=networks)


def test_depth_is_said_to_hurt_only_where_it_did() -> None:
    expected = residual.Residual.said(depths((0.2, 1.5), (0.1, 0.09)))
    assert "hurt the plain network, and not the one with shortcuts" in expected.headline
    first, second = expected.paragraphs
    assert "0.2, that of 56 at 1.5, 7.5 times as high" in first and "0.1, that of 56 at 0.09: about the same" in first
    assert "could have copied the other" in first and "hands the gradient on" in second
    absent = residual.Residual.said(depths((0.2, 0.21), (0.1, 0.1)))
    assert "did not show" in absent.headline and "could have copied" not in absent.paragraphs[0]
    both = residual.Residual.said(depths((0.2, 0.8), (0.1, 1.9)))
    assert "did not help" in both.headline
    less = residual.Residual.said(depths((0.2, 0.8), (0.1, 0.2)))
    assert "the one with shortcuts less" in less.headline
    apart = residual.Residual.said(depths((0.2, None), (0.1, 0.1)))
    assert "and not the one with shortcuts" in apart.headline and "no number any more" in apart.paragraphs[0]
    tiny = residual.Residual.said(depths((0.001, 0.005), (0.001, 0.001)))
    assert "did not hurt" in tiny.headline, "five times next to nothing is still next to nothing"
    level = depths((0.2, 1.5), (0.1, 0.1))
    level["networks"]["plain56"]["gradients"] = [1.0] * 55
    assert "do not tell the two apart" in residual.Residual.said(level).paragraphs[1]


def test_the_tilt_of_gradients_by_hand() -> None:
    assert residual.tilt([100, 10, 1000, 5, 5, 5, 1, 2, 3]) == 50  # medians 100 and 2


def sizes(wider: list[tuple[int, float]], deeper: list[tuple[int, float]], train: float = 0.9) -> Values:
    def one(weights: int, accuracy: float, width: int, layers: int) -> Values:
        return {
            "width": width, "layers": layers, "field": 22, "parameters": weights, "multiply_adds": 10 * weights,
            "rows": rows(accuracy=accuracy, train_accuracy=train),
        }  # fmt: skip

    return base(
        wider=[one(weights, found, 8 * place, 3) for place, (weights, found) in enumerate(wider, start=1)],
        deeper=[one(weights, found, 8, 3 * place) for place, (weights, found) in enumerate(deeper, start=1)],
    )


def test_width_and_depth_are_compared_at_the_same_number_of_weights() -> None:
    small = (1000, 0.6)
    deep = capacity.Capacity.said(sizes([small, (100_000, 0.7)], [small, (10_000, 0.9)]))
    # Half way between 1,000 and 100,000 on a logarithmic scale lies 0.65.
    assert "deeper network was right more often" in deep.headline
    assert "At 10,000 weights depth is ahead by 25.0 points" in deep.paragraphs[0]
    wide = capacity.Capacity.said(sizes([small, (10_000, 0.9)], [small, (10_000, 0.7)]))
    assert "wider network was right more often" in wide.headline and "width is ahead" in wide.paragraphs[0]
    same = capacity.Capacity.said(sizes([small, (10_000, 0.71)], [small, (10_000, 0.70)]))
    assert "equally good" in same.headline and "cannot tell from chance" in same.paragraphs[0]
    none = capacity.Capacity.said(sizes([small, (10_000, 0.61)], [small, (10_000, 0.60)]))
    assert none.paragraphs[0].count("no more of a change than chance makes") == 2


def test_learning_by_heart_is_named_where_it_was() -> None:
    small = (1000, 0.6)
    heart = capacity.Capacity.said(sizes([small, (9000, 0.7)], [small, (9000, 0.7)], train=0.9))
    assert "30.0 points more of the pictures it learned from" in heart.paragraphs[1]
    assert "all could grow on" in capacity.Capacity.said(sizes([small], [small], train=0.61)).paragraphs[1]


def test_receptive_field_is_that_of_the_gradient() -> None:
    for each in (1, 2):
        network = lessons.stack(1, each, pool="mean", norm=False).double()
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)
        picture = torch.ones(1, 3, 96, 96, dtype=torch.float64, requires_grad=True)
        network(picture)[0, 0, 6, 6].backward()
        assert picture.grad is not None
        seen = (picture.grad[0, 0].sum(0) != 0).sum()
        assert int(seen) == capacity.field(each)


def grid(found: dict[tuple[int, float], float | None]) -> Values:
    runs = []
    for (batch, rate), accuracy in found.items():
        loss = None if accuracy is None else 1 - accuracy
        runs.append({"batch": batch, "rate": rate, "rows": rows(accuracy=accuracy, train_loss=loss, loss=loss)})
    batches, rates_of = sorted({batch for batch, _ in found}), sorted({rate for _, rate in found})
    return base(rates=rates_of, batches=batches, classes=10, runs=runs)


def test_rates_are_told_as_they_were() -> None:
    grown = grid({(4, 0.1): 0.9, (4, 1.0): None, (64, 0.1): 0.1, (64, 1.0): 0.95})
    said = rates.Rates.said(grown)
    assert "grew with the batch: 0.1 for 4 pictures a step, 1 for 64" in said.headline
    assert "One ended no better than guessing because the rate was too high: from 1 with 4" in said.paragraphs[0]
    assert "up to 0.1 with 64 pictures a step" in said.paragraphs[0]
    assert "grew 16-fold and the best rate 10-fold" in said.paragraphs[1]
    level = rates.Rates.said(grid({(4, 0.1): 0.9, (4, 1.0): 0.5, (64, 0.1): 0.9, (64, 1.0): 0.5}))
    assert "did not grow" in level.headline and "No rate of this grid was so high" in level.paragraphs[0]
    assert "None was so low" in level.paragraphs[0] and "surer of its way" not in level.paragraphs[1]
    fell = rates.Rates.said(grid({(4, 0.1): 0.5, (4, 1.0): 0.9, (64, 0.1): 0.9, (64, 1.0): 0.5}))
    assert "not what is usually seen" in fell.headline


def starts(bare: list[float], normal: list[float], fade: list[float]) -> Values:
    runs = [
        {"init": kind, "norm": norm, "spread": [1.0, 1.0 if norm else factor], "rows": rows(accuracy=accuracy)}
        for norm, accuracies in ((False, bare), (True, normal))
        for kind, accuracy, factor in zip(initial.INITS, accuracies, fade, strict=True)
    ]
    return base(layers=12, classes=10, runs=runs)


def test_first_weights_are_told_as_they_were() -> None:
    fade = [1e-13, 1e-5, 0.02, 0.9]
    usual = initial.Initial.said(starts([0.1, 0.1, 0.5, 0.9], [0.9] * 4, fade))
    assert "Without batch-norm two of four kinds of first weights learned; with it, all" in usual.headline
    assert "was 10⁻¹³ (0.01), " in usual.paragraphs[0] and "and 0.9 (He) times that" in usual.paragraphs[0]
    assert "the signal faded with 0.01, uniform and Xavier and was kept with He." in usual.paragraphs[0]
    assert "Where the signal faded (0.01 and uniform)" in usual.paragraphs[1]
    assert "batch-norm repaired that" in usual.paragraphs[1]
    fine = initial.Initial.said(starts([0.9] * 4, [0.9] * 4, [1.0] * 4))
    assert "All four kinds" in fine.headline and "nothing to repair" in fine.paragraphs[1]
    useless = initial.Initial.said(starts([0.1, 0.1, 0.5, 0.9], [0.1, 0.1, 0.5, 0.9], fade))
    assert "it did not help here" in useless.headline and "did not repair all" in useless.paragraphs[1]
    hardy = initial.Initial.said(starts([0.9] * 4, [0.9] * 4, fade))
    assert "did not keep these networks from learning" in hardy.paragraphs[1]
    wild = initial.Initial.said(starts([0.9] * 4, [0.9] * 4, [1.0, 50.0, 1.0, 1.0]))
    assert "50 (uniform)" in wild.paragraphs[0] and "grew with uniform" in wild.paragraphs[0]


def ways(accuracies: tuple[float, float, float], changed: tuple[float, float, float]) -> Values:
    kinds = {
        kind: {
            "parameters": 5000,
            "multiply_adds": 1_000_000 if kind == "stride" else 4_000_000,
            "trials": [{"rows": rows(accuracy=accuracy + move), "changed": turned} for move in (-0.01, 0.01)],
        }
        for kind, accuracy, turned in zip(lessons.POOLS, accuracies, changed, strict=True)
    }
    kept = {kind: {"peak": 0.5, "sum": 1.0, "sum_deviation": 0.1} for kind in lessons.POOLS}
    return base(kinds=kinds, kept=kept, pictures={"columns": [], "rows": []})


def test_pooling_is_ranked_only_where_it_differs() -> None:
    apart = pooling.Pooling.said(ways((0.9, 0.8, 0.7), (0.05, 0.1, 0.2)))
    assert apart.headline == "The maximum was right most often, the stride least."
    assert "20.0 points behind" in apart.paragraphs[0] and "up to 2.0 points apart" in apart.paragraphs[0]
    assert "the maximum is the steadiest, the stride minds most" in apart.paragraphs[1]
    close = pooling.Pooling.said(ways((0.81, 0.80, 0.5), (0.1, 0.11, 0.3)))
    assert close.headline == "The stride was right least often." and "stride: the stride minds" in close.paragraphs[1]
    steps = pooling.Pooling.said(ways((0.83, 0.81, 0.79), (0.10, 0.12, 0.135)))
    assert steps.headline == "The maximum was right more often than the stride."
    assert "the maximum is steadier than the stride" in steps.paragraphs[1]
    even = pooling.Pooling.said(ways((0.80, 0.81, 0.80), (0.1, 0.1, 0.1)))
    assert "about equally right" in even.headline and "no more than chance makes" in even.paragraphs[0]
    assert "too little of a difference" in even.paragraphs[1]


def test_halving_is_that_of_torch() -> None:
    maps = torch.arange(96.0).reshape(2, 3, 4, 4).sin()
    expected = {
        "max": functional.max_pool2d(maps, 2),
        "mean": functional.avg_pool2d(maps, 2),
        "stride": functional.conv2d(maps.reshape(6, 1, 4, 4), torch.ones(1, 1, 1, 1), stride=2).reshape(2, 3, 2, 2),
    }
    for kind, wanted in expected.items():
        assert np.allclose(pooling.halved(maps.numpy(), kind), wanted.numpy(), atol=1e-6)


def moves(**middle_and_edge: tuple[float, float]) -> Values:
    names = dict(zip(("dense", "taught", "flat", "mean"), shift.KINDS, strict=True))
    networks = {}
    for short, (middle, edge) in middle_and_edge.items():
        near = (middle + edge) / 2
        found = [[middle if (row, column) == (2, 2) else edge for column in range(5)] for row in range(5)]
        for row, column in [(row, column) for row in (1, 2, 3) for column in (1, 2, 3) if (row, column) != (2, 2)]:
            found[row][column] = near
        networks[names[short]] = {"parameters": 1234, "map": found, "rows": rows()}
    return base(offsets=[-8, -4, 0, 4, 8], networks=networks, pictures={})


def test_moves_are_told_as_they_were() -> None:
    usual = shift.Shift.said(moves(dense=(0.95, 0.15), taught=(0.7, 0.6), flat=(0.96, 0.2), mean=(0.97, 0.9)))
    assert "Moved by 8 pixels, 90.0 % of the digits were still known by convolutions" in usual.headline
    assert "55.0 % and 15.0 % for the one, 93.5 % and 90.0 % for the other" in usual.paragraphs[0]
    assert "Convolving is only half of it" in usual.paragraphs[1] and "45.0 points more" in usual.paragraphs[1]
    even = shift.Shift.said(moves(dense=(0.95, 0.2), taught=(0.9, 0.2), flat=(0.9, 0.2), mean=(0.95, 0.2)))
    assert "not what was expected" in even.headline
    assert "did not help here" in even.paragraphs[1] and "did not teach it" in even.paragraphs[1]
    odd = shift.Shift.said(moves(dense=(0.95, 0.8), taught=(0.9, 0.8), flat=(0.9, 0.2), mean=(0.95, 0.2)))
    assert "the dense network was right more often" in odd.headline


def losses(plain: list[float | None], shortcuts: list[float | None], several: tuple[float, float]) -> Values:
    networks = {
        kind: {"parameters": 5000, "rows": rows(), "whole": 0.9, "one": one, "several": [0.8, last]}
        for kind, one, last in zip(residual.KINDS, (plain, shortcuts), several, strict=True)
    }
    return base(depth=8, draws=2, classes=10, networks=networks)


def test_dropped_blocks_are_told_as_they_were() -> None:
    usual = dropped.Dropped.said(losses([0.1, None, 0.3], [0.88, 0.5, 0.87], (0.1, 0.7)))
    assert "the residual network lost 15.0 points on average, the plain one 70.0 points" in usual.headline
    assert "two of three blocks cost less than 5 points, block 2 the most (50.0 %" in usual.paragraphs[0]
    assert "20.0 % on average with a block missing; none of two" in usual.paragraphs[0]
    assert "many ways, of every length" in usual.paragraphs[1]
    absent = dropped.Dropped.said(losses([0.9, None, 0.9], [0.9, 0.9, 0.9], (0.7, 0.7)))
    assert "did not show" in absent.headline and "lost nothing" in absent.headline
    assert "does not show that the shortcuts" in absent.paragraphs[1]


def test_a_block_that_is_skipped_is_one_whose_weights_are_zero() -> None:
    lot = pictures.digits(8, 16, 8, 0)
    network = lessons.network(lambda: residual.built("residual", 20), residual.FEATURES, lot, 0)
    images = lessons.prepared(lot)(torch.from_numpy(lot.pictures[16:]))
    blocks = dropped.blocks(network.base)
    assert len(blocks) == 9
    for block in (blocks[1], blocks[3]):  # one as wide as the one before, one that halves the picture
        empty = copy.deepcopy(network)
        emptied = dropped.blocks(empty.base)[blocks.index(block)]
        nn.init.zeros_(emptied.bn2.weight)
        nn.init.zeros_(emptied.bn2.bias)
        with torch.no_grad():
            whole, without = network.eval()(images), empty.eval()(images)
            with dropped.skipped(block):
                assert torch.equal(network(images), without)
            assert torch.equal(network(images), whole) and not torch.equal(whole, without)


# What is looked at in a network.


def test_spreads_are_those_of_the_theory_and_leave_the_network_alone() -> None:
    lot = pictures.digits(16, 64, 8, 0)
    network = lessons.network(lambda: lessons.stack(64, 3, norm=False, stages=1), 64, lot, 0)
    initial.draw(network, "small", 0)
    found = lessons.spreads(network, lot, 64)
    # N(0, 0.01²) on 9 x 64 inputs multiplies the second moment by 576 * 0.01² / 2 behind ReLU.
    assert len(found) == 3 and found[2] / found[1] == pytest.approx(0.01 * (576 / 2) ** 0.5, rel=0.35)
    normal = lessons.network(lambda: lessons.stack(8, 1), 32, lot, 0)
    before = {name: tensor.clone() for name, tensor in normal.state_dict().items()}
    assert len(lessons.spreads(normal, lot, 32)) == len(lessons.gradients(normal, lot, 32)) == 3
    assert all(torch.equal(tensor, before[name]) for name, tensor in normal.state_dict().items())


def test_gradients_over_weights_by_finite_differences() -> None:
    lot = pictures.digits(8, 16, 8, 0)
    network = lessons.network(lambda: lessons.stack(2, 1, pool="mean", stages=1), 2, lot, 0)
    layer = next(part for part in network.base.modules() if isinstance(part, nn.Conv2d))
    images, targets = lessons.prepared(lot)(torch.from_numpy(lot.pictures[:16])), torch.from_numpy(lot.targets[:16])

    def loss(weight: torch.Tensor) -> float:
        twin = copy.deepcopy(network).double().train()
        next(part for part in twin.base.modules() if isinstance(part, nn.Conv2d)).weight.data = weight
        return float(functional.cross_entropy(twin(images.double()), targets).detach())

    weight = layer.weight.detach().double()
    slopes = []
    for place in range(weight.numel()):
        step = torch.zeros_like(weight)
        step.view(-1)[place] = 1e-6
        slopes.append((loss(weight + step) - loss(weight - step)) / 2e-6)
    assert lessons.gradients(network, lot, 16) == pytest.approx(
        [np.linalg.norm(slopes) / float(weight.norm())], rel=1e-3
    )


# Pictures.


def test_drawn_pictures_follow_from_the_seed() -> None:
    lot = pictures.shapes(16, 20, 12, 5)
    again, other = pictures.shapes(16, 20, 12, 5), pictures.shapes(16, 20, 12, 6)
    assert np.array_equal(lot.pictures, again.pictures) and not np.array_equal(lot.pictures, other.pictures)
    assert lot.pictures.shape == (32, 16, 16, 3) and lot.pictures.dtype == np.uint8 and lot.held_out == 12
    assert np.bincount(lot.targets).tolist() == [4] * 8
    digits = pictures.digits(16, 1200, 500, 0)
    assert len(digits.targets) == 1700 and sorted(set(digits.targets.tolist())) == list(range(10))


def test_every_shape_is_a_shape_of_its_own() -> None:
    y, x = np.mgrid[-1.3:1.3:131j, -1.3:1.3:131j]
    inside = {name: shape(x, y) for name, shape in pictures.SHAPES.items()}
    area = {name: float(found.mean()) * 2.6**2 for name, found in inside.items()}
    assert area["disc"] == pytest.approx(np.pi * 0.85**2, rel=0.02) and area["square"] == pytest.approx(2.25, rel=0.03)
    assert area["triangle"] == pytest.approx(3 * 3**0.5 * 0.52**2, rel=0.04)
    assert all(0.9 < found < 2.6 for found in area.values())
    names = list(inside)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both, either = (inside[one] & inside[other]).sum(), (inside[one] | inside[other]).sum()
            assert both / either < 0.85, f"{one} and {other} look alike"


def test_moving_by_hand() -> None:
    picture = np.arange(9).reshape(1, 3, 3)
    assert pictures.moved(picture, 1, 0)[0].tolist() == [[0, 0, 1], [3, 3, 4], [6, 6, 7]]
    assert pictures.moved(picture, 0, -2)[0].tolist() == [[6, 7, 8]] * 3
    framed = pictures.framed(pictures.digits(8, 4, 2, 0), 16).pictures
    assert framed.shape == (6, 16, 16, 3)
    assert np.array_equal(pictures.moved(framed, 4, 0)[:, 4:12, 8:16], framed[:, 4:12, 4:12])


# Figures.


def test_names_of_lines_stand_apart_in_their_order() -> None:
    found = spread([100.0, 101.0, 99.0, 230.0, 231.0], 30.0, 236.0)
    ordered = sorted(found)
    assert [ordered[place] for place in (1, 2, 0, 3, 4)] == found
    assert all(after - before >= GAP for before, after in pairwise(ordered))
    assert ordered[0] >= 30.0 and ordered[-1] <= 236.0


def test_odd_values_can_be_drawn() -> None:
    nothing = chart("a", "t", [Line("x", [(1, None)], 1)], Scale("x"), Scale("y"))
    assert nothing == ""
    one = chart("a", "t", [Line("x", [(1, 0.5), (2, None)], 1)], Scale("x"), Scale("y", "log"))
    assert one.count("<circle") == 1 and "nan" not in one
    assert "–" in cells("a", "t", ["r"], ["c"], [[None]], ("rows", "columns"))
    zeros = chart("a", "t", [Line("x", [(1, 0.0), (2, 1.0)], 1)], Scale("x"), Scale("y", "log"))
    assert "nan" not in zeros and "inf" not in zeros


HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.mark.parametrize(
    "made",
    [
        lambda: chart("k", HOSTILE, [Line(HOSTILE, [(1, 2.0), (2, 3.0)], 1)], Scale(HOSTILE), Scale(HOSTILE)),
        lambda: cells("k", HOSTILE, [HOSTILE], [HOSTILE], [[0.5]], (HOSTILE, HOSTILE)),
        lambda: strip(HOSTILE, [HOSTILE], [(HOSTILE, [Picture("data:image/png;base64,", HOSTILE)])]),
        lambda: table(HOSTILE, [HOSTILE], [[HOSTILE]]),
    ],
)
def test_figures_escape_what_they_are_given(made: Callable[[], str]) -> None:
    assert "<script" not in made() and "&lt;script" in made()


def test_a_page_escapes_what_values_say(measured: dict[str, tuple[list[str], Values]], tmp_path: Path) -> None:
    said = told("capacity", measured["capacity"][1])
    said["headline"] = said["values"]["data"]["what"] = said["lensmith"] = HOSTILE
    said["paragraphs"] = [HOSTILE, HOSTILE]
    said["values"]["examples"]["classes"][0] = HOSTILE
    page = render(said)
    assert "<script" not in page and page.count("&lt;script") >= 6


# Words.


def test_words() -> None:
    assert [share(x) for x in (0, 1, 0.974, 0.9996)] == ["0 %", "100 %", "97.4 %", "100.0 %"]
    assert [figure(x) for x in (0.1234, 12.34, 1234.5, float("inf"))] == [
        "0.123",
        "12.3",
        "1,234",
        "no number any more",
    ]
    assert [listed(list(x)) for x in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
    # The difference of 0.5 and 0.6 has a standard error of 0.070 with 100 pictures, of 0.022 with 1,000.
    assert not differ(0.5, 0.6, 100) and differ(0.5, 0.6, 1000)


# The verb.


@dataclass(frozen=True)
class Tiny(initial.Initial):
    """An exhibit of seconds."""

    each: int = 1
    epochs: int = 1
    train: int = 32
    held_out: int = 16
    size: int = 8


class Interrupted(Tiny):
    """An exhibit whose user has seen enough after the first note."""

    def measured(self, seed: int) -> lessons.Steps:
        yield next(super().measured(seed))
        raise KeyboardInterrupt


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setitem(exhibits.EXHIBITS, "init", Tiny)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_demo_leaves_a_page_and_its_values(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = front_door(capsys, "demo", "--task", "init", "--seed", 4)
    assert said.code == 0 and "training 8/8" in said.err
    folder = tiny / "runs" / "gallery-init-1"
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "values.json"]
    kept = json.loads((folder / "values.json").read_text(encoding="utf-8"))
    assert " ".join(kept["headline"].split()) in " ".join(said.out.split())
    assert kept["seed"] == 4 and str(Path("runs", "gallery-init-1", "report.html")) in said.out
    assert render(kept) == (folder / "report.html").read_text(encoding="utf-8"), "the page follows from the file"
    again = front_door(capsys, "demo", "--task", "init", "--seed", 4, "--json", "--quiet")
    assert again.code == 0 and again.err == ""
    printed = json.loads(again.out)
    assert Path(printed["folder"]).name == "gallery-init-2" and Path(printed["report"]).is_file()
    assert printed["paragraphs"] == kept["paragraphs"] and not {"pictures", "examples"} & set(printed["values"])
    assert not leftovers(tiny)


def test_an_interrupted_demo_leaves_nothing(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(exhibits.EXHIBITS, "init", Interrupted)
    assert front_door(capsys, "demo", "--task", "init").code == 130
    assert list((tiny / "runs").iterdir()) == []


def test_a_task_that_there_is_not(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(front_door(capsys, "demo", "--task", "residuals"), 2, "task is 'residuals'", "Nearest: residual")
    (tiny / "taken").write_text("")
    refused(front_door(capsys, "demo", "--task", "init", "--out", "taken"), 1, "taken", "--out")
    assert leftovers(tiny) == []
    with pytest.raises(UsageError):
        exhibits.exhibit("")


@pytest.mark.slow
def test_depth_hurts_the_plain_network_and_not_the_residual_one() -> None:
    """The three-minute form of benchmarks/depth.py."""
    _, values = gone_through(residual.Residual().measured(0))
    loss = {name: found["rows"][-1]["train_loss"] for name, found in values["networks"].items()}
    assert loss["plain56"] > residual.MORE * loss["plain20"] + residual.LEAST
    assert loss["residual56"] < residual.MORE * loss["residual20"] + residual.LEAST
    assert loss["residual56"] < loss["plain56"]
    assert "and not the one with shortcuts" in residual.Residual.said(values).headline
