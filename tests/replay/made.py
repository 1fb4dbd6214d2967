"""Runs made up for the tests of the replay: a few turns in, an `Episode` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.replay.episode import NOTHING, Episode, Recorded, assemble
from langchain_agentcost.replay.literals import Literals
from langchain_agentcost.replay.request import Request
from langchain_agentcost.replay.run import Outcome, run
from langchain_agentcost.replay.sizes import Sizes, Toolset
from langchain_agentcost.replay.strategies import STRATEGIES
from langchain_agentcost.replay.strategy import Paid, Scene, Strategy, parse
from langchain_agentcost.replay.tariff import Tariffs
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

PRICES = PriceBook(
    {
        "models": [
            {"model": "claude-sonnet-4-5", "input": 3, "output": 15, "cache_read": "0.3", "cache_write": "3.75"},
            {"model": "gpt-4.1", "input": 2, "output": 8, "cache_read": "0.5"},
            {"model": "gpt-5.6", "input": 4, "output": 20, "cache_read": "0.4", "cache_write": 5},
            {"model": "deepseek-chat", "input": "0.27", "output": "1.1", "cache_read": "0.07"},
            {"model": "llama-3.3-70b", "input": 1, "output": 2},
            {"model": "sonar", "input": 1, "output": 1, "request": "0.012"},
        ]
    }
)
"""USD per million tokens: the list of November 2026, so that its changes do not change tests. Llama has no cache."""

SONNET = Tariffs(PRICES, model="claude-sonnet-4-5")


class Asked(NamedTuple):
    """A tool call, and what it gave; None where no result came back."""

    tool: str
    args: Mapping[str, Any]
    result: Any
    failed: bool = False


class Turn(NamedTuple):
    """One answer of the model: what it said, the tools that it asked for, and what the user said next."""

    text: str = ""
    asked: tuple[Asked, ...] = ()
    then: str | None = None
    recorded: Recorded = NOTHING


def uses(
    tool: str, result: Any = "ok", *, failed: bool = False, recorded: Recorded = NOTHING, text: str = "", **args: Any
) -> Turn:
    """The model asks for one tool, which gives this."""
    return Turn(text, (Asked(tool, args, result, failed),), recorded=recorded)


def says(text: str, *, then: str | None = None, recorded: Recorded = NOTHING) -> Turn:
    """The model speaks, and the user perhaps after it."""
    return Turn(text, then=then, recorded=recorded)


def counted(prompt: int, output: int = 10, *, at_s: float | None = None, model: str | None = None) -> Recorded:
    """What a provider reported of a call."""
    return Recorded(Usage(prompt, output), at_s=at_s, model=model)


def schemas(*names: str) -> tuple[Mapping[str, Any], ...]:
    """Tool descriptions of these names, in OpenAI's form."""
    return tuple(
        {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": {}}}
        for name in names
    )


def episode(
    *turns: Turn, system: str | None = "You help.", user: str = "Please help me.", name: str = "run-1", **fields: Any
) -> Episode:
    """A run of these turns, with the name as its id; `fields` are `Episode`'s. Tool calls are call-1, call-2, …."""
    messages: list[BaseMessage] = [SystemMessage(system)] if system is not None else []
    messages.append(HumanMessage(user))
    answers: dict[int, Recorded] = {}
    number = 0
    for turn in turns:
        ids = [f"call-{number + place}" for place in range(1, len(turn.asked) + 1)]
        number += len(ids)
        calls = [ToolCall(name=a.tool, args=dict(a.args), id=key) for key, a in zip(ids, turn.asked, strict=True)]
        answers[len(messages)] = turn.recorded
        messages.append(AIMessage(turn.text, tool_calls=calls))
        messages += [_result(key, a) for key, a in zip(ids, turn.asked, strict=True) if a.result is not None]
        messages += [HumanMessage(turn.then)] if turn.then is not None else []
    return Episode(name, assemble(messages, answers), **{"task": "task-1", **fields})


def _result(key: str, asked: Asked) -> ToolMessage:
    status = "error" if asked.failed else "success"
    return ToolMessage(asked.result, tool_call_id=key, name=asked.tool, status=status)


def scene(
    of: Episode,
    *,
    tariffs: Tariffs = SONNET,
    memory: dict[str, Any] | None = None,
    counter: TokenCounter | None = None,
) -> Scene:
    """What a session works with; the memory is a new one where none is given."""
    tariff = tariffs.of_episode(of)
    assert tariff is not None
    sizes = Sizes(of, counter or TokenCounter())
    return Scene(of, sizes, tariff, tariffs, Literals(of), {} if memory is None else memory)


def strategy(text: str) -> Strategy:
    """A strategy as the command line names it."""
    return parse(text, STRATEGIES)


def played(of: Episode, by: str = "none", *, warm: bool = False, **given: Any) -> Outcome:
    """What becomes of a run under a strategy; `given` goes to `scene`."""
    return run(scene(of, **given), strategy(by), warm=warm)


def sent(of: Episode, by: str, **given: Any) -> list[Request]:
    """What a strategy sends in place of a run's calls, up to where it stops; each must be sent."""
    session = strategy(by).begin(scene(of, **given))
    tools = Toolset(of.tools)
    requests = []
    for call in of.calls:
        decision = session.before(call, Request(tools, call.messages))
        assert isinstance(decision, Request)
        requests.append(decision)
        session.after(call, Paid(Usage(1, 1), 0, call.recorded.at_s))
    return requests


def texts(messages: Sequence[BaseMessage]) -> list[str]:
    """What messages say."""
    return [str(message.content) for message in messages]
