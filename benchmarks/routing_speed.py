"""How long a routing decision takes: CPU time of one `choose`, by policy, on an agent's history.

A decision is asked for with everything that it needs there, and the signature is worked out anew each time: policies
keep nothing. The embedding policy, with MiniLM on one thread, is measured on questions that are new each time, and on
one that stays, as it does through an agent's steps.

    python benchmarks/routing_speed.py --json out/routing_speed.json
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from statistics import median, quantiles
from time import process_time_ns
from typing import Any

from langchain_core.messages import HumanMessage
from overhead import conversation
from rows import Row, parser, publish

from langchain_agentcost.caching import default_embeddings
from langchain_agentcost.routing.example import Example
from langchain_agentcost.routing.policies.bandit import Bandit
from langchain_agentcost.routing.policies.budget_aware import BudgetAware
from langchain_agentcost.routing.policies.cascade import CascadePolicy
from langchain_agentcost.routing.policies.embedding import EmbeddingPolicy
from langchain_agentcost.routing.policies.fixed import FixedPolicy
from langchain_agentcost.routing.policies.random import RandomPolicy
from langchain_agentcost.routing.policies.rule import Rule, RulePolicy
from langchain_agentcost.routing.policies.step import StepPolicy
from langchain_agentcost.routing.policies.sticky import Sticky
from langchain_agentcost.routing.policy import Offer, Policy
from langchain_agentcost.routing.request import RouteRequest
from langchain_agentcost.routing.tier import Tier
from langchain_agentcost.routing.verifiers.user_test import UserTest
from langchain_agentcost.testing import FakeMeteredChatModel

TIERS = ("small", "mid", "frontier")
NODES = 50

NEW_TEXT, SAME_TEXT = "embedding, a new question", "embedding, the same question"
SLOWER = 25
"""By how much fewer decisions of the slow kind are measured."""


def requests(messages: int, node: str, *, again: bool = False) -> Iterator[RouteRequest]:
    """The same agent's step again and again, with another question each time, or with the same one."""
    history = conversation(messages)
    for number in count():
        history[1] = HumanMessage(f"Where is my order {0 if again else number}?")
        tools = ("lookup_0", "lookup_1", "lookup_2", "lookup_3")
        yield RouteRequest.of(history, node=node, thread="t", tools=tools, prompt_tokens=4_200, used=0.7)


def learnt() -> StepPolicy:
    """One that has seen fifty nodes and the one that is asked about."""
    nodes = ["agent", *(f"node {number}" for number in range(NODES))]
    quality = dict(zip(TIERS, (0.7, 0.8, 0.9), strict=True))
    calls = [next(requests(length, node)) for node in nodes for length in (3, 40)]
    return StepPolicy().fit([Example(request=call, quality=quality) for call in calls for _ in range(20)], TIERS)


def embedding() -> EmbeddingPolicy:
    """One that has learnt from a hundred questions."""
    quality = ({"small": 1.0, "mid": 1.0, "frontier": 1.0}, {"small": 0.0, "mid": 0.5, "frontier": 1.0})
    calls = [RouteRequest.of(f"Where is parcel {number}?", node="agent") for number in range(100)]
    examples = [Example(request=call, quality=quality[at % 2]) for at, call in enumerate(calls)]
    return EmbeddingPolicy(default_embeddings()).fit(examples, TIERS)


def policies() -> dict[str, tuple[Policy, str]]:
    """What is measured, and on which node."""
    step = StepPolicy()
    return {
        "step, the name decides": (step, "extract"),
        "step, nothing decides": (step, "agent"),
        "step, learnt": (learnt(), "agent"),
        "sticky > budget > step, learnt": (Sticky(BudgetAware(learnt())), "agent"),
        "cascade > step, learnt": (CascadePolicy(UserTest(lambda request, answer: True), inner=learnt()), "agent"),
        "bandit > step, learnt": (Bandit(learnt().with_threshold(0.3)), "agent"),
        "rule": (RulePolicy([Rule("mid", r"\brefund\b")] * 10, inner=FixedPolicy("small")), "agent"),
        "random": (RandomPolicy(), "agent"),
        NEW_TEXT: (embedding(), "agent"),
        SAME_TEXT: (embedding(), "agent"),
    }


def measured(policy: Policy, node: str, *, messages: int, rounds: int, calls: int, again: bool = False) -> Row:
    """Give the CPU time of a decision, in milliseconds: median and 95th percentile of the rounds' means."""
    made = [Offer(tier=Tier(name, FakeMeteredChatModel()), expected_nano=10**at) for at, name in enumerate(TIERS)]
    offers = [Offer(tier=each.tier, expected_nano=each.expected_nano, warm_nano=each.expected_nano) for each in made]
    asked = requests(messages, node, again=again)
    policy.choose(next(asked), offers)
    means = [_mean_ms(policy.choose, [next(asked) for _ in range(calls)], offers) for _ in range(rounds)]
    return {"messages": messages, "tiers": len(offers), "ms": median(means), "ms_p95": quantiles(means, n=20)[-1]}


def _mean_ms(choose: Callable[..., Any], asked: Sequence[RouteRequest], offers: Sequence[Offer]) -> float:
    begun = process_time_ns()
    for request in asked:
        choose(request, offers)
    return (process_time_ns() - begun) / len(asked) / 1e6


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all and publish the rows."""
    arguments = parser(__doc__)
    arguments.add_argument("--messages", type=int, nargs="+", default=[2, 40, 400])
    arguments.add_argument("--rounds", type=int, default=40)
    arguments.add_argument("--calls", type=int, default=100, help="decisions a round")
    given = arguments.parse_args(argv)
    rows: list[Row] = []
    for messages in given.messages:
        for name, (policy, node) in policies().items():
            calls = max(1, given.calls // SLOWER) if name == NEW_TEXT else given.calls
            same = name == SAME_TEXT
            row = measured(policy, node, messages=messages, rounds=given.rounds, calls=calls, again=same)
            rows.append({"system": name, **row})
    publish("routing_speed", rows, given.json)


if __name__ == "__main__":
    main()
