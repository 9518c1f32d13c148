//! The visual language on one page, for those who work on it: in builds for development only.

use askama::Template;
use axum::{http::StatusCode, response::Response};

use super::{
    palette::{PAIRS, Palette, palettes},
    show,
    texts::PageTexts,
};
use crate::{
    app::App,
    http::{
        ask::Ask,
        speech::{Language, Speech},
    },
    service::Failure,
};

#[derive(Template)]
#[template(path = "styleguide.html")]
struct Styleguide {
    t: &'static PageTexts,
    palettes: Vec<Swatches>,
    sizes: [(&'static str, &'static str); 6],
}

/// The colours of one palette, in pairs.
struct Swatches {
    name: &'static str,
    pairs: Vec<Swatch>,
}

struct Swatch {
    title: String,
    purpose: &'static str,
    colour: &'static str,
    ground: &'static str,
    contrast: String,
}

/// What everything looks like.
pub(crate) async fn read_styleguide(_: App, _: Ask) -> Result<Response, Failure> {
    let page = Styleguide {
        t: PageTexts::of(Language::English),
        palettes: palettes().iter().map(swatches).collect(),
        sizes: [
            ("turnout", "The number that matters"),
            ("h1", "A title"),
            ("verdict", "Who is in front"),
            ("lead", "What leads in"),
            ("text", "What is read"),
            ("fine", "What is beside the point"),
        ],
    };
    Ok(show(Speech::default(), StatusCode::OK, &page))
}

fn swatches(palette: &Palette) -> Swatches {
    let pairs = PAIRS.iter().map(|pair| Swatch {
        title: format!("{} on {}", pair.name, pair.ground),
        purpose: pair.purpose,
        colour: palette.colour(pair.name),
        ground: palette.colour(pair.ground),
        contrast: format!("{:.1} (at least {})", palette.contrast(pair), pair.least),
    });
    Swatches { name: palette.name, pairs: pairs.collect() }
}
