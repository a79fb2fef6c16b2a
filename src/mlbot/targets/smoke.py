"""The last step of a smoke test: a command of the user's looks at the endpoint."""

from pathlib import Path

from mlbot.core.golden import SmokeReason, SmokeResult
from mlbot.core.record import Name
from mlbot.errors import NotEvaluatedError
from mlbot.targets.base import Served
from mlbot.targets.process import TIMEOUT_S, OverdueError, run_command


def smoke_command(
    command: str, model: Name, environment: Name, served: Served, folder: Path, *, timeout_s: float = TIMEOUT_S
) -> SmokeResult:
    """Run `smoke.command` of an environment after the golden requests were answered.

    Args:
        command: For the shell; gets `MLBOT_ACTION=smoke`, `MLBOT_MODEL`, `MLBOT_ENVIRONMENT`, `MLBOT_VERSION` and
            `MLBOT_DIGEST`.
        model: The model.
        environment: Where it was deployed.
        served: What the target serves.
        folder: Where the command runs: the repository's root.
        timeout_s: When it is ended.

    Returns:
        Whether it ended with exit code 0.
    """
    own = {
        "MLBOT_ACTION": "smoke",
        "MLBOT_MODEL": model,
        "MLBOT_ENVIRONMENT": environment,
        "MLBOT_VERSION": served.version,
        "MLBOT_DIGEST": served.digest,
    }
    try:
        done = run_command(command, folder, own, timeout_s=timeout_s)
    except OverdueError as error:
        what = f"The command of the smoke test failed: {error.what}."
        return SmokeResult(passed=False, reason=SmokeReason.COMMAND_TIMEOUT, detail=what)
    except NotEvaluatedError as error:
        what = f"The command of the smoke test failed: {error.what}."
        return SmokeResult(passed=False, reason=SmokeReason.COMMAND_FAILED, detail=what)
    if done.exit_code == 0:
        what = "The command of the smoke test agrees."
        return SmokeResult(passed=True, reason=SmokeReason.COMMAND_AGREES, detail=what)
    what = f"The command of the smoke test ended with exit code {done.exit_code}."
    return SmokeResult(passed=False, reason=SmokeReason.COMMAND_FAILED, detail=what)
