"""Lint: what a prompt's fixed part wastes, in tokens and dollars, and how to say it shorter.

`lint` looks at a `Subject` (from `of_graph`, or from recorded runs by `replay.linting.subjects`), `propose` gives
shorter texts as diffs, `accept` is the paired test that another wording has to pass. `lean_schema` and `stable_tools`
stand by themselves. Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_agentcost.lazy import lazy

if TYPE_CHECKING:
    from langchain_agentcost.context.lint.finding import Change, Finding
    from langchain_agentcost.context.lint.graph import of_graph
    from langchain_agentcost.context.lint.linting import Linted, lint
    from langchain_agentcost.context.lint.proposing import Proposal, propose
    from langchain_agentcost.context.lint.schemas import lean_schema, lean_tools
    from langchain_agentcost.context.lint.stable import stable_schema, stable_tools
    from langchain_agentcost.context.lint.subject import Seen, Subject
    from langchain_agentcost.context.lint.values import templated
    from langchain_agentcost.context.output.trial import accept

__all__ = [
    "Change",
    "Finding",
    "Linted",
    "Proposal",
    "Seen",
    "Subject",
    "accept",
    "lean_schema",
    "lean_tools",
    "lint",
    "of_graph",
    "propose",
    "stable_schema",
    "stable_tools",
    "templated",
]

_HOMES = {
    "Change": "finding",
    "Finding": "finding",
    "Linted": "linting",
    "Proposal": "proposing",
    "Seen": "subject",
    "Subject": "subject",
    "accept": "langchain_agentcost.context.output.trial",
    "lean_schema": "schemas",
    "lean_tools": "schemas",
    "lint": "linting",
    "of_graph": "graph",
    "propose": "proposing",
    "stable_schema": "stable",
    "stable_tools": "stable",
    "templated": "values",
}
"""In which module a name is; one of another package in full."""


__getattr__, __dir__ = lazy(__name__, _HOMES)
