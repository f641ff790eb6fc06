"""`coaching` as somebody types it, and what comes out."""

from collections.abc import Callable, Coroutine
from typing import Any

Run = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]
"""Of words that are typed: exit code, standard output, standard error."""
