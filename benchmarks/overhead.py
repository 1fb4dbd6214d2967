"""How much the meter adds to one model call, beside what else people hang on their models.

A fake chat model answers at once, so what is left is LangChain and the handler. Systems take turns within a round, a
round's CPU time is that of the whole process (background threads included), and a handler's cost is what it adds to the
bare call of the same round. `ratio` is that cost over Langfuse's of the same rounds, with a 95 % bootstrap interval.

    python benchmarks/overhead.py --json out/overhead.json
"""

from __future__ import annotations

import gc
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter_ns, process_time_ns
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tracers.langchain import LangChainTracer
from langchain_core.utils.function_calling import convert_to_openai_tool
from rows import parser, publish, ratio

from langchain_agentcost import CostMeter
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.testing.collector import LangSmithCollector

BASELINE = "langfuse"
TOOLS = 10

BUDGETS = (Budget(usd=1000, per="run"), Budget(steps=10_000))
"""Limits that nothing here reaches: they are reserved on before each call and settled after it."""


class InstantModel(BaseChatModel):
    """Answers at once, the way ChatOpenAI reports an answer."""

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        usage = {"input_tokens": 60 * len(messages), "output_tokens": 40, "total_tokens": 60 * len(messages) + 40}
        details = {"input_token_details": {"cache_read": 0, "audio": 0}, "output_token_details": {"reasoning": 0}}
        answer = AIMessage(
            "Your order leaves tomorrow.",
            usage_metadata={**usage, **details},
            response_metadata={"model_name": "gpt-4o-mini-2024-07-18", "finish_reason": "stop", "logprobs": None},
        )
        return ChatResult(generations=[ChatGeneration(message=answer)], llm_output={"model_name": "gpt-4o-mini"})

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools as ChatOpenAI does."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "openai", "ls_model_type": "chat", "ls_model_name": "gpt-4o-mini"}

    @property
    def _llm_type(self) -> str:
        return "instant"


def conversation(messages: int) -> list[BaseMessage]:
    """An agent's history: a question, then tool calls and their results in turn."""
    made: list[BaseMessage] = [SystemMessage("You are a support agent. " * 20), HumanMessage("Where is my order 42?")]
    while len(made) < messages:
        call = {"name": "lookup_0", "args": {"order_id": len(made)}, "id": f"call-{len(made)}"}
        made.append(AIMessage("", tool_calls=[call]))
        made.append(ToolMessage('{"order_id": 42, "status": "packed", "carrier": "DHL"} ' * 5, tool_call_id=call["id"]))
    return made[:messages] if messages > 1 else made[1:2]


def tool_schemas() -> list[dict[str, Any]]:
    """Tools of an ordinary size."""
    parameters = {"type": "object", "properties": {"order_id": {"type": "integer", "description": "The order."}}}
    return [
        {
            "type": "function",
            "function": {"name": f"lookup_{i}", "description": "Look it up.", "parameters": parameters},
        }
        for i in range(TOOLS)
    ]


@contextmanager
def systems(only: Sequence[str]) -> Iterator[dict[str, list[BaseCallbackHandler]]]:
    """The handlers to compare, by name; they are closed at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        makers: dict[str, Callable[[], BaseCallbackHandler | None]] = {
            "bare": lambda: None,
            "empty handler": BaseCallbackHandler,
            "agentcost memory": lambda: stack.enter_context(CostMeter()),
            "agentcost memory, budgets": lambda: stack.enter_context(CostMeter(budgets=BUDGETS)),
            "agentcost sqlite": lambda: stack.enter_context(CostMeter(f"sqlite:///{folder / 'costs.db'}")),
            "UsageMetadataCallbackHandler": UsageMetadataCallbackHandler,
            "OpenAICallbackHandler": _openai_callback,
            BASELINE: _langfuse,
            "LangChainTracer on loopback": lambda: _langsmith(stack),
        }
        wanted = {name: make() for name, make in makers.items() if not only or name in only or name == "bare"}
        yield {name: [handler] if handler else [] for name, handler in wanted.items()}


def _openai_callback() -> BaseCallbackHandler:
    from langchain_community.callbacks.openai_info import OpenAICallbackHandler  # noqa: PLC0415  # a peer

    handler: BaseCallbackHandler = OpenAICallbackHandler()
    return handler


def _langfuse() -> BaseCallbackHandler:
    from langfuse import Langfuse  # noqa: PLC0415  # a peer
    from langfuse.langchain import CallbackHandler  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

    Langfuse(
        public_key="pk-local",
        secret_key="sk-local",  # noqa: S106  # no secret
        base_url="http://127.0.0.1:9",
        span_exporter=InMemorySpanExporter(),
    )
    handler: BaseCallbackHandler = CallbackHandler(public_key="pk-local")
    return handler


def _langsmith(stack: ExitStack) -> BaseCallbackHandler:
    collector = stack.enter_context(LangSmithCollector())
    return LangChainTracer(client=collector.client())


def measure(handlers: dict[str, list[BaseCallbackHandler]], messages: int, rounds: int, calls: int) -> dict[str, Any]:
    """Time every system in every round, in an order that changes.

    Returns:
        For each system, the CPU and wall microseconds per call of every round.
    """
    model = InstantModel().bind_tools(tool_schemas())
    prompt = conversation(messages)
    taken: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in handlers}
    order = list(handlers)
    dice = random.Random(messages)  # noqa: S311  # an order, not a secret
    for round_ in range(rounds + 1):
        dice.shuffle(order)
        for name in order:
            config: Any = {"callbacks": handlers[name]}
            gc.collect()
            gc.disable()
            wall, cpu = perf_counter_ns(), process_time_ns()
            for _ in range(calls):
                model.invoke(prompt, config)
            cpu, wall = process_time_ns() - cpu, perf_counter_ns() - wall
            gc.enable()
            if round_:  # the first round warms caches up
                taken[name]["cpu"].append(cpu / calls / 1000)
                taken[name]["wall"].append(wall / calls / 1000)
    return taken


def rows_of(taken: dict[str, Any], messages: int, n: int) -> list[dict[str, Any]]:
    """One row a system: the median of what it adds to the bare call, and its ratio to Langfuse's."""

    def added(name: str, clock: str) -> list[float]:
        return [a - b for a, b in zip(taken[name][clock], taken["bare"][clock], strict=True)]

    made: list[dict[str, Any]] = []
    for name in taken:
        bare = name == "bare"
        clocks = {clock: taken[name][clock] if bare else added(name, clock) for clock in ("cpu", "wall")}
        row = {"system": name, "messages": messages, "cpu_us": median(clocks["cpu"]), "wall_us": median(clocks["wall"])}
        compared = {} if bare or BASELINE not in taken else ratio(clocks["cpu"], added(BASELINE, "cpu"))
        made.append({**row, **compared, "n": n})
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--calls", type=int, default=75, help="calls a system and round")
    options.add_argument("--messages", type=int, nargs="+", default=[1, 20, 100])
    options.add_argument("--systems", nargs="+", default=[], help="only these, beside the bare call")
    chosen = options.parse_args(arguments)
    os.environ["LANGSMITH_TRACING"] = "false"
    made: list[dict[str, Any]] = []
    with systems(chosen.systems) as handlers:
        for messages in chosen.messages:
            taken = measure(handlers, messages, chosen.rounds, chosen.calls)
            made += rows_of(taken, messages, chosen.rounds * chosen.calls)
    publish("overhead", made, chosen.json)


if __name__ == "__main__":
    main()
