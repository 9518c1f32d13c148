//! What pages say, from one file a language in `web/texts/`. The files are in the program.
//!
//! A text that a file lacks, or has too many, fails the tests, and a text that no page shows is a warning of the
//! compiler: each is a field. What voters and watchers see is there in every language.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::plural::{Numbers, Pattern, Plural};
use crate::http::speech::Language;

/// Texts in sections, as the tables of a file. What reads them is written out here: what serde derives for hundreds of
/// fields takes a minute to compile.
macro_rules! texts {
    ($(#[$about:meta])* $texts:ident ($($more:ident: $known:ty)*) {
        $($section:ident: $type:ident { $($text:ident: $kind:ty,)* })*
    }) => {
        $(#[$about])*
        pub(crate) struct $texts { $(pub(crate) $more: $known,)* $(pub(crate) $section: $type,)* }

        impl $texts {
            fn read(file: &'static str) -> Self {
                let mut file = $crate::http::pages::texts::Section::of_file(file);
                let texts = Self {
                    $($more: file.take(stringify!($more)),)*
                    $($section: $type::read(file.take_section(stringify!($section))),)*
                };
                file.finish();
                texts
            }
        }

        $(
            pub(crate) struct $type { $(pub(crate) $text: $kind,)* }

            impl $type {
                fn read(mut section: $crate::http::pages::texts::Section) -> Self {
                    let texts = Self { $($text: section.take(stringify!($text)),)* };
                    section.finish();
                    texts
                }
            }
        )*
    };
}

/// A table of a file of texts while its texts are taken.
///
/// # Panics
/// Where a text is missing, is no such text, or is left over: a test reads every file.
pub(crate) struct Section(toml::Table);

impl Section {
    pub(crate) fn of_file(file: &str) -> Self {
        Self(file.parse().expect("a file of texts is TOML"))
    }

    pub(crate) fn take<Text: DeserializeOwned>(&mut self, name: &str) -> Text {
        let name = name.trim_start_matches("r#");
        let text = self.0.remove(name).unwrap_or_else(|| panic!("the text {name} is missing"));
        text.try_into().unwrap_or_else(|error| panic!("the text {name}: {error}"))
    }

    pub(crate) fn take_section(&mut self, name: &str) -> Self {
        Self(self.take(name))
    }

    pub(crate) fn finish(self) {
        assert!(self.0.is_empty(), "texts that nobody shows: {:?}", self.0);
    }
}

texts! {
    /// The texts of the pages for voters and watchers.
    PageTexts (number: Numbers script: ScriptTexts) {
        language: LanguageTexts { code: Language, name: String, direction: String, }
        frame: FrameTexts { languages: String, }
        home: HomeTexts {
            heading: String, lead: String, open: String, none: String, results: String, results_of: Pattern,
            newest: String, programs: String, documentation: String, openapi: String, problems: String,
            ready: String,
        }
        state: StateTexts {
            draft: String, scheduled: String, open: String, paused: String, closed: String, certified: String,
            archived: String, until: Pattern, opens: Pattern,
        }
        sign: SignTexts {
            not_open: String, open: String, paused: String, closed: String, r#final: String, until: Pattern,
        }
        ballot: BallotTexts {
            choose_one: String, choose_any: String, choose_up_to: Plural, score: Pattern, star: String,
            quadratic: Plural, against: String, dots: Plural, dots_each: Plural, rank: String,
            rank_once: String, rank_alike: String,
        }
        vote: VoteTexts {
            yours: String, fixed: String, change: String, name: String, code: String, replaces_name: String,
            replaces_code: String, write_in: String, about: String, silent: String, send: String,
            send_change: String, withdraw: String, withdraw_note: String, withdraw_send: String,
            device: String, see_results: String, see_receipt: String, back: String, own_page: String,
        }
        refused: RefusedTexts {
            cookie: String, empty: String, number: String, rank: Pattern, shared: Pattern, rule: Pattern,
            voted: String, key: String, code: String, no_vote: String, not_open: String, name: Pattern,
            told: String,
        }
        receipt: ReceiptTexts {
            title: Pattern, counts: String, stored: String, none: String, none_note: String, change: String,
            cast: String, number: String, place: String,
        }
        results: ResultsTexts {
            title: Pattern, votes: Plural, option: String, share: String, records: Pattern, vote: String,
            poll: String, projector: String, analytics: String, vote_at: Pattern, leads: String, winner: String, elected: String,
            tied: String, verdict_leads: Pattern, verdict_winner: Pattern, verdict_elected: Pattern,
            verdict_tied: Pattern, hide: String, show: String, full_screen: String, curtain: String,
            code: String, live: String, connecting: String, hidden_until_vote: String,
            hidden_until_end: String, hidden: String,
        }
        figure: FigureTexts {
            votes: String, votes_note: String, approvals_note: String, mean: String, mean_note: String,
            score: String, score_note: String, star_note: String, points: String, points_note: String,
            bought_note: String, dots: String, dots_note: String, first: String, first_note: String,
        }
        rounds: RoundTexts {
            heading: String, left_out: Plural, round: Pattern, runoff: String, inactive: String,
            needed: String, finalist: String, out: String, picture: String,
        }
        pairs: PairTexts { heading: String, note: String, against: Pattern, }
        notice: NoticeTexts {
            not_open: String, organiser: String, organiser_text: String, no_receipt: String,
            no_receipt_text: String, other_site: String, other_site_text: String, vote_first: String,
            vote_first_text: String, no_poll: String, no_poll_text: String, not_yours: String,
            not_yours_text: String, too_many: String, too_many_text: String, unknown: String,
            unknown_text: String, busy: String, busy_text: String, refused: String, refused_text: String,
        }
    }
}

/// A file of `web/texts/`.
macro_rules! include_text {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/texts/", $name))
    };
}

/// What `web/vote.js` says. It is sent as a whole.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptTexts {
    rank: String,
    alike_note: String,
    placed: Pattern,
    unplaced: Pattern,
    unranked: String,
    up: Pattern,
    down: Pattern,
    alike: Pattern,
    more: Pattern,
    less: Pattern,
    left: Plural,
    over: Plural,
    sending: String,
    kept: String,
    busy: String,
    change: String,
}

static PAGE_TEXTS: LazyLock<[PageTexts; Language::ALL.len()]> = LazyLock::new(|| {
    [include_text!("pages.en.toml"), include_text!("pages.de.toml"), include_text!("pages.ar.toml")]
        .map(PageTexts::read)
});

impl PageTexts {
    /// The texts of a language.
    pub(crate) fn of(language: Language) -> &'static Self {
        &PAGE_TEXTS[language as usize]
    }

    /// The other languages, to choose one.
    pub(crate) fn others(&self) -> impl Iterator<Item = &'static LanguageTexts> {
        let spoken = self.language.code;
        PAGE_TEXTS.iter().map(|texts| &texts.language).filter(move |language| language.code != spoken)
    }

    /// A text in the form for a number, with the number as its `{count}`.
    pub(crate) fn count(&self, text: &Plural, number: u64) -> String {
        text.of(self.language.code, number).fill(&[("count", &self.number.whole(number))])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use toml::{Table, Value};

    use super::{super::plural::tests::forms, *};

    /// Reading them is what fails where a text is missing.
    #[test]
    fn every_language_has_every_text() {
        for language in Language::ALL {
            let texts = PageTexts::of(language);
            assert_eq!(texts.language.code, language);
            assert_eq!(texts.language.direction == "rtl", language == Language::Arabic);
        }
    }

    #[test]
    fn texts_have_the_same_places_and_all_forms() {
        check(&[
            (Language::English, include_text!("pages.en.toml")),
            (Language::German, include_text!("pages.de.toml")),
            (Language::Arabic, include_text!("pages.ar.toml")),
        ]);
    }

    /// In each language a text has the same places to fill in, is not empty, and has the forms that its plurals need.
    pub(crate) fn check(files: &[(Language, &str)]) {
        let (_, english) = files.first().expect("a first language");
        for (language, file) in files {
            let code = language.code();
            assert_eq!(places(file), places(english), "{code}");
            let table: Table = file.parse().expect("TOML");
            for (name, text) in table.iter().flat_map(|(_, section)| section.as_table().expect("a section")) {
                let Some(plural) = text.as_table() else { continue };
                let given: BTreeSet<_> = plural.keys().cloned().collect();
                assert_eq!(given, forms(*language), "{name} in {code}");
            }
        }
    }

    /// The places of each text. In a plural the number may go without saying, as in \"one\".
    pub(crate) fn places(file: &str) -> BTreeMap<String, BTreeSet<String>> {
        let table: Table = file.parse().expect("TOML");
        let mut places = BTreeMap::new();
        for (section, texts) in &table {
            for (name, text) in texts.as_table().expect("a section") {
                let all = match text {
                    Value::Table(forms) => {
                        forms.values().map(|form| form.as_str().expect("a text")).collect()
                    }
                    text => vec![text.as_str().expect("a text")],
                };
                assert!(all.iter().all(|text| !text.trim().is_empty()), "{name} is empty");
                let named = all.iter().flat_map(|text| text.split(['{', '}']).skip(1).step_by(2));
                places.insert(format!("{section}.{name}"), named.map(str::to_owned).collect());
            }
        }
        places
    }
}
