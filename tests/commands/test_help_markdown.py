"""The answer to `/mlbot help`: whole, and as GitHub shows it."""

import html

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import config_samples
from tests.support.hostile_samples import LINKS, NASTY, as_github, skeleton

from mlbot.commands.command import parse_comment
from mlbot.commands.help import CommandHelp, HelpEnvironment, HelpModel, help_for, help_text
from mlbot.commands.table import COMMANDS, Where
from mlbot.config.schema import Config, EnvironmentConfig, Tunable, Waivers


class MarkdownFile(SingleFileSnapshotExtension):
    file_extension = "md"
    _write_mode = WriteMode.TEXT


def whole() -> Config:
    tunable = (
        Tunable(name="learning_rate", type="float", min=0.01, max=1.0),
        Tunable(name="max_leaf_nodes", choices=(15, 31, 63)),
    )
    made = config_samples.config(config_samples.model(train={"tunable": tunable}), config_samples.model("spam"))
    environments = (
        EnvironmentConfig(name="staging", target="models/staging"),
        EnvironmentConfig(name="canary", target="models/canary", after="staging"),
        EnvironmentConfig(name="production", target="models/production", after="canary", approvals=2),
    )
    return made.model_copy(update={"environments": environments, "waivers": Waivers(by=("ada",))})


HELPS: dict[str, CommandHelp] = {
    "pull_request": help_for(whole(), Where.PULL_REQUEST),
    "fork": help_for(config_samples.config(), Where.PULL_REQUEST, fork_head="4f1c2a9d" * 5),
    "issue": help_for(whole(), Where.ISSUE),
    "no_config": help_for(None, Where.PULL_REQUEST),
}


@pytest.mark.parametrize("name", HELPS)
def test_whole(name: str, snapshot: SnapshotAssertion) -> None:
    assert help_text(HELPS[name]) == snapshot(extension_class=MarkdownFile)


@pytest.mark.parametrize("name", HELPS)
def test_github_shows_tables_and_no_mention(name: str) -> None:
    page = as_github(help_text(HELPS[name]))
    assert page.count("<table>") == 1
    assert page.count("<tr>") == len(HELPS[name].rows) + 1
    assert not LINKS.search(skeleton(page)[1])


def test_a_usage_can_be_copied_as_it_stands() -> None:
    page = as_github(help_text(HELPS["pull_request"]))
    for spec in COMMANDS:
        assert f"><code>{html.escape(spec.usage)}</code><" in page


def test_the_help_says_nothing_itself() -> None:
    for found in HELPS.values():
        assert parse_comment(help_text(found)) == ()


@pytest.mark.parametrize("text", NASTY)
def test_no_text_changes_the_help(text: str) -> None:
    def named(values: str) -> CommandHelp:
        model = HelpModel(name="income", tunable=((values, values),), more=3)
        environment = HelpEnvironment(name="staging", after="x", approvals=1)
        return CommandHelp(rows=HELPS["issue"].rows, models=(model,), environments=(environment,), more_models=2)

    harmless, _ = skeleton(as_github(help_text(named("harmless"))))
    tags, texts = skeleton(as_github(help_text(named(text))))
    assert tags == harmless
    assert not LINKS.search(texts)


def test_the_longest_help_fits() -> None:
    many = tuple(Tunable(name=f"p{n}", choices=tuple(f"{'|' * 50}{m}" for m in range(40))) for n in range(64))
    models = tuple(config_samples.model(f"{'m' * 60}{n}", train={"tunable": many}) for n in range(30))
    stages = tuple(EnvironmentConfig(name=f"{'s' * 60}{n}", target="models", after="s" * 63) for n in range(25))
    assert len(help_text(help_for(Config(models=models, environments=stages), Where.PULL_REQUEST))) < 40_000
