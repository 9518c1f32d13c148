//! The route of exports.

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION},
    },
    response::Response,
};
use canvass_domain::key::Scope;
use futures_util::stream::try_unfold;
use serde::Deserialize;

use crate::{
    app::App,
    http::{ask::Ask, openapi::ExportProblems, reply},
    service::{Failure, export::ExportFormat},
};

#[derive(Deserialize)]
struct ExportQuery {
    format: Option<String>,
}

/// Export every vote that counts
///
/// Votes that come while the export is written are not in it. In CSV a cell that a spreadsheet would take for a formula
/// has an apostrophe in front; the other formats hold each text as it is.
#[utoipa::path(get, path = "/v1/polls/{poll}/export", tag = "results",
    params(("poll" = String, Path, description = "The poll's id"),
        ("format" = Option<String>, Query, description = "`csv` (if absent), `jsonl` or `json`")),
    responses((status = 200, description = "The votes", body = String, content_type = "text/csv"), ExportProblems))]
pub(crate) async fn export_votes(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::ExportsRead)?;
    let id = ask.poll()?;
    let query: ExportQuery = ask.query()?;
    let format = ExportFormat::read(query.format.as_deref().unwrap_or("csv"))?;
    let export = app.export(&id, format).await?;
    let content_type = HeaderValue::from_static(export.content_type());
    let file = HeaderValue::try_from(format!("attachment; filename=\"{}\"", export.file_name()));
    let pieces = try_unfold(export, |mut export| async move {
        let piece =
            export.next().await.inspect_err(|error| tracing::error!(%error, "an export broke off"))?;
        Ok::<_, canvass_store::StoreError>(piece.map(|piece| (piece, export)))
    });
    let mut response = reply::of(StatusCode::OK, content_type, Body::from_stream(pieces));
    response.headers_mut().insert(CACHE_CONTROL, reply::NO_STORE);
    if let Ok(file) = file {
        response.headers_mut().insert(CONTENT_DISPOSITION, file);
    }
    Ok(response)
}
