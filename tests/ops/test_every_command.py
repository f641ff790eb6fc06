"""Every command that the parser knows, put to the running system: for people, and for programs."""

import pytest

from tests.ops.cases import CASES, ELSEWHERE, Things
from tests.ops.json_lines import kept, promises
from tests.ops.parser import COMMANDS
from tests.ops.typed import Run
from tests.test_documents import existing_tests


def test_every_command_is_put_to_the_running_system() -> None:
    assert sorted((*CASES, *ELSEWHERE)) == sorted(COMMANDS)
    assert set(ELSEWHERE.values()) <= existing_tests()


@pytest.mark.parametrize("command", CASES)
async def test_what_a_command_prints_is_for_people_and_with_json_for_programs(
    run: Run, things: Things, command: str
) -> None:
    case = CASES[command]
    words = [*command.split(), *[await things.fill(word) for word in case.words]]
    said = await things.fill(case.said)
    exit_code, out, err = await run(*words)
    assert (exit_code, err) == (case.exit_code, "")
    assert said in out
    assert "\x1b" not in out

    words = [*command.split(), *[await things.fill(word) for word in case.words]]
    exit_code, out, err = await run(*words, "--json")
    assert (exit_code, err) == (case.exit_code, "")
    assert {next(iter(line)) for line in kept(command, out)} == case.lines


def test_the_page_for_programs_tells_of_commands_that_there_are() -> None:
    told = {command for command, _ in promises()}
    assert told <= {*COMMANDS, "send"}
    assert {*COMMANDS} - told == {"completion", *(one for one in COMMANDS if one.startswith("send "))}
