"""The rows of a file beside the directory: temporary tables that one connection sees, and how they compare."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import or_
from typing import Any

import peewee
from peewee import JOIN, Case, Expression, Value, fn

from contacts.attributes import ATTRIBUTES, VALUES
from contacts.database import Compiled, Table, parameter, separate_connection
from contacts.model import Contact, encode_json, new_id, row_of
from contacts.rows import Row

# The attribute by whose key a row is matched with a contact of its type; Custom contacts also by that of their number.
MATCHED_BY = {"User": "userName", "Queue": "name", "Custom": "name"}

# Settings of the connection, beside database.PRAGMAS.
PRAGMAS = {
    "cache_size": -32768,  # KiB
    "wal_autocheckpoint": 10_000,  # pages: most are written by several transactions, and copied back once for all
}


class Incoming(Table):
    """A row of the file; of a bad one also the reasons, as JSON."""

    number = peewee.AutoField()
    line = peewee.IntegerField()
    nth = peewee.IntegerField()  # as Row has it
    id = peewee.TextField(null=True)
    key = peewee.TextField(null=True)
    phone_key = peewee.TextField(null=True)  # of Custom contacts only
    match_key = peewee.TextField(null=True)  # of the attribute that Users are matched by before userName
    contact = peewee.TextField()  # JSON as the API prints it, without the id; of a row that was read as bad, as it was
    seq = peewee.IntegerField(null=True)  # of the contact that the row is matched with
    reasons = peewee.TextField(null=True)

    class Meta:
        temporary = True


class Difference(Table):
    """A contact that is to be added, changed or removed."""

    position = peewee.AutoField()
    action = peewee.TextField()
    contact_id = peewee.TextField(null=True)
    number = peewee.IntegerField(null=True)  # of the incoming row

    class Meta:
        temporary = True


INCOMING_COLUMNS = ("line", "nth", "id", "key", "phone_key", "match_key", "contact", "reasons")
NO_VALUES = dict.fromkeys(INCOMING_COLUMNS)
JSON_NAMES = tuple(name for name in ATTRIBUTES if name != "id")

GOOD = Incoming.reasons.is_null()
PLACE = fn.PRINTF(Case(None, [(Incoming.nth > 0, "line %d, contact %d")], "line %d"), Incoming.line, Incoming.nth)
ADD = Compiled(Incoming.insert({column: parameter(column) for column in INCOMING_COLUMNS}))

# The rows that are matched with a contact, in a query for contacts or for other rows.
OTHER = Incoming.alias()
MATCHED = OTHER.select(OTHER.number).where(OTHER.seq == Contact.seq)
BY_CONTACT = Incoming.index(Incoming.seq, Incoming.reasons, name="incoming_by_contact")

# JSON that differs behind the id, {"id":"…", which incoming rows do not have. SQLite counts characters from 1.
ID_LENGTH = len('{"id":"",') + 32
DIFFERS = fn.SUBSTR(Contact.json, ID_LENGTH + 1) != fn.SUBSTR(Incoming.contact, len("{") + 1)


class Staging:
    """The rows of one file, beside the contacts of one type.

    `match_by` names an attribute that Users are matched by before userName.
    """

    def __init__(self, type_: str, match_by: str, database: peewee.SqliteDatabase) -> None:
        self.type = type_
        self.match_by = VALUES[match_by] if match_by else None
        self.database = database
        self.matched: dict[str, int] = {}  # rows that are contacts of the directory, by the attribute that tells so
        self.attribute = VALUES[MATCHED_BY[type_]]
        self.keys = {"id": ATTRIBUTES["id"], "key": self.attribute}
        # Whether a row and a contact have the same key.
        self.same_key = getattr(Contact, self.attribute.key_column) == Incoming.key
        if self.attribute.types != (type_,):
            self.same_key &= Contact.type == type_
        if self.match_by:
            self.keys["match_key"] = self.match_by
        if type_ == "Custom":
            self.keys["phone_key"] = VALUES["phoneNumber"]
            self.same_key &= Expression(Contact.phone_key, "IS", Incoming.phone_key)

    def add(self, rows: Iterable[tuple[Row, dict[str, str], dict[str, str]]]) -> None:
        """Add rows, each with its contact and with the reasons if it is a bad one; match them with contacts."""
        ADD.execute_many(self.database, (self.columns(*row) for row in rows))
        for name, attribute in self.keys.items():
            if name != "id" and self.type == "Custom":  # a file may have the same Custom contact twice
                continue
            column = getattr(Incoming, name)
            given = column.is_null(False)
            # The reasons are in the index, so that it tells by itself whether a row is good.
            index = Incoming.index(column, Incoming.reasons, where=given, name=f"incoming_by_{name}")
            self.database.execute(index)
            self.reject_duplicates(column, attribute.name)
        self.match()
        self.database.execute(BY_CONTACT)

    def columns(self, row: Row, contact: dict[str, str], reasons: dict[str, str]) -> dict[str, Any]:
        """Return the columns of an incoming row."""
        given = contact
        if reasons:  # the contact that a bad row names stays as it is; unpaired surrogates cannot be stored
            texts = {name: value for name, value in row.values.items() if isinstance(value, str)}
            given = {name: text.strip().encode("utf-8", "replace").decode() for name, text in texts.items()}
            kept = {"contact": json.dumps(row.values, default=str), "reasons": json.dumps(reasons)}
        else:
            kept = {"contact": encode_json({name: contact[name] for name in JSON_NAMES if name in contact})}
        keys = {column: each.make_key(given[each.name]) for column, each in self.keys.items() if each.name in given}
        return {**NO_VALUES, "line": row.line, "nth": row.nth, **keys, **kept}

    def reject(self, name: str, reason: str, *conditions: Any) -> int:
        """Make bad rows of the good ones that meet conditions; return how many."""
        rejected = Incoming.update(reasons=json.dumps({name: reason})).where(GOOD, *conditions)
        return int(rejected.execute())

    def reject_duplicates(self, column: Any, name: str) -> None:
        """Make bad rows of those that have the same in a column, as nothing tells which one is right."""
        given = column.is_null(False)
        keys = Incoming.select(column).where(given).group_by(column).having(fn.COUNT(Incoming.number) > 1)
        in_file: dict[str, Any] = {"partition_by": [column], "order_by": [Incoming.number]}
        first = fn.FIRST_VALUE(PLACE).over(**in_file)
        other = Case(fn.ROW_NUMBER().over(**in_file), [(1, fn.LEAD(PLACE).over(**in_file))], first)
        rows = Incoming.select(Incoming.number, other.alias("other")).where(given, column.in_(keys))
        reasons = fn.JSON_OBJECT(name, fn.PRINTF("The same as on %s.", rows.c.other))
        Incoming.update({Incoming.reasons: reasons}).from_(rows).where(GOOD, Incoming.number == rows.c.number).execute()

    def match(self) -> None:
        """Match the rows with contacts: by the id where the directory has it, by match_by, by the key.

        A contact that a row has claimed by one of these is no other row's by the next. The id of a contact of another
        type makes a bad row.
        """
        of_type = Contact.type == self.type
        same_id = Contact.id == Incoming.id
        others = fn.EXISTS(Contact.select(Contact.seq).where(same_id, ~of_type))
        self.reject("id", f"The directory has a contact of another type than {self.type} with this id.", others)
        self.match_rows("id", same_id & of_type)

        unclaimed: Any = Value(True)
        if self.matched["id"]:  # else the index of the keys tells all, and no contact is read
            unclaimed = ~fn.EXISTS(OTHER.select(OTHER.number).where(OTHER.id == Contact.id))
        if self.match_by:
            name, key = self.match_by.name, getattr(Contact, self.match_by.key_column)
            same = (key == Incoming.match_key) & of_type
            # Of several contacts, the one with the login.
            self.match_rows(name, same & unclaimed & self.same_key)
            several = Contact.select(fn.COUNT(Contact.seq)).where(same) > 1
            reason = "Several contacts have it, and none of them this userName."
            self.reject(name, reason, Incoming.seq.is_null(), several)
            self.match_rows(name, same & unclaimed)
            self.database.execute(BY_CONTACT)
            # A contact with another employeeId is somebody else, who had the login before.
            unclaimed &= ~fn.EXISTS(MATCHED) & (key.is_null() | Incoming.match_key.is_null())
        self.match_rows(self.attribute.name, self.same_key & unclaimed)

    def match_rows(self, name: str, condition: Any) -> None:
        """Match the rows that are not yet with the first contact that meets a condition, and count them."""
        found = Contact.select(Contact.seq).where(condition).order_by(Contact.seq).limit(1)
        Incoming.update(seq=found).where(Incoming.seq.is_null()).execute()
        count = Incoming.select().where(Incoming.seq.is_null(False)).count()
        self.matched[name] = self.matched.get(name, 0) + count - sum(self.matched.values())

    def named_by_bad_rows(self) -> Any:
        """Return the condition for contacts that a bad row names, by any of its keys: they stay as they are."""
        keys = [getattr(OTHER, name) == getattr(Contact, each.key_column) for name, each in self.keys.items()]
        bad = OTHER.reasons.is_null(False)
        return reduce(or_, (fn.EXISTS(OTHER.select(OTHER.number).where(bad, key)) for key in keys))

    def rejected(self) -> Iterator[tuple[Row, dict[str, str]]]:
        """Yield the bad rows as they were, in their order, each with the reasons by column."""
        for row in Incoming.select().where(~GOOD).order_by(Incoming.number).dicts().iterator():
            values = {"id": row["id"] or "", **json.loads(row["contact"])}
            yield Row(row["line"], values, nth=row["nth"]), json.loads(row["reasons"])

    def compare(self, delete: bool) -> dict[str, int]:
        """Find the differences; return the numbers of contacts added, changed, removed, unchanged and rejected."""
        counts = dict.fromkeys(("added", "changed", "removed"), 0)
        if delete:
            unnamed = (~fn.EXISTS(MATCHED), ~self.named_by_bad_rows())
            removed = Contact.select(Value("removed"), Contact.id, None).where(Contact.type == self.type, *unnamed)
            counts["removed"] = self.note(removed)
        if self.type != "Custom":
            self.reject_taken_keys(delete)
            # CROSS: SQLite goes through the rows and looks up their contacts.
            changed = Incoming.select(Value("changed"), Contact.id, Incoming.number).join(Contact, JOIN.CROSS)
            counts["changed"] = self.note(changed.where(GOOD, Incoming.seq == Contact.seq, DIFFERS))
        # MIN: of a Custom contact that the file has twice, the first row.
        added = Incoming.select(Value("added"), None, fn.MIN(Incoming.number)).where(GOOD, Incoming.seq.is_null())
        by_key = added.group_by(Incoming.id, Incoming.key, Incoming.phone_key).order_by(Incoming.key)
        counts["added"] = self.note(by_key)
        counts["unchanged"] = Incoming.select().where(GOOD).count() - counts["added"] - counts["changed"]
        counts["rejected"] = Incoming.select().where(~GOOD).count()
        return counts

    def note(self, differences: Any) -> int:
        """Note the differences that a query finds; return how many."""
        columns = [Difference.action, Difference.contact_id, Difference.number]
        return int(Difference.insert_from(differences, columns).as_rowcount().execute())

    def reject_taken_keys(self, delete: bool) -> None:
        """Make bad rows of those with the key of another contact that keeps it, as a bad row or none names it."""
        keeps = fn.EXISTS(MATCHED.where(OTHER.reasons.is_null(False)))
        keeps |= ~fn.EXISTS(MATCHED) & self.named_by_bad_rows()
        if not delete:
            keeps |= ~fn.EXISTS(MATCHED)
        another = Incoming.seq.is_null() | (Contact.seq != Incoming.seq)
        holder = Contact.select(Contact.seq).where(self.same_key, another, keeps)
        reason = "A contact has it that keeps it, as no good row names that contact."
        while self.reject(self.attribute.name, reason, fn.EXISTS(holder)):
            pass  # the contacts of these rows keep theirs, too

    def lost(self) -> dict[str, int]:
        """Return the attributes that no row has and that contacts would lose, with the number of those."""
        given = {name: fn.JSON_EXTRACT(Incoming.contact, f"$.{name}").is_null(False) for name in VALUES}
        absent = [name for name, condition in given.items() if not Incoming.select().where(GOOD, condition).exists()]
        if not absent:
            return {}
        counts = (fn.COUNT(getattr(Contact, VALUES[name].key_column)).alias(name) for name in absent)
        losing: Any = Incoming.select(*counts).join(Contact, on=(Incoming.seq == Contact.seq)).where(GOOD).dicts()
        return {name: number for name, number in losing.get().items() if number}

    def differences(self, batch_size: int) -> Iterator[dict[str, Any]]:
        """Yield the differences in batches, as the arguments of model.apply_differences()."""
        query: Any = (
            Difference.select(*(getattr(Difference, name) for name in ("position", "action", "contact_id")))
            .select_extend(Incoming.id, Incoming.contact)
            .join(Incoming, JOIN.LEFT_OUTER, on=(Difference.number == Incoming.number))
            .order_by(Difference.position)
            .limit(batch_size)
            .dicts()
        )
        last = 0
        while rows := list(query.where(Difference.position > last)):
            batch: dict[str, Any] = {"removed": [], "changed": [], "added": []}
            for row in rows:
                contact_id = row["contact_id"] or row["id"] or new_id()
                new = row["contact"] and row_of({"id": contact_id, **json.loads(row["contact"])})
                batch[row["action"]].append(new or contact_id)
            yield batch
            last = rows[-1]["position"]


@contextmanager
def staging(type_: str, match_by: str, busy_timeout_ms: int) -> Iterator[Staging]:
    """Yield the staging of rows of a type, on a connection of its own: the models are bound to it for the block."""
    models = (Incoming, Difference)
    with separate_connection(**PRAGMAS, busy_timeout=busy_timeout_ms) as database, database.bind_ctx(models):
        database.create_tables(models)
        yield Staging(type_, match_by, database)
