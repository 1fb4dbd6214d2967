"""What recorded runs tell lint: the adapter from traces and ledgers to `context.lint`."""

from langchain_agentcost.replay.linting.subjects import subjects

__all__ = ["subjects"]
