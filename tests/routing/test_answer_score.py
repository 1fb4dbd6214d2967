"""A check that has learnt: from what stands in an answer, not from how long it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from sklearn.metrics import roc_auc_score

from langchain_agentcost.errors import MissingExtra, RoutingError
from langchain_agentcost.routing.answer_score import AnswerScore
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verifier
from langchain_agentcost.routing.verifiers.acceptance import Labelled, acceptance
from langchain_agentcost.routing.verifiers.answer_features import figures, grams

Case = tuple[str, str, bool]

FILLER = ["Let us see.", "First things first!", "The hall is large.", "Now, row by row:", "That is all; nothing more."]


def _cases(number: int, *, seed: int) -> list[Case]:
    """Answers about seats. Wrong ones reckon wrongly or guess; how long they are has nothing to do with it."""
    random = Random(seed)  # noqa: S311
    made = []
    for _ in range(number):
        rows, seats, right = random.randint(3, 40), random.randint(3, 40), random.random() < 0.6
        total = rows * seats + (0 if right or random.random() < 0.3 else random.randint(7, 90))
        guess = "I guess" if random.random() < (0.15 if right else 0.55) else "We get"
        words = [random.choice(FILLER) for _ in range(random.randint(0, 12))]
        words.insert(random.randint(0, len(words)), f"{guess} {rows} * {seats} = {total}")
        made.append((f"How many are {rows} rows of {seats} seats?", " ".join(words), right))
    return made


TRAINING, HELD_BACK = _cases(400, seed=1), _cases(400, seed=2)


@pytest.fixture(scope="module")
def scorer() -> AnswerScore:
    """One that has learnt."""
    return AnswerScore().fit(TRAINING)


def _auc(scores: list[float], cases: list[Case]) -> float:
    return float(roc_auc_score([right for *_, right in cases], scores))


def test_it_tells_right_from_wrong_where_length_and_punctuation_do_not(scorer: AnswerScore) -> None:
    """On answers it has not seen it is far better than a coin toss, which is all that length and punctuation are."""
    own = _auc([scorer.score(prompt, answer) for prompt, answer, _ in HELD_BACK], HELD_BACK)
    length = _auc([len(answer) for _, answer, _ in HELD_BACK], HELD_BACK)
    marks = _auc([sum(sign in ".,;:!?" for sign in answer) for _, answer, _ in HELD_BACK], HELD_BACK)
    assert max(length, 1 - length, marks, 1 - marks) < 0.58
    assert own > 0.8


def test_what_it_says_of_itself_is_about_what_it_does(scorer: AnswerScore) -> None:
    """The AUC that it was measured at when it learnt is close to that on new answers."""
    assert scorer.learnt is not None
    own = _auc([scorer.score(prompt, answer) for prompt, answer, _ in HELD_BACK], HELD_BACK)
    assert scorer.learnt.auc == pytest.approx(own, abs=0.06)
    assert (scorer.learnt.cases, scorer.learnt.right) == (400, sum(right for *_, right in TRAINING))


def test_where_there_is_nothing_to_learn_it_says_so() -> None:
    """Labels that were drawn give an AUC near a half: it does not praise itself for what it knows by heart."""
    random = Random(3)  # noqa: S311
    drawn = [(prompt, answer, random.random() < 0.5) for prompt, answer, _ in TRAINING]
    learnt = AnswerScore().fit(drawn).learnt
    assert learnt is not None
    assert abs(learnt.auc - 0.5) < 0.1


def test_answers_to_one_prompt_are_held_back_together() -> None:
    """Where the prompt alone decides, and each comes ten times, knowing it by heart is worth nothing."""
    random = Random(4)  # noqa: S311
    prompts = [("".join(random.choices("abcdefgh", k=12)), random.random() < 0.5) for _ in range(40)]
    learnt = AnswerScore().fit([(prompt, "The same.", right) for prompt, right in prompts for _ in range(10)]).learnt
    assert learnt is not None
    assert learnt.auc < 0.7


async def test_it_is_a_verifier(scorer: AnswerScore) -> None:
    """It checks messages against the request they answer, in sync and async code."""
    assert isinstance(scorer, Verifier)
    request = RouteRequest.of("How many are 4 rows of 5 seats?")
    good = scorer.check(request, AIMessage("We get 4 * 5 = 20"), {})
    bad = scorer.check(request, AIMessage("I guess 4 * 5 = 27"), {})
    assert good.accepted
    assert not bad.accepted
    assert good.score is not None
    assert bad.score is not None
    assert good.score > 0.5 > bad.score
    assert await scorer.acheck(request, AIMessage("We get 4 * 5 = 20"), {}) == good


def test_the_same_cases_teach_the_same(scorer: AnswerScore) -> None:
    """Nothing is drawn: what was learnt has one digest, and another threshold is another check."""
    again = AnswerScore().fit(iter(TRAINING))
    assert again.digest == scorer.digest
    assert AnswerScore(0.9, scorer.learnt).digest != scorer.digest


def test_it_is_kept_as_json_without_any_text(scorer: AnswerScore, tmp_path: Path) -> None:
    """What is read back scores the same, and no word of a prompt or an answer is in the file."""
    path = tmp_path / "score.json"
    scorer.save(path)
    back = AnswerScore.load(path)
    assert back.digest == scorer.digest
    assert back.score(*HELD_BACK[0][:2]) == scorer.score(*HELD_BACK[0][:2])
    written = path.read_text()
    assert not [word for word in ("guess", "hall", "seats", "large") if word in written]


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"version": 1, "threshold": 0.5, "learnt": {"weight": 1}}'])
def test_what_is_no_answer_score_is_not_read(text: str, tmp_path: Path) -> None:
    """A file of something else is refused by name."""
    (tmp_path / "score.json").write_text(text)
    with pytest.raises(RoutingError, match=r"score.json is no answer score"):
        AnswerScore.load(tmp_path / "score.json")


def test_another_version_is_not_read(scorer: AnswerScore, tmp_path: Path) -> None:
    """What was learnt on other features is not misread."""
    path = tmp_path / "score.json"
    scorer.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    with pytest.raises(RoutingError, match="is of version 2, and 1 is read: fit it anew"):
        AnswerScore.load(path)


def test_a_threshold_can_be_proven(scorer: AnswerScore) -> None:
    """The threshold accepts few wrong answers on the cases, with its bound, and on others too."""
    labelled = [Labelled(RouteRequest.of(prompt), answer, right) for prompt, answer, right in HELD_BACK]
    strict = scorer.with_most_wrong(labelled, share=0.3)
    found = acceptance(strict, labelled, confidence=0.9)
    assert found.worst_wrong <= 0.3
    assert found.accepts_right > found.accepts_wrong
    others = [Labelled(RouteRequest.of(prompt), answer, right) for prompt, answer, right in _cases(400, seed=5)]
    assert acceptance(strict, others).accepts_wrong < 0.35
    looser = AnswerScore(strict.threshold - 0.05, scorer.learnt)
    assert acceptance(looser, labelled, confidence=0.9).worst_wrong > 0.3, "a lower one would not be proven"


def test_too_few_cases_prove_no_threshold(scorer: AnswerScore) -> None:
    """It says how many wrong answers it takes."""
    few = [Labelled(RouteRequest.of("?"), "I guess", right=False)] * 5
    with pytest.raises(RoutingError, match=r"5 wrong answers do not prove .* it takes 14 or more"):
        scorer.with_most_wrong(few)


def test_what_cannot_be_is_refused() -> None:
    """One that has not learnt checks nothing, and few answers teach nothing."""
    with pytest.raises(RoutingError, match="has to learn first"):
        AnswerScore().score("?", "!")
    with pytest.raises(RoutingError, match="has to learn first"):
        _ = AnswerScore().digest
    with pytest.raises(RoutingError, match="at least 20 right and 20 wrong answers, not 25 and 5"):
        AnswerScore().fit([("?", str(n), n < 25) for n in range(30)])
    with pytest.raises(RoutingError, match="from 0 to 1, not 2"):
        AnswerScore(2)


@pytest.mark.parametrize("missing", ["numpy", "scipy.sparse"])
def test_without_the_extra_fitting_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitting needs the extra; scoring does not."""
    learnt = AnswerScore().fit(TRAINING[:100])
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=r"langchain-agentcost\[semantic\]"):
        AnswerScore().fit(TRAINING[:100])
    assert 0 < learnt.score(*TRAINING[0][:2]) < 1


@pytest.mark.parametrize(
    ("answer", "right", "wrong"),
    [
        ("3 * 4 = 12", True, False),
        ("3 x 4", False, False),
        ("1,200 + 34 = 1234 and 10 / 4 = 3", True, True),
        ("7 \u00d7 6 = $42", True, False),
        ("5 / 0 = 5", False, False),
        ("1.2.3 + 1 = 2", False, False),
        ("10 / 3 = 3.33", True, False),
    ],
)
def test_sums_are_done_again(answer: str, right: bool, wrong: bool) -> None:
    """A sum that is written out is checked, and rounding is forgiven."""
    found = figures("?", answer)
    assert (found["right sums"] > 0, found["wrong sums"] > 0) == (right, wrong)


@pytest.mark.parametrize(("answer", "left_open"), [("(a [b])", 0), ("f(x", 1), ("```py\nx", 1), ("a) b", 0)])
def test_what_breaks_off_is_seen(answer: str, left_open: float) -> None:
    """An open bracket or fence says that the end is missing."""
    assert figures("?", answer)["left open"] == left_open


@given(st.text(max_size=80), st.text(max_size=200))
def test_any_text_can_be_measured(prompt: str, answer: str) -> None:
    """Whatever stands in them, there are twelve finite figures, and words of length 1 together."""
    measured = figures(prompt, answer)
    assert len(measured) == 12
    assert all(0 <= value < 100 for value in measured.values())
    weights = grams(answer, of="answer")
    assert not weights or sum(weight**2 for weight in weights.values()) == pytest.approx(1)
