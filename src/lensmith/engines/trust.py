"""What a converted base's answers are worth: compared with float32 torch before a lower precision is trusted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from lensmith.data.synthetic import check_pictures
from lensmith.engines.interface import collect
from lensmith.engines.openvino import OpenVinoEngine, has_bfloat16
from lensmith.reproduce import processor

# float32 must be the same network; bfloat16 may only blur it. The measure is the cosine between the features of
# both, after the mean picture is taken off, since features after a ReLU are alike before they say anything.
LEAST_AGREEMENT = {"float32": 0.9999, "bfloat16": 0.95}
CHECKED_PICTURES = 16


@dataclass(frozen=True)
class Trust:
    """Agreement with float32 torch of each precision that was good enough, lowest precision last."""

    agreement: dict[str, float]
    refused: dict[str, float]

    @property
    def precision(self) -> str:
        """The lowest trusted precision, which is the fastest; empty if none is trusted."""
        return list(self.agreement)[-1] if self.agreement else ""

    def sentence(self) -> str:
        """Return the finding in words."""
        parts = [f"{name} {value:.4f}" for name, value in self.agreement.items()]
        parts += [f"{name} {value:.4f} (refused)" for name, value in self.refused.items()]
        return f"cosine with torch in float32 on {CHECKED_PICTURES} drawn pictures: {', '.join(parts)}"


def check(folder: Path, image_size: int) -> Trust:
    """Run a converted base on the drawn pictures and compare with what torch said of them; needs no torch."""
    pictures = check_pictures(CHECKED_PICTURES, image_size)
    with np.load(folder / "check.npz", allow_pickle=False) as stored:
        reference = stored["reference"]
    trust = Trust({}, {})
    for precision in ("float32", "bfloat16"):
        if precision == "bfloat16" and not (trust.agreement and has_bfloat16()):
            break
        found = alike(collect(OpenVinoEngine(folder, precision).run(pictures)).features, reference)
        good = found >= LEAST_AGREEMENT[precision]
        (trust.agreement if good else trust.refused)[precision] = found
    return trust


def alike(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the median cosine between rows (n, F), the reference's mean row taken off both; 0 if not finite."""
    if not np.isfinite(found).all():
        return 0.0
    mean = reference.mean(0)
    one, other = (found - mean).astype(np.float64), (reference - mean).astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    if not lengths.all():  # a constant output has no direction; then only equality counts
        return float(np.allclose(found, reference, rtol=1e-3, atol=1e-5))
    return float(np.median((one * other).sum(1) / lengths))


def write_trust(folder: Path, trust: Trust) -> None:
    """Write base.json: what was found, and where."""
    text = json.dumps({"stamp": _stamp(), **asdict(trust)}, indent=1)
    (folder / "base.json").write_text(text, encoding="utf-8")


def read_trust(folder: Path) -> Trust | None:
    """Return what was found by this version of OpenVINO on this kind of processor, or None."""
    fields = json.loads((folder / "base.json").read_text(encoding="utf-8"))
    return Trust(fields["agreement"], fields["refused"]) if fields["stamp"] == _stamp() else None


def _stamp() -> str:
    return f"openvino {metadata.version('openvino')} on {processor()}"
