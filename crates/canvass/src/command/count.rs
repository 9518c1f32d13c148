//! `canvass count`: counts an election file, without a server.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use canvass_counting::{
    Count, ElectedBecause, Inactive, Method, OptionIndex, Pairwise, Round, Score, TieBreak, TieRule,
    formats::{
        CountError, Election, FILE_BYTES_MAX, Instructions, METHOD_NAMES, OPTIONS_MAX, RuleError, Rules,
    },
};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::{failure::Failure, output};

#[derive(Debug, Args)]
pub(crate) struct CountArgs {
    /// The election file, or - for standard input: election JSON, cast vote records (NIST SP 1500-103), BLT, ABIF or
    /// PrefLib, told by its content
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The contest to count, where the file holds several: its name or id
    #[arg(long, value_name = "NAME")]
    contest: Option<String>,
    /// The method, in place of the file's, whose rules then no longer apply [names: see below]
    #[arg(long, value_name = "METHOD", help = method_help())]
    method: Option<String>,
    /// How many to elect, in place of what the file says
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=OPTIONS_MAX as i64))]
    seats: Option<u16>,
    #[command(flatten)]
    ties: TieArgs,
    #[command(flatten)]
    rankings: RankingArgs,
    #[command(flatten)]
    seats_rules: QuotaArgs,
    #[command(flatten)]
    points: PointArgs,
}

fn method_help() -> String {
    format!(
        "The method, in place of the file's, whose rules then no longer apply: {}",
        METHOD_NAMES.join(", ")
    )
}

/// The rules of election files as options: each bears the name that files give it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ties")]
struct TieArgs {
    /// What breaks a tie that the method leaves open: report, order (the most favoured first), draw_order (the first is
    /// drawn: elected or excluded), lot, chair; or RCTab's useCandidateOrder, random, previousRoundCountsThenRandom …
    #[arg(long, value_name = "RULE")]
    tie_break: Option<String>,
    /// The order for order and draw_order: names or numbers from 1, as `B > A > C`
    #[arg(long, value_name = "ORDER")]
    tie_break_order: Option<String>,
    /// The published seed of lots
    #[arg(long, visible_alias = "lot-seed", value_name = "SEED")]
    tie_break_seed: Option<String>,
    /// A decision of the chair: the tied options from the most favoured down, as `B > A`; any number of times
    #[arg(long, visible_alias = "chair", value_name = "ORDER")]
    tie_break_chair: Vec<String>,
    /// Break ties by the latest earlier round in which the options differ, before anything else
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    ties_by_earlier_rounds: Option<bool>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Marks on rankings, and instant runoff")]
struct RankingArgs {
    /// exhaust_immediately, always_skip_to_next or exhaust_if_multiple_continuing
    #[arg(long, value_name = "RULE")]
    overvote: Option<String>,
    /// Ranks in a row that may be skipped, or unlimited
    #[arg(long, value_name = "NUMBER")]
    max_skipped_ranks: Option<String>,
    /// Ranks of a ballot that are read, or unlimited
    #[arg(long, value_name = "NUMBER")]
    max_rankings: Option<String>,
    /// What a repeated ranking does: skip or exhaust
    #[arg(long, value_name = "RULE")]
    duplicate: Option<String>,
    /// The option that stands for write-ins that were not declared
    #[arg(long, value_name = "OPTION")]
    undeclared_write_ins: Option<String>,
    /// Options with fewer votes are eliminated together
    #[arg(long, value_name = "VOTES")]
    minimum_vote_threshold: Option<String>,
    /// Eliminate options together that cannot win even with each other's votes
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    batch_elimination: Option<bool>,
    /// Go on until two options are left, although one has a majority before
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    continue_until_two: Option<bool>,
    /// Ask for a majority of the first round's votes
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    first_round_sets_threshold: Option<bool>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Weighted inclusive Gregory (stv_wigm)")]
struct QuotaArgs {
    /// multiWinnerAllowMultipleWinnersPerRound, multiWinnerAllowOnlyOneWinnerPerRound or bottomsUp
    #[arg(long, value_name = "MODE")]
    winner_mode: Option<String>,
    /// droop or hare
    #[arg(long, value_name = "QUOTA")]
    quota: Option<String>,
    /// Let the quota have places after the point
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    quota_fractional: Option<bool>,
    /// Places that transfer values are cut to, up to 9
    #[arg(long, value_name = "NUMBER")]
    decimal_places: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pairs, points and scores")]
struct PointArgs {
    /// minimax: margins, winning_votes or opposition; ranked_pairs: margins or winning_votes
    #[arg(long, visible_alias = "minimax", value_name = "MEASURE")]
    measure: Option<String>,
    /// Borda's convention: unranked_share_average, unranked_zero_top_is_n_minus_1, unranked_zero_top_is_n or
    /// points_by_ballot_length
    #[arg(long, visible_alias = "borda", value_name = "CONVENTION")]
    unranked: Option<String>,
    /// Scores: sum or mean_of_given_scores
    #[arg(long, value_name = "AGGREGATE")]
    aggregate: Option<String>,
    /// With a mean: scores that an option must have to be elected
    #[arg(long, value_name = "NUMBER")]
    min_raters: Option<String>,
    /// STAR: the highest score
    #[arg(long, value_name = "SCORE")]
    max_score: Option<String>,
    /// Dot voting: dots of a ballot
    #[arg(long, value_name = "NUMBER")]
    dots: Option<String>,
    /// Dot voting: the most dots on one option
    #[arg(long, value_name = "NUMBER")]
    max_per_option: Option<String>,
    /// Quadratic voting: credits of a ballot
    #[arg(long, visible_alias = "credits", value_name = "NUMBER")]
    budget: Option<String>,
    /// Quadratic voting: whether votes against an option can be bought
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    negative_votes: Option<bool>,
}

pub(crate) fn run(args: &CountArgs) -> Result<(), Failure> {
    let bytes = read(&args.file)?;
    let election = Election::read_contest(&bytes, args.contest.as_deref())
        .map_err(|error| Failure::failed(format!("{}: {error}", args.file.display())))?;
    let instructions = election
        .instructions(args.method.as_deref(), &args.rules())
        .map_err(|error| wrong_rule(args, &error))?;
    for note in &instructions.notes {
        eprintln!("canvass: {}: {note}", args.file.display());
    }
    let seats = args.seats.map(usize::from).or(election.seats).unwrap_or(1);
    let count = election.count(&instructions, seats).map_err(|error| match error {
        CountError::Rule(error) => wrong_rule(args, &error),
        CountError::NeedsBallots => Failure::usage(format!("{}: {error}", args.file.display())),
    })?;
    if args.json {
        let pairwise = pairwise(&election, &instructions, &count);
        return Ok(output::json(&in_json(&election.options, &count, pairwise.as_ref()))?);
    }
    Ok(print(&election, &instructions, &count)?)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path != Path::new("-") {
        return fs::read(path).map_err(|error| Failure::file(path, &error));
    }
    let mut bytes = Vec::new();
    // One byte more than a file may have shows that it has too many.
    let most = FILE_BYTES_MAX as u64 + 1;
    io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(|error| Failure::file(path, &error))?;
    Ok(bytes)
}

/// What the file says wrongly is the file's failure; what was asked for wrongly is the caller's.
fn wrong_rule(args: &CountArgs, error: &RuleError) -> Failure {
    let message = format!("{}: {error}", args.file.display());
    let was_asked = args.method.is_some() || args.rules() != Rules::default();
    if error.place.is_none() && was_asked { Failure::usage(message) } else { Failure::failed(message) }
}

impl CountArgs {
    /// The options as rules of election files.
    fn rules(&self) -> Rules {
        let (ties, rankings, quota, points) = (&self.ties, &self.rankings, &self.seats_rules, &self.points);
        let texts = [
            ("tie_break", &ties.tie_break),
            ("tie_break_seed", &ties.tie_break_seed),
            ("overvote", &rankings.overvote),
            ("max_skipped_ranks", &rankings.max_skipped_ranks),
            ("max_rankings", &rankings.max_rankings),
            ("duplicate", &rankings.duplicate),
            ("undeclared_write_ins", &rankings.undeclared_write_ins),
            ("minimum_vote_threshold", &rankings.minimum_vote_threshold),
            ("winner_mode", &quota.winner_mode),
            ("quota", &quota.quota),
            ("decimal_places", &quota.decimal_places),
            ("measure", &points.measure),
            ("unranked", &points.unranked),
            ("aggregate", &points.aggregate),
            ("min_raters", &points.min_raters),
            ("max_score", &points.max_score),
            ("dots", &points.dots),
            ("max_per_option", &points.max_per_option),
            ("budget", &points.budget),
        ];
        let flags = [
            ("ties_by_earlier_rounds", ties.ties_by_earlier_rounds),
            ("batch_elimination", rankings.batch_elimination),
            ("continue_until_two", rankings.continue_until_two),
            ("first_round_sets_threshold", rankings.first_round_sets_threshold),
            ("quota_fractional", quota.quota_fractional),
            ("negative_votes", points.negative_votes),
        ];
        let mut rules = Rules::default();
        for (name, text) in texts {
            if let Some(text) = text {
                rules.set(name, text.as_str().into());
            }
        }
        for (name, flag) in flags {
            if let Some(flag) = flag {
                rules.set(name, flag.into());
            }
        }
        if let Some(order) = &ties.tie_break_order {
            rules.set("tie_break_order", by_rank(order));
        }
        if !ties.tie_break_chair.is_empty() {
            rules.set(
                "tie_break_chair",
                ties.tie_break_chair.iter().map(|decision| by_rank(decision)).collect(),
            );
        }
        rules
    }
}

/// `B > A` as a list of names.
fn by_rank(order: &str) -> Value {
    order.split('>').map(|name| Value::from(name.trim())).collect()
}

fn print(election: &Election, instructions: &Instructions, count: &Count) -> io::Result<()> {
    if let Some(title) = &election.title {
        output::line(title)?;
    }
    if !election.withdrawn.is_empty() {
        output::line(format_args!("Withdrawn: {}", election.withdrawn.join(", ")))?;
    }
    let names: Vec<&str> = election.options.iter().map(String::as_str).collect();
    output::line(count.report(&names).to_string().trim_end())?;
    match &instructions.tie_break {
        TieBreak::Lot { seed } if count.ties.iter().any(|tie| matches!(tie.by, TieRule::Lot(_))) => {
            output::line(format_args!("Lots were drawn from the seed {seed:?}"))
        }
        _ => Ok(()),
    }
}

/// The pairs of ranked ballots, whether the method looks at them or not.
fn pairwise(election: &Election, instructions: &Instructions, count: &Count) -> Option<Pairwise> {
    let is_ranked = matches!(
        instructions.method,
        Method::Irv(_) | Method::StvScottish | Method::StvMeek | Method::StvWigm(_) | Method::Borda(_)
    );
    count.pairwise.clone().or_else(|| is_ranked.then(|| Pairwise::of(&election.profile(instructions))))
}

fn in_json(names: &[String], count: &Count, pairwise: Option<&Pairwise>) -> Value {
    let listed =
        |options: &[OptionIndex]| options.iter().map(|option| name(names, *option)).collect::<Value>();
    let rounds = count.rounds.iter().map(|round| round_in_json(names, &count.method, round));
    json!({
        "method": count.method.name(),
        "winners": listed(&count.winners),
        "tied": listed(&count.tied),
        "rounds": rounds.collect::<Value>(),
        "pairwise": pairwise.map(matrix),
        "scores": count.scores.as_ref().map(|scores| scores_in_json(names, scores)),
    })
}

fn name(names: &[String], option: OptionIndex) -> &str {
    names.get(usize::from(option)).map_or("", String::as_str)
}

fn round_in_json(names: &[String], method: &Method, round: &Round) -> Value {
    let tally: Map<_, _> = round
        .tally
        .iter()
        .map(|(option, votes)| (name(names, *option).to_owned(), json!(votes.to_string())))
        .collect();
    // The finalists of a scoring go on to the runoff, and are not elected yet.
    let elected = round.elected.iter().filter(|elected| elected.because != ElectedBecause::Finalist);
    json!({
        "tally": tally,
        "elected": elected.map(|elected| name(names, elected.option)).collect::<Value>(),
        "eliminated": round.eliminated.iter().map(|gone| name(names, gone.option)).collect::<Value>(),
        "inactive": inactive_in_json(method, &round.inactive),
    })
}

/// By the words of each rule: Scottish papers and Meek's votes are non-transferable for one reason only.
fn inactive_in_json(method: &Method, inactive: &Inactive) -> Value {
    let kinds: &[_] = match method {
        Method::StvScottish | Method::StvMeek => {
            &[("nontransferable", inactive.exhausted_choices), ("residual", inactive.residual)]
        }
        _ => &[
            ("exhaustedChoices", inactive.exhausted_choices),
            ("overvotes", inactive.overvotes),
            ("repeatedRankings", inactive.repeated_rankings),
            ("skippedRankings", inactive.skipped_rankings),
            ("finalRoundSurplus", inactive.final_surplus),
            ("residual", inactive.residual),
        ],
    };
    kinds.iter().map(|(kind, votes)| ((*kind).to_owned(), json!(votes.to_string()))).collect()
}

fn matrix(pairwise: &Pairwise) -> Value {
    let options = || (0..OptionIndex::MAX).take(pairwise.option_count());
    options()
        .map(|row| options().map(|other| pairwise.votes(row, other).to_string()).collect::<Value>())
        .collect()
}

fn scores_in_json(names: &[String], scores: &[Score]) -> Value {
    let score = |score: &Score| {
        json!({
            "total": score.total.to_string(),
            "raters": score.raters.to_string(),
            "mean": score.mean.map(|mean| mean.to_string()),
        })
    };
    names.iter().zip(scores).map(|(name, own)| (name.clone(), score(own))).collect()
}
