"""What a run can find, whoever finds it: the audit of the project, or what only the harness knows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`kind` is a few words, the same for all of its sort; `sentence` says where, and what is there instead."""

    kind: str
    sentence: str
