"""What recorded tool calls do: whether they only read, by the tool's name or, for a shell, by the command."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.tool import ToolCall

from langchain_agentcost.canonical import digest
from langchain_agentcost.replay.episode import Call

READING = frozenset(
    ("calculate", "can", "check", "count", "describe", "fetch", "find", "get", "has", "inspect", "is", "list", "load",
     "look", "lookup", "query", "read", "retrieve", "run_speed_test", "search", "show", "stat", "think", "view")
)  # fmt: skip
"""The first words of the names of tools that only read."""

SHELLS = frozenset(("bash", "shell", "terminal", "execute_bash", "run_command", "execute_command"))
"""Tools that run a command: what they do is in their arguments."""

_READING_COMMANDS = frozenset(
    ("ag", "awk", "basename", "cat", "cd", "cut", "date", "df", "diff", "dirname", "du", "echo", "env", "file", "find",
     "grep", "head", "id", "jq", "less", "locate", "ls", "more", "nl", "od", "pip show", "printenv", "ps", "pwd",
     "readlink", "rg", "sed -n", "sort", "stat", "strings", "tac", "tail", "tr", "tree", "true", "type", "uname",
     "uniq", "wc", "which", "whoami", "xxd",
     "git blame", "git branch", "git diff", "git log", "git ls-files", "git rev-parse", "git show", "git status")
)  # fmt: skip
_WRITING = re.compile(r"(?<![0-9&<>])>{1,2}(?!\s*(?:/dev/null|&))|<<|-delete\b|-exec\b|\btee\b|\bxargs\b|`|\$\(")
_PARTS = re.compile(r"&&|\|\||;|\||\n")


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
        return all(isinstance(text, str) and _only_reads(text) for text in asked["args"].values())
    return name in READING or re.split(r"[_\-. ]", name, maxsplit=1)[0] in READING


def _only_reads(command: str) -> bool:
    if _WRITING.search(command):
        return False
    parts = [part.split() for part in _PARTS.split(command) if part.strip()]
    return all(words[0] in _READING_COMMANDS or " ".join(words[:2]) in _READING_COMMANDS for words in parts)


def one_read(answer: AIMessage) -> bool:
    """Tell whether an answer is a single tool call that only reads."""
    return len(answer.tool_calls) == 1 and reads(answer.tool_calls[0])


def call_key(asked: ToolCall) -> str:
    """Give a hash of a tool call: its tool and its arguments, whatever the order of their names."""
    return digest(json.dumps([asked["name"], asked["args"]], sort_keys=True, default=str)).hex()


def action_key(answer: AIMessage) -> str:
    """Give a hash of what an answer does: its tool calls, or that it speaks."""
    return " ".join(call_key(asked) for asked in answer.tool_calls) or "speaks"


def asked_by_id(call: Call) -> Mapping[str | None, ToolCall]:
    """Give the tool calls of a call's answer by the id that their results name."""
    return {asked["id"]: asked for asked in call.answer.tool_calls}


def result_key(content: Any) -> str:
    """Give a hash of what a tool gave."""
    return digest(content if isinstance(content, str) else json.dumps(content, default=str)).hex()
