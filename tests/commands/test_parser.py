"""What a comment says to the bot: every form, every mistake."""

import pytest
from tests.support.command_samples import event, plain, written

from mlbot.commands.command import Command
from mlbot.commands.dispatch import refusals, replies
from mlbot.commands.forward import Approve, Lock, Promote, Release, Rollback, Unlock
from mlbot.commands.help import Help
from mlbot.commands.parser import (
    COMMANDS,
    MAX_COMMANDS,
    MAX_LINE,
    CommandLine,
    Fault,
    ParseError,
    distance,
    parse_comment,
)
from mlbot.commands.retrain import Cancel, JudgeAgain, Retrain
from mlbot.commands.status import Status
from mlbot.commands.waive import Waive
from mlbot.config.errors import INVISIBLE

SHA = "4f1c2a9d" * 5


def only(body: str) -> Command | ParseError:
    (line,) = parse_comment(body)
    return line.command


def fault(body: str) -> ParseError:
    found = only(body)
    assert isinstance(found, ParseError), found
    return found


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/retrain", Retrain()),
        ("/Retrain", Retrain()),
        ("/retrain income", Retrain(models=("income",))),
        ("/retrain income spam", Retrain(models=("income", "spam"))),
        (f"/retrain {SHA}", Retrain(sha=SHA)),
        (f"/retrain {SHA.upper()} income", Retrain(models=("income",), sha=SHA)),
        (f"/retrain {'4' * 64}", Retrain(sha="4" * 64)),
        (f"/retrain {'e' * 40}", Retrain(sha="e" * 40)),
        ('/retrain "4f1c2a9"', Retrain(models=("4f1c2a9",))),
        ("/retrain facade", Retrain(models=("facade",))),
        ("/retrain deadbeef", Retrain(models=("deadbeef",))),
        ("/retrain income lr=0.05", Retrain(models=("income",), params={"lr": "0.05"})),
        (
            f"/retrain income tree.depth=3 loss='log loss' {SHA}",
            Retrain(models=("income",), params={"tree.depth": "3", "loss": "log loss"}, sha=SHA),
        ),
        ("/retrain lr=-1e-3 income", Retrain(models=("income",), params={"lr": "-1e-3"})),
        ("/judge", JudgeAgain()),
        (f"/judge {SHA}", JudgeAgain(sha=SHA)),
        ('/waive income:roc_auc reason="known"', Waive(model="income", gate="roc_auc", reason="known")),
        (
            '/waive reason="known" income:recall@women.min',
            Waive(model="income", gate="recall@women.min", reason="known"),
        ),
        ("/waive income:deleted reason=replaced", Waive(model="income", gate="deleted", reason="replaced")),
        ("/mlbot status", Status()),
        ("/MLBOT  Status", Status()),
        ("/mlbot help", Help()),
        ("/help", Help()),
        ("/mlbot cancel", Cancel()),
        ("/mlbot retrain income", Retrain(models=("income",))),
        ("/release income", Release(model="income")),
        ("/release income minor", Release(model="income", bump="minor")),
        ("/release income v1.2.0", Release(model="income", version="1.2.0")),
        ("/release income v2.0.0-rc.1", Release(model="income", version="2.0.0-rc.1")),
        ("/promote income@v2.0.0-rc.1 staging", Promote(model="income", version="2.0.0-rc.1", environment="staging")),
        ("/promote income@v1.2.0 staging", Promote(model="income", version="1.2.0", environment="staging")),
        (
            '/promote income@1.2.0 staging reason="go"',
            Promote(model="income", version="1.2.0", environment="staging", reason="go"),
        ),
        ("/approve income@v1.2.0 production", Approve(model="income", version="1.2.0", environment="production")),
        (
            '/rollback income production reason="slow"',
            Rollback(model="income", environment="production", reason="slow"),
        ),
        (
            '/rollback income production v1.1.0 reason="slow"',
            Rollback(model="income", environment="production", to="1.1.0", reason="slow"),
        ),
        ('/lock production reason="freeze"', Lock(environment="production", reason="freeze")),
        ("/unlock production", Unlock(environment="production")),
    ],
)
def test_a_command(line: str, command: Command) -> None:
    assert parse_comment(line) == (CommandLine(line=1, text=line, command=command),)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('"two words"', "two words"),
        ("'two words'", "two words"),
        ("“two words”", "two words"),
        ("„two words“", "two words"),
        ("”two words”", "two words"),
        ("\u2018two words\u2019", "two words"),
        ("«two words»", "two words"),
        ("»two words«", "two words"),
        ('"two words”', "two words"),
        ('“two words"', "two words"),
        ("'it's fine'", "it's fine"),
        ("\u2018it\u2019s fine\u2019", "it\u2019s fine"),
        ('"he said "no""', 'he said "no"'),
        ('"he said “no” twice"', "he said “no” twice"),
        (r'"a \" b"', 'a " b'),
        (r'"a \\ b"', "a \\ b"),
        (r'"C:\data"', r"C:\data"),
        ("it's", "it's"),
        ('"  much \t space\u00a0here "', "much space here"),
    ],
)
def test_a_reason_in_any_quotation_marks(written: str, reason: str) -> None:
    assert only(f"/lock production reason={written}") == Lock(environment="production", reason=reason)


MISTAKES: list[tuple[str, Fault, str]] = [
    ("/retran", Fault.UNKNOWN, "Did you mean /retrain?"),
    ("/re-train", Fault.UNKNOWN, "Did you mean /retrain?"),
    ("/retrain.", Fault.UNKNOWN, "Did you mean /retrain?"),
    ("/jugde", Fault.UNKNOWN, "Did you mean /judge?"),
    ("/promot x@v1.0.0 staging", Fault.UNKNOWN, "Did you mean /promote?"),
    ("/status", Fault.UNKNOWN, "Did you mean /mlbot status?"),
    ("/mlbot statsu", Fault.UNKNOWN, "Did you mean /mlbot status?"),
    ("/mlbot dance", Fault.UNKNOWN_AFTER_PREFIX, "/mlbot help lists"),
    ("/mlbot", Fault.NO_COMMAND, "/mlbot status|help|cancel"),
    ("/re\u200btrain", Fault.INVISIBLE_NAME, "invisible"),
    ("/retrain 4f1c2a9", Fault.SHORT_SHA, "all 40 digits"),
    (f"/retrain {SHA}0", Fault.SHORT_SHA, "all 40 digits"),
    (f"/judge {SHA[:-1]}", Fault.SHORT_SHA, "all 40 digits"),
    ("/judge main", Fault.NO_SHA, "main is no whole SHA"),
    (f'/judge "{SHA}"', Fault.NO_SHA, "no whole SHA"),
    ("/retrain feature/x", Fault.BAD_WORD, "feature/x"),
    ("/retrain HEAD~1", Fault.BAD_WORD, "HEAD~1"),
    ("/retrain refs/heads/main", Fault.BAD_WORD, "neither a model's name"),
    (f"/judge {SHA} {SHA}", Fault.SHA_TWICE, "two SHAs"),
    ("/retrain income income", Fault.MODEL_TWICE, "The model income"),
    ("/retrain income lr=1 lr=2", Fault.KEY_TWICE, "lr="),
    ("/retrain income lr=", Fault.NO_VALUE, "behind lr="),
    ('/retrain income lr=" "', Fault.NO_VALUE, "behind lr="),
    (f"/retrain income lr={'1' * 201}", Fault.VALUE_TOO_LONG, "200"),
    (f"/retrain income {'l' * 101}=1", Fault.KEY_TOO_LONG, "100"),
    ("/waive", Fault.MISSING, "MODEL:GATE is missing"),
    ("/waive income:roc_auc", Fault.MISSING, 'reason="…" is missing'),
    ('/waive roc_auc reason="x"', Fault.BAD_WORD, "MODEL:GATE"),
    ('/waive income:roc auc reason="x"', Fault.SUPERFLUOUS, "one word too many"),
    ('/waive income:a@b@c reason="x"', Fault.BAD_WORD, "income:a"),
    ('/waive in/come:roc_auc reason="x"', Fault.BAD_WORD, "in/come"),
    ('/waive income:roc_auc reason="never closed', Fault.QUOTES, "never closed"),
    ("/waive income:roc_auc reason=known for long", Fault.SUPERFLUOUS, 'reason="in quotes"'),
    ('/lock production reson="x"', Fault.NO_SUCH_KEY, "Did you mean reason=?"),
    ('/lock production why="x"', Fault.NO_SUCH_KEY, "takes no why="),
    (f'/lock production reason="{"x" * 501}"', Fault.VALUE_TOO_LONG, "500"),
    ('/release income waive-sealed="x"', Fault.VALUE_TOO_SHORT, "fewer than 10"),
    ("/lock production", Fault.MISSING, "reason"),
    ("/unlock production now", Fault.SUPERFLUOUS, "now is one word too many"),
    ("/unlock pro/duction", Fault.BAD_WORD, "environment"),
    ("/release income v1.2", Fault.BAD_WORD, "patch, minor or major"),
    ("/release income v1.2.0+5", Fault.BAD_WORD, "v1.2.0"),
    ("/release income v01.2.0", Fault.BAD_WORD, "v1.2.0"),
    ("/promote income staging", Fault.BAD_WORD, "MODEL@VERSION"),
    ("/promote income@staging production", Fault.BAD_WORD, "no version of a model"),
    ("/promote income@v1.2.0", Fault.MISSING, "ENVIRONMENT"),
    ("/help me", Fault.SUPERFLUOUS, "me is one word too many"),
    ("/retrain a\u200bb", Fault.INVISIBLE, "U+200B"),
    ("/retrain \u202eincome", Fault.INVISIBLE, "U+202E"),
    ('/lock production reason="a\x1b[31m"', Fault.INVISIBLE, "U+001B"),
    ('/lock production reason="a\ufeff"', Fault.INVISIBLE, "U+FEFF"),
    ("/retrain \ud800", Fault.INVISIBLE, "U+D800"),
    (f"/retrain {'a ' * MAX_LINE}", Fault.LINE_TOO_LONG, "4,096"),
]


@pytest.mark.parametrize(("line", "kind", "word"), MISTAKES)
def test_a_mistake_is_answered(line: str, kind: Fault, word: str) -> None:
    found = fault(line)
    assert found.fault is kind
    lines = parse_comment(line)
    shown = plain(written(*replies(lines, refusals(lines, event(), "admin", earlier=0), None)))
    assert word in shown
    assert found.usage.startswith("/")
    assert found.usage in shown
    assert len(shown) < 900
    assert not INVISIBLE.search(shown.replace("\n", ""))


def test_every_fault_is_met_by_a_test() -> None:
    assert {kind for _, kind, _ in MISTAKES} == set(Fault) - {Fault.TOO_MANY}


@pytest.mark.parametrize(
    "line",
    [
        *("/etc/passwd", "/s", "/", "//", "/ retrain", "/usr/bin/retrain", "/retrain/all", "/1", "/2024", "/s/a/b/"),
        *("/lgtm", "/assign @ada", "/hold", "/test all", "/close", "/label x", "/ok-to-test", "/retest", "/rebase"),
        *(
            "/\u0440\u0435\u0442\u0440\u0430\u0438\u043d",
            "/retrain\u0301",
            "/giphy hello",
            "/shrug",
            "/me too",
            "/hello",
        ),
        *("/release-note-none", "/" + "retrain" * 1000),
    ],
)
def test_what_is_nobodys_command_is_left_alone(line: str) -> None:
    assert parse_comment(line) == ()


def test_several_are_answered_in_order() -> None:
    lines = parse_comment(
        "Hello!\n/judge\n/etc/passwd\n\n> /retrain\n\n/retran\n```\n/mlbot cancel\n```\n/mlbot status\r\n"
    )
    assert [each.line for each in lines] == [2, 7, 11]
    assert [each.command.kind for each in lines] == ["judge", "error", "status"]
    assert lines[2].text == "/mlbot status"


def test_a_limit_is_said_once() -> None:
    lines = parse_comment("/judge\n/nothing\n" * 30)
    assert len(lines) == MAX_COMMANDS + 1
    assert lines[MAX_COMMANDS - 1].command == JudgeAgain()
    last = lines[-1].command
    assert isinstance(last, ParseError)
    assert last.fault is Fault.TOO_MANY
    assert len(parse_comment("/judge\n" * MAX_COMMANDS)) == MAX_COMMANDS


def test_a_long_line_is_shown_short() -> None:
    (line,) = parse_comment(f'/lock production reason="{"x" * 60_000}"')
    assert line.text.endswith("x…")
    assert len(line.text) < 250


@pytest.mark.parametrize("spec", COMMANDS, ids=lambda each: each.name)
def test_an_example_is_read_and_written_again(spec: type[Command]) -> None:
    command = only(spec.example)
    assert not isinstance(command, ParseError)
    assert type(command) is spec
    assert only(command.text) == command


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [
        ("", "", 0),
        ("lock", "lock", 0),
        ("lokc", "lock", 1),
        ("unlok", "unlock", 1),
        ("judge", "jugde", 1),
        ("ab", "", 2),
    ],
)
def test_slips_are_counted(one: str, other: str, slips: int) -> None:
    assert distance(one, other) == distance(other, one) == slips
