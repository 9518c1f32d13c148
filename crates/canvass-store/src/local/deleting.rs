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
            return self.decide_poll(cell, PollCommand::Delete, expected, actor).await;
        }
        let poll = self.decide_poll(Arc::clone(&cell), PollCommand::Erase, expected, actor).await?;
        if poll.personal_data == PersonalData::Erasing {
            let told = self.erasing.start(&self.shared, &self.queue, Arc::clone(&cell)).await;
            told.map_err(|_| StoreError::busy("the erasure before a deletion was not finished"))?;
        }
        self.wait_until(&cell, |poll| poll.personal_data == PersonalData::Erased).await?;
        // The erasure has made it another version, and nobody changes an archived poll otherwise.
        self.decide_poll(cell, PollCommand::Delete, None, actor).await
    }
}
