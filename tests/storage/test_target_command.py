"""A command of the user's: what it is told, what it must not see, and how it fails."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.places import made, version

from mlbot.errors import NotEvaluatedError
from mlbot.lib.version import Served
from mlbot.protocol.golden import SmokeReason
from mlbot.storage.target_command import CommandTarget, OverdueError, child_environment, run_command, smoke_command

DIGEST = f"sha256:{'a' * 64}"


def target(command: str, folder: Path, timeout_s: float = 60) -> CommandTarget:
    return CommandTarget(command, "staging", folder, timeout_s=timeout_s)


def test_what_it_is_told(tmp_path: Path) -> None:
    digest, file = made(tmp_path)
    asked = target('env | grep ^MLBOT_ | sort > "$MLBOT_ACTION.txt"; pwd >> "$MLBOT_ACTION.txt"', tmp_path)
    asked.stage("m", version("1.2.0"), digest, file)
    asked.switch("m", version("1.2.0"))
    assert asked.live("m") is None
    for action in ("stage", "switch"):
        assert (tmp_path / f"{action}.txt").read_text().splitlines() == [
            f"MLBOT_ACTION={action}",
            f"MLBOT_DIGEST={digest}",
            "MLBOT_ENVIRONMENT=staging",
            "MLBOT_MODEL=m",
            f"MLBOT_MODEL_FILE={file}",
            "MLBOT_VERSION=1.2.0",
            str(tmp_path),
        ]
    assert (tmp_path / "live.txt").read_text().splitlines()[:-1] == [
        "MLBOT_ACTION=live",
        "MLBOT_ENVIRONMENT=staging",
        "MLBOT_MODEL=m",
    ]


def test_it_gets_a_clouds_credentials_and_no_token_of_githubs() -> None:
    given = {
        "AWS_SECRET_ACCESS_KEY": "s",
        "PATH": "/bin",
        "GITHUB_TOKEN": "x",
        "GH_TOKEN": "x",
        "MLBOT_TOKEN": "x",
        "INPUT_TOKEN": "x",
        "ACTIONS_RUNTIME_TOKEN": "x",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x",
        "ACTIONS_ID_TOKEN_REQUEST_URL": "x",
        "GITHUB_ENV": "x",
        "GIT_CONFIG_VALUE_0": "x",
        "MY_COPY": "token ghs_abcdefghijklmnop1234",
        "GITHUB_SHA": "kept",
    }
    assert sorted(child_environment(given)) == ["AWS_SECRET_ACCESS_KEY", "GITHUB_SHA", "PATH"]


def test_a_real_child_sees_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_abcdefghijklmnop1234")
    monkeypatch.setenv("MLBOT_TOKEN", "hidden")
    done = run_command("env", tmp_path, {"MLBOT_ACTION": "x"})
    assert "MLBOT_ACTION=x" in done.output
    assert "ghs_" not in done.output
    assert "hidden" not in done.output


def test_a_failure_says_which_action(tmp_path: Path) -> None:
    digest, file = made(tmp_path)
    asked = target('test "$MLBOT_ACTION" != switch || exit 3', tmp_path)
    asked.stage("m", version("1.0.0"), digest, file)
    with pytest.raises(NotEvaluatedError, match="with MLBOT_ACTION=switch it ended with exit code 3"):
        asked.switch("m", version("1.0.0"))


@pytest.mark.parametrize(
    "said", ["1.0.0", "1.0.0 sha256:x", f"x {DIGEST}", f"1.0.0 {DIGEST} x", f"1.0.0 {DIGEST}\nmore"]
)
def test_live_has_to_be_a_version_and_a_digest(tmp_path: Path, said: str) -> None:
    (tmp_path / "said").write_text(said)
    with pytest.raises(NotEvaluatedError, match="a version and a digest"):
        target("cat said", tmp_path).live("m")


@pytest.mark.parametrize("said", [f"1.0.0 {DIGEST}", f"v1.0.0 {DIGEST}\n"])
def test_what_is_live(tmp_path: Path, said: str) -> None:
    (tmp_path / "said").write_text(said)
    assert target("cat said", tmp_path).live("m") == Served(version="1.0.0", digest=DIGEST)


@pytest.mark.parametrize(("fetch", "said"), [("true", "wrote no file"), ('echo x > "$MLBOT_MODEL_FILE"', "changed")])
def test_what_is_fetched_is_verified(tmp_path: Path, fetch: str, said: str) -> None:
    (tmp_path / "got").write_text("left over")
    command = f'if [ "$MLBOT_ACTION" = live ]; then echo "1.0.0 {DIGEST}"; else {fetch}; fi'
    with pytest.raises(NotEvaluatedError, match=said):
        target(command, tmp_path).fetch("m", tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_bytes_that_change_before_the_switch_are_not_served(tmp_path: Path) -> None:
    digest, file = made(tmp_path)
    asked = target('touch "$MLBOT_ACTION"', tmp_path)
    asked.stage("m", version("1.0.0"), digest, file)
    file.write_bytes(b"other")
    with pytest.raises(NotEvaluatedError, match="changed or damaged"):
        asked.switch("m", version("1.0.0"))
    assert not (tmp_path / "switch").exists()


def test_it_ends_with_all_it_started_when_it_is_overdue(tmp_path: Path) -> None:
    with pytest.raises(OverdueError, match=r"longer than 0\.3 s"):
        run_command("sleep 600 & echo $! > child; wait", tmp_path, {}, timeout_s=0.3)
    child = int((tmp_path / "child").read_text())
    assert _ended(child)


def test_nothing_it_started_outlives_it(tmp_path: Path) -> None:
    assert run_command("sleep 600 > /dev/null & echo $!", tmp_path, {}).exit_code == 0
    child = run_command("sleep 600 > /dev/null & echo $!", tmp_path, {}).output
    assert _ended(int(child))


def _ended(process: int) -> bool:
    """Whether a process ends within some seconds; its descriptor can be read once it has."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([descriptor], [], [], 20)
    os.close(descriptor)
    return bool(ready)


def test_endless_output_and_an_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(NotEvaluatedError, match="more than 65,536 bytes"):
        run_command("yes", tmp_path, {})
    with pytest.raises(NotEvaluatedError, match="cannot be started"):
        run_command("true", tmp_path / "absent", {})


def test_how_it_ended_by_a_signal(tmp_path: Path) -> None:
    assert run_command("kill -TERM $$", tmp_path, {}).exit_code == -signal.SIGTERM


@pytest.mark.parametrize(
    ("command", "timeout_s", "reason"),
    [
        (
            'test "$MLBOT_ACTION $MLBOT_MODEL $MLBOT_ENVIRONMENT $MLBOT_VERSION" = "smoke m staging 1.0.0"',
            60,
            "command-agrees",
        ),
        ("exit 22", 60, "command-failed"),
        ("sleep 60", 0.2, "command-timeout"),
    ],
)
def test_a_smoke_tests_command(tmp_path: Path, command: str, timeout_s: float, reason: str) -> None:
    served = Served(version="1.0.0", digest=DIGEST)
    result = smoke_command(command, "m", "staging", served, tmp_path, timeout_s=timeout_s)
    assert (result.passed, result.reason) == (reason == "command-agrees", SmokeReason(reason))
    assert result.detail.endswith(".")


def test_its_errors_go_where_mlbots_go(tmp_path: Path) -> None:
    code = (
        "from mlbot.storage.target_command import run_command as r; "
        "from pathlib import Path; r('echo no GPU >&2', Path(), {})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert (done.stdout, done.stderr) == ("", "no GPU\n")
