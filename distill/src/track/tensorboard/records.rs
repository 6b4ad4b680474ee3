//! TensorFlow's record format: each record with its length, and both with a checksum.
//!
//! ```text
//! u64 length · u32 masked crc of the length · [u8; length] · u32 masked crc of the bytes      (little-endian)
//! ```

/// Frames a record.
pub fn frame(record: &[u8]) -> Vec<u8> {
    let length = (record.len() as u64).to_le_bytes();
    let mut framed = Vec::with_capacity(record.len() + 16);
    framed.extend(length);
    framed.extend(masked(crc32c(&length)).to_le_bytes());
    framed.extend(record);
    framed.extend(masked(crc32c(record)).to_le_bytes());
    framed
}

/// Returns each record of a file with the place at which it ends, up to the first that is torn or damaged.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let length = u64::from_le_bytes(*rest.first_chunk()?);
        let record = rest.get(12..usize::try_from(length).ok()?.checked_add(12)?)?;
        let framed = frame(record);
        at += framed.len();
        rest.starts_with(&framed).then_some((record, at))
    })
}

/// Makes a checksum that may stand among the data that is summed again (TensorFlow's `crc32c.h`).
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Returns the CRC-32C of Castagnoli, Bräuer and Herrmann 1993, as in RFC 3720, appendix B.4.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| TABLE[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8))
}

/// The remainders of all bytes by the polynomial 0x1edc6f41, both with their bits reversed.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The vectors of RFC 3720, appendix B.4, and the check value of the catalogue of CRC algorithms.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        for (bytes, expected) in [
            (&[0_u8; 32][..], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (&descending, 0x113f_db5c),
            (b"123456789", 0xe306_9283),
            (b"", 0),
        ] {
            assert_eq!(crc32c(bytes), expected, "{bytes:?}");
        }
    }

    /// What TensorFlow's own writer frames the bytes `abc` with.
    #[test]
    fn a_frame_is_that_of_tensorflow() {
        let framed = frame(b"abc");
        assert_eq!(framed[..8], 3_u64.to_le_bytes());
        assert_eq!(framed[12..15], *b"abc");
        assert_eq!(framed.len(), 19);
        assert_eq!(framed[8..12], [176, 153, 73, 14]);
        assert_eq!(framed[15..], [110, 87, 241, 33]);
    }

    #[test]
    fn a_torn_record_is_none() {
        let file = [frame(b"one"), frame(b""), frame(b"three")].concat();
        let whole: Vec<_> = records(&file).collect();
        assert_eq!(whole, [(&b"one"[..], 19), (b"", 35), (b"three", 56)]);
        for end in 35..56 {
            assert_eq!(records(&file[..end]).collect::<Vec<_>>(), whole[..2]);
        }
        let damaged = [&file[..20], &[7], &file[21..]].concat();
        assert_eq!(records(&damaged).collect::<Vec<_>>(), whole[..1]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(records(&bytes).all(|(record, end)| record.len() + 16 <= end && end <= bytes.len()));
        }
    }
}
