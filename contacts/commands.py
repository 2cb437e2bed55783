"""The flask commands."""

import csv
import io
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import click
import peewee
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from contacts import files, tokens
from contacts.database import RESTORE, SCHEMA_VERSION, db, own_connection, prepare
from contacts.errors import unavailable
from contacts.maintenance import MaintenanceError, backup, check, counts, refuse_database, replacing
from contacts.model import ATTRIBUTES, TYPES, Token
from contacts.roles import SPELLINGS, Role
from contacts.settings import CHECKS, SettingsError
from contacts.sync import ATTRIBUTES_OF, VALUES, Rejected, Sync, SyncError

# How a bad row's unpaired surrogates are written.
ESCAPED = "backslashreplace"

# As many bad rows are shown; --rejects writes all of them.
SHOWN = 20

FORMATS = click.Choice(list(files.READERS))


class Command(click.Command):
    """A command whose every failure is one line and the exit status 1.

    It makes the database when told so; without, it refuses to work on one that does not exist: a copy or a check
    of nothing would look like one of the directory.
    """

    def __init__(self, *args: Any, makes: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.makes = makes

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise click.ClickException(f"{error.format_message()} (--help shows how it goes)") from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            missing = not os.path.exists(db.database) or not os.path.getsize(db.database)
            if missing and self.makes:
                prepare(db.database)
            elif missing:
                raise MaintenanceError(
                    f"there is no database {db.database}; is CONTACTS_DATABASE as the service has it? "
                    "The service makes it when it starts, and so do sync and import."
                )
            return super().invoke(ctx)
        except (SettingsError, SyncError, files.FileError, tokens.TokenError, MaintenanceError, OSError) as error:
            raise click.ClickException(str(error)) from None
        except (sqlite3.Error, peewee.DatabaseError) as error:
            reason = unavailable(error) or f"{error}; flask check tells more"
            raise click.ClickException(f"{db.database}: {reason}") from None


class MaxDelete(click.ParamType[tuple[float, bool]]):
    """A number of contacts, or a percentage of those that are there."""

    name = "number or percentage"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, bool]:
        """Return the number, and whether it is a percentage; fail for anything else."""
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%")) if text.endswith("%") else int(text)
        except ValueError:
            number = -1
        if not 0 <= number < float("inf") or (text.endswith("%") and number > 100):
            self.fail(f"{value!r} is neither a number (25) nor a percentage (10%)", param, ctx)
        return number, text.endswith("%")


class RoleName(click.ParamType[Role]):
    """A role, as a header or a person may spell it."""

    name = "role"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Role:
        """Return the role that is meant; fail for another word."""
        if value.strip().lower() not in SPELLINGS:
            self.fail(f"{value!r} is not a role; there are: {', '.join(Role)}", param, ctx)
        return SPELLINGS[value.strip().lower()]


def reading_options(command: Any) -> Any:
    """Add the options that say how a file is read."""
    for option in reversed(
        (
            click.option("--format", "format_", type=FORMATS, help="What the file is; default: as its name tells."),
            click.option("--encoding", default="utf-8", help="Of a file that is not UTF-8: windows-1252, utf-16, …"),
            click.option("--delimiter", default="", help="Between the cells of a CSV file; default: found out."),
            click.option("--ignore-extra", is_flag=True, help="Leave out columns that are not attributes."),
            click.option(
                "--rejects",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Write bad rows there, apply the rest.",
            ),
            click.option("--dry-run", is_flag=True, help="Change nothing; say what would change."),
        )
    ):
        command = option(command)
    return command


@click.command("sync", cls=Command, makes=True)
@click.argument("type_", metavar="User|Queue", type=click.Choice(["User", "Queue"], case_sensitive=False))
@click.argument("file", type=click.File("rb"))
@reading_options
@click.option("--no-delete", is_flag=True, help="Keep the contacts that the file does not have.")
@click.option("--max-delete", type=MaxDelete(), default="10%", show_default=True, help="Refuse to remove more.")
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
    with Sync(type_) as sync, failure_recorded(sync, dry_run):
        refuse_input(file, rejects)
        load(sync, file, **reading)
        summary = sync.compare(delete=not no_delete)
        refuse_bad_rows(sync, rejects)
        for attribute, number in sync.lost().items():
            click.echo(f"warning: no row has a value for {attribute}, and {number} contacts lose theirs", err=True)
        most, percent = max_delete
        if summary.removed > (most * sync.present() / 100 if percent else most):
            raise click.ClickException(
                f"the file lacks {summary.removed} of the {sync.present()} {type_}s of the directory; nothing was "
                f"changed. If they are to go, say --max-delete {summary.removed}; if they are to stay, --no-delete."
            )
        finish(sync, summary, dry_run)


@contextmanager
def failure_recorded(sync: Sync, dry_run: bool) -> Iterator[None]:
    """Keep in the database that the block failed."""
    try:
        yield
    except Exception:
        if not dry_run:
            # Where that fails too, it is the first failure that the person has to hear of.
            with suppress(sqlite3.Error):
                sync.record(None)
        raise


def refuse_input(file: BinaryIO, rejects: Path | None) -> None:
    """Fail when the bad rows would be written over the file that they come from, or over the database."""
    if rejects:
        refuse_database(rejects)
        if rejects.exists() and os.path.exists(file.name) and rejects.samefile(file.name):
            raise MaintenanceError(f"{rejects} is the file that is read; name another one for the bad rows")


def load(sync: Sync, file: BinaryIO, format_: str | None, encoding: str, delimiter: str, ignore_extra: bool) -> None:
    """Read a file into a sync; fail with one line when it cannot be read."""
    try:
        reading = files.Reading(
            format_ or files.format_of(file.name),
            "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding,
            "\t" if delimiter in {"\\t", "tab"} else delimiter,
            ignore_extra,
        )
        size = os.path.getsize(file.name) if os.path.isfile(file.name) else 0
        with click.progressbar(
            length=size, label="reading", file=sys.stderr, hidden=not size or not sys.stderr.isatty()
        ) as bar:
            sync.load(counted(files.read(file, reading), file, bar))
    except files.FileError as error:
        raise click.ClickException(f"{file.name}: {error}; nothing was changed") from None


def counted(rows: Iterator[files.Row], file: BinaryIO, bar: Any) -> Iterator[files.Row]:
    """Pass rows on, and tell the bar now and then how far the file is read."""
    for index, row in enumerate(rows):
        if index % 1000 == 0 and not bar.hidden:
            bar.update(file.tell() - bar.pos)
        yield row


def refuse_bad_rows(sync: Sync, rejects: Path | None) -> None:
    """Show the bad rows; fail because of them, or write them to the file for rejects."""
    bad = 0
    for bad, rejected in enumerate(sync.rejected(), 1):
        if bad <= SHOWN:
            for column, reason in rejected.reasons.items():
                click.echo(f"line {rejected.line}, {column}: {reason}", err=True)
    if bad > SHOWN:
        click.echo(f"… and {bad - SHOWN} more bad rows", err=True)
    if rejects:
        with replacing(rejects) as temporary, temporary.open("w", encoding="utf-8", newline="", errors=ESCAPED) as file:
            write_rejects(sync.rejected(), file)
    elif bad:
        raise click.ClickException(
            f"{bad} bad rows; nothing was changed. "
            "Mend them, or say --rejects FILE to put them there and apply the rest."
        )


def write_rejects(rejected: Iterator[Rejected], file: io.TextIOBase) -> None:
    """Write bad rows as CSV: their line, the reasons and their values."""
    writer = csv.writer(file)
    writer.writerow(["line", "reason", *ATTRIBUTES])
    for row in rejected:
        reasons = " ".join(f"{column}: {reason}" for column, reason in row.reasons.items())
        values = [files.escaped(str(row.values.get(name, ""))) for name in ATTRIBUTES]
        writer.writerow([row.line, reasons, *values])


def finish(sync: Sync, summary: Any, dry_run: bool) -> None:
    """Apply the differences unless it is a dry run, print the summary, and end with the exit status."""
    if not dry_run:
        total = summary.added + summary.changed + summary.removed
        with click.progressbar(length=total, label="writing", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            sync.apply(bar.update)
        sync.record(summary)
    click.echo(f"{sync.type}: {summary}{' (dry run: nothing was changed)' if dry_run else ''}")
    if summary.rejected:
        raise SystemExit(2)


@click.command("import", cls=Command, makes=True)
@click.argument("file", type=click.File("rb"))
@reading_options
def import_command(file: BinaryIO, rejects: Path | None, dry_run: bool, **reading: Any) -> None:
    """Add the Custom contacts of FILE: CSV, JSON or NDJSON.

    A row that the directory holds already (same name and number, ignoring case) is left as it is, so that a
    second run adds nothing. Exit status: as of sync.
    """
    with Sync("Custom") as sync:
        refuse_input(file, rejects)
        load(sync, file, **reading)
        summary = sync.compare(delete=False)
        refuse_bad_rows(sync, rejects)
        finish(sync, summary, dry_run)


@click.command("export", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--type", "type_", type=click.Choice(TYPES, case_sensitive=False), help="Of this type only.")
@click.option("--format", "format_", type=FORMATS, help="What to write; default: as the file's name tells.")
def export_command(file: Path, type_: str | None, format_: str | None) -> None:
    """Write the contacts to FILE (-: standard output), as sync and import read them back.

    All come from one moment, while the service runs.
    """
    write = files.WRITERS[format_ or files.format_of(str(file))]
    attributes = ["id", "type", *(name for name in VALUES if not type_ or name in ATTRIBUTES_OF[type_])]
    with own_connection() as connection:
        rows = connection.execute(
            f"SELECT json FROM contact {'WHERE type = ?' if type_ else ''} ORDER BY seq", [type_] if type_ else []
        )
        contacts = (row[0] for row in rows)
        if str(file) == "-":
            text = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
            write(text, contacts, attributes)
            text.detach().flush()
            return
        with replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as text:
            write(text, contacts, attributes)


@click.command("backup", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace the file when it exists.")
def backup_command(file: Path, overwrite: bool) -> None:
    """Copy the database to FILE while the service runs, and check the copy.

    To restore: stop the service, put the copy in the place of the database, remove its -wal and -shm files, start.
    """
    size = backup(file, overwrite)
    click.echo(f"{file}: {size} bytes, checked")


@click.command("check", cls=Command)
@with_appcontext
def check_command() -> None:
    """Check the settings and the database; print what there is, and what to do when something is wrong."""
    for name in CHECKS:
        value = current_app.config[name]
        shown = ", ".join(sorted(map(str, value))) if isinstance(value, frozenset) else value
        click.echo(f"CONTACTS_{name}: {shown or '(empty)'}")
    if found := check():
        raise click.ClickException(f"the database is damaged: {'; '.join(found)}; {RESTORE}")
    click.echo(f"schema version: {SCHEMA_VERSION}")
    with own_connection() as connection:
        for type_, count in counts(connection).items():
            click.echo(f"{type_}: {count}")
    there_are_tokens = Token.select().exists()
    mode = Path(db.database).stat().st_mode & 0o077
    if mode:
        click.echo(f"warning: others on this machine may open the file; chmod 600 {db.database}", err=True)
    if not there_are_tokens and not current_app.config["TRUSTED_PROXIES"]:
        click.echo("warning: nobody can come in: there is neither a trusted proxy nor a token", err=True)
    click.echo("all is well")


token = AppGroup("token", help="Make, list and revoke bearer tokens.")


@token.command("create", cls=Command, makes=True)
@click.argument("role", type=RoleName())
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
