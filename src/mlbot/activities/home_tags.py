"""The tags of releases and environments at home: read as they are there, made there, never moved."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlbot.core.registry import Registry, TagNote, TagRef, tag_message
from mlbot.errors import NotEvaluatedError
from mlbot.git import Repository
from mlbot.git.command import git, try_git
from mlbot.git.remote import Remote, failure
from mlbot.git.tags import create_tag, push_tag, read_tags


@dataclass(frozen=True, kw_only=True)
class Tags:
    """The home's tags, in a repository of their own that borrows the checkout's objects.

    Attributes:
        remote: the home.
        checkout: whose objects are borrowed.
        folder: the repository of their own.
        seconds: now, since 1970.
    """

    remote: Remote
    checkout: Repository
    folder: Path
    seconds: int

    @classmethod
    @contextmanager
    def of(cls, remote: Remote, checkout: Repository, seconds: int) -> Iterator["Tags"]:
        """The tags as they are now, whatever the checkout knows of them. Errors: as `fetch`."""
        with tempfile.TemporaryDirectory(prefix="mlbot-tags-", ignore_cleanup_errors=True) as folder:
            here = Path(folder)
            git(["init", "--quiet", "--bare", "--template=", "."], here)
            alternates = here / "objects" / "info" / "alternates"
            alternates.parent.mkdir(exist_ok=True)
            alternates.write_text(f"{checkout.common_dir / 'objects'}\n", encoding="utf-8")
            tags = cls(remote=remote, checkout=checkout, folder=here, seconds=seconds)
            tags.fetch()
            yield tags

    def fetch(self) -> None:
        """Read them anew.

        Raises:
            RefusedError: the token may not read them.
            NotEvaluatedError: the remote does not answer.
        """
        fetch = ["fetch", "--quiet", "--prune", self.remote.url, "+refs/tags/*:refs/tags/*"]
        done = self.remote.run(fetch, self.folder)
        if done.returncode != 0:
            raise failure(done, "reading", "refs/tags")

    def all(self) -> tuple[TagRef, ...]:
        """Every tag."""
        return read_tags(self.folder)

    def registry(self) -> Registry:
        """What they say together."""
        return Registry.of(self.all())

    def find(self, name: str) -> TagRef | None:
        """A tag by its name."""
        return next((each for each in self.all() if each.name == name), None)

    def bring(self, name: str) -> None:
        """Let the checkout have the commits of a tag, to look at them.

        Raises:
            NotEvaluatedError: git does not take them.
        """
        fetch = ["fetch", "--quiet", "--no-tags", str(self.folder), f"refs/tags/{name}"]
        done = try_git(fetch, self.checkout.root)
        if done.returncode != 0:
            raise failure(done, "reading", name)

    def make(self, name: str, said: str, note: TagNote) -> TagRef:
        """Make an annotated tag, here and at home; one that is there already stays as it is.

        Raises:
            RefusedError: the token or a rule of the repository forbids it.
            NotEvaluatedError: the remote does not answer, or the tag was made by somebody else meanwhile.
        """
        if self.find(name) is None:
            create_tag(self.folder, name, note.commit, tag_message(said, note), self.seconds)
            push_tag(self.folder, self.remote, name)
            self.fetch()
        made = self.find(name)
        if made is None:
            raise NotEvaluatedError(f"the tag {name} is not there although it was pushed", mend="Run it again.")
        return made
