"""A model call through a cache: looked up, shared with equal calls under way, made, and kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables import RunnableConfig

from langchain_agentcost.caching.answer import StoredAnswer
from langchain_agentcost.caching.ask import Ask
from langchain_agentcost.caching.reporting import atell, tell
from langchain_agentcost.caching.semantic import SemanticCache
from langchain_agentcost.caching.singleflight import Flight
from langchain_agentcost.caching.turn import Served


def through(
    cache: SemanticCache, ask: Ask, call: Callable[[], AIMessage], config: RunnableConfig | None = None
) -> AIMessage:
    """Make a model call through a cache.

    Args:
        cache: The cache.
        ask: What is asked.
        call: Asks the model.
        config: The run's config, for whoever listens; None is that of the run that this code is in.

    Returns:
        The model's message, or a stored one.
    """
    turn = cache.begin(ask, config)
    if turn.served is not None:
        return _told(turn.served, config)
    if turn.key is None:
        return call()
    own: list[AIMessage] = []

    def lead() -> StoredAnswer:
        since = cache.again(turn)
        if since is not None:
            own.append(_told(since, config))
            return since.answer
        own.append(call())
        return cache.finish(turn, own[0])

    landed = cache.flights.do(turn.key.exact, lead)
    return own[0] if not landed.shared else _told(cache.shared(landed.value), config)


async def athrough(
    cache: SemanticCache, ask: Ask, call: Callable[[], Awaitable[AIMessage]], config: RunnableConfig | None = None
) -> AIMessage:
    """Make an async model call through a cache; see `through`."""
    turn = await cache.abegin(ask, config)
    if turn.served is not None:
        return await _atold(turn.served, config)
    if turn.key is None:
        return await call()
    own: list[AIMessage] = []

    async def lead() -> StoredAnswer:
        since = await cache.shelf.off_loop(cache.again, turn)
        if since is not None:
            own.append(await _atold(since, config))
            return since.answer
        own.append(await call())
        return await cache.afinish(turn, own[0])

    landed = await cache.flights.ado(turn.key.exact, lead)
    return own[0] if not landed.shared else await _atold(cache.shared(landed.value), config)


def pieces_through(
    cache: SemanticCache, ask: Ask, call: Callable[[], Iterator[AIMessageChunk]], config: RunnableConfig | None = None
) -> Iterator[AIMessageChunk]:
    """Stream a model call through a cache; see `through`. Another call's answer is replayed when it is whole."""
    turn = cache.begin(ask, config)
    served, flight = turn.served, None
    while served is None and turn.key is not None:
        flight = cache.flights.join(turn.key.exact)
        if flight is None or flight.leads or flight.blocks_this_loop():
            break
        landed = flight.wait()
        served = cache.shared(landed.value) if landed is not None else None
    if served is not None:
        tell(served.hit, config)
        yield from served.answer.chunks(served.mark)
        return
    gathered = _Gathered()
    with _ended(flight):
        for piece in call():
            gathered.add(piece)
            yield piece
        message = gathered.message
        if message is not None and turn.key is not None:
            _land(flight, cache.finish(turn, message, gathered.lengths))


async def apieces_through(
    cache: SemanticCache,
    ask: Ask,
    call: Callable[[], AsyncIterator[AIMessageChunk]],
    config: RunnableConfig | None = None,
) -> AsyncIterator[AIMessageChunk]:
    """Stream an async model call through a cache; see `pieces_through`."""
    turn = await cache.abegin(ask, config)
    served, flight = turn.served, None
    while served is None and turn.key is not None:
        flight = cache.flights.join(turn.key.exact)
        if flight is None or flight.leads:
            break
        landed = await flight.await_it()
        served = cache.shared(landed.value) if landed is not None else None
    if served is not None:
        await atell(served.hit, config)
        for piece in served.answer.chunks(served.mark):
            yield piece
        return
    gathered = _Gathered()
    with _ended(flight):
        async for piece in call():
            gathered.add(piece)
            yield piece
        message = gathered.message
        if message is not None and turn.key is not None:
            _land(flight, await cache.afinish(turn, message, gathered.lengths))


class _Gathered:
    """A stream, put together."""

    def __init__(self) -> None:
        self._whole: BaseMessageChunk | None = None
        self.lengths: list[int] = []

    def add(self, piece: AIMessageChunk) -> None:
        self._whole = piece if self._whole is None else self._whole + piece
        self.lengths.append(len(piece.text))

    @property
    def message(self) -> AIMessage | None:
        whole = None if self._whole is None else message_chunk_to_message(self._whole)
        return whole if isinstance(whole, AIMessage) else None


@contextmanager
def _ended(flight: Flight | None) -> Iterator[None]:
    """See to it that a flight that is led here ends, also where the stream is left or fails."""
    try:
        yield
    finally:
        if flight is not None and flight.leads:
            flight.give_up()


def _land(flight: Flight | None, answer: StoredAnswer) -> None:
    if flight is not None and flight.leads:
        flight.land(answer)


def _told(served: Served, config: RunnableConfig | None) -> AIMessage:
    tell(served.hit, config)
    return served.message


async def _atold(served: Served, config: RunnableConfig | None) -> AIMessage:
    await atell(served.hit, config)
    return served.message
