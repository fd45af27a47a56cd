"""Where a network looked, from the last feature map and the dense head alone: no torch, no pass back."""

from __future__ import annotations

import numpy as np

from lensmith.engines.head import Head


def grad_cam(head: Head, pool: str, features: np.ndarray, maps: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return (n, h, w) float32 >= 0: how much each place spoke for class `classes[i]` of picture i.

    Grad-CAM (Selvaraju et al. 2017, eq. 1 and 2): channels weighted by the spatial mean of the gradient of the score
    before softmax, summed, ReLU. Where the features are the mean of the map and the head is linear this is CAM (Zhou
    et al. 2016). `features` (n, F) are those the head saw, `maps` (n, C, h, w) the base's last feature map.
    """
    count, channels, height, width = maps.shape
    gradient = head.gradient(features, classes)
    if pool == "mean":
        weights = gradient / (height * width)
    else:
        weights = gradient.reshape(count, channels, height * width).mean(2)
    heat: np.ndarray = np.maximum(np.einsum("nc,nchw->nhw", weights, maps), 0).astype(np.float32)
    return heat
