"""POST /contacts/import: what `flask import` does, for programs and the page."""

import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from flask import Response, request

from contacts import answers, examples, files, logs, model
from contacts.errors import ApiError, StatusCode, unavailable_error
from contacts.parameters import choice, field
from contacts.parsing import read_body
from contacts.rows import Columns, FileError, Reading, Row, bad_rows
from contacts.schemas import Strict
from contacts.sync import Report, Rules, Sync, SyncError
from contacts.views import blp

MAX_IMPORT_BYTES = 8 * 1024 * 1024
MAX_ROWS = 100_000  # they take less time than a proxy waits
MAX_ANSWERED_ROWS = 1000  # bad rows in an answer

FORMATS = {"text/csv": "csv", "application/x-ndjson": "ndjson", "application/json": "json"}

NEW_CONTACT = {"$ref": "#/components/schemas/NewContact"}
ROWS = {
    "required": True,
    "description": "The columns are the attributes, as in the files of `flask import`. 8 MiB and 100,000 rows at most.",
    "content": {
        "text/csv": {"schema": {"type": "string"}, "example": examples.IMPORT_CSV},
        "application/x-ndjson": {"schema": {"type": "string"}, "example": json.dumps(examples.NEW)},
        "application/json": {"schema": {"type": "array", "items": NEW_CONTACT}, "example": [examples.NEW]},
    },
}


class ImportQuery(Strict):
    """The parameters of an import."""

    dryRun = field(
        choice("true", "false"),
        "`true` changes nothing, and answers what would be done.",
        "true",
        enum=["true", "false"],
        default="false",
    )


@blp.route("/contacts/import", methods=["POST"])
@blp.doc(operationId="importContacts", requestBody=ROWS)
@blp.arguments(ImportQuery(), location="query")
@blp.response(200, "ImportAnswer", example=examples.IMPORTED)
@blp.alt_response(422, schema="ImportRefused", example=examples.IMPORT_REFUSED)
def import_contacts(asked: dict[str, str]) -> Response:
    """Add the Custom contacts of a file that are not there yet; with bad rows, nothing."""
    dry_run = asked.get("dryRun") == "true"
    if request.mimetype not in FORMATS:
        raise ApiError(415, StatusCode.INVALID, f"Send the rows as one of: {', '.join(FORMATS)}.")
    body = io.BufferedReader(io.BytesIO(read_body(request, MAX_IMPORT_BYTES)))
    encoding = request.mimetype_params.get("charset", "utf-8")
    advice = "save it as UTF-8, or say its charset in the Content-Type"
    rows = files.read(body, Reading(FORMATS[request.mimetype], Columns(), encoding, encoding_advice=advice))
    try:
        with Sync("Custom", dry_run) as sync:
            report = sync.prepare(bounded(rows), Rules(delete=False))
            answer = answer_of(sync, report)
            if not report.refused and not dry_run:
                sync.apply(report.summary)
    except FileError as error:
        end = "" if str(error).endswith("?") else "."
        raise ApiError(422, StatusCode.INVALID, f"The rows cannot be read: {error}{end}") from None
    except SyncError:
        raise unavailable_error("Another sync or import is running; try again when it is done.") from None
    if report.refused:
        message = f"{bad_rows(report.summary.rejected)}; nothing was changed."
        answer = {"statusCode": int(StatusCode.INVALID), "statusMessage": message, **answer}
        return answers.json_answer(model.encode_json(answer).encode(), 422)
    if report.summary.added and not dry_run:
        logs.write_audit({"action": "imported", "added": report.summary.added})
    return answers.json_answer(model.encode_json({"statusCode": 0, **answer}).encode())


def bounded(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows; raise FileError for too many."""
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise FileError(f"there are more than {MAX_ROWS} rows; the command flask import reads any file")
        yield row


def answer_of(sync: Sync, report: Report) -> dict[str, Any]:
    """Return what an import found: the numbers of contacts, and the bad rows, the first of very many."""
    rejected = []
    for row, reasons in islice(sync.staging.rejected(), MAX_ANSWERED_ROWS):
        nth = {"contact": row.nth} if row.nth else {}  # what tells it from others on its line
        rejected.append({"line": row.line, **nth, "errors": {column: [text] for column, text in reasons.items()}})
    counts = report.summary._asdict()
    return {"summary": {name: counts[name] for name in ("added", "unchanged", "rejected")}, "rejected": rejected}
