"""All of compose.yaml, built and ready; gone afterwards, with its data and its images."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from devstack.parts import free_port
from tests.compose.composition import Composition, compose_is_missing


@pytest.fixture(scope="module")
async def composition() -> AsyncIterator[Composition]:
    if reason := await compose_is_missing():
        pytest.skip(reason)
    composition = Composition(f"coaching-test-{uuid4().hex[:8]}", kafka_port=free_port(), mail_port=free_port())
    try:
        await composition.up("--build")
        yield composition
    finally:
        await composition.compose(
            "--profile", "*", "down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "5"
        )
