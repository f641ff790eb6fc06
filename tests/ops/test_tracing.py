"""Whether `coaching send` begins a trace: as its variables say, and at no cost to whoever has set none."""

import asyncio
import subprocess
import sys

import pytest

from ops.errors import BadUsage
from ops.tracing import tracing

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
LOADED = """
import asyncio, sys
from ops.tracing import tracing
async def main():
    async with tracing(print) as tracer:
        print(tracer, "sqlalchemy" in sys.modules)
asyncio.run(main())
"""


@pytest.mark.parametrize("settings", [{}, {ENDPOINT: ""}], ids=["none", "empty, as Compose passes it on"])
def test_who_wants_no_trace_waits_for_nothing_of_it(settings: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], env=settings, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "False"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (ENDPOINT, "collector:4318", f"{ENDPOINT}: must be http://host:port"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10", "OpenTelemetry cannot use its settings: max_export_batch_size must be"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setenv(name, value)

    async def begin() -> None:
        async with tracing(pytest.fail):
            pytest.fail("it was used")

    with pytest.raises(BadUsage) as raised:
        asyncio.run(begin())
    assert str(raised.value).startswith(sentence)
    assert str(raised.value).endswith("; mend it, or unset it to do without a trace")
