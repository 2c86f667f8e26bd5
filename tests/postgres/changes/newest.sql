--- What only the newest version has; above each change where it is seen.
-- shop: constraint "must be" on sales.named
ALTER TABLE sales.named RENAME CONSTRAINT "must be" TO must;
-- shop: domain sales.sure
ALTER DOMAIN sales.sure RENAME CONSTRAINT "is there" TO here;
-- shop: constraint late on sales.named
ALTER TABLE sales.named ADD CONSTRAINT late NOT NULL b NOT VALID;
-- shop: constraint named_c_fkey on sales.named
ALTER TABLE sales.named ALTER CONSTRAINT named_c_fkey NOT ENFORCED;
-- shop: table sales.named
ALTER TABLE sales.named ADD v int GENERATED ALWAYS AS (b * 2) VIRTUAL;
-- shop: publication few
ALTER PUBLICATION few SET (publish_generated_columns = stored);
