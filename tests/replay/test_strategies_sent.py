from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_agentcost.replay.strategies import STRATEGIES
from tests.replay.made import Asked, Turn, episode, says, schemas, sent, uses

NOT_SENDING = ("breakers", "limits", "response_cache", "composed", "composed_lossless")
"""Strategies that stop runs, or answer calls themselves."""

SENDING = [name for name in STRATEGIES if name not in NOT_SENDING]
"""Strategies that send every call."""

EAGER = (
    *SENDING,
    "mask_sliding:keep=0",
    "mask_sliding:keep=1",
    "mask_batched:keep=1:until=2",
    "truncate:tokens=5",
    "reference:above=20",
    "summarize:above=30:keep=1:to=5:margin=0:break_even=no",
    "summarize:above=60:keep=3:to=5:margin=0:break_even=no",
    "volatile_head:at=system",
    "truncate:tokens=20+summarize:above=60:keep=2:to=5:margin=0:break_even=no",
    "mask_sliding:keep=1+minify",
)
"""The same, and some that act on short runs too."""

APPENDING = (
    "none",
    "prompt_cache",
    "tool_cache",
    "minify",
    "truncate:tokens=5",
    "reference:above=20",
    "prune_tools",
)
"""Strategies whose prompts only grow, so that the provider's cache keeps what it has."""

_texts = st.sampled_from(["ok", "word " * 30, '{"id": 7,  "of": [1, 2]}', ""])
_turns = st.one_of(
    st.builds(uses, st.sampled_from(["get_order", "cancel_order"]), _texts, n=st.integers(0, 3)),
    st.builds(says, _texts, then=st.just("Go on.")),
    st.lists(st.builds(Asked, st.just("get_order"), st.just({}), _texts), min_size=2, max_size=3).map(
        lambda asked: Turn(asked=tuple(asked))
    ),
)
_runs = st.lists(_turns, min_size=1, max_size=12)


def _ids(messages: Sequence[BaseMessage]) -> list[str]:
    """The ids of tool results in a prompt."""
    return [message.tool_call_id for message in messages if isinstance(message, ToolMessage)]


def _asked(messages: Sequence[BaseMessage]) -> list[str]:
    return [call["id"] or "" for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]


@settings(deadline=None, max_examples=150)
@given(turns=_runs, by=st.sampled_from(EAGER), system=st.booleans())
def test_tool_calls_and_results_stay_together(turns: list[Turn], by: str, system: bool) -> None:
    """Providers refuse a result without its call, a call without its result, and a prompt without a question."""
    for request in sent(episode(*turns, system="You help." if system else None, tools=schemas("get_order")), by):
        assert _ids(request.messages) == _asked(request.messages)
        for place, message in enumerate(request.messages):
            if isinstance(message, ToolMessage):
                assert message.tool_call_id in _asked(request.messages[:place])
        assert any(message.type == "human" for message in request.messages)


@settings(deadline=None, max_examples=100)
@given(turns=_runs, by=st.sampled_from(APPENDING))
def test_prompts_only_grow(turns: list[Turn], by: str) -> None:
    """Each prompt begins with all of the one before, message by message."""
    requests = sent(episode(*turns, tools=schemas("get_order", "cancel_order")), by)
    for before, now in pairwise(requests):
        assert now.tools == before.tools
        assert now.messages[: len(before.messages)] == before.messages


@settings(deadline=None, max_examples=100)
@given(turns=_runs, by=st.sampled_from(EAGER))
def test_what_was_recorded_is_never_changed(turns: list[Turn], by: str) -> None:
    """Strategies make new messages: the run that the next strategy gets is still the recorded one."""
    of = episode(*turns, tools=schemas("get_order"))
    before = [message.model_copy(deep=True) for message in of.calls[-1].history]
    sent(of, by)
    assert list(of.calls[-1].history) == before


@pytest.mark.parametrize("by", ["none", "prompt_cache", "tool_cache"])
def test_exact_strategies_send_what_was_recorded(by: str) -> None:
    """Where equality is claimed the very messages and tools are sent."""
    of = episode(uses("get_order"), uses("cancel_order"), says("Done."), tools=schemas("get_order"))
    for call, request in zip(of.calls, sent(of, by), strict=True):
        assert request.messages == call.messages
        assert request.tools == (of.tools, "")
        assert request.model is None


@pytest.mark.parametrize("by", EAGER)
def test_a_retry_and_a_sub_agent_are_sent_what_they_were(by: str) -> None:
    """A prompt that is shorter than the last one, or another conversation, has nothing of the other in it."""
    one = episode(*(uses("get_order", f"result {n} " * 20, n=n) for n in range(6)))
    other = episode(
        *(uses("look", f"inner {n} " * 20, n=n) for n in range(6)), system="You look.", user="Look!", name="run-2"
    )
    first, second = one.calls, other.calls
    mixed = (*first[:5], first[2], *second[:3], first[5], *second[3:])
    for call, request in zip(mixed, sent(type(one)("mixed", mixed), by), strict=True):
        foreign = "inner" if call in first else "result"
        assert not any(str(message.content).startswith(foreign) for message in request.messages)
        assert _ids(request.messages) == _asked(request.messages)
        assert request.messages[-1].type == call.messages[-1].type
