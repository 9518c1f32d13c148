//! Erasure by age: what the votes of a poll tell of persons is erased so many days after the poll closed.
//!
//! Nothing brings it back, so no single look at a clock decides it: a clock that jumps a hundred days ahead must not
//! erase a poll that closed yesterday. A moment is believed to have come when a clock that did not jump has gone on from
//! it for a day. A jump ahead that is taken back within a day therefore erases nothing.

use canvass_domain::{
    Poll, PollId, Timestamp, VoterId,
    decide::PollCommand,
    poll::{PersonalData, Status},
};
use canvass_store::limits::POLLS_PAGE_MAX;
use canvass_store::{PollQuery, StoreError};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    limits::{
        CLOCK_BELIEVED_AFTER_SECONDS, CLOCK_GAP_SECONDS_MAX, ERASE_AFTER_DAYS_MAX, ERASURE_PAUSE,
        ERASURE_WAIT_PAUSE,
    },
    service::Failure,
};

/// What was erased of one voter.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Erased))]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErasedView {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    poll_id: PollId,
    /// How many records told of the voter: a vote, its changes and its withdrawals; 0 if none did, or none any more.
    records: u64,
}

/// Reads after how many days voters are erased: none is never, which is written `off`.
///
/// # Errors
/// A text that is neither that nor a number of days from 1 to 36,500.
pub fn read_erase_after_days(text: &str) -> Result<Option<u32>, &'static str> {
    if text == "off" {
        return Ok(None);
    }
    let days = text.parse().ok().filter(|days| (1..=ERASE_AFTER_DAYS_MAX).contains(days));
    days.map(Some).ok_or("write a number of days, 1 to 36500, or off")
}

/// The setting that holds how far the clock is believed.
const CLOCK: &str = "erasure-clock";

/// How far the clock is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Clock {
    /// The latest moment that has come for certain; none at the very beginning.
    believed: Option<Timestamp>,
    /// The moment that is believed next, a day after it was seen.
    seen: Timestamp,
}

/// What a look at the clock showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing new.
    Same,
    /// A later moment is believed.
    Believed,
    /// The clock is not where it should be: what it says is believed in a day.
    Jumped,
}

impl Clock {
    fn look(&mut self, now: Timestamp) -> Look {
        let gone_seconds = now.seconds() - self.seen.seconds();
        if !(0..=CLOCK_GAP_SECONDS_MAX).contains(&gone_seconds) {
            self.seen = now;
            return Look::Jumped;
        }
        if gone_seconds < CLOCK_BELIEVED_AFTER_SECONDS {
            return Look::Same;
        }
        *self = Self { believed: Some(self.seen), seen: now };
        Look::Believed
    }
}

impl App {
    /// Erases what a voter's votes in a poll that is over tell of the voter.
    pub(crate) async fn erase_voter(
        &self,
        poll: &PollId,
        voter: &VoterId,
        actor: &str,
    ) -> Result<ErasedView, Failure> {
        let records =
            self.store().erase_voter(poll, voter, actor).await.map_err(|error| self.failed(error))?;
        Ok(ErasedView { poll_id: poll.clone(), records })
    }

    /// Erases by age until it is dropped, if that was chosen. It looks at the clock each minute, and at the polls once a
    /// day.
    pub async fn erase_by_age(self) {
        let Some(days) = self.parts.settings.erase_after_days else { return std::future::pending().await };
        let mut is_all_done = false;
        loop {
            tokio::time::sleep(ERASURE_PAUSE).await;
            match self.erase_what_is_due(days, is_all_done).await {
                Ok(()) => is_all_done = true,
                Err(error) => {
                    is_all_done = false;
                    tracing::error!(%error, "the erasure by age failed; it is tried again");
                }
            }
        }
    }

    /// One look at the clock, and at the polls unless all that was due before has been done and nothing new is: one poll
    /// is erased after the other. What is under way when the server stops goes on at its next start.
    ///
    /// # Errors
    /// What keeps the store from reading or writing; the next look does the rest.
    pub async fn erase_what_is_due(&self, days: u32, is_all_done: bool) -> Result<(), StoreError> {
        let now = self.edge().now();
        let known = self.kept::<Clock>(CLOCK).await?;
        let mut clock = known.unwrap_or(Clock { believed: None, seen: now });
        let look = clock.look(now);
        if known != Some(clock) && self.keep(CLOCK, &clock).await.is_err() {
            return Err(StoreError::busy("how far the clock is believed was not kept"));
        }
        if look == Look::Jumped {
            tracing::warn!(%now, "the clock has jumped: erasure by age waits for a day");
        }
        let Some(believed) = clock.believed else { return Ok(()) };
        if is_all_done && look != Look::Believed {
            return Ok(());
        }
        if self.parts.metrics.are_exports_failing() {
            tracing::warn!("erasure by age waits: exports by the clock fail, and they come first");
            return Err(StoreError::busy("exports by the clock fail"));
        }
        for poll in self.polls_kept_until(believed, days).await? {
            self.erase_by_schedule(&poll).await?;
        }
        Ok(())
    }

    /// The polls whose time is up at a moment.
    async fn polls_kept_until(&self, moment: Timestamp, days: u32) -> Result<Vec<PollId>, StoreError> {
        let is_due = |poll: &Poll| poll.kept_until(days).is_some_and(|until| until <= moment);
        let mut due = Vec::new();
        for status in [Status::Closed, Status::Certified, Status::Archived] {
            let mut cursor = None;
            loop {
                let query = PollQuery { status: Some(status), limit: POLLS_PAGE_MAX, cursor };
                let page = self.store().list_polls(query).await?;
                due.extend(page.polls.iter().filter(|poll| is_due(poll)).map(|poll| poll.id.clone()));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(due)
    }

    /// Erases a poll and waits for the end, so that the disk erases one poll at a time.
    async fn erase_by_schedule(&self, id: &PollId) -> Result<(), StoreError> {
        let poll = match self.store().change_poll(id, PollCommand::Erase, None, "schedule").await {
            Ok(poll) => poll,
            // It was deleted meanwhile.
            Err(StoreError::Refused(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        tracing::info!(poll = %poll.id, closed_at = ?poll.closed_at.map(|at| at.to_string()), "a poll is erased by its age");
        while let Ok(poll) = self.store().poll(id).await
            && poll.personal_data == PersonalData::Erasing
        {
            if self.store().health().trouble.is_some() {
                return Err(StoreError::busy("the storage has stopped"));
            }
            tokio::time::sleep(ERASURE_WAIT_PAUSE).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these hours, and what each showed: `.` nothing new, `!` a jump, or the hour that is believed from then on.
    fn check(hours: &[i64], expected: &str) {
        let at = |hour: i64| Timestamp::default().plus_seconds(hour * 3_600);
        let mut clock = Clock { believed: None, seen: at(0) };
        let told = hours.iter().map(|hour| match clock.look(at(*hour)) {
            Look::Same => ".".to_owned(),
            Look::Jumped => "!".to_owned(),
            Look::Believed => (clock.believed.unwrap_or_default().seconds() / 3_600).to_string(),
        });
        assert_eq!(told.collect::<Vec<_>>().join(" "), expected, "{hours:?}");
    }

    #[test]
    fn a_moment_is_believed_a_day_after() {
        check(&[0, 1, 23, 24, 25, 47, 48], ". . . 0 . . 24");
    }

    #[test]
    fn a_server_that_runs_by_day_believes_too() {
        check(&[8, 24, 32, 48, 56, 72], ". 0 . 24 . 48");
    }

    #[test]
    fn a_jump_ahead_is_not_believed_before_it_has_lasted_for_a_day() {
        check(&[24, 2_400, 2_401, 25, 26, 48, 49], "0 ! . ! . . 25");
        check(&[24, 2_400, 2_423, 2_424], "0 ! . 2400");
    }
}
