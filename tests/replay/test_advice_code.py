"""The lines of code that advice shows: each is run, and those that change an agent are seen to do so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from pydantic import Field

from langchain_agentcost.replay.advice import context_cuts
from langchain_agentcost.replay.advice.findings import failed_runs, prompt_cache, repeats, volatile_prefix
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.replay.advice_runs import MISTAKES, advice_on

ALWAYS = {
    "marked": prompt_cache.MARKED,
    "automatic": prompt_cache.AUTOMATIC,
    "moved and marked": volatile_prefix.MARKED,
    "no cap": failed_runs.NO_CAP,
    "tool cache": repeats.TOOL_CODE,
    "response cache": repeats.CODE,
    **context_cuts.CODE,
}
"""Lines that depend on the case: all of them are tried."""


class Clerk(GenericFakeChatModel):
    """A model that says what it was told to say, and remembers what it was sent."""

    sent: list[list[BaseMessage]] = Field(default_factory=list)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Any tools will do."""
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        self.sent.append(messages)
        return super()._generate(messages, *args, **kwargs)


def clerk(*answers: AIMessage) -> Clerk:
    """A model with these answers."""
    return Clerk(messages=iter(answers), sent=[])


@tool
def page(name: str) -> str:
    """Give a page."""
    return f"{name} " * 5_000


def asks(*names: str) -> AIMessage:
    """An answer that asks for pages."""
    return AIMessage("", tool_calls=[tool_call(name="page", args={"name": one}, id=f"call {one}") for one in names])


def run_lines(code: str, *answers: AIMessage, **names: Any) -> dict[str, Any]:
    """Run lines of advice with the names that they take for granted. Returns all names that there are afterwards."""
    model = names.pop("model", None) or clerk(*(answers or (AIMessage("Done."),)))
    given = {
        "model": model,
        "tools": [page],
        "question": {"messages": [HumanMessage("Hello")]},
        "run_id": uuid4(),
        "agent": create_agent(model, []),
        **names,
    }
    exec(compile(code, "advice", "exec"), given)  # noqa: S102  # our own lines, as a reader would run them
    return given


@pytest.mark.parametrize("kind", MISTAKES)
def test_the_lines_of_every_finding_run(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a finding shows is Python that runs as it stands, with the reader's own model, tools and question."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.chdir(tmp_path)
    [finding] = advice_on(kind).findings
    assert run_lines(finding.code)


@pytest.mark.parametrize("name", ALWAYS)
def test_the_lines_for_every_case_run(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So do the lines of cases that the made-up runs do not have."""
    monkeypatch.chdir(tmp_path)
    assert run_lines(ALWAYS[name])


def results(sent: Sequence[BaseMessage]) -> list[str]:
    """The tool results in a prompt."""
    return [message.text for message in sent if isinstance(message, ToolMessage)]


def test_truncation_cuts_what_tools_give() -> None:
    """A long result reaches the model cut, with a mark that says so."""
    model = clerk(asks("a"), AIMessage("Done."))
    run_lines(context_cuts.TRUNCATE, model=model)["agent"].invoke({"messages": [HumanMessage("Go")]})
    [seen] = results(model.sent[-1])
    assert len(seen) < 2_100
    assert seen.endswith("[cut]")


class Reader(Clerk):
    """A clerk that reads the first reference that it is shown."""

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        shown = re.search(r"ref:\w+", " ".join(results(messages)))
        if shown is None or len(results(messages)) > 1:
            return super()._generate(messages, *args, **kwargs)
        self.sent.append(messages)
        call = tool_call(name="read_ref", args={"ref": shown.group()}, id="call r")
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])


def test_a_reference_gives_the_result_when_it_is_read() -> None:
    """A long result reaches the model short; reading it by its reference gives what was left out."""
    model = Reader(messages=iter([asks("a"), AIMessage("Done.")]), sent=[])
    run_lines(context_cuts.REFER, model=model)["agent"].invoke({"messages": [HumanMessage("Go")]})
    start, read = results(model.sent[-1])
    assert len(start) < len("a " * 5_000) / 4
    assert read.count("a ") > 2 * start.count("a ")


SUMMARY = "Decisions\n- Page p0 says nothing."


def long_run(code: str) -> tuple[list[list[BaseMessage]], list[list[BaseMessage]]]:
    """What the agent of the lines sends in a run that reads 40 pages, and what it sends to have summaries written."""
    pages = iter([asks(f"p{number}") for number in range(40)])

    def answer(prompt: list[BaseMessage]) -> AIMessage | str:
        return SUMMARY if _asks_for_summary(prompt) else next(pages, AIMessage("Done."))

    model = FakeMeteredChatModel(answers=answer)
    agent = run_lines(code, model=model)["agent"]
    agent.invoke({"messages": [HumanMessage("Go")]}, {"recursion_limit": 200})
    work = [prompt for prompt in model.prompts if not _asks_for_summary(prompt)]
    return work, [prompt for prompt in model.prompts if _asks_for_summary(prompt)]


def _asks_for_summary(prompt: list[BaseMessage]) -> bool:
    return prompt[0].text != "Go"


def test_eviction_puts_notes_in_place_of_old_results() -> None:
    """In a long run old results give way to notes, in batches; the latest ones stay whole, and no message goes."""
    sent, asked = long_run(context_cuts.EVICT)
    short = [sum(len(text) < 1_000 for text in results(prompt)) for prompt in sent]
    assert [len(prompt) for prompt in sent] == list(range(1, 82, 2))
    assert not asked
    assert short[-1] > 20
    assert 1 < len(set(short)) < 20
    assert all(len(text) > 5_000 for text in results(sent[-1])[-3:])


def test_a_summary_takes_the_place_of_what_was_said() -> None:
    """In a long run a summary that the model wrote stands in place of old messages; the latest ones stay whole."""
    sent, asked = long_run(context_cuts.SUMMARIZE)
    assert asked
    assert "Page p0 says nothing." in sent[-1][1].text
    assert len(sent[-1]) < 40
    assert all(len(text) > 5_000 for text in results(sent[-1])[-5:])


def test_masking_clears_results_in_batches() -> None:
    """Up to 13 results stay as they are; with 14 the first 11 are cleared at once, as in the replay."""
    names = [f"p{number}" for number in range(14)]
    model = clerk(asks(*names[:13]), asks(names[13]), AIMessage("Done."))
    run_lines(context_cuts.MASK, model=model)["agent"].invoke({"messages": [HumanMessage("Go")]})
    cleared = [[text == "[old tool result removed]" for text in results(sent)] for sent in model.sent[1:]]
    assert cleared == [[False] * 13, [True] * 11 + [False] * 3]


def test_what_changes_is_said_last() -> None:
    """The time comes behind the conversation, so that everything in front of it stays the same."""
    model = clerk(AIMessage("Done."))
    lines = run_lines(volatile_prefix.CODE, model=model)
    lines["agent"].invoke({"messages": [SystemMessage("Be kind."), HumanMessage("Go")]})
    assert [message.text for message in model.sent[0][:2]] == ["Be kind.", "Go"]
    assert model.sent[0][2].text.startswith("(It is ")


def test_what_stays_is_marked_for_the_cache() -> None:
    """Where a cache has to be asked for, the mark is on the last message that stays, in front of the time."""
    model = clerk(AIMessage("Done."))
    lines = run_lines(volatile_prefix.MARKED, model=model)
    lines["agent"].invoke({"messages": [SystemMessage("Be kind."), HumanMessage("Go")]})
    assert model.sent[0][1].content == [{"type": "text", "text": "Go", "cache_control": {"type": "ephemeral"}}]
    assert model.sent[0][2].text.startswith("(It is ")


def test_unused_tools_are_left_out() -> None:
    """The tool that no run uses is not handed to the agent."""
    [finding] = advice_on("unused_tools").findings
    assert run_lines(finding.code)["unused"] == ["steer_fleet"]
