-- The contacts as the peers keep them: the table and the indexes that their models below would make.
CREATE TABLE contact (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    phoneNumber TEXT,
    userName TEXT,
    firstName TEXT,
    lastName TEXT,
    employeeId TEXT
);
CREATE INDEX contact_type_name ON contact (type, name);
CREATE INDEX contact_name ON contact (name);
CREATE INDEX contact_phone ON contact (phoneNumber);
CREATE INDEX contact_user ON contact (userName);
CREATE INDEX contact_first ON contact (firstName);
CREATE INDEX contact_last ON contact (lastName);
CREATE INDEX contact_employee ON contact (employeeId);
