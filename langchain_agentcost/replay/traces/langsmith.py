"""Traces exported from LangSmith: JSON Lines, a run each, as `client.runs.query` or the older `list_runs` gives them.

The runs of a trace become one `Episode`, whatever their order in the file. A trace is read out when no run of it has
come for a thousand other traces, or at the end of the file (`Gathering`): so an export that is sorted by time or by
trace is read in bounded memory. A run that comes later than that is a fault.

| of the runs | becomes |
|---|---|
| model runs with an answer, by `start_time` and `dotted_order` | the calls |
| `inputs.messages`, or `inputs.prompts` of a text model | their prompts; a message that recurs is one object |
| `outputs.generations`, or what OpenAI's client gave | their answers |
| `invocation_params.tools`, of most of the calls | the tools |
| `usage_metadata`, else the run's own counts and its cost | what was recorded |
| the model that answered, else `ls_model_name`; `ls_provider` | model and provider, of most of the tokens |
| tool messages of later prompts, else tool runs, with their errors | the tools' results |
| feedback on the root run by one of `VERDICTS`; else, if it failed, no | success |
| the tenant, else the project | source |
| the workflow, else the root run's name | benchmark |
| the dataset's example, else the conversation | task |

Left out, with a fault each: a model run without a prompt or an answer, since there is nothing to replay. Left out
without one: a model run that has another one below it, which has the cost; and answers of LangChain's own cache, which
no provider was asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.canonical import digest
from langchain_agentcost.replay.episode import Call, Episode, Recorded
from langchain_agentcost.replay.traces.answering import most_used
from langchain_agentcost.replay.traces.chat import answer_of, fields_of, is_prompt, message_of
from langchain_agentcost.replay.traces.fields import list_of, mapping_of, name_of, nano_of, seconds_of, shown
from langchain_agentcost.replay.traces.gathering import Gathering
from langchain_agentcost.replay.traces.histories import Histories, Shared, key_of_message
from langchain_agentcost.replay.traces.lines import Faults, Line
from langchain_agentcost.reported import older_counts
from langchain_agentcost.usage import Usage, is_cache_hit

NAME = "LangSmith runs"

VERDICTS = ("success", "task_success", "resolved", "correctness", "correct", "passed", "pass")
"""Keys of feedback that say whether a run achieved what was asked, first choice first: 0.5 and more is yes."""

_PAUSES = ("GraphInterrupt", "NodeInterrupt", "GraphBubbleUp", "ParentCommand")
"""What LangGraph raises on purpose: no failure."""

_NEEDED = ("llm", "tool")
"""Types of runs that an episode is made of, beside the root."""

_LABELS = AttributionMap()


def fits(record: Mapping[str, Any]) -> bool:
    """Tell whether a line is of this form."""
    return isinstance(record.get("run_type"), str) and ("trace_id" in record or "id" in record)


def episodes(lines: Iterable[Line], faults: Faults, *, folder: Path) -> Iterator[Episode]:
    """Read traces.

    Args:
        lines: The lines, a run each.
        faults: Where runs are named that cannot be used, and traces without a model call.
        folder: Not used.

    Yields:
        The traces with at least one model call.
    """
    traces: Gathering[_Trace] = Gathering(_Trace)
    for place, record in lines:
        try:
            run = _Run.of(record)
        except (TypeError, ValueError) as error:
            faults.add(place, f"no run of LangSmith's: {error}")
            continue
        trace = traces.take(run.trace)
        if trace is None:
            if run.kind in _NEEDED or run.is_root:
                faults.add(place, f"trace {run.trace} was complete by then: sort the export by start_time or trace_id")
            continue
        try:
            trace.add(run)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            faults.add(place, f"run {run.id} is left out: {error}")
        yield from _read_out(traces.put(run.trace, trace), faults)
    yield from _read_out(sorted(traces.rest(), key=lambda trace: trace.began), faults)


def _read_out(traces: Iterable[_Trace], faults: Faults) -> Iterator[Episode]:
    for trace in traces:
        episode = trace.episode()
        if episode.calls:
            yield episode
        else:
            faults.add(f"trace {trace.id}", "no answer of a model in it")


@dataclass(frozen=True, slots=True)
class _Run:
    """What every run says of itself."""

    record: Mapping[str, Any]
    id: str
    trace: str
    kind: str
    above: tuple[str, ...]
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> _Run:
        """Read it."""
        own = name_of(record, "id")
        if not own:
            raise ValueError("it has no id")
        extra = mapping_of(mapping_of(record.get("extra")).get("metadata"))
        metadata = {**extra, **mapping_of(record.get("metadata"))}
        above = _above(record)
        trace = name_of(record, "trace_id", above[0] if above else own)
        return cls(record, own, trace, name_of(record, "run_type").lower(), above, metadata)

    @property
    def is_root(self) -> bool:
        """Whether the trace is its. A run that merely does not say what is above it is not taken for one."""
        record = self.record
        return self.id == self.trace or record.get("is_root") is True or record.get("parent_run_ids") == []

    @property
    def order(self) -> tuple[float, str]:
        """When it was among the runs of its trace."""
        return seconds_of(self.record.get("start_time")) or 0.0, name_of(self.record, "dotted_order")


def _above(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids of the runs above a run, the root's first, as far as it says."""
    stated = record.get("parent_run_ids")
    if isinstance(stated, list):
        return tuple([shown(str(above)) for above in stated])
    dotted = record.get("dotted_order")
    if isinstance(dotted, str) and "." in dotted:  # each step is a time, "Z" and an id
        return tuple([shown(step.partition("Z")[2]) for step in dotted.split(".")[:-1]])
    parent = name_of(record, "parent_run_id")
    return (parent,) if parent else ()


@dataclass(frozen=True, slots=True)
class _Made:
    """A model call, read."""

    run: str
    above: tuple[str, ...]
    order: tuple[float, str]
    prompt: tuple[BaseMessage, ...]
    answer: AIMessage
    tools: bytes | None
    recorded: Recorded
    provider: str | None


@dataclass(slots=True)
class _Trace:
    """A trace, put together run by run."""

    id: str
    _shared: Shared = field(default_factory=Shared)
    _made: list[_Made] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _toolsets: dict[bytes, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    _ran: dict[str, ToolMessage] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)
    _labels: dict[str, str] = field(default_factory=dict)
    _success: bool | None = None

    @property
    def size(self) -> int:
        """How much it holds, in characters."""
        return self._shared.chars + 1000 * len(self._seen)

    @property
    def began(self) -> tuple[float, str]:
        """When its first call was made."""
        return min((made.order for made in self._made), default=(0.0, ""))

    def add(self, run: _Run) -> None:
        """Take a run.

        Raises:
            ValueError: If it is there already, or is a model run without an answer.
        """
        self._label(run)
        if run.kind not in _NEEDED:
            return
        if run.id in self._seen:
            raise ValueError("a run of this id was there before")
        self._seen.add(run.id)
        if run.kind == "llm":
            self._add_model(run)
        else:
            self._add_tool(run)

    def episode(self) -> Episode:
        """Give what was put together."""
        above = {outer for made in self._made for outer in made.above}
        made = sorted((made for made in self._made if made.run not in above), key=lambda made: made.order)
        histories, results = Histories(), self._given(made)
        model, provider = most_used((one.recorded, one.provider) for one in made)
        sent = Counter(one.tools for one in made if one.tools is not None)
        source = self._labels.get("tenant") or self._labels.get("project") or "langsmith"
        benchmark = self._labels.get("workflow") or self._labels.get("name") or source
        return Episode(
            self.id,
            tuple(
                Call(*histories.place(one.prompt), one.answer, _given_to(one.answer, results), one.recorded)
                for one in made
            ),
            tools=self._toolsets[sent.most_common(1)[0][0]] if sent else (),
            source=source,
            benchmark=benchmark,
            family=benchmark,
            task=self._labels.get("example") or self._labels.get("session") or self.id,
            session=self._labels.get("session"),
            model=model,
            provider=provider,
            success=self._success,
        )

    def _label(self, run: _Run) -> None:
        """Note what a run says of the trace; the root's word counts most."""
        record = run.record
        stated = {key: value for key, value in _LABELS.read(run.metadata).items() if isinstance(value, str)}
        stated["project"] = name_of(record, "session_name") or name_of(record, "project_id", "")
        stated["project"] = stated["project"] or name_of(record, "session_id")
        if run.is_root:
            stated["name"] = name_of(record, "name")
            stated["example"] = name_of(record, "reference_example_id")
            self._success = _success(record)
        stated = {key: value for key, value in stated.items() if value}
        self._labels = {**self._labels, **stated} if run.is_root else {**stated, **self._labels}

    def _add_model(self, run: _Run) -> None:
        record = run.record
        inputs, outputs = mapping_of(record.get("inputs")), mapping_of(record.get("outputs"))
        given = next((found for read in _ANSWERS if (found := read(outputs)) is not None), None)
        if given is None:
            error = record.get("error")
            raise ValueError("it failed and has no answer" if error else "it has no answer")
        fields = fields_of(given)
        answer, usage = answer_of(fields), _usage(run, fields, outputs)
        answer.usage_metadata = cast("UsageMetadata | None", usage or None)
        if is_cache_hit(answer):
            return
        sent = _prompt(inputs)
        if not sent:
            raise ValueError("it does not say what was sent: select the inputs for the export")
        prompt = self._shared.prompt((key_of_message(message), message) for message in sent)
        params = mapping_of(mapping_of(record.get("extra")).get("invocation_params"))
        self._made.append(
            _Made(
                run.id,
                run.above,
                run.order,
                prompt,
                cast("AIMessage", self._shared.next(prompt, key_of_message(answer), answer)),
                self._toolset(list_of(params.get("tools")) or list_of(inputs.get("tools"))),
                _recorded(run, fields, answer, params),
                name_of(run.metadata, "ls_provider") or None,
            )
        )

    def _add_tool(self, run: _Run) -> None:
        """Note what a tool run gave."""
        record = run.record
        outputs = mapping_of(record.get("outputs"))
        fields = mapping_of(outputs.get("output"))
        fields = mapping_of(fields.get("kwargs")) or fields
        extra = mapping_of(record.get("extra"))
        call = name_of(extra, "tool_call_id") or name_of(fields, "tool_call_id")
        if not call:
            return
        said = record.get("error") or fields.get("content", outputs.get("output"))
        made = message_of({"role": "tool", "content": said, "tool_call_id": call, "name": record.get("name")})
        if isinstance(made, ToolMessage):
            self._ran[call] = made
        if record.get("error"):
            self._failed.add(call)

    def _given(self, made: Sequence[_Made]) -> Mapping[str, ToolMessage]:
        """What the tools gave, by the id of the call: as it was first sent to a model, else as the tool's run says."""
        results = dict(self._ran)
        for one in reversed(made):
            results.update((m.tool_call_id, m) for m in one.prompt if isinstance(m, ToolMessage))
        for call in self._failed & results.keys():
            if results[call].status != "error":
                results[call] = results[call].model_copy(update={"status": "error"})
        return results

    def _toolset(self, tools: list[Mapping[str, Any]]) -> bytes | None:
        if not tools:
            return None
        key = digest(json.dumps(tools, sort_keys=True, default=str))
        self._toolsets.setdefault(key, tuple(tools))
        return key


def _given_to(answer: AIMessage, results: Mapping[str, ToolMessage]) -> tuple[ToolMessage, ...]:
    """What the tools gave that an answer asked for."""
    asked = dict.fromkeys(call["id"] for call in answer.tool_calls if call["id"])
    return tuple(results[call] for call in asked if call in results)


def _prompt(inputs: Mapping[str, Any]) -> list[BaseMessage]:
    """The messages of a model run; LangChain writes them as a batch of one."""
    given = inputs.get("messages", inputs.get("prompts", inputs.get("prompt")))
    if isinstance(given, list) and given and is_prompt(given[0]):
        given = given[0]
    return [message_of(message) for message in (given if isinstance(given, list) else [given] if given else [])]


def _generation(outputs: Mapping[str, Any]) -> Any:
    """The answer as LangChain has it: the first generation of a batch of one; a text model's has no message."""
    given = outputs.get("generations")
    given = given[0] if isinstance(given, list) and given else given
    given = given[0] if isinstance(given, list) and given else given
    generation = mapping_of(given)
    text = generation.get("text")
    return generation.get("message") or (text if isinstance(text, str) else None)


def _choice(outputs: Mapping[str, Any]) -> Any:
    """The answer as OpenAI's client has it."""
    first = next(iter(list_of(outputs.get("choices"))), {})
    return first.get("message") or first.get("text")


def _whole(outputs: Mapping[str, Any]) -> Any:
    """The answer as a message among the outputs, or as the outputs themselves."""
    last = next(reversed(list_of(outputs.get("messages"))), None)
    own = outputs if "content" in outputs or "tool_calls" in outputs else None
    return outputs.get("message") or last or own


_ANSWERS: tuple[Callable[[Mapping[str, Any]], Any], ...] = (_generation, _choice, _whole)
"""Where answers stand, by who traced them."""


def _usage(run: _Run, fields: Mapping[str, Any], outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was reported of a call's tokens, by LangChain's names; empty where nothing was."""
    stated = (run.metadata, fields, outputs)
    found = next((used for place in stated if (used := mapping_of(place.get("usage_metadata")))), None)
    if found is not None:
        return found
    output = mapping_of(outputs.get("llm_output"))
    older = older_counts(outputs.get("usage")) or older_counts(output.get("token_usage")) or older_counts(run.record)
    details = mapping_of(run.record.get("prompt_token_details"))
    details = mapping_of(details.get("raw")) or details
    return {**older, "input_token_details": dict(details)} if older and details else older or {}


def _recorded(run: _Run, fields: Mapping[str, Any], answer: AIMessage, params: Mapping[str, Any]) -> Recorded:
    """What was reported of a call."""
    usage, metadata = mapping_of(answer.usage_metadata), mapping_of(fields.get("response_metadata"))
    named = (name_of(metadata, "model_name"), name_of(metadata, "model"), name_of(run.metadata, "ls_model_name"))
    model = next(filter(None, named), "") or name_of(params, "model")
    cost = nano_of(usage.get("total_cost"))
    return Recorded(
        Usage.from_message(answer),
        "cache_read" in mapping_of(usage.get("input_token_details")),
        cost if cost is not None else nano_of(run.record.get("total_cost")),
        seconds_of(run.record.get("start_time")),
        model or None,
        name_of(run.metadata, "ls_provider") or None,
    )


def _success(root: Mapping[str, Any]) -> bool | None:
    """Whether a trace achieved what was asked: by feedback, else not if it failed."""
    feedback = mapping_of(root.get("feedback_stats"))
    for key in VERDICTS:
        score = mapping_of(feedback.get(key)).get("avg")
        if isinstance(score, int | float) and not isnan(score):
            return score >= 0.5
    error = root.get("error")
    return False if error and not str(error).startswith(_PAUSES) else None
