//! Key files: the master key sealed with a password, as objects under `keys/`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::master::{MasterKey, Unauthentic};

/// What scrypt shall cost: N = 2^`log_n`, r, p.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub log_n: u8,
    pub r: u32,
    pub p: u32,
}

impl Cost {
    /// restic's floor, and lifeboat's choice: 32 MiB of memory, some 60 ms.
    pub const DEFAULT: Self = Self { log_n: 15, r: 8, p: 1 };
}

/// The most memory that a key file may ask for, in bytes: 1 GiB for N blocks, and room for p.
const MOST_MEMORY: u128 = (1 << 30) + (16 << 20);

/// The most memory to be filled, p times N blocks: some ten seconds; restic calibrates its own to half
/// a second.
const MOST_WORK: u128 = 4 << 30;

/// Why a key file did not give its master key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the key file is not one of restic's: {0}")]
    Malformed(String),
    #[error("the key file asks for {bytes} bytes of memory; at most 1040 MiB are allowed")]
    TooDear { bytes: u128 },
    #[error("the key file asks for {work} bytes of scrypt's work; at most 4 GiB are allowed")]
    TooSlow { work: u128 },
    #[error("the password does not open this key")]
    WrongPassword,
}

/// A key file as it is stored: JSON, not sealed as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyFile {
    #[serde(default)]
    pub created: String,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub hostname: String,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

#[derive(Serialize, Deserialize)]
struct Mac {
    k: String,
    r: String,
}

#[derive(Serialize, Deserialize)]
struct Plain {
    mac: Mac,
    encrypt: String,
}

impl KeyFile {
    /// Seals `key` with `password`; takes scrypt's time.
    pub fn create(
        password: &SecretString,
        key: &MasterKey,
        cost: Cost,
        created: jiff::Timestamp,
        hostname: &str,
    ) -> Self {
        let mut salt = [0; 64];
        rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut salt)
            .expect("the system gives random numbers");
        let derived = derive(password, &salt, cost).expect("our own cost is within bounds");
        let plain = Plain {
            mac: Mac { k: STANDARD.encode(key.mac_k), r: STANDARD.encode(key.mac_r) },
            encrypt: STANDARD.encode(key.encrypt),
        };
        let plain =
            Zeroizing::new(serde_json::to_vec(&plain).expect("three strings are always JSON"));
        Self {
            created: created.to_string(),
            username: "lifeboat".into(),
            hostname: hostname.to_owned(),
            kdf: "scrypt".into(),
            n: 1 << cost.log_n,
            r: cost.r,
            p: cost.p,
            salt: STANDARD.encode(salt),
            data: STANDARD.encode(derived.seal(&plain)),
        }
    }

    /// Opens the file with `password`; takes scrypt's time and memory, at most 1040 MiB.
    pub fn open(&self, password: &SecretString) -> Result<MasterKey, Error> {
        let malformed = |what: &str| Error::Malformed(what.to_owned());
        if self.kdf != "scrypt" {
            return Err(malformed("its key derivation is not scrypt"));
        }
        if !self.n.is_power_of_two() || self.n < 2 {
            return Err(malformed("N is not a power of two"));
        }
        let (n, r, p) = (u128::from(self.n), u128::from(self.r), u128::from(self.p));
        // RFC 7914, section 6: the array V of N blocks, and B of p; a block has 128 r bytes.
        let bytes = 128 * r * (n + p);
        if bytes > MOST_MEMORY {
            return Err(Error::TooDear { bytes });
        }
        // The time is that of filling V p times over.
        let work = 128 * r * n * p;
        if work > MOST_WORK {
            return Err(Error::TooSlow { work });
        }
        let salt = STANDARD.decode(&self.salt).map_err(|_| malformed("salt is not base64"))?;
        let sealed = STANDARD.decode(&self.data).map_err(|_| malformed("data is not base64"))?;
        let cost = Cost { log_n: self.n.trailing_zeros() as u8, r: self.r, p: self.p };
        let derived = derive(password, &salt, cost)?;
        let plain =
            Zeroizing::new(derived.open(&sealed).map_err(|Unauthentic| Error::WrongPassword)?);
        let plain: Plain =
            serde_json::from_slice(&plain).map_err(|_| malformed("its content is not a key"))?;
        Ok(MasterKey {
            encrypt: part(&plain.encrypt)?,
            mac_k: part(&plain.mac.k)?,
            mac_r: part(&plain.mac.r)?,
        })
    }
}

fn part<const N: usize>(text: &str) -> Result<[u8; N], Error> {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::Malformed("a part of the key has the wrong length".into()))
}

fn derive(password: &SecretString, salt: &[u8], cost: Cost) -> Result<MasterKey, Error> {
    let params = scrypt::Params::new(cost.log_n, cost.r, cost.p)
        .map_err(|error| Error::Malformed(error.to_string()))?;
    let mut bytes = [0; 64];
    scrypt::scrypt(password.expose_secret().as_bytes(), salt, &params, &mut bytes)
        .map_err(|error| Error::Malformed(error.to_string()))?;
    let cut = |from: usize| -> [u8; 16] {
        bytes[from..from + 16].try_into().expect("sixteen of sixty-four bytes")
    };
    let key = MasterKey {
        encrypt: bytes[..32].try_into().expect("the first half"),
        mac_k: cut(32),
        mac_r: cut(48),
    };
    bytes.zeroize();
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_opens_with_its_password_only() {
        let key = MasterKey::generate();
        let cheap = Cost { log_n: 4, r: 8, p: 1 };
        let file =
            KeyFile::create(&"right".to_owned().into(), &key, cheap, jiff::Timestamp::now(), "h");

        let opened = file.open(&"right".to_owned().into()).unwrap();

        assert_eq!(opened.open(&key.seal(b"x")).unwrap(), b"x");
        let error = file.open(&"wrong".to_owned().into()).unwrap_err();
        assert!(matches!(error, Error::WrongPassword), "{error:?}");
    }

    #[test]
    fn a_key_file_that_asks_for_too_much_memory_is_refused() {
        let key = MasterKey::generate();
        let cheap = Cost { log_n: 4, r: 8, p: 1 };
        let mut file =
            KeyFile::create(&"right".to_owned().into(), &key, cheap, jiff::Timestamp::now(), "h");
        file.n = 1 << 40;

        assert!(matches!(file.open(&"right".to_owned().into()), Err(Error::TooDear { .. })));
        (file.n, file.p) = (1 << 20, 64);
        assert!(matches!(file.open(&"right".to_owned().into()), Err(Error::TooSlow { .. })));
        // Little for each of very many blocks: 2 GiB that are not N's.
        (file.n, file.r, file.p) = (2, 1, 1 << 24);
        assert!(matches!(file.open(&"right".to_owned().into()), Err(Error::TooDear { .. })));
    }
}
