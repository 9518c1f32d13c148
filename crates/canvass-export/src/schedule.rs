//! When exports are due: a cron expression and the zone in which it is meant.

use std::{fmt, str::FromStr};

use canvass_domain::Timestamp;
use croner::Cron;
use jiff::tz::TimeZone;

/// Moments that come again and again.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// The first moment after another; none if there is none any more.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let start = jiff::Timestamp::from_microsecond(moment.microseconds()).ok()?;
        let next = self.cron.find_next_occurrence(&start.to_zoned(self.zone.clone()), false).ok()?;
        Some(Timestamp::from_microseconds(next.timestamp().as_microsecond()))
    }
}

impl FromStr for Schedule {
    type Err = String;

    /// Five fields (minute, hour, day, month, day of the week) and the name of a zone; UTC if absent.
    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<_> = text.split_whitespace().collect();
        let (cron, zone) = match &fields[..] {
            [cron @ .., zone] if cron.len() == 5 => (cron, *zone),
            cron => (cron, "UTC"),
        };
        if cron.len() != 5 {
            return Err(format!(
                "{text:?} is no schedule: write five fields and a zone, such as 0 * * * * Europe/Berlin"
            ));
        }
        let zone = TimeZone::get(zone).map_err(|error| format!("{zone:?} is no zone: {error}"))?;
        let cron =
            Cron::from_str(&cron.join(" ")).map_err(|error| format!("{text:?} is no schedule: {error}"))?;
        Ok(Self { text: text.to_owned(), cron, zone })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &str, after: &str, expected: &[&str]) {
        let schedule: Schedule = schedule.parse().unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        for expected in expected {
            at = schedule.next_after(at).unwrap();
            assert_eq!(at, expected.parse().unwrap(), "{schedule}");
        }
    }

    #[test]
    fn moments_follow_the_clocks_of_the_zone() {
        check("0 * * * *", "2026-01-01T10:00:00Z", &["2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"]);
        check("30 6 * * 1", "2026-01-01T10:00:00Z", &["2026-01-05T06:30:00Z", "2026-01-12T06:30:00Z"]);
        // Summer time begins on the 29th.
        check(
            "0 9 * * * Europe/Berlin",
            "2026-03-27T12:00:00Z",
            &["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"],
        );
    }

    #[test]
    fn mistakes_are_told() {
        for text in ["", "hourly", "* * * *", "61 * * * *", "0 * * * * Nowhere/Land", "0 0 * * * * *"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
