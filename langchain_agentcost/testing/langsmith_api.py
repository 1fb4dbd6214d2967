"""The part of LangSmith's interface that tracing needs: what each request does to a store of runs.

Two things are assumed, not known, of the hosted service: that a later patch of a field wins, and that it wins whole.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from time import monotonic
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

import zstandard

Run = dict[str, Any]
Answer = tuple[int, Any]
"""An HTTP status and a JSON body."""


def info(*, multipart: bool, zstd: bool) -> dict[str, Any]:
    """What a server says of itself; the client needs every key of the ingest configuration."""
    return {
        "version": "0.17.0",
        "instance_flags": {"zstd_compression_enabled": zstd},
        "batch_ingest_config": {
            "use_multipart_endpoint": multipart,
            "size_limit": 100,
            "size_limit_bytes": 20_971_520,
            "scale_up_qsize_trigger": 1000,
            "scale_up_nthreads_limit": 16,
            "scale_down_nempty_trigger": 4,
        },
    }


def answer(store: Store, request: Request) -> Answer:
    """Answer a request."""
    for method, pattern, route in _ROUTES:
        found = re.fullmatch(pattern, request.path)
        if found and method == request.method:
            try:
                return route(store, request, *found.groups())
            except (KeyError, ValueError, TypeError, zstandard.ZstdError) as error:
                return 400, {"detail": f"the collector cannot read this {pattern}: {error!r}"}
    return 404, {"detail": f"the collector does not serve {request.method} {request.path}"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a client did to one run.

    Args:
        kind: "post" for a new run, "patch" for a later change of it.
        run_id: The run.
        fields: What was sent of it.
        encoding: How it came: "multipart", "zstd" (multipart, compressed) or "json".
    """

    kind: str
    run_id: str
    fields: Run
    encoding: Literal["json", "multipart", "zstd"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the routes see it.

    Args:
        method: The HTTP method.
        path: The path, without the version prefix that a client may be configured with.
        query: The query's values by name.
        headers: The headers.
        body: The body, as it came.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes

    @property
    def key(self) -> str | None:
        """The key that the client shows."""
        return self.headers.get("x-api-key")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class Store:
    """What was received, guarded by one condition."""

    _changed: threading.Condition = field(default_factory=threading.Condition)
    _operations: list[Operation] = field(default_factory=list)
    _feedback: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, operations: list[Operation], feedback: list[dict[str, Any]]) -> None:
        """Remember what a request brought."""
        with self._changed:
            self._operations += operations
            self._feedback += feedback
            self._changed.notify_all()

    def operations(self) -> tuple[Operation, ...]:
        """All operations so far."""
        with self._changed:
            return tuple(self._operations)

    def feedback(self) -> tuple[dict[str, Any], ...]:
        """All feedback so far."""
        with self._changed:
            return tuple(self._feedback)

    def runs(self) -> dict[str, Run]:
        """The runs, merged. Patches go last, since they may overtake their post on another connection."""
        merged: dict[str, Run] = {}
        for operation in sorted(self.operations(), key=lambda operation: operation.kind == "patch"):
            known = {name: value for name, value in operation.fields.items() if value is not None}
            merged.setdefault(operation.run_id, {}).update(known)
        return merged

    def wait(self, n: int, timeout_s: float) -> dict[str, Run]:
        """Block until n runs have ended."""
        deadline = monotonic() + timeout_s
        with self._changed:
            while True:
                runs = self.runs()
                ended = sum("end_time" in run for run in runs.values())
                if ended >= n:
                    return runs
                if not self._changed.wait(max(0.0, deadline - monotonic())):
                    raise TimeoutError(f"{ended} of {n} runs ended within {timeout_s} s; {len(runs)} were posted.")

    def projects(self) -> dict[str, str]:
        """Project names by id."""
        names = {run["session_name"] for run in self.runs().values() if run.get("session_name")}
        return {_project_id(name): name for name in names}


def _multipart_runs(store: Store, request: Request) -> Answer:
    """Keep `post.<id>[.field]`, `patch.<id>[.field]` and `feedback.<id>` parts."""
    body, encoding = request.body, "multipart"
    if request.headers.get("Content-Encoding") == "zstd":
        body, encoding = zstandard.ZstdDecompressor().decompressobj().decompress(body), "zstd"
    changes: dict[tuple[str, str], Run] = {}
    feedback = []
    for name, content in parts_of(body, request.headers.get("Content-Type") or ""):
        kind, run_id, *rest = name.split(".", 2)
        if kind == "feedback":
            feedback.append(json.loads(content))
        elif kind in {"post", "patch"}:
            change = changes.setdefault((kind, run_id), {})
            change.update({rest[0]: json.loads(content)} if rest else json.loads(content))
    store.keep([Operation(kind, run, change, encoding) for (kind, run), change in changes.items()], feedback)  # type: ignore[arg-type]
    return 202, {}


def _batch_of_runs(store: Store, request: Request) -> Answer:
    batch = request.json()
    runs = [(kind, run) for kind in ("post", "patch") for run in batch.get(kind) or ()]
    store.keep([Operation(kind, str(run["id"]), run, "json") for kind, run in runs], [])
    return 202, {}


def _post_run(store: Store, request: Request) -> Answer:
    run = request.json()
    store.keep([Operation("post", str(run["id"]), run, "json")], [])
    return 202, {}


def _patch_run(store: Store, request: Request, run_id: str) -> Answer:
    store.keep([Operation("patch", run_id, request.json(), "json")], [])
    return 202, {}


def _projects(store: Store, request: Request) -> Answer:
    names = request.query.get("name")
    tenant = str(uuid5(NAMESPACE_URL, "tenant"))
    found = [
        {"id": key, "name": name, "tenant_id": tenant, "reference_dataset_id": None}
        for key, name in store.projects().items()
        if names is None or name in names
    ]
    return 200, found


def _query(store: Store, request: Request) -> Answer:
    """Answer a query as the hosted service documents it: only what was selected, a page at a time."""
    asked = request.json()
    since = asked.get("min_start_time") or (datetime.now(UTC) - timedelta(days=1)).isoformat()
    found = [
        row
        for row in map(_row, store.runs().values())
        if row["project_id"] in asked.get("project_ids", [])
        and (not asked.get("ids") or row["id"] in asked["ids"])
        and (not asked.get("run_type") or row["run_type"].upper() == asked["run_type"].upper())
        and _instant(row["start_time"]) >= _instant(since)
    ]
    found.sort(key=lambda row: row["dotted_order"], reverse=True)
    start = int(asked.get("cursor") or 0)
    end = start + int(asked.get("page_size") or 100)
    selected = [name.lower() for name in asked.get("selects") or ["ID"]]
    items = [{name: row[name] for name in selected if row.get(name) is not None} for row in found[start:end]]
    return 200, {"items": items, "next_cursor": str(end) if end < len(found) else None}


def _link(_: Store, request: Request, run_id: str) -> Answer:
    return 200, {"url": f"http://{request.headers.get('Host')}/projects/p/{request.query['project_id'][0]}/r/{run_id}"}


def _post_feedback(store: Store, request: Request) -> Answer:
    store.keep([], [request.json()])
    return 200, {}


def _list_feedback(store: Store, request: Request) -> Answer:
    runs = store.runs()
    asked = request.query
    found = []
    for given in store.feedback():
        run_id = str(given.get("run_id") or given.get("trace_id"))
        project = given.get("session_id") or _project_id(str(runs.get(run_id, {}).get("session_name")))
        matches = {"key": given["key"], "run": run_id, "session": str(project)}
        if all(value in asked.get(name, [value]) for name, value in matches.items()):
            found.append({"trace_id": None, **given, "run_id": run_id})
    start = int(asked.get("offset", ["0"])[0])
    return 200, found[start : start + int(asked.get("limit", ["100"])[0])]


_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("POST", "/runs/multipart", _multipart_runs),
    ("POST", "/runs/batch", _batch_of_runs),
    ("POST", "/runs", _post_run),
    ("PATCH", "/runs/([^/]+)", _patch_run),
    ("GET", "/sessions", _projects),
    ("POST", "/api/v2/runs/query", _query),
    ("GET", "/api/v2/runs/([^/]+)/url", _link),
    ("POST", "/feedback", _post_feedback),
    ("GET", "/feedback", _list_feedback),
)
"""What is served: method, path, and the function that answers."""


def parts_of(body: bytes, content_type: str) -> Iterator[tuple[str, bytes]]:
    r"""Take a multipart body apart.

    Args:
        body: The body, decompressed.
        content_type: The header, which names the boundary.

    Yields:
        The name and the content of each part.

    Example:
        >>> body = b'--b\r\nContent-Disposition: form-data; name="post.1"\r\n\r\n{}\r\n--b--\r\n'
        >>> list(parts_of(body, "multipart/form-data; boundary=b"))
        [('post.1', b'{}')]
    """
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    if boundary is None:
        return
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name:
            yield name[1].decode(), content


def _row(run: Run) -> Run:
    """A run as a query gives it."""
    metadata = (run.get("extra") or {}).get("metadata") or {}
    usage = metadata.get("usage_metadata") or {}
    return {
        **run,
        "project_id": _project_id(str(run.get("session_name"))),
        "metadata": metadata,
        "total_cost": usage.get("total_cost"),
        "prompt_cost": usage.get("input_cost"),
        "completion_cost": usage.get("output_cost"),
        "dotted_order": run.get("dotted_order") or str(run["id"]),
    }


def _instant(text: str) -> datetime:
    """An ISO 8601 instant; UTC where it does not say."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _project_id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))
