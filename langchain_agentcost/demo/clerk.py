"""The model at work: how a node of the desk asks it, and what happens when its answer is no use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from openai import LengthFinishReasonError
from pydantic import BaseModel

from langchain_agentcost.demo.prompts import SYSTEM, Example

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Clerk:
    """Asks the model, always with the same system prompt, and survives every bad answer.

    Args:
        model: Any LangChain chat model that knows JSON schemas.
    """

    model: BaseChatModel

    def choose(
        self, shape: type[Answer], *, examples: Sequence[Example], text: str, config: RunnableConfig, purpose: str = ""
    ) -> Answer | None:
        """Ask for an answer of a shape.

        Args:
            shape: The pydantic model of the answer.
            examples: Questions and the answers they should have had.
            text: The question.
            config: The node's config, so that callbacks see the call.
            purpose: What kind of overhead the call is, for the ledger; empty for the desk's own work.

        Returns:
            The answer, or None where the model gave none that fits: the caller goes on without it.
        """
        asked = self.model.with_structured_output(shape, method="json_schema", include_raw=True)
        if purpose:
            config = merge_configs(config, {"metadata": {"agentcost_purpose": purpose}})
        try:
            answer = asked.invoke(conversation(examples, text), config)
        except LengthFinishReasonError:  # the answer was cut at max_tokens, so it is no JSON
            return None
        parsed = answer["parsed"] if isinstance(answer, dict) else None
        return parsed if isinstance(parsed, shape) else None

    def write(self, messages: Sequence[BaseMessage], config: RunnableConfig) -> str:
        """Stream a text, as a live chat would, and give it back whole.

        Args:
            messages: The conversation so far.
            config: The node's config, so that callbacks see the call.
        """
        return "".join(chunk.text for chunk in self.model.stream(list(messages), config)).strip()


def conversation(examples: Sequence[Example], text: str) -> list[BaseMessage]:
    """Put the examples before a question, as if they had been said.

    Example:
        >>> [message.type for message in conversation([("1+1?", "2")], "2+2?")]
        ['system', 'human', 'ai', 'human']
    """
    said = [turn for ask, answer in examples for turn in (HumanMessage(ask), AIMessage(answer))]
    return [SystemMessage(SYSTEM), *said, HumanMessage(text)]
