//! One-time codes: made in lots, shown this once.

use canvass_domain::{
    PollId,
    code::{code_from_random, hash_code},
    limits::CODES_LOT_MAX,
};
use serde::{Deserialize, Serialize};

use crate::{app::App, service::Failure};

/// How many codes a caller asks for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, expecting = "the number of codes in an object")]
pub(crate) struct NewCodes {
    /// 1 to 100,000.
    pub(crate) count: usize,
}

/// A lot of codes. Only their hashes are kept, so this answer is the only place to read them.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Codes))]
#[serde(rename_all = "camelCase")]
pub(crate) struct CodesView {
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    poll_id: PollId,
    count: usize,
    pub(crate) codes: Vec<String>,
}

/// Codes that are hashed before others get their turn.
const CODES_AT_ONCE: usize = 1_000;

impl App {
    /// Makes codes for a poll.
    pub(crate) async fn create_codes(
        &self,
        poll: &PollId,
        request: NewCodes,
        actor: &str,
    ) -> Result<CodesView, Failure> {
        if !(1..=CODES_LOT_MAX).contains(&request.count) {
            return Err(Failure::invalid("count", format!("1 to {CODES_LOT_MAX} codes at a time")));
        }
        self.poll(poll).await?;
        let mut codes = Vec::with_capacity(request.count);
        let mut hashes = Vec::with_capacity(request.count);
        while codes.len() < request.count {
            for _ in 0..CODES_AT_ONCE.min(request.count - codes.len()) {
                let code = code_from_random(self.random());
                hashes.push(hash_code(poll, &code));
                codes.push(code);
            }
            tokio::task::yield_now().await;
        }
        self.store().add_codes(poll, hashes, actor).await.map_err(|error| self.failed(error))?;
        Ok(CodesView { poll_id: poll.clone(), count: codes.len(), codes })
    }
}
