//! A poll: what is asked, of whom, when, and who may see the answer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::OnceLock,
};

use serde::{Deserialize, Serialize};

use crate::{
    identifier::{OptionId, PollId, Sequence},
    limits::{
        DESCRIPTION_BYTES_MAX, DIMENSION_BYTES_MAX, DIMENSION_VALUES_MAX, DIMENSIONS_MAX, LABEL_BYTES_MAX,
        OPTIONS_MAX, TITLE_BYTES_MAX,
    },
    method::Method,
    refusal::Invalid,
    tie_break::TieBreak,
    time::{Timestamp, serialize_set},
};

/// Where a poll stands in its life: draft → (scheduled) → open ⇄ paused → closed → certified → archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// Being prepared; nobody votes.
    Draft,
    /// Opens by itself at `opensAt`.
    Scheduled,
    /// Takes votes.
    Open,
    /// Takes no votes for now.
    Paused,
    /// Takes no votes any more.
    Closed,
    /// Recounted, found right, and final.
    Certified,
    /// Put away.
    Archived,
}

impl Status {
    /// The name that callers use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Closed => "closed",
            Self::Certified => "certified",
            Self::Archived => "archived",
        }
    }

    /// Whether no vote can come any more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Certified | Self::Archived)
    }
}

/// Whether the votes of a poll still tell of persons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum PersonalData {
    /// They do.
    #[default]
    Kept,
    /// Nobody is told any more; what is on disk is being overwritten.
    Erasing,
    /// It is gone.
    Erased,
}

impl PersonalData {
    /// Whether votes still tell of persons.
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::Kept)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Who may vote, and who says who the voter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// A caller with a key names the voter.
    #[default]
    Key,
    /// Anyone with the link, one vote per device.
    Public,
    /// Whoever holds one of the poll's one-time codes.
    Code,
    /// Anyone, who also names the voter: for trusted networks.
    Open,
}

/// Whether a vote may be changed or withdrawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Revote {
    /// The first vote stands.
    #[default]
    Never,
    /// While the poll takes votes.
    UntilClose,
}

/// When the count may be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum ResultsVisible {
    /// At any time.
    #[default]
    Live,
    /// By those who have voted, and by all after the end.
    AfterVote,
    /// After the end.
    AfterClose,
    /// Never; turnout only.
    Private,
}

/// One of the things to choose from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PollOption {
    /// Unique within the poll.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: OptionId,
    /// What people read; any Unicode.
    pub label: String,
}

/// The dimensions that a vote may carry, each with its values, or none where any value goes.
pub type Demographics = BTreeMap<String, Option<Vec<String>>>;

/// A poll as it stands after its last event. Its JSON is the contract's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Poll {
    /// Chosen by the caller, or given.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: PollId,
    /// The question.
    pub title: String,
    /// More about it.
    pub description: String,
    /// 1 to 500.
    pub options: Vec<PollOption>,
    /// How it is counted.
    pub method: Method,
    /// How many options win.
    pub seats: u16,
    /// How a tie is broken that the method leaves open.
    #[serde(default, skip_serializing_if = "TieBreak::is_report")]
    pub tie_break: TieBreak,
    /// Where it stands.
    pub status: Status,
    /// When it opens by itself.
    #[serde(serialize_with = "serialize_set")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub opens_at: Option<Timestamp>,
    /// The moment from which no vote is accepted.
    #[serde(serialize_with = "serialize_set")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub closes_at: Option<Timestamp>,
    /// Who may vote.
    pub access: Access,
    /// Whether votes may change.
    pub revote: Revote,
    /// Who may see the count.
    pub results_visible: ResultsVisible,
    /// What a vote may tell of its voter.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, Option<Vec<String>>>))]
    pub demographics: Demographics,
    /// Breakdown cells below this number are hidden.
    pub minimum_cell: u32,
    /// Whether a caller with a key may give a vote a weight.
    #[serde(default)]
    pub weighted: bool,
    /// Whether the caller's address may stand for a voter that is not named.
    #[serde(default)]
    pub voter_from_address: bool,
    /// Whether a vote for an unknown option adds the option, as in polls that the first vote opens.
    #[serde(default)]
    pub write_in: bool,
    /// Whether the votes still tell of persons: of voters, of what they told of themselves, and of idempotency keys.
    #[serde(default, skip_serializing_if = "PersonalData::is_kept")]
    pub personal_data: PersonalData,
    /// Records of voters whose votes are being erased alone: their places in the poll's ledger, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<u64>, required = false))]
    pub erasing_records: Vec<Sequence>,
    /// Goes up with each change of the poll, not with votes.
    pub version: u64,
    /// Goes up when options, method or dimensions change: a ballot is read against one form.
    pub form: u32,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
    /// When it took its last vote at the latest; absent until it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub closed_at: Option<Timestamp>,
    #[serde(skip)]
    lookup: OnceLock<HashMap<OptionId, u16>>,
}

/// Polls with more options than this look them up in a table; fewer are compared one by one.
const OPTIONS_SCANNED_MAX: usize = 16;

impl PartialEq for Poll {
    fn eq(&self, other: &Self) -> bool {
        serde_json::to_value(self).ok() == serde_json::to_value(other).ok()
    }
}

impl Poll {
    /// The index of an option by its id.
    pub fn option_index(&self, id: &str) -> Option<u16> {
        if self.options.len() <= OPTIONS_SCANNED_MAX {
            return self.options.iter().position(|option| option.id.as_str() == id).and_then(index_of);
        }
        let lookup = self.lookup.get_or_init(|| {
            let indexed = self.options.iter().enumerate();
            indexed.filter_map(|(index, option)| Some((option.id.clone(), index_of(index)?))).collect()
        });
        lookup.get(id).copied()
    }

    /// The id of an option by its index.
    pub fn option_id(&self, index: u16) -> Option<OptionId> {
        self.options.get(usize::from(index)).map(|option| option.id.clone())
    }

    /// The ids of options by their indexes.
    pub fn option_ids(&self, indexes: &[u16]) -> Vec<OptionId> {
        indexes.iter().filter_map(|index| self.option_id(*index)).collect()
    }

    /// Sets the options anew, and with them what looks them up.
    pub(crate) fn replace_options(&mut self, options: Vec<PollOption>) {
        self.options = options;
        self.lookup = OnceLock::new();
    }

    /// Where the poll stands at a moment, with the steps that time alone takes.
    pub fn status_at(&self, now: Timestamp) -> Status {
        let opened = self.status == Status::Scheduled && self.opens_at.is_some_and(|opens| now >= opens);
        let takes_votes = opened || matches!(self.status, Status::Scheduled | Status::Open | Status::Paused);
        if takes_votes && self.closes_at.is_some_and(|closes| now >= closes) {
            return Status::Closed;
        }
        if opened { Status::Open } else { self.status }
    }

    /// The next moment at which time alone changes the status.
    pub fn next_due(&self) -> Option<Timestamp> {
        match self.status {
            Status::Scheduled => [self.opens_at, self.closes_at].into_iter().flatten().min(),
            Status::Open | Status::Paused => self.closes_at,
            _ => None,
        }
    }

    /// When what its votes tell of persons has been kept for so many days since it closed; none where it is not over, or
    /// tells of nobody any more. Polls that were closed before closing was noted count from their last change.
    pub fn kept_until(&self, days: u32) -> Option<Timestamp> {
        const SECONDS_PER_DAY: i64 = 86_400;
        let keeps = self.status.is_over() && self.personal_data.is_kept();
        let closed_at = self.closed_at.unwrap_or(self.updated_at);
        keeps.then(|| closed_at.plus_seconds(i64::from(days) * SECONDS_PER_DAY))
    }
}

/// What a caller asks for when creating a poll. Fields that the program itself sets (`version`, `createdAt`,
/// `updatedAt`, `closedAt`, `form`) are taken and ignored, so that a poll read from one server can be sent to another.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a poll as an object")]
pub struct NewPoll {
    /// 1 to 64 of `a-z A-Z 0-9 . _ -`; given if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// 1 to 1000 bytes.
    pub title: String,
    /// At most 20000 bytes.
    #[serde(default)]
    pub description: String,
    /// 1 to 500, ids unique. An option without an id is given one.
    pub options: Vec<NewOption>,
    /// Plurality if absent.
    #[serde(default = "plurality")]
    pub method: Method,
    /// One if absent.
    #[serde(default = "one_seat")]
    pub seats: u16,
    /// Ties are reported if absent.
    #[serde(default)]
    pub tie_break: TieBreak,
    /// `draft` (if absent), `scheduled` or `open`.
    #[serde(default)]
    pub status: Option<Status>,
    /// When to open by itself.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub opens_at: Option<Timestamp>,
    /// From when no vote is accepted.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub closes_at: Option<Timestamp>,
    /// `key` if absent.
    #[serde(default)]
    pub access: Access,
    /// `never` if absent.
    #[serde(default)]
    pub revote: Revote,
    /// `live` if absent.
    #[serde(default)]
    pub results_visible: ResultsVisible,
    /// None if absent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, Option<Vec<String>>>))]
    pub demographics: Demographics,
    /// 0 if absent: nothing is hidden.
    #[serde(default)]
    pub minimum_cell: u32,
    /// False if absent.
    #[serde(default)]
    pub weighted: bool,
    /// True for polls that are `open`, if absent.
    #[serde(default)]
    pub voter_from_address: Option<bool>,
    /// False if absent.
    #[serde(default)]
    pub write_in: bool,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    #[expect(dead_code, reason = "taken and ignored")]
    version: serde::de::IgnoredAny,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    #[expect(dead_code, reason = "taken and ignored")]
    form: serde::de::IgnoredAny,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    #[expect(dead_code, reason = "taken and ignored")]
    created_at: serde::de::IgnoredAny,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    #[expect(dead_code, reason = "taken and ignored")]
    updated_at: serde::de::IgnoredAny,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    #[expect(dead_code, reason = "taken and ignored")]
    closed_at: serde::de::IgnoredAny,
}

/// An option as a caller writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, expecting = "an option as an object")]
pub struct NewOption {
    /// `option-1` and so on if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// The id if absent.
    #[serde(default)]
    pub label: Option<String>,
}

impl NewPoll {
    /// A request with a title and options, and everything else at its default.
    pub fn new(title: &str, options: &[&str]) -> Self {
        let options =
            options.iter().map(|id| NewOption { id: Some((*id).to_owned()), label: None }).collect();
        Self {
            id: None,
            title: title.to_owned(),
            description: String::new(),
            options,
            method: plurality(),
            seats: 1,
            tie_break: TieBreak::default(),
            status: None,
            opens_at: None,
            closes_at: None,
            access: Access::default(),
            revote: Revote::default(),
            results_visible: ResultsVisible::default(),
            demographics: Demographics::new(),
            minimum_cell: 0,
            weighted: false,
            voter_from_address: None,
            write_in: false,
            version: serde::de::IgnoredAny,
            form: serde::de::IgnoredAny,
            created_at: serde::de::IgnoredAny,
            updated_at: serde::de::IgnoredAny,
            closed_at: serde::de::IgnoredAny,
        }
    }

    /// The draft that the request describes, or what is wrong with it. `given_id` is used if the caller chose none.
    pub fn into_draft(self, given_id: PollId, now: Timestamp) -> Result<Poll, Invalid> {
        let id = match &self.id {
            Some(text) if [".", ".."].contains(&text.as_str()) => {
                let reason = "`.` and `..` mean other places in addresses, so the poll would have none";
                return Err(Invalid::new("id", reason));
            }
            Some(text) => parse_id(text, || "id".into())?,
            None => given_id,
        };
        let voter_from_address = self.voter_from_address.unwrap_or(self.access == Access::Open);
        let poll = Poll {
            id,
            title: self.title,
            description: self.description,
            options: options_of(self.options)?,
            method: self.method,
            seats: self.seats,
            tie_break: self.tie_break,
            status: Status::Draft,
            opens_at: self.opens_at,
            closes_at: self.closes_at,
            access: self.access,
            revote: self.revote,
            results_visible: self.results_visible,
            demographics: self.demographics,
            minimum_cell: self.minimum_cell,
            weighted: self.weighted,
            voter_from_address,
            write_in: self.write_in,
            personal_data: PersonalData::Kept,
            erasing_records: Vec::new(),
            version: 1,
            form: 1,
            created_at: now,
            updated_at: now,
            closed_at: None,
            lookup: OnceLock::new(),
        };
        poll.check()?;
        Ok(poll)
    }
}

/// What a caller wants changed; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "changes as an object")]
pub struct PollPatch {
    /// A new title.
    pub title: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// The options anew; once a vote is in, the same ids in the same order with corrected labels.
    pub options: Option<Vec<NewOption>>,
    /// Another method; not once a vote is in.
    pub method: Option<Method>,
    /// Another number of winners; not once a vote is in.
    pub seats: Option<u16>,
    /// Another way to break ties, until the poll is certified.
    pub tie_break: Option<TieBreak>,
    /// Another opening time, or null for none.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub opens_at: Option<Option<Timestamp>>,
    /// Another closing time, or null for none.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub closes_at: Option<Option<Timestamp>>,
    /// Another access; not once a vote is in.
    pub access: Option<Access>,
    /// Another revote rule; not once a vote is in.
    pub revote: Option<Revote>,
    /// Another visibility.
    pub results_visible: Option<ResultsVisible>,
    /// Other dimensions; not once a vote is in.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, Option<Vec<String>>>>))]
    pub demographics: Option<Demographics>,
    /// Another smallest cell.
    pub minimum_cell: Option<u32>,
    /// Whether votes may have weights; not once a vote is in.
    pub weighted: Option<bool>,
    /// Whether an address may stand for a voter.
    pub voter_from_address: Option<bool>,
    /// The version that the change is meant for; another current one is a conflict.
    pub version: Option<u64>,
}

/// Tells `null` (present and empty) from an absent field.
#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl Poll {
    /// Whether everything about the poll is within its limits and fits together.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        check_text("title", &self.title, 1, TITLE_BYTES_MAX)?;
        check_text("description", &self.description, 0, DESCRIPTION_BYTES_MAX)?;
        self.check_options()?;
        self.method.check()?;
        if self.seats == 0 || usize::from(self.seats) > self.options.len().max(1) {
            return Err(Invalid::new("seats", "1 up to the number of options"));
        }
        if self.seats > 1 && self.method.rule().elects_one() {
            let reason = format!(
                "{} elects one; several are elected by stvScottish or stvMeek, or by the methods that add up marks",
                self.method.name()
            );
            return Err(Invalid::new("seats", reason));
        }
        self.tie_break.check(self)?;
        if let (Some(opens), Some(closes)) = (self.opens_at, self.closes_at)
            && opens >= closes
        {
            return Err(Invalid::new("closesAt", "must be later than opensAt"));
        }
        if self.write_in && self.method != (Method::Plurality {}) {
            return Err(Invalid::new("writeIn", "only plurality polls take write-ins"));
        }
        self.check_demographics()
    }

    fn check_options(&self) -> Result<(), Invalid> {
        let least = usize::from(!self.write_in);
        if !(least..=OPTIONS_MAX).contains(&self.options.len()) {
            return Err(Invalid::new("options", format!("{least} to {OPTIONS_MAX} options")));
        }
        let mut seen = HashSet::new();
        for (index, option) in self.options.iter().enumerate() {
            if !seen.insert(&option.id) {
                return Err(Invalid::new(
                    format!("options[{index}].id"),
                    "each option needs an id of its own",
                ));
            }
            check_text(&format!("options[{index}].label"), &option.label, 1, LABEL_BYTES_MAX)?;
        }
        Ok(())
    }

    fn check_demographics(&self) -> Result<(), Invalid> {
        if self.demographics.len() > DIMENSIONS_MAX {
            return Err(Invalid::new("demographics", format!("at most {DIMENSIONS_MAX} dimensions")));
        }
        for (name, values) in &self.demographics {
            check_text("demographics", name, 1, DIMENSION_BYTES_MAX)?;
            let Some(values) = values else { continue };
            let field = format!("demographics.{name}");
            if values.is_empty() || values.len() > DIMENSION_VALUES_MAX {
                return Err(Invalid::new(
                    field,
                    format!("1 to {DIMENSION_VALUES_MAX} values, or null for any"),
                ));
            }
            let mut seen = HashSet::new();
            for value in values {
                check_text(&field, value, 1, DIMENSION_BYTES_MAX)?;
                if !seen.insert(value) {
                    return Err(Invalid::new(field, "each value once"));
                }
            }
        }
        Ok(())
    }
}

/// The options that a request names, each with an id and a label.
pub(crate) fn options_of(options: Vec<NewOption>) -> Result<Vec<PollOption>, Invalid> {
    if options.len() > OPTIONS_MAX {
        return Err(Invalid::new("options", format!("at most {OPTIONS_MAX} options")));
    }
    let complete = |(index, option): (usize, NewOption)| {
        let text = option.id.unwrap_or_else(|| format!("option-{}", index + 1));
        let id: OptionId = parse_id(&text, || format!("options[{index}].id"))?;
        Ok(PollOption { label: option.label.unwrap_or(text), id })
    };
    options.into_iter().enumerate().map(complete).collect()
}

fn parse_id<T: std::str::FromStr<Err = crate::IdentifierError>>(
    text: &str,
    field: impl FnOnce() -> String,
) -> Result<T, Invalid> {
    text.parse().map_err(|error: crate::IdentifierError| Invalid::new(field(), error.to_string()))
}

fn check_text(field: &str, text: &str, least: usize, most: usize) -> Result<(), Invalid> {
    if text.len() < least || text.len() > most {
        return Err(Invalid::new(field, format!("{least} to {most} bytes of text")));
    }
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t')) {
        return Err(Invalid::new(field, "no control characters but line breaks and tabs"));
    }
    Ok(())
}

fn index_of(index: usize) -> Option<u16> {
    u16::try_from(index).ok()
}

fn plurality() -> Method {
    Method::Plurality {}
}

fn one_seat() -> u16 {
    1
}
