"""How a model's answers are capped: each provider's client has a name of its own for it. Data, in one place."""

from __future__ import annotations

CAPS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict", "max_new_tokens")
"""How requests cap their answer. Of several the first counts: langchain-openai renames each into the next one."""

NESTED = ("generation_config", "options", "extra_body", "model_kwargs", "params")
"""Where else a request may hold its cap; which one wins differs by provider."""

FIELD = "num_predict"
"""By what field of a model where no argument of a call does it: Ollama's."""

ARGUMENTS = {
    "ChatOpenAI": "max_completion_tokens",  # max_tokens loses against the model's own one in the Responses API
    "AzureChatOpenAI": "max_completion_tokens",  # sends both names where it is given max_tokens
    "ChatGoogleGenerativeAI": "max_output_tokens",
    "ChatVertexAI": "max_output_tokens",
}
"""By what argument of a call an answer is capped, by the name of the model's class or a base; else "max_tokens"."""


def argument_of(model: object) -> str:
    """Give the argument of a call that caps a model's answers.

    Args:
        model: The chat model.

    Example:
        >>> class ChatOpenAI:
        ...     pass
        >>> argument_of(ChatOpenAI()), argument_of(object())
        ('max_completion_tokens', 'max_tokens')
    """
    classes = [made.__name__ for made in type(model).__mro__]
    return next((ARGUMENTS[name] for name in classes if name in ARGUMENTS), "max_tokens")
