from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Action, ActionName, Budget
from langchain_agentcost.replay.episode import Episode, Piece
from langchain_agentcost.replay.provider import Provider
from langchain_agentcost.replay.request import Request, Stopped
from langchain_agentcost.replay.run import run
from langchain_agentcost.replay.sizes import Toolset
from langchain_agentcost.replay.strategies.limits import Held
from langchain_agentcost.replay.strategy import Limit, Paid
from langchain_agentcost.usage import Usage
from tests.replay.made import SONNET, Asked, Turn, counted, episode, played, says, scene, strategy, uses


def _steps(*totals: int, output: int = 10) -> Episode:
    return episode(
        *(uses("cancel_order", f"done {n}", n=n, recorded=counted(total, output)) for n, total in enumerate(totals))
    )


def _made(of: Episode, *limits: Limit) -> tuple[int, str | None]:
    """How many calls a run makes under limits, and what stops it."""
    given = scene(of)
    held, provider = Held(given, limits), Provider(given.sizes, given.tariffs)
    for number, call in enumerate(of.calls):
        request = Request(Toolset(of.tools), call.messages)
        if isinstance(decision := held.before(call, request), Stopped):
            return number, decision.why
        usage = provider.answer(request, call).usage
        held.after(call, Paid(usage, given.tariff.nano(usage), call.recorded.at_s))
    return len(of.calls), None


@settings(deadline=None, max_examples=60)
@given(grows=st.lists(st.integers(10, 3000), min_size=1, max_size=12), cents=st.integers(1, 30))
def test_a_budget_stops_the_call_that_does_not_fit(grows: list[int], cents: int) -> None:
    """As the meter would: what was billed, and the worst case of the next call on top, must not exceed the limit."""
    totals = [1000 + sum(grows[:n]) for n in range(len(grows) + 1)]
    of = _steps(*totals)
    limit, spent, made = cents * 10_000_000, 0, 0
    tariff = SONNET.of(None)
    assert tariff is not None
    for total, cost in zip(totals, played(of).costs, strict=True):
        dearest, answer = tariff.card.worst(total) or (0, 0)
        if spent + dearest + 10 * answer > limit:
            break
        made, spent = made + 1, spent + cost
    assert _made(of, Budget(usd=Decimal(cents) / 100, per="run")) == (made, None if made == len(totals) else "budget")


@pytest.mark.parametrize(("limit", "made"), [(3999, 3), (4010, 4), (4009, 3)])
def test_a_limit_of_tokens_a_step_is_exact(limit: int, made: int) -> None:
    """A step of 4,000 tokens and an answer of 10 fits into 4,010, and not into one less."""
    of = _steps(1000, 2000, 3000, 4000)
    assert _made(of, Budget(total_tokens=limit, per="step")) == (made, None if made == 4 else "budget")


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_a_step_cap_is_exact(steps: int) -> None:
    """A run makes as many calls as it may, and is stopped before the next."""
    of = _steps(*range(1000, 6000, 1000))
    assert _made(of, Budget(steps=steps, per="run")) == (min(steps, 5), "budget" if steps < 5 else None)


def test_budgets_count_what_is_billed_with_caching() -> None:
    """A run that would be too dear at the list price goes on where its prompts are read from the cache."""
    of = _steps(*range(20_000, 21_000, 100))
    assert played(of).off_nano > 600_000_000
    assert _made(of, Budget(usd="0.30", per="run")) == (10, None)


def test_tools_have_budgets_too() -> None:
    """The call after the tool that did not fit is not made."""
    of = _steps(*range(1000, 6000, 1000))
    assert _made(of, Budget(tool_calls=2, per="run")) == (3, "budget")
    assert _made(of, Budget(tool_calls=2, tool="search", per="run")) == (5, None)


def test_parallel_tools_are_counted_one_by_one() -> None:
    """Two tools of one answer are two calls."""
    both = Turn(asked=(Asked("cancel_order", {"n": 1}, "ok"), Asked("cancel_order", {"n": 2}, "ok")))
    assert _made(episode(both, both, both), Budget(tool_calls=4, per="run")) == (3, None)
    assert _made(episode(both, both, both), Budget(tool_calls=3, per="run")) == (2, "budget")


@pytest.mark.parametrize(
    ("action", "made"),
    [("raise", 2), ("interrupt", 2), ("downgrade", 2), ("drain", 2), ("warn", 5), (lambda _: None, 5)],
)
def test_a_budget_does_what_its_action_says(action: Action, made: int) -> None:
    """A budget that warns or tells stops nothing, the others stop the run."""
    of = _steps(*range(1000, 6000, 1000))
    assert _made(of, Budget(steps=2, per="run", on_limit=action))[0] == made


@pytest.mark.parametrize(("action", "made"), [("raise", 1), ("drain", 2)])
def test_a_budget_that_drains_lets_the_call_be_made(action: ActionName, made: int) -> None:
    """The call that there is no room for is made, and none after it."""
    assert _made(_steps(1000, 2000, 3000), Budget(input_tokens=2500, per="run", on_limit=action)) == (made, "budget")


@pytest.mark.parametrize(
    ("action", "made"), [("raise", 3), ("interrupt", 3), ("drain", 4), ("warn", 9), (lambda _: None, 9)]
)
def test_a_breaker_does_what_its_action_says(action: Action, made: int) -> None:
    """The same for breakers: three times the same tool result trips this one."""
    of = episode(*(uses("get_order", "same", n=1) for _ in range(9)))
    breaker = CircuitBreaker.identical_calls(3, warn=None, on_trip=action)
    assert _made(of, breaker) == (made, None if made == 9 else "identical_calls")


def test_a_threshold_that_drains_stops_the_run_after_it_is_crossed() -> None:
    """Half of the limit is used by the second call: it is the last one."""
    of = _steps(*range(1000, 6000, 1000))
    assert _made(of, Budget(steps=4, per="run", thresholds={0.5: "drain"})) == (2, "budget")
    assert _made(of, Budget(steps=4, per="run", thresholds={0.5: "warn"})) == (4, "budget")


def test_a_loop_is_stopped_by_the_default_breakers() -> None:
    """The same call with the same result, eight times over."""
    loop = episode(*(uses("get_order", "same", n=1) for _ in range(30)))
    outcome = played(loop, "breakers")
    assert (outcome.calls, outcome.stopped) == (8, "identical_calls")


def test_news_is_no_loop() -> None:
    """The same call that is told something new each time is not stopped."""
    polling = episode(*(uses("get_order", f"{n} %", n=1) for n in range(30)))
    assert played(polling, "breakers").stopped is None


def test_errors_in_a_row_are_stopped() -> None:
    """Eight failures one after the other end the run, whatever was tried; a success between them starts anew."""
    failing = [uses("get_order", f"error {n}", n=n, failed=True) for n in range(20)]
    assert played(episode(*failing), "breakers").stopped == "tool_errors"
    assert played(episode(*failing[:7], uses("get_order", "ok"), *failing[7:14]), "breakers").stopped is None


def test_the_same_news_and_answer_again_is_no_progress() -> None:
    """A conversation that goes in circles without tools is seen too."""
    circle = episode(*(says("Please wait.", then="I wait.") for _ in range(20)))
    assert played(circle, "breakers").stopped == "no_progress"


def test_runs_of_hashes_are_told_apart_by_them() -> None:
    """Where only hashes are known, messages that differ are no repetition: their texts are all empty."""
    of = episode(*(says("", then="", recorded=counted(1000 + 100 * n)) for n in range(30)), system=None, user="")
    history = of.calls[-1].history
    marks = {id(message): Piece(str(number).encode(), 100) for number, message in enumerate(history)}
    marks[id(of.calls[-1].answer)] = Piece(b"last", 10)
    hashed = Episode(of.id, of.calls, marks=marks)
    assert played(hashed, "limits").stopped is None
    same = Episode(of.id, of.calls, marks=dict.fromkeys(marks, Piece(b"same", 100)))
    assert played(same, "limits").stopped == "no_progress"


def test_time_between_calls_is_the_recorded_one() -> None:
    """A breaker of tokens a minute sees a burst as one, and the same calls an hour apart as none."""
    breaker = CircuitBreaker.token_velocity(10_000, warn=None)
    for gap_s, stop in ((1.0, "token_velocity"), (3600.0, None)):
        turns = [uses("a", str(n), n=n, recorded=counted(4000 + 10 * n, at_s=1e9 + gap_s * n)) for n in range(8)]
        assert _made(episode(*turns), breaker)[1] == stop


def test_each_run_has_a_budget_of_its_own(tmp_path: Path) -> None:
    """One run's spending is not another's, and each is a session of its own."""
    memory: dict[str, Any] = {}
    by = _policy(tmp_path, 'steps = 3\nper = "session"')
    for name in ("run-1", "run-2"):
        of = episode(*(uses("a", str(n), n=n) for n in range(3)), name=name)
        assert played(of, by, memory=memory).stopped is None


def test_a_policy_file_is_read_once_for_a_source(tmp_path: Path) -> None:
    """A file that goes away while a replay runs changes nothing."""
    memory: dict[str, Any] = {}
    of, made = _steps(1000, 2000, 3000), strategy(_policy(tmp_path, 'steps = 2\nper = "run"'))
    assert run(scene(of, memory=memory), made).calls == 2
    (tmp_path / "agentcost.toml").unlink()
    assert run(scene(of, memory=memory), made).calls == 2


def _policy(folder: Path, budget: str) -> str:
    """The strategy of a policy file with one budget."""
    file = folder / "agentcost.toml"
    file.write_text(f"[[budget]]\n{budget}\n")
    return f"limits:file={file}"


@pytest.mark.parametrize(("preset", "made"), [("typical", 7), ("support", 24), ("coding", 60)])
def test_a_preset_is_held(preset: str, made: int) -> None:
    """The limits of tokens a step in each preset are 8,000, 25,000 and 150,000, the answer among them."""
    of = _steps(*range(1000, 61_000, 1000), output=1)
    outcome = played(of, f"limits:preset={preset}")
    assert outcome.calls == made
    assert played(of, "limits") == played(of, "limits:preset=support")


def test_a_call_that_a_cache_answered_takes_nothing() -> None:
    """What is served from a cache is settled with nothing, and only once."""
    of = _steps(1000, 2000)
    held = Held(scene(of), [Budget(llm_calls=1, per="run")])
    first, second = of.calls
    assert not isinstance(held.before(first, Request(Toolset(()), first.messages)), Stopped)
    held.after(first, Paid(Usage(), 0, None))
    held.after(first, Paid(Usage(5, 5), 5, None))
    assert not isinstance(held.before(second, Request(Toolset(()), second.messages)), Stopped)


def test_what_is_sent_is_what_counts(tmp_path: Path) -> None:
    """Limits that are composed with a strategy see its prompts, and not the recorded ones, wherever they stand."""
    of = episode(*(uses("search", "word " * 2000, n=n) for n in range(6)))
    limits = _policy(tmp_path, 'input_tokens = 4000\nper = "step"')
    assert played(of, limits).stopped == "budget"
    for by in (f"truncate:tokens=50+{limits}", f"{limits}+truncate:tokens=50"):
        assert played(of, by).stopped is None


def test_a_prompt_is_as_long_as_the_provider_counted_it() -> None:
    """A sub-agent's prompt, which our counts would put far lower, is held by what it was billed."""
    one, other = _steps(1000), episode(says("Hi.", recorded=counted(5000)), user="word")
    mixed = Episode("mixed", (*one.calls, *other.calls))
    assert played(mixed).steps == [1000, 5000]
    assert _made(mixed, Budget(input_tokens=4000, per="step")) == (1, "budget")


def test_a_prompt_that_is_no_continuation_is_weighed_as_it_is() -> None:
    """A sub-agent's short prompt is not added to the long one before it."""
    long, short = episode(uses("a", "x"), user="word " * 3000), episode(uses("a", "x"), user="word")
    mixed = Episode("mixed", (*long.calls, *short.calls))
    assert _made(mixed, Budget(input_tokens=4000, per="step")) == (2, None)
    assert isinstance(mixed.calls[1].messages[1], HumanMessage)
