"""The nodes of a graph that makes a recorded run again: who asks, who answers, what tools give, what the user says."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.graph.state import CompiledStateGraph
from pydantic import Field, InstanceOf

from langchain_agentcost.errors import ReplayMismatch
from langchain_agentcost.replay.difference import difference
from langchain_agentcost.replay.episode import Call, Episode, Recorded
from langchain_agentcost.replay.model import STAMP, ReplayChatModel
from langchain_agentcost.replay.request import Overhead, Request, Served, Stopped
from langchain_agentcost.replay.sizes import Toolset
from langchain_agentcost.replay.steps import asked_by_id
from langchain_agentcost.replay.strategy import Paid, Scene, Session
from langchain_agentcost.usage import Usage

PREPARE, ASK, TOOLS, USER = "prepare", "ask", "tools", "user"
"""The nodes: what a strategy does before a call, the call, what it asked for, and what came from outside."""

Update = dict[str, list[BaseMessage]]

Message = TypeVar("Message", bound=BaseMessage)


class Stage:
    """A run under way in a graph. The conversation is in the graph's state; where the record stands is here.

    Args:
        scene: The run.
        session: What the strategy does with it, but for limits: those are the meter's.
        model: What answers.

    Attributes:
        served: Calls that a cache answered.
        stopped: Why the strategy itself ended the run; None where it did not.
    """

    def __init__(self, scene: Scene, session: Session, model: ReplayChatModel) -> None:
        self.served = 0
        self.stopped: str | None = None
        self._scene = scene
        self._session = session
        self._model = model
        self._made = self._extras = 0
        self._goes_to = PREPARE
        self._before = scene.episode.calls[0]
        self._request = Request(Toolset(()), ())
        self._coming: deque[BaseMessage] = deque()
        self._anew: Sequence[BaseMessage] = ()

    def graph(self) -> CompiledStateGraph[Any, Any, Any, Any]:
        """Build the graph."""
        builder = StateGraph(MessagesState)
        builder.add_node(PREPARE, self._prepare)
        builder.add_node(ASK, self._ask)
        builder.add_node(TOOLS, self._run_tools)
        builder.add_node(USER, self._hear)
        builder.add_edge(START, PREPARE)
        for node in (PREPARE, ASK, TOOLS, USER):
            builder.add_conditional_edges(node, self._next)
        # Pickle is for what LangGraph's own format has no room for, such as long numbers: it stays in this process.
        return builder.compile(checkpointer=InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=True)))

    def start(self) -> Update:
        """What the graph is invoked with: the first prompt."""
        return {"messages": _copies(self._call.messages)}

    @property
    def most_steps(self) -> int:
        """How many supersteps the graph may take."""
        calls = self._scene.episode.calls
        return 10 + 4 * len(calls) + sum({id(call.history): len(call.history) for call in calls}.values())

    @property
    def _call(self) -> Call:
        return self._scene.episode.calls[self._made]

    def _next(self, state: MessagesState) -> str:
        """Where the graph goes on: what the record has next."""
        return self._goes_to

    def _prepare(self, state: MessagesState, config: RunnableConfig) -> Update:
        """Let the strategy decide on the next call, as a hook before the model would."""
        call = self._call
        given = Request(Toolset(self._scene.episode.tools), call.messages)
        decision = self._session.before(call, given)
        for extra in self._session.take_overhead():
            self._extras += 1
            _pay(self._scene, extra, self._extras, config)
        if isinstance(decision, Stopped):
            self.stopped, self._goes_to = decision.why, END
            return {}
        if isinstance(decision, Served):
            self.served += 1
            self._session.after(call, Paid(Usage(), 0, call.recorded.at_s))
            return self._answered(call, _copy(call.answer))
        self._request = self._as_in_state(given, decision, state["messages"])
        self._goes_to = ASK
        return {}

    def _ask(self, state: MessagesState, config: RunnableConfig) -> Update:
        """Make the call."""
        call, (tools, messages, model) = self._call, self._request
        longest = max(1, self._scene.sizes.answer_tokens(call))
        sent: dict[str, Any] = {"tools": [*tools.schemas], "max_output_tokens": longest}
        if tools.stamp:
            sent[STAMP] = tools.stamp
        if model is not None:
            sent["model"] = model
        answer = self._model.bind(**sent).invoke([*messages], config)
        usage = Usage.from_message(answer) or Usage()
        self._session.after(call, Paid(usage, self._scene.tariff.nano(usage), call.recorded.at_s))
        return self._answered(call, answer)

    def _run_tools(self, state: MessagesState, config: RunnableConfig) -> Update:
        """Run the tools, one after the other, of which the record has a result."""
        asked = asked_by_id(self._before)
        results: list[BaseMessage] = []
        while self._coming and isinstance(result := self._coming[0], ToolMessage):
            made = asked.get(result.tool_call_id)
            name = made["name"] if made is not None else result.name or "?"
            arguments = made["args"] if made is not None else {}
            tool = _PlayedTool(name=name, result=result)
            results.append(tool.invoke(tool_call(name=name, args=arguments, id=result.tool_call_id), config))
            self._coming.popleft()
        self._go_on()
        return {"messages": results}

    def _hear(self, state: MessagesState) -> Update:
        """Take in what comes from outside; where the recorded program wrote its prompt anew, that in its place."""
        heard: list[BaseMessage] = []
        while self._coming and not isinstance(self._coming[0], ToolMessage):
            heard.append(self._coming.popleft())
        if self._anew and not self._coming:
            heard, self._anew = [*self._anew], ()
            self._go_on()
            return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), *_copies(heard)]}
        self._go_on()
        return {"messages": _copies(heard)}

    def _as_in_state(self, given: Request, decided: Request, state: Sequence[BaseMessage]) -> Request:
        """Put what the graph's state has in place of the recorded messages that the strategy lets stand.

        Raises:
            ReplayMismatch: If the strategy changed a prompt, and the state is not the prompt that it was shown.
        """
        if decided.messages is given.messages:
            return decided._replace(messages=tuple(state))
        found = difference(given, given._replace(messages=tuple(state)), self._key)
        if found is not None:
            raise ReplayMismatch(f"The graph's state before call {self._made + 1} is not what was recorded: {found}.")
        here = {id(message): same for message, same in zip(given.messages, state, strict=True)}
        return decided._replace(messages=tuple([here.get(id(message), message) for message in decided.messages]))

    def _answered(self, call: Call, answer: AIMessage) -> Update:
        """Take an answer, and note what comes between it and the next call."""
        self._before, self._coming, self._anew = call, deque(call.results), ()
        self._made += 1
        if self._made < len(self._scene.episode.calls):
            prompt, said = self._call.messages, (*call.messages, call.answer)
            if self._begins_with(prompt, said):
                self._coming = deque(prompt[len(said) :])
            else:
                self._anew = prompt
        self._go_on()
        return {"messages": [answer]}

    def _begins_with(self, prompt: Sequence[BaseMessage], said: Sequence[BaseMessage]) -> bool:
        if len(prompt) < len(said):
            return False
        return all(a is b or self._key(a) == self._key(b) for a, b in zip(prompt, said, strict=False))

    def _go_on(self) -> None:
        if self._coming:
            self._goes_to = TOOLS if isinstance(self._coming[0], ToolMessage) else USER
        elif self._anew:
            self._goes_to = USER
        else:
            self._goes_to = PREPARE if self._made < len(self._scene.episode.calls) else END

    def _key(self, message: BaseMessage) -> bytes:
        return self._scene.sizes.of(message).key


class _PlayedTool(BaseTool):
    """A real tool that gives what was recorded, whatever its arguments are."""

    description: str = ""
    args_schema: Any = Field(default_factory=dict)
    result: InstanceOf[ToolMessage] = Field(repr=False)

    def _run(self, /, *args: Any, **kwargs: Any) -> ToolMessage:
        return _copy(self.result)


def _pay(scene: Scene, extra: Overhead, number: int, config: RunnableConfig) -> None:
    """Make a call that only the strategy makes: of each only the tokens are known, and that it is another one."""
    card, terms = scene.tariff.card, scene.tariff.terms
    read = terms.cached(extra.read_tokens, extra.input_tokens) if terms is not None else 0
    usage = Usage(extra.input_tokens, extra.output_tokens, cache_read_tokens=read)
    prompt = (HumanMessage(f"[call {number} of the strategy's own]"),)
    call = Call(prompt, 1, AIMessage(f"[answer {number}]"), recorded=Recorded(usage))
    episode = Episode("overhead", (call,), model=card.model, provider=card.provider)
    ReplayChatModel(episode=episode, cache=False).invoke([*prompt], config)


def _copies(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    return [_copy(message) for message in messages]


def _copy(message: Message) -> Message:
    """A message without an id: LangGraph gives it one of its own, and would replace one of the same."""
    return message.model_copy(update={"id": None})
