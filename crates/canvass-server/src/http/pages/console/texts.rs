//! What the console says, in English and German.

use std::sync::LazyLock;

use crate::http::{
    pages::plural::{Pattern, Plural},
    speech::Language,
};

texts! {
    /// The texts of the console.
    ConsoleTexts () {
        frame: ConsoleFrameTexts { menu: String, polls: String, keys: String, webhooks: String, sign_out: String, who: Pattern, }
        enter: ConsoleEnterTexts {
            heading: String, lead: String, key: String, send: String, wrong: String, cookie: String,
            note: String,
        }
        list: ConsoleListTexts {
            heading: String, new: String, search: String, state: String, any: String, find: String,
            none: String, none_found: String, searched: String, poll: String, access: String, created: String,
            older: String,
        }
        state: ConsoleStateTexts {
            draft: String, scheduled: String, open: String, paused: String, closed: String, certified: String,
            archived: String,
        }
        access: ConsoleAccessTexts {
            key: String, key_note: String, public: String, public_note: String, code: String,
            code_note: String, open: String, open_note: String,
        }
        poll: ConsolePollTexts {
            back: String, votes: Plural, id: String, method: String, access: String, opens: String,
            closes: String, version: String, pages: String, vote_page: String, results_page: String,
            projector: String, analytics: String, edit: String, duplicate: String, codes: String,
            steps: String, open: String, open_note: String, resume: String, resume_note: String, pause: String,
            pause_note: String, close: String, close_note: String, certify: String, certify_note: String,
            archive: String, archive_note: String, delete: String, delete_note: String, export: String,
            export_votes: String, export_ballots: String, recount: String, recount_note: String,
            recount_right: Pattern, recount_wrong: String, trail: String, when: String, step: String,
            who: String, trail_more: String,
        }
        step: ConsoleStepTexts {
            created: String, changed: String, scheduled: String, opened: String, paused: String,
            closed: String, certified: String, archived: String, erasure_begun: String, erased: String,
            voter_erasure_begun: String, voter_erased: String, deleted: String, codes: Plural,
            schedule: String, anyone: String, key: Pattern,
        }
        form: ConsoleFormTexts {
            new: String, edit: String, title: String, description: String, options: String,
            options_fixed: String, method: String, plurality: String, approval: String, score: String,
            star: String, irv: String, stv_scottish: String, stv_meek: String, schulze: String,
            ranked_pairs: String, minimax: String, borda: String, quadratic: String, dot: String,
            max_choices: String, score_min: String, score_max: String, aggregate: String, sum: String,
            mean: String, credits: String, dots: String, dots_each: String, seats: String, tie: String,
            tie_report: String, tie_order: String, tie_lot: String, seed: String, who_votes: String,
            revote: String, revote_never: String, revote_until: String, visible: String, visible_live: String,
            visible_vote: String, visible_close: String, visible_never: String, times: String,
            opens_at: String, closes_at: String, zone: String, about: String, demographics: String,
            minimum_cell: String, more: String, weighted: String, write_in: String, id: String, start: String,
            start_draft: String, start_scheduled: String, start_open: String, save: String, create: String,
            refused: Pattern,
        }
        codes: ConsoleCodesTexts {
            heading: String, lead: String, count: String, make: String, download: String, made: Plural,
            keep: String,
        }
        keys: ConsoleKeysTexts {
            heading: String, name: String, scopes: String, rate: String, quota: String, state: String,
            live: String, revoked: String, expires: String, never: String, unlimited: String, actions: String,
            rotate: String, revoke: String, new: String, plan: String, standard: String,
            plan_unlimited: String, expires_at: String, create: String, secret: Pattern, secret_note: String,
            polls_write: String, polls_read: String, votes_write: String, votes_read: String,
            results_read: String, exports_read: String, admin: String,
        }
        webhooks: ConsoleWebhooksTexts {
            heading: String, lead: String, none: String, address: String, events: String, state: String,
            active: String, failing: String, disabled: String, position: String, again: String, after: String,
            redeliver: String,
        }
        refused: ConsoleRefusedTexts {
            engine: String, scope: String, scope_text: Pattern, failed: String, changed: String, exists: String,
            status: String, fixed: String, codes: String, recount: String, last_key: String, gone: String,
            limited: String, busy: String, unknown: String, other: String,
        }
        rule: ConsoleRuleTexts {
            title: String, description: String, options: String, method: String, seats: String, tie: String,
            opens_at: String, closes_at: String, demographics: String, minimum_cell: String,
            write_in: String, id: String, count: String, name: String, scopes: String, expires_at: String,
        }
    }
}

/// The languages that the console speaks.
pub(crate) const LANGUAGES: [Language; 2] = [Language::English, Language::German];

static TEXTS: LazyLock<[ConsoleTexts; LANGUAGES.len()]> = LazyLock::new(|| {
    [include_text!("console.en.toml"), include_text!("console.de.toml")].map(ConsoleTexts::read)
});

impl ConsoleTexts {
    /// The texts of one of [`LANGUAGES`], or of the first.
    pub(crate) fn of(language: Language) -> &'static Self {
        let place = LANGUAGES.iter().position(|known| *known == language).unwrap_or_default();
        &TEXTS[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pages::texts::tests::check;

    #[test]
    fn the_console_says_the_same_in_both_languages() {
        check(&[
            (Language::English, include_text!("console.en.toml")),
            (Language::German, include_text!("console.de.toml")),
        ]);
        assert_ne!(
            ConsoleTexts::of(Language::English).frame.keys,
            ConsoleTexts::of(Language::German).frame.keys
        );
    }
}
