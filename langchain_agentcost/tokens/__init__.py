"""Count tokens before a provider does, or where it does not: exactly where that is possible offline, else by estimate.

The order of trust is the provider's own usage, then a tokenizer whose files are already on this machine, then an
estimate by character class; the last two are corrected by what was learned from the provider's answers. Nothing here
touches the network unless it is asked to, and nothing heavy is imported before it is used.
"""

from langchain_agentcost.tokens.counter import TokenCounter, count_messages, count_text
from langchain_agentcost.tokens.estimate import estimate_message, estimate_schemas, estimate_text

__all__ = ["TokenCounter", "count_messages", "count_text", "estimate_message", "estimate_schemas", "estimate_text"]
