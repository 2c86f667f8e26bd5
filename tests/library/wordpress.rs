//! WordPress on MariaDB.

use crate::servers::mariadb::{Product, Server};
use crate::shipped;

/// The tables that the drill asks, as WordPress makes them (columns in use only).
const WORDPRESS: &str = "CREATE DATABASE wordpress CHARACTER SET utf8mb4; USE wordpress;
    CREATE TABLE wp_options (option_id bigint unsigned PRIMARY KEY AUTO_INCREMENT,
        option_name varchar(191) NOT NULL UNIQUE, option_value longtext NOT NULL);
    CREATE TABLE wp_posts (ID bigint unsigned PRIMARY KEY AUTO_INCREMENT,
        post_status varchar(20) NOT NULL, post_type varchar(20) NOT NULL,
        post_content longtext NOT NULL, post_modified_gmt datetime NOT NULL);
    CREATE TABLE wp_postmeta (meta_id bigint unsigned PRIMARY KEY AUTO_INCREMENT,
        post_id bigint unsigned NOT NULL, meta_key varchar(255), meta_value longtext);
    CREATE TABLE wp_usermeta (umeta_id bigint unsigned PRIMARY KEY AUTO_INCREMENT,
        user_id bigint unsigned NOT NULL, meta_key varchar(255), meta_value longtext);
    INSERT INTO wp_options (option_name, option_value) VALUES
        ('siteurl', 'https://blog.example.net'), ('home', 'https://blog.example.net');
    INSERT INTO wp_posts (post_status, post_type, post_content, post_modified_gmt) VALUES
        ('publish', 'post', 'Hallo 世界', utc_timestamp()), ('inherit', 'attachment', '', utc_timestamp());
    INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES
        (2, '_wp_attached_file', '2026/11/lamp.png');
    INSERT INTO wp_usermeta (user_id, meta_key, meta_value) VALUES
        (1, 'wp_capabilities', 'a:1:{s:13:\"administrator\";b:1;}')";

const UPLOAD: &str = "data/html/wp-content/uploads/2026/11/lamp.png";

/// What WordPress made of it.
const SMALL: &str = "data/html/wp-content/uploads/2026/11/lamp-150x150.png";

#[test]
fn wordpresses_pair_passes_and_finds_lost_and_cut_uploads_and_a_lost_address() {
    let server = Server::start(Product::Mariadb);
    server.sql(WORDPRESS);
    let bench = shipped::bench(
        "wordpress-mariadb",
        &[
            ("/run/mysqld/mysqld.sock", server.socket().to_str().unwrap()),
            ("/etc/lifeboat/wordpress-database", "keys/database"),
            ("/var/www/html", "data/html"),
        ],
    );
    shipped::put_picture(&bench, UPLOAD);
    shipped::put_picture(&bench, SMALL);
    shipped::put(&bench, "data/html/wp-content/themes/own/style.css", "body {}");
    shipped::put(&bench, "data/html/wp-config.php", "<?php");
    shipped::admit(&bench, "wordpress", &server);
    shipped::passes(&bench, "wordpress");

    std::fs::remove_file(bench.path(UPLOAD)).unwrap();
    shipped::cut(&bench, SMALL);
    server.sql(
        "UPDATE wordpress.wp_options SET option_value = '' WHERE option_name = 'home';
         UPDATE wordpress.wp_usermeta SET meta_value = 'a:1:{s:10:\"subscriber\";b:1;}'",
    );

    let broken = [
        "somebody can administer it",
        "it knows its own address",
        "every upload is there",
        "every picture is whole",
    ];
    shipped::fails_by(&bench, "wordpress", &broken);
}
