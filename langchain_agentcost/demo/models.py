"""Which model the desk asks, and what its tokens are billed at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from openai import OpenAIError

from langchain_agentcost.demo.local_model import LocalModel
from langchain_agentcost.errors import AgentCostError, PriceNotFound
from langchain_agentcost.errors.limits import BudgetExceeded
from langchain_agentcost.pricing import PriceBook

BILLED_AS = "openai:gpt-5-mini"
"""The hosted model whose list price the local model's tokens are shown at."""

BILLED_AS_UNDER_A_BUDGET = "openai:gpt-5.5"
"""The same where there is a budget to come up against: ten tickets cost about $0.04 at this price."""

ECONOMY_ALIAS = "smollm2-135m-economy"
"""The second local model, which takes over where a budget asks for a cheaper one: billed at `BILLED_AS`."""

TOOL_PRICES = {"track_parcel": "0.0001"}
"""What the carrier takes for a call, in USD: invented, to show that tools have prices too. The others have none."""

MAX_TOKENS = 64
"""The longest answer of the local model: two short sentences. A hosted model has no limit, it may think first."""


class ModelUnavailable(AgentCostError, RuntimeError):
    """The model that was asked for cannot be used; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class DeskModel:
    """A chat model, its prices, and a sentence for each.

    Args:
        chat: The model. One that has a cheaper one to fall back on passes for a model: it can all that the desk uses.
        prices: What its calls and the desk's tools cost.
        about: What the model is.
        billing: What the dollars in the reports mean.
    """

    chat: BaseChatModel
    prices: PriceBook
    about: str
    billing: str


def local_model(served: LocalModel, *, billed_as: str = BILLED_AS, economy: LocalModel | None = None) -> DeskModel:
    """Take the local model, as if it were billed like a hosted one.

    Args:
        served: The running server.
        billed_as: The hosted model, as "provider:model".
        economy: A second server, for the calls that a budget has no room for at that price: billed as `BILLED_AS`.

    Raises:
        PriceNotFound: If the price list does not know the hosted model.
    """
    rates = {served.alias: _list_rates(billed_as)}
    chat: BaseChatModel = local_chat(served)
    cheaper = ""
    if economy is not None:
        rates[economy.alias] = _list_rates(BILLED_AS)
        # LangChain hands on what a chat model has that returns a Runnable, such as with_structured_output
        chat = cast("BaseChatModel", chat.with_fallbacks([local_chat(economy)], exceptions_to_handle=(BudgetExceeded,)))
        cheaper = f" Where the budget has no room for it, {economy.alias} answers, billed as {BILLED_AS}."
    shown = ", ".join(f"{name.replace('_', ' ')} ${usd}" for name, usd in rates[served.alias].items())
    models = [{"model": alias, **listed} for alias, listed in rates.items()]
    return DeskModel(
        chat,
        PriceBook({"models": models, "tools": TOOL_PRICES}),
        about=f"{served.alias} on this machine. It cannot call tools, so the graph's edges choose them.{cheaper}",
        billing=(
            f"as if every token had been billed at {billed_as}'s list price "
            f"(USD per million tokens: {shown}). In truth the local model costs nothing; the tokens, the cache reads "
            "and the seconds are its own."
        ),
    )


def hosted_model(name: str) -> DeskModel:
    """Take a provider's model, with the user's own key.

    Args:
        name: A name for `init_chat_model`, such as "openai:gpt-5-mini".

    Raises:
        ModelUnavailable: If the integration or the key is missing, or no provider has such a name.
    """
    try:
        chat = init_chat_model(name)
    except (ImportError, ValueError, OpenAIError) as error:
        raise ModelUnavailable(f"{name} cannot be used: {_first_line(error)}") from error
    keys = [key for key in getattr(chat, "lc_secrets", {}).values() if key.endswith(("KEY", "TOKEN"))]
    if keys and not any(os.environ.get(key) for key in keys):
        raise ModelUnavailable(f"{name} needs a key. Set the environment variable {' or '.join(keys)}.")
    return DeskModel(
        chat,
        PriceBook({"tools": TOOL_PRICES}),
        about=f"{name}, with your key. The graph's edges choose the tools, as they do for the local model.",
        billing="at the provider's list price. This run is billed to you.",
    )


def local_chat(served: LocalModel) -> ChatOpenAI:
    """Take the local model as the chat model that it is.

    Args:
        served: The running server.
    """
    return ChatOpenAI(
        model=served.alias,
        base_url=served.base_url,
        api_key="none-needed",  # type: ignore[arg-type]  # pydantic makes it a SecretStr
        max_tokens=MAX_TOKENS,  # type: ignore[call-arg]  # the alias that LangChain documents
        temperature=0,
        # With a custom base_url, ChatOpenAI does not ask for the usage of a stream unless it is told to.
        stream_usage=True,
    )


def billed_local(alias: str, billed_as: str) -> dict[str, str]:
    """Give the price book's line for a local model, as if it were billed like a hosted one.

    Args:
        alias: The name that its server gives it.
        billed_as: The hosted model, as "provider:model".

    Raises:
        PriceNotFound: If the price list does not know the hosted model.
    """
    return {"model": alias, **_list_rates(billed_as)}


def _list_rates(hosted: str) -> Mapping[str, str]:
    provider, _, model = hosted.partition(":")
    card = PriceBook().card(model, provider=provider)
    if card is None:
        raise PriceNotFound(f"The price list does not know {hosted}. Name a model as openai:gpt-5-mini is.")
    return {name: str(rate.usd) for name, rate in card.rates.items()}


def _first_line(error: Exception) -> str:
    """What is wrong, without the pages that pydantic and LangChain add."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith("Value error, ")), lines[0] if lines else repr(error))
    return said.removeprefix("Value error, ").partition(" [type=")[0]
