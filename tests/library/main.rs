//! The shipped library: each pair of policy and drill loads, passes on its platform's tables and files,
//! and finds a lie. The pair for PostgreSQL is proven in `tests/postgres/library.rs`.

#[path = "../bench/mod.rs"]
mod bench;
mod files;
mod magento;
#[path = "../servers/mod.rs"]
mod servers;
mod shipped;
mod sold;
mod woocommerce;
mod wordpress;
mod written;
