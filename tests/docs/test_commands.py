"""The page of the commands says what the table says, and nothing that the bot would not understand."""

import re

import pytest

import commands_table
from mlbot.commands import checks, retrain
from mlbot.commands.command import CommandError, parse_comment
from mlbot.commands.table import COMMANDS, MAX_COMMANDS, MAX_LINE, MAX_REASON, MAX_VALUE, CommandSpec

PAGE = commands_table.PAGE.read_text(encoding="utf-8")
README = (commands_table.PAGE.parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_code() -> None:
    assert commands_table.rewritten(PAGE) == PAGE, "run `python docs/commands_table.py`"


def test_a_drift_would_be_seen() -> None:
    assert commands_table.rewritten(PAGE.replace("| write |", "| read |")) == PAGE
    assert commands_table.rewritten(PAGE.replace(COMMANDS[0].summary, "")) == PAGE


@pytest.mark.parametrize("spec", COMMANDS, ids=lambda spec: spec.kind)
def test_a_command_is_in_the_overview_and_has_a_part_of_its_own(spec: CommandSpec) -> None:
    (row,) = re.findall(rf"^\| \[`/{spec.name}`\]\(#([a-z-]+)\) \| (.+)$", PAGE, re.MULTILINE)
    (title,) = re.findall(rf"^### (`/{spec.name}`)$", PAGE, re.MULTILINE)
    assert row[0] == title.strip("`/").replace(" ", "-")
    assert spec.summary in row[1]
    assert f"```text\n{spec.usage}\n```" in PAGE


def test_what_is_said_in_the_text_is_understood() -> None:
    said = {each for each in re.findall(r"(?<!\[)`(/[^`]+)`", PAGE) if "…" not in each and not each.isupper()}
    assert len(said) > len(COMMANDS)
    for each in said:
        (found,) = parse_comment(each)
        missing = isinstance(found.command, CommandError) and found.command.fault == "missing"
        assert missing or not isinstance(found.command, CommandError), each


def test_the_limits_are_those_of_the_code() -> None:
    limits = PAGE.partition("## Limits")[2]
    for said in (
        f"{MAX_COMMANDS} commands in a comment",
        f"{checks.LIMIT} commands of one person in one thread in a minute",
        f"{MAX_LINE:,} characters in a command, {MAX_REASON} in a reason, {MAX_VALUE} in a parameter's value",
        f"older than {retrain.MOST_DAYS} days, or with {retrain.MOST_ATTEMPTS} attempts",
    ):
        assert said in limits


@pytest.mark.parametrize("line", re.findall(r"^/.+$", README, re.MULTILINE))
def test_the_readmes_commands_are_understood(line: str) -> None:
    (said,) = parse_comment(line)
    assert not isinstance(said.command, CommandError)


def test_the_readme_shows_some() -> None:
    assert len(re.findall(r"^/[a-z]+", README, re.MULTILINE)) == 3


def test_the_page_pasted_into_a_comment_says_nothing() -> None:
    assert parse_comment(PAGE) == ()
