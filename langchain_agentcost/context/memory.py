"""Working memory: what an agent must not forget, in a channel of its own, said at the end of each prompt.

Notes change at almost every step. In the system message, each change would end the provider's cache at the very
beginning; among the messages, each would stay and be paid for again. So they are no part of the history: they are
written behind it, for one call. What is behind the last message costs its own tokens at the full price and nothing
else: the next prompt begins with the whole history as the cache knows it. Before the last block, that block would be
billed anew at the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from typing_extensions import TypedDict  # as LangGraph does: a class cannot have states of both kinds as its bases

from langchain_agentcost.context.blocks import blocks
from langchain_agentcost.prompt_tail import TAIL_ID
from langchain_agentcost.tokens import count_text

MAX_MEMORY_TOKENS = 600
"""How long the memory may be in a prompt where nothing else is said."""

MAX_NOTES = 200
"""So many notes of a kind are kept in the state, the latest ones. A prompt shows those that there is room for."""

MAX_NOTE_CHARS = 500
MAX_KEY_CHARS = 80

Kind = Literal["facts", "artifacts", "open_tasks"]
KINDS: tuple[Kind, ...] = ("facts", "artifacts", "open_tasks")
"""The kinds of note, by how soon they go where there is no room: open tasks last."""

Place = Literal["last", "within"]
"""Where the memory is said: as the last message, or within it."""


class Note(TypedDict):
    """Something to remember.

    Args:
        text: What.
        at: When, by the memory's own clock; a later note counts more.
    """

    text: str
    at: int


class WorkingMemory(TypedDict, total=False):
    """The channel's value: plain JSON, so any checkpointer keeps it and any thread resumes with it.

    Args:
        facts: What was found out, by a key.
        artifacts: What was made or changed, by its name.
        open_tasks: What is still to be done, by a key.
        clock: The time of the latest change.
    """

    facts: dict[str, Note]
    artifacts: dict[str, Note]
    open_tasks: dict[str, Note]
    clock: int


def noted(memory: Mapping[str, Any] | None, **changes: Mapping[str, str | None]) -> dict[str, Any]:
    """Make an update for the channel, out of what a node has found.

    Updates that are made from the same memory, as by nodes that run in parallel, may arrive in any order: the result is
    the same. Where two note the same key, the greater text stays; where one notes it and one removes it, the note does.

    Args:
        memory: The memory as the node sees it in the state.
        **changes: For `facts`, `artifacts` or `open_tasks`: texts by key; None removes a key.

    Returns:
        The update. A plain mapping of the same form is one too, but then the order of arrival counts.

    Raises:
        TypeError: If a kind does not exist.

    Example:
        >>> seen = merge_memory({}, noted({}, facts={"size": "42"}, open_tasks={"call": "Call Ada."}))
        >>> print(render_memory(merge_memory(seen, noted(seen, open_tasks={"call": None}))))
        <working_memory>
        Your notes, not a message of the user.
        Facts
        - size: 42
        </working_memory>
    """
    unknown = set(changes) - set(KINDS)
    if unknown:
        raise TypeError(f"{', '.join(sorted(unknown))}: no kind of note; there are {', '.join(KINDS)}.")
    at = _clock(memory) + 1
    return {kind: {key: {"text": text, "at": at} for key, text in notes.items()} for kind, notes in changes.items()}


def merge_memory(left: Mapping[str, Any] | None, right: Mapping[str, Any] | None) -> WorkingMemory:
    """Reduce: put an update into the memory. What has another form is left out; nothing is raised.

    Args:
        left: The memory so far.
        right: An update: by kind and key a text, what `noted` made, or None to remove.

    Example:
        >>> merge_memory({"facts": {"size": {"text": "41", "at": 3}}}, {"facts": {"size": "42"}})
        {'facts': {'size': {'text': '42', 'at': 4}}, 'clock': 4}
    """
    clock = _clock(left)
    merged: dict[str, Any] = {}
    for kind in KINDS:
        notes = dict(_notes(left, kind, clock))
        for key, (text, at) in _notes(right, kind, clock + 1):
            if _counts(at, text, notes.get(key)):
                notes[key] = (text, at)
        kept = sorted((at, key, text) for key, (text, at) in notes.items() if text is not None)[-MAX_NOTES:]
        if kept:
            merged[kind] = {key: {"text": text, "at": at} for at, key, text in kept}
    times = [at for kind in KINDS for _, (_, at) in _notes(right, kind, clock + 1)]
    clock = max([clock, _clock(right), *times])
    return cast("WorkingMemory", {**merged, "clock": clock} if clock else merged)


class MemoryState(TypedDict, total=False):
    """A state that has working memory, to inherit from: `class State(MessagesState, MemoryState)`."""

    working_memory: Annotated[WorkingMemory, merge_memory]


def render_memory(
    memory: Mapping[str, Any] | None,
    *,
    max_tokens: int = MAX_MEMORY_TOKENS,
    count: Callable[[str], int] = count_text,
) -> str:
    """Write the memory as a text.

    Where there is no room for all, the oldest facts are left out first, then the oldest artifacts, then the oldest open
    tasks. They stay in the state.

    Args:
        memory: The memory.
        max_tokens: How long the text may be, in tokens.
        count: How tokens are counted.

    Returns:
        The text; empty where there is nothing to say, or no room.
    """
    left = max_tokens - count(_FRAME) - len(KINDS)
    kept: dict[str, list[str]] = {kind: [] for kind in KINDS}
    entries = list(_by_weight(memory))
    fitting = 0
    for kind, line in entries:
        left -= count(line) + 1
        if left < 0:
            break
        kept[kind].append(line)
        fitting += 1
    if not fitting:
        return ""
    lines = [_OPENS, _INTRO]
    for kind in KINDS:
        lines += [_TITLES[kind], *reversed(kept[kind])] if kept[kind] else []
    lines += [_LEFT_OUT.format(len(entries) - fitting)] if fitting < len(entries) else []
    return "\n".join([*lines, _CLOSES])


def with_memory(
    messages: Sequence[BaseMessage],
    memory: Mapping[str, Any] | None,
    *,
    max_tokens: int = MAX_MEMORY_TOKENS,
    place: Place = "last",
) -> list[BaseMessage]:
    """Give the messages of one call, with the memory at their end. The history itself is never changed.

    OpenAI, Anthropic and Google take a message of the user behind results of tools. Mistral does not (error 3230,
    "Unexpected role 'user' after role 'tool'"), nor two messages of the user in a row: for its models there is
    "within". It adds the memory to the text of the last message, which is then billed anew at the next step.

    Between a call and its results nothing may stand, and an answer that was begun is to be gone on with: where the
    messages end so, the memory is put before that block.

    Args:
        messages: The prompt so far.
        memory: The memory; where it is empty, the messages stay as they are.
        max_tokens: How long it may be.
        place: Where it is said.

    Example:
        >>> memory = merge_memory({}, {"facts": {"size": "42"}})
        >>> [message.type for message in with_memory([HumanMessage("Go on.")], memory)]
        ['human', 'human']
        >>> len(with_memory([HumanMessage("Go on.")], memory, place="within"))
        1
    """
    text = render_memory(memory, max_tokens=max_tokens)
    given = list(messages)
    if not text:
        return given
    tail = HumanMessage(text, id=TAIL_ID)
    if not given:
        return [tail]
    last = given[-1]
    block = blocks(given)[-1]
    if isinstance(last, AIMessage) or block.waiting:
        return [*given[: block.start], tail, *given[block.start :]]
    if place == "within" and isinstance(last, HumanMessage | ToolMessage):
        return [*given[:-1], _added(last, text)]
    return [*given, tail]


def recall(state: Mapping[str, Any]) -> dict[str, list[BaseMessage]]:
    """Give the messages for a model as `pre_model_hook` of langgraph's `create_react_agent` wants them.

    In a graph of your own, call `with_memory(state["messages"], state.get("working_memory"))` before the model.

    Args:
        state: A state with `messages` and `working_memory`.
    """
    return {"llm_input_messages": with_memory(state["messages"], state.get("working_memory"))}


_OPENS, _CLOSES = "<working_memory>", "</working_memory>"
_INTRO = "Your notes, not a message of the user."
_LEFT_OUT = "({} older notes are left out.)"
_TITLES: Mapping[Kind, str] = {"facts": "Facts", "artifacts": "Artifacts", "open_tasks": "Open tasks"}
_FRAME = "\n".join([_OPENS, _INTRO, *_TITLES.values(), _LEFT_OUT.format(MAX_NOTES), _CLOSES])

M = TypeVar("M", bound=BaseMessage)


def _by_weight(memory: Mapping[str, Any] | None) -> Iterator[tuple[Kind, str]]:
    """The notes as lines, what must stay first: open tasks before artifacts before facts, new ones before old ones."""
    for kind in reversed(KINDS):
        notes = sorted(
            ((at, key, text) for key, (text, at) in _notes(memory, kind, 0) if text is not None), reverse=True
        )
        yield from ((kind, f"- {key}: {text}") for _, key, text in notes)


def _counts(at: int, text: str | None, known: tuple[str | None, int] | None) -> bool:
    """Whether a note takes the place of the one that is known. Of two at one time, none is removed."""
    if known is None or at != known[1]:
        return known is None or at > known[1]
    return text is not None and text > (known[0] or "")


def _notes(memory: Mapping[str, Any] | None, kind: Kind, now: int) -> Iterator[tuple[str, tuple[str | None, int]]]:
    """The notes of a kind as (key, (text, time)); those without a time are of now."""
    notes = memory.get(kind) if isinstance(memory, Mapping) else None
    for key, note in notes.items() if isinstance(notes, Mapping) else ():
        text, at = (note.get("text"), note.get("at")) if isinstance(note, Mapping) else (note, now)
        name = _line(str(key), MAX_KEY_CHARS)
        if name:
            said = None if text is None else _line(str(text), MAX_NOTE_CHARS)
            yield name, (said or None, at if type(at) is int else now)


def _clock(memory: Mapping[str, Any] | None) -> int:
    """The latest time that a memory knows of."""
    if not isinstance(memory, Mapping):
        return 0
    own = memory.get("clock")
    return max([own if type(own) is int else 0, *(at for kind in KINDS for _, (_, at) in _notes(memory, kind, 0))])


def _line(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def _added(message: M, text: str) -> M:
    """A message with a text behind its own."""
    if isinstance(message.content, str):
        content: Any = f"{message.content}\n\n{text}" if message.content else text
    else:
        content = [*message.content, {"type": "text", "text": text}]
    return message.model_copy(update={"content": content})
