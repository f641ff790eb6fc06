"""The whole system under load while everything beneath it fails, then an audit of what became of it: docs/chaos.md."""

import argparse
import asyncio
import logging
import shutil
import sys
import time

from devstack.containers import docker_answers
from devstack.parts import StackError
from tests.chaos.controls import CONTROLS
from tests.chaos.plan import Plan, add_plan, read_plan
from tests.chaos.planting import BUILD, run_controls
from tests.chaos.report import report_lines
from tests.chaos.run import run

DONE, FOUND, NOT_RUN = 0, 1, 2


def main(arguments: list[str]) -> int:
    """0 when nothing was found, 1 when something was, 2 when the run could not be made.

    Of controls: 0 when each was found out.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    add_plan(parser)
    parser.add_argument("--control", choices=[*CONTROLS, "all"], help="take a mechanism out, and expect findings")
    given = parser.parse_args(arguments)
    answers, reason = docker_answers()
    if not answers:
        sys.stderr.write(f"chaos needs containers: {reason}\n")
        return NOT_RUN
    if given.control is not None:
        return run_controls(CONTROLS if given.control == "all" else [given.control], say)
    return _run(read_plan(given))


def _run(plan: Plan) -> int:
    # What a Kafka client has to say of a broker that goes and comes is no news here.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
    home = (BUILD / f"seed-{plan.seed}").resolve()
    shutil.rmtree(home, ignore_errors=True)
    began = time.monotonic()
    say(f"seed {plan.seed}: {plan.commands:,} commands and {plan.faults} faults in {plan.seconds:.0f} s")
    try:
        outcome = asyncio.run(run(plan, home, say))
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return NOT_RUN
    for line in report_lines(outcome.course, outcome.verdict):
        say(line)
    findings = len(outcome.verdict.findings)
    say(f"{f'{findings} findings' if findings else 'nothing was found'} in {time.monotonic() - began:.0f} s")
    if findings:
        say(f"logs: {home}")
        say(f"the same again: .venv/bin/python -m tests.chaos {' '.join(map(_quoted, plan.arguments()))}")
        return FOUND
    shutil.rmtree(home)
    return DONE


def _quoted(argument: str) -> str:
    return f'"{argument}"' if " " in argument else argument


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
