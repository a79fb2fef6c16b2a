"""The grammar of registry tags, the notes in them, and what they say together."""

import random
import re
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ledger_samples import digest

from mlbot.errors import UsageError
from mlbot.events.github import Attempt
from mlbot.lib.tree import TagRef
from mlbot.lib.version import Bump, Version
from mlbot.registry.tags import (
    ModelTags,
    Registry,
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
pres = st.just("") | st.from_regex(
    r"(0|[1-9][0-9]{0,8}|[0-9]{0,3}[A-Za-z-][0-9A-Za-z-]{0,5})(\.(0|[1-9][0-9]{0,4}|[a-z]{1,5}))?", fullmatch=True
)
versions = st.builds(lambda a, b, c, pre: Version(major=a, minor=b, patch=c, pre=pre), numbers, numbers, numbers, pres)
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
    before = ["v1.0.0-alpha", "v1.0.0-alpha.1", "v1.0.0-alpha.beta", "v1.0.0-beta", "v1.0.0-beta.2", "v1.0.0-beta.11"]
    written = ["v0.9.9", "v0.10.0", *before, "v1.0.0-rc.1", "v1.0.0", "v1.0.9", "v1.0.10", "v2.0.0-0", "v2.0.0"]
    assert [str(each) for each in sorted(map(Version.parse, reversed(written)))] == written


@pytest.mark.parametrize(
    ("version", "part", "following"),
    [
        ("1.0.0-rc.1", "patch", "1.0.0"),
        ("1.0.0-rc.1", "minor", "1.0.0"),
        ("1.0.0-rc.1", "major", "1.0.0"),
        ("1.2.0-rc.1", "major", "2.0.0"),
        ("1.2.3-rc.1", "minor", "1.3.0"),
        ("1.2.3-rc.1", "patch", "1.2.3"),
    ],
)
def test_after_a_pre_release_comes_its_release(version: str, part: Bump, following: str) -> None:
    assert Version.parse(version).bump(part).text == following


@pytest.mark.parametrize(
    "text",
    [
        *["", "v", "1.2", "v1.2.3.4", "v01.2.3", "V1.2.3", "v1.2.3\n", "9" * 500],
        *["v1.2.3-", "v1.2.3-rc..1", "v1.2.3-rc.01", "v1.2.3-rc_1", "v1.2.3+5", "v1.2.3-rc.1+5", "v1.2.3-" + "x" * 31],
        "v1.2.3-" + "9" * 19,
    ],
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no version"):
        Version.parse(text)


@given(names, folders, versions)
def test_a_version_tag_is_read_as_it_is_written(model: str, folder: str | None, version: Version) -> None:
    full = f"{folder}:{model}" if folder else model
    assert parse_tag(version_tag(model, version, folder)) == RegistryTag(
        kind="version", model=full, numbers=version.order[:3], pre=version.pre
    )
    withdrawn = RegistryTag(kind="version", model=full, numbers=version.order[:3], pre=version.pre, cancels=True)
    assert parse_tag(f"{version_tag(model, version, folder)}!") == withdrawn
    name = f"{folder}={model}" if folder else model
    assert parse_tag(f"{name}@deprecated") == RegistryTag(kind="deprecation", model=full)


@given(names, folders, names, counters)
def test_a_stage_tag_is_read_as_it_is_written(model: str, folder: str | None, stage: str, counter: int) -> None:
    full = f"{folder}:{model}" if folder else model
    says = RegistryTag(kind="stage", model=full, stage=stage, counter=counter)
    assert parse_tag(stage_tag(model, stage, counter, folder)) == says
    emptied = f"{stage_tag(model, stage, counter, folder).removesuffix(f'#{counter}')}!#{counter}"
    assert parse_tag(emptied) == says._replace(cancels=True)


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
        ("churn@v1.2.0-rc.01", "semver does not allow"),
        ("churn@v1.2.0+build.5!", "build numbers"),
        ("churn@v1.2.0-rc.1+build.5", "build numbers"),
        ("churn@v1.2.0-" + "9" * 19, "too many digits"),
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
    if theirs["buildmetadata"] or theirs["created"] or (theirs["counter"] or "").startswith("0"):
        assert isinstance(ours, str)
        return
    assert isinstance(ours, RegistryTag)
    assert ours.model == theirs["artifact"].replace("=", ":")
    assert (f"v{ours.version}" if ours.numbers else None, ours.stage) == (theirs["version"], theirs["stage"])
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


COMMITS = [f"{number:x}" * 40 for number in range(1, 10)]


def ref(name: str, at: int = 0, *, annotated: bool = True, note: str = "", message: str = "by hand\n") -> TagRef:
    """An annotated tag at the commit of that number; `note`: the version that mlbot made it for."""
    if note:
        said = TagNote(version=note, commit=COMMITS[at], digest=digest(1), actor="ada")
        message = tag_message("By mlbot", said)
    return TagRef(
        name=name,
        object_sha=sha256(f"{name} {at}".encode()).hexdigest()[:40],
        commit_sha=COMMITS[at],
        annotated=annotated,
        message=message if annotated else None,
    )


def churn(*tags: TagRef) -> ModelTags:
    return Registry.of(tags).of_model("churn")


def reasons(*tags: TagRef) -> dict[str, str]:
    return {each.tag: each.reason for each in Registry.of(tags).quarantined}


def live(model: ModelTags, environment: str) -> str | None:
    current = model.current(environment)
    return str(current.version) if current and current.version else None


def test_nothing_comes_of_no_tags() -> None:
    assert Registry.of([]) == Registry(models={}, taken={})
    assert str(Registry.of([]).next_version("churn", "minor")) == "v0.1.0"
    assert Registry.of([]).next_counter("churn") == 1


def test_the_versions_of_a_model_go_by_their_numbers() -> None:
    model = churn(ref("churn@v1.10.0", 1), ref("churn@v1.9.0", 2), ref("churn@v0.1.0", 3))
    assert [str(each.version) for each in model.versions] == ["v0.1.0", "v1.9.0", "v1.10.0"]
    assert model.latest is not None
    assert model.latest.tag == "churn@v1.10.0"


def test_environments_go_by_their_counters() -> None:
    tags = [
        ref("churn@v1.0.0", 1),
        ref("churn@v1.1.0", 2),
        *(ref(f"churn#production#{n}", 1 + n % 2) for n in range(9, 12)),
    ]
    assert live(churn(*tags), "production") == "v1.1.0"
    assert live(churn(*tags, ref("churn#production#12", 1)), "production") == "v1.0.0"
    assert live(churn(*tags), "staging") is None


def test_an_environment_can_be_emptied() -> None:
    tags = [ref("churn@v1.0.0", 1), ref("churn#production#1", 1), ref("churn#production!#2", 1)]
    assert churn(*tags).current("production") is None
    assert live(churn(*tags, ref("churn#production#3", 1)), "production") == "v1.0.0"
    assert churn(ref("churn#production", 1), ref("churn#production!", 1)).current("production") is None


def test_a_withdrawn_version_is_not_the_latest() -> None:
    tags = [ref("churn@v1.0.0", 1), ref("churn@v1.1.0", 2), ref("churn@v1.1.0!", 2)]
    model = churn(*tags)
    assert model.latest is not None
    assert str(model.latest.version) == "v1.0.0"
    assert [each.withdrawn for each in model.versions] == [None, "churn@v1.1.0!"]
    again = churn(*tags, ref("churn@v1.1.0#5", 2))
    assert again.latest is not None
    assert str(again.latest.version) == "v1.1.0"
    assert str(Registry.of(tags).next_version("churn", "patch")) == "v1.1.1"


def test_a_deprecated_model() -> None:
    assert churn(ref("churn@v1.0.0"), ref("churn@deprecated")).deprecated == "churn@deprecated"
    assert churn(ref("churn@v1.0.0"), ref("churn@deprecated#3")).deprecated == "churn@deprecated#3"
    assert churn(ref("churn@v1.0.0"), ref("churn@deprecated#3"), ref("churn#staging#4")).deprecated is None
    assert churn(ref("churn@v1.0.0")).deprecated is None


def test_a_folder_of_a_monorepo_is_another_model() -> None:
    registry = Registry.of([ref("churn@v1.0.0"), ref("eu=churn@v2.0.0")])
    assert list(registry.models) == ["churn", "eu:churn"]


def test_an_assignment_without_a_version_at_its_commit_is_kept_without_one() -> None:
    current = churn(ref("churn#staging#1", 4)).current("staging")
    assert current is not None
    assert (current.version, current.commit) == (None, COMMITS[4])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (ref("churn#staging#2", annotated=False), "lightweight"),
        (ref("churn@v1.0.0!", annotated=False), "lightweight"),
        (replace(ref("churn@v2.0.0"), commit_sha=None), "points to no commit"),
        (ref("churn@2.0.0"), "not of the form"),
        (ref("churn@v1.0.0#7", 5), "churn@v1.0.0 is at another commit"),
        (ref("churn@v1.0.0!", 5), "churn@v1.0.0 is at another commit"),
        (ref("churn@v3.0.0!", 5), "withdraws a version that is not there"),
        (ref("churn@v2.0.0", 2, note="1.0.0"), "names v2.0.0, but was made for v1.0.0"),
        (replace(ref("churn@v2.0.0", 2, note="2.0.0"), commit_sha=COMMITS[3]), "but was made for"),
        (ref("churn#staging#2", 1, note="5.0.0"), "made for v5.0.0, which is not at its commit"),
        (ref("churn#staging#4", 3), "v1.5.0 and v1.6.0 are at its commit"),
    ],
)
def test_a_bad_tag_is_put_aside_and_costs_no_other(bad: TagRef, said: str) -> None:
    good = [
        ref("churn@v1.0.0", 1, note="1.0.0"),
        ref("churn@v1.5.0", 3),
        ref("churn@v1.6.0", 3),
        ref("churn#staging#1", 1, note="1.0.0"),
        ref("other@v1.0.0"),
    ]
    clean, found = Registry.of(good), Registry.of([bad, *good])
    assert clean.quarantined == ()
    assert found.models == clean.models
    assert [each.tag for each in found.quarantined] == [bad.name]
    assert said in found.quarantined[0].reason


def test_two_tags_of_one_counter_are_both_put_aside() -> None:
    tags = [ref("churn@v1.0.0", 1), ref("churn#staging#1", 1), ref("churn#staging#2", 1), ref("churn#staging!#2", 1)]
    assert set(reasons(*tags)) == {"churn#staging#2", "churn#staging!#2"}
    assert live(churn(*tags), "staging") == "v1.0.0"


def test_of_two_versions_at_a_commit_the_note_says_which() -> None:
    tags = [ref("churn@v1.0.0", 1), ref("churn@v1.1.0", 1), ref("churn#staging#1", 1, note="1.0.0")]
    assert live(churn(*tags), "staging") == "v1.0.0"


def test_numbers_in_bad_tags_are_used_up_all_the_same() -> None:
    registry = Registry.of([ref("churn@v1.9.0!", annotated=False), ref("churn#staging#41", annotated=False)])
    assert registry.models == {}
    assert str(registry.next_version("churn", "minor")) == "v1.10.0"
    assert registry.next_counter("churn") == 42


def test_the_next_version_heeds_the_ledger_and_what_the_first_is() -> None:
    first = Version.parse("1.0.0")
    bare = Registry.of([ref("churn#staging#1", annotated=False)])
    assert bare.next_version("churn", "minor", first=first) == first
    assert str(bare.next_version("churn", "minor", recorded=[Version.parse("0.9.3")], first=first)) == "v0.10.0"
    tagged = Registry.of([ref("churn@v0.0.0", 1)])
    assert str(tagged.next_version("churn", "patch", first=first)) == "v0.0.1"
    assert str(tagged.next_version("churn", "patch", recorded=[Version.parse("2.0.0")])) == "v2.0.1"


names = st.sampled_from(
    [
        f"{model}@v{version}{end}"
        for model in ("churn", "a=b")
        for version in ("1.0.0", "1.1.0")
        for end in ("", "!", "#2", "!#3")
    ]
    + [
        f"{model}#{stage}{end}"
        for model in ("churn", "a=b")
        for stage in ("s", "p")
        for end in ("", "!", "#1", "!#1", "#2")
    ]
    + ["churn@deprecated", "churn@deprecated#9", "nonsense@", "v1.0.0"]
)
tag_sets = st.lists(
    st.tuples(names, st.integers(0, 3), st.booleans(), st.sampled_from(["", "", "1.0.0", "1.1.0"])),
    max_size=20,
    unique_by=lambda row: row[0],
).map(lambda rows: [ref(name, at, annotated=annotated, note=note) for name, at, annotated, note in rows])


@given(tag_sets, st.randoms(use_true_random=False))
def test_the_order_of_tags_never_matters(tags: list[TagRef], chance: random.Random) -> None:
    shuffled = list(tags)
    chance.shuffle(shuffled)
    assert Registry.of(tags) == Registry.of(shuffled)


@given(tag_sets)
def test_every_tag_counts_or_has_a_reason(tags: list[TagRef]) -> None:
    registry = Registry.of(tags)
    used = {
        name
        for model in registry.models.values()
        for name in (
            *(each.tag for each in model.versions),
            *(each.withdrawn for each in model.versions),
            *(each.tag for each in model.assignments),
            model.deprecated,
        )
    }
    aside = {each.tag for each in registry.quarantined}
    assert used.isdisjoint(aside)
    for tag in tags:
        repeated = "#" in tag.name and "@v" in tag.name
        assert (
            tag.name in used | aside or tag.name == "v1.0.0" or repeated or "deprecated" in tag.name or "!" in tag.name
        )


@given(tag_sets)
def test_one_models_tags_never_change_another(tags: list[TagRef]) -> None:
    other = [ref("other@v1.0.0", 1), ref("other#p#3", 1)]
    assert Registry.of([*tags, *other]).of_model("other") == Registry.of(other).of_model("other")


def test_the_version_of_a_model_can_be_asked_for() -> None:
    model = churn(ref("churn@v1.0.0", 1))
    found = model.find(Version.parse("v1.0.0"))
    assert found is not None
    assert found.commit == COMMITS[1]
    assert model.find(Version.parse("v2.0.0")) is None
