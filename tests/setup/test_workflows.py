"""The workflow files that are written: which form, who wrote them, and whether somebody has changed them."""

import re
from pathlib import Path

import pytest
from tests.setup.test_inline import FULL, IMAGE, actions
from tests.support import config_texts as texts

from mlbot import __version__
from mlbot.config.actions import Actions
from mlbot.config.errors import ConfigError
from mlbot.lib.constants import DASHBOARD_PATH, JUDGE_PATH, RELEASE_PATH, TRAIN_PATH, WATCH_PATH
from mlbot.setup import scaffold
from mlbot.setup.workflows import (
    Form,
    Order,
    State,
    choose,
    drivers,
    fetchers,
    files,
    needed,
    stamp_of,
    stamped,
    state_of,
)

ORDER = Order(form=Form.CALLERS, guard=("main",), install="pip install -r r.txt", actions=Actions())


@pytest.mark.parametrize(
    ("top", "train", "host", "owner", "form", "why"),
    [
        ("", "", "github.com", "acme", Form.CALLERS, "small and call mlbot's own: nothing in mlbot.yaml needs more"),
        ("actions: {form: inline}", "", "github.com", "acme", Form.INLINE, "have the form inline, as mlbot.yaml says"),
        ("actions: {form: callers}", "gpu", "github.com", "acme", Form.CALLERS, "have the form callers, as mlbot.yaml"),
        ("actions: {retention-days: 3, lfs: true}", "", "github.com", "acme", Form.CALLERS, "nothing in mlbot.yaml"),
        ("actions: {runs-on: x}", "", "github.com", "acme", Form.INLINE, "could not have actions.runs-on"),
        (f"actions: {{container: {{image: '{IMAGE}'}}}}", "", "github.com", "acme", Form.INLINE, "actions.container"),
        ("actions: {deploy: {secrets: [A]}}", "", "github.com", "acme", Form.INLINE, "actions.deploy"),
        ("", "[self-hosted, gpu]", "github.com", "acme", Form.INLINE, "the runner self-hosted, gpu of models.m"),
        ("", "ubuntu-latest-16-cores", "github.com", "acme", Form.INLINE, "ubuntu-latest-16-cores of models.m"),
        ("", "[self-hosted, gpu]", "github.com", "MLbot-CI", Form.CALLERS, "nothing in mlbot.yaml needs more"),
        ("environments: {p: {target: x, runs-on: lab}}", "", "github.com", "a", Form.INLINE, "lab of environments.p"),
        ("", "", "acme.ghe.com", "acme", Form.INLINE, "acme.ghe.com cannot call those of github.com"),
    ],
)
def test_the_form_and_why(top: str, train: str, host: str, owner: str, form: Form, why: str) -> None:
    text = texts.SMALL.replace("run: make", f"run: make\n      runs-on: {train or 'ubuntu-latest'}")
    choice = choose(texts.parse(f"{top}\n{text}"), host=host, owner=owner)
    assert (choice.form, why in choice.why) == (form, True), choice.why
    assert choice.why.endswith(".")


def test_without_a_config_the_files_are_small() -> None:
    assert choose(None).form is Form.CALLERS
    assert needed(None) is None


def test_the_first_line_says_who_wrote_a_file() -> None:
    text = stamped("name: x\n", Form.INLINE)
    stamp = stamp_of(text)
    assert stamp
    assert (stamp.version, stamp.form) == (__version__, Form.INLINE)
    assert text.splitlines()[2:] == ["name: x"]
    assert all(
        stamp_of(line) is None for line in ("", "name: x", "# mlbot 1 inline", "# mlbot 1 both sha256:" + "0" * 64)
    )


def other_version(text: str) -> str:
    """The file as an mlbot of another version would have written it, with a line that has gone since."""
    body = text.partition("\n")[2] + "# gone since\n"
    return stamped(body.partition("\n")[2], Form.CALLERS).replace(f"mlbot {__version__}", "mlbot 0.0.1")


def test_how_a_file_is() -> None:
    wanted = files(ORDER)[TRAIN_PATH]
    inline = files(Order(form=Form.INLINE, guard=("main",), install="", actions=Actions()))[TRAIN_PATH]
    guarded = files(Order(form=Form.CALLERS, guard=("main", "dev"), install=ORDER.install, actions=Actions()))[
        TRAIN_PATH
    ]
    assert state_of(None, wanted) is State.ABSENT
    assert state_of(wanted, wanted) is State.CURRENT
    assert state_of(wanted.replace("\n", "\r\n"), wanted) is State.CURRENT
    assert state_of(wanted.replace(__version__, "0.0.1", 1), wanted) is State.CURRENT, "it says the same"
    assert state_of(other_version(wanted), wanted) is State.VERSION
    assert state_of(other_version(wanted).replace("\n", "\r\n"), wanted) is State.VERSION
    assert state_of(inline, wanted) is State.FORM
    assert state_of(guarded, wanted) is State.SETTINGS
    for edited in (wanted.replace("merge_group", "x"), wanted + "\n", "name: mine\n", "", inline + "# mine\n"):
        assert state_of(edited, wanted) is State.EDITED
        assert not state_of(edited, wanted).is_mlbots


@pytest.mark.parametrize("form", Form)
def test_what_dependabot_moves_is_no_change_by_hand(form: Form) -> None:
    wanted = files(Order(form=form, guard=("main",), install="x", actions=Actions()))[JUDGE_PATH]
    moved = re.sub(r"(?m)^( *(?:- )?uses: [^@\n]+)@.*", rf"\1@{'d' * 40} # v9.9.9", wanted)
    assert moved.count("v9.9.9") == len(re.findall(r"(?m)^ *(?:- )?uses: ", wanted))
    assert state_of(moved, wanted) is State.CURRENT
    assert state_of(moved.replace(f"mlbot {__version__} ", "mlbot 0.0.1 "), wanted) is State.VERSION
    for edited in (moved.replace("mlbot-ci/mlbot/", "eve/mlbot/"), moved.replace("# v9.9.9", "# v9.9.9\n    if: x", 1)):
        assert state_of(edited, wanted) is State.EDITED


@pytest.mark.parametrize("form", Form)
def test_which_files_there_are(form: Form) -> None:
    base = {"form": form, "guard": ("main",), "install": "x"}
    assert set(files(Order(**base, actions=Actions()))) == {TRAIN_PATH, JUDGE_PATH}  # type: ignore[arg-type] # of mixed kinds
    every = files(Order(**base, actions=Actions(), release=True, watch=True, dashboard=True))  # type: ignore[arg-type] # the same
    assert set(every) == {TRAIN_PATH, JUDGE_PATH, RELEASE_PATH, WATCH_PATH, DASHBOARD_PATH}


def test_what_an_app_and_large_files_need_is_given_to_every_workflow() -> None:
    given = actions("token: {client-id: A, private-key: B, app: 'acme[bot]'}\nlfs: true")
    callers = files(Order(form=Form.CALLERS, guard=("main",), install="x", actions=given, release=True))
    for path, text in callers.items():
        assert text.count("lfs: true") == 1, path
    assert callers[TRAIN_PATH].count("bot: acme[bot]") + callers[TRAIN_PATH].count('bot: "acme[bot]"') == 1
    inline = files(Order(form=Form.INLINE, guard=("main",), install="x", actions=given, release=True))
    assert "github-actions[bot]" not in inline[TRAIN_PATH] + inline[JUDGE_PATH]
    assert "lfs: false" not in "".join(inline.values())


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("models/churn", ()),
        (f"oci://host/a@sha256:{'a' * 64}", ("deploy",)),
        ("s3://bucket/a?versionId=1", ("s3",)),
        (f"{{url: 'https://host/a', sha256: {'a' * 64}}}", ("http",)),
    ],
)
def test_what_fetches_a_model_is_in_the_jobs_that_fetch_it(url: str, found: tuple[str, ...]) -> None:
    config = texts.parse(texts.SMALL.replace("    train:\n      run: make\n", f"    artifact: {url}\n"))
    assert fetchers(config) == drivers(config) == found
    written = files(Order(form=Form.CALLERS, guard=("main",), install="", actions=Actions(), fetchers=found))
    assert written[TRAIN_PATH].count(f"drivers: {' '.join(found)}") == bool(found)


def test_a_release_of_mlbot_is_called_by_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "c" * 40
    monkeypatch.setattr(scaffold, "built_of", lambda: commit)
    for form in Form:
        for path, text in files(
            Order(form=form, guard=("main",), install="x", actions=actions(FULL), watch=True)
        ).items():
            lines = [line for line in text.splitlines() if "uses: mlbot-ci/mlbot/" in line]
            assert lines, path
            assert all(line.endswith(f"@{commit} # v{__version__}") for line in lines), lines


def test_the_wheel_carries_what_the_files_are_made_of() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for name in ("train", "judge", "command", "tag", "release"):
        assert f'".github/workflows/{name}.yml" = "mlbot/workflows/{name}.yml"' in text


def test_jobs_install_what_reaches_the_data_the_store_and_the_targets() -> None:
    config = texts.parse(
        "store: gs://b/models\nenvironments: {p: {target: s3://b/p}, q: {target: 'command:./x', after: p}}\n"
        + texts.SMALL.replace("data/holdout.csv", "https://host/h.csv")
    )
    assert drivers(config) == ("gcs", "http", "s3")
    # Most metrics of people's own are made of scikit-learn's, which mlbot's need not.
    own = texts.SMALL.replace("data/holdout.csv", "s3://b/h.csv").replace("metrics: [", "metrics: [m:profit_score, ")
    assert drivers(texts.parse(own)) == ("metrics", "s3")
    assert drivers(texts.parse(texts.SMALL)) == drivers(texts.parse(f"store: oci://ghcr.io/a/b\n{texts.SMALL}")) == ()
    order = {"guard": ("main",), "install": "x", "actions": Actions(), "release": True, "drivers": drivers(config)}
    for path, count in ((JUDGE_PATH, 1), (RELEASE_PATH, 1)):
        assert files(Order(form=Form.CALLERS, **order))[path].count("drivers: gcs http s3") == count  # type: ignore[arg-type] # of mixed kinds
    inline = files(Order(form=Form.INLINE, **order))  # type: ignore[arg-type] # the same
    for text in ("extras: bot gcs http s3\n", "extras: judge charts gcs http s3\n", "extras: deploy gcs http s3\n"):
        assert text in inline[JUDGE_PATH]
    assert inline[RELEASE_PATH].count("extras: judge gcs http s3\n") == 4
    plain = files(Order(form=Form.INLINE, **order | {"drivers": ()}))[JUDGE_PATH]  # type: ignore[arg-type] # the same
    assert "extras: bot\n" in plain


def test_sealed_rows_need_jobs_of_the_repositorys_own_and_their_driver_for_releases_alone() -> None:
    sealed = texts.SMALL.replace("target: y", "target: y\n      sealed: s3://vault/s.csv")
    config = texts.parse(sealed)
    assert choose(config).form is Form.INLINE
    assert config.wired.environments() == {"mlbot-sealed": ("MLBOT_SEALED_KEY",)}
    assert (drivers(config), drivers(config, sealed=True)) == ((), ("s3",))
    order = Order(
        form=Form.INLINE,
        guard=("main",),
        install="x",
        actions=config.wired,
        release=True,
        sealed=drivers(config, sealed=True),
    )
    made = files(order)
    assert [path for path, text in made.items() if "name: mlbot-sealed" in text] == [RELEASE_PATH]
    assert [path for path, text in made.items() if "judge s3" in text] == [RELEASE_PATH]
    with pytest.raises(ConfigError, match="callers beside sealed rows"):
        texts.parse(f"actions: {{form: callers}}\n{sealed}")


def test_days_and_statuses_are_those_of_the_config() -> None:
    base = {"form": Form.INLINE, "guard": ("main", "release/*"), "install": "x"}
    text = files(Order(**base, actions=actions("retention-days: 3")))  # type: ignore[arg-type] # of mixed kinds
    assert text[TRAIN_PATH].count("retention-days: 3\n") == 2
    assert text[JUDGE_PATH].count("retention-days: 3\n") == 4
    assert text[JUDGE_PATH].count("keep-days: 90\n") == 2
    assert "contexts: mlbot mlbot/main mlbot/release\n" in text[JUDGE_PATH]


def test_a_holdout_in_lfs_is_fetched_for_the_judge_alone() -> None:
    for form in Form:
        made = files(Order(form=form, guard=("main",), install="x", actions=actions("lfs: judge"), release=True))
        assert "lfs: true" not in made[TRAIN_PATH]
        for path in (JUDGE_PATH, RELEASE_PATH):
            assert "lfs: true" in made[path]
            assert "lfs: false" not in made[path]
