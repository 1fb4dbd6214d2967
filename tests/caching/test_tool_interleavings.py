"""Reads and writes at the same time, in every order of their steps that hypothesis draws.

What has to hold: a read that begins after a write has ended does not see the world from before it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import ToolMessage

from langchain_agentcost.caching.scope import Caller
from langchain_agentcost.caching.store import CacheStore
from langchain_agentcost.caching.stores import open_cache_store
from langchain_agentcost.caching.tool_cache import ToolCache
from langchain_agentcost.caching.tool_inputs import AskedTool
from langchain_agentcost.caching.tool_steps import Reading, Writing
from langchain_agentcost.caching.tools import ToolCachePolicy

Does = Literal["read", "write", "write what nobody knows"]


@dataclass(frozen=True)
class Act:
    """A call: what it does, to which item, and in which run of the one user."""

    does: Does
    item: str
    run: str

    def asked(self, tenant: str) -> AskedTool:
        """The call as the cache sees it."""
        caller = Caller(tenant=tenant, user="ann", session="s", run=f"{tenant} {self.run}")
        return AskedTool(name="stock", args={"item": self.item}, call_id="c", caller=caller)

    @property
    def policy(self) -> ToolCachePolicy:
        """What its tool says."""
        if self.does == "read":
            return ToolCachePolicy("read", scope="tenant", tags=("stock:{item}",))
        return ToolCachePolicy("write", tags=("stock:{item}",) if self.does == "write" else ())


drawn_act = st.builds(
    Act,
    does=st.sampled_from(["read", "read", "write", "write what nobody knows"]),
    item=st.sampled_from("aaab"),
    run=st.sampled_from("12"),
)


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[Act], list[int]]:
    """Calls, and the order in which each of them goes on, four times: begin, and three steps."""
    acts = draw(st.lists(drawn_act, min_size=2, max_size=5))
    return acts, draw(st.permutations([*range(len(acts))] * 4))


tenants = map(str, count())

many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class World:
    """How often each item was written, and by how many writes that have ended."""

    def __init__(self) -> None:
        self.version: Counter[str] = Counter()
        self.ended: defaultdict[str, int] = defaultdict(int)

    def message(self, item: str) -> ToolMessage:
        """What a tool says of an item now."""
        return ToolMessage(str(self.version[item]), tool_call_id="c")

    def write(self, item: str) -> int:
        """Change an item."""
        self.version[item] += 1
        return self.version[item]

    def end(self, item: str, version: int) -> None:
        """End a write: whoever begins now has to see it."""
        self.ended[item] = max(self.ended[item], version)


Steps = Generator[None, None, None]


def read(cache: ToolCache, world: World, act: Act, tenant: str) -> Steps:
    """A read, step by step, as the cache takes them."""
    least = world.ended[act.item]
    step = cache.begin(act.asked(tenant), act.policy)
    yield
    kept = step.look_up() if isinstance(step, Reading) else None
    yield
    message: ToolMessage = kept.result.value if kept is not None else world.message(act.item)
    yield
    if isinstance(step, Reading) and kept is None:
        step.keep(message)
    assert int(message.text) >= least, f"{act} saw {message.content}, and {least} was written before it began"


def write(cache: ToolCache, world: World, act: Act, tenant: str) -> Steps:
    """A write, step by step."""
    step = cache.begin(act.asked(tenant), act.policy)
    assert isinstance(step, Writing)
    yield
    version = world.write(act.item)
    yield
    step.end()
    world.end(act.item, version)


def interleaved(running: Sequence[Steps], order: Sequence[int]) -> None:
    """Take the steps in this order."""
    for number in order:
        next(running[number], None)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CacheStore]:
    """A store of each kind."""
    opened = open_cache_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'cache.db'}")
    yield opened
    opened.close()


@many
@given(drawn=interleavings())
def test_a_write_during_a_read_never_leaves_a_stale_entry(
    store: CacheStore, drawn: tuple[list[Act], list[int]]
) -> None:
    """Whatever the order of steps; and whoever comes afterwards sees the world as it is."""
    acts, order = drawn
    cache, world, tenant = ToolCache(store=store), World(), next(tenants)
    running = [(read if act.does == "read" else write)(cache, world, act, tenant) for act in acts]
    interleaved(running, order)
    for item in "ab":
        interleaved([read(cache, world, Act("read", item, "3"), tenant)], [0] * 4)


class Turns:
    """Lets tools go on one step at a time."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def wait(self) -> None:
        """Wait for a turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(turn)
        await turn

    async def take(self) -> None:
        """Give a turn to who waits for one; until everybody waits again."""
        if not self._waiting.empty():
            self._waiting.get_nowait().set_result(None)
        for _ in range(20):
            await asyncio.sleep(0)


async def called(cache: ToolCache, world: World, act: Act, tenant: str, turns: Turns) -> None:
    """A whole call, as a graph makes it, with those that wait for an equal one."""
    least, wrote = world.ended[act.item], []

    async def make() -> ToolMessage:
        await turns.wait()
        if act.does != "read":
            wrote.append(world.write(act.item))
        message = world.message(act.item)
        await turns.wait()
        return message

    message = await cache.acall(act.asked(tenant), make, policy=act.policy)
    for version in wrote:
        world.end(act.item, version)
    assert int(message.text) >= least, f"{act} saw {message.content}, and {least} was written before it began"


async def calls(cache: ToolCache, acts: Sequence[Act], order: Sequence[int], tenant: str) -> None:
    """Make calls at the same time; the first turn of each begins it."""
    world, turns = World(), [Turns() for _ in acts]
    begun: dict[int, asyncio.Task[None]] = {}
    for number in order:
        if number not in begun:
            task = asyncio.create_task(called(cache, world, acts[number], tenant, turns[number]))
            begun[number] = task
        await turns[number].take()
    while not all(task.done() for task in begun.values()):
        for turn in turns:
            await turn.take()
    for task in begun.values():
        task.result()


@many
@given(drawn=interleavings())
def test_who_waits_for_an_equal_call_does_not_get_the_world_from_before_a_write(
    drawn: tuple[list[Act], list[int]],
) -> None:
    """A read that begins after a write does not join one that began before it."""
    asyncio.run(calls(ToolCache(), *drawn, next(tenants)))


def test_a_read_that_a_write_overtakes_is_not_kept() -> None:
    """The one order that matters most, written out: look up, read, write, keep."""
    cache, tenant = ToolCache(), next(tenants)
    one = Act("read", "a", "1")
    reading = cache.begin(one.asked(tenant), one.policy)
    assert isinstance(reading, Reading)
    assert reading.look_up() is None
    writing = cache.begin(replace(one, does="write").asked(tenant), ToolCachePolicy("write", tags=("stock:a",)))
    assert isinstance(writing, Writing)
    writing.end()
    reading.keep(ToolMessage("old", tool_call_id="c"))
    again: Any = cache.begin(one.asked(tenant), one.policy)
    assert again.look_up() is None
    assert cache.counts["overtaken"] == 1


def test_a_write_of_its_run_alone_overtakes_reads_of_its_run() -> None:
    """It reaches no other run, so what its run read meanwhile must not reach them either."""
    cache, tenant = ToolCache(), next(tenants)
    one, other = Act("read", "a", "1"), Act("read", "a", "2")
    reading = cache.begin(one.asked(tenant), one.policy)
    assert isinstance(reading, Reading)
    writing = cache.begin(one.asked(tenant), ToolCachePolicy("write", scope="run"))
    reading.keep(ToolMessage("perhaps new", tool_call_id="c"))
    assert isinstance(writing, Writing)
    writing.end()
    others: Any = cache.begin(other.asked(tenant), other.policy)
    assert others.look_up() is None
