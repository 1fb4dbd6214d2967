from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.warmth import Prompt, Warmth, mark_of
from langchain_agentcost.tokens import TokenCounter

COUNTER = TokenCounter()
SYSTEM = SystemMessage("You are a clerk of a shop that sells lamps. " * 5)


def prompt(*said: str, thread: str | None = "t", tools_tokens: int = 0) -> Prompt:
    """A prompt of turns, a person first."""
    turns: list[BaseMessage] = [
        HumanMessage(text) if number % 2 == 0 else AIMessage(text) for number, text in enumerate(said)
    ]
    return Prompt.of(RouteRequest.of([SYSTEM, *turns], thread=thread), COUNTER, tools_tokens=tools_tokens)


def test_a_tier_holds_what_it_was_sent() -> None:
    """The next prompt of a thread finds the last one as its beginning, at that tier only."""
    warmth, first = Warmth(), prompt("Where is my lamp?")
    warmth.sent(first, "small")
    second = prompt("Where is my lamp?", "On its way.", "When?")
    assert warmth.held_tokens(second, "small", ttl_s=300) == first.total_tokens
    assert warmth.held_tokens(second, "frontier", ttl_s=300) == 0
    assert warmth.last(second) == "small"


def test_what_one_tier_would_hold_had_it_taken_all_calls() -> None:
    """The always-strong world is warm wherever any tier was asked."""
    warmth, first = Warmth(), prompt("Where is my lamp?")
    warmth.sent(first, "small")
    assert warmth.seen_tokens(prompt("Where is my lamp?", "On its way.", "When?"), ttl_s=300) == first.total_tokens


def test_a_cache_that_was_not_read_in_time_is_cold() -> None:
    """After its time to live a prompt cache holds nothing."""
    warmth, first = Warmth(), prompt("Where is my lamp?")
    warmth.sent(first, "small")
    assert warmth.held_tokens(first, "small", ttl_s=-1) == 0


def test_another_thread_finds_the_system_prompt() -> None:
    """A provider's cache is not of one thread: what all threads begin with is there."""
    warmth = Warmth()
    warmth.sent(prompt("Where is my lamp?", thread="a", tools_tokens=70), "small")
    other = prompt("Cancel my order.", thread="b", tools_tokens=70)
    assert warmth.held_tokens(other, "small", ttl_s=300) == 70 + COUNTER.count_message(SYSTEM)
    assert warmth.last(other) is None


def test_a_history_that_was_changed_is_held_up_to_there() -> None:
    """Only the common beginning is in a cache."""
    warmth = Warmth()
    warmth.sent(prompt("Where is my lamp?", "On its way.", "When?"), "small")
    changed = prompt("Where is my lamp?", "It is lost.", "When?")
    assert warmth.held_tokens(changed, "small", ttl_s=300) == changed.tokens[1]


def test_a_sub_agent_of_the_same_thread_is_another_conversation() -> None:
    """Two agents in one thread, with system prompts of their own, do not count as switching."""
    warmth = Warmth()
    warmth.sent(prompt("Where is my lamp?"), "small")
    sub = Prompt.of(RouteRequest.of([SystemMessage("You search."), HumanMessage("Lamp")], thread="t"), COUNTER)
    assert warmth.last(sub) is None


def test_marks_tell_messages_apart() -> None:
    """Role, text, blocks and tool calls all count; the id of a message does not."""
    calls = [{"name": "a", "args": {}, "id": "1"}]
    different = [
        HumanMessage("a"),
        AIMessage("a"),
        AIMessage("a", tool_calls=calls),
        HumanMessage([{"type": "text", "text": "a"}]),
        HumanMessage([{"type": "image_url", "image_url": {"url": "data:" + "x" * 99}}]),
    ]
    assert len({mark_of(message) for message in different}) == len(different)
    assert mark_of(HumanMessage("a", id="1")) == mark_of(HumanMessage("a", id="2"))
