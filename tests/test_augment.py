"""Augmentation against scipy, Pillow and colorsys, and what training relies on: seeds, batches, masks, boxes."""

from __future__ import annotations

import colorsys
import json
import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import interpolate, ndimage

from lensmith.data.synthetic import check_pictures
from lensmith.errors import UsageError
from lensmith.reproduce import generator
from lensmith.training.augment import augmented, augmented_boxes, augmented_masks, augmented_tensor
from lensmith.training.augmentation import (
    FILLS,
    INTERPOLATIONS,
    NAMES,
    PRESETS,
    Augmentation,
    in_words,
    parse,
    spelled,
)
from lensmith.training.colour import channel_means, principal_components
from lensmith.training.draws import WARP_CELLS, WARP_KNOTS, Draws, draws
from lensmith.training.geometry import displacement, forward, matrices, whole_shifts
from lensmith.training.sheet import contact_sheet

COMPONENTS = (np.array([0.2, 0.03, 0.01]), np.eye(3))
# Every kind of geometry at once, no colour.
MOVING = replace(PRESETS["strong"], brightness=0, contrast=0, saturation=0, hue=0, pca_colour=0)


def pictures(count: int, size: int) -> np.ndarray:
    return np.stack(check_pictures(count, size))


def fixed(augmentation: Augmentation, **values: Any) -> Draws:
    """Return draws of one picture in which nothing happens but what `values` say; shift in places from 0 to 1."""
    still = draws(replace(augmentation, pca_colour=0), 0, 0, 1)
    for field in fields(Draws):
        neutral = {"stretch": 1.0, "zoom": 1.0, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0}
        value = {**neutral, "crop": (1.0, 0.0, 0.0), "shift": (0.5, 0.5), "flip": False, **values}.get(field.name, 0.0)
        shape = getattr(still, field.name).shape
        still = replace(still, **{field.name: np.broadcast_to(np.asarray(value), shape)})
    return still


def gap(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).max())


# Values, presets, spelling.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Augmentation()),
        (" shift ", Augmentation(shift_x=0.125, shift_y=0.125)),
        ("small-data,rotation=30,flip=no", replace(PRESETS["small-data"], rotation=30.0, flip=False)),
        ("rotation = 10 , fill=#0080FF", Augmentation(rotation=10.0, fill="#0080ff")),
        ("zoom=1.25", Augmentation(zoom=(0.8, 1.25))),
        ("zoom=0.5:2,interpolation=nearest", Augmentation(zoom=(0.5, 2.0), interpolation="nearest")),
    ],
)
def test_parse(text: str, expected: Augmentation) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("smal-data", ["'smal-data'", "none, shift, small-data, strong", "Nearest: small-data"]),
        ("rotation", ["'rotation'", "name=value", "Nearest: rotation"]),
        ("", ["''", "none, shift"]),
        ("strong,rotaton=3", ["'rotaton'", "shift_x", "Nearest: rotation"]),
        ("strong,weak", ["'weak'", "hue"]),
        ("strong,hue", ["'hue'", "Try hue=0.03"]),
        ("hue=", ["'hue='", "Try hue=0.03"]),
        ("hue=red", ["'red'", "a number"]),
        ("hue=0.1:0.2", ["one number"]),
        ("hue=nan", ["hue is nan", "0 to 0.5"]),
        ("rotation=400", ["rotation is 400", "0 to 180", "Try 15"]),
        ("crop=0", ["crop is 0", "0.01 to 1"]),
        ("warp=0.2", ["warp is 0.2", "0 to 0.05"]),
        ("flip=perhaps", ["'perhaps'", "true and false"]),
        ("fill=egde", ["'egde'", "edge, reflect, mean, white, black", "#808080", "Nearest: edge"]),
        ("fill=#12345", ["'#12345'", "#808080"]),
        ("interpolation=cubic", ["'cubic'", "nearest, bilinear, bicubic", "Nearest: bicubic"]),
        ("zoom=2:1", ["zoom is (2.0, 1.0)", "the smaller first"]),
        ("zoom=-1", ["zoom is (-1.0,)", "0.1 to 10"]),
        ("hue=0.1,hue=0.2", ["hue twice"]),
    ],
)
def test_wrong_spellings_are_named(text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("values", [{"flip": 1}, {"rotation": True}, {"rotation": "15"}, {"zoom": 1.2}, {"fill": 0}])
def test_wrong_types_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Augmentation(**values)


@pytest.mark.parametrize("preset", PRESETS)
def test_spelling_and_json_lose_nothing(preset: str) -> None:
    changed = replace(PRESETS[preset], rotation=1 / 3, zoom=(0.7, 1.1), flip=True, fill="#abcdef")
    for augmentation in (PRESETS[preset], changed):
        assert parse(spelled(augmentation)) == augmentation
        assert Augmentation(**json.loads(json.dumps(asdict(augmentation)))) == augmentation
    assert spelled(PRESETS[preset]) == preset


def test_words_name_what_is_on() -> None:
    assert in_words(Augmentation()) == []
    assert in_words(PRESETS["shift"]) == ["moved by up to 12.5 %"]
    assert in_words(parse("shift_x=0.1,hue=0.5")) == ["moved by up to 10 % across, 0 % down", "hue ± 180°"]
    assert len(in_words(PRESETS["strong"])) == len(NAMES) - 3  # fill and interpolation are no change; one word a move


def test_the_page_shows_the_presets_as_they_are() -> None:
    page = (Path(__file__).parent.parent / "docs" / "augmentation.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    shown = {name: row[2:] for row in rows if len(row) == 5 for name in re.findall(r"`(\w+)`", row[0])}
    assert tuple(shown) == NAMES
    for column, preset in enumerate(("none", "small-data", "strong")):
        texts = {name: cells[column] for name, cells in shown.items()}
        assert parse(",".join(f"{name}={text}" for name, text in texts.items())) == PRESETS[preset]


# Draws.


def test_a_row_follows_from_seed_epoch_and_place_alone() -> None:
    few, many = draws(PRESETS["strong"], 3, 2, 5, COMPONENTS), draws(PRESETS["strong"], 3, 2, 40, COMPONENTS)
    without = draws(replace(PRESETS["strong"], zoom=(1, 1), warp=0), 3, 2, 40, COMPONENTS)
    for field in fields(Draws):
        values = getattr(many, field.name)
        assert np.array_equal(getattr(few, field.name), values[:5])
        if field.name not in ("zoom", "warp"):  # what is switched off leaves the rest alone
            assert np.array_equal(getattr(without, field.name), values)
        for seed, epoch in ((3, 3), (4, 2)):
            assert not np.array_equal(
                getattr(draws(PRESETS["strong"], seed, epoch, 40, COMPONENTS), field.name), values
            )


def test_draws_keep_to_their_ranges_and_fill_them() -> None:
    a = PRESETS["strong"]
    table = draws(a, 0, 1, 5000, COMPONENTS)
    ranges = {
        "rotation": (-25, 25),
        "shift": (0, 1),
        "shear": (-10, 10),
        "stretch": (1 / 1.25, 1.25),
        "zoom": a.zoom,
        "warp": (-0.03, 0.03),
        "brightness": (0.7, 1.3),
        "contrast": (0.7, 1.3),
        "saturation": (0.6, 1.4),
        "hue": (-0.03, 0.03),
    }
    for name, (low, high) in ranges.items():
        values = getattr(table, name)
        assert low <= values.min() < low + 0.01 * (high - low), name
        assert high - 0.01 * (high - low) < values.max() <= high, name
    assert table.flip.mean() == pytest.approx(0.5, abs=0.03)
    assert np.median(table.stretch) == pytest.approx(1, abs=0.02)  # wider and narrower are equally likely
    side, centres = table.crop[:, 0], table.crop[:, 1:]
    assert side.min() ** 2 == pytest.approx(0.5, abs=0.01) and side.max() <= 1
    assert (np.abs(centres) + side[:, None] <= 1 + 1e-12).all()  # the window lies in the picture
    assert np.abs(centres).max() > 0.2


def test_kinds_are_drawn_independently() -> None:
    table = draws(PRESETS["strong"], 0, 1, 4000, COMPONENTS)
    columns = [np.asarray(getattr(table, field.name), float).reshape(4000, -1)[:, :3] for field in fields(Draws)]
    related = np.corrcoef(np.concatenate(columns, axis=1).T) - np.eye(sum(column.shape[1] for column in columns))
    assert np.abs(related).max() < 0.08  # five standard errors


def test_shifts_are_whole_pixels_all_equally_likely() -> None:
    table = draws(PRESETS["shift"], 0, 1, 9000)
    values, counts = np.unique(whole_shifts(PRESETS["shift"], table, 32), return_counts=True)
    assert values.tolist() == list(range(-4, 5))
    assert (np.abs(counts - 2000) < 4 * np.sqrt(2000)).all()
    assert np.unique(whole_shifts(PRESETS["shift"], table, 4)).tolist() == [-1, 0, 1]
    assert not whole_shifts(PRESETS["shift"], table, 1).any()


def test_pca_needs_components() -> None:
    with pytest.raises(UsageError, match="principal_components"):
        draws(Augmentation(pca_colour=0.1), 0, 1, 3)


# Batches, epochs, off.


@pytest.mark.parametrize("text", ["shift,flip=true", "small-data", "strong", "strong,fill=mean,interpolation=nearest"])
def test_a_picture_does_not_depend_on_its_batch(text: str) -> None:
    batch, augmentation = pictures(40, 64), parse(text)  # more pixels than are taken at once
    table = draws(augmentation, 0, 1, 40, COMPONENTS)
    together = augmented(batch, augmentation, table)
    mixed = np.random.default_rng(0).permutation(40)
    assert np.array_equal(augmented(batch[mixed], augmentation, table[mixed]), together[mixed])
    for index in range(0, 40, 3):
        alone = augmented(batch[index : index + 1], augmentation, table[index : index + 1])
        assert np.array_equal(alone[0], together[index])


@pytest.mark.parametrize("preset", ["small-data", "strong"])
def test_no_picture_comes_twice(preset: str) -> None:
    batch, augmentation = pictures(6, 32), PRESETS[preset]
    shown = [augmented(batch, augmentation, draws(augmentation, 0, epoch, 6, COMPONENTS)) for epoch in range(1, 9)]
    for index in range(6):
        assert len({view[index].tobytes() for view in shown} | {batch[index].tobytes()}) == 9


def test_off_returns_the_pictures_themselves() -> None:
    batch = pictures(2, 8)
    assert augmented(batch, PRESETS["none"], draws(PRESETS["none"], 0, 1, 2)) is batch
    masks = batch[..., 0]
    assert augmented_masks(masks, PRESETS["none"], draws(PRESETS["none"], 0, 1, 2), 255) is masks


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_sampling_at_the_pixels_changes_none(fill: str, interpolation: str) -> None:
    augmentation = replace(MOVING, fill=fill, interpolation=interpolation)
    batch = pictures(1, 33)
    assert np.array_equal(augmented(batch, augmentation, fixed(augmentation)), batch)


def test_originals_and_threads_are_left_alone() -> None:
    batch, threads = pictures(3, 16), torch.get_num_threads()
    batch.setflags(write=False)
    before = batch.copy()
    for augmentation in PRESETS.values():
        augmented(batch, augmentation, draws(augmentation, 0, 1, 3, COMPONENTS))
    assert np.array_equal(batch, before) and torch.get_num_threads() == threads


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_pictures_and_empty_batches(size: int, count: int) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    for augmentation in (*PRESETS.values(), *(replace(PRESETS["strong"], fill=fill) for fill in FILLS)):
        for interpolation in INTERPOLATIONS:
            chosen = replace(augmentation, interpolation=interpolation)
            table = draws(chosen, 0, 1, count, COMPONENTS)
            assert augmented(batch, chosen, table).shape == batch.shape
            assert augmented_masks(batch[..., 0], chosen, table, 0).shape == batch.shape[:3]


# Geometry against other libraries.


def by_scipy(picture: np.ndarray, inverse: np.ndarray, **options: Any) -> np.ndarray:
    """Return the picture read at `inverse` (2, 3) of each pixel, x and y in pixels from the middle."""
    centre = (picture.shape[0] - 1) / 2
    swapped = inverse[::-1, [1, 0]]  # scipy counts rows first
    offset = inverse[::-1, 2] + centre - swapped @ [centre, centre]
    planes = [
        ndimage.affine_transform(picture[..., k].astype(float), swapped, offset, order=1, **options) for k in range(3)
    ]
    return np.stack(planes, -1)


SINE, COSINE, SLANT = np.sin(np.deg2rad(20)), np.cos(np.deg2rad(20)), np.tan(np.deg2rad(9))
SINGLE = {
    "rotation": ({"rotation": 20.0}, [[COSINE, -SINE, 0], [SINE, COSINE, 0]]),
    "shear": ({"shear": 9.0}, [[1, -SLANT, 0], [0, 1, 0]]),
    "zoom in": ({"zoom": 1.5}, [[1 / 1.5, 0, 0], [0, 1 / 1.5, 0]]),
    "zoom out": ({"zoom": 0.7}, [[1 / 0.7, 0, 0], [0, 1 / 0.7, 0]]),
    "stretch": ({"stretch": 1.44}, [[1 / 1.2, 0, 0], [0, 1.2, 0]]),
    "flip": ({"flip": True}, [[-1, 0, 0], [0, 1, 0]]),
    # Half the side around a centre at (0.25, -0.5) of half the side, 40 pixels wide: 5 right of the middle, 10 above.
    "crop": ({"crop": (0.5, 0.25, -0.5)}, [[0.5, 0, 5], [0, 0.5, -10]]),
    # Place 1 is the far end of the range: strong moves by a tenth of 40 pixels.
    "shift": ({"shift": (0.999, 0.0)}, [[1, 0, -4], [0, 1, 4]]),
    # Turned first, then moved, then mirrored.
    "composed": (
        {"rotation": 20.0, "shift": (0.999, 0.5), "flip": True},
        [[-COSINE, -SINE, -4 * COSINE], [-SINE, COSINE, -4 * SINE]],
    ),
}


@pytest.mark.parametrize("fill", ["edge", "reflect"])
@pytest.mark.parametrize("kind", SINGLE)
def test_geometry_equals_scipy(kind: str, fill: str) -> None:
    values, inverse = SINGLE[kind]
    augmentation = replace(MOVING, fill=fill)
    batch = pictures(1, 40)
    expected = by_scipy(batch[0], np.array(inverse), mode={"edge": "nearest", "reflect": "reflect"}[fill])
    assert gap(augmented(batch, augmentation, fixed(augmentation, **values))[0], expected) < 0.51  # rounding alone


def test_rotation_turns_as_pillow_does() -> None:
    batch, augmentation = pictures(1, 41), replace(MOVING, fill="black")
    found = augmented(batch, augmentation, fixed(augmentation, rotation=30.0))[0]
    expected = np.asarray(Image.fromarray(batch[0]).rotate(30, Image.Resampling.BILINEAR))
    y, x = np.mgrid[-20:21, -20:21]
    assert gap(found[x**2 + y**2 < 19**2], expected[x**2 + y**2 < 19**2]) <= 1


def test_everything_at_once_equals_scipy_with_its_own_splines() -> None:
    batch, size = pictures(12, 48), 48
    table = draws(MOVING, 0, 1, 12)
    found = augmented(batch, MOVING, table)
    shifts, place = whole_shifts(MOVING, table, size), (np.arange(size) + 0.5) / size
    knots = np.arange(-3, WARP_CELLS + 4) / WARP_CELLS  # uniform, from 0 to 1 over the picture
    basis = interpolate.BSpline.design_matrix(np.clip(place, 0, 1 - 1e-12), knots, 3).toarray()
    for index in range(12):
        warp_x, warp_y = (size * basis @ table.warp[index, axis] @ basis.T for axis in range(2))
        y, x = np.mgrid[:size, :size] + 0.5 - size / 2
        x, y = x + warp_x, y + warp_y
        x = (-x if table.flip[index] else x) - shifts[index, 0]
        y = y - shifts[index, 1]
        angle, slant = np.deg2rad(table.rotation[index]), np.tan(np.deg2rad(table.shear[index]))
        x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
        x = x - slant * y
        wide = np.sqrt(table.stretch[index])
        x, y = x / table.zoom[index] / wide, y / table.zoom[index] * wide
        side, right, down = table.crop[index]
        x, y = x * side + right * size / 2, y * side + down * size / 2
        rows = [y + size / 2 - 0.5, x + size / 2 - 0.5]
        for k in range(3):
            plane = ndimage.map_coordinates(batch[index, ..., k].astype(float), rows, order=1, mode="reflect")
            assert gap(found[index, ..., k], plane) < 0.52


def test_flipping_twice_gives_the_picture_back() -> None:
    augmentation = Augmentation(flip=True)
    batch = pictures(1, 17)
    once = augmented(batch, augmentation, fixed(augmentation, flip=True))
    assert np.array_equal(once, batch[:, :, ::-1])
    assert np.array_equal(augmented(once, augmentation, fixed(augmentation, flip=True)), batch)


@pytest.mark.parametrize("fill", [*FILLS, "#102030"])
def test_whole_pixel_moves_copy_and_fill(fill: str) -> None:
    """Against numpy's padding: 5 pixels to the right, 3 up, then mirrored."""
    batch = pictures(1, 40)
    augmentation = Augmentation(shift_x=1 / 8, shift_y=1 / 8, flip=True, fill=fill)
    found = augmented(batch, augmentation, fixed(augmentation, shift=(0.999, 2.5 / 11), flip=True))[0]
    colours = {"white": 255, "black": 0, "mean": batch[0].mean((0, 1)).round(), "#102030": (16, 32, 48)}
    modes = {"edge": "edge", "reflect": "symmetric"}
    padded = np.pad(batch[0], ((5, 5), (5, 5), (0, 0)), mode=modes.get(fill, "constant"))  # type: ignore[call-overload]
    if fill in colours:
        padded[:5], padded[-5:], padded[:, :5], padded[:, -5:] = (colours[fill],) * 4
    assert np.array_equal(found, padded[8:48, 0:40][:, ::-1])


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("fill", ["mean", "white", "black", "#102030"])
def test_colours_fill_what_comes_in(fill: str, interpolation: str) -> None:
    batch = pictures(2, 40)
    augmentation = replace(MOVING, fill=fill, interpolation=interpolation)
    turned = augmented(batch[1:], augmentation, fixed(augmentation, rotation=45.0))[0]
    colour = {"white": (255,) * 3, "black": (0,) * 3, "mean": batch[1].mean((0, 1)), "#102030": (16, 32, 48)}[fill]
    for corner in (turned[0, 0], turned[0, -1], turned[-1, 0], turned[-1, -1]):
        assert gap(corner, np.array(colour)) <= 0.5
    assert gap(turned[18:22, 18:22], np.array(colour)) > 5


def test_nearest_invents_no_colour() -> None:
    batch, augmentation = pictures(1, 24), replace(MOVING, interpolation="nearest")
    found = augmented(batch, augmentation, draws(augmentation, 0, 1, 1))
    assert {tuple(pixel) for pixel in found.reshape(-1, 3)} <= {tuple(pixel) for pixel in batch.reshape(-1, 3)}


def test_bicubic_is_sharper_than_bilinear() -> None:
    batch = pictures(4, 32)
    sharpness = []
    for interpolation in ("bilinear", "bicubic"):
        augmentation = Augmentation(rotation=20, interpolation=interpolation)
        found = augmented(batch, augmentation, draws(augmentation, 0, 1, 4)).astype(float)
        sharpness.append(np.abs(np.diff(found, axis=2)).mean())
    assert sharpness[1] > 1.05 * sharpness[0]


# Colour.


@pytest.mark.parametrize(
    ("kind", "enhance", "most"),
    # Pillow rounds the mean grey to a whole number, which moves contrast by up to another level.
    [
        ("brightness", ImageEnhance.Brightness, 1),
        ("contrast", ImageEnhance.Contrast, 2),
        ("saturation", ImageEnhance.Color, 1),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.3, 2.0])
def test_factors_equal_pillow(kind: str, enhance: Any, most: int, factor: float) -> None:
    batch, augmentation = pictures(3, 32), Augmentation(**{kind: 1.0})
    for picture in batch:
        expected = np.asarray(enhance(Image.fromarray(picture)).enhance(factor))
        assert gap(augmented(picture[None], augmentation, fixed(augmentation, **{kind: factor}))[0], expected) <= most


@pytest.mark.parametrize("turns", [-0.5, -0.2, -0.03, 0.01, 1 / 6, 0.4])
def test_hue_equals_colorsys(turns: float) -> None:
    corners = [[r, g, b] for r in (0, 128, 255) for g in (0, 128, 255) for b in (0, 128, 255)]
    random = np.random.default_rng(0).integers(0, 256, (37, 3)).tolist()
    pixels = np.array(corners + random, np.uint8).reshape(1, 8, 8, 3)
    augmentation = Augmentation(hue=0.5)
    found = augmented(pixels, augmentation, fixed(augmentation, hue=turns))
    for seen, pixel in zip(found.reshape(-1, 3), pixels.reshape(-1, 3) / 255, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        assert gap(seen, np.array(colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value)) * 255) <= 0.51


def test_colours_are_clipped_once_at_the_end() -> None:
    """Four times the contrast takes 200 to 400; at half the light that is 200, where a clip between would leave 128."""
    picture = np.full((1, 10, 10, 3), 200, np.uint8)
    picture[:, 5:] = 66  # mean grey 133, so that 133 + 4 (200 - 133) = 401
    augmentation = Augmentation(brightness=1, contrast=1)
    found = augmented(picture, augmentation, fixed(augmentation, brightness=0.5, contrast=4.0))
    assert found[0, 0, 0].tolist() == [201] * 3 and found[0, 9, 9].tolist() == [0] * 3


def test_principal_components_are_those_of_the_chosen_pixels() -> None:
    batch = pictures(9, 20)
    chosen = np.array([1, 4, 5, 8])
    values, vectors = principal_components(batch, chosen)
    covariance = np.cov(batch[chosen].reshape(-1, 3).T / 255, bias=True)
    assert vectors @ np.diag(values) @ vectors.T == pytest.approx(covariance)
    assert (np.diff(values) <= 0).all() and vectors.T @ vectors == pytest.approx(np.eye(3))
    assert (vectors[np.abs(vectors).argmax(0), range(3)] > 0).all()
    assert not np.allclose(values, principal_components(batch, np.arange(9))[0])


def test_pca_colour_equals_the_formula() -> None:
    """[p1 p2 p3] [a1 l1, a2 l2, a3 l3], a ~ N(0, 0.1), once a picture, pixels from 0 to 1 (AlexNet, section 4.1)."""
    batch = (pictures(5, 16) // 2 + 64).astype(np.uint8)  # far from the ends, so that nothing is clipped
    (l1, l2, l3), p = values, vectors = principal_components(batch, np.arange(5))
    augmentation = Augmentation(pca_colour=0.1)
    found = augmented(batch, augmentation, draws(augmentation, 7, 3, 5, (values, vectors)))
    alpha = generator(7, "augment", "pca", 3).normal(0, 0.1, (5, 3))
    for picture, seen, (a1, a2, a3) in zip(batch, found, alpha, strict=True):
        added = np.array([p[k, 0] * a1 * l1 + p[k, 1] * a2 * l2 + p[k, 2] * a3 * l3 for k in range(3)])
        assert gap(seen, picture + 255 * added) <= 0.51


def test_alpha_is_normal() -> None:
    values, vectors = COMPONENTS
    added = draws(Augmentation(pca_colour=0.1), 0, 1, 20000, COMPONENTS).pca
    alpha = added @ vectors / values
    assert alpha.std(0) == pytest.approx([0.1] * 3, rel=0.02)
    assert np.abs(alpha.mean(0)).max() < 0.003 and np.abs(np.corrcoef(alpha.T) - np.eye(3)).max() < 0.03


def test_means_are_exact() -> None:
    batch = np.full((1, 700, 700, 3), 255, np.uint8)
    batch[0, 0, 0] = 0
    values = torch.from_numpy(batch).permute(0, 3, 1, 2).float()
    exact = np.full((1, 3), 255 * (700**2 - 1) / 700**2)  # too many for a float32 to count
    assert np.array_equal(channel_means(values), exact)


# Masks and boxes.


def test_masks_and_boxes_stay_on_their_objects() -> None:
    """A red square on blue: its mask still lies on what is red, and its box still holds it and no more than it must."""
    count, size, random = 60, 64, np.random.default_rng(0)
    augmentation = replace(PRESETS["strong"], fill="black")
    batch, masks = np.full((count, size, size, 3), (40, 60, 200), np.uint8), np.zeros((count, size, size), np.uint8)
    corners = random.integers(8, 30, (count, 2))
    for picture, mask, (x, y) in zip(batch, masks, corners, strict=True):
        picture[y : y + 24, x : x + 24], mask[y : y + 24, x : x + 24] = (220, 40, 40), 1
    table = draws(augmentation, 0, 1, count, COMPONENTS)
    seen = augmented(batch, augmentation, table).astype(int)
    moved = augmented_masks(masks, augmentation, table, fill=255)
    red = seen[..., 0] > seen[..., 2] + 25  # no colour change makes blue or black this red
    overlap = ((moved == 1) & red).sum((1, 2)) / np.maximum(((moved == 1) | red).sum((1, 2)), 1)
    large = (moved == 1).sum((1, 2)) > 100
    assert large.sum() > 50 and overlap[large].min() > 0.93
    assert set(np.unique(moved)) == {0, 1, 255}
    outside = moved == 255
    # Black came in, give or take its colour change and a border that blends with the blue inside.
    assert outside.mean() > 0.02 and (seen[outside, 2] < seen[~outside, 2].mean() / 2).mean() > 0.9

    boxes = np.concatenate([corners, corners + 24], axis=1)
    found, kept = augmented_boxes(boxes, np.arange(count), size, augmentation, table, least=0.0)
    assert set(np.flatnonzero(large)) <= set(kept)
    whole = 0
    for (left, top, right, bottom), index in zip(found, kept, strict=True):
        y, x = np.nonzero(moved[index] == 1)
        if len(x):
            loose = [x.min() - left, y.min() - top, right - x.max() - 1, bottom - y.max() - 1]
            assert min(loose) > -0.6  # a pixel belongs to the object if its centre does
            if left > 0 and top > 0 and right < size and bottom < size:
                assert max(loose) < 2.5  # less than the tip of a corner between pixels
                whole += 1
    assert whole > 20


def test_nearest_pictures_and_masks_agree() -> None:
    batch, augmentation = pictures(5, 30), replace(MOVING, fill="black", interpolation="nearest")
    table = draws(augmentation, 0, 1, 5)
    moved = augmented(batch, augmentation, table)
    assert np.array_equal(augmented_masks(batch[..., 1], augmentation, table, fill=0), moved[..., 1])
    large = batch[..., 1].astype(np.int64) * 1_000_003 + 2**40  # beyond what a float32 can hold
    found = augmented_masks(large, augmentation, table, fill=2**40)
    assert np.array_equal(found, moved[..., 1].astype(np.int64) * 1_000_003 + 2**40)


def test_boxes_by_hand() -> None:
    augmentation = Augmentation(shift_x=0.5, flip=True)
    right = fixed(augmentation, shift=(0.999, 0.5))  # 5 pixels of 10
    boxes = np.array([[6, 2, 10, 6], [2, 2, 6, 6], [0, 0, 2, 3], [1, 1, 1, 4]])
    owners = np.zeros(4, int)
    found, kept = augmented_boxes(boxes, owners, 10, augmentation, right, least=0.5)
    assert kept.tolist() == [1, 2]
    assert found == pytest.approx(np.array([[7, 2, 10, 6], [5, 0, 7, 3]]))
    assert augmented_boxes(boxes, owners, 10, augmentation, right, least=0.8)[1].tolist() == [2]
    found, kept = augmented_boxes(boxes[:1], owners[:1], 10, augmentation, fixed(augmentation, flip=True))
    assert found == pytest.approx(np.array([[0, 2, 4, 6]]))
    turned = replace(MOVING, shift_x=0, shift_y=0)
    found, _ = augmented_boxes(np.array([[3, 3, 7, 7]]), owners[:1], 10, turned, fixed(turned, rotation=45.0))
    assert found == pytest.approx(np.array([[5 - 8**0.5, 5 - 8**0.5, 5 + 8**0.5, 5 + 8**0.5]]))
    none = augmented_boxes(np.zeros((0, 4)), np.zeros(0, int), 10, turned, fixed(turned))
    assert none[0].shape == (0, 4) and none[1].shape == (0,)
    still, kept = augmented_boxes(boxes, owners, 10, PRESETS["none"], fixed(PRESETS["none"]))
    assert np.array_equal(still, boxes[:3]) and kept.tolist() == [0, 1, 2]


def test_boxes_follow_their_own_picture() -> None:
    augmentation = PRESETS["shift"]
    table = draws(augmentation, 0, 1, 6)
    owners = np.array([5, 0, 0, 3])
    found, kept = augmented_boxes(np.tile([10, 10, 20, 20], (4, 1)), owners, 32, augmentation, table)
    assert kept.tolist() == [0, 1, 2, 3]
    assert found - [10, 10, 20, 20] == pytest.approx(np.tile(whole_shifts(augmentation, table, 32)[owners], 2))


def test_the_strongest_warp_can_be_undone() -> None:
    augmentation = Augmentation(warp=0.05, rotation=40)
    random = np.random.default_rng(0)
    table = draws(augmentation, 0, 1, 50)
    extreme = np.sign(random.uniform(-1, 1, (50, 2, WARP_KNOTS, WARP_KNOTS))) * 0.05
    for warped in (table, replace(table, warp=extreme)):
        landed = random.uniform(-1, 1, (50, 200, 2))
        target = landed + displacement(warped.warp, landed)
        inverse = np.linalg.inv(matrices(augmentation, warped, 64))
        sampled = np.einsum("nij,npj->npi", inverse[:, :2, :2], target) + inverse[:, None, :2, 2]
        assert forward(augmentation, warped, 64, sampled) == pytest.approx(landed, abs=1e-5)


# Devices and sheets.


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("text", ["shift,flip=true", "strong", "strong,fill=mean,interpolation=nearest"])
def test_another_device_gives_the_same(text: str) -> None:
    batch, augmentation = pictures(8, 48), parse(text)
    table = draws(augmentation, 0, 1, 8, COMPONENTS)
    there = augmented_tensor(torch.from_numpy(batch).cuda(), augmentation, table)
    assert there.is_cuda and gap(there.cpu().numpy(), augmented(batch, augmentation, table)) <= 1


def test_a_sheet_shows_what_training_will_see() -> None:
    batch, augmentation = pictures(9, 160), PRESETS["strong"]
    sheet = contact_sheet(batch, augmentation, seed=4, columns=3, chosen=[7, 2], components=COMPONENTS)
    pixels = np.asarray(sheet)
    views = [augmented(batch, augmentation, draws(augmentation, 4, epoch, 9, COMPONENTS))[2] for epoch in (1, 2, 3)]
    places = []
    for part in (batch[7], batch[2], *views):
        y, x = np.nonzero((pixels[:-160, :-160] == part[0, 0]).all(-1))
        found = [(c, r) for r, c in zip(y, x, strict=True) if np.array_equal(pixels[r : r + 160, c : c + 160], part)]
        places += found[:1]
    (first, above), *row = places
    assert row == sorted(row) and len(row) == 4 and len({y for _, y in row}) == 1  # the second row: itself, then epochs
    assert row[0][0] == first and row[0][1] > above
    assert sheet.mode == "RGB" and len(np.unique(pixels[:90].reshape(-1, 3), axis=0)) > 10  # there are words on top


def test_sheets_of_small_and_few_pictures() -> None:
    assert contact_sheet(pictures(1, 8), PRESETS["none"], 0, columns=1).width > 500
    wide = contact_sheet(pictures(20, 8), PRESETS["shift"], 0, columns=2)
    assert wide.height > contact_sheet(pictures(3, 8), PRESETS["shift"], 0, columns=2).height
    for wrong in ({"chosen": [3]}, {"chosen": []}, {"chosen": [-1]}, {"columns": 0}):
        with pytest.raises(UsageError):
            contact_sheet(pictures(3, 8), PRESETS["shift"], 0, **wrong)
    with pytest.raises(UsageError):
        contact_sheet(np.zeros((0, 8, 8, 3), np.uint8), PRESETS["shift"], 0)
