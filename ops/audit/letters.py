"""Dead letters: what they answer, and whether they are what they were (R41). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.topics import Group
from messaging.records import Place
from ops.audit.findings import Finding
from ops.audit.reading import Letter

ID_REUSED = "IdReused"


@dataclass(slots=True)
class Letters:
    """To be taken before the records that they were, which are then held against them."""

    count: int = 0
    places: dict[tuple[Group, Place], int] = field(default_factory=dict)
    reused: dict[tuple[Group, str], int] = field(default_factory=dict)
    _dead: set[tuple[Group, str]] = field(default_factory=set)
    _contents: dict[Place, list[Letter]] = field(default_factory=dict)

    def take(self, letter: Letter) -> None:
        self.count += 1
        self.places[letter.group, letter.original] = letter.content
        self._contents.setdefault(letter.original, []).append(letter)
        if letter.message_id is None:
            return
        key = letter.group, letter.message_id
        if letter.why == ID_REUSED:
            self.reused[key] = self.reused.get(key, 0) + 1
        else:
            self._dead.add(key)

    def are_about(self, place: Place) -> bool:
        return place in self._contents

    def is_dead(self, group: Group, message_id: str) -> bool:
        """Whether the group gave this message up, at least once: it need not have had any effect."""
        return (group, message_id) in self._dead

    def answers(self, group: Group, place: Place) -> bool:
        return (group, place) in self.places

    def hold_against(self, place: Place, content: int) -> Iterator[Finding]:
        """`content` is that of the record that lies at this place."""
        for letter in self._contents.get(place, ()):
            if letter.content != content:
                yield Finding(
                    "letter_differs",
                    str(letter.place),
                    f"It says that it is the record {place}, but key, value or headers are others.",
                )
