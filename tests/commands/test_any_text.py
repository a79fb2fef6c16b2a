"""Any text at all is read, and what is written is read back."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.tiers import examples

from mlbot.commands.command import MAX_REASON, Command
from mlbot.commands.forward import Approve, Lock, Promote, Release, Rollback, Unlock
from mlbot.commands.help import Help
from mlbot.commands.markdown import MAX_COMMENT
from mlbot.commands.parser import MAX_COMMANDS, ParseError, parse_comment
from mlbot.commands.retrain import Cancel, JudgeAgain, Retrain
from mlbot.commands.status import Status
from mlbot.commands.waive import Waive
from mlbot.config.errors import INVISIBLE

SHA = "4f1c2a9d" * 5


def only(body: str) -> Command | ParseError:
    (line,) = parse_comment(body)
    return line.command


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
VERSIONS = st.from_regex(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})", fullmatch=True)
LINES = (
    st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=80)
    .filter(lambda text: not INVISIBLE.search(text))
    .map(lambda text: " ".join(text.split()))
    .filter(bool)
)
SHAS = st.none() | st.from_regex(r"[0-9a-f]{40}([0-9a-f]{24})?", fullmatch=True)
KEYS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}", fullmatch=True)
BUMPS: list[Any] = ["patch", "minor", "major"]
COMMANDS_SAID: st.SearchStrategy[Command] = st.one_of(
    st.builds(Retrain, models=st.lists(NAMES, unique=True, max_size=4).map(tuple), sha=SHAS),
    st.builds(Retrain, models=st.tuples(NAMES), params=st.dictionaries(KEYS, LINES, min_size=1, max_size=4), sha=SHAS),
    st.builds(JudgeAgain, sha=SHAS),
    st.builds(Waive, model=NAMES, gate=st.builds("{}@{}".format, NAMES, NAMES) | NAMES, reason=LINES),
    st.sampled_from([Status(), Help(), Cancel()]),
    st.builds(Release, model=NAMES, version=VERSIONS) | st.builds(Release, model=NAMES, bump=st.sampled_from(BUMPS)),
    st.builds(Promote, model=NAMES, version=VERSIONS, environment=NAMES, reason=LINES | st.just("")),
    st.builds(Approve, model=NAMES, version=VERSIONS, environment=NAMES),
    st.builds(Rollback, model=NAMES, environment=NAMES, to=st.none() | VERSIONS, reason=LINES),
    st.builds(Lock, environment=NAMES, reason=LINES),
    st.builds(Unlock, environment=NAMES),
)


@settings(max_examples=examples(500))
@given(COMMANDS_SAID)
@example(Lock(environment="e", reason='\\"'))
@example(Lock(environment="e", reason="\\"))
@example(Lock(environment="e", reason="“\u2019»"))
@example(Retrain(models=("4f1c2a9", "facade0")))
@example(Retrain(models=("a" * 40,)))
def test_what_is_written_is_read_back(command: Command) -> None:
    text = command.text
    assert only(text) == command
    assert parse_comment(f"> {text}\n") == parse_comment(f"```\n{text}\n```") == parse_comment(f"    {text}") == ()


PIECES = (
    *("/retrain", "/judge", "/waive", "/mlbot", "/help", "/release", "/promote", "/approve", "/rollback", "/lock"),
    *("/unlock", "/retran", "/etc", "/", "status", "help", "cancel", "income", "staging", "income@v1.2.0", "a:b"),
    *("reason=", 'reason="', "lr=", "=", "v1.2.0", "minor", SHA, SHA[:7], "@", ":", ".", "-", "\\", "\\\\"),
    *('"', "'", "“", "”", "„", "\u2018", "\u2019", "«", "»", "`", "``", "```", "~~~", ">", "<!--", "-->", "<pre>"),
    *("<", "</pre>", "<a b='", "#", "- ", "1. ", "===", "***", " ", "  ", "    ", "\t", "\u00a0", "\r", "\x0b", "\x85"),
    *(
        "\u2028",
        "\u200b",
        "\u202e",
        "\ufeff",
        "\0",
        "\ud800",
        "\U0001f468\u200d\U0001f52c",
        "é",
        "ß",
        "İ",
        "日本",
        "\U0010ffff",
    ),
    *("x" * 70, "9" * 5000, "\n", "\n", "\n", "\n/", "\n/retrain ", "\n/waive a:b ", "\n/lock e ", "\n> ", "\n    "),
)
EACH, BATCH = 12, 100


@settings(max_examples=examples(1000))
@given(st.binary(min_size=EACH * BATCH, max_size=EACH * BATCH))
def test_comments_of_many_pieces_are_read(draws: bytes) -> None:
    """Each draw is a hundred comments, put together from pieces and cut where the draw says."""
    for start in range(0, len(draws), EACH):
        body = "".join(PIECES[draw % len(PIECES)] for draw in draws[start : start + 1 + draws[start] % EACH])
        found, written = parse_comment(body), body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for each in found:
            assert written[each.line - 1].startswith("/")
            if not isinstance(each.command, ParseError):
                assert only(each.command.text) == each.command
        assert len(found) <= MAX_COMMANDS + 1


@settings(max_examples=examples(1000))
@given(st.text(max_size=200), st.sampled_from(["", "/", "/retrain ", "/lock e reason=", "/mlbot "]))
def test_any_text_is_read(body: str, start: str) -> None:
    for each in parse_comment(start + body):
        assert each.text


def test_what_is_longer_than_a_comment_is_not_parsed() -> None:
    """The parser is C: what it is given is bounded."""
    longest = "/help\n\n" + "x" * (MAX_COMMENT - 7)
    assert len(parse_comment(longest)) == 1
    assert parse_comment(longest + "x") == ()


def test_a_reason_may_be_as_long_as_it_says() -> None:
    command = Lock(environment="production", reason="é" * MAX_REASON)
    assert only(command.text) == command
