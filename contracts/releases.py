"""What was promised: the schemas of every release, which are never changed again.

`schemas/released/<number>/` holds, a file each, the messages that were new or different in that release, and samples.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contracts import json_schemas

FOLDER: Final = json_schemas.FOLDER / "released"


@dataclass(frozen=True, slots=True)
class Version:
    """A message as it was in one release."""

    release: int
    message: str
    schema: Mapping[str, Any]


def versions(folder: Path = FOLDER) -> tuple[Version, ...]:
    """Every version of every message, the oldest first. Raises OSError or ValueError for what cannot be read."""
    return tuple(
        Version(number, path.stem, json.loads(path.read_text(encoding="utf-8")))
        for number in range(1, last_release(folder) + 1)
        for path in sorted((folder / str(number)).glob("*.json"))
    )


def last_versions(folder: Path = FOLDER) -> Mapping[str, Version]:
    """Of every message that was ever released, the latest."""
    return {version.message: version for version in versions(folder)}


def last_release(folder: Path = FOLDER) -> int:
    """0 before the first."""
    return max((int(path.name) for path in folder.glob("*") if path.name.isdecimal()), default=0)


def unreleased(folder: Path = FOLDER) -> Mapping[str, str]:
    """File name -> content, of the messages that differ from what was released of them last."""
    last = last_versions(folder)
    return {
        name: text
        for name, text in json_schemas.files().items()
        if (message := name.removesuffix(".json")) not in last or json.loads(text) != last[message].schema
    }


def release(folder: Path = FOLDER) -> int:
    """Writes down what is promised from now on; returns the number of that release, the last one if nothing differs."""
    files, number = unreleased(folder), last_release(folder) + 1
    if not files:
        return number - 1
    (folder / str(number)).mkdir(parents=True)
    for name, text in files.items():
        (folder / str(number) / name).write_text(text, encoding="utf-8")
    return number
