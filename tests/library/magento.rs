//! A shop like Magento: MySQL, Redis and a tree of media.

use crate::servers::mariadb::{Product, Server as Mysql};
use crate::servers::redis::Server as Redis;
use crate::shipped;

/// The tables that the drill asks, as Magento makes them (columns in use only), with two orders.
const MAGENTO: &str = "CREATE DATABASE magento; USE magento;
    CREATE TABLE sales_order (entity_id int unsigned PRIMARY KEY AUTO_INCREMENT,
        status varchar(32), base_grand_total decimal(20,4), increment_id varchar(50),
        created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, KEY (created_at));
    CREATE TABLE sales_order_item (item_id int unsigned PRIMARY KEY AUTO_INCREMENT,
        order_id int unsigned NOT NULL, sku varchar(255), qty_ordered decimal(12,4),
        FOREIGN KEY (order_id) REFERENCES sales_order (entity_id) ON DELETE CASCADE);
    CREATE TABLE catalog_product_entity_media_gallery (value_id int unsigned PRIMARY KEY AUTO_INCREMENT,
        attribute_id smallint unsigned NOT NULL, value varchar(255), media_type varchar(32) NOT NULL);
    CREATE TABLE admin_user (user_id int unsigned PRIMARY KEY AUTO_INCREMENT,
        username varchar(40), is_active smallint NOT NULL DEFAULT 1);
    CREATE TABLE core_config_data (config_id int unsigned PRIMARY KEY AUTO_INCREMENT,
        scope varchar(8) NOT NULL, scope_id int NOT NULL, path varchar(255) NOT NULL, value text);
    INSERT INTO sales_order (status, base_grand_total, increment_id) VALUES
        ('processing', 120.5000, '000000001'), ('complete', 30.2500, '000000002');
    INSERT INTO sales_order_item (order_id, sku, qty_ordered) VALUES (1, 'LAMP', 2), (2, 'CABLE', 1);
    INSERT INTO catalog_product_entity_media_gallery (attribute_id, value, media_type) VALUES
        (90, '/l/a/lamp.jpg', 'image'), (90, '/l/a/lamp_2.jpg', 'image'), (90, NULL, 'external-video');
    INSERT INTO admin_user (username) VALUES ('ada');
    INSERT INTO core_config_data (scope, scope_id, path, value) VALUES
        ('default', 0, 'web/unsecure/base_url', 'https://shop.example.net/'),
        ('default', 0, 'web/secure/base_url', 'https://shop.example.net/')";

const PICTURE: &str = "data/magento/pub/media/catalog/product/l/a/lamp.jpg";

const OTHER: &str = "data/magento/pub/media/catalog/product/l/a/lamp_2.jpg";

#[test]
fn magentos_pair_passes_on_mysql_and_finds_lost_and_cut_pictures_and_orders_without_items() {
    let (database, sessions) = (Mysql::start(Product::Mysql), Redis::start());
    database.sql(MAGENTO);
    sessions.run("SELECT 2\nSET sess_1 cart EX 9000");
    let bench = shipped::bench(
        "magento-mysql",
        &[
            ("/run/mysqld/mysqld.sock", database.socket().to_str().unwrap()),
            ("/etc/lifeboat/magento-database", "keys/database"),
            ("127.0.0.1", sessions.socket().to_str().unwrap()),
            ("/var/www/magento", "data/magento"),
        ],
    );
    let programs = Product::Mysql.root();
    let engine = format!("[[engine]]\nkind = \"mysql\"\nversion = \"9.7\"\npath = {programs:?}\n");
    bench.edit("lifeboat.toml", "[signing]", &format!("{engine}\n[signing]"));
    shipped::put_picture(&bench, PICTURE);
    shipped::put_picture(&bench, OTHER);
    // What Magento makes anew is left out, broken or not.
    shipped::put(&bench, "data/magento/pub/media/catalog/product/cache/lamp.jpg", "half");
    shipped::put(&bench, "data/magento/app/etc/env.php", "<?php return ['crypt' => []];");
    shipped::admit(&bench, "magento", &database);
    shipped::passes(&bench, "magento");

    std::fs::remove_file(bench.path(PICTURE)).unwrap();
    shipped::cut(&bench, OTHER);
    sessions.run("SELECT 2\nDEL sess_1");
    database.sql(
        "USE magento; UPDATE sales_order SET created_at = created_at - INTERVAL 2 DAY;
         DELETE FROM sales_order_item WHERE order_id = 2; UPDATE admin_user SET is_active = 0;
         UPDATE core_config_data SET value = '' WHERE path = 'web/secure/base_url'",
    );

    let broken = [
        "orders were coming in",
        "no order lacks its items",
        "somebody can administer it",
        "it knows its own address",
        "every picture is there",
        "every picture is whole",
        "customers are still logged in",
    ];
    shipped::fails_by(&bench, "magento", &broken);
}
