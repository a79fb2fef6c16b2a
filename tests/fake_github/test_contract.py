"""GitHub's schemas: facts take their shape, and what they refuse is refused."""

import pytest
from tests.fake_github import contract
from tests.fake_github.contract import ContractError
from tests.fake_github.schema import Document, openapi, webhooks
from tests.fake_github.shape import Shaper


@pytest.mark.parametrize(
    ("method", "path", "key", "params"),
    [
        ("GET", "/repos/o/r/branches/a%2Fb", "GET /repos/{owner}/{repo}/branches/{branch}", "a/b"),
        ("GET", "/repos/o/r/branches/a/b", "GET /repos/{owner}/{repo}/branches/{branch}", "a/b"),
        ("GET", "/repos/o/r/git/ref/tags/x@v1", "GET /repos/{owner}/{repo}/git/ref/{ref}", "tags/x@v1"),
        ("GET", "/repos/o/r/commits/a/b/status", "GET /repos/{owner}/{repo}/commits/{ref}/status", "a/b"),
        ("GET", "/repos/o/r/statuses/abc", "GET /repos/{owner}/{repo}/commits/{ref}/statuses", "abc"),
        ("GET", "/repos/o/r/releases/latest", "GET /repos/{owner}/{repo}/releases/latest", "r"),
        ("GET", "/repos/o/r/contents/a/b.txt", "GET /repos/{owner}/{repo}/contents/{path}", "a/b.txt"),
    ],
)
def test_a_path_finds_its_operation(method: str, path: str, key: str, params: str) -> None:
    found = contract.find(method, path)
    assert found
    assert (found[0].key, list(found[1].values())[-1]) == (key, params)


def test_a_path_that_github_has_not() -> None:
    assert contract.find("GET", "/repos/o/r/nonsense") is None
    assert contract.find("PUT", "/repos/o/r/branches/main") is None


def test_facts_of_the_wrong_kind_are_refused() -> None:
    found = contract.find("GET", "/repos/o/r/issues/comments/1")
    assert found
    with pytest.raises(ContractError, match=r"\$\.body: 5 is not of type 'string'"):
        contract.answer(found[0], 200, {"body": 5})
    with pytest.raises(ContractError, match="no status 201"):
        contract.answer(found[0], 201, {})


def test_an_event_that_github_has_not() -> None:
    with pytest.raises(ContractError, match="no event"):
        contract.payload("pull_request", {"action": "merged"})


def test_a_payload_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ContractError, match=r"\$\.ref: 7 is not of type 'string'"):
        contract.payload("push", {"ref": 7})


SCHEMA = {
    "type": "object",
    "required": ["id", "url", "maybe", "nested"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer"},
        "url": {"type": "string", "format": "uri"},
        "maybe": {"type": ["string", "null"]},
        "extra": {"type": "string"},
        "nested": {"allOf": [{"$ref": "#/definitions/part"}, {"required": ["b"], "properties": {"b": {"const": "x"}}}]},
        "either": {"oneOf": [{"type": "null"}, {"$ref": "#/definitions/part"}]},
    },
    "definitions": {"part": {"type": "object", "required": ["a"], "properties": {"a": {"enum": ["first", "second"]}}}},
}


def test_facts_take_the_shape_of_a_schema() -> None:
    document = Document("test", SCHEMA, openapi=False)
    shaped = Shaper(document).project(document.content, {"id": 1, "unknown": 2, "either": {"a": "second", "c": 3}})
    assert shaped == {
        "id": 1,
        "url": "https://neutral.invalid/url",
        "maybe": None,
        "nested": {"a": "first", "b": "x"},
        "either": {"a": "second"},
    }
    assert document.violations(document.content, shaped) == []


def test_nullable_means_a_type_null() -> None:
    document = Document("test", {"type": "string", "nullable": True, "enum": ["a"]}, openapi=True)
    assert [document.accepts(document.content, one) for one in ("a", None, "b")] == [True, True, False]


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [("date-time", "2026-11-20T10:00:00Z", "yesterday"), ("uri", "https://example.com/x", "not a uri")],
)
def test_formats_count(form: str, good: str, bad: str) -> None:
    document = Document("test", {"type": "string", "format": form}, openapi=False)
    assert document.violations(document.content, good) == []
    assert document.violations(document.content, bad)


def test_the_descriptions_are_the_ones_named() -> None:
    assert openapi().content["info"]["version"] == "23.0.2"
    assert len(contract.operations()) == 142
    assert "workflow_run$completed" in webhooks().content["definitions"]
