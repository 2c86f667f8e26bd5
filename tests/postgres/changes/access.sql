--- Rows, grants, roles and what a database is by itself; above each change where it is seen.
-- shop: table sales.wide
UPDATE sales.wide SET c = 1.00 WHERE id = 1;
-- shop: table sales.wide
UPDATE sales.wide SET g = NULL WHERE id = 1;
-- shop: table sales.wide
UPDATE sales.wide SET g = '' WHERE id = 1;
-- shop: table sales.wide
UPDATE sales.wide SET aa = 'sad' WHERE id = 2;
-- shop: table sales.wide
UPDATE sales.wide SET r = '{"b": 1, "a": 2}' WHERE id = 1;
-- shop: table sales.orders_25
DELETE FROM sales.orders_25 WHERE id = 1;
-- shop: large objects
SELECT lo_put(70002, 1048575, '\xaa');
-- shop: large objects
SELECT lo_put(70004, 1048576, '\xaa');
-- shop: sequence sales.numbers
SELECT nextval('sales.numbers');
-- shop: table sales.wide
REVOKE SELECT (a) ON sales.wide FROM clerk;
-- shop: table sales.wide
REVOKE SELECT (xmin) ON sales.wide FROM clerk;
-- shop: view sales.dear
REVOKE GRANT OPTION FOR SELECT ON sales.dear FROM clerk;
-- shop: sequence sales.numbers
REVOKE USAGE ON SEQUENCE sales.numbers FROM clerk;
-- shop: function sales.twice(n integer)
GRANT EXECUTE ON FUNCTION sales.twice TO clerk;
-- shop: type sales.mood
GRANT USAGE ON TYPE sales.mood TO PUBLIC;
-- shop: schema sales
REVOKE USAGE ON SCHEMA sales FROM "boss's ""role""";
-- shop: schema public
GRANT CREATE ON SCHEMA public TO clerk;
-- shop: language tongue
GRANT USAGE ON LANGUAGE tongue TO PUBLIC;
-- shop: foreign data wrapper afar
GRANT USAGE ON FOREIGN DATA WRAPPER afar TO clerk;
-- shop: server far
REVOKE USAGE ON FOREIGN SERVER far FROM clerk;
-- shop: large objects
REVOKE SELECT ON LARGE OBJECT 70001 FROM clerk;
-- shop: database
REVOKE CONNECT ON DATABASE shop FROM clerk;
-- grant on parameter work_mem
REVOKE SET ON PARAMETER work_mem FROM clerk;
-- shop: default privileges of postgres
ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT INSERT ON TABLES TO clerk;
-- shop: default privileges of clerk
ALTER DEFAULT PRIVILEGES FOR ROLE clerk GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
-- shop: grant on function sales.akeys(sales.hstore)
REVOKE EXECUTE ON FUNCTION sales.akeys(sales.hstore) FROM clerk;
-- shop: grant on type sales.hstore
GRANT USAGE ON TYPE sales.hstore TO PUBLIC;
-- shop: grant on view sales.pg_stat_statements
GRANT SELECT ON sales.pg_stat_statements TO PUBLIC;
-- shop: grant on view column sales.pg_stat_statements.queryid
REVOKE SELECT (queryid) ON sales.pg_stat_statements FROM clerk;
-- shop: grant on foreign-data wrapper postgres_fdw
REVOKE USAGE ON FOREIGN DATA WRAPPER postgres_fdw FROM clerk;
-- shop: grant on language plpgsql
GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC;
-- shop: grant on function pg_catalog.pg_sleep(double precision)
GRANT EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) TO PUBLIC;
-- shop: grant on aggregate pg_catalog.sum(integer)
GRANT EXECUTE ON FUNCTION pg_catalog.sum(integer) TO PUBLIC;
-- shop: grant on schema pg_catalog
REVOKE CREATE ON SCHEMA pg_catalog FROM clerk;
-- shop: grant on type pg_catalog.circle
GRANT USAGE ON TYPE pg_catalog.circle TO PUBLIC;
-- shop: grant on table column pg_catalog.pg_authid.rolname
REVOKE UPDATE (rolname) ON pg_catalog.pg_authid FROM clerk;
-- role clerk
ALTER ROLE clerk CREATEDB;
-- role stranger
CREATE ROLE stranger;
-- role clerk
ALTER ROLE clerk RESET work_mem;
-- role clerk
ALTER ROLE clerk PASSWORD 'another';
-- role clerk
COMMENT ON ROLE clerk IS 'buys';
-- role "boss's ""role"""
ALTER ROLE "boss's ""role""" VALID UNTIL '2041-01-01';
-- membership of "boss's ""role""" in clerk
REVOKE ADMIN OPTION FOR clerk FROM "boss's ""role""";
-- membership of third in clerk
UPDATE pg_auth_members SET grantor = 10 WHERE member = 'third'::regrole AND roleid = 'clerk'::regrole;
-- membership of pg_monitor in clerk
REVOKE clerk FROM pg_monitor;
-- role clerk
INSERT INTO pg_shseclabel SELECT oid, 'pg_authid'::regclass, 'guard', 'secret'
  FROM pg_authid WHERE rolname = 'clerk';
-- shop: database
INSERT INTO pg_shseclabel SELECT oid, 'pg_database'::regclass, 'guard', 'secret'
  FROM pg_database WHERE datname = 'shop';
-- shop: security label on table column sales.r.r
INSERT INTO pg_seclabel VALUES
  ('sales.r'::regclass, 'pg_class'::regclass, 1, 'guard', 'secret');
-- shop: database
ALTER DATABASE shop SET timezone = 'UTC';
-- shop: database
ALTER ROLE clerk IN DATABASE shop RESET search_path;
-- shop: database
ALTER DATABASE shop CONNECTION LIMIT 7;
-- shop: database
ALTER DATABASE shop OWNER TO clerk;
-- shop: database
COMMENT ON DATABASE shop IS 'another';
-- shop: database
ALTER DATABASE shop IS_TEMPLATE true;
