//! 128-bit identifiers: of topics, directories and share or consumer members.

use std::{fmt, str::FromStr};

/// An identifier of 128 bits. Its text is Kafka's: 22 characters of URL-safe base64 without padding.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// All bits zero: "no id" wherever an id stands.
    pub const ZERO: Self = Self([0; 16]);

    /// Whether it stands for "no id".
    pub const fn is_zero(&self) -> bool {
        u128::from_be_bytes(self.0) == 0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0u8; 22];
        for (index, out) in text.iter_mut().enumerate() {
            // 21 characters of six bits, and the last two bits padded with zeros.
            let six = if index < 21 {
                bits >> (122 - 6 * index)
            } else {
                bits << 4
            };
            *out = ALPHABET[(six & 63) as usize];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 22 characters of URL-safe base64")]
pub struct NotAUuid;

impl FromStr for Uuid {
    type Err = NotAUuid;

    fn from_str(text: &str) -> Result<Self, NotAUuid> {
        if text.len() != 22 {
            return Err(NotAUuid);
        }
        let mut bits = 0u128;
        for (index, byte) in text.bytes().enumerate() {
            let six = ALPHABET.iter().position(|&c| c == byte).ok_or(NotAUuid)? as u128;
            bits = if index < 21 {
                bits << 6 | six
            } else {
                bits << 2 | six >> 4
            };
        }
        Ok(Self(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bits_round_trip() {
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        let id: Uuid = "cvUno4cD9XC1gs8Hw8OFUw".parse().unwrap();
        assert_eq!(
            id.0,
            [
                0x72, 0xf5, 0x27, 0xa3, 0x87, 0x03, 0xf5, 0x70, 0xb5, 0x82, 0xcf, 0x07, 0xc3, 0xc3,
                0x85, 0x53
            ]
        );
        assert_eq!(id.to_string(), "cvUno4cD9XC1gs8Hw8OFUw");
        assert_eq!("short".parse::<Uuid>(), Err(NotAUuid));
        assert_eq!("cvUno4cD9XC1gs8Hw8OF+w".parse::<Uuid>(), Err(NotAUuid));
    }
}
