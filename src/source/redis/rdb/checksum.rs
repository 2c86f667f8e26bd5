//! CRC-64 as Redis has it (Jones' polynomial, reflected), eight bytes a step.

/// The polynomial 0xad93d23594c935a9 with its bits turned around.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// `TABLES[k][b]`: what the byte `b`, with `k` more bytes after it, adds.
const TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let (mut rest, mut bit) = (byte as u64, 0);
        while bit < 8 {
            rest = if rest & 1 == 1 { rest >> 1 ^ POLYNOMIAL } else { rest >> 1 };
            bit += 1;
        }
        tables[0][byte] = rest;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        byte = 0;
        while byte < 256 {
            let before = tables[k - 1][byte];
            tables[k][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// The checksum of what `sum` is of, and `bytes` after it; it begins at 0.
pub(super) fn add(mut sum: u64, bytes: &[u8]) -> u64 {
    let (steps, rest) = bytes.as_chunks::<8>();
    for step in steps {
        let mixed = (sum ^ u64::from_le_bytes(*step)).to_le_bytes();
        sum = 0;
        for (k, byte) in mixed.into_iter().enumerate() {
            sum ^= TABLES[7 - k][usize::from(byte)];
        }
    }
    for byte in rest {
        sum = sum >> 8 ^ TABLES[0][usize::from(sum as u8 ^ byte)];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_that_redis_tests_its_own_with() {
        // `crc64Test` in crc64.c.
        assert_eq!(add(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let text = b"This is a test of the emergency broadcast system.";
        assert_eq!(add(add(0, &text[..13]), &text[13..]), add(0, text), "in pieces as at once");
    }
}
