#!/bin/sh
# Prints SQL that fills the demo registry with made-up people of one district:
#
#   sh generate.sh                    the reference data and all four demo districts
#   sh generate.sh reference          the reference data only (for the hub)
#   sh generate.sh 0801 [HOUSEHOLDS]  one district: that many households (250), four residents each
#
# The same words always print the same rows: every value is arithmetic on the row's number. Nobody in here
# exists; names are common family and given names put together by number.
set -eu

reference() {
    cat <<'SQL'
INSERT INTO unit (code, parent_code, kind, name_km, name_latin) VALUES
    ('07', NULL, 'province', 'កំពត', 'Kampot'),
    ('08', NULL, 'province', 'កណ្តាល', 'Kandal'),
    ('0702', '07', 'district', 'បន្ទាយមាស', 'Banteay Meas'),
    ('0708', '07', 'municipality', 'កំពត', 'Kampot'),
    ('0801', '08', 'district', 'កណ្ដាលស្ទឹង', 'Kandal Stueng'),
    ('0803', '08', 'district', 'ខ្សាច់កណ្ដាល', 'Khsach Kandal'),
    ('070201', '0702', 'commune', 'បន្ទាយមាសខាងកើត', 'Banteay Meas Khang Kaeut'),
    ('070203', '0702', 'commune', 'ព្រៃទន្លេ', 'Prey Tonle'),
    ('070204', '0702', 'commune', 'សំរោងក្រោម', 'Samraong Kraom'),
    ('070801', '0708', 'sangkat', 'កំពង់កណ្ដាល', 'Kampong Kandal'),
    ('070803', '0708', 'sangkat', 'កំពង់បាយ', 'Kampong Bay'),
    ('070804', '0708', 'sangkat', 'អណ្ដូងខ្មែរ', 'Andoung Khmer'),
    ('080101', '0801', 'commune', 'អំពៅព្រៃ', 'Ampov Prey'),
    ('080103', '0801', 'commune', 'បារគូ', 'Barku'),
    ('080104', '0801', 'commune', 'បឹងខ្យាង', 'Boeng Khyang'),
    ('080302', '0803', 'commune', 'ជ័យធំ', 'Chey Thum'),
    ('080304', '0803', 'commune', 'កោះចូរ៉ាម', 'Kaoh Chouram'),
    ('080306', '0803', 'commune', 'ព្រះប្រសប់', 'Preah Prasab');
INSERT INTO service (code, name_km, name_latin, fee_riel, work_days) VALUES
    ('BIRTH-COPY', 'សំបុត្រកំណើត ច្បាប់ចម្លង', 'Copy of a birth certificate', 4000, 2),
    ('RESIDENCE', 'លិខិតបញ្ជាក់ទីលំនៅ', 'Certificate of residence', 2000, 1),
    ('SHOP', 'លិខិតអនុញ្ញាតបើកហាង', 'Permit to open a shop', 40000, 10),
    ('BUILD-SMALL', 'លិខិតអនុញ្ញាតសាងសង់តូច', 'Small building permit', 100000, 20),
    ('TRANSPORT', 'ចុះបញ្ជីយានយន្តដឹកជញ្ជូន', 'Registration of a cart or motor tricycle', 20000, 5);
SQL
}

# Temporary lists, in a fixed order, and one table of people that the statements below draw from.
district() { # CODE HOUSEHOLDS
    cat <<SQL
CREATE TEMP TABLE d (code TEXT, households INTEGER);
INSERT INTO d VALUES ('$1', $2);
SQL
    cat <<'SQL'
CREATE TEMP TABLE family (n INTEGER PRIMARY KEY, km TEXT, latin TEXT);
INSERT INTO family VALUES (0,'សុខ','Sok'),(1,'ចាន់','Chan'),(2,'លី','Ly'),(3,'កែវ','Keo'),(4,'ហេង','Heng'),
    (5,'ម៉ៅ','Mao'),(6,'អ៊ុក','Ouk'),(7,'ទេព','Tep'),(8,'នួន','Nuon'),(9,'ផាន','Phan'),(10,'សេង','Seng'),
    (11,'ឈិន','Chhin'),(12,'យិន','Yin'),(13,'ជា','Chea'),(14,'ឡុង','Long'),(15,'ឃុន','Khun'),(16,'ពេជ្រ','Pich'),
    (17,'មាស','Meas'),(18,'ខៀវ','Khiev'),(19,'ស៊ឹម','Sim'),(20,'ប៉ែន','Pen'),(21,'តាន់','Tan'),(22,'ឌួង','Duong');
CREATE TEMP TABLE given (n INTEGER, sex TEXT, km TEXT, latin TEXT, PRIMARY KEY (sex, n));
INSERT INTO given VALUES (0,'F','ស្រីមុំ','Sreymom'),(1,'F','សុភា','Sophea'),(2,'F','ចន្ធី','Chanthy'),
    (3,'F','បុប្ផា','Bopha'),(4,'F','ស្រីនិច','Sreynich'),(5,'F','កល្យាណី','Kalyanei'),(6,'F','ធីតា','Thida'),
    (7,'F','រតនា','Ratana'),(8,'F','ដាលីន','Dalin'),(9,'F','ចាន់ណារី','Channary'),(10,'F','សុវណ្ណារី','Sovannary'),
    (0,'M','វិចិត្រ','Vichet'),(1,'M','សំណាង','Samnang'),(2,'M','ដារ៉ា','Dara'),(3,'M','បូរ៉ា','Bora'),
    (4,'M','រិទ្ធី','Rithy'),(5,'M','សុវណ្ណ','Sovann'),(6,'M','ពិសិដ្ឋ','Piseth'),(7,'M','រដ្ឋា','Ratha'),
    (8,'M','ចាន់ថា','Chantha'),(9,'M','សុភ័ក្រ','Sopheak'),(10,'M','មករា','Makara'),(11,'M','វុទ្ធី','Vuthy'),
    (12,'M','ភារុណ','Phearun');
CREATE TEMP TABLE commune AS
    SELECT row_number() OVER (ORDER BY code) - 1 AS n, code FROM unit WHERE parent_code = (SELECT code FROM d);
CREATE TEMP TABLE offer AS SELECT row_number() OVER (ORDER BY code) - 1 AS n, code FROM service;

-- h: the household's number; draw: a number that looks random and is always the same.
CREATE TEMP TABLE house AS
WITH RECURSIVE count (h) AS (SELECT 0 UNION ALL SELECT h + 1 FROM count WHERE h + 1 < (SELECT households FROM d))
SELECT h, (h * 2654435761 + CAST((SELECT code FROM d) AS INTEGER) * 40503) % 4294967291 AS draw,
       (SELECT code FROM commune WHERE n = h % (SELECT count(*) FROM commune)) AS commune_code
FROM count;

INSERT INTO household (id, book_no, commune_code, village_km, house_no, opened_on)
SELECT printf('h%s%06d', d.code, h), printf('%s-%05d', d.code, h + 1), commune_code,
       'ភូមិ ' || (1 + draw / 7 % 9), CAST(1 + draw / 11 % 240 AS TEXT),
       date('2001-01-01', '+' || (draw / 13 % 7000) || ' days')
FROM house, d ORDER BY h;

-- Member 0 is the father, 1 the mother, 2 and 3 children.
CREATE TEMP TABLE person AS
SELECT h, member, commune_code, draw, (draw / 3 + member * 48271 + h * 7) % 4294967291 AS own,
       CASE member WHEN 0 THEN 'M' WHEN 1 THEN 'F' ELSE CASE (draw / (17 + member)) % 2 WHEN 0 THEN 'F' ELSE 'M' END END AS sex
FROM house, (SELECT 0 AS member UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3);

INSERT INTO resident (id, ident_code, household_id, commune_code, family_name_km, given_name_km, family_name_latin,
                      given_name_latin, sex, born_on, phone, status, updated_at)
SELECT printf('r%s%06d%d', d.code, h, member),
       CASE WHEN member < 2 THEN printf('%s%05d', d.code, h * 2 + member + 1) END,
       printf('h%s%06d', d.code, h), p.commune_code, f.km, g.km, f.latin, g.latin, p.sex,
       date(CASE WHEN member < 2 THEN '1960-01-01' ELSE '2004-01-01' END, '+' || (own / 5 % 7300) || ' days'),
       CASE WHEN member < 2 THEN printf('0%d %03d %03d', 10 + own / 7 % 9, own / 19 % 1000, own / 23 % 1000) END,
       CASE WHEN own % 41 = 0 THEN 'moved' ELSE 'present' END, 0
FROM person AS p, d
JOIN family AS f ON f.n = CASE p.member WHEN 1 THEN p.own ELSE p.draw END % (SELECT count(*) FROM family)
JOIN given AS g ON g.sex = p.sex AND g.n = (p.own / 29 + p.member) % (SELECT count(*) FROM given WHERE given.sex = p.sex)
ORDER BY h, member;

INSERT INTO birth_record (id, commune_code, reg_no, child_id, mother_id, father_id, born_on, registered_on, weight_g)
SELECT printf('b%s%06d', d.code, h), c.commune_code, printf('%s/%05d', substr(c.born_on, 1, 4), h + 1), c.id,
       printf('r%s%06d1', d.code, h), printf('r%s%06d0', d.code, h), c.born_on,
       date(c.born_on, '+' || (1 + draw / 31 % 25) || ' days'), 2300 + draw / 37 % 1900
FROM house, d JOIN resident AS c ON c.id = printf('r%s%06d2', d.code, h) ORDER BY h;

CREATE TEMP TABLE request AS
SELECT h, draw, (SELECT code FROM offer WHERE n = draw / 41 % (SELECT count(*) FROM offer)) AS service_code,
       date('2026-01-05', '+' || (draw / 43 % 300) || ' days') AS opened_on
FROM house WHERE h % 2 = 0;

INSERT INTO service_request (id, ref_no, district_code, service_code, applicant_id, state, opened_on, note_km)
SELECT printf('q%s%06d', d.code, h), printf('%s-2026-%05d', d.code, h + 1), d.code, service_code,
       printf('r%s%06d%d', d.code, h, draw / 47 % 2),
       CASE draw / 53 % 4 WHEN 0 THEN 'open' WHEN 1 THEN 'working' WHEN 2 THEN 'ready' ELSE 'closed' END, opened_on,
       CASE WHEN draw / 59 % 5 = 0 THEN 'ខ្វះរូបថត' END
FROM request, d ORDER BY h;

INSERT INTO receipt (id, series, number, request_id, amount_riel, paid_on)
SELECT printf('p%s%06d', d.code, h), d.code || '-2026', h / 2 + 1, printf('q%s%06d', d.code, h),
       (SELECT fee_riel FROM service WHERE code = service_code), opened_on
FROM request, d ORDER BY h;

INSERT INTO permit (id, permit_no, district_code, holder_id, business_km, business_latin, state, issued_on, ends_on)
SELECT printf('l%s%06d', d.code, h), printf('%s/P/%04d', d.code, h / 5 + 1), d.code, printf('r%s%06d1', d.code, h),
       CASE draw / 61 % 4 WHEN 0 THEN 'ហាងកាហ្វេ' WHEN 1 THEN 'ជាងកាត់ដេរ' WHEN 2 THEN 'ហាងលក់ថ្នាំ' ELSE 'យានដ្ឋាន' END,
       CASE draw / 61 % 4 WHEN 0 THEN 'Coffee shop' WHEN 1 THEN 'Tailor' WHEN 2 THEN 'Pharmacy' ELSE 'Garage' END,
       CASE WHEN draw / 67 % 12 = 0 THEN 'suspended' ELSE 'active' END,
       date('2025-02-01', '+' || (draw / 71 % 360) || ' days'), date('2028-02-01', '+' || (draw / 71 % 360) || ' days')
FROM house, d WHERE h % 5 = 0 ORDER BY h;

DROP TABLE temp.request;
DROP TABLE temp.person;
DROP TABLE temp.house;
DROP TABLE temp.offer;
DROP TABLE temp.commune;
DROP TABLE temp.given;
DROP TABLE temp.family;
DROP TABLE temp.d;
SQL
}

case ${2-250} in
'' | *[!0-9]* | 0 | ??????*)
    echo "generate.sh: HOUSEHOLDS is a number from 1 to 40000" >&2
    exit 2
    ;;
esac
case ${1-all} in
all)
    echo 'BEGIN;'
    reference
    for code in 0702 0708 0801 0803; do
        district "$code" "${2-250}"
    done
    echo 'COMMIT;'
    ;;
reference)
    echo 'BEGIN;'
    reference
    echo 'COMMIT;'
    ;;
0702 | 0708 | 0801 | 0803)
    echo 'BEGIN;'
    district "$1" "${2-250}"
    echo 'COMMIT;'
    ;;
*)
    echo "usage: generate.sh [all | reference | 0702 | 0708 | 0801 | 0803] [HOUSEHOLDS]" >&2
    exit 2
    ;;
esac
