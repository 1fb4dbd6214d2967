from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_agentcost.context.blocks import validate
from langchain_agentcost.context.memory_middleware import WorkingMemoryMiddleware
from langchain_agentcost.prompt_tail import TAIL_ID
from langchain_agentcost.testing import FakeMeteredChatModel

CALLS = AIMessage(
    "",
    tool_calls=[
        {"name": "remember", "args": {"kind": "fact", "name": "size", "text": "42"}, "id": "1"},
        {"name": "remember", "args": {"kind": "task", "name": "call", "text": "Call Ada."}, "id": "2"},
    ],
)
DONE = AIMessage("", tool_calls=[{"name": "forget_task", "args": {"name": "call"}, "id": "3"}])


async def test_an_agent_notes_and_reads_its_notes() -> None:
    """The notes stand at the end of each request, sync and async, and never in the agent's messages."""
    for way in ("sync", "async"):
        model = FakeMeteredChatModel(answers=[CALLS, DONE, AIMessage("Done.")])
        agent: Any = create_agent(model, middleware=[WorkingMemoryMiddleware()], checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": "1"}}
        asked = {"messages": [HumanMessage("Which size?")]}
        state = agent.invoke(asked, config) if way == "sync" else await agent.ainvoke(asked, config)
        assert [prompt[-1].id == TAIL_ID for prompt in model.prompts] == [False, True, True]
        assert "- call: Call Ada." in model.prompts[1][-1].text
        assert "Open tasks" not in model.prompts[2][-1].text
        assert model.prompts[2][: len(model.prompts[1]) - 1] == model.prompts[1][:-1]
        assert all(not validate(prompt) for prompt in model.prompts)
        assert not any(message.id == TAIL_ID for message in state["messages"])
        assert state["working_memory"]["facts"] == {"size": {"text": "42", "at": 1}}


def test_the_mark_for_anthropic_stands_before_the_notes() -> None:
    """What is cached ends before what changes: the mark moves to the last message of the history."""
    sent: list[Any] = []

    class Marks(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            """Mark the end of the prompt, as langchain-anthropic does."""
            return handler(request.override(model_settings={"cache_control": {"type": "ephemeral"}}))

    class Spies(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            """Keep what is sent."""
            sent.append(request)
            return handler(request.override(model_settings={}))

    agent: Any = create_agent(
        FakeMeteredChatModel(), middleware=[Marks(), WorkingMemoryMiddleware(tools=False), Spies()]
    )
    agent.invoke({"messages": "Which size?", "working_memory": {"facts": {"size": "42"}}})
    agent.invoke({"messages": "Which size?"})
    assert "cache_control" not in sent[0].model_settings
    assert sent[0].messages[0].content[-1]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" in sent[1].model_settings
    assert [tool.name for tool in sent[0].tools] == []
