"""Recorded agent runs, as the benchmarks replay them: model calls with tokens and money, tool calls with hashes.

Every call is priced as `PRICED_AS` at list price, whoever answered it, with the provider's prompt cache on: so dollars
compare what runs do, not whose model was dear. Tokens are the recorded ones where there are any, else this package's
own count. So is what the cache served; where no call of a run had a hit recorded, it is what the run's call before had
sent, and the rest of the input is written to the cache.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_agentcost.pricing import PriceBook, PriceCard
from langchain_agentcost.tokens import TokenCounter
from langchain_agentcost.usage import Usage

PRICED_AS = "claude-sonnet-4-5"
PRICED_AT = datetime(2026, 11, 1, tzinfo=UTC)

_UNTIMED_S = 60.0
"""Between calls whose time was not recorded: long enough to say nothing about how fast a run is."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call with its result, as hashes."""

    tool: str
    call: str
    result: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A model call with the tool calls that it asked for."""

    input_tokens: int
    output_tokens: int
    cost_nano: int
    at_s: float
    fingerprint: str
    tools: tuple[ToolUse, ...]


@dataclass(frozen=True, slots=True)
class Episode:
    """One run; `success` is None where nobody judged it."""

    id: str
    benchmark: str
    family: str
    task: str
    success: bool | None
    steps: tuple[Step, ...]


def read_episodes(folder: Path) -> Iterator[Episode]:
    """Read the runs of a folder; sets of which only the winning runs were published are left out.

    Args:
        folder: Has *.jsonl.gz, prompts.json.gz and tools.json.
    """
    card = PriceBook().card(PRICED_AS, at=PRICED_AT)
    assert card is not None
    with gzip.open(folder / "prompts.json.gz", "rt", encoding="utf-8") as file:
        prompts = json.load(file)
    sizes = _Sizes(prompts, json.loads((folder / "tools.json").read_text(encoding="utf-8")))
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                if "survivorship" not in (record.get("caveat") or ""):
                    yield _episode(record, sizes, card)


def _episode(record: Mapping[str, Any], sizes: _Sizes, card: PriceCard) -> Episode:
    messages = record["messages"]
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant" and m.get("generated") is not False]
    usages = _cached([sizes.of(record, i) for i in answers])
    steps, seen = [], 0
    for number, (i, usage) in enumerate(zip(answers, usages, strict=True)):
        until = answers[number + 1] if number + 1 < len(answers) else len(messages)
        cost = card.cost(usage)
        assert cost is not None
        steps.append(
            Step(
                usage.input_tokens,
                usage.output_tokens,
                cost.total_nano,
                _seconds((messages[i].get("step") or {}).get("ts"), number),
                hashed([[m.get("content") for m in messages[seen:i]], _said(messages[i])]),
                tuple(_tools(messages[i], messages[i + 1 : until])),
            )
        )
        seen = i + 1
    labels = (record["benchmark"], record["family"], str(record["task_id"]))
    return Episode(record["id"], *labels, record["success"], tuple(steps))


def _cached(counts: Sequence[tuple[int, int, int]]) -> Iterator[Usage]:
    """Give each call its cache reads: the recorded ones, or what the call before had sent."""
    recorded, sent = any(read for _, _, read in counts), 0
    for input_tokens, output_tokens, read in counts:
        read_tokens = min(input_tokens, read if recorded else sent)
        yield Usage(
            input_tokens,
            output_tokens,
            cache_read_tokens=read_tokens,
            cache_write_tokens=input_tokens - read_tokens,
        )
        sent = input_tokens


def _tools(answer: Mapping[str, Any], after: Sequence[Mapping[str, Any]]) -> Iterator[ToolUse]:
    asked = {call["id"]: call["function"] for call in answer.get("tool_calls") or ()}
    for message in after:
        if message["role"] == "tool":
            function = asked.get(message.get("tool_call_id")) or {"name": message["name"], "arguments": ""}
            call = hashed([function["name"], _arguments(function["arguments"])])
            yield ToolUse(function["name"], call, hashed(message["content"]), bool(message.get("error")))


def _said(answer: Mapping[str, Any]) -> list[Any]:
    calls = [call["function"] for call in answer.get("tool_calls") or ()]
    return [answer.get("content"), [[call["name"], _arguments(call["arguments"])] for call in calls]]


def _arguments(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


def hashed(value: Any) -> str:
    """A hash that is the same for equal JSON."""
    return blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def _seconds(stamp: Any, number: int) -> float:
    if isinstance(stamp, str):
        return datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()
    return float(stamp) if stamp else number * _UNTIMED_S


class _Sizes:
    """Tokens of recorded calls: recorded, or counted as they would be sent."""

    def __init__(self, prompts: Mapping[str, str], tools: Mapping[str, Sequence[Any]]) -> None:
        self._prompts, self._tools = prompts, tools
        self._counter = TokenCounter()
        self._static: dict[tuple[Any, ...], int] = {}
        self._counted: tuple[str, list[int]] = ("", [])

    def of(self, record: Mapping[str, Any], answer: int) -> tuple[int, int, int]:
        """Input, output and cached tokens of the call that a message answered."""
        step = record["messages"][answer].get("step") or {}
        if step.get("prompt_tokens"):
            return step["prompt_tokens"], step.get("completion_tokens") or 0, step.get("cached_tokens") or 0
        sizes = self._messages(record)
        return self._sent_always(record) + sum(sizes[:answer]), sizes[answer], 0

    def _messages(self, record: Mapping[str, Any]) -> list[int]:
        if self._counted[0] != record["id"]:
            made = map(_message, record["messages"])
            sizes = [self._counter.count_message(message, model=record["model"]) for message in made]
            self._counted = (record["id"], sizes)
        return self._counted[1]

    def _sent_always(self, record: Mapping[str, Any]) -> int:
        """The system prompt and the tools."""
        model, system, tools = record["model"], record.get("system_id"), record.get("tools_id")
        key = (model, system, tools)
        if key not in self._static:
            prompt = SystemMessage(self._prompts.get(system or "", ""))
            schemas = self._tools.get(tools or "", ())
            self._static[key] = self._counter.count_messages([prompt], model=model, tools=schemas)
        return self._static[key]


def _message(message: Mapping[str, Any]) -> BaseMessage:
    content = message.get("content") or ""
    if message["role"] == "tool":
        return ToolMessage(content, tool_call_id=message.get("tool_call_id") or "", name=message.get("name"))
    if message["role"] != "assistant":
        return HumanMessage(content)
    calls = []
    for call in message.get("tool_calls") or ():
        arguments = _arguments(call["function"]["arguments"])
        args = arguments if isinstance(arguments, dict) else {"arguments": arguments}
        calls.append({"name": call["function"]["name"], "args": args, "id": call["id"]})
    return AIMessage(content, tool_calls=calls)
