//! The HTTP API and the pages: every route on this page.

mod ask;
mod batch;
mod client;
mod codes;
mod cross_origin;
mod dialect;
mod dialect_a;
mod dialect_b;
mod docs;
mod events;
mod export;
mod guard;
mod health;
mod keys;
mod oembed;
#[cfg(feature = "openapi")]
mod openapi;
mod pages;
mod polls;
mod problem;
mod reply;
mod results;
mod speech;
mod stream;
mod votes;
mod webhooks;

use axum::{
    Router,
    http::Method,
    middleware::{from_fn_with_state, map_response},
};

pub use guard::PeerAddress;
#[cfg(feature = "openapi")]
pub use openapi::openapi;
pub use problem::answer_too_large;

use crate::{
    app::App,
    service::limiting::Class::{Api, Batch, Free, PostVotes, ReadVotes},
};
use guard::{
    Refuse::{ToPerson, ToProgram},
    Routes,
};
use pages::console;

/// Every route over one service.
pub fn router(app: App) -> Router {
    let native = Routes::new(&app, ToProgram(problem::refuse))
        .on(Method::POST, "/v1/polls", Api, polls::create_poll)
        .on(Method::GET, "/v1/polls", Api, polls::list_polls)
        .on(Method::GET, "/v1/polls/{poll}", Api, polls::read_poll)
        .on(Method::PATCH, "/v1/polls/{poll}", Api, polls::change_poll)
        .on(Method::DELETE, "/v1/polls/{poll}", Api, polls::delete_poll)
        .on(Method::POST, "/v1/polls/{poll}/open", Api, polls::open_poll)
        .on(Method::POST, "/v1/polls/{poll}/pause", Api, polls::pause_poll)
        .on(Method::POST, "/v1/polls/{poll}/close", Api, polls::close_poll)
        .on(Method::POST, "/v1/polls/{poll}/certify", Api, polls::certify_poll)
        .on(Method::POST, "/v1/polls/{poll}/erase", Api, polls::erase_poll)
        .on(Method::POST, "/v1/polls/{poll}/archive", Api, polls::archive_poll)
        .on(Method::GET, "/v1/polls/{poll}/events", Api, polls::list_events)
        .on(Method::POST, "/v1/polls/{poll}/codes", Api, codes::create_codes)
        .on(Method::POST, "/v1/polls/{poll}/votes", PostVotes, votes::cast_vote)
        .on(Method::POST, "/v1/polls/{poll}/votes/batch", Batch, batch::cast_votes)
        .on(Method::GET, "/v1/polls/{poll}/votes/{voter}", ReadVotes, votes::read_vote)
        .on(Method::POST, "/v1/polls/{poll}/votes/{voter}/erase", Api, votes::erase_vote)
        .on(Method::PUT, "/v1/polls/{poll}/votes/{voter}", PostVotes, votes::change_vote)
        .on(Method::DELETE, "/v1/polls/{poll}/votes/{voter}", PostVotes, votes::withdraw_vote)
        .on(Method::GET, "/v1/polls/{poll}/results", Api, results::read_results)
        .on(Method::GET, "/v1/polls/{poll}/results/stream", Api, stream::stream_results)
        .on(Method::GET, "/v1/polls/{poll}/breakdown", Api, results::read_breakdown)
        .on(Method::GET, "/v1/polls/{poll}/timeline", Api, results::read_timeline)
        .on(Method::GET, "/v1/polls/{poll}/export", Api, export::export_votes)
        .on(Method::POST, "/v1/polls/{poll}/recount", Api, results::recount_poll)
        .on(Method::POST, "/v1/keys", Api, keys::create_key)
        .on(Method::GET, "/v1/keys", Api, keys::list_keys)
        .on(Method::DELETE, "/v1/keys/{id}", Api, keys::revoke_key)
        .on(Method::POST, "/v1/keys/{id}/rotate", Api, keys::rotate_key)
        .on(Method::GET, "/v1/events", Api, events::list_all_events)
        .on(Method::POST, "/v1/webhooks", Api, webhooks::create_webhook)
        .on(Method::GET, "/v1/webhooks", Api, webhooks::list_webhooks)
        .on(Method::DELETE, "/v1/webhooks/{id}", Api, webhooks::delete_webhook)
        .on(Method::POST, "/v1/webhooks/{id}/redeliver", Api, webhooks::redeliver)
        .on(Method::GET, "/v1/alarms", Api, webhooks::list_alarms)
        .on(Method::GET, "/livez", Free, health::read_liveness)
        .on(Method::GET, "/readyz", Free, health::read_readiness)
        .on(Method::GET, "/metrics", Free, health::read_metrics)
        .on(Method::GET, "/oembed", Api, oembed::read_oembed)
        .on(Method::GET, "/client/canvass.js", Free, client::read_module)
        .on(Method::GET, "/client/canvass.d.ts", Free, client::read_types)
        .on(Method::GET, "/openapi.json", Free, docs::read_openapi)
        .on(Method::GET, "/docs", Free, docs::read_docs)
        .finish();
    let native = if app.parts.settings.embed_origins.is_empty() {
        native
    } else {
        native.layer(from_fn_with_state(app.clone(), cross_origin::share))
    };
    let pages = Routes::new(&app, ToPerson(pages::refuse))
        .on(Method::GET, "/", Api, pages::read_home)
        .on(Method::GET, "/p/{poll}", Api, pages::read_vote)
        .on(Method::POST, "/p/{poll}", PostVotes, pages::cast_vote)
        .on(Method::POST, "/p/{poll}/withdraw", PostVotes, pages::withdraw_vote)
        .on(Method::GET, "/p/{poll}/receipt", ReadVotes, pages::read_receipt)
        .on(Method::GET, "/assets/{name}", Free, pages::read_asset)
        .on(Method::GET, "/problems", Free, pages::list_problems)
        .on(Method::GET, "/problems/{kind}", Free, pages::read_problem)
        .with_sessions()
        .on(Method::GET, "/p/{poll}/results", Api, pages::read_results)
        .on(Method::GET, "/p/{poll}/results/stream", Api, pages::stream_results)
        .on(Method::GET, "/p/{poll}/projector", Api, pages::read_projector)
        .on(Method::GET, "/p/{poll}/analytics", Api, pages::read_analytics)
        .on(Method::GET, "/console", Api, console::list_polls)
        .on(Method::GET, "/console/sign-in", Api, console::read_sign_in)
        .on(Method::POST, "/console/sign-in", Api, console::enter)
        .on(Method::POST, "/console/sign-out", Api, console::leave)
        .on(Method::GET, "/console/polls/new", Api, console::new_poll)
        .on(Method::POST, "/console/polls", Api, console::create_poll)
        .on(Method::GET, "/console/polls/{poll}", Api, console::read_poll)
        .on(Method::GET, "/console/polls/{poll}/edit", Api, console::edit_poll)
        .on(Method::POST, "/console/polls/{poll}/edit", Api, console::change_poll)
        .on(Method::POST, "/console/polls/{poll}/step", Api, console::take_step)
        .on(Method::POST, "/console/polls/{poll}/recount", Api, console::recount_poll)
        .on(Method::GET, "/console/polls/{poll}/codes", Api, console::read_codes)
        .on(Method::POST, "/console/polls/{poll}/codes", Api, console::make_codes)
        .on(Method::GET, "/console/polls/{poll}/export", Api, console::export_poll)
        .on(Method::GET, "/console/keys", Api, console::list_keys)
        .on(Method::POST, "/console/keys", Api, console::create_key)
        .on(Method::POST, "/console/keys/{id}/rotate", Api, console::rotate_key)
        .on(Method::POST, "/console/keys/{id}/revoke", Api, console::revoke_key)
        .on(Method::GET, "/console/webhooks", Api, console::list_webhooks)
        .on(Method::POST, "/console/webhooks/{id}/redeliver", Api, console::redeliver);
    // For those who work on the pages; it is no part of the product.
    #[cfg(debug_assertions)]
    let pages = pages.on(Method::GET, "/styleguide", Free, pages::read_styleguide);
    let pages = pages.finish();
    let embedded = Routes::new(&app, ToPerson(pages::refuse))
        .on(Method::GET, "/embed/{poll}", Api, pages::read_vote)
        .on(Method::POST, "/embed/{poll}", PostVotes, pages::cast_vote)
        .on(Method::POST, "/embed/{poll}/withdraw", PostVotes, pages::withdraw_vote)
        .on(Method::GET, "/embed/{poll}/receipt", ReadVotes, pages::read_receipt)
        .on(Method::GET, "/embed/{poll}/results", Api, pages::read_results)
        .on(Method::GET, "/embed/{poll}/results/stream", Api, pages::stream_results)
        .finish()
        .layer(map_response(pages::frame(&app.parts.settings.embed_origins)));
    let dialect_a = Routes::new(&app, ToProgram(dialect_a::refuse))
        .on(Method::POST, "/votes", PostVotes, dialect_a::cast_vote)
        .on(Method::GET, "/votes", ReadVotes, dialect_a::read_vote)
        .on(Method::OPTIONS, "/votes", Free, dialect_a::preflight)
        .on(Method::GET, "/results", Api, dialect::read_results)
        .on(Method::OPTIONS, "/results", Free, dialect_a::preflight)
        .finish();
    let dialect_b = Routes::new(&app, ToProgram(dialect_b::refuse))
        .on(Method::POST, "/vote", PostVotes, dialect_b::cast_vote)
        .finish();
    native
        .merge(pages)
        .merge(embedded)
        .merge(dialect_a)
        .merge(dialect_b)
        .fallback(problem::route_not_found)
        .with_state(app)
}
