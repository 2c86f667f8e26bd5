//! Real database servers on unix sockets in temporary folders, for tests.
#![allow(dead_code, reason = "each test program uses a part")]

pub mod mariadb;
pub mod postgres;
pub mod redis;
