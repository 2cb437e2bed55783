"""The rows of a file beside the directory: temporary tables that one connection sees, and how they compare."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import peewee
from peewee import JOIN, Case, Expression, Tuple, Value, fn

from contacts.database import Compiled, parameter, separate_connection
from contacts.files import Row
from contacts.model import VALUE_COLUMNS, VALUES, Contact, Table

# The attribute by whose key a row is matched with a contact of its type; Custom contacts also by that of their number.
MATCHED_BY = {"User": "userName", "Queue": "name", "Custom": "name"}

# Settings of the connection, beside database.PRAGMAS.
PRAGMAS = {
    "busy_timeout": 60_000,  # milliseconds: a sync waits longer for other writes than they wait for it
    "cache_size": -32768,  # KiB
    "wal_autocheckpoint": 10_000,  # pages: most are written by several transactions, and copied back once for all
}

Incoming: Any = type(
    "Incoming",
    (Table,),
    {
        "__module__": __name__,
        "__doc__": "A row of the file; of a bad one, the reasons and the values as they were, as JSON.",
        "Meta": type("Meta", (), {"temporary": True}),
        "number": peewee.AutoField(),
        "line": peewee.IntegerField(),
        "key": peewee.TextField(null=True),
        "phone_key": peewee.TextField(null=True),  # of Custom contacts only
        **{column: peewee.TextField(null=True) for column in VALUE_COLUMNS},
        "reasons": peewee.TextField(null=True),
        "given": peewee.TextField(null=True),
    },
)


class Difference(Table):
    """A contact that is to be added, changed or removed."""

    position = peewee.AutoField()
    action = peewee.TextField()
    contact_id = peewee.TextField(null=True)
    number = peewee.IntegerField(null=True)  # of the incoming row

    class Meta:
        temporary = True


INCOMING_COLUMNS = ("line", "key", "phone_key", *VALUE_COLUMNS, "reasons", "given")
NO_VALUES = dict.fromkeys(INCOMING_COLUMNS)
INCOMING_VALUES = tuple(getattr(Incoming, column) for column in VALUE_COLUMNS)
CONTACT_VALUES = tuple(getattr(Contact, column) for column in VALUE_COLUMNS)

GOOD = Incoming.reasons.is_null()
ADD = Compiled(Incoming.insert({column: parameter(column) for column in INCOMING_COLUMNS}))


def values_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a row by attribute."""
    return {name: value for name, each in VALUES.items() if (value := row[each.column]) is not None}


class Staging:
    """The rows of one file, beside the contacts of one type."""

    def __init__(self, type_: str, database: peewee.SqliteDatabase) -> None:
        self.type = type_
        self.database = database
        self.attribute = VALUES[MATCHED_BY[type_]]
        # Whether an incoming row is matched with a contact.
        self.matches = getattr(Contact, self.attribute.key_column) == Incoming.key
        if self.attribute.types != (type_,):
            self.matches &= Contact.type == type_
        if type_ == "Custom":
            self.matches &= Expression(Contact.phone_key, "IS", Incoming.phone_key)

    def add(self, rows: Iterable[tuple[Row, dict[str, str], dict[str, str]]]) -> None:
        """Add rows, each with its contact and with the reasons if it is a bad one."""
        ADD.execute_many(self.database, (self.columns(*row) for row in rows))
        # The reasons are in the index, so that it tells by itself whether a row is good.
        by_key = Incoming.index(Incoming.key, Incoming.phone_key, Incoming.reasons, name="incoming_by_key")
        self.database.execute(by_key)
        if self.type != "Custom":
            self.reject_duplicates()

    def columns(self, row: Row, contact: dict[str, str], reasons: dict[str, str]) -> dict[str, Any]:
        """Return the columns of an incoming row."""
        columns: dict[str, Any] = {**NO_VALUES, "line": row.line}
        if reasons:
            # The contact that a bad row names stays as it is. Unpaired surrogates cannot be stored.
            key = row.values.get(self.attribute.name)
            if isinstance(key, str):
                columns["key"] = self.attribute.make_key(key.strip()).encode("utf-8", "replace").decode()
            return columns | {"reasons": json.dumps(reasons), "given": json.dumps(row.values, default=str)}
        columns["key"] = self.attribute.make_key(contact[self.attribute.name])
        if self.type == "Custom" and "phoneNumber" in contact:
            columns["phone_key"] = VALUES["phoneNumber"].make_key(contact["phoneNumber"])
        for name, value in contact.items():
            columns[VALUES[name].column] = value
        return columns

    def reject_duplicates(self) -> None:
        """Make bad rows of those whose key another row has, as nothing tells which one is right."""
        keys = Incoming.select(Incoming.key).where(GOOD).group_by(Incoming.key).having(fn.COUNT(Incoming.number) > 1)
        in_file: dict[str, Any] = {"partition_by": [Incoming.key], "order_by": [Incoming.number]}
        first_line = fn.FIRST_VALUE(Incoming.line).over(**in_file)
        next_line = fn.LEAD(Incoming.line).over(**in_file)
        other_line = Case(fn.ROW_NUMBER().over(**in_file), [(1, next_line)], first_line)
        rows = Incoming.select(Incoming.number, other_line.alias("other_line")).where(GOOD, Incoming.key.in_(keys))
        reasons = fn.JSON_OBJECT(self.attribute.name, fn.PRINTF("The same as on line %d.", rows.c.other_line))
        Incoming.update(reasons=reasons).from_(rows).where(Incoming.number == rows.c.number).execute()

    def rejected(self) -> Iterator[tuple[Row, dict[str, str]]]:
        """Yield the bad rows as they were, in their order, each with the reasons by column."""
        for row in Incoming.select().where(~GOOD).order_by(Incoming.number).dicts().iterator():
            values = json.loads(row["given"]) if row["given"] else values_of(row)
            yield Row(row["line"], values), json.loads(row["reasons"])

    def compare(self, delete: bool) -> dict[str, int]:
        """Find the differences; return the numbers of contacts added, changed, removed, unchanged and rejected."""
        if delete:
            present = Incoming.select(Incoming.number).where(self.matches)
            removed = Contact.select(Value("removed"), Contact.id).where(Contact.type == self.type, ~fn.EXISTS(present))
            Difference.insert_from(removed, [Difference.action, Difference.contact_id]).execute()
        if self.type != "Custom":
            # CROSS: SQLite goes through the rows and looks up their contacts.
            differs = Expression(Tuple(*CONTACT_VALUES), "IS NOT", Tuple(*INCOMING_VALUES))
            changed = Incoming.select(Value("changed"), Contact.id, Incoming.number).join(Contact, JOIN.CROSS)
            fields = [Difference.action, Difference.contact_id, Difference.number]
            Difference.insert_from(changed.where(GOOD, self.matches, differs), fields).execute()
        # MIN: of a Custom contact that the file has twice, the first row.
        known = Contact.select(Contact.seq).where(self.matches)
        added = Incoming.select(Value("added"), fn.MIN(Incoming.number)).where(GOOD, ~fn.EXISTS(known))
        in_order = added.group_by(Incoming.key, Incoming.phone_key).order_by(Incoming.key)
        Difference.insert_from(in_order, [Difference.action, Difference.number]).execute()

        counted: Any = Difference.select(Difference.action, fn.COUNT(Difference.position).alias("count"))
        counts = dict.fromkeys(("added", "changed", "removed"), 0)
        counts |= {row["action"]: row["count"] for row in counted.group_by(Difference.action).dicts()}
        counts["unchanged"] = Incoming.select().where(GOOD).count() - counts["added"] - counts["changed"]
        counts["rejected"] = Incoming.select().where(~GOOD).count()
        return counts

    def lost(self) -> dict[str, int]:
        """Return the attributes that no row has and that contacts would lose, with the number of those."""
        count = Incoming.select(*(fn.COUNT(column).alias(column.name) for column in INCOMING_VALUES)).where(GOOD)
        given = count.dicts().get()
        absent = {name: getattr(Contact, each.column) for name, each in VALUES.items() if not given[each.column]}
        if not absent:
            return {}
        losing = Incoming.select(*(fn.COUNT(column).alias(name) for name, column in absent.items()))
        lost = losing.join(Contact, on=self.matches).where(GOOD).dicts().get()
        return {name: number for name, number in lost.items() if number}

    def differences(self, batch_size: int) -> Iterator[dict[str, Any]]:
        """Yield the differences in batches, as the arguments of model.apply_differences()."""
        query: Any = (
            Difference.select(Difference.position, Difference.action, Difference.contact_id, *INCOMING_VALUES)
            .join(Incoming, JOIN.LEFT_OUTER, on=(Difference.number == Incoming.number))
            .order_by(Difference.position)
            .limit(batch_size)
            .dicts()
        )
        last = 0
        while rows := list(query.where(Difference.position > last)):
            new = {row["position"]: {"type": self.type, **values_of(row)} for row in rows}
            yield {
                "removed": [row["contact_id"] for row in rows if row["action"] == "removed"],
                "changed": {row["contact_id"]: new[row["position"]] for row in rows if row["action"] == "changed"},
                "added": [new[row["position"]] for row in rows if row["action"] == "added"],
            }
            last = rows[-1]["position"]


@contextmanager
def staging(type_: str) -> Iterator[Staging]:
    """Yield the staging of rows of a type, on a connection of its own: the models are bound to it for the block."""
    models = (Incoming, Difference)
    with separate_connection(**PRAGMAS) as database, database.bind_ctx(models):
        database.create_tables(models)
        yield Staging(type_, database)
