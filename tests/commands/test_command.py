"""The classes of the commands: whole, and who may give them."""

from pathlib import Path

import pytest

from mlbot.commands.command import PARAMETERS, REASON, SHA, Command
from mlbot.commands.parser import COMMANDS, parse_comment
from mlbot.lib import templates as resources
from mlbot.lib.templates import phrase

every = pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)


def test_names_and_kinds_are_there_once() -> None:
    names = [name for each in COMMANDS for name in (each.name, *each.aliases)]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() for name in names)
    assert len({each.model_fields["kind"].default for each in COMMANDS}) == len(COMMANDS)


@every
def test_its_template_has_its_words(command: type[Command]) -> None:
    assert Path(command.template).stem == f"{command.model_fields['kind'].default}.md"
    summary = phrase(command.template, "summary")
    assert summary.endswith(".")
    assert "|" not in summary, "it stands in a cell"
    assert phrase(command.template, "detail").endswith(".")


@every
def test_its_example_is_what_the_bot_would_write(command: type[Command]) -> None:
    (line,) = parse_comment(command.example)
    assert isinstance(line.command, command)
    assert line.command.text.replace('"', "") == command.example.replace('"', "")


@every
def test_a_required_word_is_not_behind_one_that_may_be_left_out(command: type[Command]) -> None:
    """Words are taken in order: it would never be sure of its place."""
    in_order = [command.requires(form) for form in command.arguments if form not in {REASON, PARAMETERS, SHA}]
    assert sorted(in_order, reverse=True) == in_order


def test_the_usages_and_who_may() -> None:
    """A change of this table is a change of who may do what: it is to be seen twice."""
    assert {each.usage(): (each.role, each.in_issues, each.delivers) for each in COMMANDS} == {
        "/retrain [MODEL…] [PARAMETER=VALUE…] [SHA]": ("write", False, False),
        "/judge [SHA]": ("write", False, False),
        '/waive MODEL:GATE reason="…"': ("maintain", False, False),
        "/mlbot status": ("none", False, False),
        "/mlbot help": ("none", True, False),
        "/mlbot cancel": ("write", False, False),
        '/release MODEL [patch|minor|major|vX.Y.Z] [waive-sealed="…"]': ("write", True, True),
        '/promote MODEL@VERSION ENVIRONMENT [reason="…"]': ("write", True, True),
        "/approve MODEL@VERSION ENVIRONMENT": ("write", True, True),
        '/rollback MODEL ENVIRONMENT [VERSION] reason="…"': ("write", True, True),
        '/lock ENVIRONMENT reason="…"': ("write", True, True),
        "/unlock ENVIRONMENT": ("write", True, True),
    }


def test_every_template_of_a_command_belongs_to_one() -> None:
    shared = {"answer", "errors", "shared", "status_texts", "tunable"}
    found = {path.name.removesuffix(".md.j2") for path in (resources.templates() / "commands").iterdir()}
    assert found - shared == {str(each.model_fields["kind"].default) for each in COMMANDS}
