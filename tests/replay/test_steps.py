from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.replay.steps import action_key, asked_by_id, call_key, one_read, reads, result_key
from tests.replay.made import Asked, Turn, episode


def _call(name: str, **args: Any) -> ToolCall:
    return ToolCall(name=name, args=args, id="1")


def _shell(command: Any) -> bool:
    return reads(_call("bash", command=command))


@pytest.mark.parametrize(
    "name",
    [
        "get_order",
        "find_user_id_by_name_zip",
        "list_all_products",
        "search",
        "calculate",
        "think",
        "run_speed_test",
        "can_send_mms",
        "Read File",
        "read-file",
        "view.page",
        "getOrder",
        "listOpenIssues",
    ],
)
def test_tools_that_only_read_are_known_by_their_first_word(name: str) -> None:
    """A tool whose name begins with a word for reading only reads, in any way of writing names."""
    assert reads(_call(name))


@pytest.mark.parametrize(
    "name",
    [
        "cancel_order",
        "send_certificate",
        "update_reservation",
        "toggle_airplane_mode",
        "transfer_to_human_agents",
        "run_tests",
        "getaway_booking",
        "issue_refund",
        "get_or_create_user",
        "findAndReplace",
        "check_and_update_stock",
        "mystery",
        "",
        "___",
    ],
)
def test_what_is_not_known_to_read_is_taken_to_write(name: str) -> None:
    """Any other name is a write: to serve one from a cache would be worse than to miss a hit."""
    assert not reads(_call(name))


@pytest.mark.parametrize(
    "command",
    [
        "ls -la",
        "cd src && grep -rn 'def x' . | head -20",
        "cat a.py 2>/dev/null",
        "cat a.py 2>&1 | tail -5",
        "grep -c x a.py &>/dev/null && echo yes || echo no",
        "find . -name '*.py' -type f >/dev/null",
        "sed -n '10,20p' a.py",
        "awk '{print $1}' a.txt; wc -l a.txt",
        "git log --oneline -5",
        "git branch -a",
        "git diff HEAD~1\ngit status",
        "pip show requests",
        "  pwd  ",
        "",
    ],
)
def test_commands_that_only_read(command: str) -> None:
    """Pipes and lists of commands that read are reads, also where their output is thrown away."""
    assert _shell(command)


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf build",
        "python test.py",
        "sed 's/a/b/' a.py",
        "sed -i 's/a/b/' a.py",
        "sed -n -i 's/a/b/p' a.py",
        "echo x > a.txt",
        "echo x >> a.txt",
        "echo x>a.txt",
        "grep x a.py 2> errors.txt",
        "grep x a.py &> all.txt",
        "grep x a.py > /dev/null.txt",
        "cat a 1>b",
        "cat <<EOF\nhello\nEOF",
        "cat $(rm a)",
        "cat `rm a`",
        "diff <(rm a) b",
        "ls | xargs rm",
        "ls | tee out.txt",
        "find . -delete",
        "find . -exec rm {} ;",
        "find . -execdir rm {} ;",
        "find . -okdir rm {} ;",
        "find . -fprint out.txt",
        "env X=1 rm a",
        "cat a & rm b",
        "cat a || rm b",
        "cat a; rm b",
        "sort -o a.txt a.txt",
        "sort -uo a.txt a.txt",
        "awk -i inplace '{print}' a",
        "awk 'BEGIN{system(\"rm a\")}'",
        "awk 'BEGIN{system (\"rm a\")}'",
        "ls >&2.txt",
        "date -s tomorrow",
        "xxd -r a b",
        "tree -o out.txt",
        "git commit -am x",
        "git branch new",
        "git branch -D old",
        "git diff --output=x",
        "pip install requests",
        "git",
        "X=1 ls",
    ],
)
def test_commands_that_may_write(command: str) -> None:
    """Redirection, commands within commands, and options that write make a write of it."""
    assert not _shell(command)


@pytest.mark.parametrize(
    ("args", "only_reads"),
    [
        ({"command": "ls", "timeout": 10}, True),
        ({"command": "ls", "restart": False, "cwd": None}, True),
        ({"command": ["rm", "a"]}, False),
        ({"command": {"run": "rm a"}}, False),
        ({"timeout": 10}, False),
        ({}, False),
        ({"command": "ls", "then": "rm a"}, False),
    ],
)
def test_all_texts_given_to_a_shell_are_commands(args: dict[str, Any], only_reads: bool) -> None:
    """Numbers and switches say nothing; what is no text, or nothing at all, is not known to read."""
    assert reads(ToolCall(name="bash", args=args, id="1")) is only_reads


@settings(deadline=None)
@given(st.text(alphabet="abrm ls>|&;<$(`\n'\"-/0123", max_size=40))
def test_no_command_breaks_it_and_a_file_is_never_written_by_a_read(command: str) -> None:
    """Whatever a command looks like there is an answer, and what goes to a file is no read."""
    assert not (_shell(command) and _shell(f"{command} > out.txt"))


def test_one_read_is_a_single_tool_call_that_reads() -> None:
    """An answer that speaks, writes, or asks for two tools at once is not one read."""
    look, cancel = _call("get_order"), _call("cancel_order")
    assert one_read(AIMessage("", tool_calls=[look]))
    assert not any(one_read(AIMessage("", tool_calls=calls)) for calls in ([], [cancel], [look, look]))


def test_a_call_is_known_by_its_tool_and_arguments() -> None:
    """The order of arguments and the call's id say nothing; a number and its text are two things."""
    assert call_key(_call("a", x=1, y=2)) == call_key({"name": "a", "args": {"y": 2, "x": 1}, "id": "other"})
    assert len({call_key(_call("a", x=1)), call_key(_call("a", x="1")), call_key(_call("b", x=1))}) == 3


def test_arguments_that_json_cannot_hold_have_a_key() -> None:
    """Keys of several kinds, as a pickled checkpoint may hold, are no fault."""
    assert call_key(_call("a", x={1: "a", "b": 2})) != call_key(_call("a", x={1: "a", "b": 3}))


def test_an_action_is_what_is_asked_of_tools_in_that_order() -> None:
    """Words beside it do not change an action, other arguments do, and to speak is one action."""
    look, cancel = _call("get_order", of=1), _call("cancel_order", of=1)
    assert action_key(AIMessage("Let me see", tool_calls=[look])) == action_key(AIMessage("", tool_calls=[look]))
    assert action_key(AIMessage("", tool_calls=[look, cancel])) != action_key(AIMessage("", tool_calls=[cancel, look]))
    assert action_key(AIMessage("Yes")) == action_key(AIMessage("No"))


def test_results_are_compared_by_content() -> None:
    """Texts and blocks are equal where they say the same."""
    assert result_key("7 left") == result_key("7 left")
    assert result_key([{"type": "text", "text": "a"}]) == result_key([{"text": "a", "type": "text"}])
    assert result_key("7 left") != result_key("6 left")


def test_tool_calls_are_found_by_the_id_that_their_results_name() -> None:
    """Each result belongs to the call of its id."""
    call = episode(Turn(asked=(Asked("a", {}, "1"), Asked("b", {}, "2")))).calls[0]
    assert [asked_by_id(call)[result.tool_call_id]["name"] for result in call.results] == ["a", "b"]
