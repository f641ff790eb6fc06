"""`coaching lag`: how far each group is behind."""

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from contracts.topics import GROUPS, Group
from ops.cli.options import LOOKING_BY_DEFAULT, Flag, Looking, Servers, servers
from ops.cli.terminal import complain, say_json, say_table, waiting
from ops.errors import Exit
from ops.lag_lines import HEADER, remarks, rows, told
from ops.lag_view import look

app = App(
    "lag",
    help="Show how far each group is behind, how long the oldest of what waits has waited, and who works.",
    help_epilogue="Example: coaching lag --group booking",
)


@app.default
async def lag(
    *,
    group: Annotated[Group | None, Parameter(help="This one alone.")] = None,
    all_: Annotated[Flag, Parameter(name="--all", help="Every partition, those with nothing waiting as well.")] = False,
    bootstrap_servers: Servers = None,
    looking: Looking = LOOKING_BY_DEFAULT,
) -> int:
    kafka = servers(bootstrap_servers)
    with nullcontext() if looking.json else waiting("Kafka"):
        found = await look(kafka, (group,) if group is not None else GROUPS, timeout_seconds=looking.timeout)
    now = datetime.now(UTC)
    if looking.json:
        for one in found:
            say_json({"lag": told(one, now)})
        return Exit.DONE
    say_table([HEADER, *(row for one in found for row in rows(one, now, all_partitions=all_))])
    for one in found:
        for remark in remarks(one):
            complain(remark)
    return Exit.DONE
