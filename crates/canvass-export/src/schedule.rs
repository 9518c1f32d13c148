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
    /// The last moment after one and up to another, which may be it; none if there is none.
    pub fn due(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let in_zone = |moment: Timestamp| {
            let moment = jiff::Timestamp::from_microsecond(moment.microseconds()).ok()?;
            Some(moment.to_zoned(self.zone.clone()))
        };
        let moment = |found: jiff::Zoned| Timestamp::from_microseconds(found.timestamp().as_microsecond());
        // Nothing is due at nearly every look, and looking ahead is what costs little.
        let next = moment(self.cron.find_next_occurrence(&in_zone(after)?, false).ok()?);
        if next > until {
            return None;
        }
        self.cron.find_previous_occurrence(&in_zone(until)?, true).ok().map(moment)
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

    fn check(schedule: &str, after: &str, until: &str, expected: Option<&str>) {
        let schedule: Schedule = schedule.parse().unwrap();
        let due = schedule.due(after.parse().unwrap(), until.parse().unwrap());
        assert_eq!(due, expected.map(|expected| expected.parse().unwrap()), "{schedule} until {until}");
    }

    #[test]
    fn what_is_due_is_the_last_moment_that_came() {
        let ten = "2026-01-01T10:00:00Z";
        check("0 * * * *", ten, "2026-01-01T10:59:59Z", None);
        check("0 * * * *", ten, "2026-01-01T11:00:00Z", Some("2026-01-01T11:00:00Z"));
        check("0 * * * *", ten, "2026-01-05T13:30:00Z", Some("2026-01-05T13:00:00Z"));
        check("30 6 * * 1", ten, "2026-01-16T10:00:00Z", Some("2026-01-12T06:30:00Z"));
    }

    #[test]
    fn moments_follow_the_clocks_of_the_zone() {
        // Summer time begins on the 29th.
        let (schedule, before) = ("0 9 * * * Europe/Berlin", "2026-03-20T12:00:00Z");
        check(schedule, before, "2026-03-28T12:00:00Z", Some("2026-03-28T08:00:00Z"));
        check(schedule, before, "2026-03-29T12:00:00Z", Some("2026-03-29T07:00:00Z"));
        check(schedule, "2026-03-29T07:00:00Z", "2026-03-30T06:59:59Z", None);
    }

    #[test]
    fn mistakes_are_told() {
        for text in ["", "hourly", "* * * *", "61 * * * *", "0 * * * * Nowhere/Land", "0 0 * * * * *"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
