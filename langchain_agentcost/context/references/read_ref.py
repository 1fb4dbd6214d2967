"""The tool with which an agent reads what was put aside."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool

from langchain_agentcost.context.references.policy import READ_REF
from langchain_agentcost.context.references.references import References

DESCRIPTION = (
    "Read a tool result that was cut and has a reference, such as ref:ab12cd34. Give one of: query, to find the "
    'passages about something; lines, such as "10-40"; jsonpath, such as "$.orders[*].id", where it is JSON. '
    "Without them it starts at the beginning."
)
"""What the model is told; it is in every prompt, so it is short."""


def read_ref_tool(references: References) -> BaseTool:
    """Give the tool `read_ref(ref, query=None, lines=None, jsonpath=None)`, for sync and async agents.

    Args:
        references: Who put the results aside.

    Example:
        >>> read_ref_tool(References()).invoke({"ref": "ref:ab23cd45"})
        "Nothing is kept under 'ref:ab23cd45', or no longer. If you need that result, call its tool again."
    """

    def read_ref(
        ref: str,
        config: RunnableConfig,
        query: str | None = None,
        lines: str | None = None,
        jsonpath: str | None = None,
    ) -> tuple[str, dict[str, Any]]:
        said, back = references.read_back(ref, config=config, query=query, lines=lines, jsonpath=jsonpath)
        return said, back.as_artifact()

    async def aread_ref(
        ref: str,
        config: RunnableConfig,
        query: str | None = None,
        lines: str | None = None,
        jsonpath: str | None = None,
    ) -> tuple[str, dict[str, Any]]:
        said, back = await references.aread_back(ref, config=config, query=query, lines=lines, jsonpath=jsonpath)
        return said, back.as_artifact()

    return StructuredTool.from_function(
        func=read_ref,
        coroutine=aread_ref,
        name=READ_REF,
        description=DESCRIPTION,
        response_format="content_and_artifact",
    )
