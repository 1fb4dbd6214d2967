"""Equal calls at the same time: one is made, whoever leads it, however it ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableLambda

from langchain_agentcost.caching import singleflight
from langchain_agentcost.caching.cached_runnable import CachedRunnable
from langchain_agentcost.caching.turn import Turn
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.caching.desk import QUESTION, WAYS, cached, caller, calls, desk_model, gathered


class TestCallsAtTheSameTime:
    """Of equal calls, one is made."""

    @pytest.mark.parametrize("way", ["invoke", "stream", "batch"])
    def test_eight_threads_make_one_call(self, way: str) -> None:
        """Seven wait, and are told as hits; late ones find the entry."""
        asked, start = cached(desk_model(latency_s=0.1)), Barrier(8)

        def ask() -> str:
            start.wait()
            return str(WAYS[way](asked, None).text)

        with ThreadPoolExecutor(8) as pool:
            said = [done.result() for done in [pool.submit(ask) for _ in range(8)]]
        counts = asked.cache.counts
        assert (set(said), calls(asked)) == ({"Within 30 days."}, 1)
        assert counts.get("coalesced", 0) + counts.get("exact", 0) == 7

    @pytest.mark.parametrize("way", ["ainvoke", "astream"])
    async def test_eight_tasks_make_one_call(self, way: str) -> None:
        """The same with `await`."""
        asked = cached(desk_model(("one two three",), latency_s=0.05, token_latency_s=0.01))
        one: Callable[[], Awaitable[Any]] = {
            "ainvoke": lambda: asked.ainvoke(QUESTION),
            "astream": lambda: gathered(asked),
        }[way]
        said = await asyncio.gather(*(one() for _ in range(8)))
        assert ({message.text for message in said}, calls(asked)) == ({"one two three"}, 1)

    @pytest.mark.parametrize("way", WAYS)
    def test_an_answer_that_comes_between_looking_and_calling_is_taken(
        self, way: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who found nothing looks once more before the model is called."""
        asked, meanwhile = cached(), ["invoke"]
        exact = asked.cache._exact

        def found_nothing(turn: Turn) -> Turn:
            looked = exact(turn)
            if meanwhile:
                WAYS[meanwhile.pop()](asked, None)
            return looked

        monkeypatch.setattr(asked.cache, "_exact", found_nothing)
        assert WAYS[way](asked, None).text == "Within 30 days."
        assert (calls(asked), asked.cache.counts) == (1, {"misses": 1, "exact": 1})

    def test_equal_inputs_of_a_batch_make_one_call(self) -> None:
        """In `batch` and in `abatch`."""
        asked = cached(desk_model(latency_s=0.05))
        asked.batch([QUESTION] * 8)
        asyncio.run(cached(asked.model, name="other").abatch([QUESTION] * 8))
        assert calls(asked) == 2

    async def test_threads_and_tasks_share_calls(self) -> None:
        """Four of each, in streams and without."""
        asked = cached(desk_model(("one two three",), latency_s=0.1))
        said = await asyncio.gather(
            *(asked.ainvoke(QUESTION) for _ in range(2)),
            *(gathered(asked) for _ in range(2)),
            *(asyncio.to_thread(asked.invoke, QUESTION) for _ in range(2)),
            *(asyncio.to_thread(WAYS["stream"], asked, None) for _ in range(2)),
        )
        assert ({message.text for message in said}, calls(asked)) == ({"one two three"}, 1)

    def test_calls_of_other_tenants_are_not_shared(self) -> None:
        """Waiting for another tenant's answer would be a leak as well."""
        asked, start = cached(desk_model(latency_s=0.05), scope="tenant"), Barrier(2)

        def ask(tenant: str) -> None:
            start.wait()
            asked.invoke(QUESTION, caller(tenant))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ask, "ab"))
        assert calls(asked) == 2

    @pytest.mark.parametrize("way", ["ainvoke", "astream"])
    async def test_a_leader_that_fails_hands_over(self, way: str) -> None:
        """It gets its own error; one of those who waited makes the call, and the others share it."""
        asked = cached(desk_model(latency_s=0.05, failures={1: ConnectionError("down")}))
        one: Callable[[], Awaitable[Any]] = {
            "ainvoke": lambda: asked.ainvoke(QUESTION),
            "astream": lambda: gathered(asked),
        }[way]
        said = await asyncio.gather(*(one() for _ in range(8)), return_exceptions=True)
        assert [type(one) for one in said if isinstance(one, Exception)] in ([], [ConnectionError])
        assert calls(asked) == 2

    @pytest.mark.parametrize("way", ["ainvoke", "astream"])
    async def test_a_leader_that_is_cancelled_hands_over(self, way: str) -> None:
        """The other one gets an answer."""
        asked = cached(desk_model(latency_s=0.1))
        make = asked.ainvoke if way == "ainvoke" else lambda _: gathered(asked)
        first = asyncio.create_task(make(QUESTION))
        await asyncio.sleep(0.03)
        second = asyncio.create_task(make(QUESTION))
        await asyncio.sleep(0.03)
        first.cancel()
        assert (await second).text == "Within 30 days."
        with pytest.raises(asyncio.CancelledError):
            await first
        assert calls(asked) == 2

    def test_a_stream_that_is_left_half_way_keeps_nothing_and_holds_nobody_up(self) -> None:
        """The next one makes the call."""
        asked = cached(desk_model(("one two three",)))
        stream = asked.stream(QUESTION)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(asked.invoke, QUESTION).result().text == "one two three"
        assert (calls(asked), asked.invoke(QUESTION).text) == (2, "one two three")

    async def test_an_async_stream_that_is_left_half_way_hands_over(self) -> None:
        """One who waited meanwhile makes the call."""
        asked = cached(desk_model(("one two three",)))
        stream: Any = asked.astream(QUESTION)
        await anext(stream)
        waiting = asyncio.create_task(asked.ainvoke(QUESTION))
        await asyncio.sleep(0.02)
        await stream.aclose()
        assert (await waiting).text == "one two three"
        assert calls(asked) == 2

    def test_a_stream_that_is_dropped_hands_over(self) -> None:
        """Nobody has to close it."""
        asked = cached(desk_model(("one two three",)))
        next(asked.stream(QUESTION))
        gc.collect()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(asked.invoke, QUESTION).result().text == "one two three"

    def test_a_reader_of_a_stream_may_ask_the_same_meanwhile(self) -> None:
        """It does not wait for itself."""
        asked = cached(desk_model(("one two three",)))
        said = [(chunk.text, asked.invoke(QUESTION).text) for chunk in asked.stream(QUESTION)]
        assert {answer for _, answer in said} == {"one two three"}

    @pytest.mark.parametrize("through", ["model", "sequence"])
    async def test_a_reader_of_an_async_stream_may_ask_the_same_meanwhile(
        self, through: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """LangChain runs the stream in tasks of its own, so after a moment of patience the call is made."""
        monkeypatch.setattr(singleflight, "PATIENCE_S", 0.02)
        asked = cached(desk_model(("one two",)))
        chain: Any = asked if through == "model" else RunnableLambda(lambda text: text) | asked
        said = [(await asked.ainvoke(QUESTION)).text async for _ in chain.astream(QUESTION)]
        assert set(said) == {"one two"}

    async def test_a_reader_that_reads_no_further_holds_nobody_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Others make the call, from threads and from tasks; the slow one still gets the rest."""
        monkeypatch.setattr(singleflight, "PATIENCE_S", 0.02)
        asked = cached(desk_model(("one two three",)))
        slow: Any = asked.astream(QUESTION)
        said = (await anext(slow)).text
        assert (await asked.ainvoke(QUESTION)).text == "one two three"
        assert (await asyncio.to_thread(asked.invoke, QUESTION)).text == "one two three"
        assert said + "".join([chunk.text async for chunk in slow]) == "one two three"
        assert calls(asked) == 2

    @pytest.mark.parametrize("way", WAYS)
    def test_an_equal_call_inside_of_the_call_does_not_hang(self, way: str) -> None:
        """A model that asks the same cache the same thing gets its answer."""
        inner: list[CachedRunnable] = []

        def answers(messages: list[BaseMessage]) -> str:
            return "inner" if len(inner[0].model.prompts) > 1 else f"outer of {inner[0].invoke(messages).text}"  # type: ignore[attr-defined]

        asked = cached(desk_model(answers))
        inner.append(asked)
        assert WAYS[way](asked, None).text == "outer of inner"

    async def test_an_equal_call_between_the_pieces_of_an_async_stream_does_not_hang(self) -> None:
        """Each piece is made in another task, and all of them are the same call."""

        class Asking(FakeMeteredChatModel):
            async def _astream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
                place = 0
                async for chunk in super()._astream(messages, *args, **kwargs):
                    yield chunk
                    place += 1
                    if place == 2 and len(self.prompts) == 1:
                        await asked.ainvoke(QUESTION)

        asked = cached(Asking(answers=("one two three",)))
        assert (await asyncio.wait_for(gathered(asked), 20)).text == "one two three"
