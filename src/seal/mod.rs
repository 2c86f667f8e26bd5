//! Keys, sealing and opening: what restic calls crypto, shared by repository and ledger.
//!
//! AES-256-CTR with Poly1305-AES over the cipher text; layout `IV (16) ‖ cipher text ‖ MAC (16)`.
//! The master key lies in the repository, sealed with a key that scrypt derives from the password.
//! Source: restic's doc/design.rst, "Keys, Encryption and MAC". Blocking, CPU only.

mod key_file;
mod master;

pub use key_file::{Cost, Error, KeyFile};
pub use master::{BEFORE, MasterKey, OVERHEAD, Unauthentic};
