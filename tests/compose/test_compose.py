"""The whole story through the containers of compose.yaml, and how they are contained."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from contracts.booking import CancelSession, ScheduleSession, SessionCanceled
from contracts.credits import CreditsRefunded, GrantCredits
from contracts.fields import Message
from contracts.people import Actor, Person
from devstack.parts import until
from ops.client import Client, Reply
from tests.compose.composition import SERVICES, Composition

pytestmark = pytest.mark.containers


def person(name: str) -> Person:
    person_id = str(uuid4())
    email = f"{name.lower()}-{person_id}@example.com"
    return Person(id=person_id, name=name, email=email, time_zone="Europe/Berlin")


async def answered(client: Client, command: Message) -> Reply:
    reply = await client.ask(command, timeout_seconds=60)
    assert reply.standing.answer == "yes", reply
    assert reply.complete, reply.standing.waiting_for
    return reply


async def subjects(composition: Composition, reader: Person, count: int) -> list[str]:
    """What the reader's mails are about, in the order of arrival, once there are so many."""
    found: list[str] = []

    async def arrived() -> bool:
        mails = await composition.mailbox.mails()
        found[:] = [mail.subject.partition(":")[0] for mail in mails if reader.email in mail.recipients]
        return len(found) >= count

    await until(arrived, 30)
    return found


async def cancel_in_time(composition: Composition) -> None:
    """Ana books Ben for 3 of her 12 credits, and cancels two days ahead; everybody does what they must."""
    ana, ben, account_id, session_id = person("Ana"), person("Ben"), str(uuid4()), str(uuid4())
    starts_at = datetime.now(UTC) + timedelta(days=2)
    async with Client(composition.bootstrap_servers) as client:
        await answered(client, GrantCredits(grant_id=str(uuid4()), account_id=account_id, credits=12))
        schedule = ScheduleSession(
            session_id=session_id,
            account_id=account_id,
            client=ana,
            coach=ben,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(hours=1),
            credits=3,
        )
        await answered(client, schedule)
        cancel = CancelSession(session_id=session_id, by=Actor(role="client", id=ana.id), reason="Down with the flu")
        heard = (await answered(client, cancel)).messages
    canceled = next(message for message in heard if isinstance(message, SessionCanceled))
    assert (canceled.refundable, canceled.refund, canceled.rule) == (True, "automatic", "in_time")
    refunded = next(message for message in heard if isinstance(message, CreditsRefunded))
    assert (refunded.credits, refunded.balance, refunded.cause) == (3, 12, "automatic")
    assert await subjects(composition, ana, 3) == ["Scheduled", "Canceled", "Refunded"]
    assert await subjects(composition, ben, 2) == ["Scheduled", "Canceled"]


async def partitions_by_member(composition: Composition, group: str) -> list[int]:
    script = "/opt/kafka/bin/kafka-consumer-groups.sh"
    table = await composition.in_container(
        "kafka", script, "--bootstrap-server", "localhost:19092", "--describe", "--members", "--group", group
    )
    return [int(line.split()[-1]) for line in table.splitlines() if line.startswith(f"{group} ")]


async def test_a_session_canceled_in_time_is_refunded_and_told(composition: Composition) -> None:
    await cancel_in_time(composition)


async def test_three_workers_of_credits_share_its_partitions_and_the_story_stays_the_same(
    composition: Composition,
) -> None:
    await composition.up("--scale", "credits=3")
    workers = await composition.containers("credits")
    assert [worker["State"]["Health"]["Status"] for worker in workers] == ["healthy"] * 3

    async def shared() -> bool:
        return await partitions_by_member(composition, "credits") == [12, 12, 12]

    assert await until(shared, 60), await partitions_by_member(composition, "credits")
    await cancel_in_time(composition)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_worker_has_no_rights_and_a_root_that_it_cannot_write_to(
    composition: Composition, service: str
) -> None:
    worker = (await composition.containers(service))[0]
    assert worker["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in worker["HostConfig"]["SecurityOpt"]
    assert await composition.in_container(service, "id", "-u") == "10001\n"
    writable = "for folder in / /app /venv /var/tmp /tmp; do touch $folder/mark 2>/dev/null && echo $folder; done; true"
    assert await composition.in_container(service, "sh", "-c", writable) == "/tmp\n"


@pytest.mark.parametrize("service", SERVICES)
async def test_an_image_holds_the_code_of_its_own_service_alone(composition: Composition, service: str) -> None:
    folders = "cd /app && ls --ignore=__pycache__ . services"
    listed = await composition.in_container(service, "sh", "-c", folders)
    assert listed.split() == [".:", "contracts", "messaging", "services", "services:", "__init__.py", service]


async def test_no_service_can_enter_the_database_of_another(composition: Composition) -> None:
    for service in SERVICES:
        may = f"SELECT datname FROM pg_database WHERE has_database_privilege('{service}', oid, 'CONNECT')"
        query = ("psql", "--username", "postgres", "--tuples-only", "--no-align", "--command", may)
        enters = (await composition.in_container("postgres", *query)).split()
        assert set(enters) & set(SERVICES) == {service}


async def test_the_command_line_runs_in_a_container(composition: Composition) -> None:
    told = await composition.compose("run", "--rm", "-T", "coaching", "send", "grant", "5", "--json")
    assert json.loads(told.splitlines()[-1])["concluded"]["outcome"] == "done"


async def test_nothing_but_kafka_and_the_mails_is_published_and_to_this_machine_alone(
    composition: Composition,
) -> None:
    services = json.loads(await composition.compose("config", "--format", "json"))["services"]
    published = {(name, port["host_ip"]) for name, service in services.items() for port in service.get("ports", ())}
    assert published == {("kafka", "127.0.0.1"), ("maildev", "127.0.0.1")}


# The last one: nobody works afterwards.
async def test_workers_that_are_asked_to_stop_end_well(composition: Composition) -> None:
    await composition.compose("stop", *SERVICES)
    for service in SERVICES:
        assert {worker["State"]["ExitCode"] for worker in await composition.containers(service)} == {0}
