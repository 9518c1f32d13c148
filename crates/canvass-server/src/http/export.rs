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
use canvass_export::Export;
use futures_util::stream::try_unfold;
use serde::Deserialize;

use crate::{
    app::App,
    http::{ask::Ask, reply},
    service::{Failure, election::file_type, export::ExportFormat},
};

#[derive(Deserialize)]
struct ExportQuery {
    format: Option<String>,
    voters: Option<String>,
}

/// Export every vote that counts
///
/// As `csv`, `jsonl`, `json`, `xlsx` or `parquet` each vote with its voter, or with a pseudonym, or without; as `election`
/// (the election JSON that `canvass count` and `canvass import` read), `blt` or `abif` the ballots alone, alike ones
/// together, with nothing of who cast them.
///
/// Votes that come while the export is written are not in it. In CSV a cell that a spreadsheet would take for a formula
/// has an apostrophe in front; the other formats hold each text as it is, and a workbook says that it is text. A
/// workbook goes on in a further sheet after 1,048,576 rows.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/polls/{poll}/export", tag = "results",
    params(("poll" = String, Path, description = "The poll's id"),
        ("format" = Option<String>, Query, description = "`csv` (if absent), `jsonl`, `json`, `xlsx`, `parquet`, `election`, `blt` or `abif`"),
        ("voters" = Option<String>, Query, description = "`given` (if absent), `pseudonyms`: a keyed hash, the same for a voter in every export of the poll, or `omitted`")),
    responses((status = 200, description = "The votes", body = String, content_type = "text/csv"), crate::http::openapi::ExportProblems)))]
pub(crate) async fn export_votes(app: App, mut ask: Ask) -> Result<Response, Failure> {
    ask.caller.require(Scope::ExportsRead)?;
    let id = ask.poll()?;
    let query: ExportQuery = ask.query()?;
    let format = ExportFormat::read(query.format.as_deref().unwrap_or("csv"))?;
    let (content_type, file_name, body) = match format {
        ExportFormat::Votes(format) => {
            let voters = app.voters(query.voters.as_deref()).await?;
            let export = app.export(&id, format, voters).await?;
            (format.content_type(), format!("{id}.{}", format.extension()), stream(export))
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
        Ok::<_, canvass_export::ExportError>(piece.map(|piece| (piece, export)))
    }))
}
