"""Histories with every fault that was seen in the wild, as they grow from call to call."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_agentcost.context.blocks import pin

WORDS = (
    *("crate", "bay", "pallet", "shelf", "gate", "A-1742", "B7", "forklift", "東京", "größe"),
    *("https://x.test/a?b=1", "/var/log/a.log", "4711"),
)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


class Grower:
    """Grows a history, turn by turn.

    Args:
        dice: Says what happens.
        long: Whether results may be of a megabyte.
    """

    def __init__(self, dice: Random, *, long: bool = False) -> None:
        self._dice = dice
        self._long = long
        self._calls = 0
        self._late: list[BaseMessage] = []

    def turns(self, most: int) -> list[list[BaseMessage]]:
        """Give what each call finds new in the history; the first has what it begins with."""
        return [self._opening(), *(self._turn() for _ in range(self._dice.randint(0, most)))]

    def _opening(self) -> list[BaseMessage]:
        opening: list[BaseMessage] = [SystemMessage("You count crates.")] if self._dice.random() < 0.5 else []
        if self._dice.random() < 0.05:
            opening.append(self._result("lost"))
        return [*opening, HumanMessage(self._content())] if self._dice.random() < 0.95 else opening

    def _turn(self) -> list[BaseMessage]:
        answer = self._answer()
        ids = [str(call["id"]) for call in (*answer.tool_calls, *answer.invalid_tool_calls)]
        results: list[BaseMessage] = [self._result(one) for one in ids]
        self._dice.shuffle(results)
        if results and self._dice.random() < 0.1:
            self._late.append(results.pop())
        if self._dice.random() < 0.05:
            results.append(self._result(self._dice.choice([*ids, "nobody", ""])))
        if results and self._dice.random() < 0.1:
            results.insert(self._dice.randint(0, len(results)), self._human())
        if self._dice.random() < 0.2:
            results.append(self._human())
        if self._late and self._dice.random() < 0.3:
            results.append(self._late.pop())
        return [answer, *results]

    def _answer(self) -> AIMessage:
        calls = [self._call() for _ in range(self._dice.choice((0, 1, 1, 1, 2, 3)))]
        content: Any = self._content()
        if calls and isinstance(content, list) and self._dice.random() < 0.5:
            content = [
                *content,
                *({"type": "tool_use", "id": c["id"], "name": c["name"], "input": c["args"]} for c in calls),
            ]
        if self._dice.random() < 0.05:
            used = {"type": "server_tool_use", "id": f"s{self._calls}", "name": "web_search", "input": {"q": "bay"}}
            done = {"type": "web_search_tool_result", "tool_use_id": f"s{self._calls}", "content": []}
            content = [used, *([done] if self._dice.random() < 0.8 else [])]
        bad = [{"name": "count", "args": "{oops", "id": f"bad{self._calls}", "error": "no JSON"}]
        answer = AIMessage(
            content, tool_calls=calls, invalid_tool_calls=bad if self._dice.random() < 0.05 else [], id=self._id()
        )
        return answer if self._dice.random() > 0.03 else pin(answer)  # type: ignore[return-value]  # the same class

    def _call(self) -> dict[str, Any]:
        self._calls += 1
        repeated, missing = self._dice.random() < 0.05, self._dice.random() < 0.03
        number = self._dice.randint(1, self._calls) if repeated else self._calls
        argument = self._text(4) if self._dice.random() < 0.8 else self._text(120)
        return {"name": "count", "args": {"bay": argument, "deep": [1, None]}, "id": None if missing else f"c{number}"}

    def _result(self, call: str) -> ToolMessage:
        content: Any = self._text(self._dice.choice((3, 40, 40, 150)))
        kind = self._dice.random()
        if kind < 0.06:
            content = [{"type": "text", "text": content}, IMAGE]
        elif kind < 0.1:
            content = ""
        elif self._long and kind < 0.14:
            content = (content + "\n") * (1_000_000 // (len(content) + 1))
        result = ToolMessage(content, tool_call_id=call, name=self._dice.choice(("count", None, "look")), id=self._id())
        return result if self._dice.random() > 0.03 else pin(result)  # type: ignore[return-value]  # the same class

    def _human(self) -> BaseMessage:
        human = HumanMessage(self._content(), id=self._id())
        return human if self._dice.random() > 0.1 else pin(human)

    def _content(self) -> Any:
        kind = self._dice.random()
        if kind < 0.05:
            return ""
        if kind < 0.1:
            return [{"type": "text", "text": self._text(5)}, IMAGE]
        return self._text(8)

    def _text(self, words: int) -> str:
        start = self._dice.randint(0, 50)
        return " ".join(f"{WORDS[(start + at) % len(WORDS)]}{start + at}" for at in range(words))

    def _id(self) -> str | None:
        return None if self._dice.random() < 0.3 else f"m{self._dice.randint(0, 40)}"


def growing(most: int = 12, *, long: bool = False) -> st.SearchStrategy[list[list[BaseMessage]]]:
    """Give histories as they grow."""
    return st.randoms(use_true_random=False).map(lambda dice: Grower(dice, long=long).turns(most))
