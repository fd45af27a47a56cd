"""Networks for short clips: residual networks whose filters see time too (Tran et al. 2018, "A closer look at
spatiotemporal convolutions for action recognition").

r3d_18 has 3 x 3 x 3 filters throughout; r2plus1d_18 looks over the picture first and over time then; mc3_18 sees time
in its first layers alone.
"""

from __future__ import annotations

from torch import Tensor, nn

FEATURES = 512
PARTS = ("stem", "layer1", "layer2", "layer3", "layer4")


class ClipBase(nn.Module):
    """(N, 3, t, s, s) normalised clips -> (N, 512): torchvision's network up to the mean over places and times.

    Its tensors have torchvision's names, so published weights load as they are.
    """

    def __init__(self, network: str) -> None:
        super().__init__()
        from torchvision.models import video

        whole = {"r3d_18": video.r3d_18, "mc3_18": video.mc3_18, "r2plus1d_18": video.r2plus1d_18}[network](
            weights=None
        )
        for part in PARTS:
            self.add_module(part, getattr(whole, part))

    def forward(self, clips: Tensor) -> Tensor:
        """Return the features."""
        for part in PARTS:
            clips = self.get_submodule(part)(clips)
        return clips.mean((2, 3, 4))
