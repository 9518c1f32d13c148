//! A count as text that a person can read and check, with options by their names.

use std::fmt::{self, Display, Formatter};

use crate::{
    BordaPoints, Comparison, Count, DefeatFate, Destination, ElectedBecause, EliminatedBecause, Figure,
    Method, MinimaxMeasure, OptionIndex, PairStrength, Round, ScoreAggregate, Step, Tie, TiePurpose, TieRule,
    Weighing,
};

/// A count with the names of its options; prints the whole story.
pub struct Report<'a> {
    count: &'a Count,
    names: &'a [&'a str],
}

impl Count {
    /// The count as text. An option without a name is called by its number, from 1.
    pub fn report<'a>(&'a self, names: &'a [&'a str]) -> Report<'a> {
        Report { count: self, names }
    }
}

impl Display for Report<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let count = self.count;
        writeln!(out, "{}", title(&count.method))?;
        writeln!(out, "{} to elect, {} options", count.seats, count.option_count)?;
        let ballots = count.ballots;
        writeln!(
            out,
            "{} ballots: {} counted, {} blank, {} rejected",
            ballots.cast, ballots.counted, ballots.blank, ballots.rejected
        )?;
        for (index, round) in count.rounds.iter().enumerate() {
            writeln!(out)?;
            self.write_round(out, index + 1, round)?;
        }
        self.write_scores(out)?;
        self.write_pairwise(out)?;
        if let Some(comparison) = &count.comparison {
            self.write_comparison(out, comparison)?;
        }
        if count.rounds.is_empty() && !count.ties.is_empty() {
            writeln!(out)?;
            self.write_ties(out, 1)?;
        }
        self.write_outcome(out)
    }
}

impl Report<'_> {
    fn write_round(&self, out: &mut Formatter<'_>, number: usize, round: &Round) -> fmt::Result {
        write!(out, "Round {number}: {}", self.step(round.step))?;
        match round.threshold {
            Some(threshold) => writeln!(out, "; {threshold} elects")?,
            None => writeln!(out)?,
        }
        let widest_name =
            round.tally.iter().map(|(option, _)| self.name(*option).chars().count()).max().unwrap_or(0);
        let widest_votes = round.tally.iter().map(|(_, votes)| votes.to_string().len()).max().unwrap_or(0);
        for &(option, votes) in &round.tally {
            let fate = fate(round, option);
            let line = format!("  {:widest_name$}  {votes:>widest_votes$}  {fate}", self.name(option));
            writeln!(out, "{}", line.trim_end())?;
        }
        write_inactive(out, round)?;
        self.write_ties(out, number)?;
        for transfer in &round.transfers {
            let to = match transfer.to {
                Destination::Option(option) => self.name(option),
                Destination::Inactive => "no longer active".to_owned(),
                Destination::Residual => "lost to rounding".to_owned(),
            };
            writeln!(out, "  {} to {to}: {}", self.name(transfer.from), transfer.votes)?;
        }
        Ok(())
    }

    fn write_ties(&self, out: &mut Formatter<'_>, round: usize) -> fmt::Result {
        for tie in self.count.ties.iter().filter(|tie| tie.round == round) {
            writeln!(
                out,
                "  Tie {} between {}: {}",
                purpose(tie.purpose),
                self.list(&tie.tied),
                self.decision(tie)
            )?;
        }
        Ok(())
    }

    fn decision(&self, tie: &Tie) -> String {
        let by = match tie.by {
            TieRule::EarlierRound(round) => format!("the votes in round {round}"),
            TieRule::HeadToHead => "the preferences between them".to_owned(),
            TieRule::Score => "the score".to_owned(),
            TieRule::TopScores => "the number of highest scores".to_owned(),
            TieRule::Order => "the order given beforehand".to_owned(),
            TieRule::Lot(number) => format!("lot {number}"),
            TieRule::Chair => "the chair".to_owned(),
            TieRule::Open => return "it stays open".to_owned(),
        };
        format!("{}, by {by}", self.list(&tie.chosen))
    }

    fn write_scores(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Some(scores) = &self.count.scores else { return Ok(()) };
        writeln!(out, "\nScores")?;
        let widest_name =
            (0..).zip(scores).map(|(option, _)| self.name(option).chars().count()).max().unwrap_or(0);
        let widest_total = scores.iter().map(|score| score.total.to_string().len()).max().unwrap_or(0);
        for (option, score) in (0..).zip(scores) {
            write!(out, "  {:widest_name$}  {:>widest_total$}", self.name(option), score.total)?;
            match score.mean {
                Some(mean) => writeln!(out, "  by {}, mean {mean}", score.raters)?,
                None => writeln!(out, "  by {}", score.raters)?,
            }
        }
        Ok(())
    }

    fn write_pairwise(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Some(pairwise) = &self.count.pairwise else { return Ok(()) };
        writeln!(out, "\nBallots that prefer the option of the row to that of the column")?;
        let rows = pairwise.options().map(|row| {
            pairwise.options().map(|column| cell(row, column, pairwise.votes(row, column))).collect()
        });
        self.write_matrix(out, rows.collect())
    }

    fn write_matrix(&self, out: &mut Formatter<'_>, rows: Vec<Vec<String>>) -> fmt::Result {
        let names: Vec<String> = (0..).zip(&rows).map(|(option, _)| self.name(option)).collect();
        let widest_name = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let widest_cell = rows.iter().flatten().map(String::len).max().unwrap_or(0);
        for (name, row) in names.iter().zip(rows) {
            let cells: Vec<_> = row.iter().map(|cell| format!("{cell:>widest_cell$}")).collect();
            writeln!(out, "  {name:widest_name$}  {}", cells.join("  "))?;
        }
        Ok(())
    }

    fn write_comparison(&self, out: &mut Formatter<'_>, comparison: &Comparison) -> fmt::Result {
        match comparison.condorcet_winner {
            Some(option) => writeln!(out, "\n{} beats every other option", self.name(option))?,
            None => writeln!(
                out,
                "\nNo option beats every other; Smith set: {}",
                self.list(&comparison.smith_set)
            )?,
        }
        match &comparison.weighing {
            Weighing::Paths(paths) => {
                writeln!(
                    out,
                    "\nStrongest paths of defeats from the option of the row to that of the column"
                )?;
                let row = |(row, paths): (OptionIndex, &Vec<Figure>)| {
                    (0..).zip(paths).map(|(column, &path)| cell(row, column, path)).collect()
                };
                self.write_matrix(out, (0..).zip(paths).map(row).collect())
            }
            Weighing::Defeats(defeats) => {
                writeln!(out, "\nDefeats from the strongest down")?;
                for defeat in defeats {
                    let fate = match defeat.fate {
                        DefeatFate::Locked => "holds",
                        DefeatFate::Dropped => "contradicts stronger ones",
                        DefeatFate::DependsOnOrder => "depends on the order of equal defeats",
                    };
                    let (winner, loser) = (self.name(defeat.winner), self.name(defeat.loser));
                    writeln!(out, "  {winner} over {loser} by {}: {fate}", defeat.strength)?;
                }
                Ok(())
            }
            Weighing::Worst(worst) => {
                writeln!(out, "\nThe worst pair of each option")?;
                for (option, worst) in (0..).zip(worst) {
                    let worst = worst.map_or_else(|| "none".to_owned(), |worst| worst.to_string());
                    writeln!(out, "  {}: {worst}", self.name(option))?;
                }
                Ok(())
            }
        }
    }

    fn write_outcome(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let count = self.count;
        writeln!(out)?;
        match count.winners.as_slice() {
            [] => writeln!(out, "Nobody is elected")?,
            winners => writeln!(out, "Elected: {}", self.list(winners))?,
        }
        if !count.tied.is_empty() {
            writeln!(out, "Tied: {}", self.list(&count.tied))?;
        }
        Ok(())
    }

    fn step(&self, step: Step) -> String {
        match step {
            Step::FirstCount => "first count".to_owned(),
            Step::Surplus(option) => format!("surplus of {}", self.name(option)),
            Step::Transfer => "after the transfers".to_owned(),
            Step::Exclusion(option) => format!("exclusion of {}", self.name(option)),
            Step::Iteration { distributions: 1 } => "after 1 distribution".to_owned(),
            Step::Iteration { distributions } => format!("after {distributions} distributions"),
            Step::Runoff => "runoff".to_owned(),
        }
    }

    fn name(&self, option: OptionIndex) -> String {
        let name = self.names.get(usize::from(option)).map(|name| (*name).to_owned());
        name.unwrap_or_else(|| format!("option {}", u32::from(option) + 1))
    }

    fn list(&self, options: &[OptionIndex]) -> String {
        let names: Vec<_> = options.iter().map(|&option| self.name(option)).collect();
        names.join(", ")
    }
}

fn cell(row: OptionIndex, column: OptionIndex, votes: Figure) -> String {
    if row == column { "-".to_owned() } else { votes.to_string() }
}

fn write_inactive(out: &mut Formatter<'_>, round: &Round) -> fmt::Result {
    let inactive = round.inactive;
    let kinds = [
        ("no option left", inactive.exhausted_choices),
        ("overvote", inactive.overvotes),
        ("repeated ranking", inactive.repeated_rankings),
        ("skipped ranks", inactive.skipped_rankings),
        ("surplus of the last elected", inactive.final_surplus),
        ("lost to rounding", inactive.residual),
    ];
    let shown: Vec<_> = kinds
        .iter()
        .filter(|(_, votes)| *votes != Figure::ZERO)
        .map(|(kind, votes)| format!("{kind} {votes}"))
        .collect();
    if shown.is_empty() { Ok(()) } else { writeln!(out, "  Inactive: {}", shown.join(", ")) }
}

fn fate(round: &Round, option: OptionIndex) -> &'static str {
    if let Some(elected) = round.elected.iter().find(|elected| elected.option == option) {
        return match elected.because {
            ElectedBecause::Most => "elected: the most",
            ElectedBecause::Threshold => "elected: reaches the threshold",
            ElectedBecause::SeatsLeft => "elected: no more options than seats",
            ElectedBecause::Finalist => "goes on to the runoff",
        };
    }
    let eliminated = round.eliminated.iter().find(|eliminated| eliminated.option == option);
    eliminated.map_or("", |eliminated| match eliminated.because {
        EliminatedBecause::Fewest => "eliminated: the fewest",
        EliminatedBecause::Batch => "eliminated: cannot win",
        EliminatedBecause::BelowMinimum => "eliminated: below the minimum",
        EliminatedBecause::UndeclaredWriteIn => "eliminated: not declared",
        EliminatedBecause::SeatsFilled => "eliminated: all seats are filled",
    })
}

fn purpose(purpose: TiePurpose) -> &'static str {
    match purpose {
        TiePurpose::Election => "for election",
        TiePurpose::Elimination => "for elimination",
        TiePurpose::SurplusOrder => "for the first surplus",
        TiePurpose::Finalist => "for the runoff",
    }
}

fn title(method: &Method) -> String {
    let title = match method {
        Method::Plurality => "Plurality",
        Method::Approval => "Approval",
        Method::Score(ScoreAggregate::Sum) => "Score, by the sum",
        Method::Score(ScoreAggregate::Mean { raters_min }) => {
            return format!("Score, by the mean of at least {raters_min} scores");
        }
        Method::Star { .. } => "STAR: score, then automatic runoff",
        Method::Irv(_) => "Instant runoff",
        Method::StvScottish => "Single transferable vote, Scottish rules of 2007",
        Method::StvMeek => "Single transferable vote, Meek's method",
        Method::StvWigm(_) => "Single transferable vote, weighted inclusive Gregory",
        Method::Schulze => "Schulze, by winning votes",
        Method::RankedPairs(PairStrength::Margins) => "Ranked pairs, by margins",
        Method::RankedPairs(PairStrength::WinningVotes) => "Ranked pairs, by winning votes",
        Method::Minimax(MinimaxMeasure::Margins) => "Minimax, by margins",
        Method::Minimax(MinimaxMeasure::WinningVotes) => "Minimax, by winning votes",
        Method::Minimax(MinimaxMeasure::Opposition) => "Minimax, by pairwise opposition",
        Method::Borda(BordaPoints::UnrankedShareAverage) => "Borda, unranked options share the average",
        Method::Borda(BordaPoints::UnrankedZero) => "Borda, unranked options get nothing",
        Method::Borda(BordaPoints::UnrankedZeroTopIsCount) => {
            "Borda, the first gets as many points as there are options, unranked ones nothing"
        }
        Method::Borda(BordaPoints::BallotLength) => "Borda, points by the length of the ballot",
        Method::Dot { dots, .. } => return format!("Dot voting, {dots} dots"),
        Method::Quadratic { credits, .. } => return format!("Quadratic voting, {credits} credits"),
    };
    title.to_owned()
}
