//! The words and figures of a results page, in one language.

use std::fmt;

use canvass_domain::{
    OptionId, Poll,
    results::{Figure, OptionResult, Results},
};
use serde::Serialize;

use super::{escaped, plural::Plural, texts::PageTexts};

/// How a poll's results are told.
pub(super) struct Said {
    pub(super) t: &'static PageTexts,
    /// What those are called who would win.
    pub(super) leads: &'static str,
    is_final: bool,
    seats: usize,
}

/// One option.
pub(super) struct Row {
    pub(super) id: OptionId,
    pub(super) label: String,
    pub(super) figure: String,
    pub(super) share: String,
    /// The bar's length in percent.
    pub(super) width: String,
    pub(super) badge: &'static str,
}

/// What the script says, in the page's language.
#[derive(Serialize)]
struct ScriptWords {
    leads: &'static str,
    tied: &'static str,
    live: &'static str,
    connecting: &'static str,
    votes: &'static Plural,
}

impl Said {
    pub(super) fn new(t: &'static PageTexts, poll: &Poll, is_final: bool) -> Self {
        let leads = match (is_final, poll.seats) {
            (false, _) => &t.results.leads,
            (true, 1) => &t.results.winner,
            (true, _) => &t.results.elected,
        };
        Self { t, leads, is_final, seats: usize::from(poll.seats) }
    }

    /// What the script needs, as JSON.
    pub(super) fn script(&self) -> String {
        let texts = &self.t.results;
        let words = ScriptWords {
            leads: self.leads,
            tied: &texts.tied,
            live: &texts.live,
            connecting: &texts.connecting,
            votes: &texts.votes,
        };
        serde_json::to_string(&words).expect("texts are JSON")
    }

    /// Who wins, in a sentence of HTML; nothing before there are votes to say it by.
    pub(super) fn verdict(&self, results: &Results) -> Option<String> {
        let label = |id: &OptionId| {
            let option = results.options.iter().find(|option| option.id == *id);
            option.map(|option| format!("<bdi>{}</bdi>", escaped(&option.label)))
        };
        let texts = &self.t.results;
        let (text, ids) = match (results.winners.is_empty(), self.is_final) {
            _ if results.votes == 0 => return None,
            (true, _) => (&texts.verdict_tied, &results.tied),
            (false, false) => (&texts.verdict_leads, &results.winners),
            (false, true) if self.seats == 1 => (&texts.verdict_winner, &results.winners),
            (false, true) => (&texts.verdict_elected, &results.winners),
        };
        let names: Vec<_> = ids.iter().filter_map(label).collect();
        (!names.is_empty()).then(|| text.fill_html(&[("names", &names.join(", "))]))
    }

    /// Every option with its figure, its bar and its badge.
    pub(super) fn rows(&self, results: &Results, field: &str) -> Vec<Row> {
        let most = results.options.iter().map(|option| number(option, field)).fold(0.0, f64::max);
        let row = |option: &OptionResult| Row {
            id: option.id.clone(),
            label: option.label.clone(),
            figure: self.figure(option, field),
            share: self.t.number.percent(option.share.unwrap_or_default()),
            width: format!("{:.1}", length(option, field, most) * 100.0),
            badge: self.badge(results, &option.id),
        };
        results.options.iter().map(row).collect()
    }

    /// A figure of a count.
    pub(super) fn decimal(&self, figure: impl fmt::Display) -> String {
        self.t.number.decimal(&figure.to_string())
    }

    fn badge(&self, results: &Results, option: &OptionId) -> &'static str {
        if results.votes == 0 {
            ""
        } else if results.winners.contains(option) {
            self.leads
        } else if results.tied.contains(option) {
            &self.t.results.tied
        } else {
            ""
        }
    }

    fn figure(&self, option: &OptionResult, field: &str) -> String {
        let text = match field {
            "votes" => match option.votes {
                Some(Figure::Whole(votes)) => return self.t.number.whole(votes),
                Some(Figure::Weighted(total)) => Some(total.to_string()),
                None => None,
            },
            "mean" => option.mean.clone(),
            _ => option.total.clone(),
        };
        text.map_or_else(|| "–".to_owned(), |text| self.t.number.decimal(&text))
    }
}

/// A figure as a number, for the length of its bar.
fn number(option: &OptionResult, field: &str) -> f64 {
    let text = if field == "mean" { &option.mean } else { &option.total };
    text.as_ref().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A bar's length, from 0 to 1: a share of the ballots, or a part of the highest figure.
fn length(option: &OptionResult, field: &str, most: f64) -> f64 {
    if field == "votes" {
        option.share.unwrap_or_default()
    } else if most > 0.0 {
        number(option, field).max(0.0) / most
    } else {
        0.0
    }
}
