"""Who takes part: the two people of a session, and whoever asks for something."""

from typing import Literal

from contracts.fields import Id, Locale, Mailbox, Message, Name, TimeZone

Role = Literal["client", "coach", "support"]


class Person(Message):
    id: Id
    name: Name
    email: Mailbox
    time_zone: TimeZone
    locale: Locale = "en"


class Actor(Message):
    """Who asks. That they are who they say is decided upstream (contracts: the bus trusts its writers)."""

    role: Role
    id: Id
