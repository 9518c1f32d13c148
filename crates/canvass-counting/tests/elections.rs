//! Elections with known outcomes, counted and compared whole: winners, ties and every round's figures.
//!
//! The fixtures beside this file are textbook examples, constructed cases and published facts. More elections, from
//! other projects' repositories, are read from a folder outside the repository where it exists.

#![expect(
    clippy::unwrap_used,
    reason = "a file that is not as its format says fails the test, with its line"
)]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use canvass_counting::{
    BordaPoints, Count, Destination, Figure, Method, MinimaxMeasure, OptionIndex, PairStrength, Pairwise,
    Round, ScoreAggregate, Step, TieBreak, count,
    formats::{Election, Instructions, Rules},
};
use serde_json::Value;

/// A folder with more elections, in the same format.
const FOLDER_VARIABLE: &str = "CANVASS_ELECTIONS";
const FOLDER_DEFAULT: &str = "../../../shared/elections";

#[test]
fn the_fixtures_come_out_as_known() {
    let files = json_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/elections"));
    assert!(files.len() >= 13, "the fixtures are not all there");
    check(&files);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may be told where its data is")]
fn elections_outside_the_repository_come_out_as_known() {
    let folder = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER_DEFAULT));
    let files = json_files(&folder);
    if files.is_empty() {
        eprintln!(
            "skipped: no elections in {}; set {FOLDER_VARIABLE} to a folder with some",
            folder.display()
        );
    }
    check(&files);
}

/// Counts each file and compares; says all differences of all files at once.
#[track_caller]
fn check(files: &[PathBuf]) {
    let mut differences = String::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let election = Election::read(text.as_bytes()).unwrap();
        let instructions = election.instructions(None, &Rules::default()).unwrap();
        let json = serde_json::from_str(&text).unwrap();
        let case = Case { json, election, instructions, differences: Vec::new() };
        let found = case.compare();
        eprintln!("{}: {}", file.display(), if found.is_empty() { "as known" } else { "DIFFERENT" });
        for difference in found {
            writeln!(differences, "{}: {difference}", file.display()).unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(json_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    files
}

struct Case {
    /// What is known, beside what the product reads.
    json: Value,
    election: Election,
    instructions: Instructions,
    differences: Vec<String>,
}

impl Case {
    fn compare(mut self) -> Vec<String> {
        let expected = self.json["expected"].clone();
        let seats = self.election.seats.unwrap();
        let count = self.election.count(&self.instructions, seats).unwrap();
        self.same("winners", set(&count.winners), set(&indexes(&expected["winners"])));
        self.same("tied", set(&count.tied), set(&indexes(&expected["tied"])));
        self.compare_rounds(&count, &expected);
        self.compare_sums(&count, &expected);
        if let Some(rows) = expected.get("pairwise")
            && let Some(pairwise) = &count.pairwise
        {
            self.same("pairwise", matrix(pairwise), fraction_rows(rows));
        }
        self.compare_ties(&expected, &count);
        if self.json["ballots"].as_array().is_some_and(|ballots| !ballots.is_empty()) {
            self.compare_other_methods();
        }
        self.differences
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is compared is made for it, and calls stay short"
    )]
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: T, known: T) {
        if found != known {
            self.differences.push(format!("{what}: {found:?}, known {known:?}"));
        }
    }

    fn compare_rounds(&mut self, count: &Count, expected: &Value) {
        let Some(known) = expected["rounds"].as_array() else { return };
        self.same("number of rounds", count.rounds.len(), known.len());
        let tolerance = expected["tolerance"].as_f64();
        for (number, (round, known)) in count.rounds.iter().zip(known).enumerate() {
            let name = |what: &str| format!("round {} {what}", number + 1);
            let tally: Vec<_> = known["tally"].as_object().unwrap().iter().collect();
            for (option, votes) in &tally {
                let option: OptionIndex = option.parse().unwrap();
                let found = round.tally.iter().find(|(shown, _)| *shown == option).map(|(_, votes)| *votes);
                let same = found.is_some_and(|found| match tolerance {
                    Some(tolerance) => {
                        (approximate(fraction_of(found)) - approximate(fraction(votes))).abs() <= tolerance
                    }
                    None => fraction_of(found) == fraction(votes),
                });
                self.same(&name(&format!("votes of {option}: {found:?} is {votes}")), same, true);
                if votes.as_str().is_some_and(|text| text.len() > 6) && tolerance.is_none() {
                    let scottish = known.get("nontransferable").is_some();
                    let text = found.unwrap().to_string();
                    self.same(&name("text"), !scottish || votes.as_str() == Some(&text), true);
                }
            }
            if tolerance.is_none() {
                self.same(&name("options"), round.tally.len(), tally.len());
            }
            self.compare_round_details(&name, round, known);
        }
    }

    fn compare_round_details(&mut self, name: &dyn Fn(&str) -> String, round: &Round, known: &Value) {
        let inactive = &round.inactive;
        let all = [
            ("exhaustedChoices", inactive.exhausted_choices),
            ("overvotes", inactive.overvotes),
            ("repeatedRankings", inactive.repeated_rankings),
            ("skippedRankings", inactive.skipped_rankings),
            ("finalRoundSurplus", inactive.final_surplus),
        ];
        for (kind, found) in all {
            if let Some(known) = known["inactive"].get(kind) {
                self.same(&name(kind), fraction_of(found), fraction(known));
            }
        }
        for (kind, found) in [
            ("nontransferable", inactive.exhausted_choices),
            ("exhausted", inactive.exhausted_choices),
            ("residual", inactive.residual),
        ] {
            if let Some(known) = known.get(kind) {
                self.same(&name(kind), fraction_of(found), fraction(known));
            }
        }
        if let Some(threshold) = known.get("threshold") {
            self.same(&name("threshold"), round.threshold.map(fraction_of), Some(fraction(threshold)));
        }
        let elected: Vec<_> = round.elected.iter().map(|elected| elected.option).collect();
        let eliminated: Vec<_> = round.eliminated.iter().map(|eliminated| eliminated.option).collect();
        if let Some(known) = known.get("eliminated") {
            self.same(&name("eliminated"), set(&eliminated), set(&indexes(known)));
        }
        if known.get("elected").is_some() || known.get("nontransferable").is_some() {
            let known = known.get("elected").unwrap_or(&known["elected_after"]);
            self.same(&name("elected"), set(&elected), set(&indexes(known)));
        }
        self.compare_steps(name, round, known);
        self.compare_transfers(name, round, known);
    }

    fn compare_steps(&mut self, name: &dyn Fn(&str) -> String, round: &Round, known: &Value) {
        let option = known["option"].as_u64().and_then(|option| OptionIndex::try_from(option).ok());
        let step = match (known["action"].as_str(), option) {
            (Some("transfer surplus"), Some(option)) => Step::Surplus(option),
            (Some("exclude"), Some(option)) => Step::Exclusion(option),
            _ => return,
        };
        self.same(&name("step"), &round.step, &step);
    }

    fn compare_transfers(&mut self, name: &dyn Fn(&str) -> String, round: &Round, known: &Value) {
        let Some(known) = known["transfers"].as_object() else { return };
        let mut flat = BTreeSet::new();
        for (from, to) in known {
            for (to, votes) in to.as_object().unwrap() {
                let to = match to.as_str() {
                    "exhausted" => Destination::Inactive,
                    "residual surplus" => Destination::Residual,
                    option => Destination::Option(option.parse().unwrap()),
                };
                flat.insert((from.parse().unwrap(), to, fraction(votes)));
            }
        }
        let found =
            round.transfers.iter().map(|transfer| (transfer.from, transfer.to, fraction_of(transfer.votes)));
        self.same(&name("transfers"), found.collect::<BTreeSet<_>>(), flat);
    }

    fn compare_sums(&mut self, count: &Count, expected: &Value) {
        let scores = count.scores.as_deref().unwrap_or_default();
        let totals: Vec<_> = scores.iter().map(|score| fraction_of(score.total)).collect();
        let raters: Vec<_> = scores.iter().map(|score| fraction_of(score.raters)).collect();
        let means: Vec<_> = scores.iter().filter_map(|score| score.mean).map(fraction_of).collect();
        let counts = &expected["counts"];
        for (what, found, known) in [
            ("scores", &totals, expected.get("scores")),
            ("score totals", &totals, expected.get("score_totals")),
            ("sum", &totals, counts.get("sum")),
            ("votes", &totals, counts.get("votes")),
            ("raters", &raters, counts.get("raters")),
            ("means", &means, expected.get("mean_given")),
        ] {
            if let Some(known) = known {
                self.same(what, found, &fractions(known));
            }
        }
        let ballots = count.ballots;
        for (what, found, known) in [
            ("valid ballots", ballots.counted, counts.get("valid_ballots")),
            ("rejected ballots", ballots.rejected, counts.get("rejected_ballots")),
        ] {
            if let Some(known) = known {
                self.same(what, fraction_of(found), fraction(known));
            }
        }
        if let Some(runoff) = expected.get("runoff") {
            let round = &count.rounds[1];
            let finalists = indexes(&expected["finalists"]);
            let votes =
                |option| round.tally.iter().find(|(shown, _)| *shown == option).map(|(_, v)| fraction_of(*v));
            self.same("runoff", votes(finalists[0]), Some(fraction(&runoff["first"])));
            self.same("runoff", votes(finalists[1]), Some(fraction(&runoff["second"])));
        }
    }

    fn compare_ties(&mut self, expected: &Value, count: &Count) {
        for known in expected["ties"].as_array().into_iter().flatten() {
            let round = usize::try_from(known["round"].as_u64().unwrap()).unwrap();
            let found = count.ties.iter().find(|tie| tie.round == round).map(|tie| tie.tied.clone());
            self.same("tie", found, Some(indexes(&known["tied"])));
        }
    }

    /// What other methods make of the same ballots.
    fn compare_other_methods(&mut self) {
        let profile = self.election.profile(&self.instructions);
        let other = self.json["also_expected"].clone();
        let seats = self.election.seats.unwrap();
        let outcome = |method: &Method, seats| {
            let count = count(&profile, method, seats, &TieBreak::Report);
            (set(&[count.winners, count.tied].concat()), count.scores.unwrap_or_default(), count.rounds)
        };
        let borda = [
            ("unranked_share_average", BordaPoints::UnrankedShareAverage),
            ("unranked_zero_top_is_n_minus_1", BordaPoints::UnrankedZero),
            ("unranked_zero_top_is_n", BordaPoints::UnrankedZeroTopIsCount),
            ("points_by_ballot_length", BordaPoints::BallotLength),
        ];
        for (name, points) in borda {
            let known =
                other["borda"].get(name).or_else(|| other.get(name).and_then(|known| known.get("scores")));
            if let Some(known) = known {
                let totals: Vec<_> = outcome(&Method::Borda(points), 1)
                    .1
                    .iter()
                    .map(|score| fraction_of(score.total))
                    .collect();
                self.same(name, totals, fractions(known));
            }
        }
        let winners = [
            (other.get("schulze"), Method::Schulze),
            (other.get("ranked_pairs"), Method::RankedPairs(PairStrength::Margins)),
            (other["minimax"].get("margins"), Method::Minimax(MinimaxMeasure::Margins)),
            (other["minimax"].get("winning_votes"), Method::Minimax(MinimaxMeasure::WinningVotes)),
            (other["minimax"].get("pairwise_opposition"), Method::Minimax(MinimaxMeasure::Opposition)),
            (other["votelib"].get("ranked_pairs_wv"), Method::RankedPairs(PairStrength::WinningVotes)),
            (other.get("plurality"), Method::Plurality),
            (other["stv_meek"].get("winners"), Method::StvMeek),
            (other["score"].get("winners"), Method::Score(ScoreAggregate::Sum)),
            (other["score_sum_or_blank_as_zero"].get("winners"), Method::Score(ScoreAggregate::Sum)),
            (
                other["mean_given_min_raters_5"].get("winners"),
                Method::Score(ScoreAggregate::Mean { raters_min: 5 }),
            ),
        ];
        for (known, method) in winners {
            if let Some(known) = known {
                let known = known.get("tied").unwrap_or(known);
                let seats = if method == Method::StvMeek { seats } else { 1 };
                self.same(&format!("{method:?}"), outcome(&method, seats).0, set(&indexes(known)));
            }
        }
        if let Some(known) = other.get("first_choices") {
            let rounds = outcome(&Method::Plurality, 1).2;
            let tally: Vec<_> = rounds[0].tally.iter().map(|(_, votes)| fraction_of(*votes)).collect();
            self.same("first choices", tally, fractions(known));
        }
        let pairwise = count(&profile, &Method::Schulze, 1, &TieBreak::Report).pairwise.unwrap();
        if let Some(known) = other.get("pairwise_winner") {
            self.same("pairwise winner", pairwise.condorcet_winner().into_iter().collect(), indexes(known));
        }
        if let Some(known) = other.get("smith_set") {
            self.same("Smith set", pairwise.smith_set(), indexes(known));
        }
        if let Some(known) = self.json["expected"].get("pairwise").cloned()
            && self.json["ballots"][0].get("ranking").is_some()
        {
            self.same("pairwise", matrix(&pairwise), fraction_rows(&known));
        }
    }
}

fn indexes(json: &Value) -> Vec<OptionIndex> {
    let index = |json: &Value| OptionIndex::try_from(json.as_u64().unwrap()).unwrap();
    json.as_array().into_iter().flatten().map(index).collect()
}

fn set(options: &[OptionIndex]) -> BTreeSet<OptionIndex> {
    options.iter().copied().collect()
}

fn matrix(pairwise: &Pairwise) -> Vec<Vec<(i128, u128)>> {
    let options = 0..OptionIndex::try_from(pairwise.option_count()).unwrap();
    options
        .clone()
        .map(|row| options.clone().map(|other| fraction_of(pairwise.votes(row, other))).collect())
        .collect()
}

fn fraction_rows(json: &Value) -> Vec<Vec<(i128, u128)>> {
    json.as_array().unwrap().iter().map(fractions).collect()
}

fn fractions(json: &Value) -> Vec<(i128, u128)> {
    json.as_array().unwrap().iter().map(fraction).collect()
}

fn fraction_of(figure: Figure) -> (i128, u128) {
    figure.as_fraction()
}

/// A number, a decimal string or a fraction as `33/2`, in lowest terms.
fn fraction(json: &Value) -> (i128, u128) {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    let (numerator, denominator) = match (text.split_once('/'), text.split_once('.')) {
        (Some((a, b)), _) => (a.parse().unwrap(), b.parse().unwrap()),
        (None, Some((whole, places))) => {
            let unit = 10u128.pow(u32::try_from(places.len()).unwrap());
            (format!("{whole}{places}").parse::<i128>().unwrap(), unit)
        }
        (None, None) => (text.parse().unwrap(), 1),
    };
    let mut divisors = (numerator.unsigned_abs(), denominator);
    while divisors.0 != 0 {
        divisors = (divisors.1 % divisors.0, divisors.0);
    }
    (numerator / i128::try_from(divisors.1).unwrap(), denominator / divisors.1)
}

#[expect(clippy::cast_precision_loss, reason = "only for a comparison within a tolerance")]
fn approximate((numerator, denominator): (i128, u128)) -> f64 {
    numerator as f64 / denominator as f64
}
