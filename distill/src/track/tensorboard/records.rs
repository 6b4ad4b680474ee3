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
pub mod tests {
    use super::*;

    /// Returns the records of a file up to the first that is torn or damaged.
    pub fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
            let count = u64::from_le_bytes(*length) as usize;
            let framed = frame(rest.get(4..4 + count).unwrap_or_default());
            if !bytes.starts_with(&framed) {
                break;
            }
            records.push(rest[4..4 + count].to_vec());
            bytes = &bytes[framed.len()..];
        }
        records
    }

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
        assert_eq!(records(&file), [&b"one"[..], b"", b"three"]);
        for end in file.len() - 20..file.len() {
            assert_eq!(records(&file[..end]), [&b"one"[..], b""]);
        }
    }
}
