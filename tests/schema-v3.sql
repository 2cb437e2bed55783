-- The contact directory, version 3. This file is the truth about the tables: it is applied when the
-- database file is new, and may be applied again without harm. contacts/model.py mirrors it, and
-- contacts/upgrades.py leads older versions here.
--
-- Reads live from what is laid out here, so that Python only checks, binds and passes bytes on:
--   * json is the contact as the API prints it, kept by SQLite itself in the row;
--   * the *_key columns are the values folded by contacts/text.py (SQLite folds ASCII only), and serve
--     filters and sorts; every index ends, as all indexes of SQLite do, in the row's number, and the id
--     begins with that number, so that every index is also in the order of the id, the breaker of ties;
--   * contact_search finds the rows that hold any characters in a row, anywhere in a value;
--   * directory counts, so that neither the list's ETag nor its total needs to look at the contacts.

CREATE TABLE IF NOT EXISTS contact (
    seq INTEGER PRIMARY KEY,
    -- What makes the id unguessable, and new when a number is used again.
    salt TEXT NOT NULL DEFAULT (lower(hex(randomblob(10))))
        CHECK (length(salt) = 20 AND salt NOT GLOB '*[^0-9a-f]*'),
    id TEXT NOT NULL GENERATED ALWAYS AS (printf('%012x', seq) || salt) VIRTUAL,
    type TEXT NOT NULL CHECK (type IN ('Custom', 'Queue', 'User')),

    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255 AND trim(name) = name),
    phone_number TEXT CHECK (length(phone_number) BETWEEN 1 AND 64 AND trim(phone_number) = phone_number),
    user_name TEXT CHECK (length(user_name) BETWEEN 1 AND 255 AND trim(user_name) = user_name),
    first_name TEXT CHECK (length(first_name) BETWEEN 1 AND 255 AND trim(first_name) = first_name),
    last_name TEXT CHECK (length(last_name) BETWEEN 1 AND 255 AND trim(last_name) = last_name),
    employee_id TEXT CHECK (length(employee_id) BETWEEN 1 AND 255 AND trim(employee_id) = employee_id),

    -- Without regard to case; the phone number: its letters and digits only.
    name_key TEXT NOT NULL,
    phone_key TEXT,
    user_name_key TEXT,
    first_name_key TEXT,
    last_name_key TEXT,
    employee_id_key TEXT,

    -- What the search index holds: all names, and the number's letters and digits, between marks that tell where
    -- values and words start and end, each followed by how it starts, and once more with a mark between any two
    -- characters: contacts/text.py.
    search_names TEXT NOT NULL,
    search_number TEXT,
    -- Without accents; only of values that have some.
    plain_names TEXT,
    plain_number TEXT,

    json TEXT NOT NULL GENERATED ALWAYS AS (
        '{"id":"' || printf('%012x', seq) || salt
        || '","name":' || json_quote(name)
        || ',"type":"' || type || '"'
        || iif(phone_number IS NULL, '', ',"phoneNumber":' || json_quote(phone_number))
        || iif(user_name IS NULL, '', ',"userName":' || json_quote(user_name))
        || iif(first_name IS NULL, '', ',"firstName":' || json_quote(first_name))
        || iif(last_name IS NULL, '', ',"lastName":' || json_quote(last_name))
        || iif(employee_id IS NULL, '', ',"employeeId":' || json_quote(employee_id))
        || '}'
    ) STORED,

    CHECK ((type = 'User') = (user_name IS NOT NULL)),
    CHECK (type = 'User' OR coalesce(first_name, last_name, employee_id) IS NULL),
    CHECK ((phone_number IS NULL) = (phone_key IS NULL)),
    CHECK ((phone_number IS NULL) = (search_number IS NULL)),
    CHECK ((user_name IS NULL) = (user_name_key IS NULL)),
    CHECK ((first_name IS NULL) = (first_name_key IS NULL)),
    CHECK ((last_name IS NULL) = (last_name_key IS NULL)),
    CHECK ((employee_id IS NULL) = (employee_id_key IS NULL))
) STRICT;

-- A filter by one attribute, in the order of the name. Those of Users alone say nothing of the others, so that a
-- Custom contact that is written needs no place in them.
CREATE INDEX IF NOT EXISTS contact_by_name ON contact (name_key);
CREATE INDEX IF NOT EXISTS contact_by_type ON contact (type, name_key);
CREATE INDEX IF NOT EXISTS contact_by_phone ON contact (phone_key, name_key);
CREATE INDEX IF NOT EXISTS contact_by_first_name ON contact (first_name_key, name_key)
    WHERE first_name_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS contact_by_last_name ON contact (last_name_key, name_key)
    WHERE last_name_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS contact_by_employee_id ON contact (employee_id_key, name_key)
    WHERE employee_id_key IS NOT NULL;
-- The pair that few contacts share while many share either.
CREATE INDEX IF NOT EXISTS contact_by_full_name ON contact (last_name_key, first_name_key, name_key)
    WHERE last_name_key IS NOT NULL;
-- A sort by an attribute that contacts may share. Those without it have their place here at the end.
CREATE INDEX IF NOT EXISTS contact_in_type_order ON contact (type);
CREATE INDEX IF NOT EXISTS contact_in_first_name_order ON contact (first_name_key);
CREATE INDEX IF NOT EXISTS contact_in_last_name_order ON contact (last_name_key);
CREATE INDEX IF NOT EXISTS contact_in_employee_id_order ON contact (employee_id_key);
-- What a search needs of the contacts that it has found to count and sort them: much less to read than the rows.
CREATE INDEX IF NOT EXISTS contact_in_search ON contact (seq, type, name_key);
-- What the directory sync matches by.
CREATE UNIQUE INDEX IF NOT EXISTS user_by_user_name ON contact (user_name_key);
CREATE UNIQUE INDEX IF NOT EXISTS queue_by_name ON contact (name_key) WHERE type = 'Queue';

-- tokenize: each three characters in a row; case is folded already. columnsize: nothing is ranked.
CREATE VIRTUAL TABLE IF NOT EXISTS contact_search USING fts5 (
    search_names, search_number, plain_names, plain_number, content = 'contact', content_rowid = 'seq',
    tokenize = 'trigram case_sensitive 1', columnsize = 0
);

-- One row. revision moves with every change of a contact and is the list's ETag. It moves by a random
-- stride, so that a directory restored from a backup does not give again the tags of what it lost.
CREATE TABLE IF NOT EXISTS directory (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL,
    customs INTEGER NOT NULL CHECK (customs >= 0),
    queues INTEGER NOT NULL CHECK (queues >= 0),
    users INTEGER NOT NULL CHECK (users >= 0)
) STRICT;
INSERT OR IGNORE INTO directory VALUES (1, abs(random() % 4294967296), 0, 0, 0);

CREATE TRIGGER IF NOT EXISTS contact_added AFTER INSERT ON contact BEGIN
    UPDATE directory SET
        revision = revision + 1 + abs(random() % 65536),
        customs = customs + (new.type = 'Custom'),
        queues = queues + (new.type = 'Queue'),
        users = users + (new.type = 'User');
    INSERT INTO contact_search (rowid, search_names, search_number, plain_names, plain_number)
    VALUES (new.seq, new.search_names, new.search_number, new.plain_names, new.plain_number);
END;

CREATE TRIGGER IF NOT EXISTS contact_changed AFTER UPDATE ON contact WHEN new.json <> old.json BEGIN
    UPDATE directory SET revision = revision + 1 + abs(random() % 65536);
END;

CREATE TRIGGER IF NOT EXISTS contact_search_changed AFTER UPDATE ON contact
WHEN (new.search_names, new.search_number, new.plain_names, new.plain_number)
IS NOT (old.search_names, old.search_number, old.plain_names, old.plain_number) BEGIN
    INSERT INTO contact_search (contact_search, rowid, search_names, search_number, plain_names, plain_number)
    VALUES ('delete', old.seq, old.search_names, old.search_number, old.plain_names, old.plain_number);
    INSERT INTO contact_search (rowid, search_names, search_number, plain_names, plain_number)
    VALUES (new.seq, new.search_names, new.search_number, new.plain_names, new.plain_number);
END;

CREATE TRIGGER IF NOT EXISTS contact_removed AFTER DELETE ON contact BEGIN
    UPDATE directory SET
        revision = revision + 1 + abs(random() % 65536),
        customs = customs - (old.type = 'Custom'),
        queues = queues - (old.type = 'Queue'),
        users = users - (old.type = 'User');
    INSERT INTO contact_search (contact_search, rowid, search_names, search_number, plain_names, plain_number)
    VALUES ('delete', old.seq, old.search_names, old.search_number, old.plain_names, old.plain_number);
END;

CREATE TRIGGER IF NOT EXISTS contact_is_who_it_is BEFORE UPDATE OF seq, salt, type ON contact
WHEN new.seq <> old.seq OR new.salt <> old.salt OR new.type <> old.type BEGIN
    SELECT RAISE(ABORT, 'the id and the type of a contact are fixed at creation');
END;

-- Bearer tokens: the token itself is printed once and kept nowhere.
CREATE TABLE IF NOT EXISTS token (
    label TEXT PRIMARY KEY NOT NULL CHECK (length(label) BETWEEN 1 AND 64),
    role TEXT NOT NULL CHECK (role IN ('Contact Center Admin', 'Agent')),
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    created TEXT NOT NULL
) STRICT;

-- The last sync of each type, for /metrics.
CREATE TABLE IF NOT EXISTS sync (
    type TEXT PRIMARY KEY NOT NULL CHECK (type IN ('Queue', 'User')),
    finished INTEGER NOT NULL, -- seconds since 1970
    failed INTEGER NOT NULL CHECK (failed IN (0, 1)),
    added INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    rejected INTEGER NOT NULL
) STRICT;

-- 'Cont' in ASCII: how this service knows its own files.
PRAGMA application_id = 1131376244;
PRAGMA user_version = 3;
