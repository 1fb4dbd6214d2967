"""What a cache learns of its own errors: audits, judges, and the evidence that outlives a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost import Budget, CostMeter
from langchain_agentcost.caching import auditor
from langchain_agentcost.caching.answer import MARK
from langchain_agentcost.caching.cached_runnable import CachedRunnable
from langchain_agentcost.caching.equivalence import Asked, ModelJudge
from langchain_agentcost.caching.store import Audit
from langchain_agentcost.errors import CacheWarning
from tests.caching.desk import (
    EAGER,
    AllAlike,
    Sure,
    Words,
    added_up,
    alike_cache,
    booked,
    caller,
    calls,
    desk_model,
    echo,
    prepared,
    trusting,
)

QUESTIONS = ("Could parcels be tracked?", "Might parcels be traced?", "Are parcels traceable?")


def yes(asked: Asked, stored: str, fresh: str) -> bool:
    """A judge to whom all answers are the same."""
    return True


def verdict(*, same: bool, **options: Any) -> Any:
    """A model that judges."""
    call = {"name": "Verdict", "args": {"same": same}, "id": "1"}
    return desk_model((AIMessage("", tool_calls=[call]),), model="gpt-5-mini", **options)


async def ask(asked: CachedRunnable, text: str, how: str, config: Any = None) -> AIMessage:
    """Ask in one of the ways."""
    if how == "stream":
        return added_up(list(asked.stream(text, config)))
    if how == "astream":
        return added_up([piece async for piece in asked.astream(text, config)])
    return asked.invoke(text, config) if how == "invoke" else await asked.ainvoke(text, config)


every_way = pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream"])


class TestAnAudit:
    """A would-be hit whose answer is compared with the model's."""

    @every_way
    async def test_an_equal_answer_is_right(self, how: str) -> None:
        """It counts, and what is there stays what similar questions find."""
        asked = CachedRunnable(desk_model(), alike_cache())
        for text in QUESTIONS:
            await ask(asked, text, how)
        first = asked.cache.evidence.outlook()[0]
        assert (first.audits, first.wrong) == (2, 0)
        assert asked.cache.counts == {"misses": 3, "audits": 2}
        trusting(asked.cache)
        assert MARK in (await ask(asked, "Is a parcel traceable?", how)).response_metadata

    @every_way
    async def test_a_wrong_answer_is_removed(self, how: str) -> None:
        """Neither the similar nor the very same question is answered by it again."""
        model = desk_model(("thirty days", "never", "thirty days"))
        asked = CachedRunnable(model, alike_cache(judge=lambda asked, stored, fresh: False))
        await ask(asked, QUESTIONS[0], how)
        await ask(asked, QUESTIONS[1], how)
        assert asked.cache.counts["wrong"] == 1
        assert asked.cache.evidence.outlook()[0].wrong == 1
        trusting(asked.cache)
        assert (await ask(asked, QUESTIONS[2], how)).text == "never"
        assert (await ask(asked, QUESTIONS[1], how)).response_metadata[MARK]["cache"] == "exact"
        assert calls(asked) == 2

    @every_way
    async def test_what_nobody_can_tell_counts_as_wrong(self, how: str) -> None:
        """Without a judge, other words are no proof of anything."""
        asked = CachedRunnable(desk_model(echo), alike_cache())
        for text in QUESTIONS:
            await ask(asked, text, how)
        assert asked.cache.evidence.outlook()[0].wrong == asked.cache.counts["undecided"] == 2
        assert asked.cache.evidence.threshold is None

    @every_way
    async def test_the_user_always_gets_the_models_own_answer(self, how: str) -> None:
        """An audit is not seen."""
        asked = CachedRunnable(desk_model(echo), alike_cache(judge=yes))
        for text in QUESTIONS:
            said = await ask(asked, text, how)
            assert MARK not in said.response_metadata
        assert calls(asked) == 3

    def test_other_tool_calls_are_another_answer_whatever_the_judge_says(self) -> None:
        """What is done is compared, not what is said of it."""

        def answers(messages: Any) -> AIMessage:
            order = str(len(messages[-1].text))
            return AIMessage("", tool_calls=[{"name": "cancel", "args": {"order": order}, "id": "1"}])

        asked = CachedRunnable(desk_model(answers), alike_cache(judge=yes, allow=["tool_calls"]))
        for text in QUESTIONS[:2]:
            asked.invoke(text)
        assert asked.cache.counts["wrong"] == 1


class TestDrift:
    """Evidence that ages."""

    def test_answers_that_become_wrong_end_serving(self) -> None:
        """What was proven once is not for ever."""
        cache = alike_cache(judge=lambda asked, stored, fresh: False)
        asked = CachedRunnable(desk_model(echo), cache)
        prepared(cache, asked.model)
        served = cache.evidence.threshold
        for at in range(300):
            cache.evidence.record(Audit(1.0, right=False, at_s=float(at)))
        assert (served is None, cache.evidence.threshold) == (False, None)
        assert MARK not in asked.invoke(QUESTIONS[2]).response_metadata


class TestAfterARestart:
    """Audits in a file."""

    def asked(self, path: Path, **options: Any) -> CachedRunnable:
        """A cache in the file, and 60 audits a run."""
        return CachedRunnable(desk_model(), alike_cache(store=f"sqlite:///{path}", **options))

    def fill(self, path: Path) -> None:
        """Ask until it serves."""
        asked = self.asked(path)
        asked.invoke(QUESTIONS[0])
        number = 0
        while asked.cache.evidence.threshold is None:
            asked.invoke("Is parcel {}{} traceable?".format(*divmod(number, 26)).translate(_LETTERS))
            number += 1
        assert number == asked.cache.counts["audits"]
        asked.cache.close()

    def test_the_evidence_is_there_again(self, tmp_path: Path) -> None:
        """The next process serves at once."""
        self.fill(tmp_path / "cache.db")
        asked = self.asked(tmp_path / "cache.db")
        assert MARK in asked.invoke(QUESTIONS[2]).response_metadata
        assert calls(asked) == 0
        asked.cache.close()

    @pytest.mark.parametrize(
        "other",
        [{"embeddings": type("Other", (AllAlike,), {"model": "other"})()}, {"verifier": Sure(name="other")}],
        ids=["embeddings", "verifier"],
    )
    def test_evidence_of_others_does_not_count(self, tmp_path: Path, other: dict[str, Any]) -> None:
        """Other embeddings or another verifier begin in shadow mode."""
        self.fill(tmp_path / "cache.db")
        asked = self.asked(tmp_path / "cache.db", **other)
        assert MARK not in asked.invoke(QUESTIONS[2]).response_metadata
        assert (calls(asked), asked.cache.evidence.threshold) == (1, None)
        asked.cache.close()

    def test_vectors_of_another_size_are_not_compared(self, tmp_path: Path) -> None:
        """Other embeddings in the same file find nothing, and break nothing."""
        self.fill(tmp_path / "cache.db")
        asked = self.asked(tmp_path / "cache.db", embeddings=Words())
        assert MARK not in asked.invoke(QUESTIONS[2]).response_metadata
        assert "audits" not in asked.cache.counts
        asked.cache.close()


_LETTERS = str.maketrans({str(digit): "abcdefghij"[digit] for digit in range(10)})


class TestTheJudge:
    """A model that compares two answers."""

    @every_way
    async def test_its_calls_are_overhead_of_the_cache(self, how: str) -> None:
        """They are booked with the purpose "cache", beside the model's own."""
        meter, judge = CostMeter(), verdict(same=True)
        asked = CachedRunnable(desk_model(echo), alike_cache(judge=ModelJudge(judge)))
        for text in QUESTIONS[:2]:
            await ask(asked, text, how, {"callbacks": meter.callbacks})
        assert len(judge.prompts) == 1
        purposes = sorted(str(entry.attribution.purpose) for entry in booked(meter, "llm"))
        assert purposes == ["None", "None", "cache"]
        assert asked.cache.evidence.outlook()[0].wrong == 0

    def test_it_is_not_heard_in_the_stream_of_a_graph(self) -> None:
        """The user sees the answer, and no verdict."""
        asked = CachedRunnable(desk_model(echo), alike_cache(judge=ModelJudge(verdict(same=True))))

        def answer(state: MessagesState) -> Any:
            return {"messages": [asked.invoke(state["messages"])]}

        graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
        for text in QUESTIONS[:2]:
            question: Any = {"messages": text}
            parts: list[Any] = list(graph.stream(question, stream_mode="messages"))
            assert "".join(part[0].text for part in parts) == f"You asked: {text}"
            assert not any(getattr(part[0], "tool_calls", ()) for part in parts)
        assert asked.cache.counts["audits"] == 1

    @every_way
    async def test_one_that_raises_breaks_no_call(self, how: str) -> None:
        """It counts as wrong, with one warning."""

        def broken(asked: Asked, stored: str, fresh: str) -> bool:
            raise ZeroDivisionError

        asked = CachedRunnable(desk_model(echo), alike_cache(judge=broken))
        await ask(asked, QUESTIONS[0], how)
        with pytest.warns(CacheWarning, match="judge failed"):
            said = await ask(asked, QUESTIONS[1], how)
        assert said.response_metadata["finish_reason"] == "stop"
        await ask(asked, QUESTIONS[2], how)
        assert asked.cache.evidence.outlook()[0].wrong == asked.cache.counts["undecided"] == 2

    @every_way
    async def test_one_that_a_budget_stops_breaks_no_call(self, how: str) -> None:
        """The user's answer is paid for and given; the audit counts as wrong."""
        judge = verdict(same=True)
        asked = CachedRunnable(desk_model(echo), alike_cache(judge=ModelJudge(judge)))
        await ask(asked, QUESTIONS[0], how)
        meter = CostMeter(budgets=[Budget(steps=1)])
        with pytest.warns(CacheWarning, match="judge failed"):
            await ask(asked, QUESTIONS[1], how, {"callbacks": meter.callbacks})
        assert (len(judge.prompts), asked.cache.counts["undecided"]) == (0, 1)

    def test_without_enough_evidence_to_ever_serve_it_is_said_how_much_it_takes(self) -> None:
        """A budget tells what it needs."""
        cache = alike_cache(budget=EAGER)
        assert cache.evidence.needed() > 0
        trusting(cache)
        assert cache.evidence.needed() == 0


def test_what_another_process_finds_wrong_counts_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two caches on one file learn from each other's audits, each of them once."""
    monkeypatch.setattr(auditor, "CATCH_UP_S", 0.0)
    url = f"sqlite:///{tmp_path / 'answers.db'}"
    one, other = (alike_cache(store=url) for _ in range(2))
    for cache, question in (
        (one, "How do refunds work?"),
        (one, "How do returns work?"),
        (other, "How do swaps work?"),
    ):
        CachedRunnable(desk_model(), cache).invoke(question, caller())
    CachedRunnable(desk_model(), one).invoke("How do credits work?", caller())
    seen = [cache.evidence.outlook()[-1].audits for cache in (one, other)]
    assert seen == [3, 2]
