"""Traces in OpenAI's chat form: JSON Lines, a run each.

A line has `messages`, in OpenAI's form, and what is known of the run. Every assistant message was one model call, which
was sent everything before it; one with `generated: false` was not made by a model. Its `step` says what the call was
billed: `prompt_tokens`, `completion_tokens`, `cached_tokens`, `cost_usd`, `model`, `ts` (an ISO time or seconds).

| field | what it is |
|---|---|
| `id` | the run; a second line with the same id is left out |
| `source`, `benchmark`, `family`, `task_id` | what it is part of; see `Episode` |
| `model`, `provider` | who answered |
| `success` | true, false, or null where nobody judged it; else `reward`, 1 or 0 |
| `caveat` | with "survivorship" in it, the run says nothing of quality |
| `tools`, or `tools_id` | the tools' descriptions, or their name in `tools.json` beside the file (or .json.gz) |
| `system`, or `system_id` | the system prompt, or its name in `prompts.json`; or a first message of that role |
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage, SystemMessage

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.money import to_nano
from langchain_agentcost.replay.episode import Episode, Recorded, assemble
from langchain_agentcost.replay.traces.chat import clean, message_of
from langchain_agentcost.replay.traces.lines import Faults, Line
from langchain_agentcost.usage import Usage

NAME = "OpenAI chat"

_SURVIVORS = "survivorship"
_LATEST_S = 1e11
"""A time later than this, the year 5138, is in milliseconds."""


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
            episode = _episode(place, record, beside)
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
        self._systems: dict[str, SystemMessage] = {}
        self._toolsets: dict[str, tuple[Mapping[str, Any], ...]] = {}

    def system(self, record: Mapping[str, Any]) -> list[BaseMessage]:
        """The system message of a run; none where it has none, or among its messages."""
        name = str(record.get("system_id") or "")
        text = record.get("system") or self._prompts.get(name)
        if not isinstance(text, str) or not text:
            return []
        made = self._systems.get(text)
        if made is None:
            made = self._systems[text] = SystemMessage(clean(text))
        return [made]

    def tools(self, record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        """The tools of a run."""
        given = record.get("tools") or self._tools.get(str(record.get("tools_id") or "")) or ()
        if not isinstance(given, list | tuple) or not all(isinstance(tool, Mapping) for tool in given):
            raise ValueError("tools is a list of descriptions")
        key = json.dumps(given, sort_keys=True, default=str)
        return self._toolsets.setdefault(key, tuple(given))


def _mapping(folder: Path, name: str) -> Mapping[str, Any]:
    """Read a mapping that lies beside the traces, compressed or not; empty where there is none."""
    for path, opened in ((folder / name, open), (folder / f"{name}.gz", gzip.open)):
        if path.is_file():
            try:
                with opened(path, "rt", encoding="utf-8") as file:
                    read = json.load(file)
            except (OSError, EOFError, ValueError, RecursionError) as error:
                raise ReplayError(f"{path} is no JSON file: {error}") from error
            if not isinstance(read, dict):
                raise ReplayError(f"{path} is a mapping by id, not {type(read).__name__}.")
            return read
    return {}


def _episode(place: str, record: Mapping[str, Any], beside: _Beside) -> Episode:
    given = record["messages"]
    if not all(isinstance(message, Mapping) for message in given):
        raise ValueError("messages is a list of objects")
    head = beside.system(record)
    steps = {
        len(head) + at: message.get("step") or {}
        for at, message in enumerate(given)
        if message.get("role") == "assistant" and message.get("generated") is not False
    }
    additive = _additive(steps.values())
    source = _text(record, "source", "traces")
    benchmark = _text(record, "benchmark", source)
    return Episode(
        _text(record, "id", place),
        assemble([*head, *map(message_of, given)], {at: recorded_of(step, additive) for at, step in steps.items()}),
        tools=beside.tools(record),
        source=source,
        benchmark=benchmark,
        family=_text(record, "family", benchmark),
        task=_text(record, "task_id", _text(record, "id", place)),
        model=_text(record, "model", "") or None,
        provider=_text(record, "provider", "") or None,
        success=_success(record),
        biased=_SURVIVORS in str(record.get("caveat") or ""),
    )


def recorded_of(step: Mapping[str, Any], additive: frozenset[str] = frozenset()) -> Recorded:
    """Read what was reported of a call.

    Args:
        step: What stands beside the answer.
        additive: Models of the run whose prompt tokens leave out what the cache served.
    """
    prompt, cached = _count(step.get("prompt_tokens")), _count(step.get("cached_tokens"))
    output = _count(step.get("completion_tokens"))
    model = str(step["model"]) if step.get("model") else None
    prompt += cached if prompt and (model or "") in additive else 0
    usage = Usage(prompt, output, cache_read_tokens=min(cached, prompt)) if prompt else None
    return Recorded(usage, "cached_tokens" in step, _nano(step.get("cost_usd")), seconds_of(step.get("ts")), model)


def _additive(steps: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Models of which more cached tokens than prompt tokens were reported: the latter leave the former out."""
    return frozenset(
        str(step.get("model") or "")
        for step in steps
        if _count(step.get("cached_tokens")) > _count(step.get("prompt_tokens")) > 0
    )


def seconds_of(stamp: Any) -> float | None:
    """Read a time: ISO, or a number of seconds or milliseconds since 1970; None where it is neither."""
    if isinstance(stamp, str):
        try:
            read = datetime.fromisoformat(stamp)
        except ValueError:
            return None
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    if not isinstance(stamp, int | float) or isinstance(stamp, bool) or not 0 < stamp < 1e15:
        return None
    return stamp / 1000 if stamp > _LATEST_S else float(stamp)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _nano(usd: Any) -> int | None:
    if not isinstance(usd, int | float | str) or isinstance(usd, bool):
        return None
    try:
        return to_nano(Decimal(str(usd)))
    except (InvalidOperation, ValueError):
        return None


def _success(record: Mapping[str, Any]) -> bool | None:
    success, reward = record.get("success"), record.get("reward")
    if isinstance(success, bool):
        return success
    return bool(reward) if reward in (0, 1) and "success" not in record else None


def _text(record: Mapping[str, Any], key: str, other: str) -> str:
    value = record.get(key)
    return clean(str(value)) if value not in (None, "") else other
