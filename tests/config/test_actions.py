"""The section `actions`: what reaches a workflow file is of one form, whatever somebody writes."""

import jsonschema
import pytest
from tests.support import config_texts as texts
from tests.support.config_texts import parse, problems

from mlbot.config.actions import Actions, is_hosted
from mlbot.config.schema import Config, json_schema
from mlbot.config.yaml import load

SHA = "0123456789abcdef0123456789abcdef01234567"
IMAGE = f"ghcr.io/acme/train@sha256:{'a' * 64}"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())
LOGIN = (
    f"login: {{uses: aws-actions/configure-aws-credentials@{SHA}, with: {{role-to-assume: 'arn:aws:iam::1:role/x'}}}}"
)


def judging(value: str, uses: str = f"a/b@{SHA}", more: str = "") -> str:
    """A login of the judge's with its inputs."""
    return f" {{judge: {{{more}login: {{uses: '{uses}', with: {value}}}}}}}"


DESIGN = f"""
  form: inline
  runs-on: [self-hosted, linux]
  container: {{image: "{IMAGE}", options: --gpus all}}
  token: {{client-id: MLBOT_APP_CLIENT_ID, private-key: MLBOT_APP_KEY}}
  judge: {{environment: mlbot-judge, {LOGIN}}}
  store: {{environment: mlbot-store, secrets: [STORE_KEY_ID, STORE_KEY]}}
  deploy: {{secrets: [KUBE_TOKEN]}}
  retention-days: 5
"""


def written(section: str) -> str:
    return f"actions:{section}\n{texts.SMALL}"


def of(section: str) -> Actions:
    return parse(written(section)).actions


def test_the_example_of_the_design() -> None:
    actions = of(DESIGN)
    assert (actions.form, actions.runs_on, actions.retention_days) == ("inline", ("self-hosted", "linux"), 5)
    assert actions.container
    assert (actions.container.image, actions.container.options) == (IMAGE, "--gpus all")
    assert actions.token
    assert (actions.token.client_id, actions.token.app) == ("MLBOT_APP_CLIENT_ID", None)
    assert actions.judge
    assert actions.judge.login
    assert actions.judge.login.inputs == (("role-to-assume", "arn:aws:iam::1:role/x"),)
    assert actions.store
    assert actions.store.secrets == ("STORE_KEY_ID", "STORE_KEY")
    assert actions.needing() == ("runs-on", "container", "token", "judge", "store", "deploy")
    config = parse(written(DESIGN))
    assert Config.model_validate_json(config.model_dump_json()) == config
    VALIDATOR.validate(load(written(DESIGN), "x").data)


@pytest.mark.parametrize(
    "section",
    [
        " {}",
        " {form: callers}",
        " {retention-days: 90, lfs: true}",
        " {lfs: judge}",
        " {runs-on: ubuntu-24.04-arm}",
        " {runs-on: macos-15, isolation: reduced}",
        " {runs-on: [self-hosted, mac-mini]}",
        ' {token: {client-id: A, private-key: B, app: "acme-ml[bot]"}}',
        ' {judge: {prepare: "dvc pull data/holdout.csv", secrets: [DVC_KEY]}}',
        judging("{password: '${{ secrets.P }}'}", more="secrets: [P], "),
        f' {{store: {{login: {{uses: "a/b/c@{SHA}", with: {{n: 1, flag: true, x: "${{{{ vars.X }}}}"}}}}}}}}',
        " {deploy: {}}",
    ],
)
def test_what_is_accepted(section: str) -> None:
    assert parse(written(section)).actions is not None
    VALIDATOR.validate(load(written(section), "x").data)


HOSTILE = [
    (" {form: both}", 'actions.form: found "both" → write callers or inline'),
    (" [inline]", "actions: found a list → write a mapping with form, "),
    (" {runner: x}", 'actions.runner: found the unknown key "runner" → write '),
    (" {runs-on: '${{ inputs.x }}'}", "actions.runs-on: found "),
    (" {runs-on: []}", "actions.runs-on: found a"),
    (" {runs-on: macos-15}", 'actions.runs-on: found "macos-15" → write a Linux runner'),
    (" {runs-on: [self-hosted, macOS], isolation: full}", 'actions.runs-on: found "macOS" → write a Linux runner'),
    (" {isolation: none}", 'actions.isolation: found "none" → write full or reduced'),
    (" {lfs: train}", 'actions.lfs: found "train" → write true, false or judge'),
    (" {retention-days: 0}", "actions.retention-days: found 0 → write a whole number from 1 to 90"),
    (" {retention-days: 91}", "actions.retention-days: found 91 → write a whole number from 1 to 90"),
    (" {container: {}}", "actions.container: found no image → write `image:`"),
    *(
        (f" {{container: {{image: '{image}'}}}}", "actions.container.image: found ")
        for image in (
            "ghcr.io/acme/train:latest",
            f"${{{{ github.actor }}}}@sha256:{'a' * 64}",
            f"a b@sha256:{'a' * 64}",
            f"-v@sha256:{'a' * 64}",
            f"A@sha256:{'a' * 64}",
            f"x@sha256:{'a' * 63}",
            f"x@sha256:{'g' * 64}",
        )
    ),
    *(
        (f" {{container: {{image: '{IMAGE}', options: '{options}'}}}}", "actions.container.options: found ")
        for options in (
            "--privileged",
            "--gpus all --network host",
            "--entrypoint=sh",
            "a; b",
            "${{ x }}",
            "$(x)",
            '"x"',
        )
    ),
    *(
        (f" {{deploy: {{secrets: ['{name}']}}}}", "actions.deploy.secrets[0]: found ")
        for name in (
            *("a b", "1A", "A-B", "${{ secrets.A }}", "A}} ${{ secrets.B", "x" * 101, "é"),
            *("GITHUB_TOKEN", "github_x", "PATH", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "RUNNER_TEMP", "MLBOT"),
            *("MLBOT_CI_RUN", "ACTIONS_RUNTIME_TOKEN", "NODE_OPTIONS", "DYLD_INSERT_LIBRARIES", "INPUT_TOKEN"),
        )
    ),
    (" {deploy: {secrets: [A, a]}}", 'actions.deploy.secrets[1]: found "a" again, after [0]'),
    (
        f" {{deploy: {{secrets: [{', '.join(f'S{n}' for n in range(33))}]}}}}",
        "actions.deploy.secrets: found a list of",
    ),
    *(
        (f" {{judge: {{login: {{uses: '{uses}'}}}}}}", "actions.judge.login.uses: found ")
        for uses in (
            "aws-actions/configure-aws-credentials@v4",
            f"aws-actions@{SHA}",
            f"./local@{SHA}",
            f"../x/y@{SHA}",
            f"a/../b@{SHA}",
            f"a/b@{SHA[:39]}",
            f"a/b@{SHA}0",
            f"a/b@{SHA.upper()}",
            f"docker://a/b@{SHA}",
            f"a/b@{SHA} # v1",
            "$/actions/judge",
            "${{ vars.X }}",
        )
    ),
    *(
        (judging(f"{{x: '{value}'}}"), "actions.judge.login.with.x: found ")
        for value in (
            "${{ github.token }}",
            "a ${{ secrets.A }}",
            "${{ secrets.A }}${{ secrets.B }}",
            "${{ secrets.A || 1 }}",
        )
    ),
    (judging("{'x y': 1}"), 'actions.judge.login.with."x y": found the name'),
    (judging("{}"), "actions.judge.login.with: found a mapping → write a map"),
    (
        judging("{x: '${{ secrets.A }}'}"),
        "actions.judge.login.with: found the secret A → write it under `secrets:` too: [A]",
    ),
    (" {judge: {environment: 'a/b'}}", "actions.judge.environment: found "),
    (" {judge: {environment: '${{ x }}'}}", "actions.judge.environment: found "),
    (" {judge: {prepare: ''}}", "actions.judge.prepare: found an empty text"),
    (" {judge: {prepare: 'echo ${{ toJSON(secrets) }}'}}", "actions.judge.prepare: found "),
    *(
        (f" {{token: {{client-id: A, private-key: K}}, {part}: {{secrets: [X, k]}}}}", f"actions.{part}.secrets[1]: ")
        for part in ("judge", "store", "deploy")
    ),
    (" {token: {client-id: A}}", "actions.token: found no private-key"),
    (" {token: {client-id: A, private-key: B, app: acme}}", "actions.token.app: found "),
    (" {form: callers, deploy: {secrets: [A]}}", "actions.form: found callers beside deploy → write inline, or"),
    (
        " {judge: {environment: mlbot}}",
        'actions.judge.environment: found "mlbot" → write another: mlbot is the one',
    ),
    (
        " {store: {environment: MLBOT-Judge}, judge: {}}",
        'actions.store.environment: found "MLBOT-Judge" → write',
    ),
    (
        " {judge: {environment: prod}}\nenvironments: {prod: {target: x}}",
        'actions.judge.environment: found "prod" → write another: prod is a deployment\'s, and secrets are kept apart',
    ),
]
BETWEEN = (
    *("found callers beside", "found the secret A", "write another", "again, after", "[0]: found", "login.with.x"),
    "the App's",
    "Linux runner",
)
"""What a JSON Schema of one setting cannot know, or says of too many at once to be sure."""


@pytest.mark.parametrize(("section", "message"), HOSTILE, ids=[section for section, _ in HOSTILE])
def test_what_is_hostile_is_refused_at_its_place(section: str, message: str) -> None:
    found = problems(written(section))
    assert found, "it was accepted"
    assert message in found[0]
    assert len(found) == 1


def test_an_editor_refuses_what_a_setting_alone_can_tell() -> None:
    for section, message in HOSTILE:
        if not any(part in message or part in problems(written(section))[0] for part in BETWEEN):
            assert not VALIDATOR.is_valid(load(written(section), "x").data), section


@pytest.mark.parametrize(
    ("labels", "hosted"),
    [
        (("ubuntu-latest",), True),
        (("ubuntu-24.04-arm",), True),
        (("macos-15",), True),
        (("windows-2025",), True),
        (("ubuntu-latest-8-cores",), False),
        (("macos-15-xlarge",), False),
        (("self-hosted",), False),
        (("self-hosted", "ubuntu-latest"), False),
        (("gpu",), False),
    ],
)
def test_which_runners_every_account_has(labels: tuple[str, ...], *, hosted: bool) -> None:
    assert is_hosted(labels) is hosted


def test_which_environments_are_to_be_made_with_which_secrets() -> None:
    section = " {token: {client-id: A, private-key: KEY}, judge: {secrets: [J]}, store: {secrets: [S, J]}, deploy: {}}"
    assert of(" {}").environments(["prod"]) == {}
    assert of(" {judge: {environment: x}}").environments() == {"x": ()}
    assert of(" {evaluate: {secrets: [E]}, judge: {secrets: [J]}}").environments() == {
        "mlbot-judge": ("J",),
        "mlbot-evaluate": ("E",),
    }
    assert of(section).environments() == {"mlbot-judge": ("J",), "mlbot-store": ("S", "J"), "mlbot": ("KEY",)}
    sealed = section.replace("deploy: {}", "deploy: {}, sealed: {secrets: [V]}")
    assert of(sealed).environments()["mlbot"] == ("KEY", "S", "J"), "who writes a look finds the model in the store"
    assert of(sealed).environments()["mlbot-sealed"] == ("MLBOT_SEALED_KEY", "V", "S", "J")
    assert of(section).environments(["prod"]) == {
        "mlbot-judge": ("J",),
        "mlbot-store": ("S", "J"),
        "mlbot": ("KEY", "J", "S"),
        "prod": ("KEY", "S", "J"),
    }
