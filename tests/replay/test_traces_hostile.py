"""Traces that are damaged, absurd or an attack: nothing raises, nothing is lost in silence, nothing grows."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from langchain_agentcost.errors import ReplayError
from langchain_agentcost.replay import STRATEGIES, Episode, Faults, Result, Tariffs, read_traces, replay
from langchain_agentcost.replay.traces import langsmith
from langchain_agentcost.replay.traces.gathering import Gathering
from langchain_agentcost.replay.traces.lines import MAX_LINE_BYTES, NAMED

Record = dict[str, Any]

ALL = ",".join(STRATEGIES)
PRICED = Tariffs(model="claude-sonnet-4-5")
ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\b<script>alert(1)</script>"


def chat(name: str = "run-1", **fields: Any) -> Record:
    """A run in OpenAI's form with two calls and a tool."""
    call = {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"number": 3}'}}
    step = {"prompt_tokens": 90, "completion_tokens": 7, "cached_tokens": 0, "cost_usd": 0.001, "model": "m", "ts": 9.5}
    return {
        "id": name,
        "source": "s",
        "benchmark": "b",
        "family": "f",
        "task_id": name,
        "model": "gpt-4o",
        "provider": "openai",
        "success": True,
        "reward": 1,
        "caveat": None,
        "system": "You help.",
        "system_id": None,
        "tools": [{"type": "function", "function": {"name": "get_order", "parameters": {}}}],
        "tools_id": None,
        "messages": [
            {"role": "user", "content": "Where is order 3?"},
            {"role": "assistant", "content": None, "tool_calls": [call], "generated": True, "step": step},
            {"role": "tool", "tool_call_id": "c1", "name": "get_order", "content": "two lamps", "error": False},
            {"role": "assistant", "content": "Two lamps.", "step": step},
        ],
        **fields,
    }


def traced(name: str = "t1", prompt: str = "Where is order 3?") -> list[Record]:
    """The runs of a trace of LangSmith's: its root, a model run and a tool run."""
    usage = {"input_tokens": 90, "output_tokens": 7, "total_tokens": 97, "input_token_details": {"cache_read": 0}}
    message = {
        "content": "",
        "type": "ai",
        "tool_calls": [{"name": "get_order", "args": {"number": 3}, "id": "c1"}],
        "invalid_tool_calls": [],
        "additional_kwargs": {},
        "response_metadata": {"model_name": "gpt-4o"},
        "usage_metadata": usage,
    }
    constructor = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"]}
    shared: Record = {"trace_id": name, "parent_run_ids": [name], "start_time": "2026-01-01T00:00:00", "error": None}
    root: Record = {"id": name, "trace_id": name, "run_type": "chain", "name": "desk", "parent_run_ids": []}
    model: Record = {
        "id": f"{name}-model",
        "run_type": "llm",
        "dotted_order": f"0Z{name}.1Z{name}-model",
        "parent_run_id": name,
        "inputs": {"messages": [[{**constructor, "kwargs": {"content": prompt}}]]},
        "outputs": {"generations": [[{"text": "", "message": {**constructor, "kwargs": message}}]], "llm_output": {}},
        "extra": {
            "invocation_params": {"model": "gpt-4o", "tools": [{"name": "get_order"}]},
            "metadata": {"ls_provider": "openai", "ls_model_name": "gpt-4o", "usage_metadata": usage, "tenant": "acme"},
        },
        "metadata": {},
        "total_cost": 0.001,
        "prompt_tokens": 90,
        "completion_tokens": 7,
        "prompt_token_details": {"raw": {"cache_read": 0}},
    }
    tool: Record = {
        "id": f"{name}-tool",
        "run_type": "tool",
        "name": "get_order",
        "outputs": {"output": {"content": "two lamps", "tool_call_id": "c1"}},
        "extra": {"tool_call_id": "c1"},
    }
    judged = {
        "feedback_stats": {"success": {"avg": 1.0}},
        "reference_example_id": "e",
        "session_name": "p",
        "error": None,
    }
    return [{**root, **judged}, {**shared, **model}, {**shared, **tool}]


def written(folder: Path, lines: Iterable[str | bytes]) -> Path:
    """A file of these lines."""
    path = folder / "traces.jsonl"
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return path


def read(path: Path) -> tuple[list[Episode], Faults]:
    """What is read of a file."""
    faults = Faults()
    return list(read_traces([path], faults)), faults


def survives(episodes: Sequence[Episode]) -> Result:
    """Replay runs under every strategy there is, and make all that is made of the result."""
    result = replay(episodes, ALL, tariffs=PRICED)
    json.dumps(result.to_dict())
    assert result.episodes == len(episodes)
    return result


GOOD = json.dumps(chat("good"))

BAD_LINES: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("{'id': 1}", "not JSON"),
    "half a line": (GOOD[:200], "not JSON"),
    "a list": ("[1, 2]", "not an object, but list"),
    "a text": ('"text"', "not an object, but str"),
    "null": ("null", "not an object, but NoneType"),
    "invalid UTF-8": (b'{"id": "\xff\xfe"}', "not JSON"),
    "zero bytes": (b"\x00" * 40, "not JSON"),
    "nested lists": ('{"messages": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
    "nested objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deep"),
    "nested a little too deep": ('{"messages": ' + "[" * 70 + "]" * 70 + "}", "nested deeper than 64 levels"),
    "a number without end": ('{"messages": [], "id": ' + "9" * 5_000 + "}", "not JSON"),
    "messages of no kind": (json.dumps({"id": "x", "messages": [1, "a", None]}), "messages is a list of objects"),
    "nobody answers": (json.dumps({"id": "x", "messages": []}), "no assistant message in it"),
    "an id that is an object": (json.dumps(chat("x", id={"a": 1})), "id is a text, not dict"),
}


@pytest.mark.parametrize(("line", "why"), BAD_LINES.values(), ids=BAD_LINES)
def test_bad_line_is_named(tmp_path: Path, line: str | bytes, why: str) -> None:
    """A line that is no run is named with its place and what is wrong, and the lines around it are read."""
    found, faults = read(written(tmp_path, [GOOD, line, json.dumps(chat("last"))]))
    assert [episode.id for episode in found] == ["good", "last"]
    assert [fault.place for fault in faults.named] == ["traces.jsonl:2"]
    assert why in faults.named[0].why


def test_line_of_50_megabytes(tmp_path: Path) -> None:
    """A line of 50 MB is left out without being held, compressed or not, and the next one is read."""
    lines = [json.dumps(chat("long", padding="x" * 50 * 2**20)), GOOD]
    plain = written(tmp_path, lines)
    packed = tmp_path / "packed.jsonl.gz"
    with gzip.open(packed, "wb", compresslevel=1) as file:
        file.write(plain.read_bytes())
    del lines
    for path in (plain, packed):
        tracemalloc.start()
        found, faults = read(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert [episode.id for episode in found] == ["good"]
        assert [fault.why for fault in faults.named] == [f"the line is longer than {MAX_LINE_BYTES:,} bytes"]
        assert peak < 3 * MAX_LINE_BYTES


def test_truncated_gzip(tmp_path: Path) -> None:
    """Of a compressed file that breaks off, what stands before is read, and the break is named."""
    path = tmp_path / "traces.jsonl.gz"
    lines = [json.dumps(chat(f"run-{number}", padding=str(hash(str(number))))) for number in range(2_000)]
    whole = gzip.compress("\n".join(lines).encode())
    path.write_bytes(whole[: len(whole) // 2])
    found, faults = read(path)
    assert 100 < len(found) < 2_000
    assert "the file is damaged from here on" in faults.named[-1].why


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", gzip.compress(b"", mtime=0), b"\x1f\x8b", b"\x1f\x8b\x08\x00 no gzip"]
)
def test_file_with_nothing_in_it(tmp_path: Path, content: bytes) -> None:
    """An empty file has no run, and that is said."""
    path = tmp_path / "traces.jsonl"
    path.write_bytes(content)
    found, faults = read(path)
    assert (found, faults.count) == ([], 1)


def test_file_of_another_form(tmp_path: Path) -> None:
    """A file without any line of a known form is refused, and the forms are named."""
    with pytest.raises(ReplayError, match="OpenAI chat, LangSmith runs, ledger of this package, LangGraph checkpoints"):
        read(written(tmp_path, ['{"prompt": "Hi"}', '{"prompt": "Ho"}']))


def test_strange_lines_before_the_first_run(tmp_path: Path) -> None:
    """Lines of no known form before the first run are named, and do not hide it."""
    found, faults = read(written(tmp_path, ['{"version": 1}', "{}", GOOD]))
    assert ([episode.id for episode in found], faults.count) == (["good"], 2)


def test_many_faults_are_counted_and_the_first_named(tmp_path: Path) -> None:
    """However many lines are bad, all are counted and a few are kept."""
    _, faults = read(written(tmp_path, [GOOD, *["[]"] * 5_000]))
    assert (faults.count, len(faults.named)) == (5_000, NAMED)


def test_escapes_do_not_reach_a_terminal(tmp_path: Path) -> None:
    """Names and faults have no control characters, so that printing them is safe; what was said stays as it is."""
    names = dict.fromkeys(("source", "benchmark", "family", "task_id", "model", "provider"), ESCAPES)
    content = [{"role": "user", "content": ESCAPES}, {"role": "assistant", "content": ESCAPES + "\x00"}]
    lines = [chat(ESCAPES, **names, messages=content), chat(ESCAPES), {**chat("x"), "messages": [{"role": ESCAPES}]}]
    found, faults = read(written(tmp_path, [*map(json.dumps, lines), '{"id": "\x1b[2J"}']))
    [episode] = found
    shown = [episode.id, episode.source, episode.benchmark, episode.family, episode.task, episode.model or ""]
    assert all(text.isprintable() and "<script>" in text for text in shown)
    assert faults.count == 3
    assert all(str(fault).isprintable() for fault in faults.named)
    assert episode.calls[0].answer.content == ESCAPES + "\x00"
    survives(found)


def test_long_names_stay_different(tmp_path: Path) -> None:
    """Of names beyond all sense only the beginning is kept, and two that differ at the end stay two."""
    tasks = ["x" * 5_000 + end for end in "ab"]
    found, faults = read(written(tmp_path, [json.dumps(chat(task, task_id=task)) for task in tasks]))
    assert (len(found), faults.count) == (2, 0)
    assert len({episode.task for episode in found}) == 2
    assert all(len(episode.task) < 1_100 for episode in found)


def test_half_of_a_surrogate_pair(tmp_path: Path) -> None:
    """A text that is no Unicode is made one, wherever it stands, so that it can be counted and printed."""
    half = "\ud800"
    messages = json.loads(json.dumps(chat()["messages"]))
    messages[0]["content"] = [half, {"type": "text", "text": half}]
    messages[1]["tool_calls"][0] = {"id": half, "function": {"name": half, "arguments": json.dumps({half: half})}}
    messages[2] |= {"tool_call_id": half, "name": half, "content": half}
    tools = [{"type": "function", "function": {"name": half, "description": half}}]
    line = json.dumps(chat(half, messages=messages, tools=tools, model=half, system=half, benchmark=half))
    raw = json.dumps(chat("raw", benchmark=half)).encode().replace(b"\\ud800", b"\xed\xa0\x80")
    found, faults = read(written(tmp_path, [line, raw]))
    assert ([episode.id for episode in found], faults.count) == (["?", "raw"], 0)
    for episode in found:
        said = [[message.model_dump() for message in (*call.messages, call.answer)] for call in episode.calls]
        json.dumps([said, episode.tools, episode.benchmark, episode.model], ensure_ascii=False).encode()
    survives(found)


def test_tool_calls_and_results_that_do_not_match(tmp_path: Path) -> None:
    """Ids that are there twice, results without a call and calls without a result are replayed as they stand."""
    call = {"id": "c1", "function": {"name": "get_order", "arguments": "{}"}}
    messages = [
        {"role": "tool", "tool_call_id": "c0", "content": "nobody asked"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [call, call, {**call, "id": "c2"}, {"id": "c3"}, {}]},
        {"role": "tool", "tool_call_id": "c1", "content": "first"},
        {"role": "tool", "tool_call_id": "c1", "content": "second"},
        {"role": "tool", "tool_call_id": "c9", "content": "of nothing"},
        {"role": "tool", "content": None},
        {"role": "assistant", "content": "Done."},
    ]
    found, faults = read(written(tmp_path, [json.dumps(chat(messages=messages))]))
    assert (len(found), faults.count) == (1, 0)
    assert len(found[0].calls[0].results) == 4
    survives(found)


@pytest.mark.parametrize(
    "arguments", ["[" * 100_000 + "]" * 100_000, "{", "[1, 2]", "NaN", '"text"', "\x00", '{"a": 1e999}', 7, None, []]
)
def test_arguments_that_are_no_object(tmp_path: Path, arguments: Any) -> None:
    """Arguments of a tool call that are no JSON object stay the text or value that they are."""
    record = chat()
    record["messages"][1]["tool_calls"][0]["function"]["arguments"] = arguments
    found, faults = read(written(tmp_path, [json.dumps(record)]))
    assert (len(found), faults.count) == (1, 0)
    survives(found)


@pytest.mark.parametrize(
    "count", ["NaN", "Infinity", "-Infinity", "-1", "1e400", "12.5", '"90"', "true", "[]", "{}", "9" * 400]
)
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens", "cached_tokens"])
def test_count_that_cannot_be(tmp_path: Path, field: str, count: str) -> None:
    """A count that no call can have is taken as not known, which is said; the run is replayed."""
    line = json.dumps(chat()).replace(f'"{field}": {chat()["messages"][1]["step"][field]}', f'"{field}": {count}')
    found, faults = read(written(tmp_path, [line]))
    assert len(found) == 1
    assert {fault.why for fault in faults.named} == {f"{field} is no count of tokens: it is taken as not known"}
    survives(found)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -1, 10**300, "x", True, [], {}, "9999-12-31T23:59:59-23:59"]
)
def test_cost_and_time_that_cannot_be(tmp_path: Path, value: Any) -> None:
    """A cost or a time that cannot be is not known, and never 0."""
    record = chat()
    for message in record["messages"]:
        if "step" in message:
            message["step"] |= {"cost_usd": value, "ts": value}
    found, _ = read(written(tmp_path, [json.dumps(record)]))
    for call in found[0].calls:
        assert call.recorded.cost_nano is None
        assert call.recorded.at_s is None or value == "9999-12-31T23:59:59-23:59"
    survives(found)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, inner in inside for place in _places(inner, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A JSON value with something else in one place."""
    made = json.loads(json.dumps(value))
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return made


TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from([ESCAPES, "\ud800", "\x00", "error", "assistant", "tool", "ai"])
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(10**18, 10**19), st.floats(), TEXTS)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(TEXTS, st.sampled_from(["role", "type", "content", "kwargs", "id", "text", "input_tokens"])),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)
ROBUST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(st.sampled_from(_places(chat())), ANY)
@example(("messages",), 7)
@example(("messages", 1, "step"), [1])
@example(("tools", 0), {"function": "text"})
@example(("messages", 0, "content"), [{"type": "image_url", "image_url": 5}, 7, None])
@example(("messages", 1, "tool_calls", 0, "function"), "get_order")
@ROBUST
def test_anything_in_any_field_of_a_run(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    """With any JSON value in any field, a line is a run that every strategy can replay, or a fault."""
    found, faults = read(written(tmp_path, [GOOD, json.dumps(_with(chat(), place, value))]))
    assert (len(found) == 2) or faults.count
    survives(found)


TRACED = [(number, place) for number, run in enumerate(traced()) for place in _places(run)]


@given(st.sampled_from(TRACED), ANY)
@example((1, ("parent_run_ids", 0)), [])
@example((1, ("inputs", "messages")), [])
@example((1, ("extra", "metadata", "usage_metadata")), [1])
@ROBUST
def test_anything_in_any_field_of_a_trace(tmp_path: Path, at: tuple[int, tuple[Any, ...]], value: Any) -> None:
    """With any JSON value in any field of a run of LangSmith's, its trace is replayed, or a fault is noted."""
    number, place = at
    runs = traced()
    runs[number] = _with(runs[number], place, value)
    found, faults = read(written(tmp_path, map(json.dumps, [*traced("good"), *runs])))
    assert "good" in {episode.id for episode in found}
    assert len(found) == 2 or faults.count
    survives(found)


def test_null_everywhere(tmp_path: Path) -> None:
    """With null in every field at once, and with every field missing, what can be read is read."""
    empty = dict.fromkeys(chat())
    step = dict.fromkeys(chat()["messages"][1]["step"])
    said = {**dict.fromkeys(("content", "tool_calls", "generated")), "role": "assistant", "step": step}
    lines = [{**empty, "messages": [said]}, {"messages": [{"role": "assistant"}]}, {**empty, "messages": [{}]}]
    found, faults = read(written(tmp_path, map(json.dumps, lines)))
    assert [episode.id for episode in found] == ["traces.jsonl:1", "traces.jsonl:2"]
    assert [fault.place for fault in faults.named] == ["traces.jsonl:3"]
    survives(found)


def peak_of(path: Path) -> int:
    """The most memory that reading a file takes at once, in bytes; every run is forgotten when the next one comes."""
    tracemalloc.start()
    for _ in read_traces([path], Faults()):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


TEXT_BYTES = 8_000


def short_chat(number: int) -> list[Record]:
    """A run of one call whose prompt is like no other one."""
    said = [{"role": "user", "content": f"{number:07}," * (TEXT_BYTES // 8)}, {"role": "assistant", "content": "No."}]
    return [{"id": f"run-{number}", "messages": said}]


def short_trace(number: int) -> list[Record]:
    """A trace of LangSmith's of the same size."""
    return [traced(f"t{number}", f"{number:07}," * (TEXT_BYTES // 8))[1]]


@pytest.mark.parametrize(("lines_of", "runs"), [(short_chat, 500), (short_trace, 150)])
def test_memory_does_not_grow_with_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines_of: Callable[[int], list[Record]], runs: int
) -> None:
    """Five times the runs take hardly more memory to read: of each no more stays than its id."""
    monkeypatch.setattr(langsmith, "Gathering", lambda make: Gathering(make, most=50))
    few, many = [
        peak_of(written(tmp_path, (json.dumps(line) for number in range(count) for line in lines_of(number))))
        for count in (runs, 5 * runs)
    ]
    assert many - few < 4 * runs * TEXT_BYTES / 10


def test_large_traces_are_read_out_early() -> None:
    """Open runs are read out, the longest untouched first, when they hold too much; one that holds it alone stays."""

    class Run:
        """A run of some size."""

        def __init__(self, name: str) -> None:
            self.name = name
            self.size = 0

    open_runs = Gathering(Run, most=100, chars=10)
    complete = []
    for name, size in (("a", 4), ("b", 4), ("a", 5), ("c", 30), ("d", 1)):
        run = open_runs.take(name)
        assert run is not None
        run.size = size
        complete += [done.name for done in open_runs.put(name, run)]
    assert complete == ["b", "a", "c"]
    assert open_runs.take("a") is None
    assert [run.name for run in open_runs.rest()] == ["d"]
