"""Ledger, tags, store, targets and reports of the first complete version are read as it read them itself."""

import gzip
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mlbot import entry
from mlbot.errors import Exit
from mlbot.git.ledger import LedgerBranch
from mlbot.git.remote import Remote
from mlbot.ledger.entries import path_of
from mlbot.ledger.queries import releases
from mlbot.report.report import Report

LANDED = Path(__file__).parent / "landed"
KINDS = {"verdict": 4, "release": 2, "deployment": 10, "approval": 2, "lock": 3, "waiver": 1}


@pytest.fixture
def repository(tmp_path: Path, git_settings: None) -> Path:
    """A clone of what was there, with its store and environments."""
    del git_settings
    bundle, remote, clone = LANDED / "repository.bundle", tmp_path / "remote.git", tmp_path / "repo"
    subprocess.run(["git", "clone", "--quiet", "--mirror", str(bundle), str(remote)], check=True)
    subprocess.run(["git", "clone", "--quiet", str(remote), str(clone)], check=True)
    with tarfile.open(LANDED / "deploy.tar.gz") as archive:
        archive.extractall(clone, filter="data")
    return clone


def saved(name: str) -> Any:
    return json.loads((LANDED / name).read_text(encoding="utf-8"))


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert entry.invoke(arguments) == Exit.OK
    return json.loads(capsys.readouterr().out)


def test_every_entry_of_the_ledger_is_read(repository: Path) -> None:
    remote = Remote(url=str(repository.parent / "remote.git"))
    ledger = LedgerBranch.at(remote).read()
    assert ledger.problems == ()
    assert {kind: sum(each.kind == kind for each in ledger.entries) for kind in KINDS} == KINDS
    assert [each.version for each in releases(ledger.entries, "tiny")] == ["1.0.0", "1.1.0"]
    shown = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "mlbot/ledger"],
        cwd=remote.url,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {path_of(each) for each in ledger.entries} == {path for path in shown if path.startswith("v1/")}


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["registry", "list"], "list.json"),
        (["registry", "history"], "history.json"),
        (["registry", "show", "tiny@v1.1.0"], "show.json"),
        (["registry", "lineage", "tiny@v1.1.0"], "lineage.json"),
    ],
)
def test_the_registry_says_what_it_said(
    repository: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], file: str
) -> None:
    now, then = asked(capsys, *arguments, "--json", "-C", str(repository)), saved(file)
    assert _as_then(now, then) == then, "fields may join; none is renamed or taken away"


def _as_then(now: Any, then: Any) -> Any:
    """What is said now, without the fields that joined since."""
    if isinstance(now, dict) and isinstance(then, dict):
        return {key: _as_then(now[key], then[key]) for key in now if key in then}
    if isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        return [_as_then(one, other) for one, other in zip(now, then, strict=True)]
    return now


def test_a_report_of_then_is_read_and_written_in_todays_form() -> None:
    raw = json.loads(gzip.decompress((LANDED / "report.json.gz").read_bytes()))
    report = Report.model_validate_json(json.dumps(raw))
    assert Report.model_validate_json(report.model_dump_json()) == report
    written = json.loads(report.model_dump_json())
    differing = {"schema_version", "detail", "why", "problem"}
    assert _known(written, raw, differing) == _known(raw, raw, differing), "nothing is lost; what is new has a default"
    assert _texts(raw, "detail") <= _texts(written, "detail")


def _known(value: Any, then: Any, differing: set[str]) -> Any:
    """A value with the keys alone that it had then."""
    if isinstance(value, dict) and isinstance(then, dict):
        return {key: _known(value.get(key), each, differing) for key, each in then.items() if key not in differing}
    if isinstance(value, list) and isinstance(then, list) and len(value) == len(then):
        return [_known(*both, differing) for both in zip(value, then, strict=True)]
    return value


def _texts(value: Any, name: str) -> set[str]:
    """Every text under a key, wherever it is."""
    if isinstance(value, dict):
        own = {each for key, each in value.items() if key == name and isinstance(each, str) and each}
        return own.union(*(_texts(each, name) for each in value.values()))
    return set[str]().union(*(_texts(each, name) for each in value)) if isinstance(value, list) else set()


def test_the_key_of_a_commit_is_the_one_it_was_judged_by(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = LedgerBranch.at(Remote(url=str(repository.parent / "remote.git"))).read().entries
    planned = asked(capsys, "plan", "--json", "-C", str(repository))
    (key,) = {each.key for each in entries if each.kind == "verdict" and each.commit == planned["commits"]["head"]}
    assert [each["key"] for each in planned["models"]] == [key]


def test_what_was_released_goes_on_from_there(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stored bytes, golden requests and approvals of then let the version of then into production now."""
    where = ["-C", str(repository)]
    assert entry.invoke(["promote", "tiny@v1.1.0", "production", *where]) == Exit.REFUSED
    assert "the end of the year" in capsys.readouterr().err
    assert entry.invoke(["unlock", "production", *where]) == Exit.OK
    assert (
        entry.invoke(["rollback", "tiny", "production", "--to", "v1.1.0", "--reason", "it was fine", *where]) == Exit.OK
    )
    capsys.readouterr()
    live = asked(capsys, "registry", "list", "--json", *where)["models"][0]["environments"][1]
    assert (live["version"], live["digest"]) == ("v1.1.0", saved("show.json")["digest"])
    model = repository / "deploy" / "production" / "tiny" / "1001000" / "model.onnx"
    assert model.is_file()
