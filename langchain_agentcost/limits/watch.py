"""Watching one workflow run for signs that it gets nowhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import RLock
from typing import Any, Literal, NamedTuple

from langchain_agentcost.attribution import label
from langchain_agentcost.limits.breakers import BreakerKind, CircuitBreaker

RECENT = 50
"""How many of the latest results and answers are searched for repeats, at least. A loop repeats itself soon; whoever
runs the same check now and then over hundreds of steps is not in one."""

MAX_TOOLS = 1024
"""How many failing tools are told apart; beyond it the oldest are forgotten."""

_SLICES = 60
"""A window is counted in so many slices, so it takes the same memory however many calls fall into it."""

_PREFIX_CHARS = 12


@dataclass(frozen=True, slots=True)
class Trip:
    """A breaker that saw what it watches for.

    Args:
        breaker: The breaker.
        level: "warn", given once a run, or "stop", given before every call as long as it holds.
        message: A sentence with what was seen and the limit.
        evidence: The same for a program: kind, count and limit, and tool and hash prefix where there are some.
    """

    breaker: CircuitBreaker
    level: Literal["warn", "stop"]
    message: str
    evidence: Mapping[str, Any]


class Watch:
    """Sees the calls of one workflow run and says when breakers trip. Safe for the run's threads.

    Each event costs the same however long the run is, and so does the memory. It lives as long as the run does in this
    process, pauses included.

    Args:
        breakers: What to watch for.

    Example:
        >>> watch = Watch([CircuitBreaker.identical_calls(2, warn=None)])
        >>> for _ in range(2):
        ...     watch.tool_returned(tool="search", call="c0ffee", result="beef", failed=False)
        >>> watch.before_tool("search")[0].message
        'search was called 2 times with the same arguments and gave the same result each time; the limit is 2.'
    """

    def __init__(self, breakers: Iterable[CircuitBreaker]) -> None:
        self._guards = tuple(_Guard(breaker) for breaker in breakers)
        self._lock = RLock()  # the garbage collector may end an abandoned stream, and so a call, within a step

    def model_answered(self, *, input_tokens: int, output_tokens: int, at_s: float, fingerprint: str | None) -> None:
        """A model answered.

        Args:
            input_tokens: What was sent.
            output_tokens: What came back.
            at_s: When, in seconds of any clock that only goes forward.
            fingerprint: A hash of what was new in the input and of the answer; None where it is not known.
        """
        answer = _Answer(input_tokens, output_tokens, at_s, fingerprint)
        with self._lock:
            for guard in self._guards:
                guard.sensor.model_answered(answer)

    def tool_returned(self, *, tool: str, call: str, result: str | None, failed: bool) -> None:
        """A tool gave a result or failed.

        Args:
            tool: Its name.
            call: A hash of its arguments.
            result: A hash of what it gave, or of its error; None where it is not known.
            failed: Whether it failed.
        """
        given = _Result(tool, call, result, failed)
        with self._lock:
            for guard in self._guards:
                if guard.breaker.tool in (None, tool):
                    guard.sensor.tool_returned(given)

    def before_model(self, *, input_tokens: int, at_s: float) -> tuple[Trip, ...]:
        """Give what has tripped before a model is called.

        Args:
            input_tokens: What will be sent.
            at_s: When, by the clock of `model_answered`.
        """
        with self._lock:
            return tuple(
                [trip for one in self._guards if (trip := one.judge(one.sensor.before_model(input_tokens, at_s)))]
            )

    def before_tool(self, tool: str) -> tuple[Trip, ...]:
        """Give what has tripped before a tool is called."""
        with self._lock:
            return tuple([trip for one in self._guards if (trip := one.judge(one.sensor.before_tool(tool)))])


class _Answer(NamedTuple):
    input_tokens: int
    output_tokens: int
    at_s: float
    fingerprint: str | None


class _Result(NamedTuple):
    tool: str
    call: str
    result: str | None
    failed: bool


class _Sight(NamedTuple):
    """What a sensor sees right now."""

    amount: float
    words: str
    details: Mapping[str, Any]


class _Guard:
    """A breaker with its sensor: says when what is seen is too much."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.sensor = _SENSORS[breaker.kind](breaker)
        self._warned = False

    def judge(self, sight: _Sight | None) -> Trip | None:
        """Give the trip, if there is one: a warning once, a stop every time."""
        if sight is None:
            return None
        breaker = self.breaker
        if breaker.stop is not None and sight.amount >= breaker.stop:
            return self._trip("stop", sight, breaker.stop, f"the limit is {breaker.stop:,}.")
        if breaker.warn is None or sight.amount < breaker.warn or self._warned:
            return None
        self._warned = True
        limit = "" if breaker.stop is None else f"the limit is {breaker.stop:,}, "
        return self._trip("warn", sight, breaker.warn, f"{limit}this is a warning.")

    def _trip(self, level: Literal["warn", "stop"], sight: _Sight, limit: float, then: str) -> Trip:
        evidence = {"kind": self.breaker.kind, "count": sight.amount, "limit": limit, **sight.details}
        return Trip(self.breaker, level, f"{sight.words}; {then}", evidence)


class _Sensor:
    """Counts what its breaker watches for, and sees nothing of the rest.

    Attributes:
        breaker: The breaker.
        least: The smallest count that the breaker says anything to.
    """

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.least = min(number for number in (breaker.warn, breaker.stop) if number is not None)

    def model_answered(self, answer: _Answer) -> None:
        """Count a model's answer."""

    def tool_returned(self, given: _Result) -> None:
        """Count a tool's result."""

    def before_model(self, input_tokens: int, at_s: float) -> _Sight | None:
        """Give what it sees before a model call, if that is worth saying."""
        return self.seen()

    def before_tool(self, tool: str) -> _Sight | None:
        """Give what it sees before a tool call, if that is worth saying."""
        return self.seen()

    def seen(self) -> _Sight | None:
        """Give what it sees before any call, if that is worth saying."""
        return None


class _IdenticalCalls(_Sensor):
    def __init__(self, breaker: CircuitBreaker) -> None:
        super().__init__(breaker)
        self._repeats = _Repeats(breaker)
        self._most: tuple[int, str, str] = (0, "", "")

    def tool_returned(self, given: _Result) -> None:
        if given.result is not None:
            count = self._repeats.add((given.tool, given.call, given.result))
            self._most = max(self._most, (count, given.tool, given.call))

    def seen(self) -> _Sight | None:
        count, tool, call = self._most
        if count < self.least:
            return None
        words = f"{label(tool)} was called {count} times with the same arguments and gave the same result each time"
        return _Sight(count, words, {"tool": label(tool), "call": call[:_PREFIX_CHARS]})


class _ToolErrors(_Sensor):
    def __init__(self, breaker: CircuitBreaker) -> None:
        super().__init__(breaker)
        self._failures, self._last = 0, ""

    def tool_returned(self, given: _Result) -> None:
        self._failures, self._last = (self._failures + 1, given.tool) if given.failed else (0, "")

    def seen(self) -> _Sight | None:
        if self._failures < self.least:
            return None
        words = f"{self._failures} tool calls in a row failed, the last one of {label(self._last)}"
        return _Sight(self._failures, words, {"tool": label(self._last)})


class _ToolRetries(_Sensor):
    def __init__(self, breaker: CircuitBreaker) -> None:
        super().__init__(breaker)
        self._failures: dict[str, int] = {}

    def tool_returned(self, given: _Result) -> None:
        failures = self._failures.pop(given.tool, 0)
        if given.failed:
            self._failures[given.tool] = failures + 1
            if len(self._failures) > MAX_TOOLS:
                del self._failures[next(iter(self._failures))]

    def before_tool(self, tool: str) -> _Sight | None:
        failures = self._failures.get(tool, 0)
        retries = failures - 1
        if retries < self.least:
            return None
        words = f"{label(tool)} failed {failures} times in a row, {retries} of them retries"
        return _Sight(retries, words, {"tool": label(tool), "failures": failures})


class _NoProgress(_Sensor):
    def __init__(self, breaker: CircuitBreaker) -> None:
        super().__init__(breaker)
        self._repeats = _Repeats(breaker)
        self._most: tuple[int, str] = (0, "")

    def model_answered(self, answer: _Answer) -> None:
        if answer.fingerprint is not None:
            self._most = max(self._most, (self._repeats.add(answer.fingerprint), answer.fingerprint))

    def seen(self) -> _Sight | None:
        count, fingerprint = self._most
        if count < self.least:
            return None
        words = f"The model was told the same news and gave the same answer {count} times"
        return _Sight(count, words, {"fingerprint": fingerprint[:_PREFIX_CHARS]})


class _TokenVelocity(_Sensor):
    def __init__(self, breaker: CircuitBreaker) -> None:
        super().__init__(breaker)
        self._slice_s = breaker.window_s / _SLICES
        self._slices: deque[tuple[int, int]] = deque()
        self._tokens = 0

    def model_answered(self, answer: _Answer) -> None:
        now, tokens = int(answer.at_s // self._slice_s), answer.input_tokens + answer.output_tokens
        self._tokens += tokens
        if self._slices and self._slices[-1][0] >= now:  # of the same slice, or a thread that comes late
            now, before = self._slices.pop()
            tokens += before
        self._slices.append((now, tokens))
        self._forget(now)

    def before_model(self, input_tokens: int, at_s: float) -> _Sight | None:
        self._forget(int(at_s // self._slice_s))
        window_s = self.breaker.window_s
        rate = round(self._tokens * 60 / window_s)
        if rate < self.least:
            return None
        words = f"The run took {self._tokens:,} tokens in the last {window_s:g} s, {rate:,} a minute"
        return _Sight(rate, words, {"tokens": self._tokens, "window_s": window_s})

    def _forget(self, now: int) -> None:
        while self._slices and self._slices[0][0] <= now - _SLICES:
            self._tokens -= self._slices.popleft()[1]


class _ContextGrowth(_Sensor):
    def __init__(self, breaker: CircuitBreaker) -> None:
        super().__init__(breaker)
        self._first: int | None = None

    def model_answered(self, answer: _Answer) -> None:
        if self._first is None:
            self._first = max(answer.input_tokens, self.breaker.floor_tokens)

    def before_model(self, input_tokens: int, at_s: float) -> _Sight | None:
        if self._first is None or input_tokens < self.least * self._first:
            return None
        times = round(input_tokens / self._first, 2)
        words = f"The call sends {input_tokens:,} tokens, {times:g} times the run's first call ({self._first:,})"
        return _Sight(times, words, {"input_tokens": input_tokens, "first_tokens": self._first})


class _Repeats:
    """Counts how often each of the latest things occurs among them: the last `RECENT`, or twice what stops."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._size = max(RECENT, 2 * int(breaker.stop or breaker.warn or 0))
        self._recent: deque[Any] = deque()
        self._counts: dict[Any, int] = {}

    def add(self, thing: Any) -> int:
        """Count one more, and give how often it occurs now."""
        self._recent.append(thing)
        count = self._counts[thing] = self._counts.get(thing, 0) + 1
        if len(self._recent) <= self._size:
            return count
        oldest = self._recent.popleft()
        left = self._counts.pop(oldest) - 1
        if left:
            self._counts[oldest] = left
        return self._counts[thing]


_SENSORS: Mapping[BreakerKind, Callable[[CircuitBreaker], _Sensor]] = {
    "identical_calls": _IdenticalCalls,
    "tool_errors": _ToolErrors,
    "tool_retries": _ToolRetries,
    "no_progress": _NoProgress,
    "token_velocity": _TokenVelocity,
    "context_growth": _ContextGrowth,
}
