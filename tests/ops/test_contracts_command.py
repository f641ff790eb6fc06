"""`coaching contracts`: a change that breaks a promise fails, here and so the build; one that does not is released."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from contracts import booking, releases
from contracts.catalog import CATALOG
from contracts.fields import Instant, Message, Note
from ops import promises, reference
from ops.promises import broken_promises
from tests.ops.typed import Run

ROOT = Path(releases.__file__).parents[1]


class CancelSessionWithMood(booking.CancelSession):
    mood: str | None = None


class CancelSessionMustSayWhy(booking.CancelSession):
    reason: Annotated[str, Field(max_length=500)]


class SessionCanceledWithWeather(booking.SessionCanceled):
    weather: Note = None


class SessionCanceledByMercy(booking.SessionCanceled):
    rule: Literal["in_time", "unconfirmed", "late", "late_chosen", "mercy"]  # type: ignore[assignment]


class SessionCanceledWithDeadline(booking.SessionCanceled):
    deadline: Instant


PLANTED = [
    ("booking.CancelSession.v1", CancelSessionMustSayWhy, "reason", "accepted"),
    ("booking.SessionCanceled.v1", SessionCanceledByMercy, "rule", "readable"),
    ("booking.SessionCanceled.v1", SessionCanceledWithDeadline, "deadline", "kept"),
]


def test_this_code_keeps_what_the_last_release_promised() -> None:
    """What fails the build on a break. The way out: docs/contracts.md."""
    assert broken_promises() == ()


async def test_a_check_of_what_has_not_changed_is_one_sentence(run: Run) -> None:
    exit_code, out, err = await run("contracts", "check")
    assert (exit_code, err) == (0, "")
    kept = f"{len(CATALOG)} messages keep all that release {releases.last_release()} promised"
    assert out == f"{kept}; nothing has changed since.\n"


@pytest.mark.parametrize(("message", "planted", "field", "promise"), PLANTED)
async def test_a_break_is_told_by_message_and_field_and_ends_with_no(
    run: Run, monkeypatch: pytest.MonkeyPatch, message: str, planted: type[Message], field: str, promise: str
) -> None:
    monkeypatch.setitem(CATALOG, message, planted)
    exit_code, out, err = await run("contracts", "check")
    assert exit_code == 1
    assert out.split()[:2] == [message, field]
    assert err.startswith("1 promise of the releases up to ")
    assert "or publish a new major version" in err

    exit_code, out, _ = await run("contracts", "check", "--json")
    told, concluded = (json.loads(line) for line in out.splitlines())
    assert exit_code == 1
    assert (told["break"]["message"], told["break"]["field"], told["break"]["promise"]) == (message, field, promise)
    assert (concluded["concluded"]["outcome"], concluded["concluded"]["breaks"]) == ("broken", 1)


async def test_what_was_released_and_what_is_now_are_told_in_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "booking.CancelSession.v1", CancelSessionMustSayWhy)
    _, out, _ = await run("contracts", "check")
    assert "text, at most 500 characters or null, optional → text, at most 500 characters " in out
    assert out.endswith("what was accepted before would be refused\n")


async def test_a_message_that_is_gone_is_missed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "CATALOG", CATALOG.keys() - {"notifier.EmailSent.v1"})
    exit_code, out, _ = await run("contracts", "check")
    assert exit_code == 1
    assert "notifier.EmailSent.v1" in out
    assert "the message is no longer there" in out


@pytest.mark.parametrize(
    ("message", "planted"),
    [("booking.CancelSession.v1", CancelSessionWithMood), ("booking.SessionCanceled.v1", SessionCanceledWithWeather)],
)
async def test_a_field_that_may_be_left_out_breaks_nothing_and_is_not_released_yet(
    run: Run, monkeypatch: pytest.MonkeyPatch, message: str, planted: type[Message]
) -> None:
    monkeypatch.setitem(CATALOG, message, planted)
    exit_code, out, err = await run("contracts", "check")
    assert (exit_code, err) == (0, "")
    assert out.endswith(f"promised; not released yet: {message}.\n")


async def test_what_would_break_a_promise_is_not_released(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "booking.CancelSession.v1", CancelSessionMustSayWhy)
    before = releases.versions()
    exit_code, _, err = await run("contracts", "release")
    assert exit_code == 1
    assert "would be broken" in err
    assert releases.versions() == before


async def test_when_nothing_has_changed_nothing_is_released(run: Run) -> None:
    last = releases.last_release()
    assert await run("contracts", "release") == (0, f"Nothing has changed since release {last}.\n", "")
    assert releases.last_release() == last


async def in_checkout(checkout: Path, *words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops", "contracts", *words, cwd=checkout, stdout=-1, stderr=-2
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


def in_source(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


async def test_a_field_is_added_written_down_released_and_from_then_on_kept(tmp_path: Path) -> None:
    for folder in ("contracts", "messaging", "ops", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    last = releases.last_release()
    cancel = "    refund: bool | None = None\n"
    in_source(tmp_path / "contracts" / "booking.py", cancel, cancel + "    mood: str | None = None\n")
    in_source(tmp_path / "contracts" / "samples.py", '"refund": True}', '"refund": True, "mood": "low"}')

    exit_code, out = await in_checkout(tmp_path, "write")
    assert exit_code == 0
    assert out == (
        "Written: contracts/asyncapi.json, contracts/schemas/booking.CancelSession.v1.json, docs/messages.html, "
        "docs/messages.md.\n"
    )
    assert f'"version": "{last + 1}-draft"' in (tmp_path / "contracts" / "asyncapi.json").read_text()

    exit_code, out = await in_checkout(tmp_path, "release")
    assert (exit_code, out) == (0, f"Release {last + 1}: booking.CancelSession.v1. Commit contracts/ and docs/.\n")
    assert f'"version": "{last + 1}"' in (tmp_path / "contracts" / "asyncapi.json").read_text()

    in_source(tmp_path / "contracts" / "booking.py", "    mood: str | None = None\n", "")
    exit_code, out = await in_checkout(tmp_path, "check")
    assert exit_code == 1
    assert out.startswith("booking.CancelSession.v1  mood  text or null, optional → not there  ")


async def test_where_nothing_can_be_written_it_is_said_where_to_go(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reference, "generated", lambda: {tmp_path / "nowhere" / "messages.md": "# Messages"})
    exit_code, _, err = await run("contracts", "write")
    assert exit_code == 2
    assert "messages.md cannot be written (No such file or directory); run this in a checkout" in err
