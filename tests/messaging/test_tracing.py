"""What is traced, and what its spans say; that nothing waits for whoever takes them."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from threading import Event

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import cloudevents_attributes, messaging_attributes
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import SpanContext, SpanKind
from sqlalchemy.ext.asyncio import AsyncEngine

from messaging.records import Outgoing, Record
from messaging.retry import BrokerAway
from messaging.tracing import STOP_SECONDS, Tracer, _Exporter
from tests.messaging.bench import (
    Bench,
    Log,
    add,
    await_next,
    divide,
    doubled,
    elsewhere,
    header,
    headers,
    new_id,
    record,
    replayed,
)
from tests.messaging.toy import GROUP, make_codec
from tests.messaging.toy_process import ROOT

TRACE_ID, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{CALLER}-01"


def traced(command: Record, traceparent: str = TRACEPARENT) -> Record:
    return replace(command, headers=[*command.headers, ("traceparent", traceparent.encode())])


def written(context: SpanContext | None) -> str:
    """As W3C's header has it."""
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


class Spans:
    """What one worker exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer = Tracer(GROUP, self._exporter)

    async def all(self) -> Sequence[ReadableSpan]:
        assert await self.tracer.stop()
        return self._exporter.get_finished_spans()

    async def in_order(self, *names: str) -> list[ReadableSpan]:
        """Those of the first name, then those of the second, and so on; of one name in the order of their ends."""
        return sorted(await self.all(), key=lambda span: names.index(span.name))

    async def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in await self.all() if span.name == name]


async def test_an_answer_belongs_to_the_trace_of_its_command(engine: AsyncEngine) -> None:
    spans = Spans()
    command = traced(add(counter := new_id()))
    (answer,) = await Bench(engine, tracer=spans.tracer).process(command)

    told = {span.name: span for span in await spans.all()}
    process, send, batch = (told.pop(name) for name in ("process toy.commands", "send toy.counts", "process batch"))
    assert not told
    assert [span.kind for span in (process, send, batch)] == [SpanKind.CONSUMER, SpanKind.PRODUCER, SpanKind.CONSUMER]
    assert written(process.parent) == TRACEPARENT
    assert written(send.parent) == written(process.context)
    assert header(answer, "traceparent") == written(send.context)
    # the batch belongs to no message's trace, and knows those of all
    assert batch.parent is None
    assert [written(link.context) for link in batch.links] == [TRACEPARENT]
    assert [link.context for link in process.links] == [batch.context]
    assert attributes(process) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "toy.commands",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": command.place.offset,
        "messaging.consumer.group.name": "toy",
        "messaging.message.id": header(command, "ce_id"),
        "messaging.message.conversation_id": header(command, "ce_id"),
        "cloudevents.event_type": "toy.Add.v1",
    }
    assert attributes(send)["messaging.message.id"] == header(answer, "ce_id")
    assert counter.encode() not in b"".join(str(attributes(span)).encode() for span in (process, send, batch))


# Of these, upstream words nothing but the conversation's id (docs/operating.md).
TOLD = {
    *("messaging.system", "messaging.operation.type", "messaging.operation.name", "messaging.consumer.group.name"),
    *("messaging.destination.name", "messaging.destination.partition.id", "messaging.kafka.offset"),
    *("messaging.message.id", "messaging.message.conversation_id", "cloudevents.event_type"),
    *("messaging.batch.message_count", ERROR_TYPE),
}


async def test_this_is_told_and_no_more_and_named_by_the_semantic_conventions(engine: AsyncEngine) -> None:
    spans = Spans()
    await Bench(engine, tracer=spans.tracer).process(traced(add(new_id())), traced(divide(new_id(), 0)))
    known = {
        value
        for module in (messaging_attributes, cloudevents_attributes)
        for name, value in vars(module).items()
        if re.fullmatch("(MESSAGING|CLOUDEVENTS)_[A-Z_]+", name)
    }
    used = {name for span in await spans.all() for name in attributes(span)}
    assert used == TOLD
    assert used <= known | {ERROR_TYPE}


@pytest.mark.parametrize(
    "traceparent",
    [None, f"00-{TRACE_ID}-{CALLER}-00", f"00-{'0' * 32}-{CALLER}-01", "as the crow flies"],
    ids=["none", "not sampled", "no trace id", "no trace context"],
)
async def test_what_came_without_a_sampled_trace_costs_no_span_and_is_passed_on_as_it_came(
    engine: AsyncEngine, traceparent: str | None
) -> None:
    spans = Spans()
    command = add(new_id()) if traceparent is None else traced(add(new_id()), traceparent)
    (answer,) = await Bench(engine, tracer=spans.tracer).process(command)
    assert dict(answer.headers).get("traceparent") == dict(command.headers).get("traceparent")
    assert not await spans.all()


async def test_of_a_batch_only_what_is_traced_has_a_span(engine: AsyncEngine) -> None:
    spans = Spans()
    commands = [add(new_id()), traced(add(new_id())), record(value=b"{"), add(new_id())]
    answers = await Bench(engine, tracer=spans.tracer).process(*commands)
    assert [("traceparent" in dict(answer.headers)) for answer in answers] == [False, True, False, False]
    told = await spans.all()
    (batch,) = (span for span in told if span.name == "process batch")
    assert attributes(batch)["messaging.batch.message_count"] == 4
    assert len(batch.links) == 1
    assert sorted(span.name for span in told) == ["process batch", "process toy.commands", "send toy.counts"]


async def test_what_another_worker_left_unannounced_is_published_as_part_of_its_own_trace(engine: AsyncEngine) -> None:
    counter, theirs, ours = new_id(), Spans(), Spans()
    dying = Bench(engine, Log(away=["unsent"]), tracer=theirs.tracer)
    left = make_codec().read(traced(add(counter)))
    with pytest.raises(BrokerAway), theirs.tracer.handling([left]) as handled:
        await dying.batch.attempt(handled)

    first, second = await Bench(engine, tracer=ours.tracer).process(add(counter))
    assert "traceparent" not in dict(second.headers)
    (send,) = await ours.all()
    assert header(first, "traceparent") == written(send.context)
    (process,) = await theirs.named("process toy.commands")
    assert written(send.parent) == written(process.context)
    assert attributes(process)["error.type"] == "BrokerAway"


async def test_an_answer_that_had_to_wait_belongs_to_the_trace_of_what_it_answers(engine: AsyncEngine) -> None:
    counter, earlier, later = new_id(), Spans(), Spans()
    await Bench(engine, tracer=earlier.tracer).process(traced(await_next(counter)))
    _, late = await Bench(engine, tracer=later.tracer).process(add(counter))
    (waited,) = await earlier.named("process toy.commands")
    (send,) = await later.all()
    assert written(send.parent) == written(waited.context)
    assert header(late, "traceparent") == written(send.context)


async def test_a_command_that_comes_again_is_linked_to_its_answer_in_the_trace_where_it_came_first(
    engine: AsyncEngine,
) -> None:
    """In the same batch, and in another worker's."""
    first, second = Spans(), Spans()
    command = add(new_id())
    retry = traced(elsewhere(command), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    await Bench(engine, tracer=first.tracer).process(traced(command), retry)
    await Bench(engine, tracer=second.tracer).process(retry)

    _, send, answered, repeated = await first.in_order("process batch", "send toy.counts", "process toy.commands")
    assert written(send.parent) == written(answered.context)
    assert [len(answered.links), len(repeated.links)] == [1, 2]
    assert repeated.links[1].context == send.context
    _, send, repeated = await second.in_order("process batch", "send toy.counts", "process toy.commands")
    assert written(repeated.parent) == header(retry, "traceparent")
    assert written(send.parent) == written(answered.context)
    assert [link.context for link in repeated.links[1:]] == [send.context]


async def test_a_dead_letter_keeps_its_headers_and_shows_in_the_trace(engine: AsyncEngine) -> None:
    spans = Spans()
    original = traced(divide(new_id(), 0))
    (letter,) = await Bench(engine, tracer=spans.tracer).process(original)
    assert list(letter.headers)[: len(original.headers)] == list(original.headers)
    (send,) = await spans.named("send dlq.toy.toy.commands")
    # nothing follows from it: its context is in no record
    assert send.kind is SpanKind.CLIENT
    assert written(send.parent) == TRACEPARENT


async def test_a_message_that_died_has_failed_in_its_trace_and_nothing_else_has(engine: AsyncEngine) -> None:
    spans, counter, event_id = Spans(), new_id(), new_id()
    handled, divided = doubled(counter, message_id=event_id), divide(counter, 0)
    rejected, reused = add(counter, "x"), doubled(new_id(), message_id=event_id)
    await Bench(engine, tracer=spans.tracer).process(*map(traced, (handled, divided, rejected, reused)))
    told = await spans.all()
    failed = [span for span in told if not span.status.is_ok]
    assert {attributes(span)["messaging.kafka.offset"]: attributes(span)["error.type"] for span in failed} == {
        divided.place.offset: "ZeroDivisionError",
        reused.place.offset: "IdReused",
    }
    assert sum(span.name.startswith("process toy.") for span in told) == 4


async def test_a_replayed_letter_that_dies_again_has_failed_again(engine: AsyncEngine) -> None:
    first, second = Spans(), Spans()
    (letter,) = await Bench(engine, tracer=first.tracer).process(traced(divide(new_id(), 0)))
    await Bench(engine, tracer=second.tracer).process(replayed(letter))
    (process,) = await second.named("process toy.commands")
    assert attributes(process)["error.type"] == "ZeroDivisionError"
    assert written(process.parent) == TRACEPARENT


async def test_of_what_is_no_message_no_header_is_told(engine: AsyncEngine) -> None:
    """They are as somebody wrote them: a name where an id should be, or a megabyte of anything."""
    spans = Spans()
    told = headers("Ana.Silva", "Ana Silva", ce_correlationid="ana@example.com", traceparent=TRACEPARENT)
    await Bench(engine, tracer=spans.tracer).process(record(told=told))
    (send,) = await spans.all()
    assert attributes(send) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        "messaging.destination.name": "dlq.toy.toy.commands",
    }


async def test_a_try_to_publish_that_fails_says_so_and_the_next_one_is_another_span(engine: AsyncEngine) -> None:
    spans = Spans()
    (answer,) = await Bench(engine, Log(away=["unsent"]), tracer=spans.tracer).process(traced(add(new_id())))
    failed, done = await spans.named("send toy.counts")
    assert attributes(failed)["error.type"] == "BrokerAway"
    assert "error.type" not in attributes(done)
    assert header(answer, "traceparent") == written(done.context)


async def test_a_trace_begins_with_a_command_that_is_to_begin_one() -> None:
    spans = Spans()
    command = Outgoing("toy.commands", b"k", b"{}", [("ce_id", b"1")])
    with spans.tracer.sending([command], begins=True) as (carrying,):
        pass
    (send,) = await spans.all()
    assert (send.name, send.kind, send.parent) == ("send toy.commands", SpanKind.PRODUCER, None)
    assert list(carrying.headers) == [*command.headers, ("traceparent", written(send.context).encode())]


@pytest.mark.parametrize("why", [None, "refused"])
async def test_a_call_for_a_message_is_part_of_its_trace_and_says_how_it_failed(why: str | None) -> None:
    spans = Spans()
    with spans.tracer.calling("send email", TRACEPARENT, {"coaching.email.attempt": 1}) as failed:
        if why is not None:
            failed(why)
    with spans.tracer.calling("send email", None, {}) as failed:
        failed("of which nobody wants to know")
    (call,) = await spans.all()
    assert (call.name, call.kind, written(call.parent)) == ("send email", SpanKind.CLIENT, TRACEPARENT)
    assert attributes(call).get("error.type") == why
    assert call.status.is_ok is (why is None)


@pytest.mark.parametrize(
    ("variables", "service"),
    [
        ({}, "toy"),
        ({"OTEL_SERVICE_NAME": "toy-in-berlin"}, "toy-in-berlin"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=toy-in-bern"}, "toy-in-bern"),
    ],
)
async def test_a_span_says_whose_it_is(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], service: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    spans = Spans()
    with spans.tracer.calling("look", TRACEPARENT, {}):
        pass
    (span,) = await spans.all()
    assert span.resource.attributes["service.name"] == service
    assert span.resource.attributes["service.namespace"] == "coaching"


class Stuck(SpanExporter):
    """A collector that does not answer."""

    def __init__(self) -> None:
        self.asked, self.let_go = Event(), Event()

    def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.let_go.wait()
        return SpanExportResult.FAILURE


async def test_neither_the_work_nor_its_end_waits_for_a_collector_that_does_not_answer(engine: AsyncEngine) -> None:
    collector = Stuck()
    tracer = Tracer(GROUP, collector)
    bench = Bench(engine, tracer=tracer)
    try:
        (answer,) = await bench.process(traced(add(new_id())))
        assert header(answer, "traceparent").startswith(f"00-{TRACE_ID}")
        began = time.monotonic()
        assert not await tracer.stop()
        assert time.monotonic() - began < STOP_SECONDS + 10
        assert collector.asked.is_set()
    finally:
        collector.let_go.set()


TOO_MANY = """
from messaging import logs
from messaging.tracing import Tracer
from tests.messaging.test_tracing import TRACEPARENT, Stuck
logs.configure("json", "info")
tracer = Tracer("toy", Stuck())
for number in range(3000):
    with tracer.calling("look", TRACEPARENT, {}):
        pass
"""


def test_that_more_is_traced_than_is_taken_is_in_the_log_and_not_for_each_span() -> None:
    done = subprocess.run([sys.executable, "-c", TOO_MANY], cwd=ROOT, capture_output=True, text=True, check=True)
    told = [json.loads(line)["message"] for line in done.stderr.splitlines()]
    assert set(told) == {"Queue full, dropping Span."}
    assert len(told) < 10


class Scripted(SpanExporter):
    def __init__(self, *works: bool) -> None:
        self._works = iter(works)

    def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS if next(self._works) else SpanExportResult.FAILURE


def test_that_spans_are_lost_is_told_once_and_that_they_are_taken_again() -> None:
    told: list[bool] = []
    exporter = _Exporter(Scripted(True, True, False, False, True, False), told.append)
    for _ in range(6):
        exporter.export([])
    assert told == [False, True, False]
