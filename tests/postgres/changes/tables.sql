--- Tables and what hangs on them; above each change where it is seen.
-- shop: dependence of index sales.named_b on extension pg_trgm
ALTER INDEX sales.named_b NO DEPENDS ON EXTENSION pg_trgm;
-- shop: table sales.parent
ALTER TABLE sales.parent ALTER b DROP NOT NULL;
-- shop: table sales.named
ALTER TABLE sales.named ADD COLUMN late int;
-- shop: table sales.named
ALTER TABLE sales.named ALTER b SET DEFAULT 7;
-- shop: table sales.named
ALTER TABLE sales.named ALTER b TYPE bigint;
-- shop: table sales.named
ALTER TABLE sales.named ALTER b RESET (n_distinct);
-- shop: table sales.named
ALTER TABLE sales.named ALTER b SET STATISTICS 9;
-- shop: table sales.wide
ALTER TABLE sales.wide ALTER g SET STORAGE MAIN;
-- shop: table sales.wide
ALTER TABLE sales.wide ALTER r SET COMPRESSION default;
-- shop: table sales.wide
ALTER TABLE sales.wide ALTER id SET GENERATED ALWAYS;
-- shop: table sales.wide
ALTER TABLE sales.wide ALTER ah DROP EXPRESSION;
-- shop: table sales.r
ALTER TABLE sales.r ALTER t TYPE text COLLATE "C";
-- shop: table sales.wide
ALTER TABLE sales.wide RESET (fillfactor);
-- shop: table sales.wide
ALTER TABLE sales.wide RESET (toast.autovacuum_enabled);
-- shop: table sales.wide
ALTER TABLE sales.wide OWNER TO clerk;
-- shop: index sales.wide_pkey
ALTER TABLE sales.wide SET WITHOUT CLUSTER;
-- shop: table sales.typed
ALTER TABLE sales.typed SET UNLOGGED;
-- shop: table sales.nothing
ALTER TABLE sales.nothing SET ACCESS METHOD heaps;
-- shop: table sales.typed
ALTER TABLE sales.typed NOT OF;
-- shop: table sales.child
ALTER TABLE sales.child NO INHERIT sales.parent;
-- shop: table sales.kid
UPDATE pg_attribute SET attislocal = false
  WHERE attrelid = 'sales.kid'::regclass AND attname = 'a';
-- shop: table sales.orders_26
ALTER TABLE sales.orders DETACH PARTITION sales.orders_26;
-- shop: table sales.r
ALTER TABLE sales.r REPLICA IDENTITY FULL;
-- shop: index sales.named_a
ALTER TABLE sales.named REPLICA IDENTITY DEFAULT;
-- shop: table sales.secrets
ALTER TABLE sales.secrets FORCE ROW LEVEL SECURITY;
-- shop: table sales.secrets
ALTER TABLE sales.secrets DISABLE ROW LEVEL SECURITY;
-- shop: policy own on sales.secrets
ALTER POLICY own ON sales.secrets TO PUBLIC;
-- shop: policy own on sales.secrets
ALTER POLICY own ON sales.secrets USING (true);
-- shop: policy own on sales.secrets
DROP POLICY own ON sales.secrets;
-- shop: index sales.wide_moods
DROP INDEX sales.wide_moods;
-- shop: index sales.named_b
ALTER INDEX sales.named_b RESET (fillfactor);
-- shop: index sales.named_b
ALTER INDEX sales.named_b ALTER COLUMN 1 SET STATISTICS 3;
-- shop: statistics sales.wide_stats
DROP STATISTICS sales.wide_stats;
-- shop: constraint later on sales.kid
ALTER TABLE sales.kid VALIDATE CONSTRAINT later;
-- shop: constraint named_c_fkey on sales.named
ALTER TABLE sales.named ALTER CONSTRAINT named_c_fkey NOT DEFERRABLE;
-- shop: constraint named_c_fkey on sales.named
ALTER TABLE sales.named DROP CONSTRAINT named_c_fkey;
-- shop: constraint parent_late_check on sales.parent
UPDATE pg_constraint SET conislocal = false WHERE conname = 'parent_late_check'
  AND conrelid = 'sales.parent'::regclass;
-- shop: trigger stamped on sales.r
ALTER TABLE sales.r ENABLE TRIGGER stamped;
-- shop: trigger stamped on sales.r
ALTER TABLE sales.r ENABLE ALWAYS TRIGGER stamped;
-- shop: trigger counted on sales.orders_25
ALTER TABLE sales.orders_25 ENABLE TRIGGER counted;
-- shop: trigger checked on sales.named
DROP TRIGGER checked ON sales.named;
-- shop: rule aside on sales.r
ALTER TABLE sales.r ENABLE RULE aside;
-- shop: rule quiet on sales.r
DROP RULE quiet ON sales.r;
-- shop: view sales.dear
CREATE OR REPLACE VIEW sales.dear AS SELECT id, ab FROM sales.wide;
-- shop: view sales.dear
ALTER VIEW sales.dear ALTER ab DROP DEFAULT;
-- shop: view sales.guarded
ALTER VIEW sales.guarded RESET (security_barrier);
-- shop: view sales.guarded
ALTER VIEW sales.guarded RESET (check_option);
-- shop: materialized view sales.unseen
REFRESH MATERIALIZED VIEW sales.unseen;
-- shop: materialized view sales.long
ALTER MATERIALIZED VIEW sales.long RESET (toast.autovacuum_enabled);
-- shop: materialized view sales.long
ALTER TABLE sales.long REPLICA IDENTITY DEFAULT;
-- shop: foreign table sales.distant
ALTER FOREIGN TABLE sales.distant OPTIONS (SET name 'm');
-- shop: foreign table sales.distant
ALTER FOREIGN TABLE sales.distant ALTER a OPTIONS (name 'm');
-- shop: sequence sales.numbers
ALTER SEQUENCE sales.numbers INCREMENT 6;
-- shop: sequence sales.owned
ALTER SEQUENCE sales.owned OWNED BY NONE;
-- shop: sequence sales.owned
ALTER SEQUENCE sales.owned SET UNLOGGED;
