"""Shadow mode: on some calls the other tiers answer too, so that a router learns how good they are."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import replace
from inspect import isawaitable
from pathlib import Path
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.messages import BaseMessage
from langgraph.errors import GraphBubbleUp

from langchain_agentcost.complaint import Complaint
from langchain_agentcost.errors import RoutingError, RoutingWarning
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.examples_file import append_example, bare
from langchain_agentcost.routing.grading import Grade, Grades, agreement
from langchain_agentcost.routing.policy import Offers
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.usage import Usage

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

Cost = Callable[[str, Usage], int | None]
"""What a tier's usage costs, in nano-USD; None where that is not known."""

MOST_KEPT = 10_000
"""How many examples are kept in memory; then the oldest go."""

MOST_WAITING = 32
"""How many shadows wait or run at most; beyond that a call has none."""

_WORKERS = 2


class Shadow:
    """Has the other tiers answer a share of the calls, and grades all answers.

    The calls are drawn at random, so that the examples are of the same traffic as all calls. Nobody sees the other
    answers, their tool calls are not executed, and nothing that goes wrong with them reaches the user's run: sync code
    has them made in two threads, async code in tasks, after the user's own answer. They cost what they cost, and are
    booked as evaluation. Where a limit stops one, it is not done.

    Args:
        share: The share of calls, from 0 to 1.
        grade: How good the answers are, by tier from 0 to 1; by default whether they agree with the strongest tier's
            (`grading.agreement`). Async functions are awaited. Calls that it cannot grade are no examples: where those
            are not as the others, the examples are not as the traffic, so look at `counts`.
        file: Where examples are appended, a JSON line each, for `read_examples`; None keeps them in memory alone.
        keep_text: Whether an example keeps what a person said, in memory and in the file. A policy that embeds learns
            nothing without it.
        cost: What a tier's usage costs, in nano-USD; None takes the prices of the router that it is given to.
        seed: For the draw; None is another each time.

    Raises:
        RoutingError: If the share is not from 0 to 1.

    Example:
        >>> from langchain_agentcost.routing.policy import Offer
        >>> from langchain_agentcost.routing.tier import Tier
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> offers = [Offer(tier=Tier(name, FakeMeteredChatModel())) for name in ("small", "big")]
        >>> with Shadow(share=1.0) as shadow:
        ...     tiers = shadow.drawn(offers)
        ...     shadow.run(RouteRequest.of("6 * 7?"), tiers, {"small": "42"}, ask=lambda tier: f"42 says {tier}")
        >>> shadow.counts, shadow.examples[0].quality
        ({'done': 1}, {'small': 0.0, 'big': 1.0})
    """

    def __init__(
        self,
        share: float = 0.05,
        *,
        grade: Grade = agreement,
        file: Path | str | None = None,
        keep_text: bool = False,
        cost: Cost | None = None,
        seed: int | None = None,
    ) -> None:
        if not 0 <= share <= 1:
            raise RoutingError(f"The share of calls with a shadow is from 0 to 1, not {share!r}.")
        self.share = share
        self._grade = grade
        self._cost = cost
        self._file = file
        self._keep_text = keep_text
        self._random = Random(seed)  # noqa: S311  # which calls are compared is no secret
        self._examples: deque[Example] = deque(maxlen=MOST_KEPT)
        self._counts: Counter[str] = Counter()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: set[Future[None] | asyncio.Task[None]] = set()
        self._closed = False
        self._lock = Lock()
        self._complaint = Complaint("A shadow call failed; the user's own call is not concerned", RoutingWarning)

    @property
    def examples(self) -> tuple[Example, ...]:
        """The examples so far, the oldest first."""
        with self._lock:
            return tuple(self._examples)

    @property
    def counts(self) -> dict[str, int]:
        """What became of them.

        "done"; "ungraded"; "stopped" by a limit; "failed"; "passed by" as too many wait; "cut off" by an event loop
        that ended before them: `await aflush()` waits for them.
        """
        with self._lock:
            return dict(self._counts)

    def drawn(self, offers: Offers) -> tuple[str, ...]:
        """Draw whether a call has a shadow, and give the tiers that `run` or `arun` is to compare; none where not."""
        if self._closed or len(offers) < 2 or self._random.random() >= self.share:
            return ()
        if len(self._waiting) >= MOST_WAITING:
            self._count("passed by")
            return ()
        return tuple(offer.name for offer in offers)

    def run(
        self,
        request: RouteRequest,
        tiers: Sequence[str],
        answers: Mapping[str, Any],
        ask: Callable[[str], Any],
        *,
        cost: Cost | None = None,
    ) -> None:
        """Have the other tiers answer, in another thread; this returns at once.

        Args:
            request: The call.
            tiers: What `drawn` gave: the tiers to compare, weakest first.
            answers: Those that are there, by tier: the call's own.
            ask: Asks a tier, by its name.
            cost: What a tier's usage costs, where the shadow was told nothing else.
        """
        every = {tier: answers.get(tier, _NOT_YET) for tier in tiers}
        try:
            self._keep(self._threads().submit(copy_context().run, self._work, request, every, ask, cost))
        except RuntimeError as error:  # the interpreter, or this, is being shut down
            self._failed(error)

    async def arun(
        self,
        request: RouteRequest,
        tiers: Sequence[str],
        answers: Mapping[str, Any],
        ask: Callable[[str], Awaitable[Any]],
        *,
        cost: Cost | None = None,
    ) -> None:
        """Have the other tiers answer, in another task; see `run`."""
        every = {tier: answers.get(tier, _NOT_YET) for tier in tiers}
        self._keep(asyncio.create_task(self._awork(request, every, ask, cost)))

    def flush(self, *, timeout_s: float | None = None) -> None:
        """Wait for the shadows that `run` started.

        Args:
            timeout_s: How long at most, in seconds; None waits for all of them.
        """
        wait([one for one in self._started() if isinstance(one, Future)], timeout_s)

    async def aflush(self) -> None:
        """Wait for the shadows that were started in this event loop, and for those in threads."""
        loop = asyncio.get_running_loop()
        tasks = [one for one in self._started() if isinstance(one, asyncio.Task) and one.get_loop() is loop]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self.flush)

    def close(self) -> None:
        """Start no more shadows, and wait for those in threads. Closing twice is harmless."""
        self._closed = True
        self.flush()
        if self._pool is not None:
            self._pool.shutdown()

    async def aclose(self) -> None:
        """Start no more shadows, and wait for those in this event loop and in threads."""
        self._closed = True
        await self.aflush()
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _work(
        self, request: RouteRequest, answers: dict[str, Any], ask: Callable[[str], Any], cost: Cost | None
    ) -> None:
        """Ask, grade and keep. Never raises."""
        try:
            for tier in [tier for tier, answer in answers.items() if answer is _NOT_YET]:
                answers[tier] = ask(tier)
            graded = self._grade(request, answers)
            self._learn(request, answers, asyncio.run(_awaited(graded)) if isawaitable(graded) else graded, cost)
        except GraphBubbleUp:  # a limit, or a person who would be asked
            self._count("stopped")
        except Exception as error:  # noqa: BLE001  # whatever a provider or a grader raises is not the user's
            self._failed(error)

    async def _awork(
        self,
        request: RouteRequest,
        answers: dict[str, Any],
        ask: Callable[[str], Awaitable[Any]],
        cost: Cost | None,
    ) -> None:
        """Ask, grade and keep in async code. Never raises."""
        try:
            for tier in [tier for tier, answer in answers.items() if answer is _NOT_YET]:
                answers[tier] = await ask(tier)
            graded = await asyncio.to_thread(self._grade, request, answers)
            await asyncio.to_thread(
                self._learn, request, answers, await graded if isawaitable(graded) else graded, cost
            )
        except GraphBubbleUp:
            self._count("stopped")
        except Exception as error:  # noqa: BLE001  # whatever a provider or a grader raises is not the user's
            self._failed(error)

    def _learn(self, request: RouteRequest, answers: Mapping[str, Any], grades: Grades, cost: Cost | None) -> None:
        if grades is None:
            self._count("ungraded")
            return
        nano = self._costs(answers, cost)
        example = Example(request=request, quality=dict(grades), nano=nano, id=str(uuid4()))
        with self._lock:
            self._examples.append(replace(example, request=bare(request, keep_text=self._keep_text)))
            self._counts["done"] += 1
            if self._file is not None:
                append_example(self._file, example, keep_text=self._keep_text)

    def _costs(self, answers: Mapping[str, Any], cost: Cost | None) -> dict[str, int]:
        """What the answers cost, as far as they say what they used and somebody says what that costs."""
        found, priced = {}, self._cost or cost
        for tier, answer in answers.items():
            usage = Usage.from_message(answer) if isinstance(answer, BaseMessage) else None
            nano = priced(tier, usage) if priced is not None and usage is not None else None
            if nano is not None:
                found[tier] = nano
        return found

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="agentcost-shadow")
            return self._pool

    def _keep(self, started: Future[None] | asyncio.Task[None]) -> None:
        """Hold on to it until it is done: nobody else does, and a task that nobody holds may vanish."""
        with self._lock:
            self._waiting.add(started)
        started.add_done_callback(self._over)

    def _over(self, started: Future[None] | asyncio.Task[None]) -> None:
        with self._lock:
            self._waiting.discard(started)
            self._counts["cut off"] += started.cancelled()
            if not self._counts["cut off"]:
                del self._counts["cut off"]

    def _started(self) -> list[Future[None] | asyncio.Task[None]]:
        with self._lock:
            return list(self._waiting)

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def _failed(self, error: Exception) -> None:
        self._count("failed")
        self._complaint.about(error)


_NOT_YET = object()
"""Stands for an answer that is still to be asked for."""


async def _awaited(grades: Awaitable[Grades]) -> Grades:
    return await grades
