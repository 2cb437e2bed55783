"""flask sync, flask import and flask export: between the directory and files."""

import csv
import io
import os
import shlex
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from contacts import files, ldap
from contacts.attributes import ATTRIBUTES, TYPES, VALUES
from contacts.cli import INPUT_FILE, OUTPUT_FILE, Command
from contacts.database import separate_connection
from contacts.maintenance import MaintenanceError, refuse_database, replacing
from contacts.model import Contact
from contacts.rows import Columns, FileError, Reading, Row, bad_rows, spelling
from contacts.sync import Report, Rules, Sync

# A command waits longer for other writes than they wait for it.
COMMAND_BUSY_TIMEOUT_MS = 60_000

MAX_SHOWN_REJECTS = 20  # --rejects writes all of them


Source = io.BufferedReader | str  # a file, or an LDAP URL


def opened(value: str) -> Any:
    """Return the open file that an argument names, or an LDAP URL as it is."""
    is_url = value.lower().startswith(("ldap:", "ldaps:"))
    return value if is_url else click.File("rb")(value, ctx=click.get_current_context())


def number_or_percentage(value: str) -> tuple[float, bool]:
    """Return the number that is written in an option, and whether it is a percentage."""
    text = value.strip()
    try:
        number = float(text.removesuffix("%")) if text.endswith("%") else int(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf") or (text.endswith("%") and number > 100):
        raise click.BadParameter(f"{value!r} is neither a number (25) nor a percentage (10%)")
    return number, text.endswith("%")


def named_column(value: str) -> tuple[str, str]:
    """Return the column and the attribute that --column names."""
    column, equals, attribute = value.rpartition("=")
    if not equals or attribute not in {"", *ATTRIBUTES}:
        raise click.BadParameter(f"{value!r} is no COLUMN=attribute; the attributes are: {', '.join(ATTRIBUTES)}")
    return column, attribute


def column_advice(name: str) -> str:
    """Return which options read a column that is not known, or leave it out."""
    option = shlex.quote(f"{name}=ATTRIBUTE")
    return f" (--column {option} reads it as one of these, --ignore-extra leaves others out)"


def source_options(command: Any) -> Any:
    """Add the argument and the options that say what is read, and how."""
    for option in (
        click.argument("source", type=opened, metavar="FILE"),
        click.option(
            *("--format", "format_"),
            type=click.Choice(list(files.READERS)),
            help="What the file is; default: as its name tells.",
        ),
        click.option("--encoding", default="utf-8", help="Of a file that is not UTF-8: windows-1252, utf-16, …"),
        click.option("--delimiter", default="", help="Between the cells of a CSV file; default: found out."),
        click.option(
            *("--column", "named"),
            type=named_column,
            metavar="COLUMN=ATTRIBUTE",
            multiple=True,
            help="Read a column under this name; COLUMN= leaves it out. Repeatable.",
        ),
        click.option("--ignore-extra", is_flag=True, help="Leave out columns that are not attributes, and name them."),
        click.option("--bind-dn", default="", help="Who asks the LDAP server; nobody without."),
        click.option("--password-file", type=INPUT_FILE, help="With the password of --bind-dn, and nothing else."),
        click.option("--ca-file", type=INPUT_FILE, help="With the certificate that vouches for the LDAP server's."),
        click.option("--rejects", type=OUTPUT_FILE, help="Write bad rows there, apply the rest."),
        click.option("--dry-run", is_flag=True, help="Change nothing; say what would change."),
    )[::-1]:
        command = option(command)
    return command


@click.command("sync", cls=Command, makes_database=True)
@click.argument("type_", metavar="User|Queue", type=click.Choice(["User", "Queue"], case_sensitive=False))
@source_options
@click.option("--no-delete", is_flag=True, help="Keep the contacts that the file does not have.")
@click.option(
    "--max-delete",
    type=number_or_percentage,
    metavar="NUMBER OR PERCENTAGE",
    default="10%",
    show_default=True,
    help="Refuse to remove more; of a percentage, one contact may always go.",
)
@click.option(
    "--match",
    type=click.Choice(["employeeId"]),
    help="Tell Users by this first, so that one whose userName changes stays the same contact.",
)
def sync_command(
    type_: str,
    rejects: Path | None,
    dry_run: bool,
    no_delete: bool,
    max_delete: tuple[float, bool],
    match: str | None,
    **source: Any,
) -> None:
    """Make the Users (or Queues) of the directory equal to FILE: CSV, JSON, NDJSON, LDIF or an LDAP URL.

    Users are matched by userName, Queues by name, ignoring case. Exit status: 0 done, 1 nothing was changed,
    2 done without the rows that --rejects has.
    """
    if match and type_ != "User":
        raise click.ClickException(f"--match {match} is for Users; a {type_} has none")
    rules = Rules(not no_delete, *max_delete, despite_rejected=rejects is not None)
    with Sync(type_, dry_run, match or "", COMMAND_BUSY_TIMEOUT_MS) as sync:
        run(sync, rules, rejects, **source)


@click.command("import", cls=Command, makes_database=True)
@source_options
def import_command(rejects: Path | None, dry_run: bool, **source: Any) -> None:
    """Add the Custom contacts of FILE: CSV, JSON, NDJSON, LDIF or an LDAP URL.

    A row that the directory holds already (same name and number, ignoring case) is left as it is, so that a
    second run adds nothing. Exit status: as of sync.
    """
    with Sync("Custom", dry_run, busy_timeout_ms=COMMAND_BUSY_TIMEOUT_MS) as sync:
        run(sync, Rules(delete=False, despite_rejected=rejects is not None), rejects, **source)


def run(sync: Sync, rules: Rules, rejects: Path | None, source: Source, **options: Any) -> None:
    """Do a sync or an import, print what was found and done, and end with the exit status."""
    name = source if isinstance(source, str) else source.name
    if rejects:
        refuse_database(rejects)
        status = None if isinstance(source, str) else files.status_of(source)
        if status and rejects.exists() and os.path.samestat(status, rejects.stat()):  # also as standard input
            raise MaintenanceError(f"{rejects} is the file that is read; name another one for the bad rows")
    named = options.pop("named")
    if len({spelling(column) for column, _ in named}) < len(named):
        raise click.ClickException("--column names a column twice")
    columns = Columns(dict(named), options.pop("ignore_extra"), column_advice)
    try:
        report = sync.prepare(rows_of(source, columns, **options), rules)
    except FileError as error:
        raise click.ClickException(f"{name}: {error}; nothing was changed") from None
    print_report(sync, report, columns)
    if rejects:
        with replacing(rejects) as temporary:
            write_rejects(sync, temporary)
    if report.refused:
        raise click.ClickException(report.refused)
    summary = report.summary
    if not sync.dry_run:
        with progress_bar("writing", summary.added + summary.changed + summary.removed) as bar:
            sync.apply(summary, bar.update)
    click.echo(f"{sync.type}: {summary}{' (dry run: nothing was changed)' if sync.dry_run else ''}")
    if summary.rejected:
        raise SystemExit(2)


def rows_of(
    source: Source, columns: Columns, format_: str | None, encoding: str, delimiter: str, **login: Any
) -> Iterator[Row]:
    """Yield the rows of a file or of an LDAP server."""
    if isinstance(source, str):
        yield from ldap.read(source, columns, **login)
        return
    if any(login.values()):
        raise FileError("--bind-dn, --password-file and --ca-file are for LDAP servers, and this is a file")
    delimiter = "\t" if delimiter in {"\\t", "tab"} else delimiter
    reading = Reading(format_ or files.format_of(source.name), columns, encoding, delimiter)
    size = os.path.getsize(source.name) if os.path.isfile(source.name) else 0
    with progress_bar("reading", size) as bar:
        for index, row in enumerate(files.read(source, reading)):
            if index % 1000 == 0 and not bar.hidden:
                bar.update(source.tell() - bar.pos)
            yield row


def progress_bar(label: str, length: int) -> Any:
    """Return a progress bar; it is shown on a terminal only."""
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=not length or not sys.stderr.isatty())


def print_report(sync: Sync, report: Report, columns: Columns) -> None:
    """Print what a sync found, but for the numbers of its summary."""
    for warning in columns.warnings:
        click.echo(f"warning: {warning}", err=True)
    if left_out := columns.left_out():
        click.echo(f"left out: {', '.join(left_out)}", err=True)
    for row, reasons in islice(sync.staging.rejected(), MAX_SHOWN_REJECTS):
        for column, reason in reasons.items():
            click.echo(f"{row.place}, {column}: {reason}", err=True)
    if report.summary.rejected > MAX_SHOWN_REJECTS:
        click.echo(f"… and {bad_rows(report.summary.rejected - MAX_SHOWN_REJECTS)} more", err=True)
    if report.unnamed:
        click.echo("warning: nobody is removed, as a bad row does not tell whose it is", err=True)
    for attribute, number in report.lost.items():
        click.echo(f"warning: no row has a value for {attribute}, and {number} contacts lose theirs", err=True)
    if sync.match_by:
        counts = ", ".join(f"{number} by {attribute}" for attribute, number in report.matched.items())
        click.echo(f"matched: {counts}", err=True)


def write_rejects(sync: Sync, path: Path) -> None:
    """Write the bad rows as CSV: their line, the reasons and their values."""
    # backslashreplace: a value of JSON may have unpaired surrogates.
    with path.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "reason", *ATTRIBUTES])
        for row, reasons in sync.staging.rejected():
            values = [files.escaped(str(row.values.get(name, ""))) for name in ATTRIBUTES]
            reason = " ".join(f"{column}: {reason}" for column, reason in reasons.items())
            writer.writerow([row.line, reason, *values])


@click.command("export", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--type", "type_", type=click.Choice(TYPES, case_sensitive=False), help="Of this type only.")
@click.option(
    *("--format", "format_"), type=click.Choice(list(files.WRITERS)), help="What to write; default: as the name tells."
)
@click.option(
    "--raw", is_flag=True, help="Write CSV without the apostrophes that keep a spreadsheet from running a cell."
)
def export_command(file: Path, type_: str | None, format_: str | None, raw: bool) -> None:
    """Write the contacts to FILE (-: standard output), as sync and import read them back.

    All come from one moment, while the service runs.
    """
    format_ = format_ or files.format_of(str(file))
    if format_ not in files.WRITERS:
        raise click.ClickException(f"{format_} is read only; write one of: {', '.join(files.WRITERS)}")
    write = files.WRITERS[format_]
    attributes = ["id", "type", *(name for name, each in VALUES.items() if not type_ or type_ in each.types)]
    query = Contact.select(Contact.json).order_by(Contact.seq).dicts()
    if type_:
        query = query.where(Contact.type == type_)
    with separate_connection() as database:
        contacts = (row["json"] for row in query.iterator(database))
        if str(file) == "-":
            text = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
            write(text, contacts, attributes, raw)
            text.detach().flush()
            return
        with replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as text:
            write(text, contacts, attributes, raw)


COMMANDS = (sync_command, import_command, export_command)
