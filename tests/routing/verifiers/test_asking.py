"""Checks that ask a model: self-consistency and a judge."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routed import EVALUATION_PURPOSE, ROLE, TIER
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.verdict import Verifier
from langchain_agentcost.routing.verifiers.acceptance import Labelled, acceptance
from langchain_agentcost.routing.verifiers.consistency import SelfConsistency, said
from langchain_agentcost.routing.verifiers.judge import Judge
from langchain_agentcost.testing import FakeMeteredChatModel

REQUEST = RouteRequest.of("Which row?")


class Seen(BaseCallbackHandler):
    """Notes what is told of model calls."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        """Note it."""
        self.told.append({**kwargs["metadata"], "tags": kwargs["tags"], "run": kwargs["run_id"]})


def _model(*answers: Any) -> FakeMeteredChatModel:
    return FakeMeteredChatModel(answers=list(answers))


def _calling(**args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "book", "args": args, "id": "1"}])


@pytest.mark.parametrize(
    ("answers", "accepted", "score"),
    [(["nine", "NINE.", "ten"], True, 2 / 3), (["ten", "ten", "nine"], False, 1 / 3), (["ten"], False, 0.0)],
)
async def test_an_answer_that_is_given_again_passes(answers: list[str], accepted: bool, score: float) -> None:
    """Half of the further answers or more have to be the same, in sync and async code."""
    check = SelfConsistency(_model(*answers), k=3)
    assert isinstance(check, Verifier)
    verdict = check.check(REQUEST, AIMessage("Nine"), {})
    assert verdict.accepted == accepted
    assert verdict.score == pytest.approx(score)
    assert (await SelfConsistency(_model(*answers), k=3).acheck(REQUEST, AIMessage("Nine"), {})) == verdict


def test_tool_calls_are_the_same_by_name_and_arguments() -> None:
    """The order of arguments, ids and the words beside them do not count."""
    one = AIMessage("Let me.", tool_calls=[{"name": "book", "args": {"a": 1, "b": 2}, "id": "7"}])
    assert said(one) == said(_calling(b=2, a=1)) != said(_calling(a=1, b=3))
    assert said({"row": 9}) == said({"raw": AIMessage("x"), "parsed": {"row": 9}}) != said({"row": 8})


def test_what_is_compared_can_be_said() -> None:
    """A key takes out what counts, such as the last word."""
    last = SelfConsistency(_model("It has to be nine", "Ten"), k=2, key=lambda answer: answer.text.split()[-1].lower())
    assert last.check(REQUEST, AIMessage("I say Nine"), {}).score == 0.5


def test_the_model_is_asked_what_was_asked() -> None:
    """Each further answer is to the very prompt, made fit for the model."""
    model = _model("nine")
    thought = AIMessage([{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Hm."}])
    SelfConsistency(model, k=2).check(RouteRequest.of([HumanMessage("?"), thought]), AIMessage("nine"), {})
    assert [[message.content for message in prompt] for prompt in model.prompts] == [["?", "Hm."]] * 2


@pytest.mark.parametrize("wrong", [{"k": 0}, {"min_share": 0.0}, {"min_share": 1.1}])
def test_a_vote_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """Nobody asked proves nothing."""
    with pytest.raises(RoutingError, match="k is at least 1"):
        SelfConsistency(_model("x"), **wrong)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"score": 7}', 0.7),
        ('```json\n{"score": 10}\n```', 1.0),
        ('First I thought {"score": 3}, but in the end {"score": 8.5}.', 0.85),
        ('{"why": "{odd}", "score": 0}', 0.0),
        ('{"score": 9} {"unfinished', 0.9),
        ('{"score": 0.9}', 0.09),
    ],
)
def test_a_judges_score_is_found(reply: str, score: float) -> None:
    """However a judge wraps it, its last score counts, out of ten."""
    verdict = Judge(_model(reply), criteria="The row is right.").check(REQUEST, AIMessage("Nine."), {})
    assert verdict.score == pytest.approx(score)
    assert verdict.accepted == (score >= 0.7)


@pytest.mark.parametrize(
    "reply", ["", "Looks good!", '{"score": 11}', '{"score": -1}', '{"score": "9"}', '{"score": true}',
              '{"score": NaN}', '{"ok": 1}', "{" * 300, "[9]"]
)  # fmt: skip
async def test_a_judge_that_says_nothing_usable_accepts_nothing(reply: str) -> None:
    """What is no score is no yes, in sync and async code."""
    judge = Judge(_model(reply), criteria="The row is right.")
    assert judge.check(REQUEST, AIMessage("Nine."), {}).reasons == ("the judge said nothing usable",)
    assert not (await judge.acheck(REQUEST, AIMessage("Nine."), {})).accepted


def test_the_judge_sees_the_end_of_the_conversation_and_the_answer_as_data() -> None:
    """What was said stands in JSON that no text of it can break out of, and the criteria above it."""
    messages: list[BaseMessage] = [
        SystemMessage("Old."), HumanMessage("Book."), _calling(row=9), ToolMessage('free"}', tool_call_id="1")
    ]  # fmt: skip
    model = _model('{"score": 9}')
    judge = Judge(model, criteria="Only {free} rows.", last_messages=3)
    assert judge.check(RouteRequest.of(messages), _calling(row=9), {}).accepted
    task, data = model.prompts[0]
    assert "Only {free} rows." in str(task.content)
    assert "Old." not in str(data.content)
    assert r"free\"}" in str(data.content)
    assert str(data.content).count(r"Calls book({\"row\": 9})") == 2


def test_a_judge_can_be_one_of_the_tiers() -> None:
    """By its name, else by its level."""
    tiers = [Tier("a", _model("x"), level="small"), Tier("b", _model('{"score": 9}'), level="mid")]
    assert Judge.of_tier(tiers, criteria="c").model is tiers[1].model
    assert Judge.of_tier(tiers, "a", criteria="c", threshold=0.9).model is tiers[0].model
    assert SelfConsistency(tiers[0]).model is tiers[0].model
    with pytest.raises(RoutingError, match="No tier is named 'judge'"):
        Judge.of_tier(tiers, "judge", criteria="c")


@pytest.mark.parametrize("wrong", [{"criteria": " "}, {"threshold": 7}, {"last_messages": 0}])
def test_a_judge_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """It needs criteria, and a threshold that is a share."""
    with pytest.raises(RoutingError, match=r"needs criteria|threshold is from 0 to 1"):
        Judge(_model("x"), **{"criteria": "c", **wrong})


@pytest.mark.parametrize(
    "check", [SelfConsistency(_model("nine"), k=1), Judge(_model('{"score": 9}'), criteria="c")], ids=["vote", "judge"]
)
async def test_its_calls_are_told_as_overhead_and_are_not_streamed(check: Any) -> None:
    """The meter books them as verification of the tier that drafted, and no watcher of the graph sees their tokens."""
    seen = Seen()
    config: RunnableConfig = {"callbacks": [seen], "metadata": {TIER: "small", "agentcost_purpose": "agent"},
                              "tags": ["mine"], "run_id": uuid4()}  # fmt: skip
    check.check(REQUEST, AIMessage("nine"), config)
    await check.acheck(REQUEST, AIMessage("nine"), config)
    assert len(seen.told) == 2
    for told in seen.told:
        assert (told["agentcost_purpose"], told[ROLE], told[TIER]) == ("verification", "judge", "small")
        assert {"mine", TAG_NOSTREAM} <= set(told["tags"])
        assert told["run"] != config["run_id"], "that is the answer's"
    assert config["tags"] == ["mine"], "what was given stays as it was"


def test_what_a_measurement_asks_is_booked_as_evaluation() -> None:
    """A check is measured at the cost of evaluation, not of the agent's verification."""
    seen = Seen()
    judge = Judge(_model('{"score": 9}').with_config({"callbacks": [seen]}), criteria="c")
    assert acceptance(judge, [Labelled(REQUEST, AIMessage("nine"), right=True)]).accepts_right == 1
    assert [told["agentcost_purpose"] for told in seen.told] == [EVALUATION_PURPOSE]
