"""The samples of the contracts, and copies of them with other fields."""

import copy
from typing import Any

from contracts.samples import (
    ACCOUNT_ID,
    ANA_ID,
    BEN_ID,
    EMAIL_ID,
    OTHER_SESSION_ID,
    SAMPLES,
    SESSION_ID,
)

__all__ = [
    "ABSENT",
    "ACCOUNT_ID",
    "ANA_ID",
    "BEN_ID",
    "EMAIL_ID",
    "OTHER_SESSION_ID",
    "SAMPLES",
    "SESSION_ID",
    "sample",
]

ABSENT = object()


def sample(wire_name: str, /, **fields: Any) -> dict[str, Any]:
    """`client__name="Bo"` sets a field of a part; ABSENT takes one out."""
    body = copy.deepcopy(dict(SAMPLES[wire_name]))
    for path, value in fields.items():
        *parts, last = path.split("__")
        holder = body
        for part in parts:
            holder = holder[part]
        if value is ABSENT:
            del holder[last]
        else:
            holder[last] = value
    return body
