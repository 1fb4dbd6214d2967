"""What is expected of a tier from a text: learnt from outcomes, the same every time, and kept in a file."""

from __future__ import annotations

import contextlib
import json
import math
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.nearest import NearestGain
from langchain_agentcost.routing.text_features import TextFeatures, folds_of, surface
from langchain_agentcost.routing.text_gain import TextGain

THINGS = ("boat", "lamp", "shirt", "window", "ticket", "garden", "drum", "kettle", "engine", "bridge")
PLACES = ("Oslo", "Lima", "Cairo", "Perth", "Quito", "Turin")
EASY = [f"Give me the price of one {thing} in {place}." for thing, place in product(THINGS, PLACES)]
HARD = [f"Plan how to move a {thing} to {place}, and\nargue for each step." for thing, place in product(THINGS, PLACES)]
TEXTS = EASY + HARD
QUALITY = {"small": [1.0] * len(EASY) + [0.0] * len(HARD), "large": [0.9] * len(TEXTS)}
LABELS = ["lookup"] * len(EASY) + ["plan"] * len(HARD)
NEW = ["Give me the price of one saddle in Kyoto.", "Plan how to move a saddle to Kyoto, and\nargue for each step."]
SCORERS: tuple[Any, ...] = (TextGain, NearestGain)


class WordVectors(Embeddings):
    """Embeds a text as the sum of its words' vectors, so that texts that share words are near."""

    model = "words"

    def __init__(self, size: int = 24) -> None:
        self.size = size

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Embed a text."""
        vector = numpy.full(self.size, 0.01)
        for word in text.lower().split():
            vector[crc32(word.encode()) % self.size] += 1
        return vector.tolist()


class OtherVectors(WordVectors):
    """The same under another name."""

    model = "other words"


def fitted(scorer: Any = TextGain, **changes: Any) -> Any:
    """A scorer fitted to the texts above."""
    given_: dict[str, Any] = {"embeddings": WordVectors(), "labels": LABELS, **changes}
    return scorer.fit(TEXTS, QUALITY, **given_)


@pytest.mark.parametrize("scorer", SCORERS)
def test_it_tells_texts_a_tier_answers_well_from_those_it_does_not(scorer: Any) -> None:
    """New texts like those a tier got right are expected to be right, and the others wrong."""
    expected = fitted(scorer).qualities(NEW)
    assert expected["small"][0] > 0.6
    assert expected["small"][1] < 0.4
    assert expected["large"] == pytest.approx([0.9, 0.9], abs=0.02)


def test_it_needs_no_embeddings() -> None:
    """Words and surface alone tell the texts apart."""
    easy, hard = fitted(embeddings=None).qualities(NEW)["small"]
    assert easy > 0.7
    assert hard < 0.3


def test_each_part_alone_carries_what_only_it_shows() -> None:
    """Words tell texts of one shape apart, the surface texts of no word in common."""
    words = [f"sort {kind} {number:02d}" for number in range(40) for kind in ("apples", "quasar")]
    gain = TextGain.fit(words, {"small": [1.0, 0.0] * 40}, embeddings=None)
    apples, quasars = gain.qualities(["sort apples 77", "sort quasar 77"])["small"]
    assert apples - quasars > 0.1
    shapes = [f"w{number}x" * (1 if number % 2 else 30) for number in range(80)]
    gain = TextGain.fit(shapes, {"small": [float(number % 2) for number in range(80)]}, embeddings=None)
    short, long = gain.qualities(["v1z", "v1z" * 30])["small"]
    assert short - long > 0.1


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_label_says_what_the_text_does_not(scorer: Any) -> None:
    """The same text is expected to go well under one label and badly under the other."""
    texts = [f"{thing} {place}" for thing, place in product(THINGS, PLACES)] * 2
    labels = ["copy"] * 60 + ["prove"] * 60
    quality = {"small": [1.0] * 60 + [0.0] * 60}
    gain = scorer.fit(texts, quality, embeddings=WordVectors(), labels=labels)
    copied, proven, unlabelled = gain.qualities(["drum Lima"] * 3, ["copy", "prove", None])["small"]
    assert copied > 0.75
    assert proven < 0.25
    assert unlabelled == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("scorer", SCORERS)
def test_an_unknown_label_is_as_good_as_none(scorer: Any) -> None:
    """A label that the fit has not seen changes nothing."""
    gain = fitted(scorer)
    assert gain.qualities(NEW, ["new", None]) == gain.qualities(NEW) == gain.qualities(NEW, [None, "other"])


def test_a_rare_label_is_believed_less() -> None:
    """Two outcomes under a label move what is expected less than fifty do."""

    def under(count: int) -> float:
        texts = [f"{thing} {place} {'again' * k}" for k in (0, 1) for thing, place in product(THINGS, PLACES)]
        labels = ["odd"] * count + ["usual"] * (len(texts) - count)
        quality = {"small": [0.0] * count + [1.0] * (len(texts) - count)}
        return TextGain.fit(texts, quality, embeddings=None, labels=labels).qualities(["bell"], ["odd"])["small"][0]

    assert under(50) < 0.3 < 0.6 < under(2)


@pytest.mark.parametrize("scorer", SCORERS)
def test_outcomes_that_are_not_known_teach_nothing(scorer: Any) -> None:
    """Where a tier was not tried the fit is that to the other texts' outcomes of it."""
    quality = {"small": [math.nan if place % 2 else value for place, value in enumerate(QUALITY["small"])]}
    easy, hard = scorer.fit(TEXTS, quality, embeddings=WordVectors()).qualities(NEW)["small"]
    assert easy - hard > 0.4
    whole = scorer.fit(TEXTS, {"small": [1.0, math.nan] * 60}, embeddings=WordVectors()).qualities(NEW)["small"]
    assert whole == pytest.approx([1.0, 1.0], abs=0.01)


def test_a_tier_that_a_label_was_never_tried_on_is_expected_from_the_text() -> None:
    """A label that says nothing about one tier leaves that tier's expectation as it is without a label."""
    quality = {**QUALITY, "small": [*QUALITY["small"][:60], *[math.nan] * 60]}
    gain = TextGain.fit(TEXTS, quality, embeddings=None, labels=LABELS)
    assert gain.qualities(NEW, [None, "plan"])["small"] == gain.qualities(NEW)["small"]
    assert gain.qualities(NEW, [None, "plan"])["large"][1] == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("scorer", SCORERS)
def test_the_same_texts_give_the_same_digest(scorer: Any) -> None:
    """A fit draws nothing; other outcomes have another digest."""
    other = {**QUALITY, "large": [0.8, *QUALITY["large"][1:]]}
    assert fitted(scorer).digest == fitted(scorer).digest
    assert fitted(scorer).digest != scorer.fit(TEXTS, other, embeddings=WordVectors(), labels=LABELS).digest


@pytest.mark.parametrize("scorer", SCORERS)
def test_out_of_fold_expectations_have_not_seen_the_outcome(scorer: Any) -> None:
    """Outcomes of pure chance cannot be foreseen, although a fit reproduces part of what it has seen."""
    texts = [f"{thing} of {place} beside {other}" for thing, place, other in product(THINGS, PLACES, THINGS[:5])]
    chance = [float(crc32(text.encode()) >> 7 & 1) for text in texts]
    gain, expected = scorer.cross_fitted(texts, {"small": chance}, embeddings=WordVectors())
    unseen, seen = (numpy.corrcoef(one["small"], chance)[0, 1] for one in (expected, gain.qualities(texts)))
    assert abs(unseen) < 0.15
    assert seen > unseen + 0.05


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("labels", [None, LABELS])
def test_what_is_deployed_is_the_fit_to_all(scorer: Any, labels: list[str] | None) -> None:
    """The model that comes with the out-of-fold expectations says what `fit` says, and those are as good."""
    gain, expected = scorer.cross_fitted(TEXTS, QUALITY, embeddings=WordVectors(), labels=labels)
    alone = fitted(scorer, labels=labels)
    assert gain.qualities(NEW)["small"] == pytest.approx(alone.qualities(NEW)["small"], abs=1e-3)
    assert numpy.mean(expected["small"][:60]) - numpy.mean(expected["small"][60:]) > 0.4


@pytest.mark.parametrize("scorer", SCORERS)
def test_out_of_fold_is_a_fit_to_the_other_folds(scorer: Any) -> None:
    """Of a text's fold no outcome changes what is expected of it."""
    folds = folds_of(TEXTS, 5)
    turned = [1 - value if fold == 2 else value for value, fold in zip(QUALITY["small"], folds, strict=True)]
    _, before = scorer.cross_fitted(TEXTS, {"small": QUALITY["small"]}, embeddings=WordVectors())
    _, after = scorer.cross_fitted(TEXTS, {"small": turned}, embeddings=WordVectors())
    same = [place for place, fold in enumerate(folds) if fold == 2]
    assert [after["small"][place] for place in same] == pytest.approx(
        [before["small"][place] for place in same], abs=1e-4
    )
    assert after["small"] != pytest.approx(before["small"], abs=1e-2)


def test_equal_texts_are_left_out_together() -> None:
    """A text that occurs again does not give its own outcome away."""
    chance = [float(crc32(text.encode()) >> 7 & 1) for text in TEXTS]
    _, expected = TextGain.cross_fitted(TEXTS * 3, {"small": chance * 3}, embeddings=None)
    assert abs(numpy.corrcoef(expected["small"], chance * 3)[0, 1]) < 0.35


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_file_gives_back_what_was_saved(scorer: Any, tmp_path: Path) -> None:
    """What is read back says the same of every text under the same digest, and holds no text."""
    gain, path = fitted(scorer), tmp_path / "gain.npz"
    gain.save(path)
    again = scorer.load(path, embeddings=WordVectors())
    assert again.digest == gain.digest
    assert again.tiers == ("small", "large")
    assert again.qualities(NEW, ["plan", None]) == gain.qualities(NEW, ["plan", None])
    assert [file.name for file in tmp_path.iterdir()] == ["gain.npz"]
    with numpy.load(path, allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} == {"u", "f"}


def test_a_scorer_of_nearest_texts_and_one_of_words_are_not_confused(tmp_path: Path) -> None:
    """A file of one kind is refused by the other, by name."""
    fitted(NearestGain).save(tmp_path / "nearest.npz")
    with pytest.raises(RoutingError, match="not a text gain but 'langchain-agentcost nearest gain'"):
        TextGain.load(tmp_path / "nearest.npz", embeddings=WordVectors())


@pytest.mark.parametrize("scorer", SCORERS)
def test_another_encoder_is_refused(scorer: Any, tmp_path: Path) -> None:
    """Embeddings of another name are refused when the file is read, those of another size when they are asked."""
    path = tmp_path / "gain.npz"
    fitted(scorer).save(path)
    with pytest.raises(RoutingError, match="'words', not 'other words'"):
        scorer.load(path, embeddings=OtherVectors())
    with pytest.raises(RoutingError, match="'words', not None"):
        scorer.load(path, embeddings=None)
    with pytest.raises(RoutingError, match="24 numbers, and these have 8"):
        scorer.load(path, embeddings=WordVectors(8)).qualities(NEW)


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """The message names both versions and what to do."""
    path = tmp_path / "gain.npz"
    fitted().save(path)
    rewritten(path, version=2)
    with pytest.raises(RoutingError, match="version 2, and this package reads 1: fit it anew"):
        TextGain.load(path, embeddings=WordVectors())


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """A header that was edited, a file that is cut, no file and one that is something else are each refused."""
    path = tmp_path / "gain.npz"
    fitted().save(path)
    whole = path.read_bytes()
    rewritten(path, tiers=["large", "small"])
    with pytest.raises(RoutingError, match="damaged"):
        TextGain.load(path, embeddings=WordVectors())
    for content in (whole[: len(whole) // 2], b"", b"{}", b"\x80\x04N."):
        path.write_bytes(content)
        with pytest.raises(RoutingError, match="cannot be read"):
            TextGain.load(path, embeddings=WordVectors())
    with pytest.raises(RoutingError, match="cannot be read"):
        TextGain.load(tmp_path / "none.npz", embeddings=WordVectors())
    numpy.savez(path, header=numpy.array([1.0]))
    with pytest.raises(RoutingError, match="cannot be read"):
        TextGain.load(path, embeddings=WordVectors())


def test_no_flipped_byte_changes_what_is_read(tmp_path: Path) -> None:
    """A file with one byte flipped is refused, or reads as it was where the byte holds nothing."""
    path = tmp_path / "gain.npz"
    gain = TextGain.fit(TEXTS[:4], {"small": [0, 1, 0, 1]}, embeddings=None)
    gain.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 200)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(RoutingError):
            assert TextGain.load(path, embeddings=None).digest == gain.digest


def rewritten(path: Path, **changes: Any) -> None:
    """Change the header of a file."""
    with numpy.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = {**json.loads(arrays.pop("header").tobytes()), **changes}
    numpy.savez(path, header=numpy.frombuffer(json.dumps(header).encode(), "u1"), **arrays)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize(
    ("texts", "quality", "labels"),
    [
        (["a"], {"small": [1.0]}, None),
        (["a", "b"], {}, None),
        (["a", "b"], {"small": [1.0]}, None),
        (["a", "b"], {"small": [1.0, 0.0]}, ["x"]),
        (["a", "b"], {"small": [1.0, 1.5]}, None),
        (["a", "b"], {"small": [-0.1, 1.0]}, None),
        (["a", "b"], {"small": [math.nan, math.nan]}, None),
        (["a", "b"], {"small": [math.inf, 1.0]}, None),
    ],
)
def test_a_fit_to_what_cannot_be_is_refused(scorer: Any, texts: Any, quality: Any, labels: Any) -> None:
    """Counts that differ and qualities that are none are refused by message, not learnt."""
    with pytest.raises(RoutingError):
        scorer.fit(texts, quality, embeddings=WordVectors(), labels=labels)


def test_questions_that_cannot_be_are_refused() -> None:
    """Too few labels, folds of nothing, vectors of nan and nearest texts without embeddings are refused."""
    with pytest.raises(RoutingError, match="2 texts and 1 labels"):
        fitted().qualities(NEW, ["plan"])
    with pytest.raises(RoutingError, match="two different texts"):
        TextGain.cross_fitted(["a", "a"], {"small": [0.0, 1.0]}, embeddings=None)
    with pytest.raises(RoutingError, match="none were given"):
        fitted(NearestGain, embeddings=None)

    class Broken(WordVectors):
        def embed_query(self, text: str) -> list[float]:
            return [math.nan] * self.size

    with pytest.raises(RoutingError, match="finite"):
        fitted(embeddings=Broken())


@pytest.mark.parametrize("scorer", SCORERS)
def test_no_text_is_no_question(scorer: Any) -> None:
    """Asked for no texts, each tier has no expectations."""
    assert fitted(scorer).qualities([]) == {"small": [], "large": []}


SCORER = TextGain.fit(TEXTS, QUALITY, embeddings=None, labels=LABELS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=80), min_size=1, max_size=4))
def test_any_text_has_an_expectation_of_its_own(texts: list[str]) -> None:
    """Whatever a text is made of, each tier's expectation is from 0 to 1 and does not depend on the texts beside it."""
    together = SCORER.qualities(texts)
    for tier, values in together.items():
        assert all(0 <= value <= 1 for value in values)
        alone = [SCORER.qualities([text])[tier][0] for text in texts]
        assert values == pytest.approx(alone, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=12), st.floats(0, 1)), min_size=2, max_size=12))
def test_any_texts_can_be_fitted(pairs: list[tuple[str, float]]) -> None:
    """Empty, equal and odd texts are fitted, and what is expected is from 0 to 1."""
    texts, values = zip(*pairs, strict=True)
    expected = TextGain.fit(texts, {"small": values}, embeddings=None).qualities(texts)["small"]
    assert all(0 <= value <= 1 for value in expected)


@given(st.lists(st.text(max_size=3), min_size=1, max_size=30), st.integers(1, 6))
def test_folds_are_even_and_keep_equal_texts_together(texts: list[str], folds: int) -> None:
    """Different texts fill folds to within one of one another, and a text is in one fold, whatever the order."""
    found = dict(zip(texts, folds_of(texts, folds), strict=True))
    sizes = [list(found.values()).count(fold) for fold in range(folds)]
    assert max(sizes) - min(sizes) <= 1
    assert folds_of(texts[::-1], folds) == [found[text] for text in texts[::-1]]


def test_a_long_text_is_read_at_both_ends() -> None:
    """A prompt of a million characters is measured by its ends and its length."""
    start, end = surface("word " * 200_000)[0], surface("word " * 100)[0]
    assert start > end
    features, _, _ = TextFeatures.fit(["alpha beta", "alpha beta", "gamma"])
    rows = features.words(["alpha " + "x" * 1_000_000 + " beta", "x" * 1_000_000]).toarray()
    assert numpy.count_nonzero(rows, axis=1).tolist() == [2, 0]


def test_numbers_of_one_length_are_one_word() -> None:
    """What is learnt of one number holds for others of its length."""
    features, _, _ = TextFeatures.fit(["pay 12", "pay 34", "pay 567"])
    same, other = features.words(["pay 99", "pay 12"]).toarray()
    assert (same == other).all()
