//! Time and its text form. A trait, because time is one of the few real borders of the domain.

use std::time::Duration;

use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

const RFC3339_MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> OffsetDateTime;

    /// Milliseconds since the Unix epoch.
    fn epoch_millis(&self) -> i64 {
        millis(self.now())
    }

    /// RFC 3339, UTC, milliseconds, as every object carries it.
    fn timestamp(&self) -> String {
        timestamp(self.now())
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// RFC 3339, UTC, milliseconds.
pub fn timestamp(at: OffsetDateTime) -> String {
    // The format has no component that could fail for a valid date.
    at.to_offset(time::UtcOffset::UTC).format(RFC3339_MILLIS).unwrap_or_default()
}

/// Milliseconds since the Unix epoch.
pub const fn millis(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1_000_000) as i64
}

/// The text form of milliseconds since the Unix epoch; empty beyond what dates can say.
pub fn timestamp_of(millis: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    at.map(timestamp).unwrap_or_default()
}

/// Milliseconds since the Unix epoch of such a text; the epoch itself where it is none.
pub fn millis_of(text: &str) -> i64 {
    OffsetDateTime::parse(text, &Rfc3339).map_or(0, millis)
}

/// Whole days as a duration.
pub const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_with_milliseconds() {
        assert_eq!(
            timestamp(OffsetDateTime::UNIX_EPOCH + Duration::from_millis(1_234)),
            "1970-01-01T00:00:01.234Z"
        );
        assert_eq!(millis_of(&timestamp_of(1_234)), 1_234);
    }
}
