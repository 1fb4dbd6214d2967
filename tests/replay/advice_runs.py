"""Runs made up for the tests of advice: a well-behaved agent, and one mistake at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache

from langchain_core.messages import BaseMessage, SystemMessage

from langchain_agentcost.replay.advice import Advice, advise
from langchain_agentcost.replay.episode import Call, Episode, Recorded
from langchain_agentcost.replay.provider import Provider
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.sizes import Sizes, Toolset
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage
from tests.replay.made import Turn, episode, says, schemas, uses

LIST = Tariffs()
GUIDE = "\n".join(
    f"Rule {number}: answer kindly, look things up, and never guess case {number}." for number in range(90)
)
"""A system message of some 1,500 tokens: long enough for every provider to cache it."""

TOOLS = schemas("get_order", "save_note")
RUNS = 24
WORDS = ("amber", "birch", "cedar", "dahlia", "elm", "fern", "gorse", "hazel")


def metered(run: Episode, *, cached: bool = True, output_tokens: int | None = None) -> Episode:
    """The same run with what its provider would have reported and billed, with its prompt cache or without."""
    sizes, tariff = Sizes(run, TokenCounter()), LIST.of_episode(run)
    assert tariff is not None
    provider = Provider(sizes, LIST)
    calls = []
    for number, call in enumerate(run.calls):
        usage = provider.answer(Request(Toolset(run.tools), call.messages), call).usage
        reads, output = usage.cache_read_tokens if cached else 0, output_tokens or usage.output_tokens
        told = Usage(usage.input_tokens, output, cache_read_tokens=reads)
        at_s = 1_790_000_000.0 + 20 * number
        calls.append(
            replace(
                call, recorded=Recorded(told, knows_cache=True, cost_nano=tariff.nano(told), at_s=at_s, model=run.model)
            )
        )
    return replace(run, calls=tuple(calls))


def ordinary(number: int) -> list[Turn]:
    """Two to four reads of things that nobody else asks for, a note, an answer."""
    reads = [
        uses("get_order", f"{WORDS[(number + turn) % 8]} {number}-{turn} is on its way", order=f"{number}-{turn}")
        for turn in range(2 + number % 3)
    ]
    return [*reads, uses("save_note", "saved", text=f"note {number}"), says(f"Order {number} will be there soon.")]


def support(
    turns: Callable[[int], Sequence[Turn]] = ordinary,
    *,
    user: Callable[[int], str] = lambda number: f"Where is order {number}, please?",
    success: Callable[[int], bool | None] = lambda _: True,
    model: str = "gpt-4.1",
    runs: int = RUNS,
    **fields: object,
) -> list[Episode]:
    """Runs of a support agent, each for a task of its own; by default it does all as it should."""
    given: dict[str, object] = {
        "tools": TOOLS,
        "system": GUIDE,
        "source": "desk",
        "benchmark": "desk",
        "family": "desk",
    }
    return [
        episode(
            *turns(number),
            user=user(number),
            name=f"{model} {number}",
            task=f"task-{number}",
            model=model,
            success=success(number),
            **{**given, **fields},  # type: ignore[arg-type]
        )
        for number in range(runs)
    ]


def billed(runs: Iterable[Episode], *, cached: bool = True, output_tokens: int | None = None) -> list[Episode]:
    """Runs as their provider reported them."""
    return [metered(run, cached=cached, output_tokens=output_tokens) for run in runs]


def clean() -> list[Episode]:
    """The traffic of an agent that does nothing wrong."""
    return billed(support())


def with_clock(run: Episode) -> Episode:
    """The same run with the time at the top of its system message, another one in every call."""
    calls = []
    for number, call in enumerate(run.calls):
        system = SystemMessage(f"It is 10:{number:02}:07.\n{GUIDE}")
        history: tuple[BaseMessage, ...] = (system, *call.messages[1:])
        calls.append(Call(history, len(history), call.answer, call.results))
    return replace(run, calls=tuple(calls))


def in_a_loop(number: int) -> list[Turn]:
    """Every fourth run saves the same note again and again."""
    if number % 4:
        return ordinary(number)
    return [uses("save_note", "the form is locked", text="refund") for _ in range(14)]


def with_long_results(number: int) -> list[Turn]:
    """Every read gives a page that nobody needs to that length."""
    page = " ".join(f"{WORDS[(number + word) % 8]}{number}x{word}" for word in range(900))
    return [
        *(uses("get_order", page, order=f"{number}-{turn}") for turn in range(3)),
        uses("save_note", "saved", text=f"note {number}"),
        says("Done."),
    ]


def with_long_talks(number: int) -> list[Turn]:
    """The user tells much in every turn, in runs of 3 to 26 turns."""
    told = " ".join(f"{WORDS[(number + word) % 8]} {number}" for word in range(120))
    talks = [says(f"I see, {number} {turn}.", then=f"And {turn}: {told}") for turn in range(2 + number)]
    return [*talks, uses("get_order", "found", order=f"{number}"), uses("save_note", "saved", text=f"{number}")]


def unused_tool() -> tuple[dict[str, object], ...]:
    """The tools, and one with a long description that no run uses."""
    manual = " ".join(f"Option {number} moves part {number} of the fleet." for number in range(60))
    inner = {"name": "steer_fleet", "description": manual, "parameters": {}}
    return (*map(dict, TOOLS), {"type": "function", "function": inner})


MISTAKES: dict[str, Callable[[], list[Episode]]] = {
    "prompt_cache": lambda: billed(support(model="claude-sonnet-4-5"), cached=False),
    "volatile_prefix": lambda: billed(with_clock(run) for run in support()),
    "loops": lambda: billed(support(in_a_loop)),
    "failed_runs": lambda: billed(support(success=lambda number: number % 3 > 0)),
    "tool_results": lambda: billed(support(with_long_results)),
    "unused_tools": lambda: billed(support(tools=unused_tool())),
    "output": lambda: billed(support(), output_tokens=1_500),
    "context_growth": lambda: billed(support(with_long_talks, system="You help.")),
    "repeats": lambda: billed(support(user=lambda _: "Where is my order, please?")),
    "dominated_model": lambda: [*clean(), *billed(support(model="gpt-4.1-mini", source="trial"))],
}
"""For each kind of finding, traffic with just that mistake."""


@cache
def advice_on(kind: str) -> Advice:
    """The advice on traffic with just that mistake."""
    return advise(MISTAKES[kind]())
