"""The compressor of documents, for a `ContextualCompressionRetriever` and wherever else LangChain takes one."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field

from langchain_agentcost.context.compress.prompt_compressor import PromptCompressor


class AgentCostDocumentCompressor(BaseDocumentCompressor):
    """Keeps of retrieved documents what answers the query.

    Args:
        compressor: Does it; by default to half of the tokens, by BM25.

    Example:
        >>> documents = [Document("The pier was built in 1899. It rains a lot."), Document("Tea is served at four.")]
        >>> compressor = PromptCompressor(target_tokens=6, count=lambda text: len(text.split()))
        >>> kept = AgentCostDocumentCompressor(compressor=compressor).compress_documents(
        ...     documents, "When was it built?"
        ... )
        >>> [document.page_content for document in kept]
        ['The pier was built in 1899.']
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    compressor: PromptCompressor = Field(default_factory=PromptCompressor)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Compress documents together.

        Args:
            documents: What was retrieved; a "title" in the metadata helps to rank.
            query: What was asked.
            callbacks: Unused: no model is called.

        Returns:
            Those of which something is left, in their order, with their metadata.
        """
        return self.compressor.compress_documents(documents, query).documents
