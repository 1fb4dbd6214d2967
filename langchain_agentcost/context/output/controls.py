"""What may be done about the length of a model's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from langchain_agentcost.context.output.capped import capped
from langchain_agentcost.context.output.cut import raised_cut, was_cut
from langchain_agentcost.context.output.fitted import Fitted
from langchain_agentcost.usage import Usage

CONCISE = (
    "Answer in as few words as the question needs. Leave out introductions, repetitions of the question, and offers of "
    "further help. Give every id, number, date and name in full."
)
"""An instruction that asks for short answers. Whether it costs quality is for `accept` to find out."""


class Shaped(NamedTuple):
    """A model as it is called.

    Args:
        model: The model.
        settings: What it is called with, beside the prompt.
        cap: The cap that was put on it; None where there is none, or a lower one was there already.
    """

    model: BaseChatModel
    settings: Mapping[str, Any]
    cap: int | None = None


@dataclass(frozen=True, slots=True)
class OutputControls:
    """What is done about the length of answers, in one place of a graph. By itself it does nothing.

    Args:
        instruction: A text that asks for short answers, such as `CONCISE`. It stands at the end of the system message,
            the same at every call, so that the provider's prompt cache holds. It changes what the model says, so no
            replay can tell what it saves or costs: have it accepted by `accept`.
        stop: Texts that end an answer. One that can occur in a tool call's arguments cuts that call.
        max_tokens: The cap of an answer, its reasoning included, as `fit_max_tokens` gives it. It never raises a cap
            that is there already. A cap makes no answer shorter: it cuts those that run away.
        retry_cut: Whether an answer that this cap has cut is asked for once more without it. Both calls are made, and
            metered, as calls of the agent. Where the answer is streamed it has been seen, and is not asked for again.

    Raises:
        ValueError: If the cap is below 1, or a text is empty.

    Example:
        >>> OutputControls(CONCISE, stop=["User:"]).fidelity
        'another generator: not measured by replay'
        >>> OutputControls(max_tokens=800).fidelity
        'open-loop'
    """

    instruction: str | None = None
    stop: Sequence[str] = ()
    max_tokens: int | None = None
    retry_cut: bool = True

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens is at least 1, not {self.max_tokens!r}; None is no cap.")
        if isinstance(self.stop, str) or not all(self.stop):
            raise ValueError(f"stop is a list of texts, none of them empty, not {self.stop!r}.")
        if self.instruction is not None and not self.instruction.strip():
            raise ValueError("The instruction is empty; None is no instruction.")

    @property
    def fidelity(self) -> str:
        """How far a saving by it can be known before it is tried: what is sent or said changes, or is only cut."""
        if self.instruction or self.stop:
            return "another generator: not measured by replay"
        return "exact" if self.max_tokens is None else "open-loop"

    def fitted(self, caps: Fitted, place: str | int | None, model: str | None = None) -> Self:
        """Give the same controls with the cap that was fitted for a place; a lower one that is set already stays.

        Args:
            caps: The fitted caps.
            place: The node, or what they were grouped by.
            model: The model that is asked for.
        """
        found = caps.max_tokens(place, model)
        stated = [tokens for tokens in (found, self.max_tokens) if tokens is not None]
        return replace(self, max_tokens=min(stated, default=None))

    def instructed(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """Give a prompt with the instruction; the messages that are there are not changed.

        Args:
            messages: The prompt, its system message first where there is one.
        """
        if self.instruction is None:
            return [*messages]
        if messages and isinstance(messages[0], SystemMessage):
            return [with_text(messages[0], self.instruction), *messages[1:]]
        return [SystemMessage(self.instruction), *messages]

    def shaped(self, model: BaseChatModel, given: Mapping[str, Any], *, cap: bool = True) -> Shaped:
        """Give the model to call and what to call it with.

        Args:
            model: The model; it is not changed.
            given: What its calls are given already, beside the prompt.
            cap: Whether answers are capped.
        """
        sent = dict(given)
        if self.stop:
            sent["stop"] = [*dict.fromkeys([*(sent.get("stop") or ()), *self.stop])]
        short = capped(model, sent, self.max_tokens) if cap and self.max_tokens is not None else None
        return Shaped(model, sent) if short is None else Shaped(*short, self.max_tokens)

    def asks_again(self, cap: int | None, came: AIMessage | BaseException) -> bool:
        """Tell whether it was the cap that cut an answer, and it is to be asked for again.

        An answer that was cut well before it reached the cap was cut by a lower one, such as what a budget has room
        for: that one would cut the next as well.

        Args:
            cap: The cap that was put on the call.
            came: The answer, or what was raised in its place.
        """
        if cap is None or not self.retry_cut:
            return False
        if isinstance(came, BaseException):
            return raised_cut(came)
        usage = Usage.from_message(came)
        reached = usage is None or not usage.output_tokens or usage.output_tokens >= _REACHED * cap
        return reached and was_cut(came)


_REACHED = 0.9
"""Of a cap: providers do not agree on whether the tokens around an answer count."""


def with_text(message: SystemMessage, text: str) -> SystemMessage:
    """Give a system message with a text at its end, whether it is a text itself or a list of blocks."""
    content = message.content
    if isinstance(content, str):
        return message.model_copy(update={"content": f"{content}\n\n{text}" if content else text})
    return message.model_copy(update={"content": [*content, {"type": "text", "text": text}]})
