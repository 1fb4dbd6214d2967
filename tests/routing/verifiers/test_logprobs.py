"""How sure a model was, as the real class reports it."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_agentcost.errors import RoutingError, RoutingWarning
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.verdict import Verifier
from langchain_agentcost.routing.verifiers.logprobs import LogprobMargin
from tests.canned_provider import CannedProvider, openai_chat

REQUEST = RouteRequest.of("Which row?")


def _token(text: str, share: float, **others: float) -> dict[str, Any]:
    tops = [{"token": name, "logprob": log(other), "bytes": None} for name, other in others.items()]
    own = {"token": text, "logprob": log(share), "bytes": None}
    return {**own, "top_logprobs": [own, *tops] if tops else []}


def _answer(*tokens: dict[str, Any]) -> AIMessage:
    return AIMessage("9", response_metadata={"logprobs": {"content": list(tokens)}})


def test_the_margin_of_a_real_answer_is_read() -> None:
    """ChatOpenAI's own answer has its logprobs where they are looked for."""
    body = openai_chat("9", usage=None)
    body["choices"][0]["logprobs"] = {"content": [_token("9", 0.8, ten=0.1)], "refusal": None}
    with CannedProvider(body) as provider:
        model = ChatOpenAI(model="gpt-4.1-mini", base_url=provider.openai_url, api_key=SecretStr("none"))
        answer = model.bind(logprobs=True, top_logprobs=2).invoke("Which row?")
    verdict = LogprobMargin(min_margin=0.6).check(REQUEST, answer, {})
    assert verdict.accepted
    assert verdict.score == pytest.approx(0.7)


def test_the_mean_or_the_least_counts() -> None:
    """One unsure token among sure ones fails only where the least counts."""
    answer = _answer(_token("9", 0.9, x=0.1), _token("A", 0.5, B=0.4))
    assert LogprobMargin(min_margin=0.4).check(REQUEST, answer, {}).score == pytest.approx(0.45)
    assert LogprobMargin(min_margin=0.4, over="least").check(REQUEST, answer, {}).score == pytest.approx(0.1)
    assert not LogprobMargin(min_margin=0.4, over="least").check(REQUEST, answer, {}).accepted


def test_without_the_other_tokens_the_margin_is_understated() -> None:
    """What is left of the probability counts as one other token, so nothing is accepted that should not be."""
    known, unknown = _answer(_token("9", 0.7, x=0.1)), _answer(_token("9", 0.7))
    margin = LogprobMargin()
    assert margin.check(REQUEST, known, {}).score == pytest.approx(0.6)
    assert margin.check(REQUEST, unknown, {}).score == pytest.approx(0.4)


def test_a_token_that_was_not_the_most_probable_has_no_margin() -> None:
    """A drawn token below another has a margin under 0, and a score of 0."""
    verdict = LogprobMargin(min_margin=0.0).check(REQUEST, _answer(_token("9", 0.2, x=0.7)), {})
    assert not verdict.accepted
    assert verdict.score == 0


@pytest.mark.parametrize(
    "answer", [AIMessage("9"), {"seat": 9}, AIMessage("", response_metadata={"logprobs": {"content": None}})]
)
def test_an_answer_without_logprobs_is_not_accepted_and_that_is_told_once(
    answer: Any, recwarn: pytest.WarningsRecorder
) -> None:
    """Who forgot to ask for logprobs pays the strong tier each time, and is told what to bind."""
    margin = LogprobMargin()
    with pytest.warns(RoutingWarning, match="logprobs=True, top_logprobs=2"):
        assert margin.check(REQUEST, answer, {}).reasons == ("no logprobs",)
    assert not margin.check(REQUEST, answer, {}).accepted
    assert not list(recwarn)


@pytest.mark.parametrize("wrong", [{"min_margin": 1.2}, {"over": "median"}])
def test_a_margin_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """A margin is a share."""
    with pytest.raises(RoutingError, match="min_margin is from 0 to 1"):
        LogprobMargin(**wrong)


async def test_async_code_gets_the_same_verdict() -> None:
    """It asks nobody."""
    assert isinstance(LogprobMargin(), Verifier)
    assert (await LogprobMargin().acheck(REQUEST, _answer(_token("9", 0.99)), {})).accepted
