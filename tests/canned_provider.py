"""A model provider on loopback that speaks OpenAI, Anthropic and Gemini and says what it is told to say.

The real LangChain classes talk to it over real HTTP, with and without streaming, so that a test sees what their parsers
make of a provider's bytes:

    with CannedProvider(openai_chat("Hi", usage={"prompt_tokens": 9, "completion_tokens": 1})) as provider:
        ChatOpenAI(model="gpt-5-mini", base_url=provider.openai_url, api_key="none").invoke("Hello")

The builders (`openai_chat`, `openai_response`, `openai_text`, `anthropic_message`, `gemini_content`) make the body of a
whole reply; the server cuts it into server-sent events where the client asks for a stream. Replies are given in order
and the last one is repeated. `Reply(body, status=429)` fails, `Reply(body, events=3)` breaks the stream after three
events, `Reply(body, delay_s=0.1)` takes its time. Request bodies are kept in `provider.requests`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the provider.

    Args:
        body: The body of the reply when nothing is streamed.
        status: The HTTP status; anything but 200 sends the body as it is.
        events: How many server-sent events to send before the connection breaks; None sends all.
        delay_s: Seconds to wait before answering.
    """

    body: Json
    status: int = 200
    events: int | None = None
    delay_s: float = 0.0


@dataclass(slots=True)
class CannedProvider:
    """The server; a context manager.

    Args:
        *replies: What to answer, in order; the last is repeated. Bare bodies are replies with status 200.
    """

    replies: tuple[Reply | Json, ...]
    requests: list[Json] = field(default_factory=list)
    _server: ThreadingHTTPServer = field(init=False, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def __init__(self, *replies: Reply | Json) -> None:
        self.replies = replies
        self.requests = []
        self._lock = Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"provider": self}))

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The root, which ChatAnthropic and ChatGoogleGenerativeAI take as `base_url`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """What ChatOpenAI takes as `base_url`."""
        return f"{self.url}/v1"

    def answer(self, request: Json) -> Reply:
        """Note a request and give the reply that is due."""
        with self._lock:
            self.requests.append(request)
            reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        return reply if isinstance(reply, Reply) else Reply(reply)


def openai_chat(text: str = "Hi", *, usage: Json | None, n: int = 1, **fields: Any) -> Json:
    """Make the body of POST /v1/chat/completions; `fields` are further ones, such as service_tier."""
    choices = [
        {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": f"{text}{i or ''}"}}
        for i in range(n)
    ]
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5-mini-2025-08-07"}
    return {**body, "choices": choices, "usage": usage, **fields}


def openai_text(*texts: str, usage: Json | None) -> Json:
    """Make the body of POST /v1/completions, one choice per text."""
    choices = [{"index": i, "text": text, "finish_reason": "stop", "logprobs": None} for i, text in enumerate(texts)]
    body = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt-3.5-turbo-instruct"}
    return {**body, "choices": choices, "usage": usage}


def openai_response(text: str = "Hi", *, usage: Json | None, tools: tuple[Json, ...] = (), **fields: Any) -> Json:
    """Make the body of POST /v1/responses; `tools` are output items of the provider's own tools."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    body = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5-mini-2025-08-07"}
    asked: Json = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**body, **asked, "status": "completed", "output": [*tools, message], "usage": usage, **fields}


def anthropic_message(text: str = "Hi", *, usage: Json, blocks: tuple[Json, ...] = ()) -> Json:
    """Make the body of POST /v1/messages; `blocks` come before the text."""
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5-20251001"}
    content = [*blocks, {"type": "text", "text": text}]
    return {**body, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def gemini_content(text: str = "Hi", *, usage: Json | None, n: int = 1, model: str, **candidate: Any) -> Json:
    """Make the body of generateContent; `candidate` are further fields of each candidate."""
    content = {"role": "model", "parts": [{"text": text}]}
    candidates = [{"index": i, "finishReason": "STOP", "content": content, **candidate} for i in range(n)]
    return {"candidates": candidates, "modelVersion": model, "usageMetadata": usage}


class _Server(ThreadingHTTPServer):
    """Takes as many connections at once as a graph fans out to."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that are gone; all else is told as ever."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    """Answers every POST with the provider's next reply, in the protocol that the path tells."""

    protocol_version = "HTTP/1.1"
    provider: CannedProvider

    def do_POST(self) -> None:
        """Answer, whole or as a stream."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        reply = self.provider.answer(request)
        time.sleep(reply.delay_s)
        streamed = request.get("stream") or ":streamGenerateContent" in self.path
        if reply.status != 200 or not streamed:
            self._send(reply.status, json.dumps(reply.body).encode())
        else:
            self._stream(list(_events(self.path, reply.body, request)), reply.events)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class names it so
        """Keep quiet: tests read what was sent, not a log."""

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, events: list[tuple[str | None, Json | str]], sent: int | None) -> None:
        """Send events in chunked encoding; leaving the last chunk out is what a broken connection looks like."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, data in events[:sent]:
            line = f"event: {name}\n" if name else ""
            event = f"{line}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        if sent is None:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True


def _events(path: str, body: Json, request: Json) -> Iterator[tuple[str | None, Json | str]]:
    """Cut a whole reply into the events of its protocol, as (name, data)."""
    if path.endswith("/chat/completions"):
        yield from _openai_chat_events(body, request)
    elif path.endswith("/responses"):
        yield from _openai_response_events(body)
    elif path.endswith("/messages"):
        yield from _anthropic_events(body)
    else:
        yield from _gemini_events(body)


def _pieces(text: str) -> list[str]:
    """A text in two halves, or one where it is too short: enough to see that streams are put together."""
    half = len(text) // 2
    return [piece for piece in (text[:half], text[half:]) if piece]


def _openai_chat_events(body: Json, request: Json) -> Iterator[tuple[str | None, Json | str]]:
    same: Json = {key: body[key] for key in ("id", "created", "model", "service_tier") if key in body}
    same["object"] = "chat.completion.chunk"
    choice = body["choices"][0]
    for piece in _pieces(choice["message"]["content"]):
        delta = {"role": "assistant", "content": piece}
        yield None, {**same, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield None, {**same, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    if (request.get("stream_options") or {}).get("include_usage"):
        yield None, {**same, "choices": [], "usage": body["usage"]}
    yield None, "[DONE]"


def _openai_response_events(body: Json) -> Iterator[tuple[str | None, Json | str]]:
    def event(kind: str, **data: Any) -> tuple[str | None, Json | str]:
        return kind, {"type": kind, "sequence_number": 0, **data}

    yield event("response.created", response={**body, "status": "in_progress", "output": [], "usage": None})
    for index, item in enumerate(body["output"]):
        place = {"output_index": index, "item_id": item["id"]}
        shown = {**item, "content": []} if item["type"] == "message" else item
        yield event("response.output_item.added", output_index=index, item=shown)
        if item["type"] == "message":
            for piece in _pieces(item["content"][0]["text"]):
                yield event("response.output_text.delta", **place, content_index=0, delta=piece, logprobs=[])
        yield event("response.output_item.done", output_index=index, item=item)
    yield event("response.completed", response=body)


def _anthropic_events(body: Json) -> Iterator[tuple[str | None, Json | str]]:
    usage = body["usage"]
    start = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield "message_start", {"type": "message_start", "message": start}
    for index, block in enumerate(body["content"]):
        opening = {**block, "text": ""} if block["type"] == "text" else block
        yield "content_block_start", {"type": "content_block_start", "index": index, "content_block": opening}
        for piece in _pieces(block.get("text", "")):
            delta = {"type": "text_delta", "text": piece}
            yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    ending: Json = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    said = {key: usage[key] for key in usage if key not in ("cache_creation", "service_tier", "speed")}
    yield "message_delta", {"type": "message_delta", "delta": ending, "usage": said}
    yield "message_stop", {"type": "message_stop"}


def _gemini_events(body: Json) -> Iterator[tuple[str | None, Json | str]]:
    """Gemini's chunks: counts are cumulative, and the last chunk has the finish reason."""
    candidate = body["candidates"][0]
    pieces = _pieces(candidate["content"]["parts"][0]["text"])
    usage = body["usageMetadata"]
    first = usage and {key: usage[key] for key in ("promptTokenCount", "cachedContentTokenCount") if key in usage}
    for piece in pieces[:-1]:
        part = {"index": 0, "content": {"role": "model", "parts": [{"text": piece}]}}
        counts = first and {**first, "totalTokenCount": first["promptTokenCount"]}
        yield None, {"candidates": [part], "modelVersion": body["modelVersion"], "usageMetadata": counts}
    last = {**candidate, "content": {"role": "model", "parts": [{"text": pieces[-1]}]}}
    yield None, {**body, "candidates": [last]}
