"""The flask commands."""

import csv
import io
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import click
import peewee
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from contacts import files, maintenance, tokens, upgrades
from contacts.database import RESTORE_ADVICE, SCHEMA_VERSION, database_path, separate_connection
from contacts.errors import unavailable
from contacts.maintenance import MaintenanceError, refuse_database, replacing
from contacts.model import ATTRIBUTES, TYPES, VALUES, Contact, Token
from contacts.settings import CHECKS, ROLE_SPELLINGS, Role, SettingsError
from contacts.sync import Summary, Sync, SyncError

MAX_SHOWN_REJECTS = 20  # --rejects writes all of them

FORMATS = click.Choice(list(files.READERS))
OUTPUT_FILE = click.Path(dir_okay=False, path_type=Path)


class Command(click.Command):
    """A command whose every failure is one line and the exit status 1.

    `makes_database`: it makes the database if there is none. Others refuse, as a copy or a check of nothing would look
    like one of the directory. An older database is upgraded.
    """

    def __init__(self, *args: Any, makes_database: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.makes_database = makes_database

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the command line."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise click.ClickException(f"{error.format_message()} (--help shows how it goes)") from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        path = database_path()
        try:
            if not self.makes_database and not (path.exists() and path.stat().st_size):
                raise MaintenanceError(
                    f"there is no database {path}; is CONTACTS_DATABASE as the service has it? "
                    "The service makes it when it starts, and so do sync and import."
                )
            upgrades.prepare(str(path))
            return super().invoke(ctx)
        except (SettingsError, SyncError, files.FileError, tokens.TokenError, MaintenanceError, OSError) as error:
            raise click.ClickException(str(error)) from None
        except (sqlite3.Error, peewee.DatabaseError) as error:
            reason = unavailable(error) or f"{error}; flask check tells more"
            raise click.ClickException(f"{path}: {reason}") from None


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


def role_name(value: str) -> Role:
    """Return the role that an argument names, spelled as in the role header."""
    if value.strip().lower() not in ROLE_SPELLINGS:
        raise click.BadParameter(f"{value!r} is not a role; there are: {', '.join(Role)}")
    return ROLE_SPELLINGS[value.strip().lower()]


def reading_options(command: Any) -> Any:
    """Add the options that say how a file is read."""
    for option in reversed(
        (
            click.option("--format", "format_", type=FORMATS, help="What the file is; default: as its name tells."),
            click.option("--encoding", default="utf-8", help="Of a file that is not UTF-8: windows-1252, utf-16, …"),
            click.option("--delimiter", default="", help="Between the cells of a CSV file; default: found out."),
            click.option("--ignore-extra", is_flag=True, help="Leave out columns that are not attributes."),
            click.option("--rejects", type=OUTPUT_FILE, help="Write bad rows there, apply the rest."),
            click.option("--dry-run", is_flag=True, help="Change nothing; say what would change."),
        )
    ):
        command = option(command)
    return command


@click.command("sync", cls=Command, makes_database=True)
@click.argument("type_", metavar="User|Queue", type=click.Choice(["User", "Queue"], case_sensitive=False))
@click.argument("file", type=click.File("rb"))
@reading_options
@click.option("--no-delete", is_flag=True, help="Keep the contacts that the file does not have.")
@click.option(
    "--max-delete",
    type=number_or_percentage,
    metavar="NUMBER OR PERCENTAGE",
    default="10%",
    show_default=True,
    help="Refuse to remove more.",
)
def sync_command(
    type_: str,
    file: BinaryIO,
    rejects: Path | None,
    dry_run: bool,
    no_delete: bool,
    max_delete: tuple[float, bool],
    **reading: Any,
) -> None:
    """Make the Users (or Queues) of the directory equal to FILE: CSV, JSON or NDJSON.

    Users are matched by userName, Queues by name, ignoring case. Exit status: 0 done, 1 nothing was changed,
    2 done without the rows that --rejects has.
    """
    with Sync(type_, dry_run) as sync:
        summary = compare(sync, file, rejects, delete=not no_delete, **reading)
        for attribute, number in sync.staging.lost().items():
            click.echo(f"warning: no row has a value for {attribute}, and {number} contacts lose theirs", err=True)
        sync.check_removals(summary, *max_delete)
        apply(sync, summary)


@click.command("import", cls=Command, makes_database=True)
@click.argument("file", type=click.File("rb"))
@reading_options
def import_command(file: BinaryIO, rejects: Path | None, dry_run: bool, **reading: Any) -> None:
    """Add the Custom contacts of FILE: CSV, JSON or NDJSON.

    A row that the directory holds already (same name and number, ignoring case) is left as it is, so that a
    second run adds nothing. Exit status: as of sync.
    """
    with Sync("Custom", dry_run) as sync:
        apply(sync, compare(sync, file, rejects, delete=False, **reading))


def compare(sync: Sync, file: BinaryIO, rejects: Path | None, delete: bool, **reading: Any) -> Summary:
    """Read a file into a sync; return what is to be done, unless there are bad rows without a file for them."""
    if rejects:
        refuse_database(rejects)
        if rejects.exists() and os.path.exists(file.name) and rejects.samefile(file.name):
            raise MaintenanceError(f"{rejects} is the file that is read; name another one for the bad rows")
    load(sync, file, **reading)
    summary = sync.compare(delete)
    for row, reasons in islice(sync.staging.rejected(), MAX_SHOWN_REJECTS):
        for column, reason in reasons.items():
            click.echo(f"line {row.line}, {column}: {reason}", err=True)
    if summary.rejected > MAX_SHOWN_REJECTS:
        click.echo(f"… and {summary.rejected - MAX_SHOWN_REJECTS} more bad rows", err=True)
    if rejects:
        with replacing(rejects) as temporary:
            write_rejects(sync, temporary)
    elif summary.rejected:
        raise click.ClickException(
            f"{summary.rejected} bad rows; nothing was changed. "
            "Mend them, or say --rejects FILE to put them there and apply the rest."
        )
    return summary


def load(sync: Sync, file: BinaryIO, format_: str | None, encoding: str, delimiter: str, ignore_extra: bool) -> None:
    """Read a file into a sync; fail with one line if it cannot be read."""
    try:
        reading = files.Reading(
            format_ or files.format_of(file.name),
            "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding,
            "\t" if delimiter in {"\\t", "tab"} else delimiter,
            ignore_extra,
        )
        size = os.path.getsize(file.name) if os.path.isfile(file.name) else 0
        with progress_bar("reading", size) as bar:
            sync.load(counted(files.read(file, reading), file, bar))
    except files.FileError as error:
        raise click.ClickException(f"{file.name}: {error}; nothing was changed") from None


def progress_bar(label: str, length: int) -> Any:
    """Return a progress bar; it is shown on a terminal only."""
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=not length or not sys.stderr.isatty())


def counted(rows: Iterable[files.Row], file: BinaryIO, bar: Any) -> Iterator[files.Row]:
    """Yield the rows, and show in the bar now and then how far the file is read."""
    for index, row in enumerate(rows):
        if index % 1000 == 0 and not bar.hidden:
            bar.update(file.tell() - bar.pos)
        yield row


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


def apply(sync: Sync, summary: Summary) -> None:
    """Apply the differences unless it is a dry run, print the summary, and end with the exit status."""
    if not sync.dry_run:
        with progress_bar("writing", summary.added + summary.changed + summary.removed) as bar:
            sync.apply(summary, bar.update)
    click.echo(f"{sync.type}: {summary}{' (dry run: nothing was changed)' if sync.dry_run else ''}")
    if summary.rejected:
        raise SystemExit(2)


@click.command("export", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--type", "type_", type=click.Choice(TYPES, case_sensitive=False), help="Of this type only.")
@click.option("--format", "format_", type=FORMATS, help="What to write; default: as the file's name tells.")
def export_command(file: Path, type_: str | None, format_: str | None) -> None:
    """Write the contacts to FILE (-: standard output), as sync and import read them back.

    All come from one moment, while the service runs.
    """
    write = files.WRITERS[format_ or files.format_of(str(file))]
    attributes = ["id", "type", *(name for name, each in VALUES.items() if not type_ or type_ in each.types)]
    query = Contact.select(Contact.json).order_by(Contact.seq).dicts()
    if type_:
        query = query.where(Contact.type == type_)
    with separate_connection() as database:
        contacts = (row["json"] for row in query.iterator(database))
        if str(file) == "-":
            text = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
            write(text, contacts, attributes)
            text.detach().flush()
            return
        with replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as text:
            write(text, contacts, attributes)


@click.command("backup", cls=Command)
@click.argument("file", type=OUTPUT_FILE)
@click.option("--overwrite", is_flag=True, help="Replace the file when it exists.")
def backup_command(file: Path, overwrite: bool) -> None:
    """Copy the database to FILE while the service runs, and check the copy.

    To restore: stop the service, put the copy in the place of the database, remove its -wal and -shm files, start.
    """
    size = maintenance.backup(file, overwrite)
    click.echo(f"{file}: {size} bytes, checked")


@click.command("check", cls=Command)
@with_appcontext
def check_command() -> None:
    """Check the settings and the database; print what there is, and what to do when something is wrong."""
    for name in CHECKS:
        click.echo(f"CONTACTS_{name}: {written(current_app.config[name]) or '(empty)'}")
    if found := maintenance.check():
        raise click.ClickException(f"the database is damaged: {'; '.join(found)}; {RESTORE_ADVICE}")
    click.echo(f"schema version: {SCHEMA_VERSION}")
    with separate_connection() as database:
        for type_, count in maintenance.counts(database).items():
            click.echo(f"{type_}: {count}")
        there_are_tokens = Token.select().exists(database)
    if database_path().stat().st_mode & 0o077:
        click.echo(f"warning: others on this machine may open the file; chmod 600 {database_path()}", err=True)
    if not there_are_tokens and not current_app.config["TRUSTED_PROXIES"]:
        click.echo("warning: nobody can come in: there is neither a trusted proxy nor a token", err=True)
    click.echo("all is well")


def written(value: Any) -> str:
    """Return a setting as it may be written in the environment."""
    match value:
        case bool():
            return "on" if value else "off"
        case str():
            return value
        case dict():
            value = [f"{name}={role}" for name, role in value.items()]
    return ", ".join(sorted(map(str, value)))


token = AppGroup("token", help="Make, list and revoke bearer tokens.")


@token.command("create", cls=Command, makes_database=True)
@click.argument("role", type=role_name)
@click.argument("label")
def create_token(role: Role, label: str) -> None:
    """Make a bearer token and print it, once.

    ROLE is "Contact Center Admin" (or ROLE_ADMIN) or Agent (or ROLE_AGENT). LABEL says whose it is.
    """
    click.echo(tokens.create(role, label))


@token.command("list", cls=Command)
def list_tokens() -> None:
    """Print the label, role and date of every token."""
    for each in Token.select().order_by(Token.label):
        click.echo(f"{each.label}\t{each.role}\t{each.created}")


@token.command("revoke", cls=Command)
@click.argument("label")
def revoke_token(label: str) -> None:
    """Refuse a token from now on."""
    tokens.revoke(label)
    click.echo(f"revoked {label}")


def init_app(app: Flask) -> None:
    """Add the commands."""
    for command in (sync_command, import_command, export_command, backup_command, check_command, token):
        app.cli.add_command(command)
