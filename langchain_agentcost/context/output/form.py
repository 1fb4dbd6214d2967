"""A form that a model fills in, in place of prose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def answer_form(name: str, fields: Mapping[str, str], *, purpose: str = "") -> dict[str, Any]:
    """Make the schema of a short answer, for `with_structured_output` or `create_agent(response_format=…)`.

    A form has no introductions and no closing words, and what each field may hold is said where the model reads it. It
    is sent with every call, as part of the prefix that is cached. What it saves, and whether its answers are as good,
    depends on the model: have it accepted by `accept`.

    Args:
        name: What the answer is called, such as "Verdict".
        fields: For each field what belongs in it and how long it may be, such as {"reason": "at most ten words"}.
        purpose: What the form is for.

    Returns:
        A JSON schema, every field a text and required.

    Raises:
        ValueError: If it has no fields.

    Example:
        >>> answer_form("Verdict", {"decision": "refund or refuse"})["required"]
        ['decision']
    """
    if not fields:
        raise ValueError(f"The form {name!r} has no fields.")
    properties = {field: {"type": "string", "description": wanted} for field, wanted in fields.items()}
    return {
        "title": name,
        "description": purpose or f"The {name}.",
        "type": "object",
        "properties": properties,
        "required": [*fields],
        "additionalProperties": False,
    }
