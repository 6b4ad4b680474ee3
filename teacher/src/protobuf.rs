//! Protocol buffers as they lie in a file: read field by field, with a seek over whatever nobody asks for.
//!
//! The weights of a model are never read on the way to its structure: a file of 2 GB costs its nodes and no more. What
//! little is written, a graph's new outputs, is put together here too.

use std::io::{Read, Seek, SeekFrom};

/// A file with a place in it.
pub(crate) struct Reader<F> {
    file: F,
    /// Bytes read or skipped so far.
    at: u64,
}

/// A field's number and what it holds.
pub(crate) struct Field {
    pub number: u64,
    pub content: Content,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    /// A number: a varint, or the bits of four or eight bytes. It is read.
    Number(u64),
    /// Text, bytes, a message or packed numbers, not read yet: up to this byte of the file.
    Until(u64),
}

impl<F: Read + Seek> Reader<F> {
    /// Returns a reader at the beginning of a file, and the file's length.
    pub fn new(mut file: F) -> Result<(Self, u64), String> {
        let end = file.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
        file.rewind().map_err(|error| error.to_string())?;
        Ok((Reader { file, at: 0 }, end))
    }

    /// Returns how many bytes are behind.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Returns the next field of a message that ends at byte `end`, or nothing there.
    ///
    /// # Errors
    /// Where the field is cut short or runs over the end.
    pub fn field(&mut self, end: u64) -> Result<Option<Field>, String> {
        if self.at >= end {
            return Ok(None);
        }
        let tag = self.varint()?;
        let (content, last) = match tag & 7 {
            0 => (Content::Number(self.varint()?), self.at),
            1 => (Content::Number(self.bits(8, end)?), self.at),
            5 => (Content::Number(self.bits(4, end)?), self.at),
            2 => {
                let length = self.varint()?;
                let last = self.at.checked_add(length).filter(|last| *last <= end);
                let last = last.ok_or_else(|| runs_over(length))?;
                (Content::Until(last), last)
            }
            kind => return Err(format!("a field has the unknown wire type {kind}")),
        };
        if last > end {
            return Err(runs_over(last - end));
        }
        Ok(Some(Field { number: tag >> 3, content }))
    }

    /// Returns the next number of packed ones that end at byte `end`.
    pub fn packed(&mut self, end: u64) -> Result<Option<u64>, String> {
        if self.at >= end {
            return Ok(None);
        }
        let number = self.varint()?;
        if self.at > end { Err(runs_over(self.at - end)) } else { Ok(Some(number)) }
    }

    /// Returns the bytes up to `end`, if they are not more than `limit`; `what` is what they are.
    pub fn bytes(&mut self, end: u64, limit: u64, what: &str) -> Result<Vec<u8>, String> {
        let length = end.saturating_sub(self.at);
        if length > limit {
            return Err(format!("{what} of {length} bytes is too long"));
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact(&mut bytes).map_err(|_| ends_early())?;
        self.at = end;
        Ok(bytes)
    }

    /// Goes to byte `end` without reading.
    pub fn skip_to(&mut self, end: u64) -> Result<(), String> {
        let distance = i64::try_from(end.saturating_sub(self.at)).map_err(|_| "a field is too long")?;
        // What is buffered is kept where the way is short.
        self.file.seek_relative(distance).map_err(|error| error.to_string())?;
        self.at = end;
        Ok(())
    }

    /// Goes over what a field holds.
    pub fn skip(&mut self, content: Content) -> Result<(), String> {
        match content {
            Content::Number(_) => Ok(()),
            Content::Until(end) => self.skip_to(end),
        }
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.file.read_exact(&mut byte).map_err(|_| ends_early())?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is longer than ten bytes".into())
    }

    fn bits(&mut self, bytes: u64, end: u64) -> Result<u64, String> {
        if self.at + bytes > end {
            return Err(runs_over(bytes));
        }
        let read = self.bytes(self.at + bytes, 8, "a number")?;
        Ok(read.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte)))
    }
}

fn runs_over(length: u64) -> String {
    format!("a field of {length} bytes runs over its end")
}

fn ends_early() -> String {
    "the file ends too early".into()
}

/// Appends a field that holds bytes: text, a message, or packed numbers.
pub(crate) fn put(message: &mut Vec<u8>, number: u64, content: &[u8]) {
    put_varint(message, number << 3 | 2);
    put_varint(message, content.len() as u64);
    message.extend_from_slice(content);
}

/// Appends a field that holds a number.
pub(crate) fn put_number(message: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(message, number << 3);
    put_varint(message, value);
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_read(number in 1_u64..30, value: u64, text in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut message = Vec::new();
            put_number(&mut message, number, value);
            put(&mut message, number + 1, &text);
            let (mut reader, end) = Reader::new(Cursor::new(message)).expect("bytes");
            let first = reader.field(end).expect("a field").expect("there");
            prop_assert!(matches!(first.content, Content::Number(read) if read == value && first.number == number));
            let second = reader.field(end).expect("a field").expect("there");
            let Content::Until(last) = second.content else { panic!("text") };
            prop_assert_eq!(reader.bytes(last, 300, "a text").expect("read"), text);
            prop_assert!(reader.field(end).expect("the end").is_none());
        }
    }

    #[test]
    fn floats_are_read_as_their_bits() {
        let message =
            [&[1 << 3 | 5][..], &1.5_f32.to_le_bytes(), &[2 << 3 | 1], &2.5_f64.to_le_bytes()].concat();
        let (mut reader, end) = Reader::new(Cursor::new(message)).expect("bytes");
        for bits in [u64::from(1.5_f32.to_bits()), 2.5_f64.to_bits()] {
            let field = reader.field(end).expect("a field").expect("there");
            assert!(matches!(field.content, Content::Number(read) if read == bits));
        }
    }
}
