"""Wire name <-> type: the one registry by which messages are decoded."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import to_json

from contracts import booking, credits, notifier
from contracts.fields import Message


class InvalidMessage(ValueError):
    """A field breaks its bounds. The text is one sentence and names the field."""


def _names(service: str, *types: type[Message]) -> dict[str, type[Message]]:
    return {f"{service}.{message.__name__}.v1": message for message in types}


CATALOG: Final[Mapping[str, type[Message]]] = {
    **_names(
        "booking",
        booking.ScheduleSession,
        booking.RescheduleSession,
        booking.CancelSession,
        booking.RefundSession,
        booking.SessionRequested,
        booking.SessionScheduled,
        booking.SessionDeclined,
        booking.SessionRescheduled,
        booking.SessionCanceled,
        booking.RefundApproved,
        booking.CommandRejected,
    ),
    **_names(
        "credits",
        credits.GrantCredits,
        credits.CreditsGranted,
        credits.CreditsCharged,
        credits.ChargeDeclined,
        credits.CreditsRefunded,
        credits.CommandRejected,
    ),
    **_names("notifier", notifier.EmailSent, notifier.EmailFailed),
}

_WIRE_NAMES: Final[Mapping[type[Message], str]] = {message: name for name, message in CATALOG.items()}


def wire_name(message: Message | type[Message]) -> str:
    """`CancelSession` -> `booking.CancelSession.v1`. Raises KeyError for what is not in the catalog."""
    return _WIRE_NAMES[message if isinstance(message, type) else type(message)]


def decode(name: str, body: Mapping[str, Any]) -> Message:
    """`body` is parsed JSON. Raises InvalidMessage when a field breaks its bounds, KeyError for an unknown name."""
    try:
        return CATALOG[name].model_validate(body)
    except ValidationError as error:
        raise InvalidMessage(_sentence(error)) from None


def encode(message: Message) -> bytes:
    """UTF-8 JSON; what is absent is left out."""
    return message.model_dump_json(exclude_none=True).encode()


def encode_fields(**fields: object) -> bytes:
    """What `encode` writes of a message of these fields, at a third of its cost: none is checked once more.

    For a service's own words about what it has decided. Times are text (`format_instant`), and what a field holds is
    plain JSON, a message, or what `present` gives.
    """
    return to_json(present(**fields), exclude_none=True)


def present(**fields: object) -> dict[str, object]:
    """Without those that are None: on the wire they are absent."""
    return {name: value for name, value in fields.items() if value is not None}


def _sentence(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    field = ".".join(str(part) for part in first["loc"])
    rest = f" ({len(others)} more)" if others else ""
    message = "must be a JSON object" if first["type"] == "model_type" else first["msg"]
    said = message[0].lower() + message[1:]
    return f"{field}: {said}{rest}" if field else f"{said}{rest}"
