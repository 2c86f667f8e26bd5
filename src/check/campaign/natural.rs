//! Whole numbers as large as they come: binomial coefficients have thousands of digits, and a bound that
//! auditors recompute may not depend on how a float was rounded.

use std::cmp::Ordering;

/// Little-endian digits to the base 2³², the last of them not zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Natural(Vec<u32>);

impl Natural {
    pub(super) const ZERO: Self = Self(Vec::new());

    pub(super) fn one() -> Self {
        Self(vec![1])
    }

    /// `n` over `k`, for `k` up to `n`.
    pub(super) fn binomial(n: u32, k: u32) -> Self {
        let mut product = Self::one();
        for nth in 0..k.min(n - k) {
            product.multiply(n - nth);
            // Exact: what stands there is `n` over `nth + 1`.
            product.divide(u64::from(nth) + 1);
        }
        product
    }

    pub(super) fn multiply(&mut self, factor: u32) {
        let mut carry = 0;
        for digit in &mut self.0 {
            let product = u64::from(*digit) * u64::from(factor) + carry;
            *digit = product as u32;
            carry = product >> 32;
        }
        self.0.push(carry as u32);
        self.trim();
    }

    /// Divides by a `divisor` that is not zero and leaves no remainder.
    pub(super) fn divide(&mut self, divisor: u64) {
        let divisor = u128::from(divisor);
        let mut rest = 0;
        for digit in self.0.iter_mut().rev() {
            let dividend = rest << 32 | u128::from(*digit);
            *digit = (dividend / divisor) as u32;
            rest = dividend % divisor;
        }
        debug_assert_eq!(rest, 0, "only exact divisions are asked for");
        self.trim();
    }

    pub(super) fn add(&mut self, other: &Self) {
        let mut carry = 0;
        self.0.resize(self.0.len().max(other.0.len()) + 1, 0);
        for (nth, digit) in self.0.iter_mut().enumerate() {
            let sum = u64::from(*digit) + u64::from(other.0.get(nth).copied().unwrap_or(0)) + carry;
            *digit = sum as u32;
            carry = sum >> 32;
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let by_length = self.0.len().cmp(&other.0.len());
        Some(by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn natural(mut value: u128) -> Natural {
        let mut digits = Vec::new();
        while value > 0 {
            digits.push(value as u32);
            value >>= 32;
        }
        Natural(digits)
    }

    #[test]
    fn it_counts_as_the_machine_does() {
        for (a, b, factor) in
            [(0, 0, 7), (1, u128::from(u32::MAX), u32::MAX), (1 << 95, 3, 1 << 31)]
        {
            let mut sum = natural(a);
            sum.add(&natural(b));
            assert_eq!(sum, natural(a + b));
            sum.multiply(factor);
            assert_eq!(sum, natural((a + b) * u128::from(factor)));
            sum.divide(factor.into());
            assert_eq!(sum, natural(a + b));
            assert_eq!(natural(a).partial_cmp(&natural(b)), a.partial_cmp(&b));
        }
    }

    #[test]
    fn binomial_coefficients_are_pascals() {
        for n in 1..60u32 {
            for k in 1..n {
                let mut above = Natural::binomial(n - 1, k - 1);
                above.add(&Natural::binomial(n - 1, k));
                assert_eq!(Natural::binomial(n, k), above, "{n} over {k}");
            }
        }
        assert_eq!(
            Natural::binomial(120, 60),
            natural(96_614_908_840_363_322_603_893_139_521_372_656)
        );
    }
}
