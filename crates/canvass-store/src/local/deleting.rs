//! Deletes a poll: only after what its votes tell of persons is overwritten, since nothing reaches them afterwards.

use std::sync::Arc;

use canvass_domain::{
    Poll,
    decide::PollCommand,
    poll::{PersonalData, Status},
};

use super::{LocalStore, shared::PollCell};
use crate::StoreError;

impl LocalStore {
    /// Deletes a poll. If it is archived, it is erased first; whoever asks is answered when both are done. A program that
    /// is stopped in between goes on erasing at its next start, and the poll is there until it is deleted again.
    ///
    /// # Errors
    /// A refusal, or an erasure that has not ended in time and goes on.
    pub(super) async fn delete_poll(
        &self,
        cell: Arc<PollCell>,
        expected: Option<u64>,
        actor: &str,
    ) -> Result<Arc<Poll>, StoreError> {
        let poll = Arc::clone(&cell.snapshot.read().poll);
        if poll.status != Status::Archived || poll.personal_data == PersonalData::Erased {
            return self.step_poll(cell, PollCommand::Delete, expected, actor).await;
        }
        self.step_poll(Arc::clone(&cell), PollCommand::Erase, expected, actor).await?;
        self.wait_until(&cell, |poll| poll.personal_data == PersonalData::Erased).await?;
        // The erasure has made it another version, and nobody changes an archived poll otherwise.
        self.step_poll(cell, PollCommand::Delete, None, actor).await
    }
}
