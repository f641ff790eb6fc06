"""Booking's settings, from the environment."""

from typing import Annotated

from pydantic import Field

from messaging.settings import ServiceSettings


class Settings(ServiceSettings):
    policy_window_hours: Annotated[int, Field(ge=0, le=168)] = 24
