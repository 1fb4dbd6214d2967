"""Plans are data, and a projection by them is a pure function."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_agentcost.context.blocks import pin, validate
from langchain_agentcost.context.plan import Action, Edit, Editor, Plan, edited, project
from langchain_agentcost.errors import ContextError


def history() -> list[BaseMessage]:
    """Two calls and their results."""
    long = {"name": "write", "args": {"path": "a.txt", "text": "long " * 90}, "id": "1"}
    return [
        HumanMessage("Write.", id="h"),
        AIMessage("", tool_calls=[long], id="a"),
        ToolMessage("written " * 50, tool_call_id="1", name="write", status="error", artifact=[7], id="t"),
        AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "2"}]),
        ToolMessage("seen", tool_call_id="2"),
    ]


MASK = Edit(2, 3, Action.MASK, "[cut]")
SHORT = Edit(1, 2, Action.TRUNCATE, json.dumps({"1": {"path": "a.txt", "text": "long […]"}}))


def test_a_masked_result_is_the_same_message_with_other_text() -> None:
    """Its id, call, status and artifact stay, and the history is not touched."""
    said = history()
    after = project(said, Plan().following(said, [MASK]))
    assert after[2] == said[2].model_copy(update={"content": "[cut]"})
    assert said == history()


def test_long_arguments_are_cut_wherever_a_provider_reads_them() -> None:
    """In the calls, in the content of Anthropic's answers, and OpenAI's own copy goes."""
    answer: Any = history()[1]
    args = answer.tool_calls[0]["args"]
    used = {"type": "tool_use", "id": "1", "name": "write", "input": args}
    other = {"type": "tool_use", "id": "other", "name": "write", "input": args}
    full = answer.model_copy(update={"content": ["Hm.", used, other], "additional_kwargs": {"tool_calls": [1], "x": 2}})
    short: Any = edited([full], SHORT)[0]
    assert short.tool_calls[0]["args"]["text"] == "long […]"
    assert short.content == ["Hm.", {**used, "input": {"path": "a.txt", "text": "long […]"}}, other]
    assert short.additional_kwargs == {"x": 2}


def test_whole_blocks_give_way() -> None:
    """A summary is one message of the user whose id is always the same; what is dropped leaves nothing."""
    said = history()
    summed = project(said, Plan().following(said, [Edit(1, 3, Action.SUMMARISE, "It was written.")]))
    assert [(one.type, one.id) for one in summed[:2]] == [("human", "h"), ("human", "summary-a")]
    dropped = project(said, Plan().following(said, [Edit(1, 3, Action.DROP)]))
    assert dropped == [said[0], *said[3:]]


def test_edits_are_kept_by_place() -> None:
    """Whatever order they are given in."""
    plan = Plan().following(history(), [MASK, SHORT])
    assert [edit.start for edit in plan.edits] == [1, 2]
    assert plan.epoch == 1
    assert plan.following(history(), []).epoch == 2


def test_a_second_result_of_a_call_that_is_gone_goes_too() -> None:
    """It would have no call any more; an orphan of the history itself is none of the plan's doing."""
    said = history()
    plan = Plan().following(said, [Edit(1, 3, Action.DROP)])
    again = [*said, ToolMessage("written", tool_call_id="1"), HumanMessage("And?")]
    assert project(again, plan) == [said[0], *said[3:], again[-1]]
    lost = ToolMessage("lost", tool_call_id="nobody")
    assert project([*said, lost], plan)[-1] is lost
    assert not validate(project(again, plan))


def test_a_plan_for_another_history_changes_nothing() -> None:
    """A message that was changed, or a history that is shorter."""
    said = history()
    plan = Plan().following(said, [MASK])
    changed = [HumanMessage("Write!"), *said[1:]]
    assert not plan.fits(changed)
    assert project(changed, plan) == changed
    assert project(said[:3], plan) == said[:3]
    assert Plan().fits([])


def test_other_ids_are_the_same_history() -> None:
    """Who sends the whole history anew has made its messages anew."""
    said = history()
    plan = Plan().following(said, [MASK])
    assert plan.fits([one.model_copy(update={"id": "other"}) for one in said])


def test_what_json_has_read_back_projects_the_same() -> None:
    """Byte for byte."""
    said = history()
    plan = Plan().following(said, [MASK, SHORT])
    assert project(said, Plan.from_dict(json.loads(json.dumps(plan.as_dict())))) == project(said, plan)


@pytest.mark.parametrize("data", [{"epoch": 1}, {"epoch": 1, "covered": 0, "check": "", "edits": [[1, 2, "burn", ""]]}])
def test_what_is_no_plan(data: dict[str, Any]) -> None:
    """It is refused in words."""
    with pytest.raises(ContextError, match="no context plan"):
        Plan.from_dict(data)


def test_an_editor_makes_each_message_once() -> None:
    """For the same messages the same objects, for others new ones."""
    make, said = Editor(), history()
    first = make([said[2]], MASK)
    assert make([said[2]], MASK) is first
    other = ToolMessage("else", tool_call_id="9")
    assert make([other], MASK)[0].tool_call_id == "9"  # type: ignore[attr-defined]  # a tool message


def test_edits_that_overlap_are_refused() -> None:
    """A plan in which two edits claim the same message cannot be made, nor read back."""
    messages = [HumanMessage("Go."), AIMessage("One."), AIMessage("Two.")]
    edits = [Edit(0, 2, Action.SUMMARISE, "said"), Edit(1, 2, Action.DROP)]
    with pytest.raises(ContextError, match="overlap"):
        Plan().following(messages, edits)
    with pytest.raises(ContextError, match="overlap"):
        Plan.from_dict({"epoch": 1, "covered": 2, "check": "", "edits": [[0, 2, "summarise", ""], [1, 2, "drop", ""]]})


def test_a_result_that_was_replaced_by_one_as_long_ends_the_plan() -> None:
    """What was cut may be another thing now."""
    said = [HumanMessage("Go."), ToolMessage("REF-0001 is pending today", tool_call_id="1")]
    plan = Plan().following(said, [Edit(1, 2, Action.MASK, "[cut]")])
    assert plan.fits(said)
    assert not plan.fits([said[0], ToolMessage("NEW-0001 is shipped today", tool_call_id="1")])
    assert not plan.fits([said[0], pin(said[1])])
