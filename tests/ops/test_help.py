"""What every command tells of itself, and what a shell can complete of it."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from ops.__main__ import coaching
from tests.ops.parser import ALL, COMMANDS, example_of, options_of
from tests.ops.typed import Run

# A script, which is the same for everybody.
NOT_FOR_PROGRAMS = {"completion"}
ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@pytest.mark.parametrize("command", ALL)
async def test_every_help_has_an_example_of_it_that_the_parser_takes(run: Run, command: str) -> None:
    words = await example_of(run, command)
    assert words[: len(command.split())] == command.split()
    try:
        coaching().parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        pytest.fail(f"coaching {shlex.join(words)}: {error}")


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("send ")])
async def test_the_example_of_whatever_is_sent_is_a_command_that_can_be_sent(run: Run, command: str) -> None:
    assert (await run(*await example_of(run, command), "--dry-run"))[0] == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_speaks_to_programs_as_well(command: str) -> None:
    assert ("--json" in options_of(command)) == (command not in NOT_FOR_PROGRAMS)


@pytest.mark.parametrize("document", ["operating.md", "settings.md"])
def test_a_document_names_the_commands_that_do_without_kafka(document: str) -> None:
    text = (ROOT / "docs" / document).read_text()
    (named,) = re.findall(r"all but ((?:`[a-z]+`(?:,\s| and )?)+)(?: take `KAFKA_BOOTSTRAP_SERVERS`| \|)", text)
    without = {command.split()[0] for command in COMMANDS if "--bootstrap-servers" not in options_of(command)}
    assert set(re.findall(r"`(\w+)`", named)) == without


async def test_help_is_wrapped_where_it_is_shown_and_not_where_it_is_written(run: Run) -> None:
    _, out, _ = await run("dead-letters", "replay", "--help")
    assert "One that was handled since is left out, and one that is on its way is not sent again: asking " in out


# Completion --------------------------------------------------------------------------------------------------------

ASK_BASH = """
source {script}
COMP_WORDS=({words} "{begun}"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_coaching
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ASK_FISH = "source {script}; complete -C '{words} {begun}' | string split -f 1 \\t"
# A zsh offers nothing but to who types in it: what it shows, until the word is among it, or for half a minute.
ASK_ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; autoload -U compinit; compinit -u -D; source {script}; bindkey "^D" list-choices; COLUMNS=200'
zpty -w shell 'LISTMAX=10000; stty -echo; print REA""DY'
zpty -r -m shell seen '*READY*'
zpty -n -w shell '{words} {begun}'
for try in {{1..60}}; do
    zpty -n -w shell $'\004'
    sleep 0.5
    while zpty -r -t shell seen; do shown+=$seen; done
    [[ $shown == *{awaited}* ]] && break
done
print -r -- $shown
"""
ASK = {"bash": ASK_BASH, "zsh": ASK_ZSH, "fish": ASK_FISH}


def offered(shell: str, script: Path, words: str, awaited: str) -> set[str]:
    """What a real shell offers for the last of these words at the Tab key, `awaited` being the last of it."""
    typed, _, begun = words.rpartition(" ")
    question = ASK[shell].format(script=script, words=typed, begun=begun, awaited=awaited)
    told = subprocess.run(
        [shell, "-c", question],
        env={**os.environ, "HOME": str(script.parent), "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(re.findall(r"[\w-]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", " ", told.stdout)))


@pytest.mark.parametrize("shell", sorted(ASK))
@pytest.mark.parametrize(
    ("words", "expected", "unexpected"),
    [
        ("coaching se", {"send", "session"}, {"lag"}),
        ("coaching dead-letters re", {"replay"}, {"list"}),
        ("coaching send cancel --re", {"--reason", "--refund"}, {"--by"}),
        ("coaching lag --group ", {"booking", "credits", "notifier"}, set()),
    ],
)
async def test_a_shell_completes_commands_options_and_choices(
    run: Run, shell: str, words: str, expected: set[str], unexpected: set[str], tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on the PATH: apt-get install {shell}")
    script = tmp_path / "completion"
    script.write_text((await run("completion", shell))[1])
    found = offered(shell, script, words, max(expected))
    assert found >= expected
    assert not found & unexpected


@pytest.mark.parametrize("shell", sorted(ASK))
def test_the_readme_says_how_a_shell_comes_to_it(shell: str) -> None:
    assert f"coaching completion {shell}" in README.read_text()


async def test_a_shell_that_is_not_known_is_told_with_those_that_are(run: Run) -> None:
    exit_code, out, err = await run("completion", "tcsh")
    assert (exit_code, out) == (2, "")
    assert (
        err == 'Invalid value "tcsh" for SHELL; choose from: "bash", "zsh", "fish"; see: coaching completion --help\n'
    )
