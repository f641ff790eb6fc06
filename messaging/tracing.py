"""Traces from command to email, by OpenTelemetry. Imported only where tracing is on (`settings.py`).

    send booking.commands           PRODUCER   whoever asks
      process booking.commands      CONSUMER   a message in its batch, which has a span of its own, linked
        send booking.events         PRODUCER   its answer: the record carries the context of this span
          process booking.events    CONSUMER
            send email              CLIENT

Only what came with a sampled context is traced: a trace begins upstream. Names and attributes are OpenTelemetry's
semantic conventions for messaging, Kafka and CloudEvents. Of what a message says nothing is told; of its envelope the
id, the type and the correlation id, a text of upstream's own, which is to name no person (docs/contracts.md).
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from messaging.batches import Publish, Reading
from messaging.codec import Invalid, Received, Unreadable
from messaging.dead_letters import PREFIX
from messaging.records import Headers, Outgoing

M = TypeVar("M")
Attributes = Mapping[str, str | int]

STOP_SECONDS: Final = 1.0
_HEADER: Final = "traceparent"
_W3C: Final = TraceContextTextMapPropagator()
_KAFKA: Final[Attributes] = {"messaging.system": "kafka"}
_PLACE: Final = tuple(PREFIX + part for part in ("topic", "partition", "offset"))


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """The `process` spans of a batch that has not ended: by the places of their messages, and by their ids."""

    by_place: dict[tuple[str, ...], Span] = field(default_factory=dict)
    by_id: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))


class Tracer:
    """Makes the spans of one process and exports them beside its work, which never waits for that."""

    def __init__(self, service: str, exporter: SpanExporter) -> None:
        """`service` names the process, and its group where it has one; `OTEL_SERVICE_NAME` names it otherwise."""
        self._group = service
        ours = Resource.create({"service.name": service, "service.namespace": "coaching"})
        self._provider = TracerProvider(
            resource=ours.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,  # there it would wait for a collector that is away
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("coaching")
        self._under_way = _UnderWay()

    @contextmanager
    def handling(self, readings: Sequence[Reading[M]]) -> Iterator[Sequence[Reading[M]]]:
        """The messages of a batch as they are to be handled: what is traced carries the context of its own span.

        So whatever follows from a message belongs to it, at once or much later, wherever its context is kept. One
        batch at a time: what is published meanwhile tells how its messages ended.
        """
        contexts = [_sampled(_traceparent(reading)) for reading in readings]
        sampled = [context for context in contexts if context is not None]
        if not sampled:
            yield readings
            return
        spans = [batch := self._start_batch(readings, sampled)]
        carrying: list[Reading[M]] = []
        for reading, context in zip(readings, contexts, strict=True):
            if context is None or isinstance(reading, Unreadable):
                carrying.append(reading)
            else:
                spans.append(span := self._start_process(reading, context, batch))
                self._under_way.by_place[tuple(map(str, reading.place))] = span
                self._under_way.by_id[reading.envelope.id].append(span)
                carrying.append(_handled_in(span, reading))
        with _ended(*spans):
            try:
                yield carrying
            finally:
                self._under_way = _UnderWay()

    def publishing(self, publish: Publish) -> Publish:
        """`publish`, with a span for each record that is traced."""

        async def traced(records: Sequence[Outgoing]) -> None:
            with self.sending(records) as carrying:
                await publish(carrying)

        return traced

    @contextmanager
    def sending(self, records: Sequence[Outgoing], *, begins: bool = False) -> Iterator[Sequence[Outgoing]]:
        """The records as they are to be published: what is traced carries the context of a span of its own.

        `begins`: what is not traced begins a trace here.
        """
        carrying: list[Outgoing] = []
        spans: list[Span] = []
        for record in records:
            headers = _texts(record.headers)
            context = _sampled(headers.get(_HEADER)) or (Context() if begins else None)
            if context is None:
                carrying.append(record)
                continue
            is_letter = _PLACE[0] in headers
            span = self._start_send(record.topic, headers, context, is_letter=is_letter)
            spans.append(span)
            if is_letter:
                self._tell_what_died(headers)
            else:
                self._link_who_asked_again(headers, context, span)
            # A dead letter keeps its original's headers: by them it goes on in the same trace once it is replayed.
            carrying.append(record if is_letter else _sent_in(span, record))
        with _ended(*spans):
            yield carrying

    @contextmanager
    def calling(self, name: str, traceparent: str | None, attributes: Attributes) -> Iterator[Callable[[str], None]]:
        """A call of another system for the sake of a message. What it gives is to be told how the call failed."""
        context = _sampled(traceparent)
        if context is None:
            yield lambda _why: None
            return
        span = self._tracer.start_span(name, context, SpanKind.CLIENT, attributes)
        with _ended(span):
            yield lambda why: _fail(span, why)

    async def stop(self) -> bool:
        """Exports what is left; whether that was done within STOP_SECONDS, after which it is given up."""
        # A thread of its own, which ends with the process: one of the loop's would be waited for.
        rest = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        rest.start()
        await asyncio.to_thread(rest.join, STOP_SECONDS)
        return not rest.is_alive()

    def _tell_what_died(self, letter: Mapping[str, str]) -> None:
        """Its batch ends well, and it did not."""
        span = self._under_way.by_place.get(tuple(letter.get(name, "") for name in _PLACE))
        if span is not None:
            _fail(span, letter[f"{PREFIX}class"])

    def _link_who_asked_again(self, answer: Mapping[str, str], context: Context, send: Span) -> None:
        """The answer to a message that came again is a part of the trace in which it came first."""
        parent_id = get_current_span(context).get_span_context().span_id
        for span in self._under_way.by_id.get(answer.get("ce_causationid", ""), ()):
            if span.get_span_context().span_id != parent_id:
                span.add_link(send.get_span_context())

    def _start_batch(self, readings: Sequence[Reading[M]], sampled: Sequence[Context]) -> Span:
        attributes = {
            **_KAFKA,
            "messaging.operation.type": "process",
            "messaging.operation.name": "process batch",
            "messaging.batch.message_count": len(readings),
            "messaging.consumer.group.name": self._group,
        }
        links = [Link(get_current_span(context).get_span_context()) for context in sampled]
        return self._tracer.start_span("process batch", Context(), SpanKind.CONSUMER, attributes, links)

    def _start_process(self, message: Received[M] | Invalid, context: Context, batch: Span) -> Span:
        place, envelope = message.place, message.envelope
        attributes = {
            **_KAFKA,
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": place.topic,
            "messaging.destination.partition.id": str(place.partition),
            "messaging.kafka.offset": place.offset,
            "messaging.consumer.group.name": self._group,
            "messaging.message.id": envelope.id,
            "messaging.message.conversation_id": envelope.correlation_id,
            "cloudevents.event_type": envelope.type,
        }
        links = [Link(batch.get_span_context())]
        return self._tracer.start_span(f"process {place.topic}", context, SpanKind.CONSUMER, attributes, links)

    def _start_send(self, topic: str, headers: Mapping[str, str], context: Context, *, is_letter: bool) -> Span:
        """Of a dead letter's headers nothing is told: they are its sender's, and may say anything."""
        names = {
            "messaging.message.id": "ce_id",
            "messaging.message.conversation_id": "ce_correlationid",
            "cloudevents.event_type": "ce_type",
        }
        attributes = {
            **_KAFKA,
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": topic,
            **{name: headers[header] for name, header in names.items() if header in headers and not is_letter},
        }
        kind = SpanKind.CLIENT if is_letter else SpanKind.PRODUCER
        return self._tracer.start_span(f"send {topic}", context, kind, attributes)


def start_tracer(service: str, tell: Callable[[bool], None]) -> Tracer:
    """One that exports by OTLP over HTTP, to where the standard's own variables say (docs/settings.md).

    `tell` hears, in another thread, when the collector is found not to take spans (False), and to take them again.
    Raises ValueError for settings that OpenTelemetry refuses; of others it complains, and takes its defaults.
    """
    return Tracer(service, _Exporter(OTLPSpanExporter(), tell))


class _Exporter(SpanExporter):
    """Another exporter, of which is told when it fails and when it works again, not each time."""

    def __init__(self, exporter: SpanExporter, tell: Callable[[bool], None]) -> None:
        self._exporter, self._tell = exporter, tell
        self._works = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        works = result is SpanExportResult.SUCCESS
        if works is not self._works:
            self._tell(works)
        self._works = works
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


@contextmanager
def _ended(*spans: Span) -> Iterator[None]:
    """Ends them when what they tell of ends, however it does. An error's text may quote rows: only its type is told."""
    try:
        yield
    except BaseException as error:
        for span in spans:
            _fail(span, type(error).__name__)
        raise
    finally:
        for span in spans:
            span.end()


def _fail(span: Span, why: str) -> None:
    span.set_attribute("error.type", why)
    span.set_status(Status(StatusCode.ERROR))


def _traceparent(reading: Reading[M]) -> str | None:
    return None if isinstance(reading, Unreadable) else reading.envelope.traceparent


def _sampled(traceparent: str | None) -> Context | None:
    """None for what is no W3C trace context, or one that nobody records."""
    if traceparent is None:
        return None
    context = _W3C.extract({_HEADER: traceparent}, Context())
    found = get_current_span(context).get_span_context()
    return context if found.is_valid and found.trace_flags.sampled else None


def _written(span: Span) -> str:
    headers: dict[str, str] = {}
    _W3C.inject(headers, set_span_in_context(span, Context()))
    return headers[_HEADER]


def _handled_in(span: Span, message: Received[M] | Invalid) -> Received[M] | Invalid:
    return replace(message, envelope=replace(message.envelope, traceparent=_written(span)))


def _sent_in(span: Span, record: Outgoing) -> Outgoing:
    others = [(name, value) for name, value in record.headers if name != _HEADER]
    return replace(record, headers=[*others, (_HEADER, _written(span).encode())])


def _texts(headers: Headers) -> dict[str, str]:
    return {name: value.decode(errors="replace") for name, value in headers if value is not None}
