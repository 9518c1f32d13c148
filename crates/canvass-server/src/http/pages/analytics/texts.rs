//! What the analytics say, in a family of texts of their own: in English and in German. Who reads another language
//! reads them in English.

use std::sync::LazyLock;

use crate::http::{pages::plural::Pattern, speech::Language};

texts! {
    /// The texts of the analytics.
    AnalyticsTexts () {
        page: AnalyticsPageTexts {
            title: Pattern, back: String, table: String, csv: String, svg: String, share: String, long: String,
            hidden: Pattern, held: Pattern, held_over: Pattern,
        }
        time: TimeTexts {
            heading: String, none: String, minute: String, hour: String, day: String, most: Pattern, from: String,
            to: String, show: String, whole: String, drag: String, begins: String, cast: String, changed: String,
            withdrawn: String, picture: Pattern,
        }
        breakdown: BreakdownTexts { heading: Pattern, ballots: String, unanswered: String, note: String, }
        cross: CrossTexts {
            heading: String, rows: String, columns: String, options: String, filter: String, also: String,
            everyone: String, show: String, later: String, large: String,
        }
        compare: CompareTexts {
            heading: String, poll: String, show: String, here: String, difference: String, unmatched: String,
            missing: String,
        }
    }
}

static ANALYTICS_TEXTS: LazyLock<[AnalyticsTexts; 2]> = LazyLock::new(|| {
    [include_text!("analytics.en.toml"), include_text!("analytics.de.toml")].map(AnalyticsTexts::read)
});

impl AnalyticsTexts {
    /// Whether they are there in a language.
    pub(crate) fn speak(language: Language) -> bool {
        Self::of(language).0 == language
    }

    /// The language that is spoken to who reads this one, and its texts.
    pub(crate) fn of(language: Language) -> (Language, &'static Self) {
        match language {
            Language::German => (language, &ANALYTICS_TEXTS[1]),
            Language::English | Language::Arabic => (Language::English, &ANALYTICS_TEXTS[0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pages::texts::tests::places;

    /// In each language a text has the same places to fill in, and is not empty.
    #[test]
    fn texts_have_the_same_places() {
        for language in Language::ALL {
            AnalyticsTexts::of(language);
        }
        let [english, german] = [
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/texts/analytics.en.toml")),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/texts/analytics.de.toml")),
        ];
        assert_eq!(places(english), places(german));
    }
}
