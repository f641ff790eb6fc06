"""Parts that are given by their addresses."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from devstack.addresses import given_broker, given_mail, given_postgres
from devstack.broker import DevelopmentBroker
from devstack.mail import MailServer
from devstack.parts import StackError, free_port
from devstack.postgres import EmbeddedPostgres
from devstack.stack import choose_parts

GIVEN = {
    "DATABASE_URL": "postgresql://admin:secret@db.example:5432/postgres",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka-1.example:9092,kafka-2.example:9092",
    "SMTP_URL": "smtp+starttls://user:secret@mail.example:587",
    "MAIL_API_URL": "http://mail.example:1080",
}


def test_addresses_in_the_environment_go_before_containers_and_embedded_parts(tmp_path: Path) -> None:
    parts = choose_parts(tmp_path, GIVEN, containers=True)
    assert [part.address for part in parts.all()] == [
        GIVEN["DATABASE_URL"],
        GIVEN["KAFKA_BOOTSTRAP_SERVERS"],
        GIVEN["SMTP_URL"],
    ]
    assert parts.mail.mailbox is not None
    assert parts.mail.mailbox.location == GIVEN["MAIL_API_URL"]


def test_what_has_no_address_is_embedded(tmp_path: Path) -> None:
    parts = choose_parts(tmp_path, {"SMTP_URL": GIVEN["SMTP_URL"]}, containers=False)
    assert isinstance(parts.postgres, EmbeddedPostgres)
    assert isinstance(parts.broker, DevelopmentBroker)
    assert parts.mail.address == GIVEN["SMTP_URL"]
    assert parts.mail.mailbox is None  # nobody told where its mails can be read


def test_containers_without_docker_are_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StackError, match=r"^no docker command on the PATH; do without containers with: make up$"):
        choose_parts(tmp_path, {}, containers=True)


def test_no_password_is_shown(tmp_path: Path) -> None:
    notes = [part.note for part in choose_parts(tmp_path, GIVEN, containers=False).all()]
    assert "secret" not in "".join(notes)
    assert notes[0].startswith("db.example:5432 ")


@pytest.mark.parametrize(
    ("variable", "unusable"),
    [
        ("DATABASE_URL", "mysql://admin@db.example/postgres"),  # another kind of server
        ("DATABASE_URL", "postgresql:///postgres"),  # no host
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka-1.example:9092,kafka-2.example"),  # the second has no port
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka-1.example:port"),  # a port that is no number
        ("SMTP_URL", "mail.example:587"),  # no scheme: is it plain text or not?
        ("SMTP_URL", "smtp://mail.example"),  # no port
    ],
)
def test_an_unusable_address_is_named_with_the_command_that_mends_it(
    tmp_path: Path, variable: str, unusable: str
) -> None:
    with pytest.raises(StackError, match=rf"^{variable} is not of the form (\S+); .*: export {variable}=\1$"):
        choose_parts(tmp_path, {variable: unusable}, containers=False)


async def test_a_given_part_outlives_its_stop(at_end: AsyncExitStack, tmp_path: Path) -> None:
    mail = MailServer(tmp_path)
    at_end.push_async_callback(mail.stop)
    await mail.start()
    given = given_mail({"SMTP_URL": mail.address})
    assert given is not None
    await given.start()
    await given.stop()
    assert await mail.healthy()


async def test_silence_where_an_address_points_is_said_for_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devstack.addresses.PATIENCE_SECONDS", 0)
    nobody = f"127.0.0.1:{free_port()}"
    for part in (
        given_postgres({"DATABASE_URL": f"postgresql://{nobody}/postgres"}),
        given_broker({"KAFKA_BOOTSTRAP_SERVERS": nobody}),
        given_mail({"SMTP_URL": f"smtp://{nobody}"}),
    ):
        assert part is not None
        with pytest.raises(StackError, match=rf"^{part.name}: nothing answers at {nobody}, .*: unset \w+$"):
            await part.start()
