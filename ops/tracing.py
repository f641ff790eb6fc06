"""The trace of a command begins with whoever sends it, where tracing is on (docs/settings.md)."""

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from ops.errors import BadUsage

if TYPE_CHECKING:
    from messaging.tracing import Tracer

_WAY_OUT: Final = "mend it, or unset it to do without a trace"


@asynccontextmanager
async def tracing(complain: Callable[[str], None]) -> AsyncIterator["Tracer | None"]:
    """None where tracing is off. `complain` hears, in the end, when the collector did not take the trace.

    Raises BadUsage for a setting of tracing that cannot be used.
    """
    if not _is_wanted():
        yield None
        return
    from messaging.tracing import start_tracer

    # Of its tries to export it would say a line each; how they ended is told once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
    taken = [True]
    try:
        tracer = start_tracer("coaching", taken.append)
    except ValueError as error:
        raise BadUsage(f"OpenTelemetry cannot use its settings: {error}; {_WAY_OUT}") from None
    try:
        yield tracer
    finally:
        if not await tracer.stop() or not taken[-1]:
            complain("The collector did not take the trace; see that it runs where OTEL_EXPORTER_OTLP_ENDPOINT says.")


def _is_wanted() -> bool:
    if not any(value and name.startswith("OTEL_EXPORTER_OTLP_") for name, value in os.environ.items()):
        return False
    # Not above, because with it comes SQLAlchemy, for which nobody else has to wait.
    from messaging.settings import BadSettings, TracingSettings, read_settings

    try:
        return read_settings(TracingSettings).is_traced
    except BadSettings as error:
        raise BadUsage(f"{error}; {_WAY_OUT}") from None
