//! A shop like ECShop: MariaDB, Redis and a tree of pictures.

use crate::bench::Bench;
use crate::servers::mariadb::{Product, Server as Mariadb};
use crate::servers::redis::Server as Redis;
use crate::shipped;

/// The tables that the drill asks, as ECShop makes them (columns in use only), with three orders.
const ECSHOP: &str = "CREATE DATABASE ecshop; USE ecshop;
    CREATE TABLE ecs_order_info (order_id mediumint unsigned PRIMARY KEY AUTO_INCREMENT,
        order_sn varchar(20) NOT NULL UNIQUE, order_amount decimal(10,2) NOT NULL,
        add_time int unsigned NOT NULL);
    CREATE TABLE ecs_order_goods (rec_id mediumint unsigned PRIMARY KEY AUTO_INCREMENT,
        order_id mediumint unsigned NOT NULL, goods_id mediumint unsigned NOT NULL,
        goods_number smallint unsigned NOT NULL, KEY (order_id));
    CREATE TABLE ecs_goods_gallery (img_id mediumint unsigned PRIMARY KEY AUTO_INCREMENT,
        goods_id mediumint unsigned NOT NULL, img_url varchar(255) NOT NULL);
    CREATE TABLE ecs_admin_user (user_id smallint unsigned PRIMARY KEY, action_list text NOT NULL);
    INSERT INTO ecs_order_info (order_sn, order_amount, add_time)
        SELECT 2026112600000 + seq, seq * 19.9, unix_timestamp() - 36000 - seq FROM seq_1_to_3;
    INSERT INTO ecs_order_goods (order_id, goods_id, goods_number) SELECT seq, 1, 2 FROM seq_1_to_3;
    INSERT INTO ecs_goods_gallery (goods_id, img_url) VALUES
        (1, 'images/202611/goods_img/1_P_1.jpg'), (1, 'https://cdn.example.net/1.jpg');
    INSERT INTO ecs_admin_user VALUES (1, 'all')";

const PICTURE: &str = "data/ecshop/images/202611/goods_img/1_P_1.jpg";

const OTHER: &str = "data/ecshop/images/202611/goods_img/2_P_2.jpg";

fn shop(orders: &Mariadb, sessions: &Redis) -> Bench {
    orders.sql(ECSHOP);
    sessions.run("SET PHPREDIS_SESSION:1 cart EX 9000");
    let bench = shipped::bench(
        "ecshop-mariadb",
        &[
            ("/run/mysqld/mysqld.sock", orders.socket().to_str().unwrap()),
            ("/etc/lifeboat/shop-database", "keys/database"),
            ("127.0.0.1", sessions.socket().to_str().unwrap()),
            ("/var/www/ecshop", "data/ecshop"),
        ],
    );
    shipped::put_picture(&bench, PICTURE);
    shipped::put_picture(&bench, OTHER);
    shipped::put(&bench, "data/ecshop/data/config.php", "<?php");
    shipped::admit(&bench, "shop", orders);
    bench
}

#[test]
fn the_shops_pair_passes_and_finds_lost_and_cut_pictures_and_orders_that_stopped_coming() {
    let (orders, sessions) = (Mariadb::start(Product::Mariadb), Redis::start());
    let bench = shop(&orders, &sessions);
    shipped::passes(&bench, "shop");

    std::fs::remove_file(bench.path(PICTURE)).unwrap();
    shipped::cut(&bench, OTHER);
    orders.sql(
        "UPDATE ecshop.ecs_order_info SET add_time = add_time - 2 * 86400;
         DELETE FROM ecshop.ecs_order_goods WHERE order_id = 2",
    );

    let broken = [
        "orders were coming in",
        "no order lacks its goods",
        "every picture is there",
        "every picture is whole",
    ];
    shipped::fails_by(&bench, "shop", &broken);
}
