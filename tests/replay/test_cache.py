from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_agentcost.pricing.prompt_caching import FAMILIES, PromptCacheTerms
from langchain_agentcost.replay.cache import PROMPTS_KEPT, Chain, PrefixCache, common
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Sizes, Toolset
from langchain_agentcost.tokens import TokenCounter
from tests.replay.made import episode, says, schemas

ALL = PromptCacheTerms(family="test", automatic=True, min_tokens=1)
"""Serves every token of a known prefix, for five minutes."""

TOOLSETS = (schemas("a"), schemas("a", "b"))
TEXTS = ("one", "two two", "three three three", "four")


def _sizes() -> Sizes:
    return Sizes(episode(says("Hello.")), TokenCounter())


def _request(*messages: BaseMessage, tools: int = 0) -> Request:
    return Request(Toolset(TOOLSETS[tools]), messages)


class Step(NamedTuple):
    """An edit of the prompt before the next call: keep so many messages, add these, with other tools perhaps."""

    keep: int
    add: tuple[int, ...]
    tools: int
    later_s: int | None


_steps = st.lists(
    st.builds(
        Step,
        keep=st.integers(0, 6) | st.just(99),
        add=st.lists(st.integers(0, len(TEXTS) - 1), max_size=3).map(tuple),
        tools=st.sampled_from([0, 0, 0, 1]),
        later_s=st.none() | st.integers(0, 400),
    ),
    min_size=1,
    max_size=14,
)


class _Naive:
    """The prompt cache as one would explain it: compare with every prompt that was sent, message by message."""

    def __init__(self, sizes: Sizes, terms: PromptCacheTerms) -> None:
        self.sizes, self.terms = sizes, terms
        self.sent: list[tuple[list[bytes], float | None]] = []

    def send(self, request: Request, at_s: float | None) -> tuple[int, int]:
        pieces = [self.sizes.of_tools(request.tools), *map(self.sizes.of, request.messages)]
        keys = [piece.key for piece in pieces]
        best = 0
        for earlier, then_s in self.sent:
            if at_s is None or then_s is None or then_s >= at_s - self.terms.ttl_s:
                same = 0
                while same < min(len(keys), len(earlier)) and keys[same] == earlier[same]:
                    same += 1
                best = max(best, same)
        self.sent.append((keys, at_s))
        total = sum(piece.tokens for piece in pieces)
        return self.terms.cached(sum(piece.tokens for piece in pieces[:best]), total), total


def _prompts(steps: list[Step]) -> list[tuple[Request, float | None]]:
    """Prompts that share objects where they go on, and equal texts in other objects where they do not."""
    prompt: tuple[BaseMessage, ...] = ()
    made: list[tuple[Request, float | None]] = []
    now = 1_000_000.0
    for step in steps:
        prompt = (*prompt[: step.keep], *(HumanMessage(TEXTS[place]) for place in step.add))
        now += step.later_s or 0
        made.append((_request(*prompt, tools=step.tools), None if step.later_s is None else now))
    return made


@settings(max_examples=300, deadline=None)
@given(steps=_steps, family=st.sampled_from([ALL, FAMILIES["deepseek"]]))
def test_what_is_read_is_what_comparing_everything_finds(steps: list[Step], family: PromptCacheTerms) -> None:
    """Over random edits, tools and times the incremental cache gives what comparing with all earlier prompts gives."""
    sizes = _sizes()
    cache, naive = PrefixCache(family, sizes), _Naive(sizes, family)
    for request, at_s in _prompts(steps):
        assert cache.send(request, at_s) == naive.send(request, at_s)


@settings(deadline=None)
@given(steps=_steps, warm=st.booleans(), family=st.sampled_from([ALL, *FAMILIES.values()]))
def test_no_more_is_read_than_was_sent(steps: list[Step], warm: bool, family: PromptCacheTerms) -> None:
    """Reads are a part of the prompt, whatever the provider's terms and however the prompt changes."""
    cache = PrefixCache(family, _sizes(), warm=warm)
    for request, at_s in _prompts(steps):
        read, total = cache.send(request, at_s)
        assert 0 <= read <= total


@settings(deadline=None)
@given(steps=_steps)
def test_equal_keys_are_equal_prompts(steps: list[Step]) -> None:
    """Two prompts have the same key where they say the same, and only there."""
    sizes, chain = _sizes(), Chain(_sizes())
    seen: dict[tuple[int, int], tuple[bytes, ...]] = {}
    for request, _ in _prompts(steps):
        chain.follow(request)
        said = (sizes.of_tools(request.tools).key, *(sizes.of(message).key for message in request.messages))
        assert seen.setdefault(chain.key, said) == said
    assert len(set(seen.values())) == len(seen)


@settings(deadline=None)
@given(steps=_steps)
def test_sums_are_the_tokens_of_every_beginning(steps: list[Step]) -> None:
    """After any edit each sum is the tools and the messages up to its place."""
    sizes = _sizes()
    chain = Chain(sizes)
    for request, _ in _prompts(steps):
        chain.follow(request)
        beginnings = [request.messages[:length] for length in range(len(request.messages) + 1)]
        assert chain.sums == [sizes.tokens(request.tools, beginning) for beginning in beginnings]
        assert len(chain.hashes) == len(chain.sums)


def test_a_prompt_that_goes_on_reads_all_of_the_last_one() -> None:
    """The second call of a conversation reads the first one's prompt, and pays for what is new."""
    sizes = _sizes()
    cache = PrefixCache(ALL, sizes)
    first, more = HumanMessage("first"), HumanMessage("more")
    assert cache.send(_request(first))[0] == 0
    read, total = cache.send(_request(first, more))
    assert total - read == sizes.of(more).tokens


@pytest.mark.parametrize(("gap_s", "served"), [(299, True), (300, True), (301, False)])
def test_a_prefix_is_forgotten_when_nobody_used_it_in_time(gap_s: int, served: bool) -> None:
    """After the provider's five minutes nothing is left of a prompt."""
    cache, request = PrefixCache(ALL, _sizes()), _request(HumanMessage("first"))
    cache.send(request, 1000.0)
    assert bool(cache.send(request, 1000.0 + gap_s)[0]) is served


def test_reading_starts_the_time_again() -> None:
    """A prefix that is used every four minutes stays for an hour."""
    cache, request = PrefixCache(ALL, _sizes()), _request(HumanMessage("first"))
    reads = [cache.send(request, 240.0 * number)[0] for number in range(16)]
    assert all(reads[1:])


def test_reading_a_beginning_does_not_keep_the_rest() -> None:
    """Only the part that a later prompt shares is used by it: the rest runs out."""
    cache, (first, old, new) = PrefixCache(ALL, _sizes()), map(HumanMessage, ("first", "old", "new"))
    cache.send(_request(first, old), 0.0)
    shared = cache.send(_request(first, new), 200.0)[0]
    assert cache.send(_request(first, old), 400.0)[0] == shared


def test_a_time_that_is_not_known_is_not_long_ago() -> None:
    """A call without a time forgets nothing, and is not forgotten by calls with one: unknown is not 1970."""
    cache, request = PrefixCache(ALL, _sizes()), _request(HumanMessage("first"))
    cache.send(request)
    assert cache.send(request, 1_700_000_000.0)[0] > 0


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    """Times out of order, as clocks of several machines have, do not make a prefix older than its last use."""
    cache, request = PrefixCache(ALL, _sizes()), _request(HumanMessage("first"))
    cache.send(request, 1000.0)
    cache.send(request, 100.0)
    assert cache.send(request, 1200.0)[0] > 0


def test_other_tools_change_everything_behind_them() -> None:
    """Tools come first in a prompt: with others nothing is served, and with the old ones everything again."""
    cache, message = PrefixCache(ALL, _sizes()), HumanMessage("first")
    cache.send(_request(message))
    assert cache.send(_request(message, tools=1))[0] == 0
    read, total = cache.send(_request(message))
    assert read == total


def test_a_warm_cache_has_tools_and_system_message_and_no_more() -> None:
    """What another run has just sent is the static part, not this run's question."""
    sizes = _sizes()
    system, question = SystemMessage("You help."), HumanMessage("Where?")
    read, total = PrefixCache(ALL, sizes, warm=True).send(_request(system, question))
    assert total - read == sizes.of(question).tokens
    without = PrefixCache(ALL, sizes, warm=True).send(_request(question))[0]
    assert without == sizes.of_tools(_request().tools).tokens


def test_without_terms_nothing_is_served_and_everything_is_counted() -> None:
    """A model without a prompt cache reads nothing, however often it is sent the same."""
    cache, request = PrefixCache(None, _sizes(), warm=True), _request(HumanMessage("first"))
    first, again = cache.send(request), cache.send(request)
    assert first == again
    assert first[0] == 0
    assert first[1] > 0


def test_an_empty_prompt_is_nothing() -> None:
    """A call with neither messages nor tools has no tokens, and reads none."""
    cache = PrefixCache(ALL, _sizes(), warm=True)
    assert cache.send(Request(Toolset(()), ())) == (0, 0)


def test_memory_is_bounded_by_prompts_that_go_on_and_by_the_latest_others() -> None:
    """A prompt that differs from its start at every call is remembered for a while, not for ever."""
    cache = PrefixCache(ALL, _sizes())
    heads = [HumanMessage(f"It is {minute}.") for minute in range(PROMPTS_KEPT + 1)]
    requests = [_request(head, HumanMessage("Hello?")) for head in heads]
    fresh = [cache.send(request)[0] for request in requests]
    assert cache.send(requests[0])[0] == fresh[1]  # only the tools
    assert cache.send(requests[-1])[0] > fresh[1]
    growing = tuple(HumanMessage(str(number)) for number in range(500))
    for length in range(1, 500):
        cache.send(_request(*growing[:length]))
    assert len(cache._sent) == PROMPTS_KEPT


@settings(deadline=None)
@given(before=st.lists(st.integers(0, 2)), now=st.lists(st.integers(0, 2)))
def test_common_counts_what_is_equal_from_the_start(before: list[int], now: list[int]) -> None:
    """Lists and tuples have as many items in common as are equal one by one."""
    same = 0
    while same < min(len(before), len(now)) and before[same] == now[same]:
        same += 1
    assert common(before, tuple(now)) == same
