"""What all flask commands share: how they find the database, and how they fail."""

import signal
import sqlite3
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click
import peewee

from contacts import tokens, upgrades
from contacts.database import database_path
from contacts.errors import unavailable
from contacts.maintenance import MaintenanceError
from contacts.rows import FileError, on_one_line
from contacts.settings import SettingsError
from contacts.sync import SyncError

INPUT_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
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
            raise click.ClickException(f"{on_one_line(error.format_message())} (--help shows how it goes)") from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        path = database_path()
        try:
            if not self.makes_database and not (path.exists() and path.stat().st_size):
                raise MaintenanceError(
                    f"there is no database {path}; is CONTACTS_DATABASE as the service has it? "
                    "The service makes it when it starts, and so do sync and import."
                )
            with redirect_stdout(sys.stderr):  # what an upgrade logs is none of the command's output
                upgrades.prepare(str(path))
            # By an exception, so that the command removes its temporary files and ends its children.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
            return super().invoke(ctx)
        except BrokenPipeError:  # nobody reads on, as `head`: click ends without a word
            raise
        except (SettingsError, SyncError, FileError, tokens.TokenError, MaintenanceError, OSError) as error:
            raise click.ClickException(str(error)) from None
        except (sqlite3.Error, peewee.DatabaseError) as error:
            reason = unavailable(error) or f"{error}; flask check tells more"
            raise click.ClickException(f"{path}: {reason}") from None
