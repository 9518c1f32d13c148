//! Where messages are delivered to.

use std::{fmt, net::IpAddr, str::FromStr};

use http::{HeaderValue, Uri};

use crate::limits::URL_BYTES_MAX;

/// An address of http or https, checked when it is parsed. Whether it may be reached is known only when it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_secure: bool,
    pub(crate) authority: HeaderValue,
    pub(crate) path: String,
}

/// Why a text is no address that messages can be delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is none of http or https, or holds a name and password, or a fragment.
    #[error("write an address such as https://example.com/hook: http or https, without a password")]
    Address,
    /// It is too long.
    #[error("an address has at most {URL_BYTES_MAX} bytes")]
    Length,
    /// This program was built without TLS.
    #[error(
        "this server was built without TLS, so it delivers to http alone; build it with: cargo build --release --features tls"
    )]
    TlsLeftOut,
}

impl Target {
    /// The host's address, where it is written as one.
    pub fn literal_address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// An address may hold a token in its path or query: only the host is shown.
impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Target({})", self.host)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.len() > URL_BYTES_MAX {
            return Err(TargetError::Length);
        }
        let uri: Uri = text.parse().map_err(|_| TargetError::Address)?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(TargetError::Address),
        };
        let authority = uri.authority().ok_or(TargetError::Address)?;
        if authority.as_str().contains('@') || authority.host().is_empty() || text.contains('#') {
            return Err(TargetError::Address);
        }
        if is_secure && !cfg!(feature = "tls") {
            return Err(TargetError::TlsLeftOut);
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() == authority.host() => {
                if is_secure {
                    443
                } else {
                    80
                }
            }
            None => return Err(TargetError::Address),
        };
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port,
            is_secure,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| TargetError::Address)?,
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, u16, &str), TargetError>) {
        let target = text.parse::<Target>();
        let parts = target.as_ref().map(|target| (target.host.as_str(), target.port, target.path.as_str()));
        assert_eq!(parts.map_err(|error| *error), expected, "{text}");
    }

    #[test]
    fn addresses_are_taken_apart() {
        check("http://example.com", Ok(("example.com", 80, "/")));
        check("http://example.com:81/a?b=c", Ok(("example.com", 81, "/a?b=c")));
        check("http://[::1]:8080/x", Ok(("::1", 8080, "/x")));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "/path", "example.com", "ftp://example.com", "file:///etc/passwd", "http://"] {
            check(text, Err(TargetError::Address));
        }
        check("http://name:password@example.com", Err(TargetError::Address));
        check("http://example.com/#part", Err(TargetError::Address));
        check("http://example.com:70000/hook", Err(TargetError::Address));
        check(&format!("http://example.com/{}", "a".repeat(URL_BYTES_MAX)), Err(TargetError::Length));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_tls_https_is_refused() {
        check("https://example.com", Err(TargetError::TlsLeftOut));
    }
}
