"""actions/checkout: fetch a commit, a branch or a tag into a path."""

import base64
import os
import re
import subprocess
from pathlib import Path

from tests.e2e.standins.common import fail, flag, given, output, workspace

SHA = re.compile(r"[0-9a-f]{40}")


def main() -> None:
    """Check out."""
    repository, ref = given("repository") or os.environ["GITHUB_REPOSITORY"], given("ref")
    own = repository.lower() == os.environ["GITHUB_REPOSITORY"].lower()
    commit = ""
    if not ref and own:
        ref, commit = os.environ["GITHUB_REF"], os.environ["GITHUB_SHA"]
    elif SHA.fullmatch(ref):
        ref, commit = "", ref
    folder = workspace(given("path"))
    folder.mkdir(parents=True, exist_ok=True)
    server = os.environ["GITHUB_SERVER_URL"]
    pair = base64.b64encode(f"x-access-token:{given('token')}".encode()).decode()
    header = (f"http.{server}/.extraheader", f"AUTHORIZATION: basic {pair}")
    git(folder, "init", "--quiet", "--initial-branch=main", ".")
    git(folder, "remote", "add", "origin", f"{server}/{repository}")
    wanted = commit or resolve(folder, ref, header)
    depth = given("fetch-depth")
    deep = [] if depth == "0" else [f"--depth={depth}"]
    specs = [f"+{wanted}:refs/remotes/origin/checkout"]
    specs += ["+refs/heads/*:refs/remotes/origin/*"] if depth == "0" else []
    tags = "--tags" if flag("fetch-tags") or depth == "0" else "--no-tags"
    git(folder, "fetch", "--quiet", tags, *deep, "origin", *specs, header=header)
    target = ["-B", ref.removeprefix("refs/heads/")] if ref.startswith("refs/heads/") else ["--detach"]
    git(folder, "checkout", "--quiet", "--force", *target, "refs/remotes/origin/checkout")
    git(folder, "update-ref", "-d", "refs/remotes/origin/checkout")
    if flag("persist-credentials"):
        git(folder, "config", *header)
    output(ref=ref or commit, commit=git(folder, "rev-parse", "HEAD"))


def resolve(folder: Path, ref: str, header: tuple[str, str]) -> str:
    """A branch, a tag, a full reference, or nothing for the default branch."""
    names = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
    listed = git(folder, "ls-remote", "origin", *(names if ref else ["HEAD"]), header=header).splitlines()
    if not listed:
        fail(f"A branch or tag with the name '{ref}' could not be found")
    return listed[0].split("\t")[1]


def git(folder: Path, *arguments: str, header: tuple[str, str] | None = None) -> str:
    """Run git; the credentials travel by its environment."""
    where = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": header[0], "GIT_CONFIG_VALUE_0": header[1]} if header else {}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], env={**os.environ, **where}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        fail(f"git {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()
