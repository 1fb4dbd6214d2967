"""A shorter wording by a model, refused where anything that must not change is missing."""

from __future__ import annotations

import re
from typing import NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage

_ASK = (
    "You shorten system prompts of agents. Keep every rule, exception, condition and their order of precedence. Keep "
    "every number, date, name, identifier, {variable}, quoted text, code and tag exactly as it is. Group rules under "
    "short headings. Write no reasons for your changes and nothing around the prompt: answer with the prompt only."
)
_CONFIG = {"metadata": {"agentcost_purpose": "summarization"}, "run_name": "agentcost_lint_rewrite"}

_LITERAL = re.compile(
    r"\{\w+\}|</?\w+>|`[^`\n]+`|\"[^\"\n]{1,80}\"|https?://\S+|\b\w*\d[\w.:%-]*\b|\b\w+_\w+\b|\b[A-Z]{2,}\b"
)
_FENCED = re.compile(r"\A\s*```\w*\n(.*)\n```\s*\Z", re.DOTALL)


class Reworded(NamedTuple):
    """What a model made of a text.

    Args:
        text: Its wording; None where it was refused.
        refused: Why.
    """

    text: str | None
    refused: str = ""


def reworded(text: str, model: BaseChatModel) -> Reworded:
    """Ask a model for a shorter wording of a system message.

    Args:
        text: The message.
        model: The model. The call carries `agentcost_purpose`, so that a meter books it as overhead.

    Returns:
        The wording; refused where a number, identifier, variable, tag or quotation of the message is missing in it.
    """
    answer = model.invoke([SystemMessage(_ASK), HumanMessage(text)], config=_CONFIG)  # type: ignore[arg-type]
    made = str(answer.text).strip()
    fenced = _FENCED.match(made)
    made = fenced[1].strip() if fenced else made
    if not made:
        return Reworded(None, "the answer is empty")
    missing = [literal for literal in literals(text) if literal not in made]
    if missing:
        return Reworded(None, f"{len(missing)} literals are missing in it, such as {', '.join(missing[:5])}")
    return Reworded(made)


def literals(text: str) -> list[str]:
    """Give what a wording may not change: numbers, identifiers, variables, tags, code, quotations.

    Example:
        >>> literals('Call `track_order` for {name}, at most 3 times; say "Done".')
        ['`track_order`', '{name}', '3', '"Done"']
    """
    return list(dict.fromkeys(match[0] for match in _LITERAL.finditer(text)))
