"""The two models of a comparison: a strong one that does everything, and a small one for what it may be given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from langchain_agentcost.chat_model import names_of
from langchain_agentcost.demo.local_model import LocalModel
from langchain_agentcost.demo.models import (
    BILLED_AS,
    BILLED_AS_UNDER_A_BUDGET,
    ECONOMY_ALIAS,
    TOOL_PRICES,
    billed_local,
    hosted_model,
    local_chat,
)
from langchain_agentcost.errors import PriceNotFound
from langchain_agentcost.pricing import PriceBook, PriceCard

SMALL, STRONG = "small", "frontier"
"""What the tiers are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A strong and a small chat model, and what they cost.

    Args:
        strong: What answers everything where nothing is switched on.
        small: What may answer beside it; None in a run without a router.
        prices: What both cost, and the desk's tools.
    """

    strong: BaseChatModel
    small: BaseChatModel | None
    prices: PriceBook

    @property
    def cards(self) -> Mapping[str, PriceCard]:
        """The prices by tier, the strong one's last.

        Raises:
            PriceNotFound: If the price list does not know one of them.
        """
        return {name: self._card(model) for name, model in self.tiers.items()}

    @property
    def tiers(self) -> Mapping[str, BaseChatModel]:
        """The models by the name of their tier, weakest first."""
        small = {} if self.small is None else {SMALL: self.small}
        return {**small, STRONG: self.strong}

    def _card(self, model: BaseChatModel) -> PriceCard:
        """Give the prices of one of them.

        Raises:
            PriceNotFound: If the price list does not know it: without dollars there is nothing to compare.
        """
        name, provider = names_of(model)
        card = self.prices.card(name or "", provider=provider)
        if card is None:
            raise PriceNotFound(f"The price list does not know {name}, so what it saves cannot be told.")
        return card


@dataclass(frozen=True, slots=True)
class Contest:
    """Where the models of a comparison come from, and what that makes of the result.

    Args:
        strong: A name for `init_chat_model`; None takes the local model.
        small: The same for the small one.
    """

    strong: str | None = None
    small: str | None = None

    @property
    def hosted(self) -> bool:
        """Whether the models are a provider's."""
        return self.strong is not None

    @property
    def about(self) -> str:
        """What the models are."""
        if self.hosted:
            return f"{self.strong}, and for what the router gives it {self.small}. Both with your key."
        return "SmolLM2-135M on this machine, twice: the small tier is the same model as the strong one."

    @property
    def prices(self) -> str:
        """What the dollars are."""
        if self.hosted:
            return "List prices. Both runs are billed to you."
        return (
            f"List prices of hosted models, put on the local one's own tokens: {BILLED_AS_UNDER_A_BUDGET} for the "
            f"strong tier, {BILLED_AS} for the small one. In truth it costs nothing."
        )

    @property
    def bound(self) -> str:
        """What the dollars and the outcome do not say."""
        if self.hosted:
            return (
                "The dollars. So few tickets are no proof that the small model is good enough: calibrate the router. "
                "The second run may find prompts of the first in the provider's cache."
            )
        return (
            "The dollars, as said above. Both tiers are the same model: the router's dollars are a bound by price, and "
            "the outcome says nothing of what a weaker model would lose. With two models of your own it does: "
            "--model STRONG --small-model SMALL."
        )

    @contextmanager
    def off(self, folder: Path) -> Iterator[Pair]:
        """Have the strong model alone.

        Args:
            folder: Where the local model's log goes.

        Raises:
            ModelUnavailable: If it cannot be used, or the small one could not.
            PriceNotFound: If one of them has no price.
            MissingWeights: If the local model's file is not installed.
        """
        with self._models(folder, "off", small=False) as pair:
            yield pair

    @contextmanager
    def on(self, folder: Path) -> Iterator[Pair]:
        """Have both models; of the local one the prompt caches are cold again. See `off`."""
        with self._models(folder, "on", small=True) as pair:
            yield pair

    @contextmanager
    def _models(self, folder: Path, run: str, *, small: bool) -> Iterator[Pair]:
        if self.strong is not None and self.small is not None:
            given = hosted_model(self.strong)
            pair = Pair(strong=given.chat, small=hosted_model(self.small).chat, prices=given.prices)
            _ = pair.cards  # a price that is missing is said before anything is billed
            yield pair if small else replace(pair, small=None)
            return
        with ExitStack() as stack:
            # New servers for each run: the second one must not find the prompts of the first in its cache.
            served = stack.enter_context(LocalModel(slots=3, log=folder / f"local-model-{run}.log"))
            economy = None
            if small:
                log = folder / f"local-model-{run}-small.log"
                economy = stack.enter_context(LocalModel(alias=ECONOMY_ALIAS, slots=3, log=log))
            yield local_pair(served, economy)


def local_pair(served: LocalModel, economy: LocalModel | None) -> Pair:
    """Take the local model twice, billed as a strong and as a small one.

    Args:
        served: The running server of the strong tier.
        economy: That of the small tier; None for none.

    Raises:
        PriceNotFound: If the price list does not know what they are billed as.
    """
    billed = {served.alias: BILLED_AS_UNDER_A_BUDGET}
    if economy is not None:
        billed[economy.alias] = BILLED_AS
    return Pair(
        strong=local_chat(served),
        small=None if economy is None else local_chat(economy),
        prices=PriceBook({"models": [billed_local(*one) for one in billed.items()], "tools": TOOL_PRICES}),
    )
