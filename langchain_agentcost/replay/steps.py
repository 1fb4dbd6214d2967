"""What recorded tool calls do: whether they only read, by the tool's name or, for a shell, by the command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.canonical import as_json, digest
from langchain_agentcost.replay.episode import Call

READING = frozenset(
    ("calculate", "can", "check", "count", "describe", "fetch", "find", "get", "has", "inspect", "is", "list", "load",
     "look", "lookup", "query", "read", "retrieve", "run_speed_test", "search", "show", "stat", "think", "view")
)  # fmt: skip
"""The first words of the names of tools that only read."""

_ACTING = frozenset(("add", "and", "create", "delete", "insert", "or", "remove", "replace", "set", "update", "write"))
"""Words that tell of a write wherever they stand, as in get_or_create."""

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")

SHELLS = frozenset(("bash", "shell", "terminal", "execute_bash", "run_command", "execute_command"))
"""Tools that run a command: what they do is in their arguments."""

_READING_COMMANDS = frozenset(
    ("ag", "awk", "basename", "cat", "cd", "cut", "date", "df", "diff", "dirname", "du", "echo", "file", "find", "grep",
     "head", "id", "jq", "less", "locate", "ls", "more", "nl", "od", "pip show", "printenv", "ps", "pwd", "readlink",
     "rg", "sed -n", "sort", "stat", "strings", "tac", "tail", "tr", "tree", "true", "type", "uname", "uniq", "wc",
     "which", "whoami", "xxd",
     "git blame", "git branch", "git diff", "git log", "git ls-files", "git rev-parse", "git show", "git status")
)  # fmt: skip

_WRITING_ARGUMENTS = {
    "awk": re.compile(r"-i|.*\bsystem\b"),
    "date": re.compile(r"-s|--set"),
    "find": re.compile(r"-(delete|exec|ok|fprint|fls)"),
    "git branch": re.compile(r"(?!(-a|-r|-v+|--all|--list|--show-current)$)"),
    "git diff": re.compile(r"--output"),
    "git log": re.compile(r"--output"),
    "git show": re.compile(r"--output"),
    "sed -n": re.compile(r"-\w*i|--in-place"),
    "sort": re.compile(r"-\w*o|--output"),
    "tree": re.compile(r"-o"),
    "xxd": re.compile(r"-\w*r"),
}
"""How an argument begins with which a command that reads writes after all."""

_HARMLESS = re.compile(r"[0-9&]?>{1,2}\s*/dev/null(?![\w./-])|[0-9]?>&[0-9-](?![\w./-])")
"""Output that is thrown away, or goes where other output goes."""

_WRITING = re.compile(r">|<<|<\(|\btee\b|\bxargs\b|`|\$\(")
"""Redirections, commands within commands, and the commands that write what they are piped."""

_PARTS = re.compile(r"[;&|\n]")


def reads(asked: ToolCall) -> bool:
    """Tell whether a tool call only reads. What is not known to is taken to write.

    Args:
        asked: The call.

    Example:
        >>> reads({"name": "get_order", "args": {}, "id": "1"}), reads({"name": "cancel_order", "args": {}, "id": "2"})
        (True, False)
        >>> reads({"name": "bash", "args": {"command": "cd src && grep -n x *.py | head"}, "id": "3"})
        True
    """
    name = asked["name"].lower()
    if name in SHELLS:
        given = [value for value in asked["args"].values() if not isinstance(value, int | float | None)]
        return bool(given) and all(isinstance(text, str) and _only_reads(text) for text in given)
    words = [word.lower() for word in _WORDS.findall(asked["name"])]
    return name in READING or (bool(words) and words[0] in READING and _ACTING.isdisjoint(words))


def _only_reads(command: str) -> bool:
    command = _HARMLESS.sub(" ", command)
    if _WRITING.search(command):
        return False
    return all(_part_reads(part.split()) for part in _PARTS.split(command) if part.strip())


def _part_reads(words: list[str]) -> bool:
    """Whether a command without operators in it only reads."""
    for length in (1, 2):
        name = " ".join(words[:length])
        if name in _READING_COMMANDS:
            writing = _WRITING_ARGUMENTS.get(name)
            return writing is None or not any(map(writing.match, words[length:]))
    return False


def one_read(answer: AIMessage) -> bool:
    """Tell whether an answer is a single tool call that only reads."""
    return len(answer.tool_calls) == 1 and reads(answer.tool_calls[0])


def call_key(asked: ToolCall) -> str:
    """Give a hash of a tool call: its tool and its arguments, whatever the order of their names."""
    return digest(as_json([asked["name"], asked["args"]])).hex()


def action_key(answer: AIMessage) -> str:
    """Give a hash of what an answer does: its tool calls, or that it speaks."""
    return " ".join(call_key(asked) for asked in answer.tool_calls) or "speaks"


def asked_by_id(call: Call) -> Mapping[str | None, ToolCall]:
    """Give the tool calls of a call's answer by the id that their results name."""
    return {asked["id"]: asked for asked in call.answer.tool_calls}


def result_key(content: Any) -> str:
    """Give a hash of what a tool gave."""
    return digest(content if isinstance(content, str) else as_json(content)).hex()
