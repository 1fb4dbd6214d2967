"""How good the tiers' answers to one call are: what a shadow's examples are graded by."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

from langchain_core.language_models import LanguageModelLike
from langchain_core.messages import BaseMessage, get_buffer_string
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.canonical import as_json
from langchain_agentcost.routed import EVALUATION_PURPOSE, ROLE
from langchain_agentcost.routing.request import RouteRequest

Grades = Mapping[str, float] | None
"""By tier, from 0 (wrong) to 1 (right); None where nobody can tell."""

Grade = Callable[[RouteRequest, Mapping[str, Any]], Grades | Awaitable[Grades]]
"""Grades answers: the call, and the answers by tier, weakest first."""

_JUDGE: RunnableConfig = {
    "metadata": {"agentcost_purpose": EVALUATION_PURPOSE, ROLE: "judge"},
    "run_name": "ShadowJudge",
}
_ASKED = """You grade answers to a request. {rubric}

<request>
{request}
</request>
{answers}
Reply with one whole number from 0 (useless) to 10 (right and complete) for each answer, in their order, separated by \
spaces, and nothing else."""


def agreement(request: RouteRequest, answers: Mapping[str, Any]) -> Grades:
    """Grade by the strongest tier's answer: who asks for the same tool calls, or says the same, is right.

    It needs no labels and says how often a tier can stand in for the strongest, not who is right. Tool calls are
    compared by name and arguments, structured output by its values, text without case and spacing. Texts that differ
    may mean the same and count as wrong all the same: a tier is then better than it looks, and what is proven of it
    holds. To leave such calls out would keep the easy ones only. For free text give a judge or a test of your own.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> call = {"name": "search", "args": {"q": "x"}, "id": "1"}
        >>> asked = RouteRequest.of("?")
        >>> agreement(asked, {"small": AIMessage("Sure!", tool_calls=[call]), "big": AIMessage("", tool_calls=[call])})
        {'small': 1.0, 'big': 1.0}
        >>> agreement(asked, {"small": AIMessage("No."), "big": AIMessage("It is not.")})
        {'small': 0.0, 'big': 1.0}
    """
    del request
    said = {tier: _said(answer) for tier, answer in answers.items()}
    strongest = next(reversed(said.values()))
    return {tier: float(one == strongest) for tier, one in said.items()}


def passing(test: Callable[[RouteRequest, Any], float | bool | None]) -> Grade:
    """Grade by a test of your own: given the call and an answer it gives true, false or a share; None cannot tell.

    Example:
        >>> passing(lambda request, answer: "42" in answer)(RouteRequest.of("6 * 7?"), {"small": "41", "big": "42"})
        {'small': 0.0, 'big': 1.0}
    """

    def grade(request: RouteRequest, answers: Mapping[str, Any]) -> Grades:
        found = {tier: test(request, answer) for tier, answer in answers.items()}
        known = {tier: float(value) for tier, value in found.items() if value is not None}
        return known if len(known) == len(found) else None

    return grade


class JudgedBy:
    """Grade by a model that sees the request and all answers, unnamed and in random order.

    A judge is itself uncertain: check some of its grades. Its calls are booked as evaluation.

    Args:
        model: The model; best one that is none of the tiers.
        rubric: What makes an answer right.
        seed: For the order of the answers; None is another each time.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> judge = JudgedBy(FakeMeteredChatModel(answers=["10 10"]))
        >>> judge(RouteRequest.of("Hi"), {"small": "Hello", "big": "Hello!"})
        {'small': 1.0, 'big': 1.0}
    """

    def __init__(self, model: LanguageModelLike, *, rubric: str = "", seed: int | None = None) -> None:
        self._model = model
        self._rubric = rubric
        self._random = Random(seed)  # noqa: S311  # an order, not a secret

    def __call__(self, request: RouteRequest, answers: Mapping[str, Any]) -> Grades:
        """Grade answers; None where the judge did not say one number for each."""
        order = list(answers)
        self._random.shuffle(order)
        shown = "".join(f"<answer>\n{_shown(answers[tier])}\n</answer>\n" for tier in order)
        asked = _ASKED.format(rubric=self._rubric, request=get_buffer_string(request.messages), answers=shown)
        said = self._model.invoke(asked, _JUDGE)
        numbers = [int(number) for number in re.findall(r"\d+", _shown(said))]
        if len(numbers) != len(order) or max(numbers) > 10:
            return None
        grades = dict(zip(order, numbers, strict=True))
        return {tier: grades[tier] / 10 for tier in answers}


def _said(answer: Any) -> tuple[str, str]:
    """What kind of answer it is, and what is compared of it."""
    calls = getattr(answer, "tool_calls", None)
    if calls:
        return "calls", as_json(sorted(as_json([call["name"], call["args"]]) for call in calls))
    if isinstance(answer, BaseMessage | str):
        return "text", " ".join(_shown(answer).casefold().split())
    return "data", as_json(answer.model_dump() if hasattr(answer, "model_dump") else answer)


def _shown(answer: Any) -> str:
    """An answer as text."""
    if not isinstance(answer, BaseMessage):
        return answer if isinstance(answer, str) else as_json(answer)
    calls = [(call["name"], call["args"]) for call in getattr(answer, "tool_calls", None) or ()]
    return answer.text + (f"\n{as_json(calls)}" if calls else "")
