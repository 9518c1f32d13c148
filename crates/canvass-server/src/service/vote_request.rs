//! A vote as callers write it, read without copies where that can be.

use std::{borrow::Cow, fmt};

use canvass_domain::ballot::BallotInput;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::service::Failure;

/// A vote as a caller writes it. It borrows from the request where it can.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a vote as an object")]
pub(crate) struct VoteRequest<'a> {
    #[serde(borrow, default)]
    pub(crate) voter_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) ballot: BallotInput<'a>,
    #[serde(borrow, default)]
    pub(crate) demographics: Option<Told<'a>>,
    #[serde(borrow, default)]
    pub(crate) weight: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) code: Option<Text<'a>>,
    /// In lines of a batch only; elsewhere it is a header.
    #[serde(borrow, default)]
    pub(crate) idempotency_key: Option<Text<'a>>,
}

impl<'a> VoteRequest<'a> {
    /// Reads a vote's JSON.
    pub(crate) fn read(json: &'a [u8]) -> Result<Self, Failure> {
        if let Some(request) = Self::read_plainest(json) {
            return Ok(request);
        }
        serde_json::from_slice(json).map_err(|error| Failure::of_json(json, &error))
    }

    /// Reads `{"voterId":"…","ballot":{"choice":"…"}}` written just so, without spaces or escapes: most votes by the
    /// million are, and the reader for any JSON takes several times as long. What it takes, that reader takes alike.
    fn read_plainest(json: &'a [u8]) -> Option<Self> {
        let rest = json.strip_prefix(b"{\"voterId\":\"")?;
        let (voter, rest) = take_plain_text(rest)?;
        let rest = rest.strip_prefix(b",\"ballot\":{\"choice\":\"")?;
        let (choice, rest) = take_plain_text(rest)?;
        (rest == b"}}").then(|| Self {
            voter_id: Some(Text(Cow::Borrowed(voter))),
            ballot: BallotInput::choice(choice),
            demographics: None,
            weight: None,
            code: None,
            idempotency_key: None,
        })
    }
}

/// A JSON text without escapes up to its closing quote, and what comes after.
fn take_plain_text(json: &[u8]) -> Option<(&str, &[u8])> {
    let end = json.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
    let (text, rest) = (&json[..end], json[end..].strip_prefix(b"\"")?);
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// A text that borrows from the request where it holds no escapes.
#[derive(Clone, PartialEq, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// It may be a voter's id or a code.
impl fmt::Debug for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Text(…)")
    }
}

/// What a vote tells of its voter: texts by dimension. A number or a truth value stands for its JSON text.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Told<'a>(pub(crate) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl fmt::Debug for Told<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Told(…)")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Told<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ToldVisitor;

        impl<'de> Visitor<'de> for ToldVisitor {
            type Value = Told<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of texts, numbers or truth values by dimension")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Told<'de>, A::Error> {
                let mut told = Vec::new();
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    told.push((name, plain_value(value.get())?));
                }
                Ok(Told(told))
            }
        }

        deserializer.deserialize_map(ToldVisitor)
    }
}

fn plain_value<E: de::Error>(json: &str) -> Result<Cow<'_, str>, E> {
    match json.as_bytes().first() {
        Some(b'"') => {
            let Text(text) = serde_json::from_str(json).map_err(E::custom)?;
            Ok(text)
        }
        Some(b'{' | b'[' | b'n') | None => {
            Err(E::custom("a dimension's value is a text, a number or a truth value"))
        }
        Some(_) => Ok(Cow::Borrowed(json)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::VoteRequest;

    proptest! {
        /// Whatever the short way takes, the reader for any JSON takes alike.
        #[test]
        fn the_short_way_reads_as_the_long_way(voter in ".{0,12}", choice in ".{0,6}", end in "[ }x]{0,3}") {
            for json in [
                format!("{{\"voterId\":\"{voter}\",\"ballot\":{{\"choice\":\"{choice}\"}}}}"),
                format!("{{\"voterId\":{voter:?},\"ballot\":{{\"choice\":{choice:?}}}}}"),
                format!("{{\"voterId\":\"{voter}\",\"ballot\":{{\"choice\":\"{choice}\"{end}"),
            ] {
                if let Some(short) = VoteRequest::read_plainest(json.as_bytes()) {
                    let long = serde_json::from_str(&json);
                    prop_assert_eq!(Some(short), long.ok(), "{}", json);
                }
            }
        }
    }

    #[test]
    fn the_short_way_is_taken() {
        let json = r#"{"voterId":"Zoë","ballot":{"choice":"pizza"}}"#.as_bytes();
        assert!(VoteRequest::read_plainest(json).is_some());
    }
}
