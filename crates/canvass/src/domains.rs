//! The domains whose certificates the server gets by itself.

use std::{net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::limits::{ACME_DOMAINS_MAX, DOMAIN_BYTES_MAX, DOMAIN_LABEL_BYTES_MAX};

/// Names as DNS knows them (RFC 1035), in lower case; none where the text is empty. As text they have commas between.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Domains(Vec<String>);

impl Domains {
    /// The domains, if there are any.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only ACME asks for them"))]
    pub(crate) fn into_names(self) -> Vec<String> {
        self.0
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Domains {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_ascii_lowercase).collect();
        if let Some(name) = names.iter().find(|name| !is_domain(name)) {
            return Err(format!(
                "{name:?} is no domain that can be proven: write names such as votes.example.org, in ASCII, without wildcards"
            ));
        }
        if names.len() > ACME_DOMAINS_MAX {
            return Err(format!("a certificate is for at most {ACME_DOMAINS_MAX} domains"));
        }
        Ok(Self(names))
    }
}

impl TryFrom<String> for Domains {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Serialize for Domains {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.join(","))
    }
}

/// Whether an authority may be asked for a certificate for it by TLS-ALPN-01: no address, and no wildcard.
fn is_domain(name: &str) -> bool {
    let fits = |label: &str| {
        (1..=DOMAIN_LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= DOMAIN_BYTES_MAX && name.parse::<IpAddr>().is_err() && name.split('.').all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text is read as; an error is told without what to write instead.
    fn check(text: &str, expected: &str) {
        let read = text.parse::<Domains>().map(|domains| domains.0.join(" "));
        let told = read.unwrap_or_else(|error| error.split(": write").next().unwrap_or_default().to_owned());
        assert_eq!(told, expected, "{text:?}");
    }

    #[test]
    fn domains_are_names_and_nothing_else() {
        check("", "");
        check("votes.example.org", "votes.example.org");
        check(" Votes.example.org, www.votes.example.org,", "votes.example.org www.votes.example.org");
        check("xn--whl-jma.example", "xn--whl-jma.example");
        check("wähl.example", "\"wähl.example\" is no domain that can be proven");
        check("*.example.org", "\"*.example.org\" is no domain that can be proven");
        check("127.0.0.1", "\"127.0.0.1\" is no domain that can be proven");
        check("https://example.org", "\"https://example.org\" is no domain that can be proven");
        check("example..org", "\"example..org\" is no domain that can be proven");
        check(
            &format!("{}.org", "a".repeat(64)),
            &format!("\"{}.org\" is no domain that can be proven", "a".repeat(64)),
        );
        check(&vec!["a.org"; 101].join(","), "a certificate is for at most 100 domains");
    }
}
