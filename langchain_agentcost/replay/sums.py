"""What is added up over runs, by benchmark and strategy: small numbers, however many runs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from langchain_core.messages import BaseMessage

from langchain_agentcost.replay.episode import Episode
from langchain_agentcost.replay.run import Outcome
from langchain_agentcost.replay.sizes import Sizes, Toolset

CURVE_STEPS = 200
"""How many steps of a run the curves show; later ones count for the last."""

PARTS = ("tools", "system", "user", "assistant", "tool results")
"""What a prompt is made of, in the order in which it is drawn."""

_PART_OF = {"system": 1, "human": 2, "ai": 3, "tool": 4}

_NUMBERS = ("episodes", "judged", "successes", "killed", "stopped", "verified", "judged_nano", "failed_nano")

SPLIT = ("read_nano", "write_nano", "uncached_nano", "output_nano", "overhead_nano")
COUNTS = ("calls", "served", "input_tokens", "read_tokens", "output_tokens", "overhead_calls", "overhead_tokens")


class Key(NamedTuple):
    """What a row is about.

    Args:
        family: The family.
        benchmark: The benchmark.
        strategy: The strategy's label.
    """

    family: str
    benchmark: str
    strategy: str


@dataclass(slots=True)
class Sums:
    """The sums of one row. Two can be added.

    Args:
        episodes: How many runs.
        judged: How many of them were judged.
        successes: How many of those were successes as recorded.
        killed: How many successes a strategy stopped.
        stopped: How many runs it stopped.
        verified: How many runs a real graph was billed the same for.
        judged_nano: What the judged runs cost with prompt caching.
        failed_nano: What the failed and the stopped ones among them cost.
        tasks: For each task: input tokens, cost with caching and without, then the same as recorded.
        amounts: `SPLIT` in nano-USD, and `COUNTS`.
        tally: What strategies counted.
        stops: Why runs were stopped.
        steps: How often a call sent so many input tokens, to three digits.
        curve: The cost with prompt caching of all runs' first step, second step, …; it sums up to the bill.
    """

    episodes: int = 0
    judged: int = 0
    successes: int = 0
    killed: int = 0
    stopped: int = 0
    verified: int = 0
    judged_nano: int = 0
    failed_nano: int = 0
    tasks: dict[str, tuple[int, ...]] = field(default_factory=dict)
    amounts: Counter[str] = field(default_factory=Counter)
    tally: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    steps: Counter[int] = field(default_factory=Counter)
    curve: list[int] = field(default_factory=lambda: [0] * CURVE_STEPS)

    def add(self, episode: Episode, recorded: Outcome, now: Outcome) -> None:
        """Add a run, as recorded and as replayed."""
        self.episodes += 1
        before = (recorded.input_tokens, recorded.on_nano, recorded.off_nano)
        after = (now.input_tokens + now.overhead_tokens, now.on_nano, now.off_nano)
        self._add_task(episode.task, (*after, *before))
        self._judge(episode, now)
        for name in (*SPLIT, *COUNTS):
            self.amounts[name] += getattr(now, name)
        self.tally += now.tally
        self.steps.update(map(three_digits, now.steps))
        for step, nano in enumerate(now.costs):
            self.curve[min(step, CURVE_STEPS - 1)] += nano

    def merge(self, other: Sums) -> None:
        """Add the sums of other runs."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for task, sums in other.tasks.items():
            self._add_task(task, sums)
        for name in ("amounts", "tally", "stops", "steps"):
            getattr(self, name).update(getattr(other, name))
        self.curve = [a + b for a, b in zip(self.curve, other.curve, strict=True)]

    def column(self, place: int) -> list[int]:
        """Give one of the sums by task, in the order of their names: intervals must not depend on who came first."""
        return [self.tasks[task][place] for task in sorted(self.tasks)]

    def cumulative_usd(self) -> list[float]:
        """Give what a run has cost on average up to each step, in USD, for a plot."""
        last = max((step for step, nano in enumerate(self.curve) if nano), default=-1)
        return [nano / 1e9 / max(1, self.episodes) for nano in accumulate(self.curve[: last + 1])]

    def _add_task(self, task: str, sums: tuple[int, ...]) -> None:
        known = self.tasks.get(task)
        self.tasks[task] = sums if known is None else tuple([a + b for a, b in zip(known, sums, strict=True)])

    def _judge(self, episode: Episode, now: Outcome) -> None:
        if now.stopped is not None:
            self.stopped += 1
            self.stops[now.stopped] += 1
        if episode.judged:
            kept = bool(episode.success) and now.stopped is None
            self.judged += 1
            self.successes += bool(episode.success)
            self.killed += bool(episode.success) and not kept
            self.judged_nano += now.on_nano
            self.failed_nano += 0 if kept else now.on_nano


@dataclass(slots=True)
class Composition:
    """What prompts are made of, by step, as recorded.

    Args:
        tokens: For each step, the tokens of each of `PARTS`, all runs added up.
        runs: How many runs have that step.
    """

    tokens: list[list[int]] = field(default_factory=lambda: [[0] * len(PARTS) for _ in range(CURVE_STEPS)])
    runs: list[int] = field(default_factory=lambda: [0] * CURVE_STEPS)

    def add(self, episode: Episode, sizes: Sizes) -> None:
        """Add a run. Only what is new in a prompt is looked at, as long as it goes on from the last one."""
        totals = [0] * len(PARTS)
        history, length = None, 0
        for step, call in enumerate(episode.calls[:CURVE_STEPS]):
            if call.history is not history or call.length < length:
                history, length = call.history, 0
                totals = [sizes.of_tools(Toolset(episode.tools)).tokens, 0, 0, 0, 0]
            for message in history[length : call.length]:
                totals[part_of(message)] += sizes.of(message).tokens
            length = call.length
            self.runs[step] += 1
            self.tokens[step] = [a + b for a, b in zip(self.tokens[step], totals, strict=True)]

    def merge(self, other: Composition) -> None:
        """Add the prompts of other runs."""
        self.runs = [a + b for a, b in zip(self.runs, other.runs, strict=True)]
        self.tokens = [
            [a + b for a, b in zip(mine, theirs, strict=True)]
            for mine, theirs in zip(self.tokens, other.tokens, strict=True)
        ]

    def by_step(self) -> Iterator[Mapping[str, float]]:
        """Give the mean tokens of each part, step by step, as long as a tenth of the runs goes on."""
        for tokens, runs in zip(self.tokens, self.runs, strict=True):
            if not runs or 10 * runs < self.runs[0]:
                return
            yield dict(zip(PARTS, (count / runs for count in tokens), strict=True))


def part_of(message: BaseMessage) -> int:
    """Give the place in `PARTS` of what a message is; what is neither counts as the user's."""
    return _PART_OF.get(message.type, 2)


def three_digits(tokens: int) -> int:
    """Round to three digits, so that a million calls take few kilobytes.

    Example:
        >>> three_digits(123_456), three_digits(87)
        (123000, 87)
    """
    return tokens if tokens < 1000 else round(tokens, 3 - len(str(tokens)))


def quantile(counts: Mapping[int, int], share: float) -> int | None:
    """Give a quantile by nearest rank; None where nothing was counted.

    Example:
        >>> quantile({10: 9, 500: 1}, 0.5), quantile({10: 9, 500: 1}, 0.95)
        (10, 500)
    """
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return None
