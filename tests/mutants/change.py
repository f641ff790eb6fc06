"""One line of a rule, made wrong in a way that a person could make it wrong."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Change:
    """In `file`, `before` stands once; with `after` in its place, one of `tests` has to fail."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def check(self) -> None:
        """Raises LookupError where it fits no line any more."""
        count = (ROOT / self.file).read_text().count(self.before)
        if count != 1:
            raise LookupError(f"{self.name}: its line stands {count} times in {self.file}; it has to stand there once")
