"""The router inside `langchain.agents.create_agent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Annotated, Any, NotRequired, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, merge_configs, run_in_executor, var_child_runnable_config
from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command

from langchain_agentcost.chat_model import bound_to, unbound
from langchain_agentcost.errors import MissingExtra, RoutingError
from langchain_agentcost.errors.limits import BudgetExceeded
from langchain_agentcost.recent import Recent
from langchain_agentcost.routed import ROUTE, Role
from langchain_agentcost.routing.handoff import for_model, settings_for, tools_for
from langchain_agentcost.routing.operations import Facts, name_of, with_settings
from langchain_agentcost.routing.routed_call import RoutedCall
from langchain_agentcost.routing.router import THRIFTY, Meter, Router
from langchain_agentcost.routing.runnable import RouterRunnable, TierLike
from langchain_agentcost.routing.surroundings import requested
from langchain_agentcost.routing.telling import TOLD
from langchain_agentcost.usage import Usage, is_cache_hit

if find_spec("langchain") is None:
    raise MissingExtra("langchain", extra="agents", what="RouterMiddleware")

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ExtendedModelResponse, PrivateStateAttr
from langchain.agents.structured_output import AutoStrategy, OutputToolBinding, ProviderStrategy, ToolStrategy

Request = ModelRequest[Any]
Response = ModelResponse[Any]
Handler = Callable[[Request], Response]
AsyncHandler = Callable[[Request], Awaitable[Response]]


class RoutedAgentState(AgentState[Any]):
    """An agent's state with the last decision, which is neither its input nor its output."""

    agentcost_route: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]


class RouterMiddleware(AgentMiddleware[Any, Any, Any]):
    """Sends each of an agent's model calls to the cheapest tier that is good enough.

    The agent's own model is not asked, unless it is a tier: give the agent the strongest, for other middleware looks at
    it. Unlike a `RouterRunnable` in the model's place it lets what comes behind it see the model that is asked, so
    limits are shaped for that one, and `create_agent` chooses the form of structured output by it.

    Put it behind what changes a prompt or serves an answer (context, caches), and before what is meant for the model
    that is asked (layout, output controls, fallbacks, limits); `agentcost_middleware(meter, router=…)` does. A draft
    that does not pass is a call of its own for all that comes behind.

    The last decision is in the agent's state under "agentcost_route", and each in its answer's
    `response_metadata["router"]`.

    Where the router has a meter, and a budget's action says "downgrade", policies are asked with all thrift: a policy
    with a threshold then takes the cheapest tier. A floor, a pin and the risk gate hold all the same.

    Args:
        router: A `RouterRunnable` that nothing is bound to; or tiers, with the arguments of one.
        options: What `RouterRunnable` takes, where tiers are given.

    Raises:
        RoutingError: If a tier is no chat model, something is bound to the router, or tiers or options cannot be.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_agentcost.testing import FakeMeteredChatModel
        >>> small, big = FakeMeteredChatModel(answers=["Small."]), FakeMeteredChatModel(answers=["Big."])
        >>> agent = create_agent(big, middleware=[RouterMiddleware([small, big], policy="small")])
        >>> agent.invoke({"messages": "Which bay is free?"})["messages"][-1].text
        'Small.'
    """

    state_schema = RoutedAgentState

    def __init__(self, router: RouterRunnable | Sequence[TierLike], **options: Any) -> None:
        super().__init__()
        if isinstance(router, RouterRunnable) and options:
            raise RoutingError(f"Give {', '.join(options)} to the RouterRunnable: the middleware takes it as it is.")
        made = router if isinstance(router, RouterRunnable) else RouterRunnable(router, **options)
        if made._operations.queue:  # noqa: SLF001  # the other face of the same core
            raise RoutingError(
                "Something is bound to the router. An agent binds tools and forms by itself: give it those."
            )
        for tier in made.tiers:
            if not isinstance(unbound(tier.model), BaseChatModel):
                kind = type(unbound(tier.model)).__name__
                raise RoutingError(f"In create_agent the model of tier {tier.name!r} is a chat model, not a {kind}.")
        self.router = made.router
        self._config = made._config  # noqa: SLF001  # likewise
        self._forms: Recent[int, tuple[object, _Form]] = Recent(64)

    def with_meter(self, meter: Meter) -> Self:
        """Give the middleware with a meter, whose prices count and whose budgets are looked at."""
        made = copy(self)
        made.router = self.router.with_meter(meter)
        return made

    def wrap_model_call(self, request: Request, handler: Handler) -> Response | ExtendedModelResponse[Any]:
        """Make a model call with the tier that is chosen."""
        asked = self._asked(request, thrift=0.0)
        try:
            return asked.run(handler)
        except BudgetExceeded as refused:
            if not asked.may_be_cheaper(refused):
                raise
        return self._asked(request, thrift=THRIFTY).run(handler)

    async def awrap_model_call(self, request: Request, handler: AsyncHandler) -> Response | ExtendedModelResponse[Any]:
        """Make a model call with the tier that is chosen, in async code."""
        asked = await self._aasked(request, thrift=0.0)
        try:
            return await asked.arun(handler)
        except BudgetExceeded as refused:
            if not asked.may_be_cheaper(refused):
                raise
        return await (await self._aasked(request, thrift=THRIFTY)).arun(handler)

    def _asked(self, request: Request, *, thrift: float) -> _Asked:
        return _Asked(self.router, request, self._form(request), merge_configs(self._config, ensure_config()), thrift)

    async def _aasked(self, request: Request, *, thrift: float) -> _Asked:
        if not self.router.embeds:
            return self._asked(request, thrift=thrift)
        return await run_in_executor(None, self._asked, request, thrift=thrift)

    def _form(self, request: Request) -> _Form:
        """What form an answer must have; it is the same object at each call of an agent, so it is read once."""
        stated = request.response_format
        if stated is None:
            return _FREE
        known = self._forms.get(id(stated))
        if known is None or known[0] is not stated:
            known = (stated, _Form.of(stated))
            self._forms.put(id(stated), known)
        return known[1]


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of an answer: its name, and the tools that stand for it where a model has no other way."""

    name: str | None = None
    tools: tuple[BaseTool, ...] = ()

    @classmethod
    def of(cls, stated: Any) -> _Form:
        schema = stated.schema if isinstance(stated, AutoStrategy | ProviderStrategy | ToolStrategy) else stated
        specs = ToolStrategy(schema).schema_specs
        # LangChain makes a name up where a JSON schema has no title: another one each time.
        names = ["response_format" if spec.name.startswith("response_format_") else spec.name for spec in specs]
        return cls("|".join(names), tuple(OutputToolBinding.from_schema_spec(spec).tool for spec in specs))


_FREE = _Form()


class _Asked:
    """A model call of an agent that is decided and not made yet."""

    def __init__(self, router: Router, request: Request, form: _Form, config: RunnableConfig, thrift: float) -> None:
        self._router = router
        self._request = request
        self._form = form
        self._response: Response | None = None
        facts = _facts(request, form)
        asked = replace(requested(_history(request), facts, config), thrift=thrift)
        opened, self._prompt = router.opened(asked, schemas=facts.schemas)
        self.call = RoutedCall(router, opened, router.decide(opened, self._prompt), config)

    def run(self, handler: Handler) -> Response | ExtendedModelResponse[Any]:
        """Make it."""

        def ask(tier: str, role: Role) -> Any:
            config = self.call.config_for(tier, role)
            if role == "shadow":
                model, messages = self._aside(tier)
                return self._heard(tier, model.invoke(messages, config))
            with _within(config):
                return self._taken(tier, role, handler(self._to(tier)))

        try:
            return self._told(self.call.run(ask))
        except _NoModelAnswered as other:
            return other.response

    async def arun(self, handler: AsyncHandler) -> Response | ExtendedModelResponse[Any]:
        """Make it in async code."""

        async def ask(tier: str, role: Role) -> Any:
            config = self.call.config_for(tier, role)
            if role == "shadow":
                model, messages = self._aside(tier)
                return self._heard(tier, await model.ainvoke(messages, config))
            with _within(config):
                return self._taken(tier, role, await handler(self._to(tier)))

        try:
            return self._told(await self.call.arun(ask))
        except _NoModelAnswered as other:
            return other.response

    def may_be_cheaper(self, refused: BudgetExceeded) -> bool:
        """Whether a budget that refused the call wants a cheaper model, and none was asked yet."""
        drafts = self.call.decision.verifier is not None
        return refused.evidence.get("action") == "downgrade" and self.call.request.thrift < THRIFTY and not drafts

    def _to(self, name: str) -> Request:
        """The request as a tier gets it: its model, and nothing that it would reject."""
        request, model = self._request, self._router.tier(name).model
        system = [request.system_message] if request.system_message is not None else []
        messages: list[Any] = for_model([*system, *request.messages], model)
        head = messages.pop(0) if system else None
        return request.override(
            model=unbound(model),
            system_message=head,
            messages=messages,
            tools=tools_for(request.tools, model),
            model_settings={**bound_to(model), **settings_for(request.model_settings, model)},
        )

    def _taken(self, tier: str, role: Role, response: Response) -> AIMessage:
        """The answer in a response, which is kept; what it used is learnt from."""
        answer = next((one for one in response.result if isinstance(one, AIMessage)), None)
        if answer is None or answer.id is None:  # LangChain gives every message of a model an id
            if role == "draft":  # such as that all retries failed: the other tier may do it
                raise ConnectionError("No model answered.")
            raise _NoModelAnswered(response)
        used = None if is_cache_hit(answer) else Usage.from_message(answer)
        self._router.answered(self.call.request, self._prompt, tier, used)
        if role == "draft" and self._form.tools and response.structured_response is None and not _goes_on(response):
            raise RoutingError("The draft does not have the form that was asked for.")
        self._response = response
        return answer

    def _heard(self, tier: str, answer: AIMessage) -> AIMessage:
        """A shadow's answer, whose length is learnt."""
        used = None if is_cache_hit(answer) else Usage.from_message(answer)
        self._router.answered(self.call.request, self._prompt, tier, used, aside=True)
        return answer

    def _told(self, told: AIMessage) -> ExtendedModelResponse[Any]:
        """The last response, with an answer that says how it came about, and the decision for the agent's state."""
        assert self._response is not None  # noqa: S101  # an answer came of it
        answer = next(one for one in self._response.result if isinstance(one, AIMessage))
        result = [told if one is answer else one for one in self._response.result]
        said = {ROUTE: told.response_metadata[TOLD]}
        return ExtendedModelResponse(replace(self._response, result=result), command=Command(update=said))

    def _aside(self, tier: str) -> tuple[Runnable[Any, Any], list[BaseMessage]]:
        """A tier's model and the prompt, for a call that no other middleware is to take for the agent's."""
        request = self._to(tier)
        model: Any = request.model
        tools = [*request.tools, *self._form.tools]
        choice = "any" if self._form.tools else request.tool_choice
        bound = (
            model.bind_tools(tools, tool_choice=choice, **request.model_settings)
            if tools
            else model.bind(**request.model_settings)
        )
        return bound, _history(request)


class _NoModelAnswered(GraphBubbleUp):
    """Something behind the router answered in a model's place, such as that a budget is reached: that is the answer.

    It is a `GraphBubbleUp` so that it goes through `RoutedCall`: there is nothing to check, and nobody else to ask.
    """

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@contextmanager
def _within(config: RunnableConfig) -> Iterator[None]:
    """Make what runs in it inherit a config, as a chain's steps do.

    `create_agent` calls the model without a config. To bind one to the model would make it another object, and
    middleware that comes behind tells models apart by which object they are.
    """
    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _history(request: Request) -> list[BaseMessage]:
    system: list[BaseMessage] = [request.system_message] if request.system_message is not None else []
    return [*system, *request.messages]


def _facts(request: Request, form: _Form) -> Facts:
    tools: tuple[Any, ...] = (*request.tools, *form.tools)
    choice = {} if request.tool_choice is None else {"tool_choice": request.tool_choice}
    names = tuple(tool.name if isinstance(tool, BaseTool) else name_of(tool) for tool in request.tools)
    return with_settings(Facts(tools=names, schemas=tools, schema=form.name), {**request.model_settings, **choice})


def _goes_on(response: Response) -> bool:
    """Whether an answer asks for tools of the agent: its form is due later."""
    return len(response.result) == 1 and bool(getattr(response.result[0], "tool_calls", None))
