from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_agentcost.caching.equivalence import Asked, ModelJudge, Verdict, asame_answer, same_answer

ASKED = Asked("When does the shop open?", "What are the opening hours?")
NEAR, FAR = AIMessage("It is near."), AIMessage("It is far away.")


def call(name: str, number: str = "1", **args: object) -> dict[str, Any]:
    """A tool call."""
    return {"name": name, "args": args, "id": number, "type": "tool_call"}


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("Yes.", "yes"),
        ("  It opens\nat nine! ", "It opens at nine."),
        ("**Nine** o'clock", "nine o'clock"),
        ("It costs 1,250.50 USD.", "It costs 1250.5 USD"),
        ("3.0", "3"),
        ("Caf\u00e9", "Cafe\u0301"),
        ("", ""),
    ],
)
def test_the_same_words_are_the_same_answer(stored: str, fresh: str) -> None:
    """Case, spaces, punctuation around words and the way a number is written make no difference."""
    assert same_answer(AIMessage(stored), AIMessage(fresh)) is True


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("5", "-5"),
        ("1.5", "15"),
        ("12,34", "1234"),
        ("007", "7"),
        ("C", "C++"),
        ("Cancelled.", "Cancelled?"),
        ("2 * 3", "2 3"),
        ("10:30", "1030"),
        ("5", ""),
        ("version 1.10", "version 1.10.0"),
        ("yes", "no"),
    ],
)
def test_other_words_are_unknown_without_a_judge(stored: str, fresh: str) -> None:
    """What may change the meaning is not taken for the same."""
    assert same_answer(AIMessage(stored), AIMessage(fresh)) is None
    assert same_answer(AIMessage(fresh), AIMessage(stored)) is None


@given(st.text(), st.text())
def test_any_text_equals_itself_and_the_order_does_not_matter(one: str, other: str) -> None:
    """Equality is reflexive and symmetric for whatever characters there are."""
    assert same_answer(AIMessage(one), AIMessage(one)) is True
    there, back = same_answer(AIMessage(one), AIMessage(other)), same_answer(AIMessage(other), AIMessage(one))
    assert there is back


def test_answers_are_compared_without_what_providers_add() -> None:
    """Ids and metadata are no part of an answer."""
    stored = AIMessage("Nine.", id="a", response_metadata={"model_name": "x"})
    assert same_answer(stored, AIMessage([{"type": "text", "text": "Nine", "id": "7"}], id="b")) is True


def test_equal_tool_calls_are_the_same_answer() -> None:
    """Name and arguments count; ids, the order of calls and what is said beside them do not."""
    stored = AIMessage("Let me see.", tool_calls=[call("find", "1", a=1, b=[2]), call("read", "2")])
    fresh = AIMessage("One moment.", tool_calls=[call("read", "8"), call("find", "9", b=[2], a=1)])
    assert same_answer(stored, fresh) is True


@pytest.mark.parametrize("other", [[call("find", a=2)], [call("find", a=1.0)], [call("seek", a=1)], []])
def test_other_tool_calls_are_another_answer(other: Sequence[dict[str, Any]]) -> None:
    """Another tool, another argument or no call is wrong, and no judge is asked."""
    stored, fresh = AIMessage("", tool_calls=[call("find", a=1)]), AIMessage("", tool_calls=list(other))
    assert same_answer(stored, fresh, judge=lambda *_: True) is False
    assert same_answer(fresh, stored) is False


def test_a_call_that_cannot_be_compared_is_unknown() -> None:
    """An argument without a value of its own leaves it open."""
    message = AIMessage("", tool_calls=[call("find", client=object())])
    assert same_answer(message, message) is None


def test_images_are_equal_or_unknown() -> None:
    """What is more than text is not shown to a judge, who could see the text alone."""
    picture, other = ({"type": "image", "base64": data, "mime_type": "image/png"} for data in ("AAAA", "BBBB"))
    stored, fresh = AIMessage([picture]), AIMessage([other])
    assert same_answer(stored, AIMessage([picture]), judge=lambda *_: False) is True
    assert same_answer(stored, fresh, judge=lambda *_: True) is None


@pytest.mark.parametrize("verdict", [True, False, None])
def test_a_judge_decides_where_words_differ(verdict: bool | None) -> None:
    """It is given both questions and both answers, and what it says counts."""
    seen: list[object] = []

    def judge(*case: object) -> bool | None:
        seen.append(case)
        return verdict

    assert same_answer(NEAR, FAR, asked=ASKED, judge=judge) is verdict
    assert seen == [(ASKED, "It is near.", "It is far away.")]


def test_a_judge_is_not_asked_what_is_plain() -> None:
    """Equal answers cost no judge's call."""
    assert same_answer(NEAR, AIMessage("it is near"), judge=lambda *_: False) is True


async def test_async_code_asks_judges_of_any_kind() -> None:
    """A plain function, a coroutine function and an object with `ajudge` all decide."""

    async def later(*_: object) -> bool:
        return False

    assert await asame_answer(NEAR, FAR, asked=ASKED, judge=lambda *_: True) is True
    assert await asame_answer(NEAR, FAR, asked=ASKED, judge=later) is False
    assert await asame_answer(NEAR, FAR, asked=ASKED, judge=ModelJudge(deciding(same=True))) is True
    assert await asame_answer(NEAR, NEAR, judge=later) is True
    assert await asame_answer(NEAR, FAR) is None


def test_sync_code_refuses_an_async_judge() -> None:
    """It cannot be waited for; the error names the function that can."""

    async def later(*_: object) -> bool:
        raise AssertionError  # never begun

    with pytest.raises(TypeError, match="asame_answer"):
        same_answer(NEAR, FAR, judge=later)


class Deciding(GenericFakeChatModel):
    """A model whose structured output is what it was made with."""

    verdict: Any = None

    def with_structured_output(self, *_: Any, **__: Any) -> Runnable[Any, Any]:
        """Answer as asked for, after a call that callbacks see."""
        return self | RunnableLambda(lambda _: self.verdict)


def deciding(*, same: bool | None) -> BaseChatModel:
    """A model that says this of any pair; None where it gives no verdict."""
    verdict = None if same is None else Verdict(same=same)
    return Deciding(messages=iter([AIMessage("…")] * 9), verdict=verdict)


class Watching(BaseCallbackHandler):
    """Remembers what models were sent, and with which metadata."""

    def __init__(self) -> None:
        self.sent: list[BaseMessage] = []
        self.metadata: dict[str, Any] = {}

    def on_chat_model_start(self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any) -> None:
        """Remember."""
        self.sent, self.metadata = messages[0], kwargs["metadata"]


@pytest.mark.parametrize("same", [True, False, None])
def test_a_model_judges_by_both_answers_and_is_metered_as_overhead(same: bool | None) -> None:
    """Its call carries the questions, the answers as data, and the purpose that the meter knows; the tenant stays."""
    watching = Watching()
    judge = ModelJudge(deciding(same=same))
    asking: Runnable[None, Any] = RunnableLambda(lambda _: same_answer(NEAR, FAR, asked=ASKED, judge=judge))
    assert asking.invoke(None, {"callbacks": [watching], "metadata": {"tenant": "t"}}) is same
    assert watching.metadata["agentcost_purpose"] == "cache"
    assert watching.metadata["tenant"] == "t"
    said = cast("str", watching.sent[-1].content)
    assert all(part in said for part in ("It is near.", "It is far away.", *ASKED))
