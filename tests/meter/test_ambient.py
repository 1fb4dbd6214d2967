"""Meters that are there without being passed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import RunnableLambda
from langchain_openai import OpenAIEmbeddings

from langchain_agentcost import CostMeter, install_global, meter_costs, metered_embeddings, uninstall_global
from langchain_agentcost.meter import active_meters
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

MODEL = FakeMeteredChatModel(model="gpt-4o-mini", counts=FakeCounts(1_000, 10))


def calls(meter: CostMeter) -> int:
    """How many calls a meter has seen."""
    return len(list(meter.ledger.entries()))


class TestBlock:
    """meter_costs."""

    def test_it_meters_the_block_and_nothing_after_it(self) -> None:
        """No callbacks are passed; the meter can be read afterwards."""
        with meter_costs() as meter:
            MODEL.invoke("in")
        MODEL.invoke("out")
        assert calls(meter) == 1

    def test_it_ends_when_the_block_raises(self) -> None:
        """An exception does not leave the meter behind."""
        with pytest.raises(ValueError, match="mine"), meter_costs() as meter:
            raise ValueError("mine")
        MODEL.invoke("out")
        assert calls(meter) == 0

    def test_the_innermost_block_meters(self) -> None:
        """Blocks nest."""
        with meter_costs() as outer:
            with meter_costs() as inner:
                MODEL.invoke("in")
            MODEL.invoke("out")
        assert (calls(outer), calls(inner)) == (1, 1)

    async def test_tasks_have_blocks_of_their_own(self) -> None:
        """Two tasks with a block each do not see each other's calls."""

        async def work(number: int) -> int:
            with meter_costs() as meter:
                await asyncio.gather(*(MODEL.ainvoke("in") for _ in range(number)))
                return calls(meter)

        assert list(await asyncio.gather(work(3), work(5))) == [3, 5]

    def test_a_meter_that_is_also_passed_counts_once(self) -> None:
        """The block's meter is the same object."""
        with meter_costs() as meter:
            MODEL.invoke("in", {"callbacks": [meter]})
        assert calls(meter) == 1

    def test_raw_threads_are_not_seen(self) -> None:
        """They start with an empty context, and the docstring says so."""
        with meter_costs() as meter:
            thread = Thread(target=MODEL.invoke, args=("in",))
            thread.start()
            thread.join()
        assert calls(meter) == 0


class TestGlobal:
    """install_global."""

    @pytest.fixture
    def installed(self) -> Iterator[CostMeter]:
        """A meter for the whole process."""
        meter = install_global()
        yield meter
        uninstall_global()

    def test_raw_threads_and_cut_callbacks_are_seen(self, installed: CostMeter) -> None:
        """What escapes passed callbacks does not escape this."""
        thread = Thread(target=MODEL.invoke, args=("in",))
        thread.start()
        thread.join()
        cut: Any = RunnableLambda(lambda text: MODEL.invoke(text, {"callbacks": []}))
        cut.invoke("in")
        assert calls(installed) == 2

    def test_passing_it_as_well_counts_once(self, installed: CostMeter) -> None:
        """It is the same object wherever LangChain finds it."""
        MODEL.invoke("in", {"callbacks": [installed]})
        [entry] = installed.ledger.entries()
        assert entry.attribution.step == 1

    def test_uninstalling_ends_it(self, installed: CostMeter) -> None:
        """Nothing is left in the environment."""
        uninstall_global()
        MODEL.invoke("out")
        assert calls(installed) == 0
        assert "AGENTCOST_GLOBAL" not in os.environ

    def test_a_process_that_inherits_the_variable_is_not_disturbed(self) -> None:
        """A spawned child has the environment and not the meter."""
        code = "from langchain_agentcost.testing import FakeMeteredChatModel as M; print(M().invoke('Hi').text)"
        environment = {**os.environ, "AGENTCOST_GLOBAL": "true"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == "OK\n"


class TestEmbeddings:
    """metered_embeddings."""

    def test_it_books_on_the_meter_that_is_active(self) -> None:
        """Inside a metered run no meter needs to be named; the call belongs to the run."""
        wrapped = metered_embeddings(
            DeterministicFakeEmbedding(size=3), model="text-embedding-3-small", provider="openai"
        )
        with CostMeter() as meter:
            seek: Any = RunnableLambda(wrapped.embed_query)
            assert len(seek.invoke("where?", {"callbacks": meter.callbacks, "metadata": {"tenant": "acme"}})) == 3
            [entry] = meter.ledger.entries()
        assert (entry.kind, entry.attribution.tenant, entry.attribution.model) == (
            "embedding",
            "acme",
            "text-embedding-3-small",
        )
        assert entry.usage is not None
        assert entry.usage.estimated
        assert entry.cost is not None
        assert entry.cost.usd > 0

    async def test_async_documents_and_failures(self) -> None:
        """The async twins meter too, and an error is booked and raised."""

        class Down(DeterministicFakeEmbedding):
            async def aembed_query(self, text: str) -> list[float]:
                raise ConnectionError("down")

        with CostMeter() as meter:
            wrapped = metered_embeddings(Down(size=2), meter=meter, model="text-embedding-3-small", provider="openai")
            assert len(await wrapped.aembed_documents(["one", "two"])) == 2
            with pytest.raises(ConnectionError):
                await wrapped.aembed_query("three")
            assert [entry.status for entry in meter.ledger.entries()] == ["ok", "error"]

    def test_the_vectors_are_the_same(self) -> None:
        """Wrapping changes nothing but the books; without a meter nothing is metered."""
        inner = DeterministicFakeEmbedding(size=4)
        assert metered_embeddings(inner).embed_query("x") == inner.embed_query("x")
        assert active_meters() == []

    def test_model_and_provider_are_read_off_the_class(self) -> None:
        """OpenAI's class says what it is."""
        made = metered_embeddings(OpenAIEmbeddings(model="text-embedding-3-large", api_key="none"))  # type: ignore[arg-type]
        assert tuple(vars(made)["_said"]) == ("text-embedding-3-large", "openai", None)
