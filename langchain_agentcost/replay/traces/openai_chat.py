"""Traces in OpenAI's chat form: JSON Lines, a run each.

A line has `messages`, in OpenAI's form, and what is known of the run. Every assistant message was one model call, which
was sent everything before it; one with `generated: false` was not made by a model. Its `step` says what the call was
billed: `prompt_tokens`, `completion_tokens`, `cached_tokens`, `cost_usd`, `model`, `provider`, `ts` (an ISO time or
seconds).

| field | what it is |
|---|---|
| `id` | the run; a second line with the same id is left out |
| `source`, `benchmark`, `family`, `task_id` | what it is part of; see `Episode` |
| `session` | the conversation that the run is a turn of, where it is one |
| `model`, `provider` | who answered |
| `success` | true, false, or null where nobody judged it; else `reward`, 1 or 0 |
| `caveat` | with "survivorship" in it, the run says nothing of quality |
| `tools`, or `tools_id` | the tools' descriptions, or their name in `tools.json` beside the file (or .json.gz) |
| `system`, or `system_id` | the system prompt, or its name in `prompts.json`; or a first message of that role |
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from langchain_agentcost.canonical import digest
from langchain_agentcost.errors import ReplayError
from langchain_agentcost.recent import Recent
from langchain_agentcost.replay.episode import Episode, Recorded, assemble
from langchain_agentcost.replay.traces.chat import message_of
from langchain_agentcost.replay.traces.fields import (
    count_of,
    is_count,
    mapping_of,
    name_of,
    nano_of,
    seconds_of,
)
from langchain_agentcost.replay.traces.lines import MAX_DEPTH, Faults, Line, encodable, too_deep
from langchain_agentcost.usage import Usage

NAME = "OpenAI chat"

_SURVIVORS = "survivorship"
_COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens")

MAX_BESIDE = 1000
"""How many system prompts and sets of tools are shared between runs."""


def fits(record: Mapping[str, Any]) -> bool:
    """Tell whether a line is of this form."""
    return isinstance(record.get("messages"), list)


def episodes(lines: Iterable[Line], faults: Faults, *, folder: Path) -> Iterator[Episode]:
    """Read runs.

    Args:
        lines: The lines.
        faults: Where lines are named that are no run.
        folder: Where `prompts.json` and `tools.json` are.

    Yields:
        The runs with at least one model call.
    """
    beside = _Beside(folder)
    for place, record in lines:
        try:
            episode = _episode(Line(place, record), beside, faults)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            faults.add(place, f"no run of this form: {error}")
            continue
        if episode.calls:
            yield episode
        else:
            faults.add(place, "no assistant message in it: no model was called")


class _Beside:
    """The system prompts and tools that lie beside the traces; each is made once, so that runs share it."""

    def __init__(self, folder: Path) -> None:
        self._prompts = _mapping(folder, "prompts.json")
        self._tools = _mapping(folder, "tools.json")
        self._systems: Recent[str, SystemMessage] = Recent(MAX_BESIDE)
        self._toolsets: Recent[bytes, tuple[Mapping[str, Any], ...]] = Recent(MAX_BESIDE)

    def system(self, record: Mapping[str, Any]) -> list[BaseMessage]:
        """The system message of a run; none where it has none, or among its messages.

        Raises:
            LookupError: If it is named and not there.
        """
        text = record.get("system") or _found(self._prompts, "prompts.json", record.get("system_id"))
        if not isinstance(text, str):
            if text is None:
                return []
            raise LookupError(f"its system prompt is a text, not {type(text).__name__}")
        made = self._systems.get(text)
        if made is None:
            made = SystemMessage(text)
            self._systems.put(text, made)
        return [made]

    def tools(self, record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """The tools of a run.

        Raises:
            LookupError: If they are named and not there, or are no list of descriptions.
        """
        given = record.get("tools") or _found(self._tools, "tools.json", record.get("tools_id")) or []
        if not isinstance(given, list) or not all(isinstance(tool, Mapping) for tool in given):
            raise LookupError("its tools are no list of descriptions")
        key = digest(json.dumps(given, sort_keys=True, default=str))
        made = self._toolsets.get(key)
        if made is None:
            made = tuple(given)
            self._toolsets.put(key, made)
        return made


def _found(known: Mapping[str, Any], file: str, name: object) -> Any:
    """What lies beside the traces under a name; None where none is named."""
    if name is None or name == "":
        return None
    if not isinstance(name, str) or name not in known:
        raise LookupError(f"{file} beside the file has no {name!r}")
    return known[name]


def _mapping(folder: Path, name: str) -> Mapping[str, Any]:
    """Read a mapping that lies beside the traces, compressed or not; empty where there is none."""
    for path, opened in ((folder / name, open), (folder / f"{name}.gz", gzip.open)):
        if path.is_file():
            try:
                with opened(path, "rt", encoding="utf-8") as file:
                    read = json.load(file)
            except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
                raise ReplayError(f"{path} is no JSON file: {error}") from error
            if not isinstance(read, dict):
                raise ReplayError(f"{path} is a mapping by id, not {type(read).__name__}.")
            if too_deep(read):
                raise ReplayError(f"{path} is nested deeper than {MAX_DEPTH} levels.")
            return encodable(read)
    return {}


def _episode(line: Line, beside: _Beside, faults: Faults) -> Episode:
    """Make a run; what of it cannot be read is a fault, and it is made without."""
    place, record = line
    given = record["messages"]
    if not all(isinstance(message, Mapping) for message in given):
        raise ValueError("messages is a list of objects")
    head: list[BaseMessage] = []
    tools: tuple[Mapping[str, Any], ...] = ()
    try:
        head, tools = beside.system(record), beside.tools(record)
    except LookupError as error:
        faults.add(place, f"{error.args[0]}: it is read without")
    messages = list(map(message_of, given))
    steps = {
        len(head) + at: mapping_of(message.get("step"))
        for at, message in enumerate(given)
        if isinstance(messages[at], AIMessage) and message.get("generated") is not False
    }
    for odd in filter(None, map(_odd, steps.values())):
        faults.add(place, f"{odd}: it is taken as not known")
    additive = _additive(steps.values())
    source = name_of(record, "source", "traces")
    benchmark = name_of(record, "benchmark", source)
    return Episode(
        name_of(record, "id", place),
        assemble([*head, *messages], {at: recorded_of(step, additive) for at, step in steps.items()}),
        tools=tools,
        source=source,
        benchmark=benchmark,
        family=name_of(record, "family", benchmark),
        task=name_of(record, "task_id", name_of(record, "id", place)),
        model=name_of(record, "model") or None,
        session=name_of(record, "session") or None,
        provider=name_of(record, "provider") or None,
        success=_success(record),
        biased=_SURVIVORS in str(record.get("caveat") or ""),
    )


def _odd(step: Mapping[str, Any]) -> str | None:
    """What of a step is no count of tokens."""
    return next((f"{key} is no count of tokens" for key in _COUNTS if not is_count(step.get(key))), None)


def recorded_of(step: Mapping[str, Any], additive: frozenset[str] = frozenset()) -> Recorded:
    """Read what was reported of a call.

    Args:
        step: What stands beside the answer.
        additive: Models of the run whose prompt tokens leave out what the cache served.
    """
    prompt, cached = count_of(step.get("prompt_tokens")), count_of(step.get("cached_tokens"))
    output = count_of(step.get("completion_tokens"))
    model = name_of(step, "model") or None
    prompt += cached if prompt and (model or "") in additive else 0
    usage = Usage(prompt, output, cache_read_tokens=min(cached, prompt)) if prompt else None
    knows = step.get("cached_tokens") is not None and is_count(step["cached_tokens"])
    cost, at_s = nano_of(step.get("cost_usd")), seconds_of(step.get("ts"))
    return Recorded(usage, knows, cost, at_s, model, name_of(step, "provider") or None)


def _additive(steps: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Models of which more cached tokens than prompt tokens were reported: the latter leave the former out."""
    return frozenset(
        name_of(step, "model")
        for step in steps
        if count_of(step.get("cached_tokens")) > count_of(step.get("prompt_tokens")) > 0
    )


def _success(record: Mapping[str, Any]) -> bool | None:
    success, reward = record.get("success"), record.get("reward")
    if isinstance(success, bool):
        return success
    return bool(reward) if reward in (0, 1) and "success" not in record else None
