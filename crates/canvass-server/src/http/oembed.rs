//! oEmbed 1.0 (oembed.com): what another program shows of a poll when somebody pastes its address there.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL},
        request::Parts,
    },
    response::Response,
};
use canvass_domain::{Poll, PollId};
use serde::{Deserialize, Serialize};

use super::{
    ask::Ask,
    pages::{escaped, host, origin},
    reply,
};
use crate::{
    app::App,
    limits::{OEMBED_CACHE_SECONDS, OEMBED_HEIGHT_MAX, OEMBED_WIDTH_MAX},
    service::{Failure, results::is_open_to_all},
};

#[derive(Deserialize)]
struct OembedQuery {
    url: Option<String>,
    format: Option<String>,
    maxwidth: Option<String>,
    maxheight: Option<String>,
}

/// What to show of a poll.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Oembed {
    version: &'static str,
    r#type: &'static str,
    title: String,
    provider_name: &'static str,
    provider_url: String,
    /// Seconds that this may be kept for.
    cache_age: u32,
    /// A frame of the poll. Only pages of origins that the server was told of can show it.
    html: String,
    /// Pixels.
    width: u32,
    /// Pixels.
    height: u32,
}

/// Which of a poll's pages an address is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Vote,
    Results,
}

/// How to embed a poll
///
/// oEmbed 1.0, for polls that anyone may vote in and see. The answer's frame is shown on pages of the origins in the
/// server's `embed-origins`, and nowhere else.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/oembed", tag = "results",
    params(("url" = String, Query, description = "The address of a poll's page, or of its results"),
        ("format" = Option<String>, Query, description = "`json` (if absent) or `xml`"),
        ("maxwidth" = Option<u32>, Query, description = "Pixels that the frame may be wide"),
        ("maxheight" = Option<u32>, Query, description = "Pixels that the frame may be high")),
    responses((status = 200, description = "What to show", body = Oembed), crate::http::openapi::OembedProblems)))]
pub(crate) async fn read_oembed(app: App, ask: Ask) -> Result<Response, Failure> {
    let query: OembedQuery = ask.query()?;
    let url = query.url.as_deref().ok_or_else(|| Failure::invalid("url", "the address of a poll's page"))?;
    let is_json = match query.format.as_deref() {
        None | Some("json") => true,
        Some("xml") => false,
        Some(_) => return Err(Failure::invalid("format", "json or xml")),
    };
    let width = read_size("maxwidth", query.maxwidth.as_deref())?
        .map_or(OEMBED_WIDTH_MAX, |most| most.min(OEMBED_WIDTH_MAX));
    let height = read_size("maxheight", query.maxheight.as_deref())?.unwrap_or(OEMBED_HEIGHT_MAX);
    let (site, id, shown) = read_address(url, host(&ask.head.headers)).ok_or(NO_POLL)?;
    let poll = app.poll(&id).await?;
    if !is_open_to_all(&poll) {
        return Err(Failure::MissingKey);
    }
    let found = oembed(&site, &poll, shown, width, height.min(usual_height(&poll, shown)));
    let mut response = if is_json { reply::json(StatusCode::OK, &found) } else { found.xml() };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}

/// Where a program finds out how to embed a page of a poll; none if not anyone may see it.
pub(crate) fn discovery(app: &App, head: &Parts, poll: &Poll) -> Option<String> {
    if !is_open_to_all(poll) {
        return None;
    }
    let site = origin(head, app.parts.settings.trusted_proxies);
    let page =
        form_urlencoded::byte_serialize(format!("{site}{}", head.uri.path()).as_bytes()).collect::<String>();
    Some(format!("{site}/oembed?url={page}"))
}

const NO_POLL: Failure = Failure::Refused(canvass_domain::Refusal::PollNotFound);

fn read_size(field: &'static str, text: Option<&str>) -> Result<Option<u32>, Failure> {
    let read = |text: &str| text.parse().ok().filter(|size| *size > 0);
    text.map(|text| read(text).ok_or_else(|| Failure::invalid(field, "a number of pixels"))).transpose()
}

/// The site, the poll and its page of an address on this server.
fn read_address(url: &str, host: Option<&str>) -> Option<(String, PollId, Shown)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = ["http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
    let (place, path) = rest.split_once('/')?;
    let host = host.filter(|host| host.eq_ignore_ascii_case(place))?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let (id, shown) = match path.split('/').collect::<Vec<_>>()[..] {
        ["p" | "embed", id] => (id, Shown::Vote),
        ["p" | "embed", id, "results" | "projector"] => (id, Shown::Results),
        _ => return None,
    };
    Some((format!("{scheme}://{host}"), id.parse().ok()?, shown))
}

/// A height at which most polls need no scrolling.
fn usual_height(poll: &Poll, shown: Shown) -> u32 {
    let (around, option) = if shown == Shown::Vote { (420, 72) } else { (440, 68) };
    let options = u32::try_from(poll.options.len()).unwrap_or(u32::MAX);
    options.saturating_mul(option).saturating_add(around).min(OEMBED_HEIGHT_MAX)
}

fn oembed(site: &str, poll: &Poll, shown: Shown, width: u32, height: u32) -> Oembed {
    let page = if shown == Shown::Vote { "" } else { "/results" };
    let address = escaped(&format!("{site}/embed/{}{page}", poll.id));
    let title = escaped(&poll.title);
    Oembed {
        version: "1.0",
        r#type: "rich",
        title: poll.title.clone(),
        provider_name: "Canvass",
        provider_url: site.to_owned(),
        cache_age: OEMBED_CACHE_SECONDS,
        html: format!(
            "<iframe src=\"{address}\" title=\"{title}\" width=\"{width}\" height=\"{height}\" style=\"border:0\" loading=\"lazy\"></iframe>"
        ),
        width,
        height,
    }
}

impl Oembed {
    fn xml(&self) -> Response {
        let fields = [
            ("version", self.version),
            ("type", self.r#type),
            ("title", &self.title),
            ("provider_name", self.provider_name),
            ("provider_url", &self.provider_url),
            ("cache_age", &self.cache_age.to_string()),
            ("html", &self.html),
            ("width", &self.width.to_string()),
            ("height", &self.height.to_string()),
        ];
        let fields = fields.map(|(name, value)| format!("<{name}>{}</{name}>\n", escaped(value))).concat();
        let xml = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<oembed>\n{fields}</oembed>\n");
        reply::of(StatusCode::OK, HeaderValue::from_static("text/xml; charset=utf-8"), xml)
    }
}
