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
    service::{
        Failure,
        election::file_type,
        export::{Export, ExportFormat},
    },
};

#[derive(Deserialize)]
struct ExportQuery {
    format: Option<String>,
}

/// Export every vote that counts
///
/// As `csv`, `jsonl` or `json` each vote with its voter; as `election` (the election JSON that `canvass count` and
/// `canvass import` read), `blt` or `abif` the ballots alone, alike ones together, with nothing of who cast them.
///
/// Votes that come while the export is written are not in it. In CSV a cell that a spreadsheet would take for a formula
/// has an apostrophe in front; the other formats hold each text as it is.
#[utoipa::path(get, path = "/v1/polls/{poll}/export", tag = "results",
    params(("poll" = String, Path, description = "The poll's id"),
        ("format" = Option<String>, Query, description = "`csv` (if absent), `jsonl`, `json`, `election`, `blt` or `abif`")),
    responses((status = 200, description = "The votes", body = String, content_type = "text/csv"), ExportProblems))]
pub(crate) async fn export_votes(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::ExportsRead)?;
    let id = ask.poll()?;
    let query: ExportQuery = ask.query()?;
    let format = ExportFormat::read(query.format.as_deref().unwrap_or("csv"))?;
    let (content_type, file_name, body) = match format {
        ExportFormat::Votes(format) => {
            let export = app.export(&id).await?.written_as(format);
            (export.content_type(), export.file_name(), stream(export))
        }
        ExportFormat::Election(format) => {
            let text = app.export_election(&id, format).await?;
            let (extension, content_type) = file_type(format);
            (content_type, format!("{id}.{extension}"), Body::from(text))
        }
    };
    let file = HeaderValue::try_from(format!("attachment; filename=\"{file_name}\""));
    let mut response = reply::of(StatusCode::OK, HeaderValue::from_static(content_type), body);
    response.headers_mut().insert(CACHE_CONTROL, reply::NO_STORE);
    if let Ok(file) = file {
        response.headers_mut().insert(CONTENT_DISPOSITION, file);
    }
    Ok(response)
}

fn stream(export: Export) -> Body {
    Body::from_stream(try_unfold(export, |mut export| async move {
        let piece =
            export.next().await.inspect_err(|error| tracing::error!(%error, "an export broke off"))?;
        Ok::<_, canvass_store::StoreError>(piece.map(|piece| (piece, export)))
    }))
}
