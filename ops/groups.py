"""What a consumer group has committed, who is in it, and its offset moved from outside. On aiokafka (see `client.py`).

aiokafka's own `list_consumer_group_offsets` takes a coordinator that is still loading for one that has nothing, and its
`describe_consumer_groups` misreads all but the first of several groups: hence the requests themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import UnknownMemberIdError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest

from messaging.records import Place
from ops.cluster import Cluster, check
from ops.places import Partition

# Whoever commits from outside has no generation and no member id; the broker keeps the offset as long as its group's.
_NO_GENERATION, _NO_MEMBER, _AS_LONG_AS_THE_GROUP = -1, "", -1
_ALL_PARTITIONS: Final = None


@dataclass(frozen=True, slots=True)
class Member:
    """One consumer; `id` tells those of one machine apart. `partitions` is empty while they are shared out anew."""

    id: str
    host: str
    partitions: frozenset[Partition]


async def committed(cluster: Cluster, group: str) -> Mapping[Partition, int]:
    """Where the group goes on after a restart, of the partitions where it has been."""
    return await cluster.ask(lambda admin: _committed(admin, group))


async def members(cluster: Cluster, group: str) -> tuple[Member, ...]:
    """Who is in the group; one that was killed is in it until its session has ended."""
    return await cluster.ask(lambda admin: _members(admin, group))


async def commit(cluster: Cluster, group: str, place: Place) -> bool:
    """Has the group go on at this place. False, and nothing is done, while somebody is in the group."""
    return await cluster.ask(lambda admin: _commit(admin, group, place))


async def _committed(admin: AIOKafkaAdminClient, group: str) -> Mapping[Partition, int]:
    response = await admin._send_request(
        OffsetFetchRequest(group, _ALL_PARTITIONS), await admin.find_coordinator(group)
    )
    check(response.error_code, None, f"reading the offsets of {group}")
    offsets = {}
    for topic, partitions in response.topics:
        for number, offset, _metadata, code in partitions:
            check(code, None, f"reading the offset of {group} in {topic}")
            if offset >= 0:
                offsets[(topic, number)] = offset
    return offsets


async def _members(admin: AIOKafkaAdminClient, group: str) -> tuple[Member, ...]:
    response = await admin._send_request(DescribeGroupsRequest([group]), await admin.find_coordinator(group))
    ((code, _name, _state, _type, _protocol, found, *_),) = response.groups
    check(code, None, f"asking who is in {group}")
    return tuple(
        Member(member_id.removeprefix(f"{client_id}-"), host.removeprefix("/"), _partitions(assignment))
        for member_id, client_id, host, _metadata, assignment in found
    )


def _partitions(assignment: bytes) -> frozenset[Partition]:
    return frozenset(ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else ())


async def _commit(admin: AIOKafkaAdminClient, group: str, place: Place) -> bool:
    request = OffsetCommitRequest(
        group,
        _NO_GENERATION,
        _NO_MEMBER,
        _AS_LONG_AS_THE_GROUP,
        [(place.topic, [(place.partition, place.offset, "")])],
    )
    response = await admin._send_request(request, await admin.find_coordinator(group))
    (((_topic, ((_number, code),)),),) = (response.topics,)
    if for_code(code) is UnknownMemberIdError:
        return False
    check(code, None, f"moving {group} in {place.topic}")
    return True
