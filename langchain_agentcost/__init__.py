"""The economics of LLM agents: meter, price, attribute and report every call of a LangChain or LangGraph app."""

from __future__ import annotations

__version__ = "0.1.0"
