"""Sentences: words to numbers, the text CNN against itself in numpy, and every verb on a folder of text files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import lensmith
from lensmith.data.source import open_data
from lensmith.data.vocabulary import PADDING, UNKNOWN, Vocabulary, fit_vocabulary, vocabulary_from_dict, words_of
from lensmith.engines.interface import collect
from lensmith.engines.reading import ReadingEngine
from lensmith.errors import DataError, UsageError
from lensmith.reproduce import generator
from lensmith.seeing.words import word_weights
from lensmith.zoo.textcnn import TextCNN

GOOD, BAD = ["fine", "quiet", "warm", "funny", "clever"], ["long", "loud", "dull", "silly", "empty"]
OTHER = ["the", "film", "is", "a", "work", "of", "people", "in", "town", "with", "music", "and", "light", "every"]


def write_reviews(folder: Path, each: int = 120) -> Path:
    """Two classes of sentences: one telling word among others, at any place."""
    folder.mkdir(parents=True)
    for name, telling in (("good", GOOD), ("bad", BAD)):
        lines = []
        for number in range(each):
            random = generator(0, name, number)
            words = random.choice(OTHER, random.integers(3, 9)).tolist()
            words.insert(int(random.integers(0, len(words))), str(random.choice(telling)))
            lines.append(" ".join(words) + " .")
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n\n")
    return folder


def test_words_are_taken_apart() -> None:
    assert words_of("It's GOOD, isn't it? 3.5 stars_") == [
        "it", "'s", "good", ",", "is", "n't", "it", "?", "3", ".", "5", "stars", "_",
    ]  # fmt: skip
    assert words_of("  ") == []


def test_seldom_words_are_unknown_and_sentences_begin_with_a_margin() -> None:
    vocabulary = fit_vocabulary("text", ["a b a", "b c"], margin=2)
    assert vocabulary.words == ("a", "b") and vocabulary.size == 4
    assert vocabulary.encode([["b c a"], ["a"]]).tolist() == [
        [PADDING, PADDING, 3, UNKNOWN, 2, PADDING, PADDING],
        [PADDING, PADDING, 2, PADDING, PADDING, PADDING, PADDING],
    ]
    assert vocabulary_from_dict(json.loads(json.dumps(vocabulary.as_dict()))) == vocabulary
    with pytest.raises(DataError, match="no word occurs 2 times"):
        fit_vocabulary("text", ["a b", "c"], margin=2)


def test_the_engine_says_what_the_network_says_whatever_the_length() -> None:
    torch.manual_seed(0)
    network = TextCNN(30, dimensions=8, widths=(2, 3), filters=4).eval()
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    vocabulary = Vocabulary(tuple(f"w{number}" for number in range(28)), margin=3)
    rows = vocabulary.encode([["w1 w2 w3"], ["w4"], [""], ["w5 " * 20]])
    with torch.no_grad():
        wanted = network(torch.from_numpy(rows).long()).numpy()
    engine = ReadingEngine(tensors)
    np.testing.assert_allclose(collect(engine.run(rows)).features, wanted, rtol=1e-5, atol=1e-6)
    alone = collect(engine.run(vocabulary.encode([["w1 w2 w3"]]))).features
    np.testing.assert_allclose(alone[0], wanted[0], rtol=1e-5, atol=1e-6)


def test_the_text_cnn_has_the_parameters_of_its_plan() -> None:
    network = TextCNN(1000)
    assert sum(tensor.numel() for tensor in network.parameters()) == 1000 * 300 + (3 + 4 + 5) * 300 * 100 + 300
    assert network(torch.ones(2, 12, dtype=torch.long)).shape == (2, 300)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, lensmith.Run]:
    folder = tmp_path_factory.mktemp("sentences")
    data = write_reviews(folder / "reviews")
    return data, lensmith.train(data, epochs=4, out=folder / "runs", quiet=True)


def test_training_finds_the_telling_words(reviews: tuple[Path, lensmith.Run]) -> None:
    _, run = reviews
    assert run.metrics["test"]["accuracy"]["value"] > 0.9
    entries = json.loads((run.folder / "figures/sentences.json").read_text())
    typical = [entry for entry in entries if entry["kind"] == "typical"]
    strongest = [max(entry["words"], key=lambda pair: pair[1])[0] for entry in typical]
    assert sum(word in (*GOOD, *BAD) for word in strongest) >= 0.75 * len(typical) > 0
    page = run.report.read_text()
    assert "What it read" in page and "test sentences" in page and "picture" not in page.partition("<main>")[2].lower()


def test_the_last_layer_is_kept_short(reviews: tuple[Path, lensmith.Run]) -> None:
    from safetensors.numpy import load_file

    weight = load_file(reviews[1].model_folder / "model.safetensors")["head.0.weight"]
    assert np.linalg.norm(weight, axis=1).max() <= 3.0001


def test_predict_and_evaluate_take_sentences(reviews: tuple[Path, lensmith.Run], tmp_path: Path) -> None:
    data, run = reviews
    found = lensmith.predict(run, ["a warm and clever film", "the dull street is empty"])
    assert [prediction.predicted for prediction in found] == ["good", "bad"]
    assert found[0].path == "a warm and clever film"
    lines = tmp_path / "new.txt"
    lines.write_text("a funny town\n\nloud music\n")
    assert [(each.path, each.predicted) for each in lensmith.predict(run, lines)] == [
        (f"{lines}:1", "good"),
        (f"{lines}:3", "bad"),
    ]
    table = tmp_path / "new.csv"
    table.write_text("id,text\n7,a silly film\n")
    assert [each.predicted for each in lensmith.predict(run, table)] == ["bad"]
    assert lensmith.evaluate(run, quiet=True).metrics == run.metrics["test"]
    assert lensmith.evaluate(run, data, quiet=True).seen > 0


def test_the_same_seed_gives_the_same_weights(reviews: tuple[Path, lensmith.Run], tmp_path: Path) -> None:
    data, run = reviews
    again = lensmith.train(data, epochs=4, out=tmp_path / "runs", quiet=True)
    one, other = ((each.model_folder / "model.safetensors").read_bytes() for each in (run, again))
    assert one == other


def test_a_column_of_text_is_read_and_others_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("text,stars,label\na fine film,5,good\na dull film,1,bad\n")
    dataset = open_data(file)
    assert (dataset.example, dataset.columns, dataset.cells[0]) == ("sentence", ("text",), ("a fine film",))
    assert any("passed over: 'stars'" in note for note in dataset.notes)


def test_what_is_wrong_with_sentences_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "reviews"
    folder.mkdir()
    (folder / "good.txt").write_text("a fine film\n")
    with pytest.raises(DataError, match="one class of sentences, 'good'"):
        open_data(folder)
    (folder / "bad.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"bad.txt has no sentences"):
        open_data(folder)
    (folder / "bad.txt").write_bytes(b"fine\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"bad.txt, line 2: this is not UTF-8"):
        open_data(folder)


def test_sentences_refuse_what_belongs_to_pictures(tmp_path: Path) -> None:
    data = write_reviews(tmp_path / "reviews", 12)
    with pytest.raises(UsageError, match="image_size is 64, which has no use here"):
        lensmith.train(data, image_size=64, out=tmp_path, quiet=True)


def test_a_word_that_speaks_against_the_answer_weighs_less_than_nothing() -> None:
    vocabulary = Vocabulary(("bad", "good"), margin=1)

    def logits(numbers: np.ndarray) -> np.ndarray:
        return np.stack([(numbers == 3).sum(1) - 2.0 * (numbers == 2).sum(1)], 1)

    assert word_weights(logits, vocabulary, "good bad so", 0, 1.0) == [("good", 1.0), ("bad", -2.0), ("so", 0.0)]
    assert word_weights(logits, vocabulary, "", 0, 1.0) == []
