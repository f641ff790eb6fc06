"""A real Prometheus, which asks workers every second and has our alert rules, in a hurry."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from devstack.parts import free_port, until
from devstack.processes import Process
from tests.observability.promtool import FOLDER, found

_CONFIGURATION = """
global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
rule_files: [alerts.yaml]
scrape_configs:
  - job_name: coaching
    static_configs: [{{ targets: {targets} }}]
"""


@dataclass(frozen=True)
class Prometheus:
    port: int

    async def firing(self) -> list[Mapping[str, str]]:
        """The labels of each alert that fires."""
        told = await asyncio.to_thread(self._get, "/api/v1/alerts")
        return [alert["labels"] for alert in told["data"]["alerts"] if alert["state"] == "firing"]

    async def fires(self, alert: str, **labels: str) -> bool:
        """Within two minutes."""
        wanted = {"alertname": alert, **labels}

        async def does() -> bool:
            return any(wanted.items() <= told.items() for told in await self.firing())

        return await until(does, 120)

    async def is_silent_about(self, group: str, alert: str = ".+", *, seconds: int = 3) -> bool:
        """Within two minutes: that it has asked for so many seconds, and that this, or nothing, has fired meanwhile.

        Before it asks anybody, it takes everybody for gone; whoever has just started may not be ready yet.
        """
        firing = f'ALERTS{{alertstate="firing",alertname=~"{alert}",group="{group}"}}'
        fired = f"present_over_time({firing}[{seconds}s])"
        asked = f'coaching_ready{{group="{group}"}} offset {seconds}s unless on (group) {fired}'

        async def silent() -> bool:
            told = await asyncio.to_thread(self._get, f"/api/v1/query?query={quote(asked)}")
            return bool(told["data"]["result"])

        return await until(silent, 120)

    async def has_fired(self, group: str, alert: str, *, within_seconds: int) -> bool:
        """At any time in so many seconds until now."""
        fired = (
            f'present_over_time(ALERTS{{alertstate="firing",alertname="{alert}",group="{group}"}}[{within_seconds}s])'
        )
        told = await asyncio.to_thread(self._get, f"/api/v1/query?query={quote(fired)}")
        return bool(told["data"]["result"])

    async def is_ready(self) -> bool:
        try:
            return bool((await asyncio.to_thread(self._get, "/api/v1/rules"))["status"] == "success")
        except (OSError, HTTPException, ValueError):
            return False

    def _get(self, path: str) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def hurried(rules: str) -> str:
    """The rules, but that none waits before it fires, and that a minute of their windows lasts a second.

    Not where starts are counted: a worker takes its seconds to start. Of the thresholds, one is another: a record's age
    is by the broker's clock, which nobody puts forward, so that its minutes are seconds as well.
    """
    at_once = re.sub(r"^ +for: \w+\n", "", rules, flags=re.MULTILINE)
    windows = re.compile(r"(?<!start_time_seconds)(\[|offset )(\d+)([mh])\b")
    soon = windows.sub(lambda found: found[1] + found[2] + {"m": "s", "h": "m"}[found[3]], at_once)
    return soon.replace("coaching_oldest_record_age_seconds) > 120", "coaching_oldest_record_age_seconds) > 2")


def _configure(home: Path, targets: list[str]) -> None:
    home.mkdir()
    (home / "prometheus.yaml").write_text(_CONFIGURATION.format(targets=json.dumps(targets)))
    (home / "alerts.yaml").write_text(hurried((FOLDER / "alerts.yaml").read_text()))


@asynccontextmanager
async def prometheus(endpoints: Iterable[str], home: Path) -> AsyncIterator[Prometheus]:
    """`endpoints` are the workers'. The rules are ours, `hurried`."""
    program = found("prometheus")
    _configure(home, [urlsplit(endpoint).netloc for endpoint in endpoints])
    server = Prometheus(free_port())
    options = (
        f"--config.file={home / 'prometheus.yaml'}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{server.port}",
    )
    process = Process("prometheus", (program, *options), home)
    await process.launch(server.is_ready, 60, mend="see above")
    try:
        yield server
    finally:
        await process.stop()
