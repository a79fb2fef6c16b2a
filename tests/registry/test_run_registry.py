"""`mlbot registry` in a clone with a history: what it says, in a table and as JSON."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support import history_samples, machine
from tests.support.git_samples import Sandbox, make
from tests.support.history_samples import MODEL, Story, deployment, lock, release
from tests.support.ledger_samples import digest
from tests.support.ledger_samples import entry as verdict_entry
from tests.support.releases import digest_of

from mlbot import entry
from mlbot.errors import Exit
from mlbot.git.ledger import COPY, LedgerBranch, OrphanBranch
from mlbot.git.remote import Remote
from mlbot.git.repository import Repository
from mlbot.ledger.entries import BRANCH
from mlbot.plan.content_key import data_digest

pytestmark = pytest.mark.usefixtures("git_settings")
COMMANDS = [
    "list",
    f"show {MODEL}",
    f"show {MODEL}@v1.0.0",
    "history",
    f"history {MODEL} --environment production",
    "history --on 2026-11-19",
    f"lineage {MODEL}@v1.0.0",
    "data data/train.csv",
    f"data {digest(50)[7:19]}",
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Story:
    dates = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-11-17T12:00:00Z")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (machine.ADA | dates).items():
            patch.setenv(name, value)
        return history_samples.told(tmp_path_factory.mktemp("told"))


@pytest.fixture
def story(told: Story, tmp_path: Path) -> Story:
    shutil.copytree(told.origin.parent, tmp_path / "story")
    copied = Story(Sandbox(tmp_path / "story" / "clone"), tmp_path / "story" / "origin.git", told.commits)
    copied.clone.git("remote", "set-url", "origin", str(copied.origin))
    return copied


def ask(story: Story | Sandbox, words: str, code: Exit = Exit.OK) -> None:
    path = story.clone.path if isinstance(story, Story) else story.path
    assert entry.invoke(["registry", *words.split(), "-C", str(path)]) == code


def answer(story: Story | Sandbox, words: str, capsys: pytest.CaptureFixture[str]) -> Any:
    ask(story, f"{words} --json")
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("words", COMMANDS)
def test_the_tables(story: Story, words: str, capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    ask(story, words)
    captured = capsys.readouterr()
    assert captured.out == snapshot
    assert captured.err == "As last fetched from origin; --fetch asks it anew.\n"


@pytest.mark.parametrize("words", COMMANDS)
def test_the_json(story: Story, words: str, capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    found = answer(story, words, capsys)
    assert re.fullmatch(r"mlbot/[a-z]+@1", found["schema_version"])
    assert found == snapshot


def test_what_is_in_production(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    (model,) = answer(story, "list", capsys)["models"]
    live = {each["environment"]: (each["version"], each["actor"], each["reason"]) for each in model["environments"]}
    assert live == {"staging": ("v1.1.0", "ada", ""), "production": ("v1.0.0", "grace", "complaints from support")}
    assert (model["latest"], model["versions"]) == ("v1.1.0", 2)


@pytest.mark.parametrize(
    ("date", "live"),
    [
        ("2026-11-17", {}),
        ("2026-11-18T09:30", {"staging": "v1.0.0"}),
        ("2026-11-18", {"staging": "v1.0.0", "production": "v1.0.0"}),
        ("2026-11-19", {"staging": "v1.1.0", "production": "v1.1.0"}),
        ("2026-11-20T08:00:00Z", {"staging": "v1.1.0", "production": "v1.0.0"}),
    ],
)
def test_what_was_live_on_a_date(
    story: Story, date: str, live: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(story, f"history --on {date}", capsys)
    assert {each["environment"]: each["version"] for each in found["live"]} == live


def test_what_made_it_and_who_approved(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(story, f"lineage {MODEL}@v1.0.0", capsys)
    assert found["commit"] == story.commits[0]
    assert found["data"] == {"data/train.csv": digest(50)}
    assert (found["params"], found["seed"]) == ({"max_iter": 100, "tree.depth": 3}, 0)
    assert found["environment"]["lock"] == digest(61)
    assert (found["verdict"]["outcome"], found["verdict"]["metrics"]) == ("pass", {"roc_auc": 0.91})
    assert [(each["gate"], each["actor"]) for each in found["waivers"]] == [("recall@women.min", "grace")]
    assert [(each["environment"], each["actor"]) for each in found["approvals"]] == [("production", "grace")]
    places = [(each["environment"], each["kind"]) for each in found["deployments"]]
    assert places == [("staging", "promotion"), ("production", "promotion"), ("production", "rollback")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("show adult-incme", "Did you mean adult-income?"),
        ("show other", "There are: adult-income."),
        ("show adult-income@v1.0.1", "Did you mean v1.0.0?"),
        ("show adult-income@one", "is no version"),
        ("lineage adult-income@v9.9.9", "has no version v9.9.9"),
        ("lineage adult-income", "mlbot registry lineage adult-income@v1.0.0"),
        ("lineage nobody@v1.0.0", "neither tags nor ledger know a model 'nobody'"),
        ("history nobody", "neither tags nor ledger know"),
        ("history --environment prodution", "Did you mean production?"),
        ("history --on yesterday", "is no date"),
        ("history --on 2026-13-01", "is no date"),
        ("history --on 2026-11-20T25:00", "is no date"),
    ],
)
def test_a_wrong_name_is_helped(story: Story, words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask(story, words, Exit.USAGE)
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_nothing_yet(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.commit({"a": "b"})
    ask(sandbox, "list")
    captured = capsys.readouterr()
    assert "No model has a version yet" in captured.out
    assert captured.err == "", "where there is no origin there is nothing to ask"
    ask(sandbox, "history")
    assert "The ledger has nothing on that." in capsys.readouterr().out
    ask(sandbox, "history --on 2026-11-20")
    assert "Nothing was live" in capsys.readouterr().out
    ask(sandbox, "show churn", Exit.USAGE)
    assert "There are none yet here" in capsys.readouterr().err
    ask(sandbox, "list --fetch", Exit.USAGE)
    assert "no remote origin" in capsys.readouterr().err


def test_fetch_asks_origin(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    story.tell(deployment(3, "1.0.0", "staging", action="rollback", time="2026-11-20T12:00:00Z"))
    story.tag("churn@v0.1.0", story.commits[0])
    assert "churn" not in str(answer(story, "list", capsys))
    found = answer(story, "list --fetch", capsys)
    assert [each["model"] for each in found["models"]] == [MODEL, "churn"]
    assert found["models"][0]["environments"][0]["version"] == "v1.0.0"
    assert answer(story, "list", capsys) == found, "it stays fetched"


def test_without_a_network_it_still_answers(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    before = answer(story, "list", capsys)
    shutil.rmtree(story.origin)
    assert answer(story, "list", capsys) == before
    ask(story, "list --fetch", Exit.NOT_EVALUATED)
    assert "reading the branch mlbot-ledger failed" in capsys.readouterr().err


def test_fetching_moves_no_tag_of_the_clone(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    tag = f"{MODEL}@v1.1.0"
    story.clone.git("tag", "--delete", tag)
    story.clone.git("tag", "--annotate", "--message=mine", tag, story.commits[2])
    mine = story.clone.git("rev-parse", tag)
    ask(story, "list --fetch")
    captured = capsys.readouterr()
    assert f"The tag {tag} is another one at origin" in captured.err
    assert "but the ledger released commit" in captured.out
    assert story.clone.git("rev-parse", tag) == mine


def forget_ledger(story: Story, *refs: str) -> None:
    for ref in refs or (f"refs/heads/{BRANCH}", COPY):
        subprocess.run(["git", "update-ref", "-d", ref], cwd=story.origin, check=True)


def test_a_ledger_that_was_replaced_is_said_until_it_is_put_back(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_ledger(story)
    story.tell(release("3.0.0"))
    for words in ("list --fetch", "list", "history", f"show {MODEL}", f"lineage {MODEL}@v1.0.0"):
        ask(story, words)
        out = " ".join(capsys.readouterr().out.split())
        assert "The branch mlbot-ledger was replaced by another one" in out
        assert "Put it back: mlbot registry restore" in out
        assert "v1.0.0" in out, "what the clone knew is shown as well"
    assert "was replaced" in answer(story, "list", capsys)["problems"][0]
    ask(story, "restore --dry-run")
    out = capsys.readouterr().out
    assert "mlbot-ledger would be at" in out
    assert re.search(
        r"back +2 approvals, 6 deployments, 1 lock, 1 profile, 1 reference, 2 releases, 2 verdicts, 1 waiver\n", out
    )
    assert "from   what this clone knew" in out
    found = answer(story, "restore", capsys)
    assert (found["changed"], len(found["files"]), found["dry_run"]) == (True, 16, False)
    ask(story, "list --fetch")
    out = capsys.readouterr().out
    assert "v3.0.0" in out
    assert "replaced" not in out
    ask(story, "restore")
    assert "Nothing is missing" in capsys.readouterr().out


def test_a_ledger_that_is_gone_is_said(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    before = answer(story, "list", capsys)
    forget_ledger(story, f"refs/heads/{BRANCH}")
    found = answer(story, "list --fetch", capsys)
    assert found["problems"][0].startswith("The branch mlbot-ledger is gone")
    assert found["models"] == before["models"]
    ask(story, "restore")
    assert "it was gone" in capsys.readouterr().out
    assert answer(story, "list --fetch", capsys) == before


def test_what_tags_witness_is_never_said_to_be_unknown(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    forget_ledger(story)
    story.clone.git("update-ref", "-d", f"refs/remotes/origin/{BRANCH}")
    assert answer(story, "list", capsys)["lost"] == [], "a clone that never had the ledger lost nothing"
    found = answer(story, "list --fetch", capsys)
    assert len(found["lost"]) == 4, "two releases, two environments"
    ask(story, "list --fetch")
    out = " ".join(capsys.readouterr().out.split())
    assert "adult-income@v1.0.0 says that it was released, and the ledger has no such release" in out
    assert "#production#5 says that v1.0.0 is in production, and the ledger has no deployment" in out
    assert "mlbot registry restore" in out


def test_where_no_copy_is_known_restore_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = history_samples.empty(tmp_path)
    ask(story, "restore", Exit.USAGE)
    assert "mlbot registry restore COMMIT" in capsys.readouterr().err


def test_fetching_where_there_is_no_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = history_samples.empty(tmp_path)
    story.tag("churn@v0.1.0", story.commits[0])
    assert [each["model"] for each in answer(story, "list --fetch", capsys)["models"]] == ["churn"]


def test_the_ledger_decides(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    story.tag(f"{MODEL}#production#9", story.commits[1], "1.1.0")
    story.tell(release("1.2.0", commit=story.commits[2], digest=digest(300), time="2026-11-20T09:00:00Z"))
    ask(story, "list --fetch")
    out = " ".join(capsys.readouterr().out.split())
    assert "the tag adult-income#production#9 says v1.1.0 is in production, the ledger says v1.0.0" in out
    assert "adult-income@v1.2.0 was released, but no such tag is to be believed here" in out
    found = answer(story, "list", capsys)
    assert (found["models"][0]["latest"], len(found["notes"])) == ("v1.2.0", 2)
    about = answer(story, f"show {MODEL}", capsys)
    assert [each["version"] for each in about["versions"]] == ["v1.0.0", "v1.1.0", "v1.2.0"]
    assert about["notes"] == found["notes"]


def test_tags_alone_are_shown_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = history_samples.empty(tmp_path)
    story.tag("churn@v0.1.0", story.commits[0])
    story.tag("churn@v0.2.0", story.commits[1], "0.2.0")
    story.tag("churn@v0.2.0!", story.commits[1])
    story.tag("churn#staging#1", story.commits[0])
    story.tag("churn#dev#2", story.commits[2])
    story.clone.git("fetch", "--quiet", "--tags", "origin")
    ask(story, "list")
    out = capsys.readouterr().out
    assert "v0.1.0*" in out
    assert f"{story.commits[2][:10]}*" in out
    assert "So says a tag" in out
    ask(story, "show churn")
    assert "withdrawn" in capsys.readouterr().out
    ask(story, "lineage churn@v0.2.0")
    out = capsys.readouterr().out
    assert "the ledger has no such release" in " ".join(out.split())
    assert digest(100) in out
    ask(story, "lineage churn@v0.1.0")
    assert "It is tagged, but was not released" in capsys.readouterr().out
    (lost,) = answer(story, "show churn --fetch", capsys)["lost"]
    assert lost.endswith("(mlbot registry restore), or say it again: mlbot release churn --version v0.2.0.")


def test_a_deprecated_model_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = history_samples.empty(tmp_path)
    story.tag("churn@v0.1.0", story.commits[0])
    story.tag("churn@deprecated", story.commits[0])
    story.clone.git("fetch", "--quiet", "--tags", "origin")
    ask(story, "list")
    assert "churn (deprecated)" in capsys.readouterr().out
    ask(story, "show churn")
    assert "deprecated by the tag churn@deprecated" in capsys.readouterr().out


def test_what_did_not_end_and_what_is_not_believed_is_said(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    story.tell(
        deployment(4, "1.1.0", "production", state="started", time="2026-11-20T13:00:00Z"),
        lock(2, locked=False, reason="", time="2026-11-20T13:00:00Z"),
    )
    OrphanBranch(remote=Remote(url=str(story.origin)), name="mlbot-ledger").append({"v1/lock/x/y.json": b"{"}, "bad", 1)
    story.clone.git("tag", "oops@1.0", story.commits[0])
    for number in range(9):
        story.clone.git("tag", f"light#staging#{number + 1}", story.commits[0])
    ask(story, "list --fetch")
    out = " ".join(capsys.readouterr().out.split())
    assert "The promotion of adult-income v1.1.0 to production by ada (2026-11-20 13:00 UTC) did not say how" in out
    assert "It goes on where it stopped: mlbot promote adult-income@v1.1.0 production" in out
    for words in (f"show {MODEL}", f"show {MODEL}@v1.1.0"):
        ask(story, words)
        assert "mlbot promote adult-income@v1.1.0 production" in " ".join(capsys.readouterr().out.split())
        assert [each["version"] for each in answer(story, words, capsys)["unfinished"]] == ["v1.1.0"]
    assert "is locked" not in out
    assert "The ledger's file 'v1/lock/x/y.json' is not JSON in UTF-8." in out
    assert "The tag light#staging#1 is left out: it is lightweight" in out
    assert "And 5 more of this kind; --json has them all." in out
    assert len(answer(story, "list", capsys)["quarantined"]) == 10
    ask(story, "history --environment production")
    assert "not finished" in capsys.readouterr().out
    bad = {f"v1/approval/{MODEL}/production/y.json": b"{}"}
    OrphanBranch(remote=Remote(url=str(story.origin)), name="mlbot-ledger").append(bad, "bad", 1)
    ask(story, f"lineage {MODEL}@v1.0.0 --fetch")
    assert f"'v1/approval/{MODEL}/production/y.json' is of a kind" in " ".join(capsys.readouterr().out.split())


def test_hostile_words_stay_words(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\u202egnp.exe \x9b31m" + "x" * 300
    story.tell(deployment(5, "1.0.0", "staging", actor="eve\u202e", reason=evil, time="2026-11-20T14:00:00Z"))
    for words in ("list --fetch", f"show {MODEL}", "history", f"lineage {MODEL}@v1.0.0"):
        ask(story, words)
        out = capsys.readouterr().out
        assert "\u202e" not in out
        assert "\x9b" not in out
        assert max(map(len, out.splitlines())) < 700


def test_an_older_verdict_than_the_last_is_said(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.support.ledger_samples import entry as verdict  # noqa: PLC0415 - `entry` is the command line's here

    from mlbot.gates.outcome import Outcome, Reason  # noqa: PLC0415 - only this test's

    story.tell(verdict(run=90, outcome=Outcome.FAIL, reason=Reason.REGRESSION))
    ask(story, f"lineage {MODEL}@v1.0.0 --fetch")
    assert "The content was judged again since: fail" in capsys.readouterr().out


# Data use.


def used(folder: Sandbox, words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = answer(folder, f"data {words}", capsys)
    return found


@pytest.fixture
def project(tmp_path: Path) -> Sandbox:
    """A repository whose ledger has the trainings on what its data are now, and on one that they were."""
    made = make(tmp_path / "project")
    made.commit(
        {
            "models/mlbot.yaml": "version: 1\nmodels: {}\n",
            "models/data/train.csv": "a,b\n1,2\n",
            "models/parts/1.csv": "a\n1\n",
            "models/parts/2.csv": "a\n2\n",
            "models/far.csv.dvc": "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  path: far.csv\n",
            "models/.gitignore": "outside.csv\n",
        }
    )
    made.write({"models/outside.csv": "a\n3\n"})
    here = Repository.discover(made.path / "models")
    tree, outside = here.tree(here.resolve("HEAD")), here.content_digests(["outside.csv"])
    names = ("data/train.csv", "parts", "far.csv", "outside.csv", "https://example.org/x.csv")
    said = {name: data_digest(tree, name, outside) for name in names}
    before = verdict_entry(run=1, key=digest(1), data={"data/train.csv": digest(51)})
    now = verdict_entry(run=2, key=digest(2), data=said, holdout=outside["outside.csv"])
    LedgerBranch.at(Remote(url=str(made.path / ".git"))).append([before, now], 1_800_000_000)
    return made


@pytest.mark.parametrize("name", ["data/train.csv", "./data/../data/train.csv", "parts", "parts/", "far.csv"])
def test_a_path_is_what_the_working_tree_has(project: Sandbox, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Sandbox(project.path / "models")
    found = used(folder, name, capsys)
    assert [(each["attempt"]["run"], each["part"]) for each in found["verdicts"]] == [(2, "train")]
    assert found["in_working_tree"] is True
    inner = Sandbox(folder.path / "data")
    assert used(inner, f"../{name}", capsys)["verdicts"] == found["verdicts"]


def test_an_edited_file_is_another_and_its_path_has_a_history(
    project: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Sandbox(project.path / "models")
    found = used(folder, "data/train.csv", capsys)
    assert [(each["verdicts"], each["now"]) for each in found["history"]] == [(1, False), (1, True)]
    folder.write({"data/train.csv": "a,b\n1,3\n"})
    found = used(folder, "data/train.csv", capsys)
    assert (found["verdicts"], [each["now"] for each in found["history"]]) == ([], [False, False])
    ask(folder, "data data/train.csv")
    assert "never, as far as the ledger says" in capsys.readouterr().out
    (folder.path / "data" / "train.csv").unlink()
    found = used(folder, "data/train.csv", capsys)
    assert (found["in_working_tree"], found["digests"], len(found["history"])) == (False, [], 2)


def test_data_outside_of_git_are_known_by_their_bytes(project: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Sandbox(project.path / "models")
    found = used(folder, "outside.csv", capsys)
    assert [(each["attempt"]["run"], each["part"]) for each in found["verdicts"]] == [(2, "train"), (2, "holdout")]
    name = digest_of(b"a\n3\n")
    assert used(folder, name, capsys)["verdicts"] == found["verdicts"]
    assert used(folder, name[7:15], capsys)["verdicts"] == found["verdicts"]
    found = used(folder, "https://example.org/x.csv", capsys)
    assert [each["path"] for each in found["verdicts"]] == ["https://example.org/x.csv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("data/trian.csv", "Did you mean data/train.csv?"),
        ("1234567", "Write 8 of its hexadecimal digits or more."),
        ("0123456789", "mlbot registry lineage MODEL@VERSION shows"),
        ("sha256:0123", "Write 8 of its hexadecimal digits or more."),
        (".", "no verdict or version used one"),
        ("https://example.org/y.csv", ""),
    ],
)
def test_what_is_not_known_has_an_error_that_helps(
    project: Sandbox, words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(Sandbox(project.path / "models"), f"data {words}", Exit.USAGE if said else Exit.OK)
    assert said in capsys.readouterr().err


def test_a_digest_that_several_start_with_is_refused(project: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    ends = ("0" * 56, "1" * 56)
    alike = [verdict_entry(run=3 + at, data={f"{at}.csv": f"sha256:abcdabcd{end}"}) for at, end in enumerate(ends)]
    LedgerBranch.at(Remote(url=str(project.path / ".git"))).append(
        [each.model_copy(update={"key": digest(10 + at)}) for at, each in enumerate(alike)], 1_800_000_000
    )
    ask(project, "data abcdabcd", Exit.USAGE)
    said = capsys.readouterr().err
    assert "2 data files have a digest that starts with abcdabcd" in said
    assert "abcdabcd00000000, abcdabcd11111111" in said
    ask(project, "data abcdabcd1")


def test_without_a_ledger_nothing_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = make(tmp_path / "empty")
    ask(empty, "data train.csv", Exit.USAGE)
    assert "There are none yet here" in capsys.readouterr().err
    empty.write({"train.csv": "a\n1\n"})
    ask(empty, "data train.csv")
    assert "never, as far as the ledger says" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["x" * 5_000, "../../../etc/passwd", "no\x1b[31m::error::file"])
def test_a_hostile_name_of_a_file_is_an_answer(story: Story, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask(story, f"data {name}", Exit.USAGE)
    assert "\x1b" not in capsys.readouterr().err
