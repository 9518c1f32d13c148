//! How an answer speaks. Its language is what the reader chose, or what the browser asks for (RFC 9110, section
//! 12.5.4).

use std::fmt;

use axum::http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, SET_COOKIE, VARY},
    request::Parts,
};
use serde::Deserialize;

use crate::http::ask::cookie;

/// The cookie that remembers the language that was chosen, and nothing else.
const LANGUAGE_COOKIE: &str = "canvass_language";
/// As long as browsers keep a cookie.
const LANGUAGE_SECONDS_MAX: u32 = 400 * 86_400;

/// A language that pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Language {
    #[default]
    #[serde(rename = "en")]
    English,
    #[serde(rename = "de")]
    German,
    #[serde(rename = "ar")]
    Arabic,
}

impl Language {
    pub(crate) const ALL: [Self; 3] = [Self::English, Self::German, Self::Arabic];

    /// Its tag (BCP 47).
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Arabic => "ar",
        }
    }

    /// The language of a tag, whatever its region and script.
    fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.code()))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// How an answer speaks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Speech {
    pub(crate) language: Language,
    /// Whether this very request chose it, so that it is to be remembered.
    is_chosen: bool,
    /// Whether the page is for a frame of another page, without what stands around it elsewhere.
    pub(crate) is_framed: bool,
}

impl Speech {
    /// What a request asks for: `?lang=de`, else what was remembered, else the browser's list.
    pub(crate) fn of(head: &Parts) -> Self {
        let is_framed = head.uri.path().starts_with("/embed/");
        if let Some(language) = head.uri.query().and_then(chosen) {
            return Self { language, is_chosen: true, is_framed };
        }
        let remembered = cookie(&head.headers, LANGUAGE_COOKIE).and_then(Language::of_tag);
        let language = remembered.or_else(|| accepted(&head.headers)).unwrap_or_default();
        Self { language, is_chosen: false, is_framed }
    }

    /// The same in a language that a page has. What was chosen and is not there is not remembered either.
    pub(crate) fn in_language(self, language: Language) -> Self {
        Self { is_chosen: self.is_chosen && language == self.language, language, ..self }
    }

    /// Where the pages of polls lie that speak like this.
    pub(crate) fn polls(self) -> &'static str {
        if self.is_framed { "/embed" } else { "/p" }
    }

    /// What links to such pages end in. Inside a frame no cookie remembers the language.
    pub(crate) fn query(self) -> String {
        if self.is_framed && self.is_chosen { format!("?lang={}", self.language) } else { String::new() }
    }

    /// The same in one of some languages: the first, where the pages do not speak the reader's.
    pub(crate) fn within(self, languages: &[Language]) -> Self {
        let known = languages.contains(&self.language);
        let first = languages.first().copied().unwrap_or_default();
        Self { language: if known { self.language } else { first }, ..self }
    }

    /// Says in an answer what it speaks and what that depended on, and remembers a choice.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(self.language.code()));
        headers.insert(VARY, HeaderValue::from_static("accept-language, cookie"));
        let cookie = format!(
            "{LANGUAGE_COOKIE}={}; Path=/; Max-Age={LANGUAGE_SECONDS_MAX}; HttpOnly; SameSite=Lax",
            self.language.code()
        );
        if let Some(cookie) = HeaderValue::try_from(cookie).ok().filter(|_| self.is_chosen) {
            headers.append(SET_COOKIE, cookie);
        }
    }
}

fn chosen(query: &str) -> Option<Language> {
    let (_, value) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "lang")?;
    Language::of_tag(&value)
}

/// The language that the browser likes best among those that are spoken; of equals the first.
fn accepted(headers: &HeaderMap) -> Option<Language> {
    let lists = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let mut best: Option<(Language, f32)> = None;
    for range in lists.flat_map(|list| list.split(',')) {
        let (tag, weight) = range.split_once(';').unwrap_or((range, ""));
        let Some(language) = Language::of_tag(tag) else { continue };
        let weight = weight.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse().ok());
        let weight = weight.filter(|weight| *weight > 0.0);
        if let Some(weight) = weight.filter(|weight| best.is_none_or(|(_, known)| *weight > known)) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn check(uri: &str, accept: &str, cookies: &str, expected: Language) {
        let request = Request::get(uri).header("accept-language", accept).header("cookie", cookies);
        let (head, ()) = request.body(()).expect("a request").into_parts();
        assert_eq!(Speech::of(&head).language, expected, "{uri} {accept} {cookies}");
    }

    #[test]
    fn the_reader_is_spoken_to_in_a_language_that_was_asked_for() {
        check("/", "", "", Language::English);
        check("/", "de-AT, en;q=0.8", "", Language::German);
        check("/", "fr, en;q=0.5, DE;q=0.7", "", Language::German);
        check("/", "de;q=0, en;q=0.1", "", Language::English);
        check("/", "de;q=nonsense, ar-EG;q=0.2", "", Language::Arabic);
        check("/", "fr, *", "", Language::English);
        check("/", "de", "canvass_language=ar", Language::Arabic);
        check("/", "de", "canvass_language=tlh", Language::German);
        check("/?a=1&lang=de", "en", "canvass_language=ar", Language::German);
        check("/?lang=%3Cscript%3E", "ar", "", Language::Arabic);
    }
}
