"""The page: one file that loads nothing, whatever is in it."""

import hashlib
import json
import re
from base64 import b64decode

import pytest
from hypothesis import HealthCheck, given, settings
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import report_parts as parts
from tests.support import samples
from tests.support.hostile_samples import TEXTS, poisoned, skeleton
from tests.support.tiers import examples

from mlbot.gates.outcome import Reason
from mlbot.report.page import html
from mlbot.report.report import Charts
from mlbot.verdict.verdict import Problem

LOADS = re.compile(
    r"""(?:src|srcset|poster|data|action|formaction|background)\s*=|url\(|@import|<(?:link|iframe|object|embed|base|form|img)\b"""
)


class HtmlFile(SingleFileSnapshotExtension):
    file_extension = "html"
    _write_mode = WriteMode.TEXT


def made_up(name: str = "adult-income") -> Charts:
    spec = {"description": "ROC curve", "data": {"values": [{"side": "</script><script>alert(1)</script>"}]}}
    return Charts(specs={name: {"roc": spec}}, themes={"light": {}, "dark": {}}, script="window.vegaEmbed = 1;")


def without_style(page: str) -> str:
    return re.sub(r"<style>.*?</style>", "<style></style>", page, flags=re.DOTALL)


def test_whole(snapshot: SnapshotAssertion) -> None:
    assert without_style(html(samples.failing())) == snapshot(extension_class=HtmlFile)


@pytest.mark.parametrize(
    "name", ["many", "crashed", "nothing_stale", "regression", "no_baseline", "waived_beside_others"]
)
def test_lines(name: str, snapshot: SnapshotAssertion) -> None:
    shown = samples.differing(html(samples.SAMPLES[name]()), html(samples.failing()), "\n")
    assert shown == snapshot(extension_class=HtmlFile)


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_every_kind_of_report_has_a_page_whose_elements_are_closed(name: str) -> None:
    tags, texts = skeleton(html(samples.SAMPLES[name](), made_up()))
    void = {"meta", "link", "br"}
    opened: list[str] = []
    for tag in tags:
        if isinstance(tag, tuple) and tag[0] not in void:
            opened.append(tag[0])
        elif isinstance(tag, str) and tag.startswith("/"):
            assert opened.pop() == tag[1:]
    assert opened == []
    assert "None" not in texts


def test_nothing_is_loaded() -> None:
    page = html(samples.failing(), made_up())
    assert LOADS.findall(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)) == ["<link"]
    assert '<link rel="icon" href="data:,">' in page
    addresses = set(re.findall(r"https?://[^\"'\s<]+", page))
    report = samples.failing()
    ours = {report.repository_url, f"{report.repository_url}/pull/42", report.run_url}
    assert addresses == ours


def test_the_page_says_where_and_when_it_was_made() -> None:
    """A page that is kept or sent on is found again: repository, pull request, branch, run and date."""
    page = html(samples.failing(), made="2026-11-30 07:00 UTC")
    (over,) = re.findall(r'<p class="over">(.*?)</p>', page, flags=re.DOTALL)
    address = "https://github.com/acme/income"
    assert f'<a href="{address}">acme/income</a>' in over
    assert f'<a href="{address}/pull/42">pull request 42</a>' in over
    assert "branch deeper-trees" in over
    assert f'<a href="{address}/actions/runs/7412">run</a>' in over
    assert "2026-11-30 07:00 UTC" in over
    local = html(samples.local(), made="2026-11-30 07:00 UTC")
    assert re.findall(r'<p class="over">(.*?)</p>', local, flags=re.DOTALL) == [
        "acme/income · branch deeper-trees · 2026-11-30 07:00 UTC"
    ]


@pytest.mark.parametrize("reason", list(Reason))
def test_no_backtick_is_left_in_a_page(reason: Reason) -> None:
    """Hints name keys of mlbot.yaml between backticks, which HTML shows as code."""
    texts = [each for each in (Problem.of(reason).detail, Problem.of(reason).hint) if each]
    problem = Problem.of(reason, detail=" ".join(texts))
    report = parts.judged(parts.adult(0.0, problem=problem, comparisons=(), candidate=()))
    assert "`" not in re.sub(r"<style>.*?</style>", "", html(report), flags=re.DOTALL)


def test_the_policy_admits_the_two_scripts_and_no_other() -> None:
    page = html(samples.failing(), made_up())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy.startswith("default-src 'none';")
    assert "unsafe-eval" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    hashes = re.findall(r"'sha256-([^']+)'", policy)
    assert [hashlib.sha256(text.encode()).digest() for text in scripts] == [b64decode(each) for each in hashes]
    assert len(scripts) == 2


def test_without_charts_there_is_no_script() -> None:
    page = html(samples.failing())
    assert "<script" not in page
    assert "script-src 'none'" in page
    assert "<figure" not in page


def test_charts_reach_the_page_as_data() -> None:
    page = html(samples.failing(), made_up())
    (data,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page)
    assert json.loads(data)["specs"] == made_up().specs
    assert "<figcaption>ROC curve</figcaption>" in page
    assert 'role="img" aria-label="ROC curve"' in page


def test_a_script_that_would_end_its_element_is_refused() -> None:
    bad = Charts(specs={}, themes={}, script="x = '</SCRIPT >'")
    with pytest.raises(ValueError, match="own element"):
        html(samples.failing(), bad)


@pytest.mark.parametrize("name", ["failing", "many", "crashed", "policy_differs"])
@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS.map(lambda text: text or " "))
def test_no_text_of_a_stranger_changes_the_page(name: str, text: str) -> None:
    report = samples.SAMPLES[name]()
    harmless, _ = skeleton(html(poisoned(report, "harmless"), made_up()))
    tags, _ = skeleton(html(poisoned(report, text), made_up()))
    assert tags == harmless


def test_what_decides_stands_first_and_can_be_jumped_to() -> None:
    page = html(samples.many())
    assert page.index('<h2><span class="outcome fail">') < page.index('<h2><span class="outcome pass">')
    assert set(re.findall(r'href="#(model-\d)"', page)) == set(re.findall(r'id="(model-\d)"', page))


def test_tables_have_headers_and_captions() -> None:
    page = html(samples.failing())
    assert page.count("<caption>") >= 5
    for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, flags=re.DOTALL):
        assert 'scope="' in row
