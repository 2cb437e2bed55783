"""The contacts served by FastAPI with SQLModel."""

import os
import uuid
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from sqlalchemy import event
from sqlmodel import Field, Session, SQLModel, col, create_engine, func, or_, select


class ContactBase(SQLModel):
    name: str
    type: str = "Custom"
    phoneNumber: str | None = None
    userName: str | None = None
    firstName: str | None = None
    lastName: str | None = None
    employeeId: str | None = None


class Contact(ContactBase, table=True):
    id: str = Field(default_factory=lambda: uuid.uuid4().hex, primary_key=True)


class ContactPublic(ContactBase):
    id: str


class ContactList(SQLModel):
    totalCount: int
    contacts: list[ContactPublic]


class ContactUpdate(SQLModel):
    name: str | None = None
    phoneNumber: str | None = None


engine = create_engine(f"sqlite:///{os.environ['BENCH_DATABASE']}", connect_args={"check_same_thread": False})


@event.listens_for(engine, "connect")
def set_pragmas(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]
# LIKE ignores case on SQLite, without the lower() of icontains().
SEARCHED = (Contact.name, Contact.userName, Contact.firstName, Contact.lastName, Contact.phoneNumber)

app = FastAPI()


@app.get("/contacts")
def read_contacts(
    session: SessionDep, type: str | None = None, q: str | None = None, limit: Annotated[int, Query(le=100)] = 20
) -> ContactList:
    conditions = []
    if type is not None:
        conditions.append(Contact.type == type)
    if q is not None:
        conditions.append(or_(*(col(column).contains(q, autoescape=True) for column in SEARCHED)))
    total = session.exec(select(func.count()).select_from(Contact).where(*conditions)).one()
    contacts = session.exec(select(Contact).where(*conditions).order_by(Contact.name).limit(limit)).all()
    return ContactList(totalCount=total, contacts=contacts)


@app.get("/contacts/{contact_id}")
def read_contact(contact_id: str, session: SessionDep) -> ContactPublic:
    return find(contact_id, session)


@app.post("/contacts", status_code=201)
def create_contact(contact: ContactBase, session: SessionDep) -> ContactPublic:
    created = Contact.model_validate(contact)
    session.add(created)
    session.commit()
    session.refresh(created)
    return created


@app.patch("/contacts/{contact_id}")
def update_contact(contact_id: str, changes: ContactUpdate, session: SessionDep) -> ContactPublic:
    contact = find(contact_id, session)
    contact.sqlmodel_update(changes.model_dump(exclude_unset=True))
    session.add(contact)
    session.commit()
    session.refresh(contact)
    return contact


@app.delete("/contacts/{contact_id}", status_code=204)
def delete_contact(contact_id: str, session: SessionDep) -> None:
    session.delete(find(contact_id, session))
    session.commit()


def find(contact_id: str, session: Session) -> Contact:
    contact = session.get(Contact, contact_id)
    if not contact:
        raise HTTPException(404)
    return contact
