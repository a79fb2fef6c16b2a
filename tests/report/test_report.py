"""The report for programs."""

import json
from pathlib import Path

import jsonschema
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from tests.support import samples

from mlbot.report.report import Report, json_text, report_schema
from mlbot.report.terminal import terminal
from mlbot.report.words import headline

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "report.schema.json"


class JsonFile(SingleFileSnapshotExtension):
    file_extension = "json"
    _write_mode = WriteMode.TEXT


def test_whole(snapshot: SnapshotAssertion) -> None:
    report = samples.inconclusive()
    models = [model.model_copy(update={"curves": {}, "comparisons": model.comparisons[:6]}) for model in report.models]
    shown = json_text(report.model_copy(update={"models": tuple(models)}))
    assert shown == snapshot(extension_class=JsonFile)


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_json_reads_back_as_the_report_and_obeys_the_published_schema(name: str) -> None:
    report = samples.SAMPLES[name]()
    text = json_text(report)
    assert Report.model_validate_json(text) == report
    jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text())).validate(json.loads(text))


def test_the_published_schema_is_that_of_the_record() -> None:
    refresh = (
        "fix it with: python -c \"from mlbot.report.report import report_schema; print(report_schema(), end='')\" "
        "> docs/schemas/report.schema.json"
    )
    assert PUBLISHED.read_text() == report_schema(), refresh


def test_the_schema_is_one_and_closed() -> None:
    schema = json.loads(report_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema_version"]["enum"] == ["mlbot/report@1", "mlbot/report@2"]
    changed = json.loads(json_text(samples.passing())) | {"unknown": 1}
    with pytest.raises(jsonschema.ValidationError, match="unknown"):
        jsonschema.Draft202012Validator(schema).validate(changed)


LANDED = json.loads((Path(__file__).parent / "landed_reports.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", LANDED)
def test_a_report_of_version_1_is_read_with_its_words(name: str) -> None:
    report = Report.model_validate_json(json.dumps(LANDED[name]))
    before = LANDED[name]["verdict"]["models"][0]
    why = report.verdict.models[0].why
    assert why is not None
    assert (why.reason, why.detail) == (before["reason"], before["detail"])
    assert headline(report).lead in {"Could not be judged", "Cannot tell"}
    assert before["detail"] in terminal(report, color=False, width=300)
