"""The help lists what can be given in this repository, with its names, whole and as GitHub shows it."""

import html
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import command_samples as samples
from tests.support import config_samples
from tests.support.hostile_samples import LINKS, NASTY, as_github, skeleton

from mlbot.commands.dispatch import Reply
from mlbot.commands.facts import Decision, Reason
from mlbot.commands.help import CommandHelp, HelpModel
from mlbot.commands.parser import COMMANDS, parse_comment
from mlbot.config.schema import Config, EnvironmentConfig, Waivers
from mlbot.config.train import Tunable

RATE = Tunable(name="learning_rate", type="float", min=0.01, max=1.0)
LEAVES = Tunable(name="max_leaf_nodes", choices=(15, 31, 63))
STAGING = EnvironmentConfig(name="staging", target="models/staging")
CANARY = EnvironmentConfig(name="canary", target="models/canary", after="staging")
PRODUCTION = EnvironmentConfig(name="production", target="models/production", after="canary", approvals=2)


class MarkdownFile(SingleFileSnapshotExtension):
    file_extension = "md"
    _write_mode = WriteMode.TEXT


def config(*environments: EnvironmentConfig, waivers: Waivers = Waivers()) -> Config:  # noqa: B008 - it is frozen
    model = config_samples.model(train={"tunable": (RATE, LEAVES)})
    made = config_samples.config(model, config_samples.model("spam"))
    return made.model_copy(update={"environments": environments, "waivers": waivers})


def whole() -> Config:
    return config(STAGING, CANARY, PRODUCTION, waivers=Waivers(by=("ada",)))


def help_of(found: Config | None, *, issue: bool = False, fork: bool = False) -> CommandHelp:
    known = samples.fork(config=found) if fork else samples.facts(config=found)
    if issue:
        known = samples.ISSUE.model_copy(update={"config": found})
    made = samples.decided("/mlbot help", known).values["help"]
    assert isinstance(made, CommandHelp)
    return made


def written(found: CommandHelp) -> str:
    decision = Decision(reason=Reason.DONE, values={"help": found})
    return samples.written(Reply(text="/mlbot help", template="commands/help.md.j2", decision=decision))


def kinds(found: Config | None, **more: Any) -> set[str]:
    usages = {row.usage for row in help_of(found, **more).rows}
    return {each.model_fields["kind"].default for each in COMMANDS if each.usage() in usages}


def test_release_commands_need_an_environment() -> None:
    without = {"retrain", "judge", "waive", "status", "help", "cancel"}
    releases = {"release", "promote", "approve", "rollback", "lock", "unlock"}
    assert kinds(config()) == kinds(None) == without
    assert kinds(config(STAGING)) == without | releases
    assert kinds(config(STAGING), issue=True) == {"help"} | releases
    assert kinds(None, issue=True) == {"help"}


def test_the_names_of_the_repository() -> None:
    found = help_of(whole())
    assert [(model.name, model.tunable) for model in found.models] == [("income", (RATE, LEAVES)), ("spam", ())]
    assert found.environments == (STAGING, CANARY, PRODUCTION)
    assert help_of(None).models == ()


def test_who_may_waive_is_the_configs_to_say() -> None:
    rows = help_of(config(waivers=Waivers(by=("ada", "grace")))).rows
    assert [row.who for row in rows if row.usage.startswith("/waive")] == [("maintain", "ada", "grace")]
    assert [row.who for row in rows if row.usage.startswith("/retrain")] == [("write",)]
    assert [row.who for row in rows if row.usage == "/mlbot help"] == [()]


def test_a_fork_has_its_head_named() -> None:
    assert help_of(None, fork=True).sha == samples.HEAD


def test_long_lists_are_cut_and_counted() -> None:
    many = tuple(Tunable(name=f"p{n}", choices=tuple(f"{'|' * 50}{m}" for m in range(40))) for n in range(64))
    models = tuple(config_samples.model(f"{'m' * 55}{n}", train={"tunable": many}) for n in range(30))
    stages = tuple(EnvironmentConfig(name=f"{'s' * 55}{n}", target="models", after="s" * 63) for n in range(25))
    found = help_of(Config(models=models, environments=stages))
    assert (len(found.models), found.more_models) == (20, 10)
    assert (len(found.environments), found.more_environments) == (20, 5)
    assert sum(len(model.tunable) for model in found.models) == 40
    assert [model.more for model in found.models[:2]] == [24, 64]
    assert len(written(found)) < 40_000, "it is far under a comment's limit"


HELPS: dict[str, CommandHelp] = {
    "pull_request": help_of(whole()),
    "fork": help_of(config_samples.config(), fork=True),
    "issue": help_of(whole(), issue=True),
    "no_config": help_of(None),
}


@pytest.mark.parametrize("name", HELPS)
def test_whole(name: str, snapshot: SnapshotAssertion) -> None:
    assert written(HELPS[name]) == snapshot(extension_class=MarkdownFile)


@pytest.mark.parametrize("name", HELPS)
def test_github_shows_tables_and_no_mention(name: str) -> None:
    page = as_github(written(HELPS[name]))
    assert page.count("<table>") == 1
    assert page.count("<tr>") == len(HELPS[name].rows) + 1
    assert not LINKS.search(skeleton(page)[1])


def test_a_usage_can_be_copied_as_it_stands() -> None:
    page = as_github(written(HELPS["pull_request"]))
    for each in COMMANDS:
        assert f"><code>{html.escape(each.usage())}</code><" in page


def test_the_help_says_nothing_itself() -> None:
    for found in HELPS.values():
        assert parse_comment(written(found)) == ()


@pytest.mark.parametrize("text", NASTY)
def test_no_text_changes_the_help(text: str) -> None:
    def named(values: str) -> CommandHelp:
        tunable = Tunable(name=values, choices=(values,))
        model = HelpModel(name="income", tunable=(tunable,), more=3)
        environment = EnvironmentConfig(name="staging", target="t", after="x", approvals=1)
        return CommandHelp(rows=HELPS["issue"].rows, models=(model,), environments=(environment,), more_models=2)

    harmless, _ = skeleton(as_github(written(named("harmless"))))
    tags, texts = skeleton(as_github(written(named(text))))
    assert tags == harmless
    assert not LINKS.search(texts)
