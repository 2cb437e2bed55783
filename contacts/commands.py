"""The flask commands that are not about files: backup, check and token; and all of them registered."""

from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from contacts import maintenance, sync_commands, tokens
from contacts.cli import OUTPUT_FILE, Command
from contacts.database import RESTORE_ADVICE, SCHEMA_VERSION, database_path, separate_connection
from contacts.model import Token
from contacts.settings import ADMINISTRATOR_SPELLINGS, CHECKS, Role


def role_name(value: str) -> Role:
    """Return the role that an argument names."""
    if role := ADMINISTRATOR_SPELLINGS.get(value.strip().lower()):
        return role
    raise click.BadParameter(f"{value!r} is not a role; there are: Admin, Agent")


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
@click.option("--repair", is_flag=True, help="Make the keys of contacts anew where another version has written them.")
@with_appcontext
def check_command(repair: bool) -> None:
    """Check the settings and the database; print what there is, and what to do when something is wrong."""
    for name in CHECKS:
        click.echo(f"CONTACTS_{name}: {written(current_app.config[name]) or '(empty)'}")
    damage, stale = maintenance.check()
    if damage:
        raise click.ClickException(f"the database is damaged: {'; '.join(damage)}; {RESTORE_ADVICE}")
    if stale and not repair:
        raise click.ClickException(
            f"{len(stale)} contacts have other keys than their values make, the first is {stale[0]}: a sync that was "
            "killed, or another version of the service, has left them; nothing is lost: run the same sync again, or "
            "flask check --repair, which makes the keys anew"
        )
    if stale:
        left = maintenance.repair(stale)
        click.echo(f"keys made anew: {len(stale) - left} contacts")
        if left:
            raise click.ClickException(f"{left} contacts have the same text as others: sync again, then check")
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
        case float():
            return f"{value:g}"
        case dict():
            value = [f"{name}={role}" for name, role in value.items()]
    return ", ".join(sorted(map(str, value)))


token = AppGroup("token", help="Make, list and revoke bearer tokens.")


@token.command("create", cls=Command, makes_database=True)
@click.argument("role", type=role_name)
@click.argument("label")
def create_token(role: Role, label: str) -> None:
    """Make a bearer token and print it, once.

    ROLE is Admin or Agent, or as the role header has it. LABEL says whose it is.
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
    for command in (*sync_commands.COMMANDS, backup_command, check_command, token):
        app.cli.add_command(command)
