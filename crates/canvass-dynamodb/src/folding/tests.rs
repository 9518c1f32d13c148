//! Thousands of votes, changes and withdrawals through a made-up stream that does all that a stream may: several shards
//! with rollover, batches cut anywhere, delivered again, in any order of shards, and folders that end after any write or
//! go on with what they knew before. The counts must be those of the records, each time; the documents' own aggregator,
//! fed the same, must not come to them.

use std::{collections::HashMap, sync::Arc};

use canvass_domain::{
    Ballot, Poll, Sequence, Timestamp, VoteId, Weight,
    decide::decide_create,
    poll::NewPoll,
    record::{Entry, Place, PollEvent, Record, Step, VoteRecord},
    tally::{Tally, parts::PartId},
    vote::{Marked, Operation, Personal},
};

use super::{Checkpoint, Counters, Streamed, fold};
use crate::items::PollKey;

/// Numbers that are the same each time for the same seed (Marsaglia's xorshift).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

fn poll() -> Poll {
    let asked = r#"{"id": "p", "title": "T", "options": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "status": "open",
        "revote": "untilClose", "weighted": true, "demographics": {"age": ["old", "young"], "city": null}}"#;
    let request: NewPoll = serde_json::from_str(asked).unwrap();
    let steps = decide_create(request, "p".parse().unwrap(), at(0)).unwrap();
    steps.into_iter().last().unwrap().1
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_microseconds(second * 1_000_000)
}

/// Records of votes, changes and withdrawals, each voter's following one another.
fn records(draw: &mut Draw, count: usize) -> Vec<(usize, Timestamp, VoteRecord)> {
    let mut standing: HashMap<usize, (Option<Marked>, u32)> = HashMap::new();
    let mut records = Vec::new();
    for number in 0..count {
        let voter = draw.below(count / 3);
        let (before, revision) = standing.get(&voter).cloned().unwrap_or((None, 0));
        let added = (before.is_none() || draw.below(4) > 0).then(|| Marked {
            ballot: Ballot::Choices(vec![u16::try_from(draw.below(3)).unwrap()]),
            weight: Weight::from_millionths(500_000 * (1 + draw.below(3) as u64)).unwrap(),
            answers: vec![
                (0, Arc::from(["old", "young"][draw.below(2)])),
                (1, Arc::from(format!("city {}", draw.below(9)))),
            ],
        });
        let answers =
            |marked: &Option<Marked>| marked.as_ref().map_or(vec![], |marked| marked.answers.clone());
        let weighed =
            |marked: &Option<Marked>| marked.as_ref().map(|marked| (marked.ballot.clone(), marked.weight));
        let record = VoteRecord {
            vote_id: VoteId::from_random([7; 16]),
            operation: match (&before, &added) {
                (None, _) => Operation::Cast,
                (Some(_), Some(_)) => Operation::Change,
                (Some(_), None) => Operation::Withdraw,
            },
            previous: None,
            revision,
            added: weighed(&added),
            removed: weighed(&before),
            personal_hash: [0; 32],
            personal: Some(Personal {
                salt: [0; 16],
                voter: format!("v{voter}").parse().unwrap(),
                answers: answers(&added),
                replaced: answers(&before),
                idempotency: None,
            }),
        };
        standing.insert(voter, (added, revision + 1));
        records.push((voter, at(i64::try_from(number).unwrap() * 7), record));
    }
    records
}

/// What the records add up to, by the fold of the local engine.
fn recount(poll: &Poll, records: &[(usize, Timestamp, VoteRecord)]) -> Tally {
    let mut tally = Tally::new(poll);
    let event =
        PollEvent { step: Step::Opened, actor: String::new(), poll: poll.clone(), chain: String::new() };
    let place = |sequence, at| Place { poll: 1, sequence: Sequence(sequence), at };
    tally.fold(&Entry { place: place(1, at(0)), record: Record::Poll(Box::new(event)) });
    for (index, (_, moment, record)) in records.iter().enumerate() {
        let record = Record::Vote(Box::new(record.clone()));
        tally.fold(&Entry { place: place(index as u64 + 2, *moment), record });
    }
    tally
}

/// Shards with their records. In each generation there are some; the next one's are their children.
fn shards(draw: &mut Draw, records: &[(usize, Timestamp, VoteRecord)]) -> Vec<Vec<Vec<Streamed>>> {
    let mut generations = Vec::new();
    for (generation, records) in records.chunks(records.len() / 4 + 1).enumerate() {
        let count = 1 + draw.below(4);
        let mut shards = vec![Vec::new(); count];
        for (index, (voter, at, record)) in records.iter().enumerate() {
            let shard = voter % count;
            shards[shard].push(Streamed {
                shard: format!("{generation}-{shard}"),
                // Longer numbers are later ones, as DynamoDB's are.
                checkpoint: Checkpoint(format!("{}", 95 + index * 3)),
                poll: PollKey { id: "p".parse().unwrap(), life: 1 },
                at: *at,
                record: record.clone(),
            });
        }
        generations.push(shards);
    }
    generations
}

type Items = HashMap<(PollKey, PartId), Counters>;

/// One who folds a batch, perhaps with counters that it read long ago, and ends after so many writes.
fn deliver(items: &mut Items, remembered: &mut Items, batch: &[Streamed], writes_max: usize) {
    let mut writes = 0;
    for (id, mut update) in fold(batch) {
        let mut before = remembered.get(&id).cloned().unwrap_or_default();
        while !update.is_done() {
            if writes == writes_max {
                return;
            }
            let mut ahead = update.clone();
            let Some(folded) = ahead.take(id.1, &before) else { break };
            let there = items.entry(id.clone()).or_default();
            if there.records == before.records {
                *there = folded.counters.clone();
                before = folded.counters;
                update = ahead;
                writes += 1;
            } else {
                before = there.clone();
            }
        }
        remembered.insert(id, before);
    }
}

fn check(seed: u64) {
    let mut draw = Draw(seed);
    let poll = poll();
    let records = records(&mut draw, 3_000);
    let (mut items, mut documents) = (Items::new(), [0_i64; 3]);
    let mut folders = [Items::new(), Items::new()];
    for generation in shards(&mut draw, &records) {
        let mut done = vec![0; generation.len()];
        while (0..generation.len()).any(|shard| done[shard] < generation[shard].len()) {
            let shard = draw.below(generation.len());
            let from = done[shard].saturating_sub(draw.below(40));
            let to = (done[shard] + draw.below(200)).min(generation[shard].len());
            let batch = &generation[shard][from..to];
            let folder = draw.below(2);
            match draw.below(4) {
                // It ends after a write, and nobody learns how far it came.
                0 => deliver(&mut items, &mut folders[folder], batch, draw.below(4)),
                1 => folders[folder].clear(),
                _ => {
                    deliver(&mut items, &mut folders[folder], batch, usize::MAX);
                    done[shard] = to;
                }
            }
            aggregate(&mut documents, batch);
        }
    }
    let recounted = recount(&poll, &records);
    let key = |part| (PollKey { id: "p".parse().unwrap(), life: 1 }, part);
    let counts = &items[&key(PartId::Counts)];
    let parts = items.iter().map(|((_, part), counters)| (*part, &counters.figures));
    let tally = Tally::of_parts(&poll, Sequence(counts.records + 1), counts.updated_at, parts);
    assert_eq!(tally, recounted, "seed {seed}");
    let marks = |tally: &Tally| tally.breakdowns[0].values.values().map(|count| count.votes).sum::<u64>();
    assert_eq!(marks(&tally), tally.votes, "each ballot gave an age");
    assert_ne!(documents.iter().sum::<i64>(), i64::try_from(recounted.votes).unwrap(), "seed {seed}");
}

/// The first document's aggregator: each record adds one to its choice, whenever it comes.
fn aggregate(counts: &mut [i64; 3], batch: &[Streamed]) {
    for streamed in batch {
        if let Some((Ballot::Choices(choices), _)) = &streamed.record.added {
            choices.iter().for_each(|choice| counts[usize::from(*choice)] += 1);
        }
    }
}

#[test]
fn counts_are_exact_whatever_the_stream_does() {
    (1..=5).for_each(check);
}
