"""A person at work: what people do on GitHub's pages and with git."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.fake_github import events, ops_actions, ops_git, ops_issues, ops_merge, ops_pulls, ops_reviews
from tests.fake_github.runs import Run
from tests.fake_github.state import Comment, Issue, MergeMethod, Release, Repository, User
from tests.fake_github.tokens import Token
from tests.fake_github.world import World

Files = Mapping[str, str | bytes | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody who works on a repository. Roles are not asked here, as the pages of GitHub offer only what one may."""

    world: World
    token: Token
    repository: Repository

    @property
    def user(self) -> User:
        """Who."""
        return self.token.user

    @property
    def login(self) -> str:
        """The login."""
        return self.user.login

    def clone_url(self) -> str:
        """For real git: a push through it is noticed like any other."""
        host = self.world.url.removeprefix("http://")
        return f"http://{self.login}:{self.token.value}@{host}/{self.repository.full_name}.git"

    def on(self, repository: Repository) -> "Person":
        """The same person on another repository."""
        return replace(self, repository=repository)

    def fork(self) -> "Person":
        """Fork the repository to one's own account, and work there."""
        name = f"{self.login}/{self.repository.name}"
        with self.world.lock:
            found = self.world.repositories.get(name.lower())
            return self.on(found or self.world.add_repository(name, parent=self.repository))

    def delete_repository(self) -> None:
        """Delete the repository, as who has forked deletes the fork."""
        with self.world.lock:
            ops_pulls.delete_repository(self.world, self.repository)

    def push(
        self, branch: str, files: Files | None = None, message: str = "A commit", *, onto: str | None = None
    ) -> str:
        """Commit files on a branch and push; a new branch starts at ``onto``, the default branch if left out.

        Returns:
            The SHA of the commit, or of ``onto`` when there are no files.
        """
        git, ref = self.repository.git, f"refs/heads/{branch}"
        with self.world.lock:
            parent = git.find(ref) or git.commit_of(onto or self.repository.default_branch)
            assert parent, f"nothing to start {branch} from"
            sha = parent if files is None else git.commit(files, message, [parent], self.world.identity(self.user))
            self._move(ref, sha)
        return sha

    def force_push(self, branch: str, files: Files, message: str = "Again", *, onto: str | None = None) -> str:
        """Replace a branch by one commit on ``onto`` (the default branch if left out)."""
        git = self.repository.git
        with self.world.lock:
            parent = git.commit_of(onto or self.repository.default_branch)
            assert parent, f"nothing to start {branch} from"
            sha = git.commit(files, message, [parent], self.world.identity(self.user))
            self._move(f"refs/heads/{branch}", sha)
        return sha

    def delete_branch(self, branch: str) -> None:
        """Delete a branch; its pull requests close."""
        with self.world.lock:
            self._move(f"refs/heads/{branch}", None)

    def tag(self, name: str, target: str | None = None, *, message: str | None = None) -> str:
        """Push a tag; annotated when there is a message.

        Returns:
            The SHA that the reference names: of the commit, or of the tag object.
        """
        git = self.repository.git
        with self.world.lock:
            sha = git.commit_of(target or self.repository.default_branch)
            assert sha, f"no commit {target}"
            if message is not None:
                who = self.world.identity(self.user)
                head = f"object {sha}\ntype commit\ntag {name}\ntagger {who.name} <{who.email}> {who.time} +0000"
                sha = git.git("mktag", data=f"{head}\n\n{message}\n".encode())
            self._move(f"refs/tags/{name}", sha)
        return sha

    def delete_tag(self, name: str) -> None:
        """Delete a tag."""
        with self.world.lock:
            self._move(f"refs/tags/{name}", None)

    def _move(self, ref: str, sha: str | None) -> None:
        ops_git.set_ref(self.world, self.repository, self.token, ref, sha)

    def open_pull_request(
        self, head: str, base: str = "main", *, title: str = "A change", body: str | None = None, draft: bool = False
    ) -> Issue:
        """Open a pull request; from a fork (``alice.fork()``) it goes to the parent."""
        target = self.repository.parent or self.repository
        name = f"{self.repository.owner.login}:{head}"
        with self.world.lock:
            return ops_pulls.open_pull(
                self.world, target, self.token, head=name, base=base, title=title, body=body, draft=draft
            )

    def pull_request(self, branch: str, files: Files, *, base: str = "main", title: str = "A change") -> Issue:
        """Push files to a new branch and open a pull request for it."""
        self.push(branch, files, onto=base)
        return self.open_pull_request(branch, base, title=title)

    def edit_pull_request(
        self, issue: Issue, *, title: str | None = None, body: str | None = None, base: str | None = None
    ) -> None:
        """Change title, body or base."""
        with self.world.lock:
            ops_pulls.edit(self.world, self._home(issue), self.token, issue, title=title, body=body, base=base)

    def close(self, issue: Issue) -> None:
        """Close a pull request or an issue."""
        with self.world.lock:
            if issue.pull:
                ops_pulls.close(self.world, self._home(issue), self.token, issue)
            else:
                issue.state, issue.closed_at = "closed", self.world.now()
                events.issues(self.world, self.repository, self.token, "closed", issue)

    def reopen(self, issue: Issue) -> None:
        """Reopen a pull request."""
        with self.world.lock:
            ops_pulls.reopen(self.world, self._home(issue), self.token, issue)

    def convert_to_draft(self, issue: Issue) -> None:
        """Make it a draft."""
        with self.world.lock:
            ops_pulls.set_draft(self.world, self._home(issue), self.token, issue, draft=True)

    def mark_ready(self, issue: Issue) -> None:
        """No draft any more."""
        with self.world.lock:
            ops_pulls.set_draft(self.world, self._home(issue), self.token, issue, draft=False)

    def merge(self, issue: Issue, method: MergeMethod = "merge") -> str:
        """Merge; the base branch's new tip."""
        with self.world.lock:
            return ops_merge.merge(self.world, self._home(issue), self.token, issue, method=method)

    def queue(self, issue: Issue) -> str:
        """Put it in the merge queue; the group's reference."""
        with self.world.lock:
            return ops_merge.queue(self.world, self._home(issue), self.token, issue)

    def conclude_group(self, issue: Issue, *, passed: bool) -> None:
        """The checks of its group ended; the queue merges, drops or waits."""
        with self.world.lock:
            ops_merge.conclude(self.world, self._home(issue), self.token, issue, passed=passed)

    def leave_queue(self, issue: Issue, ref: str, *, merged: bool = True) -> None:
        """The queue merges the group and what is before it, or drops it and builds anew what is behind."""
        with self.world.lock:
            ops_merge.leave_queue(self.world, self._home(issue), self.token, issue, ref, merged=merged)

    def _home(self, issue: Issue) -> Repository:
        """The repository whose issue it is: a fork's pull request lives in the parent."""
        repository = self.repository
        return repository if repository.issues.get(issue.number) is issue else repository.parent or repository

    def open_issue(self, title: str, body: str | None = None) -> Issue:
        """Open an issue."""
        with self.world.lock:
            return ops_issues.open_issue(self.world, self.repository, self.token, title, body)

    def comment(self, issue: Issue, body: str) -> Comment:
        """Comment."""
        with self.world.lock:
            return ops_issues.comment(self.world, self._home(issue), self.token, issue, body)

    def edit_comment(self, one: Comment, body: str) -> None:
        """Edit a comment."""
        with self.world.lock:
            ops_issues.edit_comment(self.world, self._of(one), self.token, one, body)

    def delete_comment(self, one: Comment) -> None:
        """Delete a comment."""
        with self.world.lock:
            ops_issues.delete_comment(self.world, self._of(one), self.token, one)

    def _of(self, one: Comment) -> Repository:
        repository = self.repository
        return repository if one.id in repository.comments else repository.parent or repository

    def dispatch(self, workflow: str, ref: str = "main", **inputs: str) -> Run | None:
        """Dispatch a workflow by its file name."""
        with self.world.lock:
            path = f".github/workflows/{workflow}"
            return ops_actions.dispatch(self.world, self.repository, self.token, path=path, ref=ref, inputs=inputs)

    def rerun(self, run: Run, *, failed_only: bool = False) -> None:
        """Run all jobs again, or only those that failed with those that need them."""
        with self.world.lock:
            ops_actions.rerun(self.world, run, self.token, failed_only=failed_only)

    def cancel(self, run: Run) -> None:
        """Cancel a run."""
        with self.world.lock:
            ops_actions.cancel(self.world, run)

    def approve(self, run: Run) -> None:
        """Let a fork's run go."""
        with self.world.lock:
            ops_actions.approve(self.world, run)

    def review_deployment(self, run: Run, *environments: str, approve: bool = True) -> None:
        """Approve or reject what a run waits for."""
        with self.world.lock:
            ops_reviews.review(self.world, run, self.user, environments, approve=approve)

    def publish_release(self, tag: str, name: str | None = None) -> Release:
        """Publish a release of a tag that is there."""
        with self.world.lock:
            now = self.world.now()
            made = Release(
                id=self.world.next_id("release"), tag=tag, target=self.repository.default_branch, name=name or tag,
                body="", draft=False, prerelease=False, author=self.user, created_at=now, published_at=now,
            )  # fmt: skip
            self.repository.releases[made.id] = made
            events.release(self.world, self.repository, self.token, "published", made)
            return made
