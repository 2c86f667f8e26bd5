-- What dumps carry besides: seldom used and easily overlooked.
CREATE ROLE other SUPERUSER;
ALTER ROLE clerk PASSWORD 'canary-of-a-role';
GRANT clerk TO pg_monitor;
CREATE ROLE third;
CREATE ROLE gone SUPERUSER;
SET ROLE gone;
GRANT "boss's ""role""" TO third;
RESET ROLE;
SET ROLE "boss's ""role""";
GRANT clerk TO third;
RESET ROLE;
DO 'BEGIN DROP ROLE gone; EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END';
GRANT SET ON PARAMETER work_mem TO clerk;
-- Granted on what came with an extension or with the server.
SET ROLE other;
CREATE EXTENSION hstore SCHEMA sales;
GRANT EXECUTE ON FUNCTION sales.akeys(sales.hstore) TO clerk WITH GRANT OPTION;
REVOKE USAGE ON TYPE sales.hstore FROM PUBLIC;
RESET ROLE;
CREATE EXTENSION pg_stat_statements SCHEMA sales;
REVOKE SELECT ON sales.pg_stat_statements FROM PUBLIC;
GRANT SELECT (queryid) ON sales.pg_stat_statements TO clerk;
CREATE EXTENSION postgres_fdw SCHEMA sales;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO clerk;
GRANT CREATE ON SCHEMA pg_catalog TO clerk;
REVOKE USAGE ON TYPE pg_catalog.circle FROM PUBLIC;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT UPDATE (rolname) ON pg_catalog.pg_authid TO clerk;
REVOKE EXECUTE ON FUNCTION pg_catalog.sum(integer) FROM PUBLIC;
-- No dump carries these.
REVOKE SELECT ON information_schema.tables FROM PUBLIC;
REVOKE USAGE ON LANGUAGE sql FROM PUBLIC;
-- Grants of one's own.
GRANT SELECT (xmin) ON sales.wide TO clerk;
GRANT USAGE ON SEQUENCE sales.numbers TO clerk;
GRANT USAGE ON TYPE sales.mood TO clerk;
REVOKE USAGE ON TYPE sales.mood FROM PUBLIC;
GRANT USAGE ON FOREIGN SERVER far TO clerk;
GRANT SELECT ON sales.dear TO clerk WITH GRANT OPTION;
CREATE FUNCTION sales.speak() RETURNS language_handler LANGUAGE c
  AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE TRUSTED LANGUAGE tongue HANDLER sales.speak;
REVOKE USAGE ON LANGUAGE tongue FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE clerk REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
-- Tables and what hangs on them.
CREATE TABLE sales.kid (a int, d int) INHERITS (sales.parent);
ALTER TABLE sales.kid ADD CONSTRAINT later CHECK (d > 0) NOT VALID;
CREATE TABLE sales.named (a int CONSTRAINT "must be" NOT NULL, b int, c int REFERENCES sales.wide
  DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE sales.typed OF sales.pair;
CREATE INDEX named_b ON sales.named ((b + 1)) INCLUDE (c) WITH (fillfactor = 80);
ALTER INDEX sales.named_b ALTER COLUMN 1 SET STATISTICS 300;
CREATE UNIQUE INDEX named_a ON sales.named (a);
ALTER TABLE sales.named REPLICA IDENTITY USING INDEX named_a;
ALTER TABLE sales.named ALTER b SET (n_distinct = 5);
ALTER TABLE sales.wide SET (toast.autovacuum_enabled = false);
ALTER TABLE sales.wide ALTER r SET COMPRESSION pglz;
CREATE MATERIALIZED VIEW sales.long WITH (fillfactor = 90, toast.autovacuum_enabled = false)
  AS SELECT g FROM sales.wide;
ALTER TABLE sales.long REPLICA IDENTITY FULL;
CREATE TRIGGER counted AFTER INSERT ON sales.orders FOR EACH ROW EXECUTE FUNCTION sales.stamp();
ALTER TABLE sales.orders_25 DISABLE TRIGGER counted;
CREATE CONSTRAINT TRIGGER checked AFTER INSERT ON sales.named DEFERRABLE
  FOR EACH ROW EXECUTE FUNCTION sales.stamp();
CREATE RULE aside AS ON UPDATE TO sales.r DO ALSO NOTHING;
ALTER TABLE sales.r ENABLE REPLICA RULE aside;
CREATE SEQUENCE sales.owned OWNED BY sales.r.t;
ALTER STATISTICS sales.wide_stats SET STATISTICS 50;
ALTER EVENT TRIGGER watch ENABLE REPLICA;
CREATE VIEW sales.guarded WITH (security_barrier) AS SELECT id FROM sales.wide
  WHERE id < 9 WITH LOCAL CHECK OPTION;
-- Types and what is made of functions.
CREATE DOMAIN sales.sure AS int CONSTRAINT "is there" NOT NULL;
ALTER DOMAIN sales.sure ADD CONSTRAINT small CHECK (VALUE < 10) NOT VALID;
CREATE SEQUENCE sales.ticks;
CREATE DOMAIN sales.ticked AS bigint DEFAULT nextval('sales.ticks');
ALTER SEQUENCE sales.ticks RENAME TO tocks;
CREATE TYPE sales.base;
CREATE FUNCTION sales.base_in(cstring) RETURNS sales.base LANGUAGE internal STRICT IMMUTABLE AS 'int4in';
CREATE FUNCTION sales.base_out(sales.base) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE
  AS 'int4out';
CREATE TYPE sales.base (INPUT = sales.base_in, OUTPUT = sales.base_out, LIKE = integer);
CREATE FUNCTION sales.less(sales.base, sales.base) RETURNS bool LANGUAGE internal IMMUTABLE STRICT
  AS 'int4lt';
CREATE FUNCTION sales.sorted(sales.base, sales.base) RETURNS int LANGUAGE internal IMMUTABLE STRICT
  AS 'btint4cmp';
CREATE FUNCTION sales.apart(sales.base, sales.base) RETURNS int LANGUAGE internal IMMUTABLE STRICT
  AS 'int4mi';
CREATE OPERATOR sales.<< (LEFTARG = sales.base, RIGHTARG = sales.base, FUNCTION = sales.less);
CREATE OPERATOR sales.<-> (LEFTARG = sales.base, RIGHTARG = sales.base, FUNCTION = sales.apart);
CREATE OPERATOR CLASS sales.upward DEFAULT FOR TYPE sales.base USING btree
  AS OPERATOR 1 sales.<<, FUNCTION 1 sales.sorted(sales.base, sales.base);
CREATE OPERATOR FAMILY sales.near USING gist;
ALTER OPERATOR FAMILY sales.near USING gist
  ADD OPERATOR 15 sales.<-> (sales.base, sales.base) FOR ORDER BY pg_catalog.integer_ops;
CREATE CONVERSION sales.widened FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE ACCESS METHOD heaps TYPE TABLE HANDLER heap_tableam_handler;
CREATE TRANSFORM FOR macaddr LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal),
  TO SQL WITH FUNCTION macaddr_recv(internal));
CREATE TEXT SEARCH PARSER sales.parts (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
  LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE sales.simply (INIT = dsimple_init, LEXIZE = dsimple_lexize);
ALTER FUNCTION sales.words(sales.mood) DEPENDS ON EXTENSION pg_trgm;
ALTER FUNCTION sales.twice(int) SET work_mem = '1MB';
ALTER INDEX sales.named_b DEPENDS ON EXTENSION pg_trgm;
COMMENT ON TRIGGER stamped ON sales.r IS 'once';
COMMENT ON CONSTRAINT wide_pkey ON sales.wide IS 'first';
