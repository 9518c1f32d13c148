//! Why the console did not do what was asked, in its reader's language.
//!
//! The API's refusals are for programmers and in English. Here a refusal is told by its kind, and that of a field by
//! what the field takes.

use canvass_domain::Refusal;

use super::ConsoleTexts;
use crate::{http::problem::Kind, service::Failure};

impl ConsoleTexts {
    /// Why, as a sentence.
    pub(super) fn reason(&self, failure: &Failure) -> String {
        let texts = &self.refused;
        match Kind::of(failure) {
            Kind::InvalidRequest => return self.rule(failure),
            Kind::MissingScope => {
                let Failure::MissingScope(scope) = failure else { return texts.other.clone() };
                return texts.scope_text.fill(&[("scope", scope.name())]);
            }
            Kind::PreconditionFailed | Kind::VersionConflict => &texts.changed,
            Kind::PollExists => &texts.exists,
            Kind::WrongStatus => &texts.status,
            Kind::FixedByVotes => &texts.fixed,
            Kind::TooManyCodes => &texts.codes,
            Kind::RecountDiffers => &texts.recount,
            Kind::LastAdminKey => &texts.last_key,
            Kind::PollNotFound | Kind::KeyNotFound | Kind::WebhookNotFound => &texts.gone,
            Kind::NotOnThisEngine => &texts.engine,
            Kind::TooManyRequests | Kind::QuotaExceeded => &texts.limited,
            Kind::ServerBusy | Kind::StorageUnavailable => &texts.busy,
            Kind::OutcomeUnknown => &texts.unknown,
            _ => &texts.other,
        }
        .clone()
    }

    /// What a field takes.
    fn rule(&self, failure: &Failure) -> String {
        let Failure::Refused(Refusal::Invalid(invalid)) = failure else { return self.refused.other.clone() };
        let name = invalid.field.split(['.', '[']).next().unwrap_or_default();
        self.rule_of(name).unwrap_or(&self.refused.other).to_owned()
    }

    /// What a field of the API takes, where the console has such a field.
    pub(super) fn rule_of(&self, field: &str) -> Option<&str> {
        let rules = &self.rule;
        Some(match field {
            "title" => &rules.title,
            "description" => &rules.description,
            "options" => &rules.options,
            "method" | "maxChoices" | "min" | "max" | "aggregate" | "credits" | "dots" | "maxPerOption" => {
                &rules.method
            }
            "seats" => &rules.seats,
            "tieBreak" => &rules.tie,
            "opensAt" => &rules.opens_at,
            "closesAt" => &rules.closes_at,
            "demographics" => &rules.demographics,
            "minimumCell" => &rules.minimum_cell,
            "writeIn" => &rules.write_in,
            "id" => &rules.id,
            "count" => &rules.count,
            "name" => &rules.name,
            "scopes" => &rules.scopes,
            "expiresAt" => &rules.expires_at,
            _ => return None,
        })
    }
}
