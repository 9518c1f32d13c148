//! The other sites that may show this server's pages in a frame and use its API from their scripts. They are parsed
//! once, into just what browsers send and compare.

use std::{fmt, str::FromStr};

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize, Serializer};

use crate::limits::ORIGINS_MAX;

/// Origins (RFC 6454), each as browsers write it: `https://app.example`, with a port where it is not the scheme's own.
/// As text they are a list with commas between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Origins(Vec<HeaderValue>);

impl Origins {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The origin that a request's `Origin` names, if it is one of these.
    pub(crate) fn find(&self, origin: &HeaderValue) -> Option<&HeaderValue> {
        self.0.iter().find(|known| *known == origin)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|origin| origin.to_str().ok())
    }

    /// The origins with something between them.
    pub(crate) fn joined(&self, separator: &str) -> String {
        self.texts().collect::<Vec<_>>().join(separator)
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.joined(","))
    }
}

impl Serialize for Origins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is no list of origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginsError {
    /// One of them is no origin.
    #[error("write origins such as https://app.example, without a path, with commas between them")]
    Unreadable,
    /// There are too many.
    #[error("name {ORIGINS_MAX} origins at most")]
    TooMany,
}

/// A file writes a list, or the same text as a variable.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    List(Vec<String>),
}

impl TryFrom<Written> for Origins {
    type Error = OriginsError;

    fn try_from(written: Written) -> Result<Self, OriginsError> {
        match written {
            Written::Text(text) => text.parse(),
            Written::List(list) => Self::read(list.iter().map(String::as_str)),
        }
    }
}

impl FromStr for Origins {
    type Err = OriginsError;

    fn from_str(text: &str) -> Result<Self, OriginsError> {
        Self::read(text.split(',').filter(|origin| !origin.trim().is_empty()))
    }
}

impl Origins {
    fn read<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, OriginsError> {
        let origins: Option<Vec<_>> = texts.map(|text| read_origin(text.trim())).collect();
        let origins = origins.ok_or(OriginsError::Unreadable)?;
        if origins.len() > ORIGINS_MAX { Err(OriginsError::TooMany) } else { Ok(Self(origins)) }
    }
}

/// One origin in lower case, without the port that its scheme has anyway.
fn read_origin(text: &str) -> Option<HeaderValue> {
    let text = text.to_ascii_lowercase();
    let (scheme, place) = text.split_once("://")?;
    let usual_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (place, None),
    };
    let port = port.filter(|port| *port != usual_port).map(|port| format!(":{port}")).unwrap_or_default();
    is_host(host).then(|| HeaderValue::try_from(format!("{scheme}://{host}{port}")).ok())?
}

/// A name, in its ASCII form, or an address.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, OriginsError>) {
        let read = text.parse::<Origins>().map(|origins| origins.to_string());
        assert_eq!(read, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        check("", Ok(""));
        check("https://app.example", Ok("https://app.example"));
        check(
            " HTTPS://App.Example:443 , http://localhost:3000,",
            Ok("https://app.example,http://localhost:3000"),
        );
        check("http://[::1]:8080", Ok("http://[::1]:8080"));
        check("http://[::1]", Ok("http://[::1]"));
        for wrong in [
            "*",
            "null",
            "app.example",
            "https://",
            "https://app.example/",
            "https://*.example",
            "ftp://app.example",
            "https://a b",
            "https://a.example;script-src *",
            "https://a.example:99999",
            "https://user@a.example",
        ] {
            check(wrong, Err(OriginsError::Unreadable));
        }
        check(&vec!["https://a.example"; ORIGINS_MAX + 1].join(","), Err(OriginsError::TooMany));
    }
}
