"""The one table of the commands: whole, and of one piece with the records."""

import typing

import pytest

from mlbot.commands.command import Command, command_text, parse_comment
from mlbot.commands.table import COMMANDS, FORMS, CommandSpec, Form, Where, named, spec_of

RECORDS = typing.get_args(typing.get_args(Command)[0])


def test_each_record_has_a_row_and_each_row_a_record() -> None:
    kinds = [record.model_fields["kind"].default for record in RECORDS]
    assert sorted(kinds) == sorted(spec.kind for spec in COMMANDS)
    assert all(spec_of(kind).kind == kind for kind in kinds)


def test_names_are_said_once() -> None:
    names = [name for spec in COMMANDS for name in (spec.name, *spec.aliases)]
    assert len(set(names)) == len(names)
    assert all(named(name) is not None and name == name.lower() for name in names)
    assert named("retrian") is None


@pytest.mark.parametrize("spec", COMMANDS, ids=lambda spec: spec.kind)
def test_a_row_is_whole(spec: CommandSpec) -> None:
    assert spec.where
    assert spec.summary.endswith(".")
    assert spec.detail.endswith(".")
    assert "|" not in spec.summary, "it stands in a cell"
    assert spec.example.startswith(f"/{spec.name}")


@pytest.mark.parametrize("spec", COMMANDS, ids=lambda spec: spec.kind)
def test_what_comes_after_an_argument_that_may_be_left_out_stands_by_itself(spec: CommandSpec) -> None:
    """Words are taken in order: a required word behind an optional one would never be sure of its place."""
    in_order = [each for each in spec.arguments if each.form not in {Form.REASON, Form.PARAMETER, Form.SHA}]
    assert sorted(in_order, key=lambda each: not each.required) == in_order


def test_the_usages() -> None:
    assert [spec.usage for spec in COMMANDS] == [
        "/retrain [MODEL…] [PARAMETER=VALUE…] [SHA]",
        "/judge [SHA]",
        '/waive MODEL:GATE reason="…"',
        "/mlbot status",
        "/mlbot help",
        "/mlbot cancel",
        "/release MODEL [patch|minor|major|vX.Y.Z]",
        '/promote MODEL@VERSION ENVIRONMENT [reason="…"]',
        "/approve MODEL@VERSION ENVIRONMENT",
        '/rollback MODEL ENVIRONMENT [VERSION] reason="…"',
        '/lock ENVIRONMENT reason="…"',
        "/unlock ENVIRONMENT",
    ]


def test_who_may() -> None:
    """A change of this table is a change of who may do what: it is to be seen twice."""
    assert {spec.kind: spec.who for spec in COMMANDS} == {
        "retrain": "write",
        "judge": "write",
        "waive": "maintain",
        "status": "none",
        "help": "none",
        "cancel": "write",
        "release": "write",
        "promote": "write",
        "approve": "write",
        "rollback": "write",
        "lock": "write",
        "unlock": "write",
    }


def test_what_is_about_a_pull_request_is_said_there_only() -> None:
    about = {"retrain", "judge", "waive", "status", "cancel"}
    assert {spec.kind for spec in COMMANDS if Where.ISSUE not in spec.where} == about
    assert {spec.kind for spec in COMMANDS if spec.releases}.isdisjoint(about | {"help"})


def test_every_form_is_explained_and_used() -> None:
    assert set(FORMS) == set(Form) == {each.form for spec in COMMANDS for each in spec.arguments}


@pytest.mark.parametrize("spec", COMMANDS, ids=lambda spec: spec.kind)
def test_an_example_is_what_the_bot_would_write(spec: CommandSpec) -> None:
    (said,) = parse_comment(spec.example)
    assert said.command.kind != "error"
    assert command_text(said.command).replace('"', "") == spec.example.replace('"', "")
