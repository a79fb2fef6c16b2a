"""Which folder answers which command of a repository with several."""

import pytest

from mlbot.commands.folders import Neighbours, own_lines
from mlbot.commands.parser import parse_comment

CONFIGS = {"a": {"churn", "production"}, "b": {"fraud", "production", "staging"}, "c": {"spam"}}


def answered(body: str, folder: str) -> list[str]:
    """The commands of a comment that a folder answers, as a person would write them."""
    names = sorted(CONFIGS)
    place = names.index(folder)
    others = Neighbours(
        before=tuple(frozenset(CONFIGS[each]) for each in names[:place]),
        after=tuple(frozenset(CONFIGS[each]) for each in names[place + 1 :]),
    )
    found = own_lines(parse_comment(body), lambda: frozenset(CONFIGS[folder]), lambda: others)
    return [getattr(each.command, "text", each.text) for each in found]


@pytest.mark.parametrize(
    ("body", "who"),
    [
        ("/retrain", "abc"),
        ("/judge", "abc"),
        ("/mlbot status", "abc"),
        ("/mlbot cancel", "abc"),
        ("/mlbot help", "a"),
        ("/retrian churn", "a"),
        ("/retrain churn", "a"),
        ("/retrain spam rate=0.1", "c"),
        ("/retrain nobody", "a"),
        ('/waive fraud:roc_auc reason="why"', "b"),
        ("/promote fraud@v1.0.0 production", "b"),
        ("/release spam", "c"),
        ("/release nobody", "a"),
        ('/rollback churn production reason="why"', "a"),
        ('/lock production reason="why"', "a"),
        ("/unlock staging", "b"),
        ("/unlock nowhere", "a"),
    ],
)
def test_each_command_is_answered_by_whose_it_is(body: str, who: str) -> None:
    assert [folder for folder in CONFIGS if answered(body, folder)] == list(who)


def test_models_of_several_folders_are_trained_by_each() -> None:
    body = "/retrain churn spam typo"
    assert {each: answered(body, each) for each in CONFIGS} == {
        "a": ["/retrain churn typo"],
        "b": [],
        "c": ["/retrain spam typo"],
    }
