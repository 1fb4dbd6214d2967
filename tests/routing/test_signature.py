from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.routing.signature import Signature, length_of, phase_of, tools_of


def asks(tool: str, number: int, **args: object) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": tool, "args": args, "id": f"c{number}"}])


def gives(number: int, text: str = "ok", status: str = "success") -> ToolMessage:
    """What a tool gives."""
    return ToolMessage(text, tool_call_id=f"c{number}", status=status)


def test_a_person_spoke_last() -> None:
    """A user's turn is the phase where nothing else is known."""
    assert phase_of([HumanMessage("Hi")]) == "user"
    assert phase_of([]) == "user"


def test_a_result_came() -> None:
    """After a tool's result the agent goes on."""
    assert phase_of([HumanMessage("Hi"), asks("a", 1), gives(1)]) == "result"


def test_one_failed_result_among_several_counts() -> None:
    """Parallel calls of which one failed are a recovery."""
    both = AIMessage("", tool_calls=[{"name": "a", "args": {}, "id": "c1"}, {"name": "b", "args": {}, "id": "c2"}])
    assert phase_of([both, gives(1, status="error"), gives(2)]) == "error"


def test_the_same_call_twice_is_a_stall() -> None:
    """The same tool with the same arguments twice in a row means that the agent does not get on."""
    assert phase_of([asks("a", 1, q="x"), gives(1), asks("a", 2, q="x"), gives(2)]) == "stalled"
    assert phase_of([asks("a", 1, q="x"), gives(1), asks("a", 2, q="y"), gives(2)]) == "result"


def test_the_same_call_in_another_turn_is_none() -> None:
    """What a person asked for again is no stall."""
    turns: list[BaseMessage] = [asks("a", 1), gives(1), HumanMessage("Again, please."), asks("a", 2), gives(2)]
    assert phase_of(turns) == "result"


def test_what_is_coarser_comes_after_what_is_finer() -> None:
    """Where little is known of a signature, those it is a case of say more."""
    keys = Signature("extract", "user", "a,b", "Invoice", "<4k").coarser()
    assert keys[0] == "node=extract phase=user tools=a,b schema=Invoice length=<4k"
    assert keys[-1] == "node=extract"
    assert [len(key) for key in keys] == sorted((len(key) for key in keys), reverse=True)


def test_outside_of_a_graph_the_phase_is_the_coarsest() -> None:
    """Without a node there is still the phase."""
    assert Signature(None, "error", "", None, "<1k").coarser()[-1] == "phase=error"


def test_lengths_have_steps() -> None:
    """A prompt is as long as its bucket says, with the border in the next one."""
    assert [length_of(tokens) for tokens in (0, 999, 1_000, 3_999, 15_999, 63_999, 10**6)] == [
        "<1k",
        "<1k",
        "<4k",
        "<4k",
        "<16k",
        "<64k",
        ">=64k",
    ]


def test_tools_are_named_in_one_order() -> None:
    """The order in which tools are bound does not make another step of it."""
    assert tools_of(["b", "a"]) == tools_of(["a", "b"]) == "a,b"
