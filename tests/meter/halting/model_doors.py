"""Every way to call a model without a graph, four times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.runnables import RunnableLambda, RunnableParallel

from tests.meter.halting.world import World, openai_model

CALLS = 4

Door = Callable[[World], Any]


def repeated(call: Callable[[World], Any]) -> Door:
    """A door that makes a call four times, one after the other."""

    def go(world: World) -> None:
        for _ in range(CALLS):
            call(world)

    return go


def repeated_async(call: Callable[[World], Awaitable[Any]]) -> Door:
    """The same for an async call."""

    async def go(world: World) -> None:
        for _ in range(CALLS):
            await call(world)

    return lambda world: asyncio.run(go(world))


async def _astream(world: World) -> None:
    async for _ in world.model.astream("Hi", world.config):
        pass


async def _astream_events_v2(world: World) -> None:
    async for _ in world.model.astream_events("Hi", world.config, version="v2"):
        pass


async def _astream_events_v3(world: World) -> None:
    events: Any = await world.model.astream_events("Hi", world.config, version="v3")
    async for _ in events:
        pass


def _in_one_run(world: World, call: Callable[[Any], Any]) -> None:
    """Four calls under one root, so that a run is tripped that goes on."""
    RunnableLambda[str, list[Any]](lambda asked: [call(asked) for _ in range(CALLS)]).invoke("Hi", world.config)


def _retry(world: World) -> None:
    retried = world.model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    _in_one_run(world, retried.invoke)


def _fallbacks(world: World) -> None:
    backed = world.model.with_fallbacks([openai_model(world.provider), openai_model(world.provider)])
    _in_one_run(world, backed.invoke)


def _retry_of_fallbacks(world: World) -> None:
    backed = world.model.with_fallbacks([openai_model(world.provider)])
    _in_one_run(world, backed.with_retry(stop_after_attempt=3, wait_exponential_jitter=False).invoke)


async def settled(calls: Awaitable[Any]) -> Any:
    """Await calls, and when one of them is refused, those that were made beside it: asyncio lets them go on."""
    try:
        return await calls
    finally:
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


def _abatch(world: World) -> Any:
    return asyncio.run(settled(world.model.abatch(["Hi"] * CALLS, world.config)))


def _parallel(world: World) -> Any:
    return RunnableParallel({str(n): world.model for n in range(CALLS)}).invoke("Hi", world.config)


def _aparallel(world: World) -> Any:
    return asyncio.run(
        settled(RunnableParallel({str(n): world.model for n in range(CALLS)}).ainvoke("Hi", world.config))
    )


DOORS: dict[str, Door] = {
    "invoke": repeated(lambda world: world.model.invoke("Hi", world.config)),
    "ainvoke": repeated_async(lambda world: world.model.ainvoke("Hi", world.config)),
    "stream": repeated(lambda world: list(world.model.stream("Hi", world.config))),
    "astream": repeated_async(_astream),
    "stream_events v3": repeated(lambda world: list(world.model.stream_events("Hi", world.config, version="v3"))),
    "astream_events v2": repeated_async(_astream_events_v2),
    "astream_events v3": repeated_async(_astream_events_v3),
    "with_retry": _retry,
    "with_fallbacks": _fallbacks,
    "with_retry of with_fallbacks": _retry_of_fallbacks,
}
"""Calls one after the other."""

AT_ONCE: dict[str, Door] = {
    "batch": lambda world: world.model.batch(["Hi"] * CALLS, world.config),
    "abatch": _abatch,
    "RunnableParallel": _parallel,
    "RunnableParallel, async": _aparallel,
}
"""Four calls at once: outside of a graph there is nobody to keep the answers of paid siblings."""
