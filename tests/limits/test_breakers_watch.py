"""What the watch over one run sees, and when."""

from __future__ import annotations

import sys
import threading
from itertools import count

import pytest

from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.watch import MAX_TOOLS, RECENT, Trip, Watch


def returned(
    watch: Watch, tool: str = "search", call: str = "c" * 32, result: str | None = "r", times: int = 1
) -> None:
    """The same call gives the same result so many times."""
    for _ in range(times):
        watch.tool_returned(tool=tool, call=call, result=result, failed=False)


def failed(watch: Watch, tool: str = "search", times: int = 1) -> None:
    """A tool fails so many times, differently each time."""
    for number in range(times):
        watch.tool_returned(tool=tool, call=f"c{number}", result=f"r{number}", failed=True)


def answered(watch: Watch, fingerprint: str | None = "f", tokens: int = 100, at_s: float = 0.0, times: int = 1) -> None:
    """The model answers so many times."""
    for _ in range(times):
        watch.model_answered(input_tokens=tokens, output_tokens=0, at_s=at_s, fingerprint=fingerprint)


def before(watch: Watch, tokens: int = 100, at_s: float = 0.0) -> tuple[Trip, ...]:
    """What trips before the next model call."""
    return watch.before_model(input_tokens=tokens, at_s=at_s)


def test_an_identical_call_with_an_identical_result_is_warned_of_once_and_stopped_again_and_again() -> None:
    """A warning at 4, silence up to 7, and from 8 on a stop before every call, of model or tool."""
    watch = Watch([CircuitBreaker.identical_calls()])
    levels = []
    for _ in range(10):
        returned(watch)
        levels.append([trip.level for trip in (*before(watch), *watch.before_tool("other"))])
    assert levels == [[]] * 3 + [["warn"]] + [[]] * 3 + [["stop", "stop"]] * 3


def test_the_evidence_is_the_tool_the_counts_and_a_hash_prefix() -> None:
    """What was seen, exactly, and no more of the call than twelve digits of its hash."""
    watch = Watch([CircuitBreaker.identical_calls(3, warn=None)])
    returned(watch, call="0123456789abcdef", times=5)
    (trip,) = before(watch)
    assert trip.evidence == {
        "kind": "identical_calls",
        "count": 5,
        "limit": 3,
        "tool": "search",
        "call": "0123456789ab",
    }
    assert "search was called 5 times" in trip.message
    assert "the limit is 3" in trip.message


@pytest.mark.parametrize("change", ["call", "result", "tool"])
def test_a_call_that_differs_in_anything_is_another_one(change: str) -> None:
    """Another argument, another result or another tool: nothing is repeated."""
    watch = Watch([CircuitBreaker.identical_calls(2, warn=None)])
    for number in range(20):
        returned(watch, **{change: f"{change}{number}"})  # type: ignore[arg-type]
    assert before(watch) == ()


def test_a_result_that_is_not_known_repeats_nothing() -> None:
    """None is unknown, not the same as another unknown."""
    watch = Watch([CircuitBreaker.identical_calls(2, warn=None)])
    returned(watch, result=None, times=9)
    assert before(watch) == ()


def test_a_loop_of_several_calls_is_seen() -> None:
    """A, B, C, A, B, C, … is a loop as well."""
    watch = Watch([CircuitBreaker.identical_calls()])
    for _ in range(8):
        for call in "abc":
            returned(watch, call=call)
    assert [trip.level for trip in before(watch)] == ["stop"]


def test_a_check_that_is_repeated_now_and_then_is_no_loop() -> None:
    """Eight identical calls with fifteen others between them are more than the latest fifty."""
    watch, others = Watch([CircuitBreaker.identical_calls(warn=None)]), count()
    for _ in range(20):
        returned(watch)
        for _ in range(15):
            returned(watch, call=f"other{next(others)}")
    assert before(watch) == ()


def test_a_stop_beyond_the_latest_fifty_can_be_reached() -> None:
    """Whoever sets a number above 50 has that many looked at."""
    watch = Watch([CircuitBreaker.identical_calls(RECENT + 10, warn=None)])
    returned(watch, times=RECENT + 9)
    assert before(watch) == ()
    returned(watch)
    assert len(before(watch)) == 1


def test_errors_in_a_row_are_counted_over_all_tools_until_one_works() -> None:
    """Seven errors and a success start again; eight stop."""
    watch = Watch([CircuitBreaker.tool_errors(warn=None)])
    failed(watch, "pay", 4)
    failed(watch, "search", 3)
    returned(watch)
    failed(watch, "pay", 7)
    assert before(watch) == ()
    failed(watch, "search")
    (trip,) = before(watch)
    assert trip.evidence == {"kind": "tool_errors", "count": 8, "limit": 8, "tool": "search"}


def test_three_retries_may_fail_and_a_fourth_is_not_made() -> None:
    """The first attempt and three retries are let through; the fifth attempt is refused, of that tool alone."""
    watch = Watch([CircuitBreaker.tool_retries(3)])
    for _ in range(4):
        assert watch.before_tool("pay") == ()
        failed(watch, "pay")
    (trip,) = watch.before_tool("pay")
    assert (trip.level, trip.evidence["count"], trip.evidence["failures"]) == ("stop", 3, 4)
    assert watch.before_tool("search") == ()
    assert before(watch) == ()


def test_a_success_gives_a_tool_its_retries_back() -> None:
    """Only failures in a row count."""
    watch = Watch([CircuitBreaker.tool_retries(1)])
    failed(watch, "pay")
    returned(watch, "pay")
    failed(watch, "pay")
    assert watch.before_tool("pay") == ()


def test_no_retry_at_all_can_be_asked_for() -> None:
    """With 0 the attempt after a failure is refused, and the first attempt never is."""
    watch = Watch([CircuitBreaker.tool_retries(0)])
    assert watch.before_tool("pay") == ()
    failed(watch, "pay")
    assert len(watch.before_tool("pay")) == 1


def test_a_breaker_of_one_tool_sees_no_other() -> None:
    """`tool=` narrows what is counted."""
    watch = Watch([CircuitBreaker.tool_errors(2, warn=None, tool="pay"), CircuitBreaker.tool_retries(1, tool="pay")])
    failed(watch, "search", 9)
    failed(watch, "pay")
    assert before(watch) + watch.before_tool("search") + watch.before_tool("pay") == ()
    failed(watch, "pay")
    assert [trip.breaker.kind for trip in watch.before_tool("pay")] == ["tool_errors", "tool_retries"]


def test_the_same_state_again_and_again_is_no_progress() -> None:
    """Equal fingerprints are counted; what is not known is not."""
    watch = Watch([CircuitBreaker.no_progress(3, warn=2)])
    answered(watch, None, times=9)
    answered(watch, "one")
    assert before(watch) == ()
    answered(watch, "fingerprint-0123456789")
    answered(watch, "fingerprint-0123456789")
    assert [trip.level for trip in before(watch)] == ["warn"]
    answered(watch, "fingerprint-0123456789")
    (trip,) = watch.before_tool("search")
    assert trip.evidence == {"kind": "no_progress", "count": 3, "limit": 3, "fingerprint": "fingerprint-"}


def test_velocity_is_that_of_the_last_minute() -> None:
    """Tokens of the last 60 s count, those before do not."""
    watch = Watch([CircuitBreaker.token_velocity(1000)])
    answered(watch, tokens=600, at_s=100.0)
    answered(watch, tokens=399, at_s=120.0)
    assert before(watch, at_s=121.0) == ()
    answered(watch, tokens=1, at_s=122.0)
    (trip,) = before(watch, at_s=123.0)
    assert trip.evidence == {
        "kind": "token_velocity",
        "count": 1000,
        "limit": 1000,
        "tokens": 1000,
        "window_s": 60.0,
    }
    assert before(watch, at_s=161.5) == ()


def test_velocity_over_another_window_is_still_a_minutes_worth() -> None:
    """500 tokens in 10 s are 3,000 a minute."""
    watch = Watch([CircuitBreaker.token_velocity(3000, window_s=10)])
    answered(watch, tokens=499, at_s=5.0)
    assert before(watch, at_s=6.0) == ()
    answered(watch, tokens=1, at_s=7.0)
    assert before(watch, at_s=8.0)[0].evidence["count"] == 3000


def test_an_answer_that_comes_in_late_still_counts() -> None:
    """Threads do not report in the order of time."""
    watch = Watch([CircuitBreaker.token_velocity(1000)])
    answered(watch, tokens=500, at_s=70.0)
    answered(watch, tokens=500, at_s=69.0)
    assert before(watch, at_s=71.0)[0].evidence["tokens"] == 1000


def test_growth_is_measured_against_the_first_call() -> None:
    """Ten times the first call, not ten times the last one."""
    watch = Watch([CircuitBreaker.context_growth(10, warn=None, floor_tokens=100)])
    assert before(watch, tokens=10**6) == ()
    answered(watch, tokens=500)
    answered(watch, tokens=4000)
    assert before(watch, tokens=4999) == ()
    (trip,) = before(watch, tokens=5000)
    assert trip.evidence == {
        "kind": "context_growth",
        "count": 10.0,
        "limit": 10,
        "input_tokens": 5000,
        "first_tokens": 500,
    }


def test_a_short_first_call_counts_as_the_floor() -> None:
    """A prompt of 20 tokens may grow to 1,000 without a word."""
    watch = Watch([CircuitBreaker.context_growth(10, warn=None, floor_tokens=4000)])
    answered(watch, tokens=20)
    assert before(watch, tokens=39_999) == ()
    assert len(before(watch, tokens=40_000)) == 1


def test_a_breaker_that_only_warns_says_so_once() -> None:
    """The trip is a warning however high the count gets."""
    watch = Watch([CircuitBreaker.no_progress(None, warn=2)])
    answered(watch, times=2)
    assert [trip.level for trip in before(watch)] == ["warn"]
    answered(watch, times=20)
    assert before(watch) == ()


def test_no_breakers_see_nothing() -> None:
    """An empty watch is silent."""
    watch = Watch([])
    returned(watch, times=50)
    assert before(watch) + watch.before_tool("search") == ()


def test_a_tools_name_cannot_break_a_log_line() -> None:
    """Control characters of a name that a model made up are gone from message and evidence."""
    watch = Watch([CircuitBreaker.tool_errors(1, warn=None)])
    failed(watch, "pay\n\x1b[31m" + "x" * 1000)
    (trip,) = before(watch)
    assert trip.message.isprintable()
    assert len(trip.message) < 400
    assert trip.evidence["tool"].isprintable()


def test_a_long_run_takes_no_more_memory_than_a_short_one() -> None:
    """After 20,000 different calls, tools and answers, no more is kept than the latest."""
    everything = [*CircuitBreaker.defaults(), CircuitBreaker.tool_retries(), CircuitBreaker.token_velocity()]
    watch = Watch(everything)
    for number in range(20_000):
        failed(watch, f"tool{number}")
        returned(watch, call=f"call{number}")
        answered(watch, f"state{number}", at_s=number / 100)
    kept = _things_in(watch)
    assert kept < 4 * RECENT + MAX_TOOLS + 500


def _things_in(watch: Watch) -> int:
    sizes = []
    for guard in watch._guards:
        for value in vars(guard.sensor).values():
            inner = vars(value).values() if hasattr(value, "__dict__") else [value]
            sizes += [len(thing) for thing in inner if isinstance(thing, dict) or type(thing).__name__ == "deque"]
    assert sizes, "the sensors keep nothing: the test looks in the wrong place"
    return sum(sizes)


def test_threads_lose_no_count() -> None:
    """Eight threads that report 5,000 errors each are 40,000 in a row, a first attempt and 39,999 retries."""
    watch = Watch([CircuitBreaker.tool_retries(39_999)])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=failed, args=(watch, "search", 5000)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [trip.evidence["failures"] for trip in watch.before_tool("search")] == [40_000]


def test_a_warning_is_given_to_one_thread_only() -> None:
    """Threads that ask at the same time do not all warn."""
    watch = Watch([CircuitBreaker.tool_errors(None, warn=1)])
    failed(watch)
    told: list[Trip] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        told.extend(before(watch))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1
