-- The demo registry: what a commune and district office writes down in a day. Plain SQLite; the offices'
-- applications read and write it and know nothing of Tonle.
--
-- Keys are texts that an office makes by itself, lower(hex(randomblob(16))), so that two offices never make
-- the same one. Numbers that people see are UNIQUE: two offices *can* give out the same one while the line
-- is down, and then one of the rows is held until a person has looked at it.
PRAGMA foreign_keys = ON;

BEGIN;

-- Reference data of the ministry.
CREATE TABLE unit (
    code TEXT NOT NULL PRIMARY KEY CHECK (length(code) IN (2, 4, 6) AND code NOT GLOB '*[^0-9]*'),
    parent_code TEXT REFERENCES unit (code),
    kind TEXT NOT NULL CHECK (kind IN ('province', 'district', 'municipality', 'commune', 'sangkat')),
    name_km TEXT NOT NULL,
    name_latin TEXT NOT NULL
);

CREATE TABLE service (
    code TEXT NOT NULL PRIMARY KEY,
    name_km TEXT NOT NULL,
    name_latin TEXT NOT NULL,
    fee_riel INTEGER NOT NULL CHECK (fee_riel >= 0),
    work_days INTEGER NOT NULL CHECK (work_days BETWEEN 0 AND 365)
);

CREATE TABLE household (
    id TEXT NOT NULL PRIMARY KEY,
    book_no TEXT NOT NULL UNIQUE,
    commune_code TEXT NOT NULL REFERENCES unit (code),
    village_km TEXT NOT NULL,
    house_no TEXT,
    opened_on TEXT NOT NULL CHECK (opened_on IS date(opened_on))
);
CREATE INDEX household_commune ON household (commune_code);

CREATE TABLE resident (
    id TEXT NOT NULL PRIMARY KEY,
    ident_code TEXT UNIQUE CHECK (length(ident_code) = 9),
    household_id TEXT REFERENCES household (id),
    commune_code TEXT NOT NULL REFERENCES unit (code),
    family_name_km TEXT NOT NULL,
    given_name_km TEXT NOT NULL,
    family_name_latin TEXT NOT NULL,
    given_name_latin TEXT NOT NULL,
    sex TEXT NOT NULL CHECK (sex IN ('F', 'M')),
    born_on TEXT CHECK (born_on IS date(born_on)),
    phone TEXT,
    status TEXT NOT NULL DEFAULT 'present' CHECK (status IN ('present', 'moved', 'died')),
    updated_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX resident_household ON resident (household_id);
CREATE INDEX resident_name ON resident (family_name_latin, given_name_latin);

CREATE TABLE birth_record (
    id TEXT NOT NULL PRIMARY KEY,
    commune_code TEXT NOT NULL REFERENCES unit (code),
    reg_no TEXT NOT NULL,
    child_id TEXT NOT NULL REFERENCES resident (id),
    mother_id TEXT REFERENCES resident (id),
    father_id TEXT REFERENCES resident (id),
    born_on TEXT NOT NULL CHECK (born_on IS date(born_on)),
    registered_on TEXT NOT NULL CHECK (registered_on IS date(registered_on)),
    weight_g INTEGER CHECK (weight_g BETWEEN 300 AND 8000),
    UNIQUE (commune_code, reg_no)
);
CREATE INDEX birth_record_child ON birth_record (child_id);

CREATE TABLE service_request (
    id TEXT NOT NULL PRIMARY KEY,
    ref_no TEXT NOT NULL UNIQUE,
    district_code TEXT NOT NULL REFERENCES unit (code),
    service_code TEXT NOT NULL REFERENCES service (code),
    applicant_id TEXT REFERENCES resident (id),
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'working', 'ready', 'closed', 'refused')),
    opened_on TEXT NOT NULL CHECK (opened_on IS date(opened_on)),
    note_km TEXT
);
CREATE INDEX service_request_applicant ON service_request (applicant_id);

CREATE TABLE receipt (
    id TEXT NOT NULL PRIMARY KEY,
    series TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    request_id TEXT NOT NULL REFERENCES service_request (id),
    amount_riel INTEGER NOT NULL CHECK (amount_riel > 0),
    paid_on TEXT NOT NULL CHECK (paid_on IS date(paid_on)),
    UNIQUE (series, number)
);
CREATE INDEX receipt_request ON receipt (request_id);

CREATE TABLE permit (
    id TEXT NOT NULL PRIMARY KEY,
    permit_no TEXT NOT NULL UNIQUE,
    district_code TEXT NOT NULL REFERENCES unit (code),
    holder_id TEXT REFERENCES resident (id),
    business_km TEXT NOT NULL,
    business_latin TEXT,
    state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended', 'revoked', 'ended')),
    issued_on TEXT NOT NULL CHECK (issued_on IS date(issued_on)),
    ends_on TEXT CHECK (ends_on IS date(ends_on))
);
CREATE INDEX permit_holder ON permit (holder_id);

COMMIT;
