//! A shop like WooCommerce: MariaDB, an object cache in Redis and a tree of uploads.

use crate::servers::mariadb::{Product, Server as Mariadb};
use crate::servers::redis::Server as Redis;
use crate::shipped;

/// The tables that the drill asks, as WordPress and WooCommerce make them (columns in use only), with one
/// product and two orders, of which one was never placed.
const WOOCOMMERCE: &str = "CREATE DATABASE wordpress CHARACTER SET utf8mb4; USE wordpress;
    CREATE TABLE wp_options (option_id bigint unsigned PRIMARY KEY AUTO_INCREMENT,
        option_name varchar(191) NOT NULL UNIQUE, option_value longtext NOT NULL);
    CREATE TABLE wp_posts (ID bigint unsigned PRIMARY KEY AUTO_INCREMENT,
        post_status varchar(20) NOT NULL, post_type varchar(20) NOT NULL, post_title text NOT NULL);
    CREATE TABLE wp_postmeta (meta_id bigint unsigned PRIMARY KEY AUTO_INCREMENT,
        post_id bigint unsigned NOT NULL, meta_key varchar(255), meta_value longtext);
    CREATE TABLE wp_usermeta (umeta_id bigint unsigned PRIMARY KEY AUTO_INCREMENT,
        user_id bigint unsigned NOT NULL, meta_key varchar(255), meta_value longtext);
    CREATE TABLE wp_wc_orders (id bigint unsigned PRIMARY KEY, status varchar(20), currency varchar(10),
        type varchar(20), total_amount decimal(26,8), customer_id bigint unsigned, date_created_gmt datetime);
    CREATE TABLE wp_woocommerce_order_items (order_item_id bigint unsigned PRIMARY KEY AUTO_INCREMENT,
        order_item_name text NOT NULL, order_item_type varchar(200) NOT NULL, order_id bigint unsigned NOT NULL);
    INSERT INTO wp_options (option_name, option_value) VALUES
        ('siteurl', 'https://shop.example.net'), ('home', 'https://shop.example.net');
    INSERT INTO wp_posts VALUES (1, 'publish', 'product', 'Lamp'), (2, 'inherit', 'attachment', 'lamp');
    INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES
        (1, '_thumbnail_id', '2'), (2, '_wp_attached_file', '2026/11/lamp.png');
    INSERT INTO wp_usermeta (user_id, meta_key, meta_value) VALUES
        (1, 'wp_capabilities', 'a:1:{s:13:\"administrator\";b:1;}');
    INSERT INTO wp_wc_orders VALUES (11, 'wc-processing', 'EUR', 'shop_order', 120.5, 1, utc_timestamp()),
        (12, 'wc-checkout-draft', 'EUR', 'shop_order', 0, 0, utc_timestamp());
    INSERT INTO wp_woocommerce_order_items (order_item_name, order_item_type, order_id) VALUES
        ('Lamp', 'line_item', 11)";

const UPLOAD: &str = "data/html/wp-content/uploads/2026/11/lamp.png";

/// What WordPress made of it.
const SMALL: &str = "data/html/wp-content/uploads/2026/11/lamp-150x150.png";

#[test]
fn woocommerces_pair_passes_and_finds_products_without_pictures_and_orders_that_stopped_coming() {
    let (database, cache) = (Mariadb::start(Product::Mariadb), Redis::start());
    database.sql(WOOCOMMERCE);
    cache.run("SET wp:options:alloptions all");
    let bench = shipped::bench(
        "woocommerce-mariadb",
        &[
            ("/run/mysqld/mysqld.sock", database.socket().to_str().unwrap()),
            ("/etc/lifeboat/woocommerce-database", "keys/database"),
            ("127.0.0.1", cache.socket().to_str().unwrap()),
            ("/var/www/html", "data/html"),
        ],
    );
    shipped::put_picture(&bench, UPLOAD);
    shipped::put_picture(&bench, SMALL);
    shipped::put(&bench, "data/html/wp-content/plugins/woocommerce/woocommerce.php", "<?php");
    shipped::put(&bench, "data/html/wp-config.php", "<?php");
    shipped::admit(&bench, "woocommerce", &database);
    shipped::passes(&bench, "woocommerce");

    shipped::cut(&bench, SMALL);
    cache.run("FLUSHALL");
    database.sql(
        "USE wordpress; UPDATE wp_wc_orders SET date_created_gmt = date_created_gmt - INTERVAL 2 DAY;
         DELETE FROM wp_woocommerce_order_items; UPDATE wp_usermeta SET meta_value = 'a:0:{}';
         DELETE FROM wp_postmeta WHERE meta_key = '_wp_attached_file'",
    );

    let broken = [
        "orders were coming in",
        "no order lacks its items",
        "somebody can administer it",
        "every product's picture is there",
        "every picture is whole",
        "the object cache is warm",
    ];
    shipped::fails_by(&bench, "woocommerce", &broken);
}
