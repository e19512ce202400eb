//! US dollars as integer micro-dollars. JSON numbers on the wire, never binary floats in arithmetic.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Sub},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount in micro-dollars (10⁻⁶ USD).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// Not a decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// Finer than a micro-dollar.
    #[error("more than six decimals")]
    TooPrecise,
    /// Beyond ± 9.2 trillion dollars.
    #[error("out of range")]
    OutOfRange,
}

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From integer micro-dollars.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Integer micro-dollars.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The cost of `tokens` at `per_million` USD for a million tokens, rounded up to a micro-dollar.
    pub const fn for_tokens(tokens: u64, per_million: Self) -> Self {
        let pico = (tokens as i128) * (per_million.0 as i128);
        Self(((pico + 999_999) / 1_000_000) as i64)
    }

    /// As shown to people: two decimals at least, six at most: `$1.20`, `$0.000045`.
    pub fn dollars(self) -> String {
        let text = self.decimal();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        format!("${whole}.{fraction:0<2}")
    }

    fn decimal(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let absolute = self.0.unsigned_abs();
        let (whole, fraction) = (absolute / 1_000_000, absolute % 1_000_000);
        if fraction == 0 {
            return format!("{sign}{whole}");
        }
        let fraction = format!("{fraction:06}");
        format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl FromStr for Usd {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return Err(InvalidAmount::NotANumber);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 6 {
            return Err(InvalidAmount::TooPrecise);
        }
        let whole: i64 = whole.parse().map_err(|_| InvalidAmount::OutOfRange)?;
        let fraction: i64 = format!("{fraction:0<6}").parse().map_err(|_| InvalidAmount::NotANumber)?;
        let micros = whole
            .checked_mul(1_000_000)
            .and_then(|m| m.checked_add(fraction))
            .ok_or(InvalidAmount::OutOfRange)?;
        Ok(Self(if negative { -micros } else { micros }))
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.decimal())
    }
}
impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.decimal())
    }
}

impl Serialize for Usd {
    /// A JSON number. The nearest binary double of a decimal of at most 15 digits prints as that decimal.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1_000_000 == 0 {
            return serializer.serialize_i64(self.0 / 1_000_000);
        }
        let number: f64 = self.decimal().parse().map_err(serde::ser::Error::custom)?;
        serializer.serialize_f64(number)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The number's shortest decimal text is what the caller wrote; it is parsed as decimal, not rounded.
        let number = serde_json::Number::deserialize(deserializer)?;
        let text = match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => integer.to_string(),
            (None, Some(float)) => format!("{float}"),
            (None, None) => number.to_string(),
        };
        text.parse().map_err(de::Error::custom)
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}
impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl Sub for Usd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}
impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Storage form: integer micro-dollars, which DynamoDB can add. Use as `#[serde(with = "crate::money::micros")]`.
pub mod micros {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Usd;

    /// As an integer.
    pub fn serialize<S: Serializer>(amount: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(amount.micros())
    }

    /// From an integer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Usd, D::Error> {
        i64::deserialize(deserializer).map(Usd::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_shown_as_people_write_them() {
        assert_eq!(Usd::from_micros(1_200_000).dollars(), "$1.20");
        assert_eq!(Usd::from_micros(1_000_000).dollars(), "$1.00");
        assert_eq!(Usd::from_micros(45).dollars(), "$0.000045");
    }

    #[test]
    fn a_fraction_of_a_micro_dollar_is_refused() {
        assert_eq!("0.0000001".parse::<Usd>(), Err(InvalidAmount::TooPrecise));
        assert!(serde_json::from_str::<Usd>("0.0000001").is_err());
    }

    #[test]
    fn token_costs_round_up() {
        let per_million = Usd::from_micros(2_500_000);
        assert_eq!(Usd::for_tokens(1, per_million).micros(), 3);
        assert_eq!(Usd::for_tokens(1_000_000, per_million), per_million);
        assert_eq!(Usd::for_tokens(0, per_million), Usd::ZERO);
    }

    proptest! {
        #[test]
        fn json_keeps_every_micro_dollar(micros in -999_999_999_999_999i64..999_999_999_999_999) {
            let amount = Usd::from_micros(micros);
            let json = serde_json::to_string(&amount).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(serde_json::from_str::<Usd>(&json).ok(), Some(amount));
        }
    }
}
