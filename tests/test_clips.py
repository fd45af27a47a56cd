"""Clips: which are found, what is seen of them, and every verb on folders of frames."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lensmith
from lensmith.data.clips import Moving, clips_in, frames_in, kept, moving_from_dict, read_clips
from lensmith.data.preprocess import Preprocessing
from lensmith.data.source import open_data
from lensmith.engines.pytorch import Normalise
from lensmith.errors import DataError, RunError, UsageError
from lensmith.reproduce import generator
from lensmith.training.augmentation import parse
from lensmith.zoo.clips import ClipBase

MOVING = Moving(4, Preprocessing(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))


def write_clip(folder: Path, step: int, seed: int, frames: int = 6, size: int = 24) -> Path:
    """A bright square that goes left or right over a grainy ground."""
    folder.mkdir(parents=True)
    random = generator(0, "clip", seed)
    top, ground = int(random.integers(2, 14)), random.integers(0, 60, (size, size, 3)).astype(np.uint8)
    for frame in range(frames):
        pixels, left = ground.copy(), 9 + step * (frame - frames // 2)
        pixels[top : top + 7, max(left, 0) : max(left + 7, 0)] = 230
        Image.fromarray(pixels).save(folder / f"{frame}.png")
    return folder


@pytest.fixture(scope="module")
def moves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "moves"
    for way, step in (("left", -3), ("right", 3)):
        for number in range(16):
            write_clip(folder / way / f"clip{number}", step, number)
    return folder


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10.png", "2.png", "1.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in frames_in(tmp_path)] == ["1.png", "2.png", "10.png"]


def test_the_frames_seen_are_spread_over_the_clip(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for number in range(7):
        Image.new("RGB", (9, 9), (number * 10,) * 3).save(clip / f"{number}.png")
    ((record, frames),) = read_clips(tmp_path, ["clip"], MOVING)
    assert frames is not None and frames.shape == (4, 8, 8, 3) and (record.width, record.height) == (9, 9)
    assert (frames[:, 0, 0, 0] // 10).tolist() == [0, 2, 4, 6]


def test_one_frame_is_no_clip_and_its_reason_is_told(tmp_path: Path) -> None:
    write_clip(tmp_path / "short", 1, 0, frames=1)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    records, frames = kept(read_clips(tmp_path, ["short", "broken.mp4", "gone.mp4"], MOVING), 3, MOVING)
    assert records[0].reason == "one frame: a clip needs 2 at least"
    assert "video" in records[1].reason and "video" in records[2].reason and not frames.any()


def test_videos_are_read_where_the_plug_in_is(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    file = tmp_path / "moves" / "up" / "a.mp4"
    file.parent.mkdir(parents=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for number in range(8):
            picture = np.full((24, 32, 3), 30 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    ((record, frames),) = read_clips(tmp_path, ["moves/up/a.mp4"], MOVING)
    assert frames is not None and (record.width, record.height) == (32, 24)
    assert np.abs(frames.mean((1, 2, 3)) - [0, 60, 150, 210]).max() < 12
    assert clips_in(file.parent) == [file]


def test_folders_of_clips_are_data_sets(moves: Path, tmp_path: Path) -> None:
    dataset = open_data(moves, frames=True)
    assert (dataset.example, dataset.classes, len(dataset)) == ("clip", ("left", "right"), 32)
    assert open_data(moves).example == "picture"  # without being told, frames are pictures
    for split in ("train", "val"):
        write_clip(tmp_path / split / "up" / "a", 1, 0)
        write_clip(tmp_path / split / "down" / "b", 1, 0)
    assert open_data(tmp_path, frames=True).given == ("train", "train", "validation", "validation")
    with pytest.raises(DataError, match="one class of clips, 'up'"):
        open_data(write_clip(tmp_path / "one" / "up" / "a", 1, 0).parents[1], frames=True)


def test_a_video_among_photographs_makes_no_clips_of_them(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / "photos")
    (tmp_path / "photos" / "disc" / "holiday.mp4").write_bytes(b"")
    dataset = open_data(tmp_path / "photos")
    assert (dataset.example, len(dataset)) == ("picture", 90) and dataset.not_pictures == ("disc/holiday.mp4",)
    for name in ("up", "down"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        (tmp_path / "videos" / name / "a.mp4").write_bytes(b"")
    assert open_data(tmp_path / "videos").example == "clip"


def test_how_clips_are_seen_survives_its_file() -> None:
    assert moving_from_dict(json.loads(json.dumps(MOVING.as_dict()))) == MOVING


@pytest.mark.parametrize("network", ["r3d_18", "mc3_18", "r2plus1d_18"])
def test_bases_give_what_torchvision_does_before_its_last_layer(network: str) -> None:
    import torch
    from torchvision.models import video

    torch.manual_seed(0)
    whole = getattr(video, network)(weights=None).eval()
    base = ClipBase(network).eval()
    base.load_state_dict({name: tensor for name, tensor in whole.state_dict().items() if not name.startswith("fc.")})
    whole.fc = torch.nn.Identity()
    clips = torch.randn(1, 3, 4, 16, 16)
    with torch.no_grad():
        assert torch.allclose(base(clips), whole(clips), atol=1e-5)


def test_the_parameters_of_r3d_18_are_the_published_ones() -> None:
    assert sum(tensor.numel() for tensor in ClipBase("r3d_18").parameters()) + 400 * 513 == 33_371_472


def test_normalising_turns_time_inside() -> None:
    import torch

    clips = torch.randint(0, 256, (2, 4, 5, 5, 3), dtype=torch.uint8)
    found = Normalise((0.4, 0.5, 0.6), (0.1, 0.2, 0.3), {})(clips)
    assert found.shape == (2, 3, 4, 5, 5)
    assert float(found[1, 2, 3, 4, 0]) == pytest.approx((float(clips[1, 3, 4, 0, 2]) / 255 - 0.6) / 0.3, abs=1e-5)


def test_all_frames_of_a_clip_are_changed_alike() -> None:
    from lensmith.training.moving import Clips

    still = np.repeat(generator(0, "still").integers(0, 256, (3, 1, 16, 16, 3)), 4, 1).astype(np.uint8)
    shown = Clips(still, parse("shift,rotation=30,flip=true"), 0, np.arange(3))
    changed = shown(1, np.array([2, 0]))
    assert changed.shape == (2, 4, 16, 16, 3) and (changed == changed[:, :1]).all()
    assert (changed != still[[2, 0]]).any() and (shown(0, np.array([1])) == still[1]).all()


@pytest.fixture(scope="module")
def run(moves: Path, tmp_path_factory: pytest.TempPathFactory) -> lensmith.Run:
    out = tmp_path_factory.mktemp("runs")
    settings = {"frames": 4, "image_size": 24, "weights": "none", "augment": "none", "network": "mc3_18"}
    return lensmith.train(moves, epochs=4, learning_rate=0.001, batch_size=8, out=out, quiet=True, **settings)  # type: ignore[arg-type]


def test_every_verb_takes_clips(run: lensmith.Run, moves: Path) -> None:
    assert run.metrics["test"]["accuracy"]["value"] >= 0.75  # no single frame tells left from right
    assert lensmith.evaluate(run, quiet=True).metrics == run.metrics["test"]
    assert lensmith.evaluate(run, moves, quiet=True).seen == 26
    found = lensmith.predict(run, [moves / "left" / "clip0", moves / "right"])
    assert len(found) == 17 and found[0].path.endswith("clip0") and found[0].probabilities.keys() == {"left", "right"}
    page = run.report.read_text()
    assert (
        "What it saw" in page
        and "test clips" in page
        and "picture" not in re.sub("<[^>]*>", "", page.partition("<main>")[2]).lower()
    )


def test_a_clip_that_changed_is_refused(moves: Path, tmp_path: Path, run: lensmith.Run) -> None:
    rows = [row["path"] for row in run.read_table("splits.csv") if row["split"] == "test"]
    frame = moves / rows[0] / "0.png"
    before = frame.read_bytes()
    Image.new("RGB", (24, 24)).save(frame)
    try:
        with pytest.raises(RunError, match="is gone or has changed"):
            lensmith.evaluate(run, quiet=True)
    finally:
        frame.write_bytes(before)


def test_weights_from_a_file_are_where_training_begins(moves: Path, tmp_path: Path) -> None:
    import torch
    from torchvision.models import video

    torch.manual_seed(1)
    torch.save(video.mc3_18(weights=None).state_dict(), tmp_path / "mc3_18.pth")
    run = lensmith.train(
        moves,
        frames=2,
        image_size=16,
        weights=tmp_path / "mc3_18.pth",
        network="mc3_18",
        epochs=1,
        learning_rate=1e-6,
        out=tmp_path,
        quiet=True,
    )
    assert run.document["recipe"]["recipe"] == "finetune"
    from safetensors.numpy import load_file

    kept_weight = load_file(run.model_folder / "model.safetensors")["base.stem.0.weight"]
    np.testing.assert_allclose(kept_weight, torch.load(tmp_path / "mc3_18.pth")["stem.0.weight"], atol=1e-4)


def test_clips_refuse_what_they_have_no_use_for(moves: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sees no time; for clips there are r3d_18"):
        lensmith.train(moves, frames=4, network="resnet18", out=tmp_path, quiet=True)
    with pytest.raises(
        UsageError, match=r"mixup is 0\.2, which has no use here: .*moves holds clips\. Leave --mixup out"
    ):
        lensmith.train(moves, frames=4, mixup=0.2, out=tmp_path, quiet=True)


def test_networks_for_clips_are_refused_for_pictures(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which takes clips, not pictures"):
        lensmith.train(shapes, network="r3d_18", recipe="scratch", epochs=1, out=tmp_path, quiet=True)
