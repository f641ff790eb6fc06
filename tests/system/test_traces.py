"""One trace from a command to all its emails, over three services; and work that goes on without anybody to take it."""

import asyncio
import json
import os
import socket
import sys
import uuid
from collections.abc import Iterator

import pytest

from devstack.stack import SERVICES
from tests.system.bus import command_headers
from tests.system.collector import Collector, collecting
from tests.system.platform import Booking, Platform, eventually
from tests.system.test_worker_start import NOTHING_LISTENS

KINDS = {"send": "PRODUCER", "process": "CONSUMER", "send email": "CLIENT"}
ASKED = "coaching: send booking.commands"
CANCELED = f"{ASKED} > booking: process booking.commands > booking: send booking.events"
REFUNDED = f"{CANCELED} > credits: process booking.events > credits: send credits.events"
TOLD = f"{CANCELED} > notifier: process booking.events"
TOLD_OF_REFUND = f"{REFUNDED} > notifier: process credits.events"
A_CANCELLATION = sorted(
    [
        ASKED,
        f"{ASKED} > booking: process booking.commands",
        CANCELED,
        f"{CANCELED} > credits: process booking.events",
        REFUNDED,
        f"{REFUNDED} > booking: process credits.events",
        TOLD,
        # to the client and to the coach
        *[f"{TOLD} > notifier: send email", f"{TOLD} > notifier: send notifier.events"] * 2,
        TOLD_OF_REFUND,
        f"{TOLD_OF_REFUND} > notifier: send email",
        f"{TOLD_OF_REFUND} > notifier: send notifier.events",
    ]
)


def exporting_to(endpoint: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100", "LOG_FORMAT": "json"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


async def cancel_as_an_operator_does(platform: Platform, booking: Booking, settings: dict[str, str]) -> tuple[int, str]:
    """The exit code of `coaching send`, and what it complained of."""
    command = f"-m ops send cancel {booking.session_id} --by client:{booking.client.id} --timeout 100"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command.split(),
        env={**os.environ, **settings, "KAFKA_BOOTSTRAP_SERVERS": platform.stack.bootstrap_servers},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, complained.decode()


async def test_a_cancellation_is_one_trace_from_the_command_to_its_emails(
    platform: Platform, collector: Collector
) -> None:
    settings = exporting_to(collector.endpoint)
    account_id = await platform.account_with(12)
    async with platform.only_workers(SERVICES, settings):
        booking = await platform.schedule(starts_in_hours=47, account_id=account_id)
        assert await cancel_as_an_operator_does(platform, booking, settings) == (0, "")

        async def all_is_exported() -> bool:
            return sum(span.name != "process batch" for span in collector.spans) >= len(A_CANCELLATION)

        await eventually(all_is_exported, "the spans of a cancellation")

    assert collector.paths() == A_CANCELLATION
    assert len(collector.traces()) == 1
    for span in collector.spans:
        assert span.kind == KINDS.get(span.name, KINDS[span.name.partition(" ")[0]])
    batches = {span.span_id for span in collector.spans if span.name == "process batch"}
    handled = [span for span in collector.spans if span.name.startswith("process ") and span.span_id not in batches]
    assert all(batches.issuperset(span.linked_span_ids) and span.linked_span_ids for span in handled)
    sent = {heard.body["email_id"] for heard in platform.bus.about(booking.session_id, "notifier.events")}
    called = {span.attributes["coaching.email.id"] for span in collector.spans if span.name == "send email"}
    assert called < sent, "the emails of the cancellation, and not those that told of the booking, which nobody traced"


@pytest.fixture
def silent() -> Iterator[str]:
    """Where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("away", ["nobody listens", "nobody answers"])
async def test_without_a_collector_the_work_goes_on_and_stops_in_time(
    platform: Platform, silent: str, away: str
) -> None:
    settings = exporting_to(silent if away == "nobody answers" else "http://127.0.0.1:1")
    settings["OTEL_EXPORTER_OTLP_TIMEOUT"] = "60"
    booking = await platform.schedule(starts_in_hours=47, account_id=await platform.account_with(12))
    async with platform.only_worker("booking", settings) as worker:
        assert (await cancel_as_an_operator_does(platform, booking, settings))[0] == 0
        # 30 s is what OpenTelemetry would wait at the end for an exporter that still tries
        assert await worker.stop(grace_seconds=20) == 0


async def test_who_sends_a_command_is_told_that_its_trace_is_lost(platform: Platform) -> None:
    booking = await platform.schedule(starts_in_hours=47, account_id=await platform.account_with(12))
    code, complained = await cancel_as_an_operator_does(platform, booking, exporting_to("http://127.0.0.1:1"))
    assert code == 0
    assert complained.startswith("The collector did not take the trace;")
    code, complained = await cancel_as_an_operator_does(platform, booking, exporting_to("collector:4318"))
    assert code == 2
    assert "OTEL_EXPORTER_OTLP_ENDPOINT: must be http://host:port" in complained


async def test_who_repeats_an_answer_within_a_trace_says_nothing_new(platform: Platform, collector: Collector) -> None:
    """What the audit looks for at the end of all tests here: the same id, the same content."""
    settings = exporting_to(collector.endpoint)
    booking = await platform.schedule(starts_in_hours=47, account_id=await platform.account_with(12))
    command_id = str(uuid.uuid4())
    body = {"session_id": booking.session_id, "by": {"role": "client", "id": booking.client.id}}
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = [*command_headers("booking.CancelSession.v1", command_id), ("traceparent", trace)]
    async with platform.only_worker("booking", settings):
        for times in (1, 2):
            record = (booking.session_id.encode(), json.dumps(body).encode(), headers)
            await platform.bus.send_together("booking.commands", [record])
            answers = await platform.bus.wait_for(
                lambda heard: heard.header("ce_causationid") == command_id and heard.topic == "booking.events",
                count=times,
            )
    first, second = answers
    assert (first.id, first.value) == (second.id, second.value)
    assert first.header("traceparent") != second.header("traceparent")
    assert first.header("traceparent")[:35] == second.header("traceparent")[:35] == trace.decode()[:35]


# The service is loaded once; for each of the settings, a child of its own makes the worker.
LOADED = """
import asyncio, json, os, sys
from importlib import import_module
from messaging.settings import read_settings
service = import_module(f"services.{sys.argv[1]}.app").SERVICE
async def make_worker():
    service.make_worker(read_settings(service.settings))
for settings in json.loads(sys.argv[2]):
    if not os.fork():
        os.environ.update(settings)
        asyncio.run(make_worker())
        print(json.dumps("opentelemetry.sdk" in sys.modules), flush=True)
        os._exit(0)
    os.wait()
"""
SDK_IS_LOADED: tuple[tuple[dict[str, str], bool], ...] = (
    ({}, False),
    ({"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
)


@pytest.mark.parametrize("service", SERVICES)
async def test_without_an_endpoint_opentelemetrys_sdk_is_not_loaded(service: str) -> None:
    without = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    settings = [one for one, _ in SDK_IS_LOADED]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", LOADED, service, json.dumps(settings)),
        env={**without, **NOTHING_LISTENS},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    is_loaded = [json.loads(line) for line in said.splitlines()]
    assert tuple(zip(settings, is_loaded, strict=True)) == SDK_IS_LOADED
