//! Scratch environments, and unprivileged processes that live in them (design §12, "Sandbox").
//!
//! In: a folder for scratch, limits. Out: a [`Scratch`] with an owner token, and children that
//! have no keys, no privileges and no network. Blocking.

mod scratch;

pub use scratch::Scratch;
