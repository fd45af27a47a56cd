"""Mixed pictures: mixup and CutMix, which show a network two pictures in one and ask for both answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lensmith.errors import UsageError
from lensmith.reproduce import generator


@dataclass(frozen=True)
class Mixing:
    """How strongly pictures are mixed: the alpha of Beta(alpha, alpha) for each way, 0 for off.

    With both on, a step takes one of them, each as often as the other.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        """Refuse an alpha that no distribution has."""
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not 0 <= alpha <= 10:
                raise UsageError(f"{name} is {alpha:g}; must be 0 (off) to 10. Try 0.2 for mixup, 1 for cutmix.")


def mixed(images: Tensor, soft_targets: Tensor, settings: Mixing, place: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Return a batch in which picture i has become part of itself and part of another picture of the batch.

    images: (n, 3, s, s) float, normalised; soft_targets: (n, ...) float, mixed in the same share. place: (seed, epoch,
    step), from which all follows. What is given is left as it is. One share lambda for the whole batch, as both papers'
    own programs draw it, and one box: then mixing is a single pass, and a batch is as different from the next as if
    every picture had its own.
    mixup: lambda x_i + (1 - lambda) x_j (Zhang et al. 2018, eq. 1). CutMix: a box of area 1 - lambda, its centre
    anywhere in the picture, comes from picture j; lambda is then what of picture i is really left, since boxes are cut
    off at the border and at whole pixels (Yun et al. 2019, eq. 1 and 2).
    """
    if not (settings.mixup or settings.cutmix) or len(images) < 2:
        return images, soft_targets
    random = generator(place[0], "mix", *place[1:])
    cut = settings.cutmix > 0 and (settings.mixup == 0 or bool(random.random() < 0.5))
    alpha = settings.cutmix if cut else settings.mixup
    share = float(random.beta(alpha, alpha))
    other = torch.from_numpy(random.permutation(len(images))).to(images.device)
    if cut:
        height, width = images.shape[2:]
        across, down = random.random(2)
        left, right = _side(across, width, share)
        top, bottom = _side(down, height, share)
        share = 1 - (right - left) * (bottom - top) / (height * width)
        images = images.clone()
        images[:, :, top:bottom, left:right] = images[other, :, top:bottom, left:right]
    else:
        images = torch.lerp(images[other], images, share)
    return images, torch.lerp(soft_targets[other], soft_targets, share)


def _side(centre: float, length: int, share: float) -> tuple[int, int]:
    """Return begin and end of a box's side, sqrt(1 - share) of the picture's, cut off at the border."""
    middle, half = int(centre * length), int(length * (1 - share) ** 0.5) / 2
    return max(0, round(middle - half)), min(length, round(middle + half))
