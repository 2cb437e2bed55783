"""What gunicorn and the flask command load."""

import sys

from app import create_app
from contacts.settings import SettingsError

try:
    app = application = create_app()
except SettingsError as error:
    sys.exit(f"contacts: {error}")
