"""Many users, threads, tasks and processes at once: every call is attributed exactly."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost import CostMeter, open_ledger
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

USERS, CALLS = 8, 50
EXPECTED = {f"user-{user}": CALLS for user in range(USERS)}


def model_of(user: int) -> FakeMeteredChatModel:
    """Each user's calls have a size of their own, so that a mix-up shows in the tokens too."""
    return FakeMeteredChatModel(model="gpt-4o-mini", counts=FakeCounts(1_000 * (user + 1), 10), latency_s=0.0005)


def config_of(meter: CostMeter, user: int) -> Any:
    """A user's config."""
    return {"callbacks": meter.callbacks, "metadata": {"user": f"user-{user}", "tenant": f"tenant-{user % 2}"}}


def check(meter: CostMeter) -> None:
    """Every user has all his calls, with his tokens, in runs of their own."""
    entries = list(meter.ledger.entries())
    assert Counter(entry.attribution.user for entry in entries) == EXPECTED
    for entry in entries:
        number = int((entry.attribution.user or "").partition("-")[2])
        assert entry.usage is not None
        assert entry.usage.input_tokens == 1_000 * (number + 1)
        assert entry.attribution.tenant == f"tenant-{number % 2}"
        assert entry.attribution.step == 1
    assert len({entry.attribution.run for entry in entries}) == USERS * CALLS


def test_threads() -> None:
    """8 users with 50 concurrent calls each, from 16 threads, on one meter."""
    with CostMeter() as meter, ThreadPoolExecutor(16) as pool:
        work = [(user, number) for number in range(CALLS) for user in range(USERS)]
        list(pool.map(lambda item: model_of(item[0]).invoke("Hi", config_of(meter, item[0])), work))
        check(meter)


async def test_tasks() -> None:
    """The same from 400 tasks on one event loop."""
    with CostMeter() as meter:
        calls = (model_of(user).ainvoke("Hi", config_of(meter, user)) for _ in range(CALLS) for user in range(USERS))
        await asyncio.gather(*calls)
        check(meter)


async def test_graphs_on_one_loop(tmp_path: Path) -> None:
    """Graphs that share one compiled app, one meter and one SQLite file do not share attribution."""
    model = FakeMeteredChatModel(model="gpt-4o-mini", counts=FakeCounts(1_000, 10), latency_s=0.001)

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node("one", answer).add_node("two", answer)
    app = builder.add_edge(START, "one").add_edge("one", "two").compile(name="desk")
    asked: Any = {"messages": [HumanMessage("Hi")]}
    with CostMeter(f"sqlite:///{tmp_path / 'costs.db'}") as meter:
        await asyncio.gather(*(app.ainvoke(asked, config_of(meter, user)) for user in range(USERS) for _ in range(5)))
        totals = meter.ledger.totals(by=("user", "node", "step"))
    assert {total.key: total.calls for total in totals} == {
        (f"user-{user}", node, step): 5 for user in range(USERS) for node, step in (("one", 1), ("two", 2))
    }


CHILD = """
import sys
from langchain_agentcost import CostMeter
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
meter = CostMeter(sys.argv[1])
for _ in range(20):
    FakeMeteredChatModel(model="gpt-4o-mini", counts=FakeCounts(1_000, 10)).invoke(
        "Hi", {"callbacks": meter.callbacks, "metadata": {"user": sys.argv[2]}}
    )
meter.close()
"""


def test_processes_share_one_ledger(tmp_path: Path) -> None:
    """Four processes that write to one file lose nothing."""
    url = f"sqlite:///{tmp_path / 'costs.db'}"
    children = [subprocess.Popen([sys.executable, "-c", CHILD, url, f"process-{i}"]) for i in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    with open_ledger(url) as ledger:
        assert {total.key: total.calls for total in ledger.totals(by=("user",))} == {
            (f"process-{i}",): 20 for i in range(4)
        }


def test_a_forked_child_goes_on_metering(tmp_path: Path) -> None:
    """Gunicorn forks workers after the meter was made and used."""
    url = f"sqlite:///{tmp_path / 'costs.db'}"
    meter = CostMeter(url)
    model_of(0).invoke("Hi", config_of(meter, 0))
    child = os.fork()
    if child == 0:
        try:
            model_of(1).invoke("Hi", config_of(meter, 1))
            meter.close()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
    model_of(0).invoke("Hi", config_of(meter, 0))
    calls = {total.key: total.calls for total in meter.ledger.totals(by=("user",))}
    meter.close()
    assert calls == {("user-0",): 2, ("user-1",): 1}


def test_what_was_metered_survives_a_kill(tmp_path: Path) -> None:
    """A process that is killed loses no call that it has seen the answer of."""
    url = f"sqlite:///{tmp_path / 'costs.db'}"
    killed = CHILD.replace("meter.close()", "print('{}', flush=True); import os, signal; os.kill(os.getpid(), 9)")
    done = subprocess.run([sys.executable, "-c", killed, url, "ann"], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    assert json.loads(done.stdout) == {}
    with open_ledger(url) as ledger:
        [total] = ledger.totals()
    assert (total.calls, total.unpriced_calls) == (20, 0)
    assert total.cost.usd == 20 * (1_000 * Decimal("0.15") + 10 * Decimal("0.60")) / 1_000_000
