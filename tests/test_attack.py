"""Attacks: equal to captum's where it is right, the smallest change equal to brute force, and the verb end to end."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import lensmith
from lensmith.data.preprocess import Preprocessing
from lensmith.engines.interface import batches
from lensmith.errors import DataError, RunError, UsageError
from lensmith.files import OURS
from lensmith.reports import fragility
from lensmith.run import Run
from lensmith.seeing.adversarial import FULL, attacked, coin_noise, descend, fgsm_at, smallest, step_of
from lensmith.seeing.eye import Eye
from lensmith.seeing.goal import goal_of, odds
from lensmith.seeing.subject import Subject
from lensmith.tasks.classification import Classification
from lensmith.tasks.interface import Task
from lensmith.tasks.multilabel import Multilabel
from lensmith.tasks.regression import Regression
from running import lensmith as front_door

SIDE = 6


class Plain(nn.Module):
    """(N, s, s, 3) grey levels to (N, 3, s, s), unchanged."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.permute(0, 3, 1, 2)


def small_net(classes: int = 4, scale: float = 0.02) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, classes)).eval()
        with torch.no_grad():
            net[0].weight *= scale
    return net


def drawn(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def pixels_of(squares: np.ndarray) -> Tensor:
    return torch.from_numpy(squares).permute(0, 3, 1, 2).float()


def subject_of(net: nn.Module, task: Task) -> Subject:
    eye = Eye(net, Plain())

    def says(squares: object) -> np.ndarray:
        with torch.inference_mode():
            parts = [eye(pixels_of(batch)).numpy() for batch in batches(squares, 8)]  # type: ignore[arg-type]
        return np.concatenate(parts)

    return Subject("net", task, Preprocessing(SIDE, (0, 0, 0), (1, 1, 1)), says, lambda: eye)


# Against captum.


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("steps", [1, 7])
def test_equal_to_captum(steps: int, targeted: bool) -> None:
    robust = pytest.importorskip("captum.robust")
    net, pixels, labels = small_net(), pixels_of(drawn(5)), torch.tensor([0, 1, 2, 3, 1])

    def probabilities(images: Tensor) -> Tensor:
        return net(images).softmax(1)

    def score(outputs: Tensor) -> Tensor:
        return odds(outputs, labels) * (-1 if targeted else 1)

    with warnings.catch_warnings(action="ignore"):  # that it sets requires_grad
        if steps == 1:
            method = robust.FGSM(probabilities, lower_bound=0, upper_bound=255)
            method.zero_thresh = 0  # else gradients below 1e-6 count as none, whatever the scale of the pixels
            theirs = method.perturb(pixels.clone(), epsilon=8, target=labels, targeted=targeted)
            ours = descend(net, pixels, score, 8, 8, 1)
        else:
            method = robust.PGD(probabilities, lower_bound=0, upper_bound=255)
            method.fgsm.zero_thresh = 0
            theirs = method.perturb(
                pixels.clone(), radius=8, step_size=2, step_num=steps, target=labels, targeted=targeted
            )
            ours = descend(net, pixels, score, 8, 2, steps)
    assert not torch.equal(ours, pixels)
    torch.testing.assert_close(ours, theirs.detach(), rtol=0, atol=1e-4)


def test_a_sure_network_is_attacked_where_the_gradient_of_its_loss_is_lost() -> None:
    """Probability 1 in float32: captum sees no gradient, or one of the other classes alone. In float64 it is there."""
    robust = pytest.importorskip("captum.robust")
    net, pixels, labels = small_net(scale=1.0), pixels_of(drawn(3)), torch.zeros(3, dtype=torch.int64)
    net[3].bias.data[0] += 2000
    assert (net(pixels).softmax(1)[:, 0] == 1).all()
    wrong = robust.FGSM(lambda images: net(images).softmax(1)).perturb(
        pixels.clone().requires_grad_(), epsilon=8, target=labels
    )
    assert torch.equal(wrong, pixels)
    ours = descend(net, pixels, lambda outputs: odds(outputs, labels), 8, 8, 1)
    exact = pixels.double().requires_grad_()
    scores = net.double()(exact)
    others = scores[:, 1:].logsumexp(1)  # of the loss log(1 + exp(others - first)) with its vanishing factor left out
    (slope,) = torch.autograd.grad((others - scores[:, 0]).sum(), exact)
    torch.testing.assert_close(ours.double(), (pixels.double() + 8 * slope.sign()).clamp(0, 255), rtol=0, atol=1e-4)


def test_odds_are_the_logit_of_the_softmax() -> None:
    outputs, place = torch.randn(6, 5, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 4, 0])
    share = outputs.softmax(1)[torch.arange(6), place]
    torch.testing.assert_close(odds(outputs, place), (share / (1 - share)).log())


def test_nothing_goes_beyond_epsilon_or_the_picture() -> None:
    net, pixels = small_net(), pixels_of(drawn(4, 1))
    epsilon = torch.tensor([1.0, 3.0, 40.0, 255.0])
    found = descend(net, pixels, lambda outputs: outputs[:, 0], epsilon, epsilon / 2, 6)
    assert ((found - pixels).abs().flatten(1).max(1).values <= epsilon + 1e-4).all()
    assert found.min() >= 0 and found.max() <= 255
    assert (net(found)[:, 0] < net(pixels)[:, 0]).all()


def test_answers_without_a_gradient_are_refused() -> None:
    with pytest.raises(UsageError, match="no gradient"):
        descend(lambda images: images.detach().flatten(1), pixels_of(drawn(1)), lambda outputs: outputs[:, 0], 8, 8, 1)


# The smallest change.


def test_smallest_is_that_of_brute_force() -> None:
    thresholds = np.array([1, 2, 3, 4, 5, 7, 8, 9, 100, 128, 254, 255, 256, 10_000])
    asked: list[int] = []

    def flips(rows: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return epsilon >= thresholds[rows]

    every = np.array([[size >= limit for size in range(1, FULL + 1)] for limit in thresholds])
    expected = np.where(every.any(1), every.argmax(1) + 1, 0)
    assert smallest(flips, len(thresholds)).tolist() == expected.tolist()
    assert len(asked) <= 17  # nine doublings and seven halvings at most
    assert smallest(flips, 0).tolist() == []


def linear(seed: int) -> tuple[nn.Module, np.ndarray]:
    """A network whose answer is the sign of w x + b, and pictures far from black and white."""
    random = np.random.default_rng(seed)
    layer = nn.Linear(3 * SIDE * SIDE, 2)
    weights = random.normal(0, 0.01, (2, 3 * SIDE * SIDE)).astype(np.float32)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights))
        layer.bias.copy_(torch.tensor([0.0, 0.0]))
    return nn.Sequential(nn.Flatten(), layer).eval(), random.integers(100, 156, (6, SIDE, SIDE, 3)).astype(np.uint8)


def test_the_smallest_change_of_a_linear_network_is_its_margin() -> None:
    """Margin / |w1 - w0|_1 at every number is enough to move (w1 - w0) x by the margin (Goodfellow et al. 2015)."""
    net, squares = linear(5)
    subject = subject_of(net, Classification(("no", "yes")))
    scores = subject.says(squares)
    goal = goal_of(subject, scores, None)
    apart = net[1].weight.detach().numpy().astype(np.float64)
    margin = np.abs(scores[:, 1] - scores[:, 0])
    closed = margin / np.abs(apart[1] - apart[0]).sum()

    def flips(rows: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
        return goal.reached(rows, subject.says(attacked(subject.eye, squares[rows], goal, rows, epsilon, 10)))

    rows = np.arange(len(squares))
    brute = np.array([flips(rows, np.full(len(rows), size)) for size in range(1, 60)])
    found = smallest(flips, len(squares))
    assert brute.any(0).all() and closed.max() > 2
    assert found.tolist() == (brute.argmax(0) + 1).tolist() == np.ceil(closed).astype(int).tolist()


def test_steps_are_whole_and_reach_far_enough() -> None:
    sizes = np.array([1, 2, 8, 30, 255])
    for steps in (1, 3, 10, 50):
        found = step_of(sizes, steps)
        assert (found == found.round()).all() and (found >= 1).all() and (found <= sizes).all()
        assert (found * steps >= np.minimum(sizes, steps)).all()
    assert step_of(sizes, 1).tolist() == sizes.tolist()  # FGSM


def test_attacked_pictures_are_whole_and_stop_early_when_asked() -> None:
    net, squares = linear(7)
    subject = subject_of(net, Classification(("no", "yes")))
    goal, rows = goal_of(subject, subject.says(squares), None), np.arange(6)
    full = attacked(subject.eye, squares, goal, rows, np.full(6, 60), 10)
    early = attacked(subject.eye, squares, goal, rows, np.full(6, 60), 10, early=True)
    assert full.dtype == np.uint8
    assert goal.reached(rows, subject.says(full)).all() and goal.reached(rows, subject.says(early)).all()
    assert (
        np.abs(early - squares.astype(int)).sum((1, 2, 3)) <= np.abs(full - squares.astype(int)).sum((1, 2, 3))
    ).all()
    assert np.abs(early - squares.astype(int)).sum() < np.abs(full - squares.astype(int)).sum()


def test_fgsm_at_several_sizes_is_fgsm_at_each() -> None:
    squares = drawn(3, 2)
    subject = subject_of(small_net(), Classification(tuple("abcd")))
    goal = goal_of(subject, subject.says(squares), None)
    several = fgsm_at(subject.eye, squares, goal, (1, 8, 200))
    for size, found in zip((1, 8, 200), several, strict=True):
        one = attacked(subject.eye, squares, goal, np.arange(3), np.full(3, size), 1)
        np.testing.assert_array_equal(found, one)


def test_coin_noise_is_plus_or_minus_epsilon() -> None:
    square = np.full((40, 40, 3), 100, np.uint8)
    noisy = coin_noise(square, 9, 0, "a")
    assert set(np.unique(noisy)) == {91, 109}
    assert abs(float((noisy == 109).mean()) - 0.5) < 0.03
    np.testing.assert_array_equal(noisy, coin_noise(square, 9, 0, "a"))
    assert (noisy != coin_noise(square, 9, 0, "b")).any() and (noisy != coin_noise(square, 9, 1, "a")).any()
    assert coin_noise(np.zeros((4, 4, 3), np.uint8), 9, 0).max() == 9 and coin_noise(square, 255, 0).max() == 255


# What is wanted, by task.


def test_goals_of_classes() -> None:
    squares, task = drawn(4), Classification(tuple("abcd"))
    subject = subject_of(small_net(), task)
    scores = subject.says(squares)
    goal = goal_of(subject, scores, None)
    first = scores.argmax(1)
    assert goal.place.tolist() == first.tolist() and goal.competing
    assert not goal.reached(np.arange(4), scores).any()
    assert goal.reached(np.array([2]), np.roll(scores[2:3], 1, 1)).all()
    to = goal_of(subject, scores, "c")
    assert to.place.tolist() == [2] * 4 and (to.sign == -1).all()
    assert to.reached(np.arange(4), scores).tolist() == (first == 2).tolist()
    assert goal_of(subject, scores, "2").place.tolist() == [2] * 4
    with pytest.raises(UsageError, match="there is no class 'e'"):
        goal_of(subject, scores, "e")


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_a_threshold_decides_what_counts_as_fooled(output: str) -> None:
    task = Classification(("no", "yes"), threshold=0.9, output=output)
    subject = subject_of(small_net(task.outputs), task)
    logit = np.array([1.0, 3.0], np.float32)  # 0.73: no, 0.95: yes
    scores = logit[:, None] if output == "sigmoid" else np.stack([0 * logit, logit], 1)
    goal = goal_of(subject, scores, None)
    made_smaller = goal.score(np.arange(2))(torch.from_numpy(scores)).tolist()
    assert made_smaller == pytest.approx([-1.0, 3.0])  # the odds of what is answered
    assert goal.reached(np.array([0, 1]), scores[::-1]).all()
    assert goal_of(subject, scores, "yes").reached(np.arange(2), scores).tolist() == [False, True]


def test_goals_of_labels() -> None:
    task = Multilabel(("sea", "boat", "snow"), (0.5, 0.5, 0.5))
    subject = subject_of(small_net(3), task)
    scores = np.array([[3, 1, -2], [-1, -3, -2]], np.float32)
    goal = goal_of(subject, scores, None)
    assert goal.place.tolist() == [0, 0] and goal.sign.tolist() == [1, -1]  # taken away; given where there is none
    assert not goal.reached(np.arange(2), scores).any() and goal.reached(np.arange(2), -scores)[:2].all()
    to = goal_of(subject, scores, "boat")
    assert to.sign.tolist() == [-1, -1] and to.reached(np.arange(2), scores).tolist() == [True, False]
    assert not to.competing


def test_goals_of_numbers() -> None:
    subject = subject_of(small_net(1), Regression("age"))
    scores = np.array([[10.0], [50.0]], np.float32)
    endless = goal_of(subject, scores, None)
    assert endless.endless and (endless.sign == -1).all() and not endless.reached(np.arange(2), scores).any()
    to = goal_of(subject, scores, "30")
    assert to.sign.tolist() == [-1, 1] and not to.endless
    assert to.reached(np.arange(2), np.array([[30.0], [29.0]], np.float32)).all()
    assert not to.reached(np.arange(2), np.array([[29.0], [31.0]], np.float32)).any()
    for wrong in ("old", "inf"):
        with pytest.raises(UsageError, match=wrong):
            goal_of(subject, scores, wrong)


# The pictures of the page.


def test_the_difference_is_amplified_as_stated() -> None:
    clean = np.full((4, 4, 3), 100, np.uint8)
    changed = clean.copy()
    changed[0, 0], changed[1, 1] = 108, 92
    found, factor = fragility.amplified(clean, changed)
    assert factor == 15
    assert found[0, 0, 0] == 127 + 8 * 15 and found[1, 1, 0] == 127 - 8 * 15 and found[2, 2, 0] == 127
    assert fragility.amplified(clean, clean)[0].min() == 127


# The verb.


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return lensmith.train(
        shapes,
        network="convnet/8-16",
        recipe="scratch",
        epochs=16,
        image_size=16,
        learning_rate=0.01,
        augment="none",
        out=tmp_path_factory.mktemp("runs"),
        name="shapes",
        quiet=True,
    )


@pytest.fixture
def pictures(shapes: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for kind in ("disc", "cross", "square"):
        (folder / f"{kind}.png").write_bytes((shapes / kind / "004.png").read_bytes())
    return folder


def test_a_run_is_attacked_and_its_pictures_fool_it_when_read_again(
    run: Run, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "broken.png").write_text("not a picture", encoding="utf-8")
    Image.new("RGB", (40, 40), (90, 90, 90)).save(pictures / "constant.png")
    save = tmp_path / "out"
    said = front_door(
        capsys, "attack", run.folder, pictures, "--epsilon", 40, "--save", save, "--json", "--quiet", "--device", "cpu"
    )
    assert said.code == 1 and said.err == ""  # one is no picture; the others are done
    found = json.loads(said.out)
    by_name = {Path(one["path"]).name: one for one in found["pictures"]}
    assert "not a picture" in by_name["broken.png"]["error"]
    assert "one colour" in by_name["constant.png"]["note"]
    again = lensmith.attack(run, pictures, epsilon=40, save=save, quiet=True)
    assert again.as_dict() == found
    assert again.page == save / "page.html" and json.loads((save / "attack.json").read_text()) == found
    fooled = [one for one in again.pictures if one.fooled]
    assert fooled and found["summary"]["fooled"] == len(fooled)
    for one in again.pictures:
        if one.reason:
            continue
        assert one.attacked is not None and one.noise is not None and one.clean is not None
        assert one.attacked.epsilon <= 40 and one.noise.epsilon <= 40
        for change in (one.noise, one.attacked, one.smallest):
            if change is not None:  # what was written is what was asked about
                (reread,) = lensmith.predict(run, save / change.file)
                assert reread.predicted == change.said.answer
                assert reread.confidence == pytest.approx(change.said.share, abs=2e-3)
        assert (one.attacked.said.answer != one.clean.answer) == one.fooled
        if one.smallest is not None:
            assert one.smallest.said.answer != one.clean.answer
            assert not one.fooled or one.smallest.epsilon <= 40
    page = (save / "page.html").read_text(encoding="utf-8")
    assert page.count('<article class="shot') == 4 and "broken.png" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page) and "<script" not in page


def test_towards_a_class(run: Run, pictures: Path, tmp_path: Path) -> None:
    found = lensmith.attack(run, pictures, to="disc", epsilon=60, steps=20, save=tmp_path / "out", quiet=True)
    by_name = {Path(one.path).name: one for one in found.pictures}
    already = by_name["disc.png"]
    assert already.attacked is None and already.fooled is None and "disc already" in already.note
    assert lensmith.attack(run, pictures, to="1", epsilon=60, steps=20, save=tmp_path / "out", quiet=True) == found
    cross = by_name["cross.png"]
    assert cross.fooled and cross.smallest is not None and cross.smallest.said.answer == "disc"
    with pytest.raises(UsageError, match=r"answers that for this picture already\. Choose another: cross, square"):
        lensmith.attack(run, pictures / "disc.png", to="disc", save=tmp_path / "none", quiet=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("method", ["fgsm", "iterative"])
def test_the_method_asked_for_is_the_one_used(method: str, run: Run, pictures: Path, tmp_path: Path) -> None:
    found = lensmith.attack(run, pictures / "disc.png", method=method, save=tmp_path / "out", quiet=True)
    (one,) = found.pictures
    assert one.attacked is not None and one.attacked.method == method


def test_a_module_and_a_network_that_cannot_be_flipped(pictures: Path, tmp_path: Path) -> None:
    class Blind(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, :2] * 0 + torch.tensor([0.0, 1.0])

    found = lensmith.attack(Blind(), pictures / "disc.png", image_size=16, save=tmp_path / "out", quiet=True)
    (one,) = found.pictures
    assert one.fooled is False and one.smallest is None and "gradient is zero" in one.note
    text = " ".join(fragility.sentences(found.as_dict()))
    assert "No change of 8 grey levels changes its answer" in text and "None was found up to 255" in text


def test_a_network_by_name(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = front_door(
        capsys, "attack", "squeezenet1_1", pictures / "disc.png", "--weights", "none", "--image-size", 64, "--quiet"
    )
    assert said.code == 0, said.err
    assert "attack +-8" in said.out and (tmp_path / "attacked" / "page.html").is_file()
    assert len(list((tmp_path / "attacked").glob("disc-*.png"))) >= 2


def test_a_number_is_moved(tmp_path: Path, shapes: Path) -> None:
    rows = [f"disc/{number:03d}.png,{number / 10}" for number in range(24)]
    table = shapes / "ages.csv"
    table.write_text("\n".join(["path,age", *rows]), encoding="utf-8")
    model = lensmith.train(
        table, network="convnet/4/4", recipe="scratch", epochs=2, out=tmp_path / "runs", name="age", quiet=True
    )
    table.unlink()
    picture = shapes / "disc" / "001.png"
    (one,) = lensmith.attack(model, picture, quiet=True).pictures
    assert one.fooled is None and one.smallest is None and one.noise_flips is None
    assert one.clean is not None and one.attacked is not None
    before, after = float(one.clean.answer), float(one.attacked.said.answer)
    assert after > before
    goal = str(before + (after - before) / 2)
    (one,) = lensmith.attack(model, picture, to=goal, quiet=True).pictures
    assert one.fooled and one.smallest is not None and float(one.smallest.said.answer) >= float(goal)
    assert (model.folder / "attacked" / "page.html").is_file()


def test_a_label_is_taken_away_and_given(tmp_path: Path, shapes: Path) -> None:
    kinds = ("cross", "disc", "square")
    rows = [f"{shapes}/{kind}/{number:03d}.png,{kind};shape" for kind in kinds for number in range(20)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,labels", *rows]), encoding="utf-8")
    model = lensmith.train(
        table, network="convnet/8", recipe="scratch", epochs=8, image_size=16, out=tmp_path, name="labels", quiet=True
    )
    picture = shapes / "disc" / "001.png"
    (one,) = lensmith.attack(model, picture, epsilon=60, quiet=True).pictures
    assert one.clean is not None and one.about in one.clean.answer.split("; ") and one.clean.share is None
    assert one.smallest is not None and one.about not in one.smallest.said.answer.split("; ")
    assert one.smallest.said.first is not None and one.clean.first is not None
    assert one.smallest.said.first < one.clean.first
    given = next(kind for kind in kinds if kind not in one.clean.answer.split("; "))
    (one,) = lensmith.attack(model, picture, to=given, epsilon=60, quiet=True).pictures
    assert one.about == given and one.smallest is not None and given in one.smallest.said.answer.split("; ")


WRONG: tuple[tuple[dict[str, object], str], ...] = (
    ({"epsilon": 0}, "epsilon is 0; it is counted in whole grey levels, from 1 to 255"),
    ({"epsilon": 256}, "epsilon is 256"),
    ({"steps": 0}, "steps is 0"),
    ({"method": "fgms"}, "Nearest: fgsm"),
    ({"to": "dics"}, "there is no class 'dics' in shapes. Nearest: disc"),
    ({"device": "gpu"}, "device is 'gpu'"),
)


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_options(options: dict[str, object], message: str, run: Run, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        lensmith.attack(run, pictures, save=tmp_path / "out", quiet=True, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_wrong_places(run: Run, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file or folder"):
        lensmith.attack(run, tmp_path / "nowhere.png", quiet=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there are no pictures in"):
        lensmith.attack(run, tmp_path / "empty", quiet=True)
    with pytest.raises(UsageError, match="which is a file; a folder is needed"):
        lensmith.attack(run, pictures, save=pictures / "disc.png", quiet=True)
    with pytest.raises((RunError, UsageError), match="shapez"):
        lensmith.attack("shapez", pictures, out=run.folder.parent, quiet=True)
    table = tmp_path / "rows.csv"
    table.write_text("a,y\n" + "\n".join(f"{n},{n % 2}" for n in range(40)), encoding="utf-8")
    rows = lensmith.train(table, target="y", out=tmp_path / "runs", name="rows", epochs=1, quiet=True)
    with pytest.raises(UsageError, match="was trained on rows; this looks into networks for pictures"):
        lensmith.attack(rows, pictures, quiet=True)


def test_names_are_escaped(shapes: Path, tmp_path: Path) -> None:
    picture = tmp_path / "<b onload=alert(1)>&amp; \u202e.png"
    picture.write_bytes((shapes / "disc" / "000.png").read_bytes())

    class Two(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3))[:, :2]

    found = lensmith.attack(Two(), picture, image_size=16, save=tmp_path / "out", quiet=True)
    assert found.page is not None
    page = found.page.read_text(encoding="utf-8")
    assert "<b onload" not in page and "&lt;b onload=alert(1)&gt;&amp;amp;" in page and "\u202e" not in page
    assert {path.name for path in (tmp_path / "out").glob("*.png")} >= {"b_onload_alert_1_amp-attacked.png"}


def test_no_picture_of_the_user_is_written_over(run: Run, pictures: Path) -> None:
    (pictures / "disc-noise.png").write_bytes((pictures / "disc.png").read_bytes())
    with pytest.raises(UsageError, match=r"which holds files of others"):
        lensmith.attack(run, pictures, save=pictures, quiet=True)
    (pictures / OURS).touch()  # even there
    with pytest.raises(UsageError, match=r"where your disc-noise.png lies: it would be written over"):
        lensmith.attack(run, pictures, save=pictures, quiet=True)
    (pictures / OURS).unlink()
    assert sorted(path.name for path in pictures.iterdir()) == ["cross.png", "disc-noise.png", "disc.png", "square.png"]


@pytest.mark.parametrize(
    ("counts", "fooled", "expected"),
    [
        ({"1": 3}, 3, "A change of 1 grey level changes its answer for all 3 pictures"),
        ({"1": 2, "9": 1}, 2, "A change of 8 grey levels changes its answer for 2 of 3 pictures, of 1 for 2"),
        ({"9": 3}, 0, "A change of 9 grey levels changes its answer for all 3 pictures"),
        ({"9": 1}, 0, "A change of 8 grey levels changes its answer for none of 3 pictures"),
        ({}, 0, "A change of 8 grey levels changes its answer for none of 3 pictures"),
    ],
)
def test_headlines(counts: dict[str, int], fooled: int, expected: str) -> None:
    flipped = sum(counts.values())
    seen = {"attacked": 3, "fooled": fooled, "noise_flips": 0.0, "with_smallest": flipped, "counts": counts}
    seen |= {"median_smallest": 1, "median_l2": 2.0}
    found = {"summary": seen, "epsilon": 8, "to": None, "pictures": []}
    assert fragility.sentences(found)[0] == expected
