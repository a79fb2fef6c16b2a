"""Issues, comments, reactions and labels."""

from tests.fake_github import events
from tests.fake_github.errors import Refusal, invalid
from tests.fake_github.facts import REACTIONS
from tests.fake_github.ops_pulls import next_number
from tests.fake_github.state import Comment, Issue, Label, Reaction, Repository, User
from tests.fake_github.tokens import Token
from tests.fake_github.world import World

MAX_BODY = 65_536


def check_body(resource: str, body: str) -> str:
    """A body that GitHub takes.

    Raises:
        Refusal: it is empty or over 65,536 characters.
    """
    if not body.strip():
        raise invalid(resource, "body", "missing")
    if len(body) > MAX_BODY:
        raise invalid(resource, "body", "custom", f"body is too long (maximum is {MAX_BODY} characters)")
    return body


def open_issue(world: World, repo: Repository, token: Token, title: str, body: str | None) -> Issue:
    """Open an issue."""
    now = world.now()
    issue = Issue(
        id=world.next_id("issue"), number=next_number(repo), title=title, body=body, user=token.user,
        created_at=now, updated_at=now,
    )  # fmt: skip
    repo.issues[issue.number] = issue
    events.issues(world, repo, token, "opened", issue)
    return issue


def comment(world: World, repo: Repository, token: Token, issue: Issue, body: str) -> Comment:
    """Comment on an issue or a pull request."""
    now = world.now()
    made = Comment(
        id=world.next_id("comment"), number=issue.number, user=token.user,
        body=check_body("IssueComment", body), created_at=now, updated_at=now, by_app=token.kind != "user",
    )  # fmt: skip
    repo.comments[made.id] = made
    issue.updated_at = now
    events.issue_comment(world, repo, token, "created", made)
    return made


def edit_comment(world: World, repo: Repository, token: Token, one: Comment, body: str) -> None:
    """Replace the body of a comment."""
    before, one.body = one.body, check_body("IssueComment", body)
    one.updated_at = world.now()
    one.edits.append((token.user, one.updated_at))
    events.issue_comment(world, repo, token, "edited", one, before)


def delete_comment(world: World, repo: Repository, token: Token, one: Comment) -> None:
    """Delete a comment."""
    events.issue_comment(world, repo, token, "deleted", one)
    del repo.comments[one.id]


def react(world: World, reactions: list[Reaction], who: User, content: str) -> tuple[Reaction, bool]:
    """React; the reaction and whether it is new. The same one twice is one.

    Raises:
        Refusal: GitHub has no such reaction.
    """
    if content not in REACTIONS:
        raise invalid("Reaction", "content", "invalid")
    for one in reactions:
        if one.user is who and one.content == content:
            return one, False
    made = Reaction(id=world.next_id("reaction"), user=who, content=content, created_at=world.now())
    reactions.append(made)
    return made, True


def add_label(world: World, repo: Repository, name: str, color: str = "ededed", about: str | None = None) -> Label:
    """A label, made when first named."""
    if name not in repo.labels:
        repo.labels[name] = Label(id=world.next_id("label"), name=name, color=color, description=about)
    return repo.labels[name]


def set_labels(world: World, repo: Repository, token: Token, issue: Issue, names: list[str]) -> None:
    """Give an issue these labels and no others."""
    before, issue.labels = issue.labels, list(dict.fromkeys(names))
    tell = events.pull_request if issue.pull else events.issues
    for action, changed in (("labeled", set(names) - set(before)), ("unlabeled", set(before) - set(names))):
        for name in sorted(changed):
            label = add_label(world, repo, name)
            facts = {"id": label.id, "node_id": "LA", "url": f"{world.api_url}/labels", "name": name}
            facts |= {"color": label.color, "default": False, "description": label.description}
            tell(world, repo, token, action, issue, {"label": facts})


def own_or_maintained(repo: Repository, token: Token, author: User) -> None:
    """Only its author and people with write access may change what somebody wrote.

    Raises:
        Refusal: neither.
    """
    if token.user is author or token.permissions is not None:
        return
    if repo.role(token.user) not in {"admin", "maintain", "write"}:
        raise Refusal(403, "Must have admin rights to Repository.")
