//! The configuration: which version of the format, which repository, which polynomial.

use rand::TryRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ground::digest::Digest;

/// What the object `config` says, once opened. Source: restic's doc/design.rst, "Repository Layout".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    pub version: u32,
    /// A random number that tells repositories apart.
    pub id: Digest,
    /// restic cuts files by it; lifeboat does not, but restic opens no repository without.
    pub chunker_polynomial: Polynomial,
}

impl Config {
    /// A new repository's configuration, version 2.
    pub fn draw() -> Self {
        let mut id = [0; 32];
        fill(&mut id);
        Self { version: 2, id: Digest(id), chunker_polynomial: Polynomial::draw() }
    }
}

/// A polynomial over GF(2): bit *i* is the coefficient of xⁱ. Written as hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polynomial(u64);

/// The degree that restic's rolling hash works with.
const DEGREE: u32 = 53;

impl Polynomial {
    /// A random irreducible polynomial of degree 53: one in some thirty odd ones is.
    pub fn draw() -> Self {
        loop {
            let mut bytes = [0; 8];
            fill(&mut bytes);
            let below = u64::from_le_bytes(bytes) & ((1 << DEGREE) - 1);
            // Without a constant term x would divide it.
            let drawn = Self(1 << DEGREE | below | 1);
            if drawn.is_irreducible() {
                return drawn;
            }
        }
    }

    /// Whether no polynomial of lower degree divides it, except 1.
    ///
    /// Rabin's test in Ben-Or's form: for each i up to half the degree x^(2^i) − x, the product of
    /// all irreducible polynomials whose degree divides i, has no factor in common with it.
    pub fn is_irreducible(self) -> bool {
        let Some(degree) = self.degree().filter(|degree| *degree > 0) else { return false };
        let mut power = Self(0b10).remainder(self);
        for _ in 0..degree / 2 {
            power = power.square_modulo(self);
            if Self(power.0 ^ 0b10).greatest_common_divisor(self) != Self(1) {
                return false;
            }
        }
        true
    }

    fn degree(self) -> Option<u32> {
        self.0.checked_ilog2()
    }

    /// `divisor` is not zero.
    fn remainder(self, divisor: Self) -> Self {
        let Some(degree) = divisor.degree() else { return self };
        let mut rest = self;
        while let Some(excess) = rest.degree().and_then(|own| own.checked_sub(degree)) {
            rest.0 ^= divisor.0 << excess;
        }
        rest
    }

    /// The square of a polynomial of lower degree than `modulus`.
    fn square_modulo(self, modulus: Self) -> Self {
        let Some(top) = modulus.degree() else { return self };
        let mut product = 0;
        for bit in (0..top).rev() {
            let carried = product >> (top - 1) & 1 == 1;
            product = (product & ((1 << (top - 1)) - 1)) << 1;
            if carried {
                product ^= modulus.0 & ((1 << top) - 1);
            }
            if self.0 >> bit & 1 == 1 {
                product ^= self.0;
            }
        }
        Self(product)
    }

    fn greatest_common_divisor(self, other: Self) -> Self {
        let (mut a, mut b) = (self, other);
        while b.0 != 0 {
            (a, b) = (b, a.remainder(b));
        }
        a
    }
}

impl Serialize for Polynomial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Polynomial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

fn fill(bytes: &mut [u8]) {
    rand::rngs::SysRng.try_fill_bytes(bytes).expect("the system gives random numbers");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn irreducible_polynomials_of_small_degree_are_those_without_a_divisor() {
        let divides =
            |divisor: u64, number: u64| Polynomial(number).remainder(Polynomial(divisor)).0 == 0;
        for number in 2..512_u64 {
            let degree = number.ilog2();
            let prime = (2..1 << degree).all(|divisor| !divides(divisor, number));
            assert_eq!(Polynomial(number).is_irreducible(), prime, "{number:#b}");
        }
        assert!(!Polynomial(0).is_irreducible() && !Polynomial(1).is_irreducible());
    }

    #[test]
    fn polynomials_that_restic_drew_are_found_irreducible() {
        for drawn_by_restic in [0x002b_f7aa_135f_ddfd, 0x003d_a335_8b4d_c173] {
            assert!(Polynomial(drawn_by_restic).is_irreducible(), "{drawn_by_restic:x}");
        }
    }

    #[test]
    fn a_drawn_configuration_is_read_back_and_its_polynomial_has_degree_53() {
        let config = Config::draw();

        let json = serde_json::to_vec(&config).unwrap();

        assert_eq!(serde_json::from_slice::<Config>(&json).unwrap(), config);
        assert_eq!(config.chunker_polynomial.degree(), Some(53));
        assert_ne!(config.id, Config::draw().id);
    }
}
