from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from threading import Event, current_thread
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from langchain_agentcost.errors import LimitReached, RoutingError, RoutingWarning
from langchain_agentcost.routing.calibrating import calibrate
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.examples_file import append_example, bare, read_examples
from langchain_agentcost.routing.grading import JudgedBy, agreement, passing
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.routing.shadow import MOST_WAITING, Shadow
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.testing import FakeMeteredChatModel

WHOSE: ContextVar[str] = ContextVar("WHOSE", default="nobody")
CALL = {"name": "search", "args": {"q": "x", "n": 1}, "id": "1"}


def offers(*tiers: str) -> Any:
    """Such offers, weakest first."""
    return [SimpleNamespace(name=tier) for tier in tiers or ("small", "big")]


def request(text: str = "My name is Ada.", **facts: Any) -> RouteRequest:
    """A call."""
    return RouteRequest.of(text, **facts)


def drawn(shadow: Shadow, *tiers: str) -> tuple[str, ...]:
    """The tiers to compare, of a call that has a shadow."""
    found = shadow.drawn(offers(*tiers))
    assert found == (tiers or ("small", "big"))
    return found


def one(shadow: Shadow, answered: str, answer: Any, ask: Callable[[str], Any], *tiers: str, **facts: Any) -> None:
    """Make one call with its shadow, and wait for it."""
    asked = request(**facts)
    shadow.run(asked, drawn(shadow, *tiers), {answered: answer}, ask)
    shadow.flush()


def test_other_tier_answers_and_both_are_graded() -> None:
    """The tier that did not answer is asked; what comes of it is an example with the quality of each."""
    with Shadow(share=1.0) as shadow:
        one(shadow, "big", "Yes.", lambda tier: f"{tier}? yes.".replace("small? ", ""), node="chat")
    [found] = shadow.examples
    assert (found.quality, found.request.node) == ({"small": 1.0, "big": 1.0}, "chat")
    assert shadow.counts == {"done": 1}


def test_all_other_tiers_are_asked_weakest_first() -> None:
    """With three tiers two are asked, since a calibration needs them all."""
    asked: list[str] = []

    def ask(tier: str) -> AIMessage:
        asked.append(tier)
        return AIMessage("", tool_calls=[CALL] if tier == "big" else [])

    with Shadow(share=1.0) as shadow:
        one(shadow, "mid", AIMessage("", tool_calls=[CALL]), ask, "small", "mid", "big")
    assert asked == ["small", "big"]
    assert shadow.examples[0].quality == {"small": 0.0, "mid": 1.0, "big": 1.0}


def test_costs_of_both_answers_are_kept_where_somebody_knows_them() -> None:
    """With a price an example says what each answer cost, which makes the cost share of a calibration."""
    answer = FakeMeteredChatModel(answers=["Yes."]).invoke("?")
    with Shadow(share=1.0, cost=lambda tier, usage: usage.output_tokens * (10 if tier == "big" else 1)) as shadow:
        one(shadow, "big", answer, lambda tier: answer)
    [found] = shadow.examples
    assert found.nano["big"] == 10 * found.nano["small"] > 0


def test_share_of_calls_has_a_shadow() -> None:
    """A tenth of the calls is drawn, the same ones with the same seed."""
    found = [[bool(Shadow(share=0.1, seed=seed).drawn(offers())) for seed in range(2000)] for _ in range(2)]
    assert found[0] == found[1]
    assert 150 < sum(found[0]) < 250


@pytest.mark.parametrize(("share", "tiers"), [(0.0, ("small", "big")), (1.0, ("small",))])
def test_no_shadow_where_none_is_asked_for_or_there_is_nobody_else(share: float, tiers: tuple[str, ...]) -> None:
    """A share of 0, or a single tier that can take the call, has none."""
    assert not Shadow(share=share).drawn(offers(*tiers))


def test_call_that_was_not_drawn_is_not_run() -> None:
    """A call that was not drawn asks nobody else."""
    models = [FakeMeteredChatModel(), FakeMeteredChatModel()]
    with Shadow(share=0.0) as shadow:
        RouterRunnable(models, policy="small", shadow=shadow).invoke("Hi")
    assert (len(models[0].prompts), len(models[1].prompts), shadow.counts) == (1, 0, {})


def test_user_does_not_wait() -> None:
    """`run` returns while the other tier is still at it, which happens in another thread."""
    going = Event()
    names: list[str] = []

    def ask(tier: str) -> str:
        names.append(current_thread().name)
        going.wait(10)
        return tier

    shadow, asked = Shadow(share=1.0, grade=passing(lambda request, answer: 1)), request()
    tiers = drawn(shadow)
    shadow.run(asked, tiers, {"big": "Yes."}, ask)
    assert not shadow.counts
    going.set()
    shadow.close()
    assert len(shadow.examples) == 1
    assert names[0] != current_thread().name


def test_shadow_sees_the_context_of_the_call() -> None:
    """What the run's context holds is there in the other thread: a meter finds its own."""
    seen: list[str] = []
    token = WHOSE.set("ada")
    try:
        with Shadow(share=1.0) as shadow:
            one(shadow, "big", "Yes.", lambda tier: seen.append(WHOSE.get()))
    finally:
        WHOSE.reset(token)
    assert seen == ["ada"]


def test_error_does_not_reach_the_user() -> None:
    """A provider that fails costs an example; one warning says so, without its text."""

    def ask(tier: str) -> Any:
        raise ValueError("My name is Ada.")

    shadow = Shadow(share=1.0)
    with pytest.warns(RoutingWarning, match="ValueError$"):
        one(shadow, "big", "Yes.", ask)
    one(shadow, "big", "Yes.", ask)
    shadow.close()
    assert (shadow.counts, shadow.examples) == ({"failed": 2}, ())


def test_limit_stops_the_shadow_and_nothing_else() -> None:
    """A budget that has no room for the comparison leaves it undone, without a word."""

    def ask(tier: str) -> Any:
        raise LimitReached("no room")

    with Shadow(share=1.0) as shadow:
        one(shadow, "big", "Yes.", ask)
    assert (shadow.counts, shadow.examples) == ({"stopped": 1}, ())


def test_grader_that_fails_does_not_reach_the_user() -> None:
    """Nor does what a test of the user's own raises, or a quality that cannot be."""

    def wrong(request: RouteRequest, answer: Any) -> float:
        return 7.0

    with (
        pytest.warns(RoutingWarning, match="quality of 'small' is from 0 to 1"),
        Shadow(1.0, grade=passing(wrong)) as shadow,
    ):
        one(shadow, "big", "Yes.", lambda tier: "Yes.")
    assert shadow.counts == {"failed": 1}


def test_answers_that_nobody_can_grade_are_counted() -> None:
    """What a test of one's own cannot tell is no example, and it is seen how many there were."""
    with Shadow(share=1.0, grade=passing(lambda request, answer: None)) as shadow:
        one(shadow, "big", "Yes.", lambda tier: "That is so.")
    assert (shadow.counts, shadow.examples) == ({"ungraded": 1}, ())


def test_too_many_at_a_time_are_passed_by() -> None:
    """Where shadows pile up, calls go without rather than queue for ever."""
    going = Event()
    shadow = Shadow(share=1.0)
    for _ in range(MOST_WAITING):
        asked = request()
        tiers = drawn(shadow)
        shadow.run(asked, tiers, {"big": "Yes."}, lambda tier: going.wait(10) and "Yes.")
    assert not shadow.drawn(offers())
    going.set()
    shadow.close()
    assert shadow.counts == {"passed by": 1, "done": MOST_WAITING}


def test_closed_starts_no_more() -> None:
    """After close there is no shadow; closing twice is harmless."""
    shadow = Shadow(share=1.0)
    shadow.close()
    shadow.close()
    assert not shadow.drawn(offers())


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest examples go."""
    monkeypatch.setattr("langchain_agentcost.routing.shadow.MOST_KEPT", 2)
    with Shadow(share=1.0) as shadow:
        for node in ("one", "two", "three"):
            one(shadow, "big", "Yes.", lambda tier: "Yes.", node=node)
    assert [found.request.node for found in shadow.examples] == ["two", "three"]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_share_out_of_bounds_is_refused(share: float) -> None:
    """A share is from 0 to 1."""
    with pytest.raises(RoutingError, match="from 0 to 1"):
        Shadow(share=share)


async def test_async_shadow_is_a_task_that_nobody_waits_for() -> None:
    """`arun` returns at once; `aclose` waits for what is under way."""
    going = asyncio.Event()

    async def ask(tier: str) -> str:
        await going.wait()
        return "Yes."

    shadow, asked = Shadow(share=1.0), request()
    tiers = drawn(shadow)
    await shadow.arun(asked, tiers, {"big": "yes."}, ask)
    assert not shadow.counts
    going.set()
    await shadow.aclose()
    assert shadow.examples[0].quality == {"small": 1.0, "big": 1.0}
    assert not shadow.drawn(offers())


@pytest.mark.parametrize(
    ("error", "count"), [(LimitReached("no room"), "stopped"), (ValueError("down"), "failed")], ids=["limit", "error"]
)
async def test_async_errors_do_not_reach_the_user(error: Exception, count: str) -> None:
    """What the other tier raises is counted, in async code too."""

    async def ask(tier: str) -> str:
        raise error

    shadow, asked = Shadow(share=1.0), request()
    tiers = drawn(shadow)
    with pytest.warns(RoutingWarning) if count == "failed" else _nothing():
        await shadow.arun(asked, tiers, {"big": "Yes."}, ask)
        await shadow.aflush()
    assert shadow.counts == {count: 1}


def _nothing() -> Any:
    return Shadow(share=0.0)


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_grader_may_be_async(how: str) -> None:
    """An async grader is awaited, from sync code and from async code."""

    async def grade(request: RouteRequest, answers: Mapping[str, Any]) -> Mapping[str, float]:
        await asyncio.sleep(0)
        return dict.fromkeys(answers, 0.5)

    async def ask(tier: str) -> str:
        return "Yes."

    shadow, asked = Shadow(share=1.0, grade=grade), request()
    tiers = drawn(shadow)
    if how == "sync":
        shadow.run(asked, tiers, {"big": "Yes."}, lambda tier: "Yes.")
    else:
        await shadow.arun(asked, tiers, {"big": "Yes."}, ask)
    await shadow.aclose()
    assert shadow.examples[0].quality == {"small": 0.5, "big": 0.5}


def test_file_has_what_policies_learn_from_and_no_text(tmp_path: Path) -> None:
    """A line an example, for its owner alone: the kind of step and the quality, no word of prompt or thread."""
    path = tmp_path / "examples.jsonl"
    with Shadow(share=1.0, file=path) as shadow:
        one(shadow, "big", "Yes.", lambda tier: "Yes.", node="chat", thread="ada@example.com", tools=("search",))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert "Ada" not in text
    assert "ada" not in text
    assert json.loads(text)["quality"] == {"small": 1.0, "big": 1.0}
    assert read_examples(path) == shadow.examples
    assert shadow.examples[0].id
    assert "Ada" not in str(shadow.examples)


def test_text_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    """With `keep_text` what a person said last is there, in memory and in the file, and nothing else of the prompt."""
    path = tmp_path / "examples.jsonl"
    with Shadow(share=1.0, file=path, keep_text=True) as shadow:
        one(shadow, "big", "Yes.", lambda tier: "Yes.")
    assert [found.request.text for found in (*shadow.examples, *read_examples(path))] == ["My name is Ada."] * 2


def test_file_that_cannot_be_written_does_not_reach_the_user(tmp_path: Path) -> None:
    """A full or missing disk is a warning; the example is there in memory."""
    with pytest.warns(RoutingWarning, match="NotFound"), Shadow(share=1.0, file=tmp_path / "none" / "x") as shadow:
        one(shadow, "big", "Yes.", lambda tier: "Yes.")
    assert len(shadow.examples) == 1


def test_examples_of_a_file_calibrate(tmp_path: Path) -> None:
    """What shadows wrote is enough for a policy that goes by the kind of step to be fitted and calibrated."""
    path = tmp_path / "examples.jsonl"
    for number in range(60):
        for turn in range(5):
            spoken = request(node="format", thread=str(number))
            append_example(path, Example(request=spoken, quality={"small": 1, "big": 1}, id=f"{number}-{turn}"))
    tiers = [Tier(name, FakeMeteredChatModel()) for name in ("small", "big")]
    twice = calibrate(StepPolicy(), read_examples(path) * 2, tiers)
    assert (twice.strong_share, twice.examples, twice.left_out) == (0, 300, {"the same example again": 300})


def test_examples_of_an_older_file_are_read(tmp_path: Path) -> None:
    """A line without an id is an example that nothing tells from others."""
    path = tmp_path / "examples.jsonl"
    append_example(path, Example(request=request(), quality={"big": 1}))
    line = json.loads(path.read_text())
    del line["id"]
    path.write_text(json.dumps(line) + "\n")
    assert read_examples(path)[0].id == ""


@pytest.mark.parametrize(
    "messages",
    [
        [HumanMessage("Hi")],
        [HumanMessage("Hi"), AIMessage("", tool_calls=[CALL]), ToolMessage("found", tool_call_id="1")],
        [HumanMessage("Hi"), AIMessage("", tool_calls=[CALL]), ToolMessage("x", tool_call_id="1", status="error")],
        [HumanMessage("Hi"), *[AIMessage("", tool_calls=[CALL]), ToolMessage("found", tool_call_id="1")] * 2],
    ],
    ids=["user", "result", "error", "stalled"],
)
def test_bare_request_is_the_same_kind_of_step(messages: list[BaseMessage], tmp_path: Path) -> None:
    """Without its text a request has its signature still, and so it has from a file."""
    spoken = RouteRequest.of(messages, node="plan", tools=("search",), schema="N", prompt_tokens=5000, images=True)
    kept = bare(spoken)
    append_example(tmp_path / "x", Example(request=spoken, quality={"big": 1}))
    [read] = read_examples(tmp_path / "x")
    assert kept.signature == spoken.signature == read.request.signature
    assert StepPolicy().losses(kept, ["small", "big"]) == StepPolicy().losses(spoken, ["small", "big"])
    assert read.request == kept


@given(st.text(max_size=200), st.floats(0, 1), st.booleans())
def test_any_example_comes_back(text: str, quality: float, keep: bool) -> None:
    """Whatever the text is, an example is read as it was written."""
    import tempfile  # noqa: PLC0415  # hypothesis does not get along with tmp_path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        given = Example(request=request(text, thread="t"), quality={"small": quality}, nano={"small": 5})
        append_example(path, given, keep_text=keep)
        append_example(path, given, keep_text=keep)
        assert [found.quality for found in read_examples(path)] == [{"small": quality}] * 2
        assert read_examples(path)[0].request == bare(given.request, keep_text=keep)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is no example"),
        ("[]", "line 2 is no example"),
        ('{"version": 1}', "line 2 is no example"),
        ('{"version": 9}', "line 2 was written by a newer version"),
    ],
)
def test_line_that_is_no_example_is_named(tmp_path: Path, line: str, said: str) -> None:
    """A damaged or newer line is a RoutingError that says which; a line that was cut off at the end is left out."""
    path = tmp_path / "x"
    append_example(path, Example(request=request(), quality={"big": 1}))
    with path.open("a") as file:
        file.write(line)
    assert len(read_examples(path)) == 1
    with path.open("a") as file:
        file.write("\n")
    with pytest.raises(RoutingError, match=said):
        read_examples(path)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    """No file is a RoutingError."""
    with pytest.raises(RoutingError, match="has no examples that can be read"):
        read_examples(tmp_path / "none")


class Invoice(BaseModel):
    """A structured output."""

    total: int


@pytest.mark.parametrize(
    ("small", "big", "quality"),
    [
        (AIMessage("", tool_calls=[CALL]), AIMessage("So:", tool_calls=[{**CALL, "id": "2"}]), 1.0),
        (AIMessage("", tool_calls=[{**CALL, "args": {"q": "y", "n": 1}}]), AIMessage("", tool_calls=[CALL]), 0.0),
        (AIMessage("I cannot."), AIMessage("", tool_calls=[CALL]), 0.0),
        (AIMessage("", tool_calls=[CALL]), AIMessage("I cannot."), 0.0),
        (AIMessage(" yes"), "Yes", 1.0),
        (AIMessage("No"), AIMessage("Yes"), 0.0),
        (Invoice(total=1), Invoice(total=1), 1.0),
        (Invoice(total=1), Invoice(total=2), 0.0),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}, 1.0),
    ],
)
def test_agreement_compares_what_would_be_done(small: Any, big: Any, quality: float | None) -> None:
    """Same tool calls, values or words are right; other calls or values are wrong; other words nobody can tell."""
    grades = agreement(request(), {"small": small, "big": big})
    assert grades == (None if quality is None else {"small": quality, "big": 1.0})


def test_test_of_ones_own_that_cannot_tell_grades_nothing() -> None:
    """Where one answer has no grade there is no example."""
    grade = passing(lambda request, answer: None if answer == "?" else answer == "Yes")
    assert grade(request(), {"small": "No", "big": "Yes"}) == {"small": 0.0, "big": 1.0}
    assert grade(request(), {"small": "?", "big": "Yes"}) is None


def test_judge_sees_both_answers_and_not_whose_they_are() -> None:
    """The grades go to the right tiers, in whatever order the judge saw the answers."""
    seen: list[str] = []

    def judged(messages: list[BaseMessage]) -> str:
        seen.append(messages[-1].text)
        return "10 2" if seen[-1].index("Good") < seen[-1].index("Bad") else "2 10"

    orders = set()
    for seed in range(10):
        judge = JudgedBy(FakeMeteredChatModel(answers=judged), rubric="Be strict.", seed=seed)
        assert judge(request("Well?"), {"small": AIMessage("Bad"), "big": AIMessage("Good")}) == {
            "small": 0.2,
            "big": 1.0,
        }
        orders.add(seen[-1].index("Good") < seen[-1].index("Bad"))
    assert orders == {True, False}
    assert all(part in seen[0] for part in ("Be strict.", "Well?"))
    assert "small" not in seen[0]


@pytest.mark.parametrize("said", ["Both are fine.", "10", "11 3", "1 2 3"])
def test_judge_that_gives_no_grades_grades_nothing(said: str) -> None:
    """An answer that is not one number each, from 0 to 10, is no grade."""
    judge = JudgedBy(FakeMeteredChatModel(answers=[said]))
    assert judge(request(), {"small": "a", "big": "b"}) is None


def test_judges_calls_are_booked_as_evaluation() -> None:
    """A judge's own call carries the purpose by which a meter takes it off what routing saves."""
    seen: list[Mapping[str, Any]] = []

    class Judge(FakeMeteredChatModel):
        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> AIMessage:  # noqa: A002  # LangChain's name
            seen.append(config["metadata"])
            return super().invoke(input, config, **kwargs)

    JudgedBy(Judge(answers=["1 1"]))(request(), {"small": "a", "big": "b"})
    assert seen == [{"agentcost_purpose": "evaluation", "agentcost_role": "judge"}]
