"""The report for programs: JSON, and the schema that describes it."""

import json

from mlbot.core.published import ACTIONS_REPOSITORY
from mlbot.core.report import Report

SCHEMA_ID = f"https://raw.githubusercontent.com/{ACTIONS_REPOSITORY}/v1/docs/schemas/report.schema.json"


def json_text(report: Report) -> str:
    """The whole report as JSON, with a line end. `schema_version` says which schema it obeys."""
    return f"{report.model_dump_json(indent=2)}\n"


def report_schema() -> str:
    """The JSON Schema of the report, made from the record, as `docs/schemas/report.schema.json` holds it."""
    made = Report.model_json_schema(mode="serialization")
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **made}
    return f"{json.dumps(whole, indent=2, ensure_ascii=False)}\n"
