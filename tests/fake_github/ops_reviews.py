"""Required reviewers: a run waits for them before it deploys to an environment.

GitHub lets the jobs before it run; here the whole run waits, as its runner takes it as one.
"""

from collections.abc import Sequence

from tests.fake_github import ops_actions
from tests.fake_github.errors import Refusal, unprocessable
from tests.fake_github.runs import Run
from tests.fake_github.state import User
from tests.fake_github.world import World


def wait(run: Run, environments: Sequence[str]) -> bool:
    """Let a run wait for the reviewers of these environments; whether it has to."""
    guarded = [name for name in environments if run.repository.environments[name].reviewers]
    run.waiting_for = sorted(set(guarded) - run.approved)
    if run.waiting_for:
        run.latest.status = "waiting"
    return bool(run.waiting_for)


def review(world: World, run: Run, user: User, environments: Sequence[str], *, approve: bool) -> None:
    """Approve or reject; when nobody is left to be heard, the run goes on.

    Raises:
        Refusal: it waits for none of these, or the user may not decide.
    """
    if not environments or not set(environments) <= set(run.waiting_for):
        raise unprocessable("The run does not wait for these environments")
    if not all(may_review(run, user, name) for name in environments):
        raise Refusal(422, "User is not allowed to approve or reject")
    if not approve:
        run.waiting_for = []
        ops_actions.finish(world, run, "failure", [])
        return
    run.approved |= set(environments)
    run.waiting_for = [name for name in run.waiting_for if name not in run.approved]
    if not run.waiting_for:
        run.latest.status = "queued"
        world.queue.append(run)


def may_review(run: Run, user: User, name: str) -> bool:
    """A reviewer, and where self-review is prevented somebody else than who started it."""
    environment = run.repository.environments[name]
    own = environment.prevent_self_review and user is run.latest.triggering_actor
    return user in environment.reviewers and not own
