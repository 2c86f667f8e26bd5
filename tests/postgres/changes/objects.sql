--- All other objects; above each change where it is seen.
-- shop: type sales.mood
ALTER TYPE sales.mood ADD VALUE 'glad';
-- shop: type sales.pair
ALTER TYPE sales.pair RENAME ATTRIBUTE b TO c CASCADE;
-- shop: type sales.base
ALTER TYPE sales.base SET (SUBSCRIPT = raw_array_subscript_handler);
-- shop: type sales.span
ALTER TYPE sales.span OWNER TO clerk;
-- shop: domain sales.price
ALTER DOMAIN sales.price SET DEFAULT 1;
-- shop: domain sales.price
ALTER DOMAIN sales.price DROP CONSTRAINT price_check;
-- shop: domain sales.sure
ALTER DOMAIN sales.sure VALIDATE CONSTRAINT small;
-- shop: domain sales.sure
ALTER DOMAIN sales.sure DROP NOT NULL;
-- shop: collation sales.plain
DROP COLLATION sales.plain CASCADE;
-- shop: conversion sales.widened
DROP CONVERSION sales.widened;
-- shop: cast (sales.mood as text)
DROP CAST (sales.mood AS text);
-- shop: procedure sales.go(INOUT n integer)
CREATE OR REPLACE PROCEDURE sales.go(INOUT n int) LANGUAGE sql AS 'SELECT n + 2';
-- shop: function sales.twice(n integer)
ALTER FUNCTION sales.twice(int) RESET work_mem;
-- shop: function sales.twice(n integer)
ALTER FUNCTION sales.twice(int) COST 7;
-- shop: function sales.twice(n integer)
ALTER FUNCTION sales.twice(int) PARALLEL SAFE;
-- shop: function sales.twice(n integer)
ALTER FUNCTION sales.twice(int) SECURITY DEFINER;
-- shop: function sales.twice(n integer)
ALTER FUNCTION sales.twice(int) LEAKPROOF;
-- shop: dependence of function sales.words(sales.mood) on extension pg_trgm
ALTER FUNCTION sales.words(sales.mood) NO DEPENDS ON EXTENSION pg_trgm;
-- shop: aggregate sales.product(numeric)
DROP AGGREGATE sales.product(numeric);
-- shop: operator sales.===(sales.pair,sales.pair)
DROP OPERATOR sales.=== (sales.pair, sales.pair);
-- shop: operator sales.<<(sales.base,sales.base)
ALTER OPERATOR sales.<< (sales.base, sales.base) SET (RESTRICT = scalarltsel);
-- shop: operator family sales.near using gist
UPDATE pg_amop SET amopsortfamily =
  (SELECT oid FROM pg_opfamily WHERE opfname = 'float_ops' AND opfmethod = 403)
  WHERE amopfamily = (SELECT oid FROM pg_opfamily WHERE opfname = 'near');
-- shop: operator family sales.upward using btree
ALTER OPERATOR FAMILY sales.upward USING btree ADD FUNCTION 4 (sales.base, sales.base)
  pg_catalog.btequalimage(oid);
-- shop: operator family sales.near using gist
DROP OPERATOR FAMILY sales.near USING gist;
-- shop: operator class sales.upward using btree
DROP OPERATOR CLASS sales.upward USING btree;
-- shop: transform for macaddr language sql
DROP TRANSFORM FOR macaddr LANGUAGE sql;
-- shop: access method heaps
DROP ACCESS METHOD heaps;
-- shop: language tongue
ALTER LANGUAGE tongue OWNER TO clerk;
-- shop: language tongue
DROP LANGUAGE tongue;
-- shop: event trigger watch
ALTER EVENT TRIGGER watch ENABLE ALWAYS;
-- shop: event trigger watch
DROP EVENT TRIGGER watch;
-- shop: text search configuration sales.plainly
ALTER TEXT SEARCH CONFIGURATION sales.plainly DROP MAPPING FOR word;
-- shop: text search dictionary sales.stems
ALTER TEXT SEARCH DICTIONARY sales.stems (StopWords = english);
-- shop: text search parser sales.parts
DROP TEXT SEARCH PARSER sales.parts;
-- shop: text search template sales.simply
DROP TEXT SEARCH TEMPLATE sales.simply;
-- shop: extension pg_trgm
ALTER EXTENSION pg_trgm SET SCHEMA public;
-- shop: extension postgres_fdw
DROP EXTENSION postgres_fdw;
-- shop: server far
ALTER SERVER far OPTIONS (SET host 'y');
-- shop: server far
ALTER SERVER far VERSION '2';
-- shop: foreign data wrapper afar
ALTER FOREIGN DATA WRAPPER afar OPTIONS (debug 'true');
-- shop: user mapping for clerk server far
ALTER USER MAPPING FOR clerk SERVER far OPTIONS (SET password 'another');
-- shop: user mapping for clerk server far
DROP USER MAPPING FOR clerk SERVER far;
-- shop: publication news
ALTER PUBLICATION news SET (publish = 'insert');
-- shop: publication news
ALTER PUBLICATION news SET (publish_via_partition_root = true);
-- shop: publication few
ALTER PUBLICATION few SET TABLE sales.r (t);
-- shop: publication news
ALTER PUBLICATION news SET TABLE sales.r WHERE (r = '');
-- shop: publication news
ALTER PUBLICATION news ADD TABLES IN SCHEMA sales;
-- shop: publication news
DROP PUBLICATION news;
-- shop: comment on table column sales.wide.a
COMMENT ON COLUMN sales.wide.a IS 'tiny';
-- shop: comment on large object 70002
COMMENT ON LARGE OBJECT 70002 IS NULL;
-- shop: comment on schema public
COMMENT ON SCHEMA public IS 'theirs';
-- shop: comment on trigger stamped on sales.r
COMMENT ON TRIGGER stamped ON sales.r IS NULL;
-- shop: comment on table constraint wide_pkey on sales.wide
COMMENT ON CONSTRAINT wide_pkey ON sales.wide IS NULL;
-- shop: comment on extension pg_trgm
COMMENT ON EXTENSION pg_trgm IS NULL;
-- shop: schema sales
ALTER SCHEMA sales OWNER TO postgres;
-- shop: schema public
ALTER SCHEMA public OWNER TO clerk;
-- shop: schema more
CREATE SCHEMA more;
-- shop: table sales.named
DROP TABLE sales.named;
-- shop: materialized view sales.totals
DROP MATERIALIZED VIEW sales.totals;
-- shop: function sales.twice(n integer)
DROP FUNCTION sales.twice(int);
-- shop: large objects
SELECT lo_unlink(70003);
