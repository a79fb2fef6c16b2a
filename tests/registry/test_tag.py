"""The grammar of registry tags and the notes in them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger_samples import digest

from mlbot.errors import UsageError
from mlbot.events.github import Attempt
from mlbot.lib.version import Version
from mlbot.registry.tag import (
    RegistryTag,
    TagNote,
    parse_tag,
    read_note,
    stage_tag,
    tag_message,
    version_tag,
)

COMMIT = "4f1c2a9" + "d" * 33
numbers = st.integers(0, 10**17)
versions = st.builds(lambda a, b, c: Version(major=a, minor=b, patch=c), numbers, numbers, numbers)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
folders = st.none() | st.from_regex(r"[A-Za-z0-9._/-]{1,20}", fullmatch=True)
counters = st.integers(1, 10**17)


@given(versions)
def test_a_version_is_read_as_it_is_written(version: Version) -> None:
    assert Version.parse(str(version)) == Version.parse(version.text) == version


@given(versions, st.sampled_from(["patch", "minor", "major"]))
def test_the_next_version_is_higher(version: Version, part: str) -> None:
    assert version < version.bump(part)  # type: ignore[arg-type]  # one of the three


def test_versions_go_by_their_numbers() -> None:
    written = ["v0.9.9", "v0.10.0", "v1.0.0", "v1.0.9", "v1.0.10", "v2.0.0"]
    assert [str(each) for each in sorted(map(Version.parse, reversed(written)))] == written


@pytest.mark.parametrize(
    "text", ["", "v", "1.2", "v1.2.3.4", "v01.2.3", "v1.2.3-rc.1", "V1.2.3", "v1.2.3\n", "9" * 500]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no version"):
        Version.parse(text)


@given(names, folders, versions)
def test_a_version_tag_is_read_as_it_is_written(model: str, folder: str | None, version: Version) -> None:
    full = f"{folder}:{model}" if folder else model
    assert parse_tag(version_tag(model, version, folder)) == RegistryTag(
        kind="version", model=full, numbers=version.order
    )
    withdrawn = RegistryTag(kind="version", model=full, numbers=version.order, cancels=True)
    assert parse_tag(f"{version_tag(model, version, folder)}!") == withdrawn
    name = f"{folder}={model}" if folder else model
    assert parse_tag(f"{name}@deprecated") == RegistryTag(kind="deprecation", model=full)


@given(names, folders, names, counters)
def test_a_stage_tag_is_read_as_it_is_written(model: str, folder: str | None, stage: str, counter: int) -> None:
    full = f"{folder}:{model}" if folder else model
    read = RegistryTag(kind="stage", model=full, stage=stage, counter=counter)
    assert parse_tag(stage_tag(model, stage, counter, folder)) == read
    assert parse_tag(stage_tag(model, f"{stage}!", counter, folder)) == read._replace(cancels=True)


@pytest.mark.parametrize("name", ["v1.2.0", "release-3", "latest", "models/churn", ""])
def test_tags_of_other_tools_are_passed_over(name: str) -> None:
    assert parse_tag(name) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("churn@1.2.0", "not of the form"),
        ("@acme/widget@1.2.0", "not of the form"),
        ("churn@v1.2", "not of the form"),
        ("churn@v1.02.0", "not of the form"),
        ("churn@latest", "not of the form"),
        ("churn#", "not of the form"),
        ("a=b=churn@v1.0.0", "not of the form"),
        ("churn@v1.0.0#x", "not of the form"),
        ("x" * 500 + "@v1.0.0", "not of the form"),
        ("churn@v1.2.0-rc.1", "pre-releases"),
        ("churn@v1.2.0+build.5!", "pre-releases"),
        ("churn#production#04", "a zero in front"),
        ("churn#production#00", "a zero in front"),
        ("churn#production#" + "9" * 19, "too many digits"),
        ("churn@v" + "9" * 19 + ".0.0", "too many digits"),
    ],
)
def test_what_is_meant_for_the_registry_and_wrong_is_said(name: str, said: str) -> None:
    found = parse_tag(name)
    assert isinstance(found, str)
    assert said in found


_GTO_NAME = r"[a-zA-Z0-9]([a-zA-Z0-9-/_]*[a-zA-Z0-9])?"
_GTO_SEMVER = (
    r"(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?P<patch>0|[1-9]\d*)"
    r"(?:-(?P<prerelease>(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+(?P<buildmetadata>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
GTO = re.compile(
    rf"^(?P<artifact>(?P<dirname>[a-zA-Z0-9-_./]+=)?(?P<name>{_GTO_NAME}))"
    rf"(((#(?P<stage>{_GTO_NAME})|@(?P<version>v{_GTO_SEMVER}))(?P<cancel>!?))"
    r"|@((?P<deprecated>deprecated)|(?P<created>created)))(#(?P<counter>[0-9]+))?$",
    re.ASCII,
)
"""What GTO 1.10 takes (`gto/constants.py`), for ASCII, as refs of registries are."""
pieces = st.lists(
    st.sampled_from(
        ["m", "a/b", "x=", "#prod", "@v1.2.3", "@v0.0.1", "-rc.1", "+b", "!", "#4", "#04", "@deprecated", ".", "-", "_"]
    ),
    min_size=1,
    max_size=6,
).map("".join)


@given(pieces)
def test_it_agrees_with_gto(name: str) -> None:
    theirs, ours = GTO.match(name), parse_tag(name)
    if theirs is None:
        wide = isinstance(ours, RegistryTag) and not re.fullmatch(_GTO_NAME, ours.model.rpartition(":")[2])
        stage = isinstance(ours, RegistryTag) and ours.stage and not re.fullmatch(_GTO_NAME, ours.stage)
        assert ours is None or isinstance(ours, str) or wide or stage
        return
    if (
        theirs["prerelease"]
        or theirs["buildmetadata"]
        or theirs["created"]
        or (theirs["counter"] or "").startswith("0")
    ):
        assert isinstance(ours, str)
        return
    assert isinstance(ours, RegistryTag)
    assert ours.model == theirs["artifact"].replace("=", ":")
    assert (str(Version.of(ours.numbers)) if ours.numbers else None, ours.stage) == (theirs["version"], theirs["stage"])
    assert (ours.cancels, ours.counter) == (theirs["cancel"] == "!", int(theirs["counter"] or 0))
    assert (ours.kind == "deprecation") == bool(theirs["deprecated"])


def note(**changes: object) -> TagNote:
    fields = {
        "version": "1.2.0",
        "commit": COMMIT,
        "digest": digest(1),
        "key": digest(2),
        "attempt": Attempt(run=7),
        "judge": Attempt(run=8),
        "actor": "ada",
    }
    return TagNote.model_validate(fields | changes)


@given(
    st.text(max_size=40), st.text(alphabet=st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=40)
)
def test_a_note_is_read_as_it_is_written(said: str, actor: str) -> None:
    written = note(actor=actor)
    assert read_note(tag_message(said, written)) == written
    assert read_note(tag_message(said, written).rstrip()) == written


@pytest.mark.parametrize(
    "message",
    [
        None,
        "",
        "Version 1.2.0, approved by everybody",
        "{",
        '{"version":"1.2.0"}',
        tag_message("x", note()).replace('"actor":"ada"', '"actor":"ada","actor":"eve"'),
        tag_message("x", note()).replace('":"', '": "', 1),
        tag_message("x", note()) + "Signed-off-by: Eve\n",
        "{" + " " * 10_000 + "}",
    ],
)
def test_a_person_may_write_anything(message: str | None) -> None:
    assert read_note(message) is None
