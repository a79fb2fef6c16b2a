"""One lock for each environment: a ref that only one can create, whose commit says who holds it and for what.

The remote itself decides who was first: the push says which value the ref has to have (`--force-with-lease`), and
"there is none" is such a value. The commit holds a random number, for two that are equal would both be "up to date".
"""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlbot.git.command import git, make_bare, signed
from mlbot.git.remote import Remote, failure, is_denied
from mlbot.lib.record import Name, Sha

PREFIX = "refs/mlbot/lock/"

_LONGEST = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A lock that somebody holds: its commit, which proves that it is still the same, and what its holder wrote."""

    sha: Sha
    text: str


@dataclass(frozen=True, kw_only=True)
class LockRef:
    """The lock of one environment.

    Its methods raise `RefusedError` when the token or a rule of the repository forbids it, `NotEvaluatedError` when the
    remote does not answer.
    """

    remote: Remote
    environment: Name

    @property
    def ref(self) -> str:
        """The ref's whole name."""
        return f"{PREFIX}{self.environment}"

    def read(self) -> Held | None:
        """Who holds it; None: nobody."""
        with _repository() as here:
            fetch = ["fetch", "--quiet", "--no-tags", "--depth=1", self.remote.url, self.ref]
            done = self.remote.run(fetch, here)
            if done.returncode != 0:
                if b"couldn't find remote ref" in done.stderr:
                    return None
                raise failure(done, "reading", self.ref)
            sha = (here / "FETCH_HEAD").read_text().partition("\t")[0]
            commit = git(["cat-file", "commit", sha], here)[:_LONGEST].decode("utf-8", "replace")
        return Held(sha=sha, text=commit.partition("\n\n")[2].partition("\n\n")[0].strip())

    def take(self, text: str, when: int, over: Held | None = None) -> Held | None:
        """Take it if free, or `over` what was read, `when` in Unix time; None when somebody else was faster."""
        with _repository() as here:
            tree = git(["mktree"], here).decode().strip()
            message = f"{text}\n\n{secrets.token_hex(16)}\n".encode()
            sha = git(["commit-tree", tree], here, stdin=message, extra=signed(when)).decode().strip()
            return Held(sha=sha, text=text) if self._push(here, sha, over) else None

    def drop(self, held: Held) -> bool:
        """Let go of it; False when it is somebody else's by now, or nobody's."""
        with _repository() as here:
            return self._push(here, "", held)

    def is_still(self, held: Held) -> bool:
        """Whether it is held as it was."""
        with _repository() as here:
            return self._sha(here) == held.sha

    def _push(self, here: Path, sha: str, before: Held | None) -> bool:
        expected = before.sha if before else ""
        lease = f"--force-with-lease={self.ref}:{expected}"
        done = self.remote.run(["push", "--quiet", "--porcelain", lease, self.remote.url, f"{sha}:{self.ref}"], here)
        if done.returncode == 0:
            return True
        if is_denied(done):
            raise failure(done, "writing", self.ref)
        if self._sha(here) == (before.sha if before else None):  # nobody was faster: it is something else
            raise failure(done, "writing", self.ref)
        return False

    def _sha(self, here: Path) -> Sha | None:
        done = self.remote.run(["ls-remote", self.remote.url, self.ref], here)
        if done.returncode != 0:
            raise failure(done, "reading", self.ref)
        return done.stdout.decode().partition("\t")[0] or None


@contextmanager
def _repository() -> Iterator[Path]:
    """A repository of its own, so that the user's gets no objects of it."""
    with tempfile.TemporaryDirectory(prefix="mlbot-lock-", ignore_cleanup_errors=True) as folder:
        here = Path(folder)
        make_bare(here)
        yield here
