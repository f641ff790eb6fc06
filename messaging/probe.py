"""`python -m messaging.probe` asks the worker beside it whether it is ready: a health check that needs no curl."""

import http.client
import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

_TIMEOUT_SECONDS: Final = 3.0


def probe(environment: Mapping[str, str], output: TextIO) -> int:
    """0 when `/ready` says so, else 1. The answer is written to `output`, and with it what is missing."""
    host, port = environment.get("HEALTH_HOST", "127.0.0.1"), int(environment["HEALTH_PORT"])
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        output.write(answer.read().decode())
    except (OSError, http.client.HTTPException) as error:
        output.write(f"http://{host}:{port}/ready does not answer: {error}\n")
        return 1
    finally:
        connection.close()
    return 0 if answer.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(probe(os.environ, sys.stdout))
