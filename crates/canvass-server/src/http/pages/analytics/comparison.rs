//! Two polls side by side.

use canvass_domain::results::{Results, results};

use super::{
    Block, Told, plain,
    tables::{Cell, Head, Row, Table},
    written,
};
use crate::service::{Failure, results::Seen};

impl Told<'_> {
    /// The shares of two polls' options side by side; none if there is no other poll to be seen.
    pub(super) async fn comparison(&self) -> Result<Option<Block>, Failure> {
        let Some(other) = self.other else { return Ok(None) };
        let [here, there] = [self.results(self.seen).await?, self.results(other).await?];
        let texts = &self.a.compare;
        let table = Table {
            corner: self.t.results.option.clone(),
            columns: [texts.here.as_str(), &there.title, &texts.difference].map(plain).into(),
            rows: compared(&here, &there),
        };
        Ok(Some(Block {
            id: "compare".into(),
            heading: String::new(),
            notes: vec![texts.unmatched.clone()],
            table: Some(table),
            query: written(&[("table", "comparison"), ("with", there.poll_id.as_str()), ("format", "csv")]),
        }))
    }

    async fn results(&self, seen: &Seen) -> Result<Results, Failure> {
        let (snapshot, count) = self.app.results_counted(seen).await?;
        Ok(results(&snapshot.poll, &snapshot.tally, count.as_deref()))
    }
}

/// The options of two polls with their shares: those here, then those that are only there.
fn compared(here: &Results, there: &Results) -> Vec<Row> {
    let by_id = |index: usize| there.options.iter().position(|other| other.id == here.options[index].id);
    let by_label = |index: usize| {
        let is_taken = |id| here.options.iter().any(|option| option.id == id);
        there
            .options
            .iter()
            .position(|other| other.label == here.options[index].label && !is_taken(other.id.clone()))
    };
    let partners: Vec<_> =
        (0..here.options.len()).map(|index| by_id(index).or_else(|| by_label(index))).collect();
    let share = |share: Option<f64>| share.map_or(Cell::Nothing, Cell::Share);
    let row = |label: &str, mine: Option<f64>, theirs: Option<f64>| Row {
        head: Head::Text(label.to_owned()),
        cells: vec![
            share(mine),
            share(theirs),
            mine.zip(theirs).map_or(Cell::Nothing, |(mine, theirs)| Cell::Difference(mine - theirs)),
        ],
    };
    let ours = here.options.iter().zip(&partners).map(|(option, partner)| {
        row(&option.label, option.share, partner.and_then(|index| there.options[index].share))
    });
    let alone = there.options.iter().enumerate().filter(|(index, _)| !partners.contains(&Some(*index)));
    ours.chain(alone.map(|(_, option)| row(&option.label, None, option.share))).collect()
}
