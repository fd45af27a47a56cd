"""A contact sheet: pictures beside what training will be shown in their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lensmith.data.pixels import Pictures
from lensmith.errors import UsageError
from lensmith.training.augment import augmented
from lensmith.training.augmentation import Augmentation, in_words, spelled
from lensmith.training.draws import draws

ROWS = 6  # pictures shown where none are chosen
TILE = 160  # side of a picture on the sheet
GAP, MARGIN, GUTTER = 10, 48, 34  # between views, around the sheet, between an original and its views
MAT = 5  # paper between an original and its frame
PAPER, INK, SOFT, RULE, GLASS = "#f3f6f5", "#13201f", "#4a5b58", "#c6d2cf", "#0a5a6e"
TITLE, TEXT, CAPTION = 26, 15, 13  # heights of letters
LEADING = 22


def contact_sheet(
    pictures: Pictures,
    augmentation: Augmentation,
    seed: int,
    columns: int = 7,
    chosen: Sequence[int] | None = None,
    components: tuple[np.ndarray, np.ndarray] | None = None,
    title: str | None = None,
) -> Image.Image:
    """Return a picture with a row for each chosen picture: itself, framed, then its views in epochs 1 to `columns`.

    pictures: (n, s, s, 3) uint8; the views are those that training with this seed shows, since they follow from the
    position in this array. chosen: positions, six evenly spread by default. components: what `draws` takes for
    pca_colour. title: what stands on top, the augmentation's own spelling by default. Raises UsageError where there is
    nothing to show.
    """
    rows = _rows(len(pictures), chosen)
    if columns < 1:
        raise UsageError(f"columns is {columns}; must be 1 or more. Try 7.")
    count = int(rows.max()) + 1
    originals = pictures[rows]
    views = [
        augmented(originals, augmentation, draws(augmentation, seed, epoch, count, components)[rows])
        for epoch in range(1, columns + 1)
    ]
    left = MARGIN + TILE + 2 * MAT + GUTTER
    width = max(left + columns * (TILE + GAP) - GAP + MARGIN, 2 * MARGIN + 3 * TILE)
    words = in_words(augmentation) or ["every picture is shown as it is"]
    lines = _wrapped(words, width - 2 * MARGIN)
    top = MARGIN + TITLE + 14 + LEADING * len(lines) + 34 + MAT
    sheet = Image.new("RGB", (width, top + len(rows) * (TILE + 2 * MAT + GAP) - GAP - MAT + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    heading = title or spelled(augmentation)
    draw.text((MARGIN, MARGIN + TITLE - 4), heading, INK, _fitting(heading, width - 2 * MARGIN), anchor="ls")
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + TITLE + 10 + number * LEADING), line, SOFT, _font(TEXT))
    _caption(draw, MARGIN + MAT, top, "original")
    for epoch in range(columns):
        _caption(draw, left + epoch * (TILE + GAP), top, f"epoch {epoch + 1}")
    for row, original in enumerate(originals):
        y = top + row * (TILE + 2 * MAT + GAP)
        _frame(draw, MARGIN + MAT, y, MAT, GLASS)
        sheet.paste(_tile(original), (MARGIN + MAT, y))
        for epoch, view in enumerate(views):
            x = left + epoch * (TILE + GAP)
            _frame(draw, x, y, 1, RULE)
            sheet.paste(_tile(view[row]), (x, y))
    return sheet


def _rows(count: int, chosen: Sequence[int] | None) -> np.ndarray:
    """Return the positions to show, checked."""
    if chosen is None:
        chosen = np.unique(np.linspace(0, count - 1, min(ROWS, count)).round().astype(int)).tolist()
    rows = np.asarray(chosen, np.int64)
    if not len(rows) or rows.min() < 0 or rows.max() >= count:
        raise UsageError(f"pictures chosen are {list(chosen)}; must be one or more positions below {count}.")
    return rows


def _tile(pixels: np.ndarray) -> Image.Image:
    """Return a square of the sheet's size; small pictures keep their pixels visible."""
    smooth = len(pixels) > TILE
    kernel = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return Image.fromarray(pixels).resize((TILE, TILE), kernel)


def _frame(draw: ImageDraw.ImageDraw, x: int, y: int, away: int, colour: str) -> None:
    """Draw a thin line around the tile at x, y."""
    draw.rectangle((x - away, y - away, x + TILE + away - 1, y + TILE + away - 1), outline=colour)


def _caption(draw: ImageDraw.ImageDraw, x: int, top: int, text: str) -> None:
    draw.text((x, top - MAT - CAPTION - 9), text, SOFT, _font(CAPTION))


def _wrapped(words: list[str], width: int) -> list[str]:
    """Return the lines into which the words fit, broken between them."""
    lines, font = [""], _font(TEXT)
    for word in words:
        longer = f"{lines[-1]}  ·  {word}" if lines[-1] else word
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _fitting(text: str, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the title's font, smaller where the text would not fit."""
    return _font(max(CAPTION, min(TITLE, int(TITLE * width / max(1, _font(TITLE).getlength(text))))))


def _font(height: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)
