"""Publishes a command and prints what comes of it, for people or, one JSON object a line, for programs."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import uuid4

from contracts.catalog import InvalidMessage, decode
from contracts.fields import Message, usable_id
from messaging.records import Headers, Outgoing
from ops.cli.options import Sending, servers
from ops.cli.terminal import complain, say, say_as_it_is, say_facts, say_json, say_line, waiting
from ops.client import Client, Reply
from ops.commands import command_record
from ops.conversation import Heard
from ops.errors import BadUsage, BrokerAway, Exit
from ops.lines import Line, Transcript
from ops.log_view import told_of
from ops.tracing import tracing

_NOTHING: Final[Mapping[str, str]] = {}
_OUTCOMES: Final = {Exit.DONE: "done", Exit.NO: "refused", Exit.NO_ANSWER: "unanswered"}


class Voice(Protocol):
    """Who tells what happens."""

    def asked(self, record: Outgoing) -> None: ...

    def heard(self, said: Heard) -> None: ...

    def concluded(self, reply: Reply, exit_code: Exit) -> None: ...


async def send(
    command_type: str,
    body: Mapping[str, Any],
    detail: str,
    sending: Sending,
    *,
    fixed: Mapping[str, str] = _NOTHING,
) -> int:
    """`detail` describes the command on its line.

    `fixed` holds options that need not be typed, with what they were this time: the same command again has the same.
    """
    command = _decode(command_type, body)
    command_id = _command_id(sending.id)
    record = command_record(command, command_id=command_id, at=datetime.now(UTC))
    if sending.dry_run:
        _show(record, as_json=sending.json)
        return Exit.DONE
    address = servers(sending.bootstrap_servers)
    voice = _ForPrograms() if sending.json else _ForPeople(command, detail, fixed, sending.timeout)
    with nullcontext() if sending.json else waiting("the answer"):
        async with (
            tracing(complain) as tracer,
            Client(address, timeout_seconds=sending.timeout, tracer=tracer) as client,
        ):
            voice.asked(record)
            try:
                reply = await client.converse(record, timeout_seconds=sending.timeout, on_heard=voice.heard)
            except BrokerAway as error:
                raise BrokerAway(f"{error}, which does nothing twice, with: {_again(command_id, fixed)}") from error
    exit_code = _exit_code(reply)
    voice.concluded(reply, exit_code)
    return exit_code


def _decode(command_type: str, body: Mapping[str, Any]) -> Message:
    try:
        return decode(command_type, {name: value for name, value in body.items() if value is not None})
    except InvalidMessage as error:
        raise BadUsage(f"{error}; mend it, then ask again") from None


def _command_id(given: str | None) -> str:
    command_id = str(uuid4()) if given is None else usable_id(given)
    if command_id is None:
        raise BadUsage(f"{given!r} is no id; give a UUID, or leave --id out and one is made")
    return command_id


def _again(command_id: str, fixed: Mapping[str, str]) -> str:
    """The options by which the same command is asked again."""
    return " ".join(f"{name} {value}" for name, value in {"--id": command_id, **fixed}.items())


def _exit_code(reply: Reply) -> Exit:
    if not reply.complete:
        return Exit.NO_ANSWER
    return Exit.NO if reply.standing.answer == "no" else Exit.DONE


class _ForPeople:
    def __init__(self, command: Message, detail: str, fixed: Mapping[str, str], timeout_seconds: float) -> None:
        self._command, self._detail, self._fixed, self._timeout_seconds = command, detail, fixed, timeout_seconds
        self._transcript = Transcript(say_line)

    def asked(self, record: Outgoing) -> None:
        say_line(Line.asked(self._command, self._detail, (record.key or b"").decode()))

    def heard(self, said: Heard) -> None:
        self._transcript.hear(said)

    def concluded(self, reply: Reply, exit_code: Exit) -> None:
        self._transcript.flush()
        if exit_code is Exit.NO_ANSWER:
            complain(self._what_is_missing(reply))
            return
        if reply.repeated:
            say("This command had been handled before: its old answer came again, and nothing happened twice.")
        for name in ("session", "account"):
            if told := self._fixed.get(f"--{name}"):
                say(f"{name} {told}", style="dim")

    def _what_is_missing(self, reply: Reply) -> str:
        so_far = "It was answered" if reply.standing.answer != "none yet" else "It is in the log and will be answered"
        missing = ", ".join(reply.standing.waiting_for)
        return (
            f"{so_far}, but after {self._timeout_seconds:g} s this is still to come: {missing}; "
            "see that the services run, then ask again, which does nothing twice, "
            f"with: {_again(reply.command_id, self._fixed)}"
        )


class _ForPrograms:
    def asked(self, record: Outgoing) -> None:
        say_json({"asked": _as_json(record)})

    def heard(self, said: Heard) -> None:
        elapsed_ms = round(said.elapsed_ms)
        say_json({"heard": told_of(said.envelope, said.place, said.message, elapsed_ms=elapsed_ms)})

    def concluded(self, reply: Reply, exit_code: Exit) -> None:
        told = {
            "outcome": _OUTCOMES[exit_code],
            "command_id": reply.command_id,
            "repeated": reply.repeated,
            "waiting_for": [] if reply.complete else reply.standing.waiting_for,
        }
        say_json({"concluded": told})


def _show(record: Outgoing, *, as_json: bool) -> None:
    if as_json:
        say_json(_as_json(record))
        return
    headers = [("header", f"{name}: {text}") for name, text in _texts(record.headers).items()]
    say_facts([("topic", record.topic), ("key", (record.key or b"").decode()), *headers])
    say("value", style="dim")
    say_as_it_is((record.value or b"").decode())


def _as_json(record: Outgoing) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "key": (record.key or b"").decode(),
        "headers": _texts(record.headers),
        "value": json.loads(record.value or b"null"),
    }


def _texts(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in headers}
