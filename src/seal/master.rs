//! The master key: seals and opens bytes.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use poly1305::{Poly1305, universal_hash::KeyInit};
use rand::TryRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes that sealing adds: a 16-byte IV before and a 16-byte MAC after the cipher text.
pub const OVERHEAD: usize = 32;

/// The part of [`OVERHEAD`] that stands before the cipher text.
pub const BEFORE: usize = IV;

const IV: usize = 16;
const MAC: usize = 16;

/// What was opened is not what was sealed with this key: damaged, cut short, or another's.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the sealed bytes are damaged or sealed with another key")]
pub struct Unauthentic;

/// The key of one customer's repository and ledger.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    pub(super) encrypt: [u8; 32],
    /// Poly1305-AES's AES key.
    pub(super) mac_k: [u8; 16],
    /// Poly1305's `r`, clamped when used.
    pub(super) mac_r: [u8; 16],
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// A new key from the system's random numbers.
    pub fn generate() -> Self {
        let mut key = Self { encrypt: [0; 32], mac_k: [0; 16], mac_r: [0; 16] };
        for part in [&mut key.encrypt[..], &mut key.mac_k[..], &mut key.mac_r[..]] {
            fill(part);
        }
        key
    }

    /// Seals `plain` under a fresh random IV.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        self.seal_onto(plain, &mut sealed);
        sealed
    }

    /// Appends the sealed form of `plain` to `out`: its length plus [`OVERHEAD`].
    pub fn seal_onto(&self, plain: &[u8], out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0; IV]);
        out.extend_from_slice(plain);
        out.extend_from_slice(&[0; MAC]);
        self.seal_in_place(&mut out[begin..]);
    }

    /// Seals what lies in `room` between [`BEFORE`] free bytes in front and as many behind as make
    /// [`OVERHEAD`] of both.
    pub fn seal_in_place(&self, room: &mut [u8]) {
        let (iv, rest) = room.split_first_chunk_mut::<IV>().expect("room for an IV");
        let (text, mac) = rest.split_last_chunk_mut::<MAC>().expect("room for a MAC");
        fill(iv);
        self.apply_keystream(*iv, text);
        *mac = self.mac(*iv, text);
    }

    /// Opens what [`Self::seal`] made; nothing is decrypted before the MAC is found right.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, Unauthentic> {
        let (iv, text) = self.authentic(sealed)?;
        let mut plain = text.to_vec();
        self.apply_keystream(iv, &mut plain);
        Ok(plain)
    }

    /// As [`Self::open`], into `plain`, whose room is used again.
    pub fn open_into(&self, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), Unauthentic> {
        let (iv, text) = self.authentic(sealed)?;
        plain.clear();
        plain.extend_from_slice(text);
        self.apply_keystream(iv, plain);
        Ok(())
    }

    /// IV and cipher text, if the MAC is right.
    fn authentic<'s>(&self, sealed: &'s [u8]) -> Result<([u8; IV], &'s [u8]), Unauthentic> {
        let (iv, rest) = sealed.split_first_chunk::<IV>().ok_or(Unauthentic)?;
        let (text, mac) = rest.split_last_chunk::<MAC>().ok_or(Unauthentic)?;
        if bool::from(self.mac(*iv, text).ct_eq(mac)) { Ok((*iv, text)) } else { Err(Unauthentic) }
    }

    fn apply_keystream(&self, iv: [u8; IV], text: &mut [u8]) {
        keystream(UnboundCipherKey::new(&AES_256, &self.encrypt), iv, text);
    }

    /// Poly1305-AES (Bernstein 2005): the key is `r ‖ AES-128(k, nonce)`.
    fn mac(&self, nonce: [u8; IV], text: &[u8]) -> [u8; MAC] {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&self.mac_r);
        // The first block of a CTR key stream is the encrypted counter, here the nonce itself.
        keystream(UnboundCipherKey::new(&AES_128, &self.mac_k), nonce, &mut key[16..]);
        let tag = Poly1305::new(&key.into()).compute_unpadded(text);
        key.zeroize();
        tag.into()
    }
}

fn keystream(
    key: Result<UnboundCipherKey, aws_lc_rs::error::Unspecified>,
    iv: [u8; IV],
    text: &mut [u8],
) {
    key.and_then(EncryptingKey::ctr)
        .and_then(|key| {
            key.less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from(iv)))
        })
        .expect("AES-CTR takes a key of its own length and text of any length");
}

fn fill(bytes: &mut [u8]) {
    rand::rngs::SysRng.try_fill_bytes(bytes).expect("the system gives random numbers");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poly1305_aes_agrees_with_bernsteins_test_vector() {
        // The Poly1305-AES message-authentication code, appendix B, second example.
        let hexed = |text: &str| -> [u8; 16] { hex::decode(text).unwrap().try_into().unwrap() };
        let key = MasterKey {
            encrypt: [0; 32],
            mac_k: hexed("75deaa25c09f208e1dc4ce6b5cad3fbf"),
            mac_r: hexed("a0f3080000f46400d0c7e9076c834403"),
        };

        let mac = key.mac(hexed("61ee09218d29b0aaed7e154a2c5509cc"), b"");

        assert_eq!(hex::encode(mac), "dd3fab2251f11ac759f0887129cc2ee7");
    }

    #[test]
    fn what_was_sealed_opens_and_any_flipped_bit_is_refused() {
        let key = MasterKey::generate();
        let sealed = key.seal(b"forty-two");

        assert_eq!(key.open(&sealed).unwrap(), b"forty-two");
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(key.open(&sealed[..length]).is_err(), "length {length}");
        }
        assert!(MasterKey::generate().open(&sealed).is_err(), "another key");
    }
}
