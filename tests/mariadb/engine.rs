//! MariaDB, as the tests of both products take it.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::Path;

use lifeboat::policy;
use lifeboat::source::mysql::{Engines, Product};

use crate::servers::mariadb;

pub const PRODUCT: Product = Product::Mariadb;
pub const SERVER: mariadb::Product = mariadb::Product::Mariadb;

/// The programs in `folder`; without one those of the system.
pub fn declared(folder: Option<&Path>) -> Engines {
    let declared = folder
        .map(|path| policy::Engine::Mariadb { series: "10.11".into(), path: path.to_owned() });
    Engines::of(declared.as_slice())
}

/// The program that dumps.
pub const DUMPER: &str = "mariadb-dump";

/// What each dump begins with.
pub const HEAD: &str = "/*M!999999\\- enable the sandbox mode */";

/// Takes the first lock of those that a capture takes, and keeps it.
pub const LOCKS: &str = "BACKUP STAGE START;\n";

/// How `sed` takes the row of order 77 out of a dump, and falsifies the position.
pub const WITHOUT_A_ROW: &str = "s/^(77,.*),$//";
pub const OTHER_POSITION: &str = "s/MASTER_LOG_POS=/&1/";

/// What a login lacks that may only read tables, and what it must not be able to do.
pub const LACKS: &str = "on database shop it lacks SHOW VIEW, TRIGGER, EVENT";
pub const RENAMES_ACCOUNTS: &str = "UPDATE mysql.global_priv SET User = 'x'";
pub const BY_SOCKET: &str = " IDENTIFIED VIA unix_socket";

/// A query that takes long, and the number of the error that ends it.
pub const SLOW: &str = "SELECT SLEEP(60)";
pub const TOO_SLOW: &str = "1969";

/// A shop with one of each kind of thing that a fingerprint must hold.
pub const SHOP: &str = "
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE shop;
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(12,2) NOT NULL,
  note VARCHAR(200), picture BLOB, day DATE, weight DOUBLE, KEY by_total (total),
  CONSTRAINT positive CHECK (total >= 0)) ENGINE=InnoDB;
INSERT INTO orders (total, note, picture, day, weight)
  SELECT seq, CONCAT('order ''\\\\ ); INSERT ', seq), UNHEX(MD5(seq)), '2026-01-01', seq / 3e0
  FROM seq_1_to_2000;
CREATE TABLE paid (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(12,2) NOT NULL) ENGINE=InnoDB;
INSERT INTO paid (total) SELECT seq FROM seq_1_to_50;
CREATE TABLE notes (words TEXT) ENGINE=InnoDB; INSERT INTO notes VALUES ('first'), ('second');
CREATE TABLE items (id INT PRIMARY KEY, order_id INT,
  CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (id)) ENGINE=InnoDB;
CREATE VIEW large AS SELECT id, total FROM orders WHERE total > 1000;
CREATE SEQUENCE tickets START WITH 7;
DELIMITER ;;
CREATE TRIGGER stamped BEFORE INSERT ON notes FOR EACH ROW BEGIN
  -- a comment that stays
  SET NEW.words = CONCAT(NEW.words, '!'); END;;
CREATE PROCEDURE refund(IN which INT) COMMENT 'gives it back' BEGIN
  /* INSERT INTO */ UPDATE paid SET total = 0 WHERE id = which; END;;
CREATE FUNCTION doubled(a INT) RETURNS INT DETERMINISTIC RETURN a * 2;;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 03:00:00' DO BEGIN
  DELETE FROM notes; END;;
CREATE EVENT soon ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL 2 SECOND DO DELETE FROM notes;;
DELIMITER ;
CREATE ROLE clerks; GRANT SELECT ON shop.* TO clerks;
CREATE USER clerk@'%' IDENTIFIED BY 'canary-user-password'; GRANT clerks TO clerk@'%';
SET DEFAULT ROLE clerks FOR clerk@'%';
GRANT SELECT (id, total), UPDATE ON shop.orders TO clerk@'%';
GRANT EXECUTE ON PROCEDURE shop.refund TO clerk@'%';
";

/// Names and types that are hard to carry.
pub const EVERYTHING: &str = "CREATE DATABASE `a/b%20``c'd` COLLATE latin1_german1_ci; USE `a/b%20``c'd`;
         CREATE TABLE `t``1\nx` (`c,1` INT, `näme` VARCHAR(20)
           CHARACTER SET latin1 COLLATE latin1_bin, KEY `k)` (`c,1`));
         CREATE TABLE `empty\n(` (a INT); INSERT INTO `t``1\nx` VALUES (1, 'ä'), (NULL, NULL), (1, '');
         CREATE VIEW across AS SELECT id FROM shop.large;
         USE shop; CREATE VIEW back AS SELECT * FROM `a/b%20``c'd`.across;
         CREATE TABLE kinds (id INT PRIMARY KEY, b BIT(10), g GEOMETRY, j JSON, e ENUM('a','b'),
           s SET('x','y'), bl LONGBLOB, t TIME(3), ts TIMESTAMP(6) NULL, y YEAR, u UUID, i4 INET4,
           i6 INET6, bin BINARY(4), stored INT AS (id + 1) STORED, virtually INT AS (id + 2),
           hidden INT INVISIBLE DEFAULT 5, z INT(6) ZEROFILL, big BIGINT UNSIGNED, fixed FLOAT(7,2));
         INSERT INTO kinds (id, b, g, j, e, s, bl, t, ts, y, u, i4, i6, bin, z, big, fixed) VALUES
           (1, b'1010101', ST_GeomFromText('POINT(1 2)'), '{\"a\": 1}', 'a', 'x,y', 0x00FF270A5C,
            '-12:00:01.123', '2026-01-01 00:00:00.123456', 2026, UUID(), '1.2.3.4', '::1', 'ab', 7,
            18446744073709551615, 1234.56);
         INSERT INTO kinds (id) VALUES (2);
         CREATE TABLE past (a INT) WITH SYSTEM VERSIONING; INSERT INTO past VALUES (1), (2);
         UPDATE past SET a = 3 WHERE a = 2; DELETE FROM past WHERE a = 1;
         CREATE TABLE periods (a INT, since TIMESTAMP(6) GENERATED ALWAYS AS ROW START,
           till TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (since, till))
           WITH SYSTEM VERSIONING; INSERT INTO periods (a) VALUES (1); UPDATE periods SET a = 2;
         CREATE TABLE parted (a INT) PARTITION BY HASH (a) PARTITIONS 3; INSERT INTO parted VALUES (1);
         CREATE TABLE bare (a INT AS (1) VIRTUAL); INSERT INTO bare VALUES ();";

/// Tables of it, and how many rows are compared of each.
pub const ROWS: &[(&str, u64)] = &[("shop: table past", 3)];
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
            ("DROP USER clerk@'%'", "user `clerk`@`%`"),
            ("DROP ROLE clerks", "role `clerks`"),
            ("DROP SEQUENCE shop.tickets", "shop: sequence tickets"),
            ("ALTER TABLE shop.notes MODIFY words TEXT COLLATE utf8mb4_bin", "shop: table notes"),
            (
                "INSERT INTO shop.paid (id, total) SELECT 1000 + id, total FROM shop.paid WHERE id = 3",
                "shop: table paid",
            ),
            ("UPDATE shop.orders SET weight = weight + 1e-13 WHERE id = 77", "shop: table orders"),
        ],
        &[
            (
                "UPDATE shop.orders SET picture = CONCAT(CHAR(ASCII(picture) ^ 1), SUBSTRING(picture, 2))
                 WHERE id = 77",
                "shop: table orders",
            ),
            ("UPDATE shop.notes SET words = 'First' WHERE words = 'first'", "shop: table notes"),
            ("SELECT NEXTVAL(shop.tickets)", "shop: sequence tickets"),
            ("ALTER TABLE shop.paid AUTO_INCREMENT = 5000", "shop: auto_increment paid"),
            ("ALTER EVENT shop.nightly DISABLE", "shop: event nightly"),
            ("ALTER USER clerk@'%' IDENTIFIED BY 'another'", "user `clerk`@`%`"),
        ],
    ];
