"""What gunicorn and the flask command load."""

import sys

from click import get_current_context
from flask.cli import FlaskGroup

from app import create_app
from contacts.settings import SettingsError

# The flask command looks here for its commands: each of them knows whether it is to make a database.
context = get_current_context(silent=True)

try:
    app = application = create_app(make=not (context and isinstance(context.command, FlaskGroup)))
except SettingsError as error:
    sys.exit(f"contacts: {error}")
