"""What each command is put to on the running system, and what comes out."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from devstack.parts import until
from devstack.stack import Stack
from tests.ops.typed import Run

# Each client has an address of its own: one reader is sent some thirty emails a minute, and the rest waits.
CLIENT: Final = ("--client-id", "{new_client}", "--client", "Ana <{client}@example.com>")
PEOPLE: Final = (*CLIENT, "--coach", "{coach}", "--credits", "1")


@dataclass(frozen=True)
class Case:
    """`words` follow the command; in braces stand things that are made for it, anew each time. `said` is printed."""

    words: Sequence[str]
    said: str
    lines: set[str]
    exit_code: int = 0


NEW = ("--account", "{account}", *PEOPLE)
CASES: Final = {
    "send schedule": Case((*NEW, "--starts-in", "60h"), "← SessionScheduled", {"asked", "heard", "concluded"}),
    "send reschedule": Case(
        ("{scheduled}", "--by", "client:{client}", "--starts-in", "90h"),
        "← SessionRescheduled",
        {"asked", "heard", "concluded"},
    ),
    "send cancel": Case(
        ("{scheduled}", "--by", "client:{client}"), "← CreditsRefunded", {"asked", "heard", "concluded"}
    ),
    "send refund": Case(
        ("{canceled_late}", "--by", "support:Kim"), "← RefundApproved", {"asked", "heard", "concluded"}
    ),
    "send grant": Case(("12", "--account", "{account}"), "← CreditsGranted", {"asked", "heard", "concluded"}),
    "session": Case(("{canceled_late}",), "(rule late)", {"session", "asked", "said", "concluded"}),
    "account": Case(("{account}",), "as the account says.", {"account", "entry", "concluded"}),
    "audit": Case((), "All that was looked at is as it must be.", {"concluded"}),
    "lag": Case((), "1 worker", {"lag"}),
    "topics plan": Case(("--replication", "2"), "replication", {"differs", "concluded"}, exit_code=1),
    "topics apply": Case((), "All 19 topics are as the contracts say.", {"concluded"}),
    "dead-letters list": Case(("--all",), "{letter}", {"letter", "concluded"}),
    "dead-letters show": Case(("{letter}",), "the header ce_specversion is missing", {"letter"}),
    "dead-letters replay": Case(("{letter}", "--yes"), "died again", {"replayed", "concluded"}, exit_code=1),
    "emails preview": Case(("{file}",), "to be looked at in a browser", {"concluded"}),
    "emails resend": Case(("{email}",), "It is sent again with: coaching emails resend ", {"email", "concluded"}),
    "contracts check": Case((), "messages keep all that release", {"concluded"}),
    "contracts write": Case((), "Everything is up to date.", {"concluded"}),
    "contracts release": Case((), "Nothing has changed since release", {"concluded"}),
}
ELSEWHERE: Final = {
    # It ends with Ctrl-C: as processes of their own.
    "watch": "test_a_cancellation_is_overheard_like_a_conversation_until_ctrl_c",
    # A partition has to stand still for it, which would be in the way of the others here.
    "dead-letters skip": "test_a_partition_that_stands_at_a_record_goes_on_behind_it_and_the_record_is_kept",
    # It asks nobody but a shell.
    "completion": "test_a_shell_completes_commands_options_and_choices",
}


@dataclass
class Things:
    """What a command is put to: each is made when it is asked for."""

    run: Run
    stack: Stack
    tmp_path: Path
    made: dict[str, str] = field(default_factory=dict)

    async def fill(self, word: str) -> str:
        for name in re.findall(r"{(\w+)}", word):
            self.made[name] = await getattr(self, name)()
            word = word.replace(f"{{{name}}}", self.made[name])
        return word

    async def send(self, *words: str) -> None:
        exit_code, out, err = await self.run("send", *words)
        assert exit_code == 0, f"coaching send {' '.join(words)} printed:\n{out}{err}"

    async def new_client(self) -> str:
        return str(uuid4())

    async def client(self) -> str:
        """That of the latest session."""
        return self.made["new_client"]

    async def coach(self) -> str:
        return f"Coach {uuid4().hex[:8]}"

    async def account(self) -> str:
        account_id = str(uuid4())
        await self.send("grant", "12", "--account", account_id)
        return account_id

    async def scheduled(self, starts_in: str = "60h") -> str:
        session_id = str(uuid4())
        words = [await self.fill(word) for word in (*NEW, "--starts-in", starts_in, "--session", session_id)]
        await self.send("schedule", *words)
        return session_id

    async def canceled_late(self) -> str:
        session_id = await self.scheduled("20h")
        await self.send("cancel", session_id, "--by", await self.fill("client:{client}"))
        return session_id

    async def email(self) -> str:
        _, out, _ = await self.run("session", await self.scheduled(), "--json")
        said = [json.loads(line)["said"] for line in out.splitlines() if '"notifier.EmailSent' in line]
        return str(said[0]["body"]["email_id"])

    async def letter(self) -> str:
        producer = AIOKafkaProducer(bootstrap_servers=self.stack.bootstrap_servers)
        await producer.start()
        record = await producer.send_and_wait("booking.commands", b"not JSON", key=str(uuid4()).encode())
        await producer.stop()
        origin = f"{record.topic}:{record.partition}:{record.offset}"
        found: list[str] = []

        async def is_listed() -> bool:
            _, out, _ = await self.run("dead-letters", "list", "--group", "booking", "--json")
            letters = [json.loads(line).get("letter", {}) for line in out.splitlines()]
            found.extend(one["letter"] for one in letters if one.get("from") == origin)
            return bool(found)

        assert await until(is_listed, 60)
        return found[0]

    async def file(self) -> str:
        return str(self.tmp_path / "emails.html")
