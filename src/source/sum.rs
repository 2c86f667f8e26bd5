//! A hash of a multitude: the same whatever the order in which its members come.
//!
//! In: the digest of each member. Out: their sum modulo 2²⁵⁶ and their number. Twins count twice,
//! which the exclusive or of digests would miss. It finds accidents and single changes; it is not
//! meant to resist someone who may choose many members freely (Wagner, "A Generalized Birthday
//! Problem", 2002).

use super::Part;
use crate::ground::digest::Digest;

/// The running sum over members' digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    /// Least significant first.
    limbs: [u64; 4],
    members: u64,
}

impl Sum {
    /// Adds one member.
    pub fn add(&mut self, member: &Digest) {
        let mut carry = false;
        for (limb, bytes) in self.limbs.iter_mut().zip(member.0.rchunks_exact(8)) {
            let (sum, over) = limb.overflowing_add(limb_of(bytes));
            let (sum, over_by_carry) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || over_by_carry;
        }
        self.members += 1;
    }

    /// Takes a member that was added out again.
    pub fn remove(&mut self, member: &Digest) {
        let mut borrow = false;
        for (limb, bytes) in self.limbs.iter_mut().zip(member.0.rchunks_exact(8)) {
            let (rest, under) = limb.overflowing_sub(limb_of(bytes));
            let (rest, under_by_borrow) = rest.overflowing_sub(u64::from(borrow));
            *limb = rest;
            borrow = under || under_by_borrow;
        }
        self.members = self.members.saturating_sub(1);
    }

    /// The members' number and the sum, most significant byte first.
    pub fn part(&self) -> Part {
        let mut hash = [0; 32];
        for (bytes, limb) in hash.rchunks_exact_mut(8).zip(self.limbs) {
            bytes.copy_from_slice(&limb.to_be_bytes());
        }
        Part { rows: self.members, hash: Digest(hash) }
    }
}

fn limb_of(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("chunks of exactly 8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(members: &[&Digest]) -> Part {
        let mut sum = Sum::default();
        members.iter().for_each(|member| sum.add(member));
        sum.part()
    }

    #[test]
    fn order_does_not_matter_and_twins_do() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));

        assert_eq!(sum(&[&a, &b]), sum(&[&b, &a]));
        assert_ne!(sum(&[&a, &b, &b]).hash, sum(&[&a]).hash);
        assert_eq!(sum(&[&a, &b, &b]).rows, 3);
    }

    #[test]
    fn the_sum_carries_through_all_limbs_and_wraps() {
        let mut one = [0; 32];
        one[31] = 1;

        assert_eq!(sum(&[&Digest([0xff; 32]), &Digest(one)]).hash, Digest::ZERO);
        let mut two_to_the_64 = [0; 32];
        two_to_the_64[23] = 1;
        let mut low = [0; 32];
        low[24..].fill(0xff);
        assert_eq!(sum(&[&Digest(low), &Digest(one)]).hash, Digest(two_to_the_64));
    }

    #[test]
    fn what_is_taken_out_again_leaves_no_trace() {
        let digests: Vec<_> = (0..50u8).map(|n| Digest::of(&[n])).collect();
        let mut sum = Sum::default();
        digests.iter().for_each(|digest| sum.add(digest));

        digests.iter().for_each(|digest| sum.remove(digest));

        assert_eq!(sum, Sum::default());
    }
}
