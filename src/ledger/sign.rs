//! Signatures: SSHSIG, so that anybody with OpenSSH can verify a checkpoint.
//!
//! In: an OpenSSH private key, a checkpoint's text. Out: what `ssh-keygen -Y verify -n
//! lifeboat-evidence-v1` accepts. Source: OpenSSH's PROTOCOL.sshsig. Pure.

use rand::TryRng;
use secrecy::{ExposeSecret, SecretString};
pub use ssh_key::PublicKey;
use ssh_key::private::Ed25519Keypair;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, SshSig};
use zeroize::{Zeroize, Zeroizing};

use crate::ground::ids::Name;

/// What the signatures are for: a signature made for another purpose does not count.
pub const NAMESPACE: &str = "lifeboat-evidence-v1";

/// Why something could not be signed, or a signature does not count. Never holds key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the signing key is not an OpenSSH private key")]
    NotAKey(#[source] ssh_key::Error),
    #[error("the signing key is protected by a passphrase, which nobody is there to type")]
    Passphrase,
    #[error("the signing key is {found}: expected ssh-ed25519")]
    Algorithm { found: String },
    #[error("cannot sign")]
    Sign(#[source] ssh_key::Error),
    #[error("the signature is not an SSH signature")]
    NotASignature(#[source] ssh_key::Error),
    #[error("the signature does not fit what it is said to sign")]
    Wrong(#[source] ssh_key::Error),
    #[error("the signature is good, but its key {fingerprint} is not among those allowed")]
    NotAllowed { fingerprint: String },
}

/// A key that signs checkpoints.
#[derive(Clone)]
pub struct Signer(PrivateKey);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.fingerprint())
    }
}

impl Signer {
    /// Takes the text of an OpenSSH private key file: Ed25519, without a passphrase.
    pub fn open(key: &SecretString) -> Result<Self, Error> {
        // PEM asks for the line end that reading a secret takes off.
        let text = Zeroizing::new(format!("{}\n", key.expose_secret().trim_end()));
        let key = PrivateKey::from_openssh(text.as_bytes()).map_err(Error::NotAKey)?;
        if key.is_encrypted() {
            return Err(Error::Passphrase);
        }
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(Error::Algorithm { found: key.algorithm().to_string() });
        }
        Ok(Self(key))
    }

    /// The key that verifies what this one signs.
    pub fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it; to be handed on by another way than the evidence.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The armoured signature of `text`; always the same one for the same text.
    pub fn sign(&self, text: &[u8]) -> Result<String, Error> {
        let signature = self.0.sign(NAMESPACE, HashAlg::Sha512, text).map_err(Error::Sign)?;
        signature.to_pem(LineEnding::LF).map_err(Error::Sign)
    }
}

/// Checks that `signature` is one of `text`, made with one of the `allowed` keys.
pub fn check(text: &[u8], signature: &[u8], allowed: &[PublicKey]) -> Result<(), Error> {
    let signature = SshSig::from_pem(signature).map_err(Error::NotASignature)?;
    let key = PublicKey::from(signature.public_key().clone());
    key.verify(NAMESPACE, text, &signature).map_err(Error::Wrong)?;
    if allowed.iter().any(|allowed| allowed.key_data() == key.key_data()) {
        Ok(())
    } else {
        Err(Error::NotAllowed { fingerprint: key.fingerprint(HashAlg::Sha256).to_string() })
    }
}

/// The line of an `allowed_signers` file that lets `key` vouch for `customer`, with its LF.
pub fn allowed_signers(customer: &Name, key: &PublicKey) -> String {
    let key = PublicKey::from(key.key_data().clone());
    let key = key.to_openssh().expect("a key that was read can be written");
    format!("{customer} namespaces=\"{NAMESPACE}\" {key}\n")
}

/// A new pair of keys, as text for two files.
pub struct NewKey {
    /// OpenSSH private key; belongs into a file that only its owner reads.
    pub private: SecretString,
    /// One line, with its LF.
    pub public: String,
}

/// Draws an Ed25519 key without a passphrase; `comment` says whose it is.
pub fn generate_key(comment: &str) -> Result<NewKey, Error> {
    let mut seed = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).expect("the system gives random numbers");
    let pair = Ed25519Keypair::from_seed(&seed);
    seed.zeroize();
    let key = PrivateKey::new(pair.into(), comment).map_err(Error::Sign)?;
    let private = key.to_openssh(LineEnding::LF).map_err(Error::Sign)?;
    let public = key.public_key().to_openssh().map_err(Error::Sign)?;
    Ok(NewKey { private: SecretString::from(private.as_str()), public: format!("{public}\n") })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    fn ssh_keygen(folder: &Path, arguments: &[&str], input: &[u8]) -> bool {
        use std::io::Write;
        let mut child = Command::new("ssh-keygen")
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait().unwrap().success()
    }

    fn new_signer() -> (NewKey, Signer) {
        let key = generate_key("lifeboat test").unwrap();
        let signer = Signer::open(&key.private).unwrap();
        (key, signer)
    }

    #[test]
    fn ssh_keygen_accepts_what_we_sign_and_refuses_a_changed_text() {
        let folder = tempfile::tempdir().unwrap();
        let (_, signer) = new_signer();
        let line = allowed_signers(&"acme".parse().unwrap(), signer.public_key());
        std::fs::write(folder.path().join("allowed_signers"), line).unwrap();
        std::fs::write(folder.path().join("x.sig"), signer.sign(b"a\nb\n").unwrap()).unwrap();
        let verify = |identity: &str, namespace: &str, text: &[u8]| {
            let arguments = ["-Y", "verify", "-f", "allowed_signers", "-I", identity];
            let arguments = [&arguments[..], &["-n", namespace, "-s", "x.sig"]].concat();
            ssh_keygen(folder.path(), &arguments, text)
        };

        assert!(verify("acme", NAMESPACE, b"a\nb\n"));
        assert!(!verify("acme", NAMESPACE, b"a\nc\n"), "a changed text");
        assert!(!verify("acme", "file", b"a\nb\n"), "another purpose");
        assert!(!verify("other", NAMESPACE, b"a\nb\n"), "another customer");
    }

    #[test]
    fn we_accept_what_ssh_keygen_signs_with_its_own_key_and_with_ours() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(ssh_keygen(folder.path(), &["-q", "-t", "ed25519", "-N", "", "-f", "theirs"], b""));
        std::fs::write(path("ours"), new_signer().0.private.expose_secret()).unwrap();
        std::fs::set_permissions(path("ours"), PermissionsExt::from_mode(0o600)).unwrap();
        for key in ["theirs", "ours"] {
            std::fs::write(path("x"), b"text\n").unwrap();
            assert!(ssh_keygen(
                folder.path(),
                &["-Y", "sign", "-f", key, "-n", NAMESPACE, "x"],
                b""
            ));
            let signature = std::fs::read(path("x.sig")).unwrap();
            std::fs::remove_file(path("x.sig")).unwrap();
            // A secret arrives without its last line end.
            let text = std::fs::read_to_string(path(key)).unwrap().trim_end().to_owned();
            let public = Signer::open(&text.into()).unwrap().public_key().clone();

            check(b"text\n", &signature, std::slice::from_ref(&public)).unwrap();
            assert!(matches!(check(b"Text\n", &signature, &[public]), Err(Error::Wrong(_))));
            assert!(matches!(check(b"text\n", &signature, &[]), Err(Error::NotAllowed { .. })));
        }
    }

    #[test]
    fn a_signature_for_another_purpose_does_not_count() {
        let (_, signer) = new_signer();
        let other = signer.0.sign("file", HashAlg::Sha512, b"text").unwrap();
        let other = other.to_pem(LineEnding::LF).unwrap();

        let error = check(b"text", other.as_bytes(), &[signer.public_key().clone()]).unwrap_err();

        assert!(matches!(error, Error::Wrong(_)), "{error:?}");
    }

    #[test]
    fn keys_that_cannot_sign_unattended_are_refused_without_a_word_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, arguments: &[&str]| {
            let arguments = [&["-q", "-f", name][..], arguments].concat();
            assert!(ssh_keygen(folder.path(), &arguments, b""));
            Signer::open(&std::fs::read_to_string(folder.path().join(name)).unwrap().into())
        };

        let locked = made("locked", &["-t", "ed25519", "-N", "canary-pass"]).unwrap_err();
        let ecdsa = made("ecdsa", &["-t", "ecdsa", "-N", ""]);
        let none = Signer::open(&"canary-word".to_owned().into()).unwrap_err();

        assert!(matches!(locked, Error::Passphrase), "{locked:?}");
        assert!(ecdsa.is_err());
        assert!(!format!("{none:?} {none}").contains("canary"), "{none:?}");
        assert!(!format!("{:?}", new_signer().1).contains("PRIVATE"));
    }
}
