"""The help lists what can be said in this repository, with its names, and no more than fits."""

from tests.support import config_samples

from mlbot.commands.help import help_for
from mlbot.commands.table import COMMANDS, Where
from mlbot.config.schema import Config, EnvironmentConfig, Tunable, Waivers

RATE = Tunable(name="learning_rate", type="float", min=0.01, max=1.0)
LEAVES = Tunable(name="max_leaf_nodes", choices=(15, 31, 63))
STAGING = EnvironmentConfig(name="staging", target="models/staging")
PRODUCTION = EnvironmentConfig(name="production", target="models/production", after="staging", approvals=1)


def config(*environments: EnvironmentConfig, waivers: Waivers = Waivers()) -> Config:  # noqa: B008 - it is frozen
    model = config_samples.model(train={"tunable": (RATE, LEAVES)})
    made = config_samples.config(model, config_samples.model("spam"))
    return made.model_copy(update={"environments": environments, "waivers": waivers})


def kinds(where: Where, found: Config | None) -> set[str]:
    usages = {row.usage for row in help_for(found, where).rows}
    return {spec.kind for spec in COMMANDS if spec.usage in usages}


def test_release_commands_need_an_environment() -> None:
    without = {"retrain", "judge", "waive", "status", "help", "cancel"}
    releases = {"release", "promote", "approve", "rollback", "lock", "unlock"}
    assert kinds(Where.PULL_REQUEST, config()) == kinds(Where.PULL_REQUEST, None) == without
    assert kinds(Where.PULL_REQUEST, config(STAGING)) == without | releases
    assert kinds(Where.ISSUE, config(STAGING)) == {"help"} | releases
    assert kinds(Where.ISSUE, None) == {"help"}


def test_the_names_of_the_repository() -> None:
    found = help_for(config(STAGING, PRODUCTION), Where.PULL_REQUEST)
    assert [(model.name, model.tunable) for model in found.models] == [
        ("income", (("learning_rate", "a number from 0.01 to 1"), ("max_leaf_nodes", "15, 31 or 63"))),
        ("spam", ()),
    ]
    assert [(each.name, each.after, each.approvals) for each in found.environments] == [
        ("staging", None, 0),
        ("production", "staging", 1),
    ]
    assert help_for(None, Where.PULL_REQUEST).models == ()


def test_who_may_waive_is_the_configs_to_say() -> None:
    rows = help_for(config(waivers=Waivers(by=("ada", "grace"))), Where.PULL_REQUEST).rows
    assert [row.who for row in rows if row.usage.startswith("/waive")] == ["maintain, ada, grace"]
    assert [row.who for row in rows if row.usage.startswith("/retrain")] == ["write"]
    assert [row.who for row in rows if row.usage == "/mlbot help"] == [""]


def test_a_fork_has_its_head_named() -> None:
    assert help_for(None, Where.PULL_REQUEST, fork_head="4" * 40).sha == "4" * 40


def test_long_lists_are_cut_and_counted() -> None:
    many = tuple(Tunable(name=f"p{n}", choices=tuple(f"{'x' * 50}{m}" for m in range(40))) for n in range(64))
    models = tuple(config_samples.model(f"model-{n}", train={"tunable": many}) for n in range(30))
    stages = tuple(EnvironmentConfig(name=f"stage-{n}", target="models") for n in range(25))
    found = help_for(Config(models=models, environments=stages), Where.PULL_REQUEST)
    assert (len(found.models), found.more_models) == (20, 10)
    assert (len(found.environments), found.more_environments) == (20, 5)
    assert sum(len(model.tunable) for model in found.models) == 40
    assert [model.more for model in found.models[:2]] == [24, 64]
    assert all(len(values) == 80 and values.endswith("…") for _, values in found.models[0].tunable)
