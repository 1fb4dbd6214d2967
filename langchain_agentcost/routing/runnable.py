"""The router that stands where a chat model is expected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.runnables import ConfigurableFieldSpec, Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs, run_in_executor
from langchain_core.tools import BaseTool

from langchain_agentcost.chat_model import innermost, profile_of
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.routing.calibrating import calibrate
from langchain_agentcost.routing.calibration import Calibration
from langchain_agentcost.routing.constraints import MAX_COST, PINNED_TIER
from langchain_agentcost.routing.decision import RouteDecision
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.floor import FLOOR
from langchain_agentcost.routing.opened import Opened
from langchain_agentcost.routing.operations import Operations
from langchain_agentcost.routing.policies.named import policy_named
from langchain_agentcost.routing.policy import Policy
from langchain_agentcost.routing.risk_gate import ToolRiskGate
from langchain_agentcost.routing.router import POLICY, Meter, Router
from langchain_agentcost.routing.shadow import Shadow
from langchain_agentcost.routing.tier import Tier

TierLike = Tier | BaseChatModel | str | tuple[str, Any]
"""A tier, a model or its name for `init_chat_model`, or a pair of a tier's name and its model."""

_USUAL_NAMES: dict[int, tuple[str, ...]] = {2: ("small", "frontier"), 3: ("small", "mid", "frontier")}


class RouterRunnable(Runnable[LanguageModelInput, Any]):
    """Asks for each call the cheapest tier that is good enough. It stands wherever a chat model does.

    It is no chat model itself: each call has just the events of the tier that is asked, under that model's own name.
    What is bound (`bind_tools`, `bind`, `with_structured_output`) is bound to whichever tier is asked. An answer that
    streams, streams; a draft that has to be checked first does not.

    Where `floor` is stated, all calls go to the strongest tier until a calibration has proven it. Without one the
    policy chooses, and nothing is promised.

    `configurable` of a call: `router_tier` pins a tier, `router_policy` names another policy, `router_quality_floor` is
    another floor, `router_max_cost` the most that the call may be expected to cost, in USD.

    Args:
        tiers: The tiers, weakest first: models, names, pairs or `Tier`s. Two are "small" and "frontier", three "small",
            "mid" and "frontier", unless they are named.
        policy: What chooses: a policy or its name. By default the kind of step does (`StepPolicy`), and a thread leaves
            the tier at which its prompt cache is warm once to stay has cost as much as to leave (`Sticky`).
        floor: The least share of the strongest tier's quality that is acceptable, such as 0.95.
        calibration: What `calibrate` has found.
        meter: The `CostMeter`, for its prices and for what is left of its budgets. It still has to be passed as a
            callback to count.
        risk_gate: Which tools a weak tier may not call by itself.
        shadow: What has another tier answer some calls too, to learn from.

    Raises:
        RoutingError: If tiers, policy or calibration cannot be.

    Example:
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> router = RouterRunnable([FakeMeteredChatModel(), FakeMeteredChatModel()])
        >>> answer = router.invoke("Extract the order number.", {"metadata": {"router_step": "extract"}})
        >>> answer.response_metadata["router"]["tier"]
        'small'
    """

    def __init__(
        self,
        tiers: Sequence[TierLike],
        *,
        policy: Policy | str = "sticky",
        floor: QualityFloor | float | None = None,
        calibration: Calibration | None = None,
        meter: Meter | None = None,
        risk_gate: ToolRiskGate | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        self.router = Router(
            tiers_of(tiers),
            policy=policy_named(policy) if isinstance(policy, str) else policy,
            floor=QualityFloor("quality", min=floor) if isinstance(floor, float | int) else floor,
            calibration=calibration,
            meter=meter,
            risk_gate=risk_gate,
            shadow=shadow,
        )
        self._operations = Operations()
        self._config: RunnableConfig | None = None

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers, weakest first."""
        return self.router.tiers

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        **kwargs: Any,
    ) -> RouterRunnable:
        """Bind tools to whichever tier is asked."""
        return self._with("bind_tools", (tools,), kwargs)

    def bind(self, **kwargs: Any) -> RouterRunnable:
        """Bind arguments to whichever tier is asked."""
        return self._with("bind", (), kwargs)

    def with_structured_output(self, schema: dict[str, Any] | type, **kwargs: Any) -> RouterRunnable:
        """Have whichever tier is asked answer in a form."""
        return self._with("with_structured_output", (schema,), kwargs)

    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> RouterRunnable:
        """Give the router with a config that every call has."""
        given: Any = kwargs
        return self._changed(_config=merge_configs(self._config, config, given))

    def with_calibration(self, calibration: Calibration | None) -> RouterRunnable:
        """Give the router with another calibration; what was bound stays bound."""
        return self._changed(router=self.router.with_calibration(calibration))

    def calibrate(self, examples: Sequence[Example], *, floor: float = 0.95, confidence: float = 0.95) -> Calibration:
        """Find how far the policy may go, so that the floor is held with the confidence.

        Nothing changes by it: review the calibration, save it, and give it to a router.

        Args:
            examples: Calls that several tiers have answered, and how well.
            floor: The least share of the strongest tier's quality.
            confidence: How sure one must be of it.

        Raises:
            RoutingError: If the policy has no scores to find a threshold for, or the examples cannot be used.
        """
        return calibrate(self.router.given_policy, examples, self.tiers, floor=floor, confidence=confidence)

    def reward(self, decision_id: str, quality: float) -> None:
        """Tell how good the answer to a decision was, for policies that learn from it, such as `Bandit`.

        Args:
            decision_id: The `id` of the decision, as the answer's `response_metadata["router"]` has it.
            quality: From 0 to 1.
        """
        self.router.reward(decision_id, quality)

    def explain(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> RouteDecision:  # noqa: A002
        """Say which tier a call would go to, and why. Nothing is asked.

        Raises:
            RoutingError: If no tier could take it.
        """
        return self._opened(input, config, kwargs).call.decision

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Ask."""
        opened = self._opened(input, config, kwargs)
        return opened.call.run(opened.ask)

    async def ainvoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002
        """Ask, in async code."""
        opened = await self._aopened(input, config, kwargs)
        return await opened.call.arun(opened.aask)

    def stream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002
        """Ask, and give the answer as it comes; a draft that is checked first is given when it has passed."""
        opened = self._opened(input, config, kwargs)
        yield from opened.call.stream(opened.chunks, opened.ask)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name, as above
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Ask in async code, and give the answer as it comes; see `stream`."""
        opened = await self._aopened(input, config, kwargs)
        async for chunk in opened.call.astream(opened.achunks, opened.aask):
            yield chunk

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What of a call can be configured."""
        return list(_SPECS)

    @property
    def profile(self) -> dict[str, Any]:
        """What all tiers can: the smaller number, and only the abilities that each has."""
        profiles = [profile_of(tier.model) for tier in self.tiers]
        shared = set.intersection(*(set(profile) for profile in profiles))
        known = {key: [profile[key] for profile in profiles] for key in sorted(shared)}
        return {key: min(values) for key, values in known.items() if all(isinstance(value, int) for value in values)}

    @property
    def _llm_type(self) -> str:
        """The strongest tier's: LangChain counts tokens by it."""
        return str(getattr(self._strongest, "_llm_type", "agentcost-router"))

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        """Give the strongest tier's; each call has those of the model that is asked."""
        return self._strongest._get_ls_params(stop=stop, **kwargs)  # noqa: SLF001  # what every tracer reads

    @property
    def _strongest(self) -> Any:
        return innermost(self.tiers[-1].model)

    def _opened(self, given: LanguageModelInput, config: RunnableConfig | None, kwargs: Mapping[str, Any]) -> Opened:
        return Opened(self.router, self._operations, given, merge_configs(self._config, ensure_config(config)), kwargs)

    async def _aopened(
        self, given: LanguageModelInput, config: RunnableConfig | None, kwargs: Mapping[str, Any]
    ) -> Opened:
        if not self.router.embeds:
            return self._opened(given, config, kwargs)
        return await run_in_executor(config, self._opened, given, config, kwargs)

    def _with(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> RouterRunnable:
        return self._changed(_operations=self._operations.then(method, args, kwargs))

    def _changed(self, **parts: Any) -> RouterRunnable:
        """Give the router with other parts; what it has learnt is shared."""
        made = copy(self)
        vars(made).update(parts)
        return made


def tiers_of(given: Sequence[TierLike]) -> tuple[Tier, ...]:
    """Make tiers of what people write.

    Raises:
        RoutingError: If one has no name and none can be given.
    """
    names = _USUAL_NAMES.get(len(given), tuple(f"tier{number}" for number in range(1, len(given) + 1)))
    return tuple(_tier_of(one, name) for one, name in zip(given, names, strict=True))


def _tier_of(given: TierLike, name: str) -> Tier:
    if isinstance(given, Tier):
        return given
    return Tier(*given) if isinstance(given, tuple) else Tier(name, given)


_SPECS = [
    ConfigurableFieldSpec(PINNED_TIER, str | None, name="Tier", description="The only tier that may be asked."),
    ConfigurableFieldSpec(POLICY, str | None, name="Policy", description="Another policy, by its name."),
    ConfigurableFieldSpec(FLOOR, float | None, name="Quality floor", description="The least share of quality."),
    ConfigurableFieldSpec(MAX_COST, str | None, name="Most cost", description="USD that a call may cost."),
]
