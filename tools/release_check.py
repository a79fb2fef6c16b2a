"""Whether a tag may be released: version, changelog, documents and pins agree with it. `python3 -I` is enough."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TAG = re.compile(r"v(?P<version>(?P<major>0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?P<pre>(?:a|b|rc)[1-9]\d*)?)")
VERSION = re.compile(r'^__version__ = "([^"]*)"$', re.MULTILINE)
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\] - (?P<day>.+)$", re.MULTILINE)
UNRELEASED = "unreleased"
OWN = re.compile(r"mlbot-ci/mlbot(?:/[\w./-]+)?@(?P<ref>[0-9A-Za-z][\w.-]*)(?:[ \t]+# *(?P<said>v[\w.]+))?")
INSTALLED = re.compile(r"mlbot-ci(?:\[[^\]]*\])?==(?P<version>[\w.]*\w)")
CONSTANT = re.compile(r'^ACTIONS_REF = "(?P<ref>[^"]+)"', re.MULTILINE)
READ = ("README.md", "CONTRIBUTING.md", "docs/", "templates/", "examples/", "src/", "actions/", ".github/")


def faults(tag: str, root: Path, *, draft: bool = False) -> list[str]:
    """What speaks against the release of a tag, a sentence each. A draft has no day yet."""
    match = TAG.fullmatch(tag)
    if match is None:
        return [f"`{tag}` names no release: write v and three numbers, as v1.2.3, or v1.2.3rc1 for a candidate."]
    return [
        *_version(match["version"], root),
        *_changelog(match["version"], root, draft=draft),
        *_supported(match["major"], root),
        *(fault for path in _texts(root) for fault in _pins(match, path, (root / path).read_text(encoding="utf-8"))),
    ]


def _version(version: str, root: Path) -> Iterator[str]:
    path = "src/mlbot/__init__.py"
    found = VERSION.search((root / path).read_text(encoding="utf-8"))
    if found is None or found[1] != version:
        yield f"{path} says {found[0] if found else 'no version'}, the tag says {version}: change the one or the other."


def _changelog(version: str, root: Path, *, draft: bool) -> Iterator[str]:
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    first = HEADING.search(text)
    if first is None or first["version"] != version:
        there = f"`{first[0]}`" if first else "none"
        yield f"CHANGELOG.md: the first section is {there}; write `## [{version}] - ` and the day of the release."
        return
    if not draft and not _is_day(first["day"]):
        yield f"CHANGELOG.md: `{first[0]}` has no day; write it as {date.today().isoformat()}."  # noqa: DTZ011 - a person's day
    if not notes(version, root):
        yield f"CHANGELOG.md: the section {version} is empty; say what a user would notice."


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def notes(version: str, root: Path) -> str:
    """The changelog's section of a version, without its heading."""
    parts = re.split(r"^## ", (root / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return next((part.partition("\n")[2].strip() for part in parts if part.startswith(f"[{version}]")), "")


def _supported(major: str, root: Path) -> Iterator[str]:
    if f"| {major}.x |" not in (root / "SECURITY.md").read_text(encoding="utf-8"):
        yield f"SECURITY.md: no row `| {major}.x |` says whether that version is supported."


def _texts(root: Path) -> Iterator[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *READ], cwd=root, capture_output=True, text=True, check=True)
    for path in filter(None, listed.stdout.split("\0")):
        if (root / path).is_file() and b"\0" not in (root / path).read_bytes():
            yield path


def _pins(tag: re.Match[str], path: str, text: str) -> Iterator[str]:
    """Where a text calls mlbot's own workflows and actions, or installs it, at another version than the tag's."""
    moving = f"v{tag['major']}"
    for found in OWN.finditer(text):
        is_commit = re.fullmatch("[0-9a-f]{40}", found["ref"]) is not None
        said = found["said"] if is_commit else found["ref"]
        if said not in {moving, tag[0]}:
            behind = ", said behind the commit" if is_commit else ""
            yield f"{path}: `{found[0]}` is not {moving} or {tag[0]}{behind}."
    for found in CONSTANT.finditer(text):
        if found["ref"] not in {moving, tag[0]}:
            yield f"{path}: `{found[0]}` is not {moving} or {tag[0]}."
    for found in INSTALLED.finditer(text):
        if found["version"] != tag["version"]:
            yield f"{path}: `{found[0]}` is not version {tag['version']}."


def history(tag: str, branch: str, root: Path) -> list[str]:
    """Whether the tag is what is checked out, and its commit a part of the branch."""
    found = []
    if _git(root, "rev-parse", f"refs/tags/{tag}^{{commit}}") != _git(root, "rev-parse", "HEAD"):
        found.append(f"The tag {tag} is not the commit that is checked out.")
    if _git(root, "merge-base", "HEAD", branch) != _git(root, "rev-parse", "HEAD"):
        found.append(f"The commit of {tag} is not on {branch}: merge it first, then tag what was merged.")
    return found


def outputs(tag: str, tags: list[str], commit: str | None) -> dict[str, str]:
    """What the release is: its commit, the option of `gh release` that says its kind, and the major tag to move."""
    released = sorted(_numbers(each) for each in {*tags, tag} if (match := TAG.fullmatch(each)) and not match["pre"])
    own, is_candidate = _numbers(tag), bool(re.search("[a-z]", tag[1:]))
    newest = not is_candidate and own == max(number for number in released if number[0] == own[0])
    kind = "--prerelease" if is_candidate else f"--latest={'true' if own == released[-1] else 'false'}"
    return {"commit": commit or "", "kind": kind, "moving": f"v{own[0]}" if newest else ""}


def _numbers(tag: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", tag)[:3])


def _git(root: Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Say what speaks against the release, and write its notes where nothing does."""
    parser = argparse.ArgumentParser(description="Check that a tag may be released.")
    parser.add_argument("tag")
    parser.add_argument("--branch", help="the branch that the tag's commit must be on")
    parser.add_argument("--notes", type=Path, help="where to write the changelog's section")
    parser.add_argument("--outputs", type=Path, help="the file of the step's outputs: commit, kind, moving")
    parser.add_argument("--draft", action="store_true", help="for a change: the day may still be missing")
    given = parser.parse_args(arguments)
    found = faults(given.tag, root, draft=given.draft)
    if given.branch and TAG.fullmatch(given.tag):
        found += history(given.tag, given.branch, root)
    if given.notes and not found:
        given.notes.write_text(notes(given.tag.removeprefix("v"), root) + "\n", encoding="utf-8")
    if given.outputs and not found:
        said = outputs(given.tag, (_git(root, "tag", "--list") or "").split(), _git(root, "rev-parse", "HEAD"))
        with given.outputs.open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in said.items())
    print("\n".join(found) or f"{given.tag} may be released.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
