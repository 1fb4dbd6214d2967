"""One recorded run under one strategy: what is sent, what it costs with prompt caching on and off, what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from langchain_agentcost.attribution import label
from langchain_agentcost.errors import ReplayMismatch
from langchain_agentcost.replay.difference import difference
from langchain_agentcost.replay.episode import Call
from langchain_agentcost.replay.provider import Provider
from langchain_agentcost.replay.request import Overhead, Request, Served, Stopped
from langchain_agentcost.replay.sizes import Toolset
from langchain_agentcost.replay.strategy import Fidelity, Paid, Scene, Strategy
from langchain_agentcost.replay.tariff import Tariff
from langchain_agentcost.usage import Usage

ACTING, DANGLING = "acting_steps", "dangling_steps"
"""Calls whose recorded answer asks for a tool, and those of them that use a literal which was not sent."""


@dataclass(slots=True)
class Outcome:
    """What became of a run.

    Args:
        calls: Model calls that were made.
        served: Calls that a cache answered.
        stopped: What ended it early; None where it ran to its end.
        on_nano: Its cost with the provider's prompt caching, overhead included, in nano-USD.
        off_nano: The same without prompt caching.
        read_nano: The part of `on_nano` that went into reading from the prompt cache.
        write_nano: Into writing to it.
        uncached_nano: Into input outside it, and fees for each request.
        output_nano: Into answers.
        overhead_nano: Into calls that only the strategy makes.
        read_tokens: Input served from the prompt cache.
        output_tokens: Answers.
        steps: The input tokens of each call.
        costs: What each recorded step costs with prompt caching, in nano-USD, the strategy's own calls included.
        overhead_calls: How many calls only the strategy made.
        overhead_tokens: Their input and output.
        tally: What was counted, harm among it, by name.
    """

    calls: int = 0
    served: int = 0
    stopped: str | None = None
    on_nano: int = 0
    off_nano: int = 0
    read_nano: int = 0
    write_nano: int = 0
    uncached_nano: int = 0
    output_nano: int = 0
    overhead_nano: int = 0
    read_tokens: int = 0
    output_tokens: int = 0
    steps: list[int] = field(default_factory=list)
    costs: list[int] = field(default_factory=list)
    overhead_calls: int = 0
    overhead_tokens: int = 0
    tally: Counter[str] = field(default_factory=Counter)

    @property
    def input_tokens(self) -> int:
        """The input of the run's own calls."""
        return sum(self.steps)

    def pay(self, tariff: Tariff, usage: Usage) -> int:
        """Book a call of the run. Returns its cost with prompt caching."""
        cost = tariff.cost(usage)
        self.calls += 1
        self.on_nano += cost.total_nano
        self.off_nano += tariff.nano(Usage(usage.input_tokens, usage.output_tokens))
        self.read_nano += cost.cache_read_nano
        self.write_nano += cost.cache_write_nano
        self.uncached_nano += cost.input_nano + cost.request_nano
        self.output_nano += cost.output_nano
        self.read_tokens += usage.cache_read_tokens
        self.output_tokens += usage.output_tokens
        self.steps.append(usage.input_tokens)
        self.costs[-1] += cost.total_nano
        return cost.total_nano

    def pay_overhead(self, tariff: Tariff, extra: Overhead) -> None:
        """Book a call that only the strategy makes."""
        on, off = tariff.overhead(extra)
        self.overhead_calls += 1
        self.overhead_tokens += extra.input_tokens + extra.output_tokens
        self.overhead_nano += on
        self.on_nano += on
        self.costs[-1] += on
        self.off_nano += off


def run(
    scene: Scene,
    strategy: Strategy,
    *,
    warm: bool = False,
    sent: Callable[[Call, Request], object] = lambda call, request: None,
) -> Outcome:
    """Replay a run under a strategy.

    Args:
        scene: The run, its sizes and prices.
        strategy: The strategy.
        warm: Whether the provider's cache has the tools and system message when the run starts.
        sent: Told of every call that is made, and what it sends.

    Returns:
        What became of it.

    Raises:
        ReplayMismatch: If the strategy claims to send what was recorded, and does not.
    """
    return _Replay(scene, strategy, sent, warm=warm).go()


class _Replay:
    """A run under way."""

    def __init__(
        self, scene: Scene, strategy: Strategy, sent: Callable[[Call, Request], object], *, warm: bool
    ) -> None:
        self._scene = scene
        self._session = strategy.begin(scene)
        self._exact = strategy.fidelity is Fidelity.EXACT
        self._sent = sent
        self._provider = Provider(scene.sizes, scene.tariffs, warm=warm, conversation=scene.conversation)
        self._outcome = Outcome()

    def go(self) -> Outcome:
        """Replay call after call."""
        episode, session, outcome = self._scene.episode, self._session, self._outcome
        tools = Toolset(episode.tools)
        for call in episode.calls:
            outcome.costs.append(0)
            decision = session.before(call, Request(tools, call.messages))
            for extra in session.take_overhead():
                outcome.pay_overhead(self._scene.tariff, extra)
            if isinstance(decision, Stopped):
                outcome.stopped = decision.why
                break
            if isinstance(decision, Served):
                outcome.served += 1
                session.after(call, Paid(Usage(), 0, call.recorded.at_s))
                continue
            session.after(call, self._send(call, decision))
        outcome.tally += session.tallied()
        return outcome

    def _send(self, call: Call, request: Request) -> Paid:
        """Make a call: see what of it the prompt cache has, and pay."""
        self._sent(call, request)
        if self._exact:
            self._compare(call, request)
        billed = self._provider.answer(request, call)
        if call.answer.tool_calls:
            self._outcome.tally[ACTING] += 1
            self._outcome.tally[DANGLING] += bool(self._scene.literals.dangling(call, request.messages))
        return Paid(billed.usage, self._outcome.pay(billed.tariff, billed.usage), call.recorded.at_s)

    def _compare(self, call: Call, request: Request) -> None:
        """Refuse a request that is not the recorded one, of a strategy that claims to send just that."""
        episode, sizes = self._scene.episode, self._scene.sizes
        recorded = Request(Toolset(episode.tools), call.messages)
        if request == recorded:
            return
        differs = difference(recorded, request, lambda message: sizes.of(message).key)
        if differs is not None:
            raise ReplayMismatch(
                f"run {label(episode.id)!r}: {differs}. The strategy says that its fidelity is "
                f"{Fidelity.EXACT.value!r}: give it the one that is true, or have it send what was recorded."
            )
