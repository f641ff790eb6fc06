"""Log lines: a sentence for people, a stable event name and ids for machines, and nobody's personal data."""

import logging
import sys
from typing import Literal

import structlog

LogFormat = Literal["text", "json"]
LEVELS = ("debug", "info", "warning", "error", "critical")
# What these say at their own levels is about connections that come and go, once a second while a broker is away, and
# about a collector that is, of which `tracing.py` tells. (That more spans come than are taken, OpenTelemetry says by
# another name.) At debug they would write down every request whole, and records are about people: nobody gets that.
_CHATTY = (
    "aiokafka",
    "faststream",
    "asyncio",
    "kafka",
    "alembic",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)


def configure(log_format: LogFormat | None, level: str) -> None:
    """`log_format` None: text on a terminal, else JSON. Everything goes to standard error."""
    chosen = log_format or ("text" if sys.stderr.isatty() else "json")
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(event_key="message", colors=sys.stderr.isatty())
        if chosen == "text"
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _event_is_message],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL if level != "debug" else logging.INFO)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=True,
    )


def _event_is_message(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A line of a library: its text is the message, its logger's name the event."""
    record = event.get("_record")
    return {**event, "message": event.get("event", ""), "event": record.name if record is not None else "library"}
