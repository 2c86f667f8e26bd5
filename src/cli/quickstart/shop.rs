//! The sample shop: an SQLite database with some thousand orders and a tree of pictures.
//!
//! The same in every quickstart, so that a reader can compare what they see with the guide.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, params};

/// How many products the shop sells; each has a picture.
const PRODUCTS: u32 = 240;
/// How many orders it starts with.
const ORDERS: u32 = 4_000;

/// Makes `shop.db` and `uploads/` in `folder`.
pub(super) fn create(folder: &Path) -> anyhow::Result<()> {
    let uploads = folder.join("uploads");
    let mut noise = Noise(20_240_229);
    for product in 1..=PRODUCTS {
        let path = uploads.join(picture(product));
        let parent = path.parent().unwrap_or(&uploads);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        let body = bitmap(&mut noise);
        fs::write(&path, body).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut database = open(folder)?;
    database.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE products (
           id INTEGER PRIMARY KEY, name TEXT NOT NULL, cents INTEGER NOT NULL, picture TEXT);
         CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);
         CREATE TABLE orders (
           id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers,
           placed TEXT NOT NULL, state TEXT NOT NULL);
         CREATE TABLE order_lines (
           order_id INTEGER NOT NULL REFERENCES orders, product INTEGER NOT NULL REFERENCES products,
           quantity INTEGER NOT NULL, cents INTEGER NOT NULL, PRIMARY KEY (order_id, product));
         CREATE INDEX orders_by_day ON orders (placed);
         CREATE VIEW turnover AS
           SELECT date(placed) AS day, sum(quantity * cents) AS cents
           FROM orders JOIN order_lines ON order_id = orders.id GROUP BY day;",
    )?;
    let work = database.transaction()?;
    for product in 1..=PRODUCTS {
        work.execute(
            "INSERT INTO products VALUES (?1, ?2, ?3, ?4)",
            params![
                product,
                format!("搪瓷杯 enamel mug no. {product}"),
                price(product),
                picture(product)
            ],
        )?;
    }
    const CITIES: [&str; 6] = ["上海", "杭州", "深圳", "成都", "Hamburg", "Utrecht"];
    for customer in 1..=800u32 {
        let city = CITIES[customer as usize % CITIES.len()];
        work.execute(
            "INSERT INTO customers VALUES (?1, ?2, ?3)",
            params![customer, format!("customer {customer}"), city],
        )?;
    }
    work.commit()?;
    sell(&mut database, 1..=ORDERS)?;
    Ok(())
}

/// A day passes: new orders, one product's picture is replaced, another is added.
pub(super) fn carry_on(folder: &Path) -> anyhow::Result<()> {
    let mut database = open(folder)?;
    sell(&mut database, ORDERS + 1..=ORDERS + 180)?;
    database.execute("UPDATE orders SET state = 'shipped' WHERE id BETWEEN 3900 AND 4000", [])?;
    let mut noise = Noise(7);
    let added = PRODUCTS + 1;
    for product in [17, added] {
        let path = folder.join("uploads").join(picture(product));
        fs::write(&path, bitmap(&mut noise))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    database.execute(
        "INSERT INTO products VALUES (?1, '竹蒸笼 bamboo steamer', 4900, ?2)",
        params![added, picture(added)],
    )?;
    Ok(())
}

fn open(folder: &Path) -> anyhow::Result<Connection> {
    let path = folder.join("shop.db");
    Connection::open(&path).with_context(|| format!("cannot open {}", path.display()))
}

fn sell(database: &mut Connection, orders: std::ops::RangeInclusive<u32>) -> anyhow::Result<()> {
    let work = database.transaction()?;
    {
        let mut order = work.prepare(
            "INSERT INTO orders VALUES (?1, ?2, datetime('now', ?3 || ' minutes'), 'paid')",
        )?;
        let mut line = work.prepare("INSERT INTO order_lines VALUES (?1, ?2, ?3, ?4)")?;
        for id in orders {
            let age = i64::from(id) - i64::from(ORDERS) - 200;
            order.execute(params![id, id % 800 + 1, age * 7])?;
            for step in 0..=id % 3 {
                let product = (id * 31 + step * 77) % PRODUCTS + 1;
                line.execute(params![id, product, step + 1, price(product)])?;
            }
        }
    }
    work.commit()?;
    Ok(())
}

fn price(product: u32) -> u32 {
    990 + product * 137 % 12_000
}

fn picture(product: u32) -> String {
    format!("products/{:02}/{product:04}.bmp", product % 20)
}

/// A small picture that a viewer opens: 48 × 48 pixels, 24 bits, Windows bitmap.
fn bitmap(noise: &mut Noise) -> Vec<u8> {
    const SIDE: u32 = 48;
    let pixels = SIDE * SIDE * 3;
    let mut file = Vec::with_capacity(54 + pixels as usize);
    file.extend(b"BM");
    for word in [54 + pixels, 0, 54, 40, SIDE, SIDE] {
        file.extend(word.to_le_bytes());
    }
    file.extend([1, 0, 24, 0]);
    for word in [0, pixels, 2835, 2835, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    let (base, step) = (noise.next(), noise.next());
    for at in 0..SIDE * SIDE {
        let shade = base.wrapping_add(at / SIDE * (step & 7)) as u8;
        file.extend([shade, shade.wrapping_mul(3), shade.wrapping_add(noise.next() as u8 & 15)]);
    }
    file
}

/// Marsaglia's xorshift (2003): looks random, is the same everywhere.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}
