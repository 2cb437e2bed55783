-- The contact directory, version 4. This file is the truth about the tables: it is applied when the
-- database file is new, and may be applied again without harm. contacts/model.py mirrors it, and
-- contacts/upgrades.py leads older versions here.
--
-- Reads live from what is laid out here, so that Python only checks, binds and passes bytes on. All but seq is made
-- by model.row_of() from a contact's values, and nothing by the database:
--   * json is the contact as the API prints it, and holds its values;
--   * the *_key columns are the keys of the values (contacts/text.py and contacts/phone.py), for filters and sorts;
--   * contact_search finds the contacts by their words.

CREATE TABLE IF NOT EXISTS contact (
    -- In the order of creation. It breaks the ties of every order.
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'),
    type TEXT NOT NULL CHECK (type IN ('Custom', 'Queue', 'User')),
    -- The order of text, which also tells whether it is the same text; of the phone number: the same number, and its
    -- order as text.
    name_key TEXT NOT NULL CHECK (name_key <> ''),
    phone_key TEXT,
    phone_order TEXT,
    user_name_key TEXT,
    first_name_key TEXT,
    last_name_key TEXT,
    employee_id_key TEXT,
    -- What a search finds: all words, in all forms and with marks that tell what they are, those of the name first.
    words TEXT NOT NULL,
    -- What a search by patterns tests: all values between marks.
    texts TEXT NOT NULL,
    json TEXT NOT NULL CHECK (json_extract(json, '$.id') IS id AND json_extract(json, '$.type') IS type),

    CHECK ((type = 'User') = (user_name_key IS NOT NULL)),
    CHECK (type = 'User' OR coalesce(first_name_key, last_name_key, employee_id_key) IS NULL),
    CHECK ((phone_key IS NULL) = (phone_order IS NULL))
) STRICT;

-- A filter by an attribute, in the order of the name, and a sort by it: equals stand in the order of the name. The first
-- name is tested beside a last name that many share.
CREATE INDEX IF NOT EXISTS contact_by_name ON contact (name_key);
CREATE INDEX IF NOT EXISTS contact_by_type ON contact (type, name_key);
CREATE INDEX IF NOT EXISTS contact_by_phone ON contact (phone_key, name_key) WHERE phone_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS contact_in_phone_order ON contact (phone_order, name_key);
CREATE INDEX IF NOT EXISTS contact_by_first_name ON contact (first_name_key, name_key);
CREATE INDEX IF NOT EXISTS contact_by_last_name ON contact (last_name_key, name_key, first_name_key);
CREATE INDEX IF NOT EXISTS contact_by_employee_id ON contact (employee_id_key, name_key);
-- What a search needs of the contacts that it has found to test, count and sort them: less to read than the rows.
CREATE INDEX IF NOT EXISTS contact_in_search ON contact (seq, type, name_key, texts);
-- What the directory sync matches by.
CREATE UNIQUE INDEX IF NOT EXISTS user_by_user_name ON contact (user_name_key);
CREATE UNIQUE INDEX IF NOT EXISTS queue_by_name ON contact (name_key) WHERE type = 'Queue';

-- ascii: letters and digits of all scripts make words, as do these marks (contacts/search.py); unicode61 would cut words
-- at the vowel signs of Indic scripts. Every question is for words or their starts, so places are not kept. prefix: what
-- is typed has one to three letters most often, and a mark before it makes four.
CREATE VIRTUAL TABLE IF NOT EXISTS contact_search USING fts5 (
    words, content = 'contact', content_rowid = 'seq', tokenize = "ascii tokenchars '!+#%'", prefix = '1 2 3 4',
    detail = none, columnsize = 0
);

-- The words that there are.
CREATE VIRTUAL TABLE IF NOT EXISTS contact_vocabulary USING fts5vocab (contact_search, row);

-- One row. revision moves with every change of a contact and is the list's ETag. It moves by a random
-- stride, so that a directory restored from a backup does not give again the tags of what it lost.
CREATE TABLE IF NOT EXISTS directory (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL,
    customs INTEGER NOT NULL CHECK (customs >= 0),
    queues INTEGER NOT NULL CHECK (queues >= 0),
    users INTEGER NOT NULL CHECK (users >= 0),
    -- The settings by which the keys of numbers were made: country code, trunk prefix, international prefix.
    numbering_plan TEXT NOT NULL
) STRICT;
INSERT OR IGNORE INTO directory VALUES (1, abs(random() % 4294967296), 0, 0, 0, ',0,00');

CREATE TRIGGER IF NOT EXISTS contact_added AFTER INSERT ON contact BEGIN
    UPDATE directory SET
        revision = revision + 1 + abs(random() % 65536),
        customs = customs + (new.type = 'Custom'),
        queues = queues + (new.type = 'Queue'),
        users = users + (new.type = 'User');
    INSERT INTO contact_search (rowid, words) VALUES (new.seq, new.words);
END;

CREATE TRIGGER IF NOT EXISTS contact_changed AFTER UPDATE ON contact WHEN new.json <> old.json BEGIN
    UPDATE directory SET revision = revision + 1 + abs(random() % 65536);
END;

CREATE TRIGGER IF NOT EXISTS contact_search_changed AFTER UPDATE ON contact WHEN new.words <> old.words BEGIN
    INSERT INTO contact_search (contact_search, rowid, words) VALUES ('delete', old.seq, old.words);
    INSERT INTO contact_search (rowid, words) VALUES (new.seq, new.words);
END;

CREATE TRIGGER IF NOT EXISTS contact_removed AFTER DELETE ON contact BEGIN
    UPDATE directory SET
        revision = revision + 1 + abs(random() % 65536),
        customs = customs - (old.type = 'Custom'),
        queues = queues - (old.type = 'Queue'),
        users = users - (old.type = 'User');
    INSERT INTO contact_search (contact_search, rowid, words) VALUES ('delete', old.seq, old.words);
END;

CREATE TRIGGER IF NOT EXISTS contact_is_who_it_is BEFORE UPDATE OF seq, id, type ON contact
WHEN new.seq <> old.seq OR new.id <> old.id OR new.type <> old.type BEGIN
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
PRAGMA user_version = 4;
