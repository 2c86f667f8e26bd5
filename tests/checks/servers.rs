//! A shop on real servers, its pictures beside it: what one says of the other, and a program that asks
//! all of them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::bench::Bench;
use crate::check;
use crate::servers::{mariadb, postgres, redis};

/// Asks each server as it is told to, and says how much it compared.
const LOOK: &str = r#"#!/bin/bash
set -e
orders=$(mariadb --no-defaults --socket="$LIFEBOAT_SHOP_SOCKET" --user="$LIFEBOAT_SHOP_USER" -N -e "SELECT count(*) FROM shop.orders")
seen=$(/usr/lib/postgresql/15/bin/psql -X -A -t -h "$LIFEBOAT_LEDGER_HOST" -p "$LIFEBOAT_LEDGER_PORT" -U "$LIFEBOAT_LEDGER_USER" books -c "SELECT count(*) FROM booked")
cached=$(redis-cli -s "$LIFEBOAT_CACHE_SOCKET" GET orders)
if mariadb --no-defaults --socket="$LIFEBOAT_SHOP_SOCKET" --user="$LIFEBOAT_SHOP_USER" -e "DELETE FROM shop.orders" 2>/dev/null; then
  echo "orders can be removed"; exit 1
fi
[ -f "$LIFEBOAT_UPLOADS_FOLDER/p1.jpg" ]
if [ "$orders" != "$seen" ] || [ "$orders" != "$cached" ]; then
  echo "$orders orders, $seen booked, $cached in the cache"; exit 1
fi
echo "compared $orders"
"#;

struct Shop {
    mariadb: mariadb::Server,
    postgres: postgres::Server,
    redis: redis::Server,
    bench: Bench,
}

impl Shop {
    fn new() -> Self {
        let (mariadb, postgres, redis) = (
            mariadb::Server::start(mariadb::Product::Mariadb),
            postgres::Server::start(15),
            redis::Server::start(),
        );
        mariadb.sql(
            "CREATE DATABASE shop; USE shop;
             CREATE TABLE orders (id INT PRIMARY KEY); INSERT INTO orders SELECT seq FROM seq_1_to_40;
             CREATE TABLE products (picture VARCHAR(80));
             INSERT INTO products SELECT CONCAT('p', seq, '.jpg') FROM seq_0_to_11;",
        );
        postgres.psql("postgres", "CREATE DATABASE books");
        postgres.psql("books", "CREATE TABLE booked AS SELECT generate_series(1, 40) AS id");
        redis.run("SET orders 40");
        let bench = Bench::new();
        bench.protect(&format!(
            r#"[[source]]
name = "shop"
kind = "mariadb"
host = "{}"
user = "{}"
databases = ["shop"]

[[source]]
name = "ledger"
kind = "postgres"
host = "{}"
port = {}
user = "{}"
databases = ["books"]

[[source]]
name = "cache"
kind = "redis"
host = "{}"

[[source]]
name = "uploads"
kind = "files"
paths = ["data/files"]
"#,
            mariadb.socket().display(),
            mariadb::ADMINISTRATOR,
            postgres.socket().display(),
            postgres.port(),
            postgres::SUPERUSER,
            redis.socket().display()
        ));
        bench.check(
            "[[check]]\nname = \"every picture exists\"\nsource = \"shop\"\n\
             query = \"SELECT picture FROM products\"\nfiles_in = \"uploads\"\n\n\
             [[check]]\nname = \"all agree\"\nrun = [\"./look\"]\n",
        );
        bench.write("look", LOOK.to_owned());
        std::fs::set_permissions(bench.path("look"), Permissions::from_mode(0o755)).unwrap();
        Self { mariadb, postgres, redis, bench }
    }

    fn drilled(&self) -> (i32, Value) {
        self.bench.backup();
        let (code, drill) = self.bench.drill();
        assert!(self.bench.leftovers().is_empty());
        (code, drill)
    }
}

#[test]
fn sources_of_one_snapshot_are_up_side_by_side_and_a_lie_between_them_is_named() {
    let shop = Shop::new();

    let (code, drill) = shop.drilled();

    assert_eq!((code, &drill["verdict"]), (0, &"pass".into()), "{drill:#}");
    assert_eq!(check(&drill, "every picture exists")["compared"], 12);
    assert_eq!(check(&drill, "all agree")["compared"], 40);

    // Each source equals what was captured of it; only together they show that something is wrong.
    std::fs::remove_file(shop.bench.path("data/files/p7.jpg")).unwrap();
    shop.redis.run("SET orders 41");
    let (code, drill) = shop.drilled();
    assert_eq!((code, &drill["verdict"]), (4, &"fail".into()), "{drill:#}");
    for source in ["shop", "ledger", "cache", "uploads"] {
        assert_eq!(check(&drill, &format!("equality of {source}"))["outcome"], "held", "{drill:#}");
    }
    let missing = &check(&drill, "every picture exists")["places"];
    assert_eq!(
        (missing.as_array().unwrap().len(), &missing[0]["object"]),
        (1, &"file p7.jpg".into())
    );
    let place = &check(&drill, "all agree")["places"][0];
    assert_eq!(place["what"], "40 orders, 40 booked, 41 in the cache");

    shop.mariadb.sql("DELETE FROM shop.products");
    shop.postgres.psql("books", "DROP TABLE booked");
    let (code, drill) = shop.drilled();
    assert_ne!(code, 0, "{drill:#}");
    assert_eq!(check(&drill, "every picture exists")["outcome"], "not-run", "a list of nothing");
    assert_eq!(check(&drill, "all agree")["outcome"], "broke", "{drill:#}");
}
