//! Alarms without Prometheus: rules over what the server itself counts, with a state that others are told of.
//!
//! Time is cut into periods of each rule. An alarm begins after so many periods in a row that reached the threshold, and
//! ends after as many in a row that did not. A period in which nothing was counted, or no server ran, did not reach it.

use std::{collections::BTreeMap, time::Duration};

use canvass_domain::Timestamp;
use canvass_store::StoreError;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    limits::ALARM_PAUSE,
    metrics::Totals,
    service::events::{Event, EventData, EventKind},
};

/// What a rule looks at, counted over a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AlarmFigure {
    /// Requests that were answered.
    Requests,
    /// Those refused with a status of 400 to 499.
    ClientErrors,
    /// Those that failed with a status of 500 or more.
    ServerErrors,
    /// Votes cast and changed.
    Votes,
    /// Requests that failed in storage.
    StorageFailures,
    /// Recounts that did not agree with what was shown.
    RecountDifferences,
    /// Looks, once a second, at a storage that could not be written.
    StorageStopped,
}

/// When an alarm begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmRule {
    /// What it is called; each name once.
    pub name: String,
    /// What it looks at.
    pub figure: AlarmFigure,
    /// From which figure in a period on.
    pub threshold: u64,
    /// How long a period is: a second at least.
    pub period: Duration,
    /// After how many such periods in a row: one at least.
    pub periods: u32,
}

impl AlarmRule {
    /// The names of [`AlarmRule::usual`].
    pub const USUAL: [&str; 7] = [
        "server-errors",
        "server-errors-lasting",
        "client-errors",
        "aggregation-errors",
        "vote-volume",
        "recount-differences",
        "storage-stopped",
    ];

    /// The rules of the two documents that the project began with, by name, with their thresholds; and two more.
    pub fn usual(name: &str) -> Option<Self> {
        let (figure, threshold, seconds, periods) = match name {
            "server-errors" => (AlarmFigure::ServerErrors, 10, 300, 1),
            "server-errors-lasting" => (AlarmFigure::ServerErrors, 6, 60, 2),
            "client-errors" => (AlarmFigure::ClientErrors, 50, 300, 1),
            "aggregation-errors" => (AlarmFigure::StorageFailures, 5, 300, 1),
            "vote-volume" => (AlarmFigure::Votes, 101, 300, 2),
            "recount-differences" => (AlarmFigure::RecountDifferences, 1, 60, 1),
            "storage-stopped" => (AlarmFigure::StorageStopped, 30, 60, 1),
            _ => return None,
        };
        let period = Duration::from_secs(seconds);
        Some(Self { name: name.to_owned(), figure, threshold, period, periods })
    }
}

/// The setting that holds which alarms are on.
const ALARMS: &str = "alarms";

/// An alarm that is on, as it is kept over a restart: whoever was told that it began is told when it ends, once each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct AlarmOn {
    name: String,
    since: Timestamp,
}

/// Whether it is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) enum AlarmState {
    /// All is well.
    #[default]
    Ok,
    /// It is on.
    Alarm,
}

/// An alarm that began or ended, as others are told.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlarmChange {
    name: String,
    state: AlarmState,
    figure: AlarmFigure,
    /// What was counted in the last period.
    value: u64,
    threshold: u64,
    period_seconds: u64,
    periods: u32,
}

/// An alarm as administrators see it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Alarm))]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlarmView {
    #[serde(flatten)]
    alarm: AlarmChange,
    /// Since when it is in this state; null since the server started.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    since: Option<Timestamp>,
}

/// An alarm that began or ended, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmNotice {
    /// One line.
    pub subject: String,
    /// A few lines.
    pub text: String,
}

/// Every alarm.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Mutex<Vec<Alarm>>);

/// One rule, with where it stands.
#[derive(Debug)]
struct Alarm {
    rule: AlarmRule,
    state: AlarmState,
    since: Option<Timestamp>,
    /// When the period began that goes on, and what had been counted then.
    began: Option<(Duration, u64)>,
    /// What the last period came to.
    value: u64,
    /// Periods in a row that were unlike the state.
    unlike: u32,
}

impl Alarm {
    fn new(rule: AlarmRule) -> Self {
        Self { rule, state: AlarmState::Ok, since: None, began: None, value: 0, unlike: 0 }
    }

    /// Looks at what was counted so far; whether the state has changed.
    fn look(&mut self, elapsed: Duration, counted: u64) -> bool {
        let (began, before) = *self.began.get_or_insert((elapsed, counted));
        if elapsed < began + self.rule.period {
            return false;
        }
        self.value = counted.saturating_sub(before);
        // After a pause of the whole machine the period that was missed is none.
        self.began = Some((elapsed, counted));
        let found = if self.value >= self.rule.threshold { AlarmState::Alarm } else { AlarmState::Ok };
        self.unlike = if found == self.state { 0 } else { self.unlike + 1 };
        let changes = self.unlike >= self.rule.periods;
        if changes {
            (self.state, self.unlike) = (found, 0);
        }
        changes
    }

    fn change(&self) -> AlarmChange {
        let AlarmRule { name, figure, threshold, period, periods } = self.rule.clone();
        let period_seconds = period.as_secs();
        AlarmChange { name, state: self.state, figure, value: self.value, threshold, period_seconds, periods }
    }
}

impl AlarmChange {
    fn notice(&self) -> AlarmNotice {
        let figure = serde_json::to_value(self.figure).unwrap_or_default();
        let figure = figure.as_str().unwrap_or_default().replace('-', " ");
        let Self { name, value, threshold, period_seconds, periods, .. } = self;
        let what = match self.state {
            AlarmState::Alarm => "has begun",
            AlarmState::Ok => "is over",
        };
        AlarmNotice {
            subject: format!("Canvass: the alarm {name} {what}"),
            text: format!(
                "The alarm {name} {what}.\n\nIn the last {period_seconds} seconds: {value} {figure}. It begins after {periods} times {period_seconds} seconds with {threshold} or more, and ends after as many with fewer.\n\nGET /v1/alarms tells how it stands.\n"
            ),
        }
    }
}

impl Alarms {
    pub(crate) fn new(rules: &[AlarmRule]) -> Self {
        Self(Mutex::new(rules.iter().cloned().map(Alarm::new).collect()))
    }

    /// Each alarm, and whether it is on.
    pub(crate) fn states(&self) -> BTreeMap<String, bool> {
        let alarms = self.0.lock();
        alarms.iter().map(|alarm| (alarm.rule.name.clone(), alarm.state == AlarmState::Alarm)).collect()
    }

    fn on(&self) -> Vec<AlarmOn> {
        let alarms = self.0.lock();
        let on = alarms.iter().filter(|alarm| alarm.state == AlarmState::Alarm);
        let kept = |alarm: &Alarm| Some(AlarmOn { name: alarm.rule.name.clone(), since: alarm.since? });
        on.filter_map(kept).collect()
    }

    /// Goes on from what was on before a restart. A rule that is there no more is forgotten.
    fn recall(&self, on: Vec<AlarmOn>) {
        let mut alarms = self.0.lock();
        for AlarmOn { name, since } in on {
            if let Some(alarm) = alarms.iter_mut().find(|alarm| alarm.rule.name == name) {
                (alarm.state, alarm.since) = (AlarmState::Alarm, Some(since));
            }
        }
    }

    fn look(&self, now: Timestamp, elapsed: Duration, totals: Totals, stopped: u64) -> Vec<AlarmChange> {
        let mut alarms = self.0.lock();
        let changed = alarms.iter_mut().filter_map(|alarm| {
            let counted = match alarm.rule.figure {
                AlarmFigure::Requests => totals.requests,
                AlarmFigure::ClientErrors => totals.client_errors,
                AlarmFigure::ServerErrors => totals.server_errors,
                AlarmFigure::Votes => totals.votes,
                AlarmFigure::StorageFailures => totals.storage_failures,
                AlarmFigure::RecountDifferences => totals.recount_differences,
                AlarmFigure::StorageStopped => stopped,
            };
            alarm.look(elapsed, counted).then(|| {
                alarm.since = Some(now);
                alarm.change()
            })
        });
        changed.collect()
    }
}

impl App {
    /// Reads which alarms were on, at the start.
    pub(crate) async fn load_alarms(&self) -> Result<(), StoreError> {
        self.parts.alarms.recall(self.kept(ALARMS).await?.unwrap_or_default());
        Ok(())
    }

    /// How every alarm stands.
    pub(crate) fn list_alarms(&self) -> Vec<AlarmView> {
        let alarms = self.parts.alarms.0.lock();
        alarms.iter().map(|alarm| AlarmView { alarm: alarm.change(), since: alarm.since }).collect()
    }

    /// Looks at the alarms until it is dropped; webhooks are told of those that begin and end, and `tell` too.
    pub async fn watch_alarms(self, tell: impl Fn(AlarmNotice)) {
        let mut stopped = 0;
        loop {
            let (now, elapsed) = (self.edge().now(), self.edge().elapsed());
            stopped += u64::from(self.store().health().trouble.is_some());
            let changes = self.parts.alarms.look(now, elapsed, self.parts.metrics.totals(), stopped);
            if !changes.is_empty() && self.store().feed().is_some() {
                // Where it cannot be kept, as on a disk that failed, others must be told all the same.
                let _ = self.keep(ALARMS, &self.parts.alarms.on()).await;
            }
            for change in changes {
                tracing::warn!(alarm = change.name, state = ?change.state, value = change.value, "an alarm has changed");
                tell(change.notice());
                let id = format!("alarm_{}", self.make_id());
                let data = EventData { alarm: Some(change), ..EventData::default() };
                let event =
                    Event { id, position: None, r#type: EventKind::AlarmChanged, timestamp: now, data };
                self.parts.webhooks.tell_alarm(&event);
            }
            tokio::time::sleep(ALARM_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of periods of ten seconds, and the state after each: `!` is on.
    fn check(threshold: u64, periods: u32, figures: &[u64], expected: &str) {
        let period = Duration::from_secs(10);
        let name = "test".to_owned();
        let rule = AlarmRule { name, figure: AlarmFigure::Votes, threshold, period, periods };
        let alarms = Alarms::new(&[rule]);
        let look = |elapsed: Duration, votes: u64| {
            alarms.look(Timestamp::default(), elapsed, Totals { votes, ..Totals::default() }, 0);
        };
        look(Duration::ZERO, 7);
        let (mut elapsed, mut counted, mut states) = (Duration::ZERO, 7, String::new());
        for figure in figures {
            // What comes in the middle of a period decides nothing.
            look(elapsed + period / 2, counted + figure);
            elapsed += period;
            counted += figure;
            look(elapsed, counted);
            states.push(if alarms.states()["test"] { '!' } else { '.' });
        }
        assert_eq!(states, expected, "{threshold} in {periods}: {figures:?}");
    }

    #[test]
    fn an_alarm_begins_after_its_periods_and_ends_after_as_many() {
        check(10, 1, &[9, 10, 11, 9, 0], ".!!..");
        check(10, 2, &[10, 9, 10, 10, 0, 10, 0, 0, 0], "...!!!!..");
        check(101, 2, &[100, 100, 100, 101, 101], "....!");
    }

    #[test]
    fn a_period_without_anything_did_not_reach_the_threshold() {
        check(1, 2, &[0, 0, 0, 0], "....");
    }

    #[test]
    fn an_alarm_that_was_on_before_a_restart_is_told_only_when_it_ends() {
        let rule =
            |name: &str| AlarmRule { name: name.to_owned(), ..AlarmRule::usual("vote-volume").unwrap() };
        let rules = [rule("on"), rule("off")];
        let alarms = Alarms::new(&rules);
        let gone = AlarmOn { name: "gone".to_owned(), since: Timestamp::default() };
        let on = [AlarmOn { name: "on".to_owned(), since: Timestamp::default() }];
        alarms.recall([&on[..], &[gone]].concat());
        let mut votes = 0;
        let mut told = Vec::new();
        // Two periods as before, and three without a vote.
        for (period, more) in [0, 200, 200, 0, 0, 0].into_iter().enumerate() {
            votes += more;
            let elapsed = Duration::from_secs(period as u64 * 300);
            let changes =
                alarms.look(Timestamp::default(), elapsed, Totals { votes, ..Totals::default() }, 0);
            told.extend(changes.iter().map(|change| format!("{period} {} {:?}", change.name, change.state)));
        }
        assert_eq!(told, ["2 off Alarm", "4 on Ok", "4 off Ok"]);
        assert_eq!(alarms.on(), []);
    }

    #[test]
    fn every_usual_rule_has_its_name() {
        for name in AlarmRule::USUAL {
            assert_eq!(AlarmRule::usual(name).map(|rule| rule.name).as_deref(), Some(name));
        }
        assert_eq!(AlarmRule::usual("nothing"), None);
    }
}
