//! A recovery by an ordinary user, in a user namespace; root runs this file once more as one.
//!
//! With PostgreSQL 15, which is Debian's own: the others lie where only root may go.

#[path = "postgres_recovery/bench.rs"]
#[allow(dead_code, reason = "one test uses a part")]
mod bench;
mod ordinary;
mod servers;

use bench::{Bench, SHOP, held, nothing_of};

#[test]
fn dumps_come_up_equal_and_nothing_is_left() {
    let bench = Bench::capture(15, &[("shop", SHOP)]);
    let scratch = bench.scratch();

    let mut recovered = bench.recover(&scratch).unwrap();

    held(&bench.self_check(&mut *recovered));
    held(&bench.equality(&mut *recovered));
    let me = rustix::process::geteuid();
    let uid = if me.is_root() { 65534 } else { me.as_raw() };
    let told = recovered.confinement().unwrap();
    assert!(told.contains(&format!("uid {uid}")), "{told}");
    recovered.stop().unwrap();
    let token = scratch.token().to_owned();
    scratch.remove().unwrap();
    assert!(nothing_of(&token));
}

#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    ordinary::all_of_it_holds_for_an_ordinary_user();
}
