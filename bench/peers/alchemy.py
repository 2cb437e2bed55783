"""The contacts served by Flask with Flask-SQLAlchemy."""

import os
import uuid
from typing import Any

from flask import Flask, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, event, or_, select
from sqlalchemy.orm import Mapped, mapped_column

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{os.environ['BENCH_DATABASE']}"
db = SQLAlchemy(app)


@event.listens_for(Engine, "connect")
def set_pragmas(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


class Contact(db.Model):  # type: ignore[name-defined]
    __tablename__ = "contact"
    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: uuid.uuid4().hex)
    name: Mapped[str]
    type: Mapped[str]
    phoneNumber: Mapped[str | None]
    userName: Mapped[str | None]
    firstName: Mapped[str | None]
    lastName: Mapped[str | None]
    employeeId: Mapped[str | None]

    def to_dict(self) -> dict[str, str]:
        values = {column.key: getattr(self, column.key) for column in self.__table__.columns}
        return {name: value for name, value in values.items() if value is not None}


# LIKE ignores case on SQLite, without the lower() of icontains().
SEARCHED = (Contact.name, Contact.userName, Contact.firstName, Contact.lastName, Contact.phoneNumber)


@app.get("/contacts")
def read_contacts() -> Any:
    query = select(Contact).order_by(Contact.name)
    if "type" in request.args:
        query = query.where(Contact.type == request.args["type"])
    if "q" in request.args:
        query = query.where(or_(*(column.contains(request.args["q"], autoescape=True) for column in SEARCHED)))
    page = db.paginate(query, per_page=request.args.get("limit", 20, int), max_per_page=100)
    return jsonify(totalCount=page.total, contacts=[contact.to_dict() for contact in page])


@app.get("/contacts/<contact_id>")
def read_contact(contact_id: str) -> Any:
    return jsonify(db.get_or_404(Contact, contact_id).to_dict())


@app.post("/contacts")
def create_contact() -> Any:
    contact = Contact(type="Custom", **request.get_json())
    db.session.add(contact)
    db.session.commit()
    return jsonify(contact.to_dict()), 201


@app.patch("/contacts/<contact_id>")
def update_contact(contact_id: str) -> Any:
    contact = db.get_or_404(Contact, contact_id)
    for name, value in request.get_json().items():
        setattr(contact, name, value)
    db.session.commit()
    return jsonify(contact.to_dict())


@app.delete("/contacts/<contact_id>")
def delete_contact(contact_id: str) -> Any:
    db.session.delete(db.get_or_404(Contact, contact_id))
    db.session.commit()
    return "", 204
