"""Every method by its name, for every kind of answer: what comes out, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from lensmith.errors import UsageError
from lensmith.seeing import makers
from lensmith.seeing.explanation import Explanation
from lensmith.seeing.methods import METHODS, Settings, checked, explained, targets_of
from lensmith.seeing.subject import Subject, Target
from lensmith.tasks.classification import Classification
from lensmith.tasks.multilabel import Multilabel
from lensmith.tasks.regression import Regression
from seeing_networks import Pooled, Small, drawn, squares_of, subject_of

SMALL = {"window": 8, "steps": 8, "samples": 3}
SQUARES = list(squares_of(3))


def run(subject: Subject, method: str, squares=SQUARES, wanted: str | None = None, **settings) -> list[Explanation]:  # type: ignore[no-untyped-def]
    paths = [f"{place}.png" for place in range(len(squares))]
    chosen = Settings(**{**SMALL, **settings})
    return list(explained(subject, squares, paths, targets_of(subject, squares, wanted), method, chosen))


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_explains_each_picture_in_order(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        subject = subject_of(drawn(Pooled))
        monkeypatch.setattr(makers, "PIXELS", 2 * 16 * 16)  # two pictures a batch
        found = run(subject, method)
        outputs = subject.says(SQUARES)
        answers = subject.task.answers(outputs)
        assert [one.path for one in found] == ["0.png", "1.png", "2.png"]
        for place, one in enumerate(found):
            assert one.picture is SQUARES[place]
            assert (one.method, one.grade) == (method, None)
            assert one.output == outputs[place].argmax()
            assert one.target == "abcde"[one.output]
            assert one.score == pytest.approx(outputs[place].max(), rel=1e-4)
            assert one.probability == pytest.approx(answers[place].max(), rel=1e-4)
            assert one.map.dtype == np.float32
            assert one.map.shape == ((6, 6) if method in ("grad-cam", "cam") else (16, 16))
            assert METHODS[method].signed or one.map.min() >= 0
            assert one.layer == ("base.3" if METHODS[method].needs_map else None)
            assert one.colours is None or one.colours.shape == (16, 16, 3)
            assert not one.empty
            assert one.seconds > 0
            assert json.loads(json.dumps(one.as_dict()))["method"] == method

    def test_the_batch_changes_nothing(self, method: str) -> None:
        subject = subject_of(drawn(Pooled))
        whole, alone = run(subject, method), run(subject, method, SQUARES[2:])
        np.testing.assert_allclose(alone[0].map, whole[2].map, rtol=1e-3, atol=1e-5 * np.abs(whole[2].map).max())

    def test_numbers(self, method: str) -> None:
        (found, *_) = run(subject_of(drawn(lambda: Pooled(1)), Regression("weight")), method)
        assert (found.target, found.output, found.probability) == ("weight", 0, None)
        assert not found.empty

    def test_labels(self, method: str) -> None:
        subject = subject_of(drawn(Pooled), Multilabel(tuple("abcde")))
        found = run(subject, method, wanted="d")
        assert {(one.target, one.output) for one in found} == {("d", 3)}
        shares = subject.answers(SQUARES)[:, 3]
        np.testing.assert_allclose([one.probability for one in found], shares, rtol=1e-4)

    def test_two_classes_with_one_output(self, method: str) -> None:
        """What speaks for the one class speaks against the other."""
        subject = subject_of(drawn(lambda: Pooled(1)), Classification(("cat", "dog"), output="sigmoid"))
        cats, dogs = (run(subject, method, wanted=name) for name in ("cat", "dog"))
        for cat, dog in zip(cats, dogs, strict=True):
            assert (cat.target, dog.target) == ("cat", "dog")
            assert cat.score == pytest.approx(-dog.score, rel=1e-4)
            assert cat.probability + dog.probability == pytest.approx(1, rel=1e-4)
            if METHODS[method].signed:
                np.testing.assert_allclose(cat.map, -dog.map, rtol=1e-3, atol=1e-6)
            elif method in ("saliency", "smoothgrad"):
                np.testing.assert_allclose(cat.colours, -dog.colours, rtol=1e-3, atol=1e-6)
            else:
                assert np.abs(cat.map - dog.map).max() > 0


class TestTargets:
    def test_the_answer_of_each_picture(self) -> None:
        subject = subject_of(drawn(Small))
        places = subject.says(SQUARES).argmax(1).tolist()
        assert targets_of(subject, SQUARES) == [Target("abcde"[place], place) for place in places]

    def test_a_class_for_all_by_name_or_number(self) -> None:
        subject = subject_of(drawn(Small))
        assert targets_of(subject, SQUARES, "d") == targets_of(subject, SQUARES, "3") == [Target("d", 3)] * 3

    def test_the_answered_side_of_one_output(self) -> None:
        subject = subject_of(drawn(lambda: Small(1)), Classification(("cat", "dog"), output="sigmoid"))
        signs = np.where(subject.says(SQUARES)[:, 0] > 0, 1, -1).tolist()
        assert targets_of(subject, SQUARES) == [Target("dog" if sign > 0 else "cat", 0, sign) for sign in signs]

    def test_an_unknown_class(self) -> None:
        subject = subject_of(drawn(Small), Classification(("tabby cat", "b", "c", "d", "e")))
        with pytest.raises(UsageError, match=r"no class 'taby cat' in small. Nearest: tabby cat"):
            targets_of(subject, SQUARES, "taby cat")


class TestIntegrated:
    def test_says_how_far_its_shares_add_up(self) -> None:
        (found, *_) = run(subject_of(drawn(Pooled)), "integrated", steps=64)
        said, by = (
            float(part.split()[0].rstrip(",")) for part in found.how.split("add up to ")[1].split("differs by ")
        )
        assert found.map.sum() == pytest.approx(said, abs=1e-3)
        assert said == pytest.approx(by, abs=0.02 * abs(by) + 1e-3)

    def test_begins_at_the_fill(self) -> None:
        subject = subject_of(drawn(Pooled))
        black, white = (run(subject, "integrated", fill=fill)[0] for fill in ("black", "white"))
        assert (np.sign(black.colours) != np.sign(white.colours)).any()
        whole, other = (subject.says([np.full((16, 16, 3), level, np.uint8)])[0, black.output] for level in (0, 255))
        assert black.map.sum() - white.map.sum() == pytest.approx(other - whole, rel=0.1)


class TestRules:
    @pytest.mark.parametrize(("make", "blind"), [(Pooled, True), (Small, False)], ids=["strides", "max pooling"])
    def test_rectified_says_where_it_has_forgotten_the_picture(self, make: type[nn.Module], blind: bool) -> None:
        subject = subject_of(drawn(make))
        for found in (run(subject, "deconvnet")[0], run(subject, "saliency", rule="rectified")[0]):
            assert ("nothing of the picture is left" in found.how) == blind
        assert "nothing" not in run(subject, "saliency", rule="guided")[0].how

    def test_each_is_what_it_is_called(self) -> None:
        subject = subject_of(drawn(Small))
        guided, rectified = (run(subject, "saliency", rule=rule)[0] for rule in ("guided", "rectified"))
        (deconvnet, *_) = run(subject, "deconvnet")
        assert [one.rule for one in (guided, rectified, deconvnet)] == ["guided", "rectified", "rectified"]
        np.testing.assert_array_equal(rectified.map, deconvnet.map)
        assert np.abs(guided.map - rectified.map).max() > 0

    def test_grad_cam_takes_them_below_the_last_relu(self) -> None:
        subject = subject_of(drawn(Small))
        plain, guided = (run(subject, "grad-cam", layer="second", rule=rule)[0] for rule in ("plain", "guided"))
        assert plain.layer == guided.layer == "second"
        assert np.abs(plain.map - guided.map).max() > 0

    def test_grad_cam_says_where_there_is_none(self) -> None:
        subject = subject_of(drawn(Pooled))
        plain, guided = (run(subject, "grad-cam", rule=rule)[0] for rule in ("plain", "guided"))
        assert "rule guided changes nothing" in guided.how
        assert "changes nothing" not in plain.how
        assert "changes nothing" not in run(subject, "grad-cam", rule="guided", layer="base.0")[0].how
        np.testing.assert_array_equal(guided.map, plain.map)

    def test_guided_grad_cam_says_guided(self) -> None:
        (found, *_) = run(subject_of(drawn(Pooled)), "guided-grad-cam")
        assert (found.rule, found.layer) == ("guided", "base.3")


class TestBadInput:
    def test_an_unknown_method(self) -> None:
        with pytest.raises(UsageError, match=r"method is 'gradcam'; allowed are .* Nearest: grad-cam"):
            checked("gradcam", Settings())

    @pytest.mark.parametrize(
        ("method", "settings", "said"),
        [
            ("occlusion", Settings(rule="guided"), "takes none; grad-cam, saliency, smoothgrad do"),
            ("saliency", Settings(layer="x"), "draws none; grad-cam, cam, guided-grad-cam do"),
            ("integrated", Settings(steps=0), "steps is 0; must be 1 or more"),
            ("smoothgrad", Settings(samples=-1), "samples is -1; must be 1 or more"),
            ("smoothgrad", Settings(noise=1.5), "noise is 1.5; must be between 0 and 1"),
        ],
    )
    def test_settings_that_do_not_belong(self, method: str, settings: Settings, said: str) -> None:
        subject = subject_of(drawn(Small))
        with pytest.raises(UsageError, match=said):
            explained(subject, SQUARES, "abc", targets_of(subject, SQUARES), method, settings)

    def test_an_unknown_rule(self) -> None:
        with pytest.raises(UsageError, match=r"rule is 'guide'.* Nearest: guided"):
            run(subject_of(drawn(Small)), "saliency", rule="guide")

    @pytest.mark.parametrize("method", METHODS)
    def test_no_convolution(self, method: str) -> None:
        """Methods that draw a layer's map are refused, and say which remain; these work."""
        torch.manual_seed(0)
        subject = subject_of(nn.Sequential(nn.Flatten(), nn.Linear(768, 8), nn.ReLU(), nn.Linear(8, 5)))
        if METHODS[method].needs_map:
            with pytest.raises(UsageError, match="remain: occlusion, saliency"):
                run(subject, method)
        else:
            assert not run(subject, method)[0].empty

    def test_a_constant_picture(self) -> None:
        """No way from its mean colour to itself, and no noise upon it."""
        constant = [np.full((16, 16, 3), 90, np.uint8)]
        subject = subject_of(drawn(Small))
        assert run(subject, "integrated", constant)[0].empty
        saliency, smooth = (run(subject, method, constant)[0] for method in ("saliency", "smoothgrad"))
        np.testing.assert_allclose(smooth.map, saliency.map, rtol=1e-4)

    def test_an_unknown_layer(self) -> None:
        with pytest.raises(UsageError, match=r"no layer 'base.33'.*base.3"):
            run(subject_of(drawn(Pooled)), "grad-cam", layer="base.33")
