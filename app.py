"""The application: what there is, in the order in which a request meets it."""

from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_smorest import Api
from werkzeug.exceptions import HTTPException

from contacts import (
    commands,
    database,
    docs,
    errors,
    health,
    logs,
    metrics,
    middleware,
    roles,
    settings,
    upgrades,
    views,
)
from contacts.schemas import ErrorSchema
from contacts.service import Service


class ContactsApi(Api):
    """flask-smorest with the errors of Genesys Web Services."""

    ERROR_SCHEMA = ErrorSchema

    def handle_http_exception(self, error: HTTPException) -> Any:
        """Answer every error in the one envelope."""
        return errors.envelope(error)


def create_app(config: Mapping[str, Any] | None = None, make: bool = True) -> Flask:
    """Return the application; `config` overrides the settings of the environment, without their CONTACTS_.

    A database that does not exist is made, unless told not to.

    Raise settings.SettingsError, in one line, when a setting or the database does not let it start.
    """
    app = Service("contacts", static_folder=None)
    app.config.update(
        API_TITLE="Contacts",
        API_VERSION="1.0",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        # One more than is accepted: a chunked body is cut here in silence, and is seen to be too long by that.
        MAX_CONTENT_LENGTH=errors.LONGEST_BODY + 1,
    )
    settings.init_app(app, config)
    logs.init_app(app)
    middleware.init_app(app)
    database.init_app(app, make)
    upgrades.init_app(app)
    errors.init_app(app)
    roles.init_app(app)
    health.init_app(app)
    metrics.init_app(app)
    api = ContactsApi(app, spec_kwargs=docs.OPTIONS)
    docs.init_app(app, api)
    api.register_blueprint(views.blp, url_prefix=app.config["URL_PREFIX"] or None)
    views.init_app(app)
    commands.init_app(app)
    return app
