"""What holds for any history: nothing is orphaned, nothing that must stay is touched, and caches are kept."""

from __future__ import annotations

import json
import warnings
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, messages_to_dict

from langchain_agentcost.canonical import as_json
from langchain_agentcost.context.blocks import BlockKind, blocks, is_pinned, validate
from langchain_agentcost.context.decision import EvictionPolicy
from langchain_agentcost.context.horizon import StepBudget
from langchain_agentcost.context.plan import Action, Plan
from langchain_agentcost.context.projecting_model import ModelFacts
from langchain_agentcost.context.projector import ContextProjector, Projection
from langchain_agentcost.context.references.references import References
from langchain_agentcost.context.selection import Selection
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.context.worth import CacheRates
from tests.context.strategies import Grower, growing

KEEP = 2
CACHED = ModelFacts(rates=CacheRates(read=Decimal(300), write=Decimal(3_750)), ttl_s=300)
UNCACHED = ModelFacts(rates=CacheRates(read=Decimal(300), write=Decimal(300)))
NARROW = ModelFacts(rates=CacheRates(read=Decimal(300), write=Decimal(3_750), window_tokens=500), ttl_s=300)
POLICY = EvictionPolicy(keep=KEEP)
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # of a whole run it takes minutes


def projectors() -> dict[str, ContextProjector]:
    """The ways to project; none has seen a run."""
    budget: dict[str, Any] = {"horizon": StepBudget(60), "clock": lambda: 1_000.0}
    return {
        "cached": ContextProjector(CACHED, policy=POLICY, **budget),
        "uncached": ContextProjector(UNCACHED, policy=POLICY, **budget),
        "narrow": ContextProjector(NARROW, policy=POLICY, **budget),
        "selection": ContextProjector(decider=Selection(max_tokens=400, keep=KEEP), **budget),
        "summaries": ContextProjector(UNCACHED, policy=POLICY, summarizer=Summarizer(max_tokens=60), **budget),
        "references": ContextProjector(UNCACHED, policy=POLICY, references=References(), **budget),
    }


def bytes_of(messages: list[BaseMessage]) -> str:
    """All that a provider's class could send of messages."""
    return as_json(messages_to_dict(messages))


def plain(messages: list[BaseMessage]) -> list[str]:
    """Messages as texts, to compare."""
    return [bytes_of([message]) for message in messages]


def check_sound(history: list[BaseMessage], sent: list[BaseMessage]) -> None:
    """No fault is new: what a provider refuses in the prompt, it refuses in the history."""

    def kinds(faults: tuple[str, ...]) -> list[str]:
        return sorted(fault.split(": ", 1)[1] for fault in faults)

    there = kinds(validate(history))
    for fault in kinds(validate(sent)):
        assert fault in there
        there.remove(fault)


def check_kept(history: list[BaseMessage], sent: list[BaseMessage]) -> None:
    """Pinned messages and the first of the user stand as they were."""
    first = next((one for one in history if isinstance(one, HumanMessage)), None)
    left = iter(plain(sent))
    assert all(one in left for one in plain([one for one in history if one is first or is_pinned(one)]))


def check_cut(history: list[BaseMessage], old: Plan, new: Plan) -> None:
    """What is newly cut is none of the latest answers, nor of what follows them, nor of a pinned block."""
    divided = blocks(history)
    answers = [block.start for block in divided if block.kind is BlockKind.AI]
    zone = answers[-KEEP] if len(answers) >= KEEP else 0
    stays = {
        at
        for block in divided
        for at in range(block.start, block.end)
        if block.pinned or (block.start >= zone and block.kind is not BlockKind.ORPHAN)
    }
    assert not stays & (places(new) - places(old))


def places(plan: Plan) -> set[int]:
    """The messages that a plan changes."""
    return {at for edit in plan.edits for at in range(edit.start, edit.end)}


def run(projector: ContextProjector, turns: list[list[BaseMessage]]) -> list[tuple[list[BaseMessage], Projection]]:
    """Project a history at each call, with what is stored written to JSON and read back in between."""
    history: list[BaseMessage] = []
    stored: dict[str, Any] | None = None
    made = []
    for turn in turns:
        history = [*history, *turn]
        one = projector.project(history, None if stored is None else json.loads(json.dumps(stored)))
        assert one.decision is not None
        stored = one.stored
        made.append((history, one))
    return made


def check(made: list[tuple[list[BaseMessage], Projection]]) -> int:
    """All that holds for a run; how many epochs there were."""
    epochs, plan = 0, Plan()
    for at, (history, one) in enumerate(made):
        assert one.decision is not None
        check_sound(history, one.messages)
        check_kept(history, one.messages)
        check_cut(history, plan, one.decision.plan)
        plan = one.decision.plan
        epochs += one.decision.action is not Action.NONE
        assert one.stored["plan"]["epoch"] == epochs
        if at and one.decision.action is Action.NONE:
            before = plain(made[at - 1][1].messages)
            assert plain(one.messages)[: len(before)] == before
    return epochs


@pytest.fixture(autouse=True)
def loud() -> Any:
    """A fault inside would be a warning; here it is seen as a decision that is None."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("way", projectors())
@given(turns=growing())
@settings(phases=NO_SHRINKING, max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_history_stays_sound(way: str, turns: list[list[BaseMessage]]) -> None:
    """Whatever is decided, no pair is broken, what must stay stays, and each prompt begins with the one before."""
    check(run(projectors()[way], turns))


@given(turns=growing(6, long=True))
@settings(phases=NO_SHRINKING, max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_results_of_a_megabyte_are_cut_like_others(turns: list[list[BaseMessage]]) -> None:
    """They raise nothing, and stand in one prompt after the other as they did."""
    check(run(projectors()["uncached"], turns))


@given(turns=growing())
@settings(phases=NO_SHRINKING, max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_another_process_makes_the_same_prompts(turns: list[list[BaseMessage]]) -> None:
    """From what was stored before a call, a projector that knows nothing else sends the same bytes."""
    for way, projector in projectors().items():
        made = run(projector, turns)
        for at in range(1, len(made)):
            stored = json.loads(json.dumps(made[at - 1][1].stored))
            history, one = made[at]
            again = projectors()[way].project(history, stored)
            if way != "references":  # whose store the other process does not have
                assert again.stored == one.stored
            assert bytes_of(again.messages) == bytes_of(one.messages)


def test_ten_thousand_histories() -> None:
    """No call raises, breaks a pair, touches what must stay, or changes what was sent without an epoch."""
    dice, ways = Random(20_261_130), projectors()  # noqa: S311  # to test with, and the same each time
    names = list(ways)
    epochs = dict.fromkeys(names, 0)
    for number in range(2_000):  # threads, each with five histories that go on from one another
        way = names[number % len(names)]
        epochs[way] += check(run(ways[way], Grower(dice).turns(5)))
    assert all(count > 10 for count in epochs.values()), epochs


def test_answers_in_any_shape_are_no_fault() -> None:
    """A history of answers alone, or none at all, is sent as it is."""
    for history in ([], [AIMessage("")], [AIMessage(""), AIMessage("")]):
        assert [made.messages == history for _, made in run(projectors()["cached"], [list(history)])] == [True]
