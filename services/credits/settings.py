"""Credits' settings, from the environment."""

from messaging.settings import ServiceSettings


class Settings(ServiceSettings):
    """Credits needs nothing beyond what every service needs."""
