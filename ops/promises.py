"""The contracts of this code, held against those of the last release."""

from pathlib import Path

from contracts import json_schemas, releases
from contracts.catalog import CATALOG
from contracts.releases import Version
from ops.compatibility import Break, command_breaks, event_breaks


def broken_promises(folder: Path = releases.FOLDER) -> tuple[Break, ...]:
    """Raises Incomparable; OSError or ValueError for a release that cannot be read."""
    last = releases.last_versions(folder)
    return tuple(one for version in last.values() for one in _breaks(version))


def _breaks(version: Version) -> tuple[Break, ...]:
    name, released = version.message, version.schema
    if name not in CATALOG:
        return (Break(name, "", "carried"),)
    now = json_schemas.schema(name)
    if name in json_schemas.COMMANDS:
        return command_breaks(name, released=released, now=now)
    return event_breaks(name, released=released, emitted=now, read=json_schemas.accepted(name))
