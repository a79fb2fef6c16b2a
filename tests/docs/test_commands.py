"""The page of the commands says what the table says, and nothing that the bot would not understand."""

import re

import pytest

import commands_table
from mlbot.commands import dispatch, retrain
from mlbot.commands.command import MAX_REASON, MAX_VALUE, Command
from mlbot.commands.parser import COMMANDS, MAX_COMMANDS, MAX_LINE, Fault, ParseError, parse_comment
from mlbot.lib.templates import phrase

PAGE = commands_table.PAGE.read_text(encoding="utf-8")
README = (commands_table.PAGE.parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_code() -> None:
    assert commands_table.rewritten(PAGE) == PAGE, "run `python docs/commands_table.py`"


def test_a_drift_would_be_seen() -> None:
    assert commands_table.rewritten(PAGE.replace("| write |", "| read |")) == PAGE
    assert commands_table.rewritten(PAGE.replace(phrase(COMMANDS[0].template, "summary"), "")) == PAGE


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
def test_a_command_is_in_the_overview_and_has_a_part_of_its_own(command: type[Command]) -> None:
    (row,) = re.findall(rf"^\| \[`/{command.name}`\]\(#([a-z-]+)\) \| (.+)$", PAGE, re.MULTILINE)
    (title,) = re.findall(rf"^### (`/{command.name}`)$", PAGE, re.MULTILINE)
    assert row[0] == title.strip("`/").replace(" ", "-")
    assert phrase(command.template, "summary") in row[1]
    assert f"```text\n{command.usage()}\n```" in PAGE


def test_what_is_said_in_the_text_is_understood() -> None:
    said = {each for each in re.findall(r"(?<!\[)`(/[^`]+)`", PAGE) if "…" not in each and not each.isupper()}
    assert len(said) > len(COMMANDS)
    for each in said:
        (found,) = parse_comment(each)
        assert not isinstance(found.command, ParseError) or found.command.fault is Fault.MISSING, each


def test_the_limits_are_those_of_the_code() -> None:
    limits = PAGE.partition("## Limits")[2]
    for said in (
        f"{MAX_COMMANDS} commands in a comment",
        f"{dispatch.LIMIT} commands of one person in one thread in a minute",
        f"{MAX_LINE:,} characters in a command, {MAX_REASON} in a reason, {MAX_VALUE} in a parameter's value",
        f"older than {retrain.MOST_DAYS} days, or with {retrain.MOST_ATTEMPTS} attempts",
    ):
        assert said in limits


@pytest.mark.parametrize("line", re.findall(r"^/.+$", README, re.MULTILINE))
def test_the_readmes_commands_are_understood(line: str) -> None:
    (said,) = parse_comment(line)
    assert not isinstance(said.command, ParseError)


def test_the_readme_shows_some() -> None:
    assert len(re.findall(r"^/[a-z]+", README, re.MULTILINE)) == 3


def test_the_page_pasted_into_a_comment_says_nothing() -> None:
    assert parse_comment(PAGE) == ()
