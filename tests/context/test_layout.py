"""Prompts laid out for a provider's prompt cache."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langgraph.prebuilt import InjectedState
from pydantic import SecretStr

from langchain_agentcost.context.blocks import validate
from langchain_agentcost.context.layout import lay_out
from langchain_agentcost.context.layout_middleware import cache_safe_layout
from langchain_agentcost.prefix import PrefixStabilityMonitor
from langchain_agentcost.prompt_tail import TAIL_ID

TODAY = "Be brief. Today is {}."


@tool
def track(parcel: str, note: str | None = None) -> str:
    """Track a parcel."""
    return f"{parcel} is in bay 4."


@tool
def cancel(parcel: str) -> str:
    """Cancel a parcel."""
    return "Cancelled."


class Recording(GenericFakeChatModel):
    """A model that answers from a list and remembers what it was sent."""

    sent: list[list[BaseMessage]]
    bound: list[list[Any]]

    @property
    def _llm_type(self) -> str:
        return "openai-chat"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        """Remember the tools."""
        self.bound.append(list(tools))
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        self.sent.append(list(messages))
        return super()._generate(messages, *args, **kwargs)


def recording(*answers: AIMessage) -> Recording:
    """A model with those answers."""
    return Recording(messages=iter(answers), sent=[], bound=[])


def asked(name: str, number: str, **args: Any) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": number}])


def test_a_new_day_changes_only_the_tail() -> None:
    """Prompts that differ in a date have the same beginning, up to the last message."""
    one, two = (lay_out([SystemMessage(TODAY.format(day)), HumanMessage("Hi")]) for day in ("2026-11-30", "2026-12-01"))
    assert one.prompt[:-1] == two.prompt[:-1]
    assert "2026-11-30" in one.prompt[-1].text
    assert "2026-12-01" in two.prompt[-1].text


def test_one_system_message_comes_out() -> None:
    """Several leading system messages become one, and one further behind is told."""
    made = lay_out([SystemMessage("A."), SystemMessage("B."), HumanMessage("Hi"), SystemMessage("C.")])
    assert [message.text for message in made.prompt] == ["A.\n\nB.", "Hi", "C."]
    assert "1 system message(s) stand behind other messages" in made.notes[0]


def test_a_system_message_of_blocks_keeps_its_blocks() -> None:
    """Blocks stay blocks with all that is on them; one value has one name in all of them."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    marked = {"type": "text", "text": "Today is 2026-11-30.", "cache_control": {"type": "ephemeral"}}
    made = lay_out([SystemMessage([marked, image, "It is now 2026-11-30."]), HumanMessage("Hi")])
    assert made.system is not None
    assert made.system.content == [
        {**marked, "text": "Today is {current_date}."},
        image,
        "It is now {current_date}.",
    ]
    assert [value.name for value in made.moved] == ["current_date"]


def test_nothing_to_move_is_nothing_done() -> None:
    """A prompt without such values is what it was, the same objects."""
    messages = [SystemMessage("Be kind."), HumanMessage("Hi")]
    made = lay_out(messages)
    assert all(a is b for a, b in zip(made.prompt, messages, strict=True))
    assert lay_out([]).prompt == []


def test_an_answer_that_is_begun_stays_last() -> None:
    """Where the model goes on with an answer, the tail stands before it."""
    made = lay_out([SystemMessage(TODAY.format("2026-11-30")), HumanMessage("Hi"), AIMessage("{")])
    assert [message.type for message in made.prompt] == ["system", "human", "human", "ai"]


MESSAGES = st.lists(
    st.one_of(
        st.sampled_from(["Hi", "", "Today is 2026-11-30."]).map(HumanMessage),
        st.sampled_from(["", "Today is 2026-11-30."]).map(SystemMessage),
        st.sampled_from("12").map(lambda number: asked("track", number, parcel="A7")),
        st.sampled_from("123").map(lambda number: ToolMessage("ok", tool_call_id=number)),
        st.just(AIMessage("Done.")),
    ),
    max_size=8,
)


@given(MESSAGES)
def test_no_pair_is_broken(messages: list[BaseMessage]) -> None:
    """Whatever history comes in, no fault is new, the history stays in its order, and there is one leading system."""
    made = lay_out(messages)
    assert len(validate(made.prompt)) <= len(validate(messages))
    kept = [message for message in made.prompt if message.id != TAIL_ID and message is not made.system]
    first = next((at for at, message in enumerate(messages) if message.type != "system"), len(messages))
    assert kept == messages[first:]


def test_an_agent_sends_the_layout_and_keeps_its_state() -> None:
    """Every call has the template first and the values last; the state has neither, and tools run as before."""
    model = recording(asked("track", "1", parcel="A7"), AIMessage("Bay 4."))
    agent = create_agent(
        model, [track, cancel], system_prompt=TODAY.format("2026-11-30"), middleware=cache_safe_layout()
    )
    done = agent.invoke({"messages": [HumanMessage("Where is A7?")]})["messages"]
    assert [message.type for message in done] == ["human", "ai", "tool", "ai"]
    assert done[2].text == "A7 is in bay 4."
    first, second = model.sent
    assert first[0].text == second[0].text == "Be brief. Today is {current_date}."
    assert second[: len(first) - 1] == first[:-1]
    assert "2026-11-30" in second[-1].text
    bound = model.bound[0]
    assert [one.name for one in bound] == ["cancel", "track"]
    assert bound[1].args_schema["properties"]["note"] == {"type": ["string", "null"]}
    assert model.bound[1][0] is bound[0]


async def test_an_agent_that_is_awaited_does_the_same() -> None:
    """The awaited call is laid out too."""
    model = recording(AIMessage("Bay 4."))
    agent = create_agent(model, [track], system_prompt=TODAY.format("2026-11-30"), middleware=cache_safe_layout())
    await agent.ainvoke({"messages": [HumanMessage("Where is A7?")]})
    assert model.sent[0][0].text == "Be brief. Today is {current_date}."


MARK = {"type": "ephemeral", "ttl": "5m"}


def sent_to_anthropic(monkeypatch: pytest.MonkeyPatch, system: str) -> dict[str, Any]:
    """What an agent would send: the call is stopped before the network."""
    payloads: list[dict[str, Any]] = []

    def stop(self: ChatAnthropic, messages: list[BaseMessage], *_: Any, **kwargs: Any) -> Any:
        kwargs.pop("run_manager", None)
        payloads.append(self._get_request_payload(messages, **kwargs))
        raise ConnectionError("not sent")

    monkeypatch.setattr(ChatAnthropic, "_generate", stop)
    model = ChatAnthropic(model_name="claude-sonnet-4-5", api_key=SecretStr("none"), timeout=None, stop=None)
    agent = create_agent(model, [track, cancel], system_prompt=system, middleware=cache_safe_layout())
    with pytest.raises(ConnectionError):
        agent.invoke({"messages": [HumanMessage("Where is A7?")]})
    [sent] = payloads
    return sent


def test_anthropics_own_mark_stands_before_the_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anthropic gets its own package's marks: on the tools, the system message, and what stands before the tail."""
    sent = sent_to_anthropic(monkeypatch, TODAY.format("2026-11-30"))
    assert [one["name"] for one in sent["tools"]] == ["cancel", "track"]
    assert sent["tools"][-1]["cache_control"] == MARK
    assert sent["system"][-1]["cache_control"] == MARK
    assert "cache_control" not in sent
    [user] = sent["messages"]
    assert [block.get("cache_control") for block in user["content"]] == [MARK, None]
    assert "2026-11-30" in user["content"][-1]["text"]
    assert json.dumps(sent).count('"cache_control"') == 3


def test_the_mark_is_left_where_there_is_no_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without values to move, the provider's mark is where the provider's package puts it."""
    sent = sent_to_anthropic(monkeypatch, "Be brief.")
    assert sent["cache_control"] == MARK
    assert "cache_control" not in json.dumps(sent["messages"])


def test_what_only_the_graph_fills_in_stays_unseen() -> None:
    """An argument that the graph injects is not described to the model, and arrives all the same."""

    @tool
    def count(parcel: str, state: Annotated[dict[str, Any], InjectedState]) -> str:
        """Count messages."""
        return f"{parcel}: {len(state['messages'])}"

    model = recording(asked("count", "1", parcel="A7"), AIMessage("Two."))
    agent = create_agent(model, [count], middleware=cache_safe_layout())
    done = agent.invoke({"messages": [HumanMessage("How many?")]})["messages"]
    assert done[2].text == "A7: 2"
    assert list(model.bound[0][0].args_schema["properties"]) == ["parcel"]


def test_a_clock_breaks_the_prefix_and_the_layout_mends_it() -> None:
    """The monitor that finds what loses a provider's cache finds a clock at each call, and nothing once it is moved."""
    rules = "Never ship before noon. " * 400
    before, after = PrefixStabilityMonitor(), PrefixStabilityMonitor()
    history: list[BaseMessage] = [HumanMessage("Where is A7?")]
    for minute in range(10, 16):
        prompt = [SystemMessage(f"It is now 10:{minute}. {rules}"), *history]
        before.observe("one", prompt, model="gpt-4.1", provider="openai")
        after.observe("one", lay_out(prompt).prompt, model="gpt-4.1", provider="openai")
        history += [AIMessage("In bay 4."), HumanMessage("And now?")]
    assert before.totals().changes == 5
    assert after.totals().changes == 0


def test_a_tool_with_what_belongs_to_a_provider_keeps_it() -> None:
    """A tool's extras, and one that runs at the provider, come through."""
    special = track.model_copy(update={"extras": {"defer_loading": True}})
    at_provider = {"type": "web_search_20250305", "name": "web_search"}
    model = recording(AIMessage("Done."))
    create_agent(model, [special, at_provider], middleware=cache_safe_layout()).invoke(
        {"messages": [HumanMessage("Hi")]}
    )
    one, other = model.bound[0]
    assert isinstance(one, BaseTool)
    assert one.extras == {"defer_loading": True}
    assert other == at_provider
