"""The application: its parts, in the order in which a request meets them."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

from contacts import (
    commands,
    database,
    errors,
    health,
    imports,
    logs,
    metrics,
    middleware,
    openapi,
    origins,
    page,
    phone,
    roles,
    settings,
)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the application; `config` overrides the settings of the environment, without their CONTACTS_.

    It neither makes nor opens the database: the server's start does (gunicorn.conf.py), and the commands that may.
    Raise settings.SettingsError, in one line, for a bad setting.
    """
    app = Flask("contacts", static_folder=None)
    app.url_map.strict_slashes = False  # a slash at the end of a path changes nothing
    app.url_map.merge_slashes = False  # no redirects: a path with two is none of the service's
    app.config.update(
        API_TITLE="Contacts",
        API_VERSION="2.0",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        # One byte more than is accepted: a chunked body is cut here without an error, and seen to be too long by that.
        MAX_CONTENT_LENGTH=errors.MAX_BODY_BYTES + 1,
    )
    settings.init_app(app, config)
    logs.init_app(app)
    phone.init_app(app)
    database.init_app(app)
    middleware.init_app(app)
    origins.init_app(app)
    roles.init_app(app)
    api = openapi.init_app(app)
    api.register_blueprint(imports.blp, url_prefix=app.config["URL_PREFIX"] or None)
    app.register_blueprint(health.blp)
    app.register_blueprint(metrics.blp)
    app.register_blueprint(page.blp)
    app.register_blueprint(page.docs)
    errors.init_app(app)
    commands.init_app(app)
    return app
