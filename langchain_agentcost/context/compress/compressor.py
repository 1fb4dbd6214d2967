"""What makes a text shorter: one method, so that any compressor can stand in for another."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from langchain_agentcost.context.compress.compressed import Compressed


@runtime_checkable
class Compressor(Protocol):
    """Makes a text shorter."""

    def compress(self, text: str, query: str = "") -> Compressed:
        """Compress a text.

        Args:
            text: What is to become shorter.
            query: What the text shall still answer; empty where that is not known.
        """
        ...
