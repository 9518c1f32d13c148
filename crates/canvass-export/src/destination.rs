//! Where exports go, as an operator writes it: a folder, or a bucket's address.

use std::{fmt, path::PathBuf, str::FromStr};

/// Where exports are written to.
///
/// Its text is a folder's path, or `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix` with a prefix
/// that may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A folder; made if it is missing.
    Folder(PathBuf),
    /// A bucket of an object store; it must be there.
    Bucket(BucketAddress),
}

/// A bucket, and what the names of all objects in it begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketAddress {
    pub(crate) cloud: Cloud,
    pub(crate) name: String,
    /// Without a slash at its ends; empty if there is none.
    pub(crate) prefix: String,
}

/// Whose interface a bucket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloud {
    Amazon,
    Google,
    Microsoft,
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() { Err(wrong(text)) } else { Ok(Self::Folder(text.into())) };
        };
        let cloud = match scheme {
            "s3" => Cloud::Amazon,
            "gs" => Cloud::Google,
            "az" => Cloud::Microsoft,
            _ => return Err(wrong(text)),
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        // Anything else, such as a password in front of an @, is no part of a bucket's name.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
        if name.is_empty()
            || !name.bytes().all(is_name)
            || !(prefix.is_empty() || prefix.split('/').all(is_part))
        {
            return Err(wrong(text));
        }
        Ok(Self::Bucket(BucketAddress { cloud, name: name.to_owned(), prefix: prefix.to_owned() }))
    }
}

/// The text is not repeated: somebody may have put a password into it.
fn wrong(_: &str) -> String {
    "write a folder, or s3://bucket/prefix, gs://bucket/prefix or az://container/prefix".to_owned()
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(formatter),
            Self::Bucket(address) => address.fmt(formatter),
        }
    }
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.cloud {
            Cloud::Amazon => "s3",
            Cloud::Google => "gs",
            Cloud::Microsoft => "az",
        };
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(formatter, "{scheme}://{}{slash}{}", self.name, self.prefix)
    }
}

/// What object stores are reached with, as the tools of Amazon, Google and Microsoft take it from the environment:
/// names such as `AWS_ACCESS_KEY_ID` or `AWS_ENDPOINT_URL`, and their values. It is never shown.
#[derive(Clone, Default)]
pub struct Access(
    #[cfg_attr(
        not(feature = "object-stores"),
        expect(dead_code, reason = "only buckets are reached with it")
    )]
    Vec<(String, String)>,
);

impl Access {
    /// What is for object stores among the variables of an environment: names that begin with `AWS_`, `GOOGLE_` or
    /// `AZURE_`.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let is_for_clouds =
            |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|begin| name.starts_with(begin));
        Self(variables.into_iter().filter(|(name, value)| is_for_clouds(name) && !value.is_empty()).collect())
    }

    /// Each name in small letters, with its value.
    #[cfg(feature = "object-stores")]
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (String, &str)> {
        self.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Access(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Destination>() {
            Ok(Destination::Folder(path)) => format!("folder {}", path.display()),
            Ok(Destination::Bucket(BucketAddress { cloud, name, prefix })) => {
                format!("{cloud:?} {name} [{prefix}]")
            }
            Err(_) => "wrong".to_owned(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn an_address_names_a_folder_or_a_bucket() {
        check("./exports", "folder ./exports");
        check("s3://votes", "Amazon votes []");
        check("s3://votes/a/b/", "Amazon votes [a/b]");
        check("gs://votes/a", "Google votes [a]");
        check("az://votes", "Microsoft votes []");
        for text in
            ["", "s3://", "s3:///a", "s3://a//b", "s3://a/../b", "s3://key:secret@votes", "https://votes/a"]
        {
            check(text, "wrong");
        }
    }

    #[test]
    fn an_address_is_shown_as_it_is_written() {
        for text in ["exports", "s3://votes", "gs://votes/a/b", "az://votes/a"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
    }
}
