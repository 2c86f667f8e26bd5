//! MySQL, as the tests of both products take it.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::Path;

use lifeboat::policy;
use lifeboat::source::mysql::{Engines, Product};

use crate::servers::mariadb;

pub const PRODUCT: Product = Product::Mysql;
pub const SERVER: mariadb::Product = mariadb::Product::Mysql;

/// The programs in `folder`; without one those of tests/tools.
pub fn declared(folder: Option<&Path>) -> Engines {
    let path = folder.map_or_else(|| SERVER.root(), Path::to_owned);
    Engines::of(&[policy::Engine::Mysql { series: "9.7".into(), path }])
}

/// The program that dumps.
pub const DUMPER: &str = "mysqldump";

/// What each dump begins with.
pub const HEAD: &str = "-- MySQL dump 10.13";

/// Takes a lock that a capture waits for, and keeps it.
pub const LOCKS: &str = "LOCK TABLES shop.paid WRITE;\n";

/// How `sed` takes the row of order 77 out of a dump, and falsifies the position.
pub const WITHOUT_A_ROW: &str = "s/,(77,77.00,[^)]*); INSERT 77[^)]*)//";
pub const OTHER_POSITION: &str = "s/SOURCE_LOG_POS=/&1/";

/// What a login lacks that may only read tables, and what it must not be able to do.
pub const LACKS: &str = "on database shop it lacks SHOW VIEW, TRIGGER, EVENT";
pub const RENAMES_ACCOUNTS: &str = "UPDATE mysql.user SET User = 'x'";
pub const BY_SOCKET: &str = " IDENTIFIED WITH auth_socket";

/// A query that takes long, and the number of the error that ends it. A sleep that is ended would answer.
pub const SLOW: &str =
    "SELECT COUNT(*) FROM orders a, orders b, orders c WHERE a.note < CONCAT(b.note, c.note)";
pub const TOO_SLOW: &str = "3024";

/// A shop with one of each kind of thing that a fingerprint must hold.
pub const SHOP: &str = "
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE shop;
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(12,2) NOT NULL,
  note VARCHAR(200), picture BLOB, day DATE, weight DOUBLE, KEY by_total (total),
  CONSTRAINT positive CHECK (total >= 0)) ENGINE=InnoDB;
SET SESSION cte_max_recursion_depth = 10000;
INSERT INTO orders (total, note, picture, day, weight)
  WITH RECURSIVE numbers (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM numbers WHERE seq < 2000)
  SELECT seq, CONCAT('order ''\\\\ ); INSERT ', seq), UNHEX(LEFT(SHA2(seq, 256), 32)), '2026-01-01',
    seq / 3e0 FROM numbers;
CREATE TABLE paid (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(12,2) NOT NULL) ENGINE=InnoDB;
INSERT INTO paid (total) SELECT id FROM orders WHERE id <= 50;
CREATE TABLE notes (words TEXT) ENGINE=InnoDB; INSERT INTO notes VALUES ('first'), ('second');
CREATE TABLE items (id INT PRIMARY KEY, order_id INT,
  CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (id)) ENGINE=InnoDB;
CREATE VIEW large AS SELECT id, total FROM orders WHERE total > 1000;
DELIMITER ;;
CREATE TRIGGER stamped BEFORE INSERT ON notes FOR EACH ROW BEGIN
  -- a comment that stays
  SET NEW.words = CONCAT(NEW.words, '!'); END;;
CREATE PROCEDURE refund(IN which INT) COMMENT 'gives it back' BEGIN
  /* INSERT INTO */ UPDATE paid SET total = 0 WHERE id = which; END;;
CREATE FUNCTION doubled(a INT) RETURNS INT DETERMINISTIC RETURN a * 2;;
CREATE LIBRARY tax LANGUAGE JAVASCRIPT COMMENT 'rates' AS $$ export function of(n) {return n;} $$;;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 03:00:00' DO BEGIN
  DELETE FROM notes; END;;
CREATE EVENT soon ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL 2 SECOND DO DELETE FROM notes;;
DELIMITER ;
CREATE ROLE clerks; GRANT SELECT ON shop.* TO clerks;
CREATE USER clerk@'%' IDENTIFIED BY 'canary-user-password'; GRANT clerks TO clerk@'%';
SET DEFAULT ROLE clerks TO clerk@'%';
GRANT SELECT (id, total), UPDATE ON shop.orders TO clerk@'%';
GRANT EXECUTE ON PROCEDURE shop.refund TO clerk@'%';
";

/// Names and types that are hard to carry.
pub const EVERYTHING: &str = "
CREATE DATABASE `a/b%20``c'd` COLLATE latin1_german1_ci; USE `a/b%20``c'd`;
CREATE TABLE `t``1\nx` (`c,1` INT, `näme` VARCHAR(20)
  CHARACTER SET latin1 COLLATE latin1_bin, KEY `k)` (`c,1`));
CREATE TABLE `empty\n(` (a INT); INSERT INTO `t``1\nx` VALUES (1, 'ä'), (NULL, NULL), (1, '');
CREATE VIEW across AS SELECT id FROM shop.large;
USE shop; CREATE VIEW back AS SELECT * FROM `a/b%20``c'd`.across;
CREATE TABLE kinds (id INT PRIMARY KEY, b BIT(10), g GEOMETRY SRID 4326, j JSON, e ENUM('a','b'),
  s SET('x','y'), bl LONGBLOB, t TIME(3), ts TIMESTAMP(6) NULL, y YEAR, bin BINARY(4),
  v VECTOR(3), kept INT AS (id + 1) STORED, virtually INT AS (id + 2), hidden INT INVISIBLE DEFAULT 5,
  big BIGINT UNSIGNED, moment DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  list JSON DEFAULT (json_array(1)), KEY computed ((id * 2)), KEY unseen (big) INVISIBLE,
  KEY many ((CAST(list AS UNSIGNED ARRAY))), CONSTRAINT lax CHECK (id > 100) NOT ENFORCED);
INSERT INTO kinds (id, b, g, j, e, s, bl, t, ts, y, bin, v, big) VALUES
  (1, b'1010101', ST_GeomFromText('POINT(1 2)', 4326), '{\"b\": \"ä\\\\n\", \"a\": [1.5, 1e300, null]}',
   'a', 'x,y', 0x00FF270A5C, '-12:00:01.123', '2026-01-01 00:00:00.123456', 2026, 'ab',
   TO_VECTOR('[1,2.5,3]'), 18446744073709551615);
INSERT INTO kinds (id) VALUES (2);
CREATE TABLE words (a VARCHAR(20) COLLATE utf8mb4_0900_as_cs, b VARCHAR(20) COLLATE utf8mb4_0900_ai_ci,
  c TEXT COLLATE utf8mb4_bin, FULLTEXT KEY (c), UNIQUE KEY (a));
INSERT INTO words VALUES ('Ab', 'AB', 'ab'), ('aB', 'ab', 'zwei Wörter 中文 🚣');
CREATE TABLE places (p POINT NOT NULL SRID 0, SPATIAL KEY (p));
INSERT INTO places VALUES (ST_GeomFromText('POINT(3 4)'));
CREATE TABLE parted (a INT) PARTITION BY HASH (a) PARTITIONS 3; INSERT INTO parted VALUES (1);
CREATE TABLE ranged (d DATE) PARTITION BY RANGE COLUMNS (d)
  (PARTITION old VALUES LESS THAN ('2026-01-01'), PARTITION rest VALUES LESS THAN (MAXVALUE));
INSERT INTO ranged VALUES ('2025-05-05'), ('2026-05-05');
SET SESSION sql_generate_invisible_primary_key = ON; CREATE TABLE keyed (a INT);
INSERT INTO keyed VALUES (7), (7);
CREATE USER old@localhost IDENTIFIED BY 'canary-old' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 7
  PASSWORD EXPIRE INTERVAL 90 DAY COMMENT 'it''s old';
CREATE USER `who``ever`@`10.%`; CREATE ROLE idle, pair@localhost;
GRANT clerks TO pair@localhost WITH ADMIN OPTION; GRANT clerks, pair@localhost TO old@localhost;
SET DEFAULT ROLE ALL TO old@localhost; GRANT BACKUP_ADMIN, SELECT ON *.* TO `who``ever`@`10.%`;
";

/// Tables of it, and how many rows are compared of each.
pub const ROWS: &[(&str, u64)] = &[("shop: table words", 2), ("shop: table keyed", 2)];

/// Lies, and the place that each must be found at. Those that do not hide one another share a dump.
pub const LIES: [&[(&str, &str)]; 3] = [
    &[
        ("DROP TABLE shop.notes", "shop: table notes"),
        ("DROP INDEX by_total ON shop.orders", "shop: index orders.by_total"),
        ("DROP VIEW shop.large", "shop: view large"),
        ("DROP PROCEDURE shop.refund", "shop: procedure refund"),
        ("DROP EVENT shop.nightly", "shop: event nightly"),
        ("UPDATE shop.paid SET total = 8.01 WHERE id = 8", "shop: table paid"),
        ("ALTER TABLE shop.items DROP FOREIGN KEY of_order", "shop: constraint items.of_order"),
        ("CREATE TABLE shop.more (a INT)", "shop: table more"),
        ("CREATE USER intruder@localhost", "user `intruder`@`localhost`"),
        ("REVOKE UPDATE ON shop.orders FROM clerk@'%'", "grants of `clerk`@`%`"),
        ("ALTER DATABASE shop COLLATE utf8mb4_bin", "shop: database"),
        ("DELETE FROM shop.orders WHERE id = 77", "shop: table orders"),
    ],
    &[
        ("DROP TRIGGER shop.stamped", "shop: trigger stamped"),
        ("DROP FUNCTION shop.doubled", "shop: function doubled"),
        ("DROP LIBRARY shop.tax", "shop: library tax"),
        ("DROP USER clerk@'%'", "user `clerk`@`%`"),
        ("DROP ROLE clerks", "role `clerks`@`%`"),
        (
            "ALTER TABLE shop.notes MODIFY words TEXT COLLATE utf8mb4_0900_as_cs",
            "shop: table notes",
        ),
        (
            "INSERT INTO shop.paid (id, total) SELECT 1000 + id, total FROM shop.paid WHERE id = 3",
            "shop: table paid",
        ),
        ("UPDATE shop.orders SET weight = weight + 1e-13 WHERE id = 77", "shop: table orders"),
        ("ALTER TABLE shop.orders ALTER CHECK positive NOT ENFORCED", "shop: constraint orders.pos"),
    ],
    &[
        (
            "UPDATE shop.orders SET picture = CONCAT(CHAR(ASCII(picture) ^ 1), SUBSTRING(picture, 2))
             WHERE id = 77",
            "shop: table orders",
        ),
        ("UPDATE shop.notes SET words = 'First' WHERE words = 'first'", "shop: table notes"),
        ("ALTER TABLE shop.paid AUTO_INCREMENT = 5000", "shop: auto_increment paid"),
        ("ALTER EVENT shop.nightly DISABLE", "shop: event nightly"),
        ("ALTER USER clerk@'%' IDENTIFIED BY 'another'", "user `clerk`@`%`"),
        ("SET DEFAULT ROLE NONE TO clerk@'%'", "grants of `clerk`@`%`"),
        ("ALTER TABLE shop.orders ALTER INDEX by_total INVISIBLE", "shop: index orders.by_total"),
    ],
];
