"""A collector of spans, as anybody's is: OTLP over HTTP."""

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Written


@dataclass(frozen=True)
class Span:
    """Ids in hexadecimal; `parent_id` is empty for the first of its trace. `kind`: PRODUCER and so on."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    linked_span_ids: tuple[str, ...]


class Collector:
    """Listens on a port of its own at `endpoint`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.spans))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def traces(self) -> set[str]:
        """The ids of the traces that somebody's command began; a batch is a trace of its own."""
        return {span.trace_id for span in self.spans if span.name != "process batch"}

    def paths(self) -> list[str]:
        """Each span with those above it, sorted. Fails where one is missing."""
        known = {span.span_id: span for span in self.spans}
        return sorted(_path(span, known) for span in self.spans if span.name != "process batch")

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def _path(span: Span, known: dict[str, Span]) -> str:
    place = f"{span.service}: {span.name}"
    if not span.parent_id:
        return place
    assert span.parent_id in known, f"the parent of {place} was never exported"
    return f"{_path(known[span.parent_id], known)} > {place}"


def _handler(spans: list[Span]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            is_ours = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
            if is_ours:
                spans.extend(_read(ExportTraceServiceRequest.FromString(body)))
            self.send_response(200 if is_ours else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
            """Nobody looks."""

    return Handler


def _read(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        service = str(_values(resource.resource.attributes)["service.name"])
        for scope in resource.scope_spans:
            yield from (_span(service, written) for written in scope.spans)


def _span(service: str, written: Written) -> Span:
    return Span(
        service,
        written.name,
        Written.SpanKind.Name(written.kind).removeprefix("SPAN_KIND_"),
        written.trace_id.hex(),
        written.span_id.hex(),
        written.parent_span_id.hex(),
        _values(written.attributes),
        tuple(link.span_id.hex() for link in written.links),
    )


def _values(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}
