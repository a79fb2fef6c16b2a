"""The command line's contract: help with examples, exit codes, variables, streams."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.support import config_texts as texts
from tests.support import tiny

from mlbot import __version__, entry
from mlbot.cli.main import cli
from mlbot.errors import Exit, RefusedError


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


EVERY = list(commands(cli))


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_every_verb_has_help_with_an_example_that_parses(
    path: tuple[str, ...], command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.invoke([*path, "--help"]) == Exit.OK
    out = capsys.readouterr().out
    assert "Examples:" in out
    assert f"  mlbot {' '.join(path)}" in out
    for parameter in command.params:
        assert not isinstance(parameter, click.Option) or parameter.help, f"{parameter.name} has no help"


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_the_examples_use_options_that_exist(path: tuple[str, ...], command: click.Command) -> None:
    lines = [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("mlbot ")]
    assert lines
    for line in lines:
        words = shlex.split(line.split(" | ")[0].split(" > ")[0].split(" >> ")[0])[1 + len(path) :]
        if not isinstance(command, click.Group):
            command.make_context("mlbot", words, resilient_parsing=False)


def test_arguments_are_in_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Some releases of click lose them."""
    entry.invoke(["judge", "--help"])
    assert "CANDIDATE" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.invoke(["--version"]) == Exit.OK
    assert capsys.readouterr().out == f"mlbot {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rum"], "No such command 'rum'"),
        (["run", "--jobs", "0"], "--jobs"),
        (["run", "-C", "/nowhere/at/all"], "does not exist"),
        (["judge"], "CANDIDATE"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.invoke(arguments) == Exit.USAGE
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_outside_a_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.invoke(["run", "-C", str(tmp_path)]) == Exit.USAGE
    assert "git init" in capsys.readouterr().err


def test_an_option_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLBOT_PLAN_DIRECTORY", str(tmp_path / "not there"))
    assert entry.invoke(["plan"]) == Exit.USAGE
    assert "does not exist" in capsys.readouterr().err


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> click.Group:
    """A command line with two verbs of a test's own."""
    group = click.Group("mlbot")

    @group.command()
    def bug() -> None:
        raise ZeroDivisionError("a slip")

    @group.command()
    def refused() -> None:
        raise RefusedError("Production is locked.", where="production", hint="Ask Ada.")

    @group.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "cli", group)
    return group


@pytest.mark.usefixtures("broken")
def test_a_bug_says_where_to_report_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.invoke(["bug"]) == Exit.BUG
    err = capsys.readouterr().err
    assert "a slip" in err
    assert "github.com/mlbot-ci/mlbot/issues/new" in err


@pytest.mark.usefixtures("broken")
def test_an_expected_error_says_what_where_and_how_to_hint_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.invoke(["refused"]) == Exit.REFUSED
    assert capsys.readouterr().err == "mlbot: production: Production is locked.\n  Ask Ada.\n"


@pytest.mark.usefixtures("broken")
def test_ctrl_c_has_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.invoke(["interrupted"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.usefixtures("git_settings")
def test_a_reader_that_goes_away_is_no_bug(tmp_path: Path) -> None:
    repository = tiny.repository(tmp_path / "repository")
    shell = f"{sys.executable} -m mlbot config schema | head -c 1"
    done = subprocess.run(["bash", "-c", shell], cwd=repository.path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.usefixtures("git_settings")
def test_config_check_prints_what_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = tiny.repository(tmp_path / "repository")
    assert entry.invoke(["config", "check", "-C", str(repository.path)]) == Exit.OK
    assert "tiny: binary, 4 gates, 3 metrics, 2 slices" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models: {A: 1\n", "never closed"),
        (texts.SMALL.replace("  m:", "  x_:"), 'found the name "x_" → write a name of letters and digits'),
        (texts.SMALL + texts.SMALL.replace("models:", "").replace("  m:", "  M:"), '"M" beside "m"'),
        (None, "there is no mlbot.yaml"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"], ["--quiet"]])
def test_config_check_ends_in_2_for_whatever_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, words: str, form: list[str]
) -> None:
    if text is not None:
        (tmp_path / "mlbot.yaml").write_text(text)
    assert entry.invoke(["config", "check", "-C", str(tmp_path), *form]) == Exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


@pytest.mark.parametrize(
    "words",
    [
        "waive m:roc_auc --reason",
        "lock production --reason",
        "unlock production --reason",
        "rollback m production --reason",
        "promote m@v1.0.0 production --reason",
        "release m --waive-sealed",
    ],
)
def test_a_reason_is_one_line_that_can_be_seen(words: str) -> None:
    """As `/waive` and the other commands take it; a longer one was a crash once the model had been judged."""
    verb, *rest = words.split()
    command, name = cli.commands[verb], rest[-1].removeprefix("--").replace("-", "_")
    assert command.make_context(verb, [*rest, " two long \n lines\t"]).params[name] == "two long lines"
    for bad in ("\u200b", "turned \u202e round", "bell \x07", "x" * 501):
        with pytest.raises(click.BadParameter, match=r"invisible character U\+|501 characters; write at most 500"):
            command.make_context(verb, [*rest, bad])


def test_nobody_answers_for_a_release_without_a_reason() -> None:
    """An empty one was taken for none, and a letter for one."""
    release = cli.commands["release"]
    assert release.make_context("release", ["m"]).params["waive_sealed"] is None
    for empty in ("", " ", "\n", "x", "why not? "):
        with pytest.raises(click.BadParameter, match="fewer than 10 characters; say why"):
            release.make_context("release", ["m", "--waive-sealed", empty])
