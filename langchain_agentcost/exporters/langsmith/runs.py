"""Reading projects and runs back from LangSmith.

The client's own readers are either deprecated (`list_runs`, `read_run` and `get_run_url` go after January 2027) or
bound to one event loop (`client.runs`). So the same documented endpoints are asked through
`Client.request_with_retries`, which is public, synchronous, and knows keys, retries and workspaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from langsmith.utils import LangSmithError, LangSmithNotFoundError

if TYPE_CHECKING:
    from langsmith import Client

PAGE = 100
"""Runs a page: what the service gives by default."""

_SELECTS = ("ID", "NAME", "RUN_TYPE", "START_TIME", "END_TIME", "ERROR", "TRACE_ID", "DOTTED_ORDER", "PARENT_RUN_IDS",
            "PROJECT_ID", "EXTRA", "METADATA", "OUTPUTS", "TAGS", "TOTAL_COST")  # fmt: skip
"""The fields that are asked for. Outputs are needed for what old traces say about the model that answered."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as LangSmith has it.

    Args:
        fields: What the service gave, by its names.
    """

    fields: dict[str, Any]

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self.fields["id"])

    @property
    def metadata(self) -> dict[str, Any]:
        """The run's metadata."""
        return {**((self.fields.get("extra") or {}).get("metadata") or {}), **(self.fields.get("metadata") or {})}

    @property
    def usage_metadata(self) -> dict[str, Any]:
        """The token counts and costs that were sent with the run, from its metadata or its answer; empty if none."""
        return self.metadata.get("usage_metadata") or self.message.get("usage_metadata") or {}

    @property
    def message(self) -> dict[str, Any]:
        """The fields of the first message of the answer, as LangChain writes it; empty if there is none."""
        outputs = self.fields.get("outputs") or {}
        for batch in outputs.get("generations") or ():
            for generation in batch if isinstance(batch, list) else (batch,):
                message = generation.get("message") or {}
                return message.get("kwargs") or message
        return {}

    @property
    def started(self) -> datetime:
        """When it started, UTC."""
        return _instant(self.fields["start_time"])

    @property
    def ended(self) -> datetime | None:
        """When it ended, UTC; None for a run that is pending."""
        ended = self.fields.get("end_time")
        return _instant(ended) if ended else None

    @property
    def total_cost(self) -> Any:
        """The cost that LangSmith shows, its own estimate included; None if it shows none."""
        return self.fields.get("total_cost")


def project_id(client: Client, project: str) -> str:
    """Find a project by name.

    Args:
        client: The client.
        project: The project's name.

    Returns:
        The project's id.

    Raises:
        LangSmithNotFoundError: If there is none of that name.
        LangSmithError: If the service cannot be reached, or refuses the key.
    """
    return str(client.read_project(project_name=project).id)


def runs(
    client: Client,
    *,
    project: str,
    since: datetime,
    run_type: str | None = None,
    ids: Sequence[str] = (),
    selects: Sequence[str] = _SELECTS,
) -> Iterator[StoredRun]:
    """Go through the runs of a project, the latest first, a page at a time.

    Args:
        client: The client.
        project: The project's id.
        since: Only runs that started at or after this instant.
        run_type: Only runs of this type, such as "LLM".
        ids: Only these runs; all where empty.
        selects: The fields to ask for.

    Yields:
        The runs.

    Raises:
        LangSmithError: If the service cannot be reached, refuses the key, or is older than 0.16.
    """
    asked: dict[str, Any] = {
        "project_ids": [project],
        "min_start_time": since.isoformat(),
        "selects": list(selects),
        "page_size": PAGE,
    }
    asked |= {"run_type": run_type} if run_type else {}
    asked |= {"ids": list(ids)} if ids else {}
    while True:
        try:
            page = client.request_with_retries("POST", _v2(client, "runs/query"), json=asked).json()
        except LangSmithNotFoundError as error:
            raise LangSmithError("It has no /api/v2/runs/query; LangSmith 0.16 or later is needed.") from error
        yield from map(StoredRun, page.get("items") or ())
        if not page.get("next_cursor"):
            return
        asked["cursor"] = page["next_cursor"]


def link_to(client: Client, run: StoredRun) -> str:
    """Give the address of the page that shows a run."""
    query = {"project_id": run.fields["project_id"], "trace_id": run.fields["trace_id"]}
    answer = client.request_with_retries("GET", _v2(client, f"runs/{run.id}/url"), params=query).json()
    return str(answer["url"])


def _instant(text: object) -> datetime:
    instant = datetime.fromisoformat(str(text))
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _v2(client: Client, path: str) -> str:
    """The address of an endpoint of the second version, which does not live below the configured one."""
    root = client.api_url.rstrip("/").removesuffix("/v1").removesuffix("/api")
    return f"{root}/api/v2/{path}"
