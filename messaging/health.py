"""`/live`, `/ready` and `/metrics`, answered by a thread of its own: it speaks even while the event loop does not."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal, get_args

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

# A check takes up to 5 s, giving up a connection 2 s more, and there are 3 s in between.
ALIVE_WITHIN_SECONDS = 15.0


Part = Literal[
    "worker", "check", "database", "topics", "broker", "partitions", "consumer", "records", "batch", "mail server"
]
"""What may keep a worker from being ready."""
PARTS: Final[tuple[Part, ...]] = get_args(Part)


class Health:
    """What the worker knows of itself. Written by the event loop, read by the endpoint's thread."""

    def __init__(self, needs: tuple[Part, ...], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._problems: Mapping[Part, str] = dict.fromkeys(needs, "not checked yet")
        self._checked_at = monotonic()

    def checked(self, problems: Mapping[Part, str]) -> None:
        """`problems`: what is missing, by part, in words. Empty: the worker works."""
        self._problems = dict(problems)
        self._checked_at = self._monotonic()

    def alive_seconds_ago(self) -> float:
        return self._monotonic() - self._checked_at

    @property
    def is_alive(self) -> bool:
        return self.alive_seconds_ago() < ALIVE_WITHIN_SECONDS

    @property
    def problems(self) -> Mapping[Part, str]:
        """By part, in words. One that was not checked for long may have any."""
        silence: dict[Part, str] = (
            {} if self.is_alive else {"check": f"was last done {self.alive_seconds_ago():.0f} s ago"}
        )
        return {**self._problems, **silence}

    def has_problem(self, part: Part) -> bool:
        return part in self.problems


class HealthServer:
    """Listens from construction on; `port` is the one it got. Raises OSError when the port is taken."""

    def __init__(self, health: Health, host: str, port: int) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(health))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/live":
                    self._answer_json(health.is_alive, {"checked_seconds_ago": round(health.alive_seconds_ago(), 1)})
                case "/ready":
                    problems = health.problems
                    self._answer_json(not problems, {"problems": problems})
                case "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
                case _:
                    self._answer(404, "text/plain", b"there are /live, /ready and /metrics\n")

        def _answer_json(self, good: bool, body: Mapping[str, object]) -> None:
            content = json.dumps({"status": "ok" if good else "failing", **body}) + "\n"
            self._answer(200 if good else 503, "application/json", content.encode())

        def _answer(self, status: int, content_type: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
            """Probes come every second: they are not worth a line each."""

    return Handler
