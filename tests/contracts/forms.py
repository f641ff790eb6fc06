"""Bodies that a service writes field by field, held against the types that everybody reads them by."""

import json
from collections.abc import Mapping
from typing import Any

from contracts.catalog import decode, encode


def assert_as_its_type_writes_it(name: str, body: Mapping[str, Any]) -> None:
    """Every field is there, in bounds and in the one form that the contract writes; nothing else is, and no null."""
    assert json.loads(encode(decode(name, body))) == body
