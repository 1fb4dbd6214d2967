"""The lines of code that advice shows: each is run, and those that change an agent are seen to do so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from pydantic import Field

from langchain_agentcost.replay.advice import context_cuts
from langchain_agentcost.replay.advice.findings import failed_runs, prompt_cache, repeats, volatile_prefix
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


def test_a_reference_gives_the_whole_result_when_it_is_fetched() -> None:
    """A long result reaches the model as its beginning; fetching it by its id gives all of it."""
    fetching = AIMessage("", tool_calls=[tool_call(name="fetch", args={"reference": "call a"}, id="call f")])
    model = clerk(asks("a"), fetching, AIMessage("Done."))
    run_lines(context_cuts.REFER, model=model)["agent"].invoke({"messages": [HumanMessage("Go")]})
    start, whole = results(model.sent[-1])
    assert len(start) < 900
    assert whole == "a " * 5_000


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
