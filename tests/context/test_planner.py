"""The planner cuts where the arithmetic of the prompt cache says so, and nowhere else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.context.blocks import pin, validate
from langchain_agentcost.context.decision import Decision, EvictionPolicy, Situation, SummaryOffer
from langchain_agentcost.context.plan import Action, Edit, Plan, project
from langchain_agentcost.context.planner import ROOM, EvictionPlanner
from langchain_agentcost.context.worth import CacheRates
from langchain_agentcost.errors import ContextError
from langchain_agentcost.tokens import count_messages

CACHED = CacheRates(read=Decimal(300), write=Decimal(3_750))
FREE = CacheRates(read=Decimal(300), write=Decimal(300))
KEEP = 2


def turn(number: int, words: int = 80) -> list[BaseMessage]:
    """A call and its result."""
    asked = AIMessage("", tool_calls=[{"name": "count", "args": {"bay": number}, "id": f"c{number}"}])
    text = " ".join(f"crate {number}-{at} stands here" for at in range(words))
    return [asked, ToolMessage(text, tool_call_id=f"c{number}", name="count")]


def history(turns: int, words: int = 80) -> list[BaseMessage]:
    """A question and some turns."""
    return [HumanMessage("Count."), *(one for number in range(turns) for one in turn(number, words))]


def decide(
    messages: list[BaseMessage], rates: CacheRates = CACHED, *, policy: EvictionPolicy | None = None, **options: Any
) -> Decision:
    """What a planner decides, of a run that goes on for 30 calls more where nothing else is said."""
    planner = EvictionPlanner(rates, policy or EvictionPolicy(keep=KEEP))
    return planner.decide(Situation(**{"messages": messages, "plan": Plan(), "remaining": 30, "step": 1, **options}))


def masked(messages: list[BaseMessage], decision: Decision) -> list[int]:
    """The places of messages that are sent otherwise."""
    return [at for at, (a, b) in enumerate(zip(messages, project(messages, decision.plan), strict=True)) if a != b]


def test_a_cut_pays_after_the_calls_that_the_formula_says() -> None:
    """With twice as many calls as it needs it is made, with fewer it is not: half must do."""
    messages = history(20)
    done = decide(messages, remaining=1_000)
    assert done.cut is not None
    needed = done.cut.needed_steps(CACHED)
    assert needed is not None
    for remaining in (2, 4, 6):
        assert decide(messages, remaining=remaining).action is Action.NONE
    first = next(n for n in range(10, 100) if decide(messages, remaining=n).action is not Action.NONE)
    made = decide(messages, remaining=first)
    assert made.cut is not None
    assert made.cut.saving_nano(CACHED, first / 2) > 0
    assert made.predicted_nano == made.cut.saving_nano(CACHED, first)


def test_without_a_prompt_cache_it_cuts_at_once() -> None:
    """Nothing has to be written again."""
    decision = decide(history(5), FREE, remaining=2)
    assert decision.action is Action.MASK
    assert masked(history(5), decision) == [2, 4, 6]


def test_when_the_cache_is_cold_it_cuts_at_once() -> None:
    """Whatever is sent is written anyway."""
    assert decide(history(5), remaining=2).action is Action.NONE
    assert decide(history(5), remaining=2, cached=False).action is Action.MASK


def test_the_latest_answers_pinned_blocks_and_excluded_tools_stay() -> None:
    """And so do images, and blocks whose calls wait."""
    messages = history(12)
    messages[2] = pin(messages[2])
    messages[4] = messages[4].model_copy(update={"name": "notes"})
    messages[6] = messages[6].model_copy(update={"content": [{"type": "image", "base64": "AAAA" * 200}]})
    messages[10] = messages[10].model_copy(update={"content": [{"type": "text", "text": "long " * 200}]})
    policy = EvictionPolicy(keep=KEEP, exclude_tools=frozenset({"notes"}))
    assert masked(messages, decide(messages, FREE, policy=policy)) == list(range(8, 21, 2))


def test_it_never_cuts_a_little_at_a_time() -> None:
    """Over 100 calls there are few boundaries; with each the plan covers more."""
    plan, boundaries, whole = Plan(), 0, history(100, words=40)
    planner = EvictionPlanner(CACHED, EvictionPolicy(keep=KEEP))
    for turns in range(100):
        messages = whole[: 2 * turns + 1]
        decision = planner.decide(Situation(messages=messages, plan=plan, remaining=100 - turns, step=turns + 1))
        boundaries += decision.action is not Action.NONE
        assert decision.plan.covered >= plan.covered
        plan = decision.plan
    assert 2 <= boundaries <= 15


def test_a_prompt_beyond_its_window_is_cut_whatever_it_costs() -> None:
    """First by notes, and where these do not do, by leaving the oldest blocks out; to less than the window."""
    messages = history(30)
    for window, action in ((9_000, Action.MASK), (2_800, Action.DROP)):
        rates = CacheRates(read=Decimal(300), write=Decimal(3_750), window_tokens=window)
        decision = decide(messages, rates, remaining=1)
        sent = project(messages, decision.plan)
        assert decision.action is action
        assert count_messages(sent) <= window * ROOM
        assert sent[0] == messages[0]
        assert not validate(sent)


def test_static_tokens_count_into_the_window() -> None:
    """Tools and system prompt are sent too."""
    rates = CacheRates(read=Decimal(300), write=Decimal(3_750), window_tokens=30_000)
    assert decide(history(10), rates, remaining=1).action is Action.NONE
    assert decide(history(10), rates, remaining=1, static_tokens=29_000).action is not Action.NONE


def test_a_summary_is_asked_for_where_it_is_worth_more() -> None:
    """It stands for all between what leads and what is recent; a dear one is not worth it."""
    messages = history(20)

    def offer(fee_nano: int) -> Any:
        return lambda shown: SummaryOffer(tokens=50, fee_nano=fee_nano)

    planner = EvictionPlanner(FREE, EvictionPolicy(keep=KEEP))
    situation = Situation(messages=messages, plan=Plan(), remaining=30, step=1, offer=offer(0))
    decision = planner.decide(situation)
    assert (decision.action, decision.summarise) == (Action.SUMMARISE, (1, 37))
    done = planner.summarised(situation, decision, "All were counted.")
    assert [one.text for one in project(messages, done.plan)[:2]] == ["Count.", "All were counted."]
    assert done.summarise is None
    assert decide(messages, FREE, offer=offer(10**12)).action is Action.MASK
    assert decide(messages, FREE, offer=lambda shown: None).action is Action.MASK


def test_long_arguments_are_cut_too() -> None:
    """Each call keeps its short ones, and every id its result."""
    messages = history(6)
    text = "\n".join(f"line {number} of a file" for number in range(200))
    for at in (1, 3):
        call = {"name": "write", "args": {"path": "a.txt", "text": text}, "id": f"c{at // 2}"}
        messages[at] = AIMessage("", tool_calls=[call])
    sent: Any = project(messages, decide(messages, FREE).plan)
    assert sent[1].tool_calls[0]["args"]["path"] == "a.txt"
    assert len(sent[1].tool_calls[0]["args"]["text"]) < 400
    assert not validate(sent)


@pytest.mark.parametrize("odd", [[], [HumanMessage("")], [AIMessage("")], [ToolMessage("", tool_call_id="x")]])
def test_there_may_be_nothing_to_cut(odd: list[BaseMessage]) -> None:
    """It says so."""
    assert decide(odd).why == "there is nothing to cut"


def test_arguments_with_a_call_id_twice_are_left_alone() -> None:
    """The two could not be told apart."""
    text = "\n".join(f"line {number} of a file" for number in range(200))
    calls = [{"name": "write", "args": {"path": path, "text": text}, "id": "same"} for path in ("a.txt", "b.txt")]
    messages = [HumanMessage("Write."), AIMessage("", tool_calls=calls), ToolMessage("ok", tool_call_id="same")]
    messages += history(6)[1:]
    sent: Any = project(messages, decide(messages, FREE).plan)
    assert [call["args"]["path"] for call in sent[1].tool_calls] == ["a.txt", "b.txt"]


def test_a_policy_that_makes_no_sense() -> None:
    """The latest answer stays in any case."""
    with pytest.raises(ContextError, match="at least 1"):
        EvictionPolicy(keep=0)


def thoughts(count: int) -> list[BaseMessage]:
    """A question and long answers without any result that a note could stand for."""
    return [HumanMessage("Go."), *(AIMessage(f"{number} " + "thinking aloud " * 200) for number in range(count))]


def test_what_a_summary_stands_for_does_not_come_back() -> None:
    """A prompt with a summary that grows beyond its window gets shorter, call after call, and no edits overlap."""
    rates = CacheRates(read=Decimal(300), write=Decimal(3_750), window_tokens=8_000)
    planner = EvictionPlanner(rates, EvictionPolicy(actions=frozenset({Action.SUMMARISE})))
    whole = thoughts(40)
    plan = Plan().following(whole[:11], [Edit(1, 7, Action.SUMMARISE, "what was said: " + "fact 1234 " * 500)])
    for length in range(11, len(whole) + 1):
        messages = whole[:length]
        before = count_messages(project(messages, plan))
        decision = planner.decide(Situation(messages=messages, plan=plan, remaining=5, step=length))
        after = count_messages(project(messages, decision.plan))
        plan = decision.plan
        if decision.cut is not None:
            assert before - after == pytest.approx(decision.cut.evicted_tokens, abs=30)
        assert after <= 8_000
        assert not any("0 thinking" in message.text[:10] for message in project(messages, plan))


def test_a_summary_that_would_not_make_it_fit_gives_way_to_what_does() -> None:
    """The offer is as long as what it stands for, nearly: blocks are left out."""
    rates = CacheRates(read=Decimal(300), write=Decimal(3_750), window_tokens=8_000)
    decision = decide(thoughts(40), rates, offer=lambda shown: SummaryOffer(tokens=7_500, fee_nano=0))
    assert decision.action is Action.DROP


def test_after_a_pause_the_next_call_saves_what_it_need_not_write() -> None:
    """With one call to come, the evicted tokens are worth the price of writing them."""
    decision = decide(history(20), remaining=1, cached=False)
    assert decision.cut is not None
    assert decision.predicted_nano == decision.cut.evicted_tokens * 3_750
