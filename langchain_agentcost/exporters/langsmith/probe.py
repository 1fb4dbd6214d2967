"""A model that costs nothing to ask, and whose price nobody but us knows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

MODEL = "agentcost-check"
"""A model that LangSmith has no price for: a cost that it shows can only be the one we sent."""

PRICES = {"models": [{"model": MODEL, "input": "1.00", "cache_read": "0.10", "output": "4.00"}]}
_USAGE = {"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050, "input_token_details": {"cache_read": 600}}
POSTED = Decimal("0.00066")
"""What the run costs: 400 uncached, 600 cached and 50 generated tokens at 1.00, 0.10 and 4.00 USD a million."""


class Probe(BaseChatModel):
    """A chat model that answers at once and reports a fixed usage."""

    @property
    def _llm_type(self) -> str:
        return "agentcost-check"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(ls_provider="agentcost", ls_model_name=MODEL, ls_model_type="chat")

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        answer = AIMessage("pong", usage_metadata=_USAGE, response_metadata={"model_name": MODEL})
        return ChatResult(generations=[ChatGeneration(message=answer)])
