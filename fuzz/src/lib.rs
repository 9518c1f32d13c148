//! What every target asks of a parser: no panic, and of what it reads, that it can be written and read again alike.

use canvass_counting::formats::{Election, Rules, Written};

/// Ballots above which an election is only read: a count of a large one would tell nothing of the parser.
const ROWS_COUNTED_MAX: usize = 50;
/// Options above which an election is only read.
const OPTIONS_COUNTED_MAX: usize = 12;

/// Reads bytes as an election file, and if they are one, counts it and reads again what is written of it.
pub fn check(bytes: &[u8]) {
    let Ok(election) = Election::read(bytes) else { return };
    let json = election.write(Written::Json).expect("JSON holds every election");
    if election.pairwise.is_none() {
        let again = Election::read(json.as_bytes()).expect("what was written is read");
        assert_eq!((&again.options, &again.rows), (&election.options, &election.rows));
    }
    for format in [Written::Blt, Written::Abif] {
        // An election without anything is an empty ABIF file, which nobody could tell from another.
        if election.options.is_empty() {
            continue;
        }
        if let Ok(text) = election.write(format) {
            Election::read(text.as_bytes()).expect("what was written is read");
        }
    }
    if election.rows.len() <= ROWS_COUNTED_MAX && election.options.len() <= OPTIONS_COUNTED_MAX {
        if let Ok(instructions) = election.instructions(None, &Rules::default()) {
            let _ = election.count(&instructions, election.seats.unwrap_or(1));
        }
    }
}
