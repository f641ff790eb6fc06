"""compose.yaml on three brokers: what ops/compose/cluster.env makes of it. That it works is shown in tests/kafka."""

from tests.compose.composition import configured_services

BROKERS = ("kafka", "kafka-2", "kafka-3")
THEIR_OWN = ("KAFKA_NODE_ID", "KAFKA_ADVERTISED_LISTENERS")


async def test_with_the_cluster_each_broker_is_one_of_three_and_two_must_have_a_record() -> None:
    found = await configured_services("--env-file", "ops/compose/cluster.env")
    settings = [found[broker]["environment"] for broker in BROKERS]
    assert [told["KAFKA_NODE_ID"] for told in settings] == ["1", "2", "3"]
    assert len({told["KAFKA_ADVERTISED_LISTENERS"] for told in settings}) == 3
    shared = [{name: value for name, value in told.items() if name not in THEIR_OWN} for told in settings]
    assert shared[0] == shared[1] == shared[2]
    assert shared[0]["KAFKA_CONTROLLER_QUORUM_VOTERS"] == "1@kafka:9093,2@kafka-2:9093,3@kafka-3:9093"
    assert (shared[0]["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"], shared[0]["KAFKA_MIN_INSYNC_REPLICAS"]) == ("3", "2")


async def test_with_the_cluster_the_topics_wait_for_all_brokers_and_the_workers_know_them() -> None:
    found = await configured_services("--env-file", "ops/compose/cluster.env")
    assert found["topics"]["command"] == ["topics", "apply", "--replication", "3"]
    assert set(found["topics"]["depends_on"]) == set(BROKERS)
    known = ",".join(f"{broker}:19092" for broker in BROKERS)
    for worker in ("booking", "credits", "notifier", "topics"):
        assert found[worker]["environment"]["KAFKA_BOOTSTRAP_SERVERS"] == known


async def test_without_it_there_is_one_broker() -> None:
    found = await configured_services()
    assert [name for name in found if name.startswith("kafka")] == ["kafka"]
    assert found["topics"]["command"] == ["topics", "apply", "--replication", "1"]
