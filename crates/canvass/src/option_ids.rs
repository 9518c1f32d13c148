//! Ids for options that are known by what they say alone.

use std::collections::HashSet;

use canvass_domain::limits::ID_BYTES_MAX;

/// An id for each label: its letters and digits in lower case with dashes between, or `option-3` where nothing is left
/// of it or another label has the same; that with the next number where a label is called so.
pub(crate) fn option_ids(labels: &[&str]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut unique = |(index, label): (usize, &&str)| {
        let numbered = (index + 1..).map(|number| format!("option-{number}"));
        let mut ids = Some(slug(label)).filter(|slug| !slug.is_empty()).into_iter().chain(numbered);
        ids.find(|id| seen.insert(id.clone())).unwrap_or_default()
    };
    labels.iter().enumerate().map(&mut unique).collect()
}

fn slug(label: &str) -> String {
    let words =
        label.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    slug.truncate(ID_BYTES_MAX);
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[&str], expected: &[&str]) {
        assert_eq!(option_ids(labels), expected, "{labels:?}");
    }

    #[test]
    fn each_label_has_an_id_of_its_own() {
        check(&["Soup of the day", "¡Pizza!"], &["soup-of-the-day", "pizza"]);
        check(&["A", "a", "☕"], &["a", "option-2", "option-3"]);
        check(&["Option 2", "☕", "Option 3"], &["option-2", "option-3", "option-4"]);
    }
}
