//! Election files as they come: what each says, what is wrong with it, and that what is damaged harms nobody.

#![expect(clippy::unwrap_used, reason = "what cannot go on has failed its test")]

use std::fmt::Write as _;

use canvass_counting::{
    Ballot, Rank,
    formats::{Election, Rules, Written},
};

/// An election in a few lines: options, what is said of the count, and each row.
fn told(election: &Election) -> String {
    let Election { format, title, options, withdrawn, seats, method, rules, rows, .. } = election;
    let title = title.as_deref().unwrap_or("-");
    let mut text = format!("{format:?} {title} | {} | seats {seats:?}", options.join(", "));
    if !withdrawn.is_empty() {
        write!(text, " | withdrawn {}", withdrawn.join(", ")).unwrap();
    }
    if let Some(method) = method {
        write!(text, " | {method}").unwrap();
    }
    for rule in ["max_score", "tie_break_order", "undeclared_write_ins"] {
        if let Some(value) = rules.get(rule) {
            write!(text, " | {rule} {value}").unwrap();
        }
    }
    for row in rows {
        write!(text, "\n{} x {}: {}", row.count, row.weight, marks(&row.ballot)).unwrap();
        if let Some(scores) = &row.scores {
            write!(text, " and {}", marks(scores)).unwrap();
        }
    }
    text
}

fn marks(ballot: &Ballot) -> String {
    let rank = |rank: &Rank| match rank {
        Rank::One(option) => option.to_string(),
        Rank::Equal(options) => options.iter().map(ToString::to_string).collect::<Vec<_>>().join("="),
        Rank::Skipped => "-".to_owned(),
        Rank::Overvote => "?".to_owned(),
    };
    match ballot {
        Ballot::Ranking(ranks) => ranks.iter().map(rank).collect::<Vec<_>>().join(">"),
        other => format!("{other:?}"),
    }
}

/// What a file says.
#[track_caller]
fn check(file: impl AsRef<[u8]>, expected: &str) {
    let election = Election::read(file.as_ref()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told(&election), expected);
}

/// Why a file is not read.
#[track_caller]
fn check_refused(file: impl AsRef<[u8]>, expected: &str) {
    let error = Election::read(file.as_ref()).expect_err("it is read");
    assert_eq!(error.to_string(), expected);
}

const BLT: &str =
    "4 2\n-2\n3 1 3 4 0\n4 1 3 2 0\n2 4 1=3 0\n1 2 0\n0\n\"Adam\"\n\"Basil\"\n\"Cher\"\n\"Don\"\n\"Club\"\n";

#[test]
fn blt_is_read_as_it_is_written_anywhere() {
    let adam = "Blt Club | Adam, Cher, Don | seats Some(2) | withdrawn Basil\n3 x 1: 0>1>2\n4 x 1: 0>1\n2 x 1: 2>0=1\n1 x 1: ";
    check(BLT, adam);
    check(BLT.replace('\n', "\r\n"), adam);
    check(BLT.replace('\n', "\r"), adam);
    check(format!("\u{feff}{BLT}"), adam);
    check(BLT.replace(' ', ","), adam);
    check(BLT.replace('\n', " \n# a comment\n\n"), adam);
    check(BLT.replace('\n', " "), adam);
    check(BLT.replace("-2\n", "[withdrawn 2]\n[droop arithmetic=fixed]\n"), adam);
    check(BLT.replace(" 0\n", "\n"), adam);
}

#[test]
fn blt_has_its_quirks() {
    check("3 1\n-1 -3\n2 1 2 0\n0\na\nb\nc\n", "Blt - | b | seats Some(1) | withdrawn a, c\n2 x 1: 0");
    check(
        "3 1\n-1\n-3\n2 2 0\n0\n",
        "Blt - | Option 2 | seats Some(1) | withdrawn Option 1, Option 3\n2 x 1: 0",
    );
    check("2 1\n0.5 1 2 0\n1.25 2 0\n0\na\nb\n", "Blt - | a, b | seats Some(1)\n1 x 0.5: 0>1\n1 x 1.25: 1");
    check(
        "3 1\n1 - 2 0\n1 0 0 1 0\n0\n",
        "Blt - | Option 1, Option 2, Option 3 | seats Some(1)\n1 x 1: ->1\n1 x 1: ->->0",
    );
    check(
        "3 1\n(b 1) 3 2 0\n(b2) 1 0\n0\n",
        "Blt - | Option 1, Option 2, Option 3 | seats Some(1)\n1 x 1: 2>1\n1 x 1: 0",
    );
    check(
        "3 1\n2 (1 3) 2 0\n2 1 = 3 0\n0\n",
        "Blt - | Option 1, Option 2, Option 3 | seats Some(1)\n2 x 1: 0=2>1\n2 x 1: 0=2",
    );
    check(
        "2 1\n0\n\"\"Ann\"\"\n\"Bo \"\"B\"\" Li\" \"Party\"\n\"T\"\n",
        "Blt T | Ann, Bo \"B\" Li | seats Some(1)",
    );
    check("2 1\n0\n\"Ann\" \"Bo\" \"T\"\n", "Blt T | Ann, Bo | seats Some(1)");
    check(
        "2 1\n0\nAnn Lee\nAnn Lee\nThe title\nsource\ncomment\n",
        "Blt The title | Ann Lee, Ann Lee (2) | seats Some(1)",
    );
    check(b"2 1\n0\n\"Jos\xE9\"\n\"\x8Aime\"\n", "Blt - | José, Šime | seats Some(1)");
    check(
        "2 1\n[nick a b]\n[tie b a]\n3 a b 0\n0\nAnn\nBo\n",
        "Blt - | Ann, Bo | seats Some(1) | tie_break_order [\"Bo\",\"Ann\"]\n3 x 1: 0>1",
    );
}

#[test]
fn blt_tells_what_is_wrong_and_where() {
    check_refused("4 2\n3 1 9 0\n0\n", "line 2, column 5: \"9\" is no option; expected a number from 1 to 4");
    check_refused(
        "4 2\n3 1 0\n",
        "line 2, column 6: the file ends; expected a line with 0 that ends the lists",
    );
    check_refused("501 2\n", "line 1, column 1: expected a whole number up to 500");
    check_refused("4 0\n0\n", "line 1, column 3: expected a number of seats from 1");
    check_refused(
        "2 1\n9999999999999 1 0\n0\n",
        "line 2, column 1: expected how many ballots there are: a number up to 1000000000000, or a decimal weight",
    );
    check_refused(
        "2 1\n3 1 2 0\n3 1\n2 0\n0\n",
        "line 3, column 1: expected a 0 at the end of this list, as in those before",
    );
    check_refused(
        "2 1\n1 1 0\n-2\n0\n",
        "line 3, column 1: withdrawn options and words in square brackets come before the lists",
    );
    check_refused("2 1\n0\n\"Ann\n", "line 3, column 1: the quotation mark has no partner on this line");
    check_refused(
        format!("2 1\n1{} 0\n0\n", " 1".repeat(1_001)),
        "line 2, column 3: a ballot has at most 1000 ranks",
    );
    check_refused(b"\xFF\xFE2\0", "line 1, column 1: the file is UTF-16; save it as UTF-8");
}

#[test]
fn abif_is_read_in_all_its_forms() {
    check(
        "# c\n{\"title\": \"Capital\"}\n{max_rating: 5}\n=M:[Memphis, TN]\n=N:[Nash \"N\"] # x\n\n42: M/5 > N/2 # c\n 26:N=[蘇業]\n5:\n3*\"q q\">M\n",
        "Abif Capital | Memphis, TN, Nash \"N\", 蘇業, q q | seats None | max_score 5\n42 x 1: 0>1 and Scores([(0, 5), (1, 2)])\n26 x 1: 1=2 and Scores([])\n5 x 1:  and Scores([])\n3 x 1: 3>0 and Scores([])",
    );
    check(
        "12: A/5, B/5, C/1\n2:A,B/0,C/3\n",
        "Abif - | A, B, C | seats None | score\n12 x 1: 0=1>2 and Scores([(0, 5), (1, 5), (2, 1)])\n2 x 1: 2>1>0 and Scores([(1, 0), (2, 3)])",
    );
    check("5:[A,X]>[B]\n4:A,B\n", "Abif - | A,X, B, A | seats None\n5 x 1: 0>1\n4 x 1: 1=2");
    check("[Doña]: D\n3:D\n", "Abif - | Doña | seats None\n3 x 1: 0");
    check(
        "{ballot_type: \"choose_many\"}\n21:M/1=N/1,K/0\n",
        "Abif - | M, N, K | seats None | approval\n21 x 1: Choices([0, 1]) and Scores([(0, 1), (1, 1), (2, 0)])",
    );
    check("{tally_method: \"FPTP\"}\n2:A\n1:\n", "Abif - | A | seats None | plurality\n2 x 1: 0\n1 x 1: ");
}

#[test]
fn abif_tells_what_is_wrong_and_where() {
    check_refused("2:A>>B\n", "line 1, column 5: expected a candidate's token");
    check_refused("2:A>B\n3:A>\n", "line 2, column 5: expected a candidate after the separator");
    check_refused("2:A B\n", "line 1, column 5: expected >, = or a comma between candidates");
    check_refused("2:A/x\n", "line 1, column 5: expected a whole score up to 1000000000");
    check_refused("2:A/1=A/2\n", "line 1, column 3: a candidate has two scores");
    check_refused("=A:[Ann\n", "line 1, column 4: \"[Ann\" has no ] on this line");
    check_refused(
        "2:A\nhello\n",
        "line 2, column 6: expected a colon and the candidate's name, or a number of votes",
    );
    check_refused("99999999999999999999:A\n", "line 1, column 1: expected a number up to 1000000000000");
}

#[test]
fn preflib_is_read_new_and_old() {
    let head = "# FILE NAME: a\n# TITLE: Song\n# DATA TYPE: toi\n# NUMBER ALTERNATIVES: 3\n# ALTERNATIVE NAME 1: a: b\n# ALTERNATIVE NAME 3: c\n";
    check(
        format!("{head}2: 1,{{2, 3}}\n1: 3\n"),
        "Preflib Song | a: b, Option 2, c | seats None\n2 x 1: 0>1=2\n1 x 1: 2",
    );
    let categories = head.replace("toi", "cat");
    check(
        format!("{categories}# NUMBER CATEGORIES: 2\n2: {{1,3}},2\n1: {{}},{{}}\n"),
        "Preflib Song | a: b, Option 2, c | seats None\n2 x 1: Choices([0, 2])\n1 x 1: Choices([])",
    );
    check(
        format!("{categories}# NUMBER CATEGORIES: 3\n2: {{1,3}},{{}},2\n"),
        "Preflib Song | a: b, Option 2, c | seats None\n2 x 1: Scores([(0, 2), (1, 0), (2, 2)])",
    );
    check(
        "2\n1,Ann, Lee\n2,Bo\n5,5,2\n3,1,2\n2,{1,2}\n",
        "Preflib - | Ann, Lee, Bo | seats None\n3 x 1: 0>1\n2 x 1: 0=1",
    );
    check_refused(
        format!("{head}2: 1,4\n"),
        "line 7, column 6: \"4\" is no option; expected a number from 1 to 3",
    );
    check_refused(format!("{head}2: 1,{{2\n"), "line 7, column 6: expected } on this line");
    check_refused(
        head.replace("toi", "wmd"),
        "line 3, column 14: expected the data type soc, soi, toc, toi or cat",
    );
    check_refused("3\n1,a\n", "line 2, column 4: the file ends; expected the name of each option");
}

#[test]
fn json_tells_what_is_wrong_and_where() {
    check(
        r#"{"options":["a","b","c"],"withdrawn":[1],"seats":2,"ballots":[{"count":2,"ranking":[[0,1],null,2,"overvote"],"scores":[1,null,0]},{"weight":"0.5","ranking":[1,2]}]}"#,
        "Json - | a, c | seats Some(2) | withdrawn b\n2 x 1: 0>->1>? and Scores([(0, 1), (1, 0)])\n1 x 0.5: 1",
    );
    let row =
        |row: &str| format!("{{\"options\":[\"a\",\"b\"],\n \"ballots\":[{{\"choices\":[0]}},\n  {row}]}}");
    check_refused(
        row(r#"{"ranking":[2]}"#),
        "line 3, column 3: there is no option 2; expected an index from 0 to 1",
    );
    check_refused(
        row(r#"{"ranking":[-1]}"#),
        "line 3, column 16: invalid type: integer `-1`, expected an option's index, a list of indexes, null or \"overvote\"",
    );
    check_refused(
        row(r#"{"count":-3,"choices":[]}"#),
        "line 3, column 13: invalid value: integer `-3`, expected u64",
    );
    check_refused(
        row(r#"{"count":2}"#),
        "line 3, column 3: expected one of ranking, choices, scores and votes in a row",
    );
    check_refused(
        row(r#"{"weight":"x","choices":[]}"#),
        "line 3, column 13: a weight is a decimal number above 0 and up to 1000000000 with at most 6 places after the point",
    );
    check_refused(row(r#"{"choices":[0}"#), "line 3, column 16: expected `,` or `]`");
    check_refused(
        row(&format!("{{\"ranking\":{}}}", "[".repeat(100_000))),
        "line 3, column 100014: expected value",
    );
    check_refused(b"{\"options\":[\"\xE9\"]}", "line 1, column 14: this is not UTF-8, as JSON is");
    check_refused(
        "{\"options\":[\"a\"],\"pairwise_input\":[[0,1]]}",
        "line 1, column 37: expected a matrix of 1 rows of 1 numbers of votes",
    );
}

/// A report with two contests, and records with snapshots, write-ins, an overvote and a skipped rank.
const RECORDS: &str = r#"{"@type":"CVR.CastVoteRecordReport","Election":[{"@id":"e",
 "Candidate":[{"@id":"a","Name":"Ann"},{"@id":"b","Name":"Bob"}],
 "Contest":[{"@id":"k","Name":"Mayor","VoteVariation":"rcv","NumberElected":1,"ContestSelection":[
   {"@id":"sa","CandidateIds":["a"]},{"@id":"sb","CandidateIds":["b"]},{"@id":"w","IsWriteIn":true}]},
  {"@id":"m","Name":"Park?","VoteVariation":"plurality","ContestSelection":[{"@id":"y","Selection":"Yes"}]}]}],
 "CVR":[{"CurrentSnapshotId":"2","CVRSnapshot":[{"@id":"1","CVRContest":[]},{"@id":"2","CVRContest":[
   {"ContestId":"k","CVRContestSelection":[
    {"ContestSelectionId":"sa","SelectionPosition":[{"HasIndication":"yes","Rank":1},{"HasIndication":"no","Rank":2}]},
    {"ContestSelectionId":"sb","Rank":1,"SelectionPosition":[{"HasIndication":"yes"}]},
    {"ContestSelectionId":"w","Rank":3,"SelectionPosition":[{"HasIndication":"yes"},{"HasIndication":"yes","IsAllocable":"no","Rank":4}]}]},
   {"ContestId":"m","CVRContestSelection":[{"ContestSelectionId":"y","SelectionPosition":[{"HasIndication":"yes"}]}]}]}]},
  {"CVRSnapshot":[{"CVRContest":[{"ContestId":"k"}]}]}]}"#;

#[test]
fn cast_vote_records_are_read_contest_by_contest() {
    let read = |contest| Election::read_contest(RECORDS.as_bytes(), contest);
    let mayor = "CastVoteRecords Mayor | Ann, Bob, Undeclared Write-ins | seats Some(1) | undeclared_write_ins \"Undeclared Write-ins\"\n1 x 1: 0=1>->2\n1 x 1: ";
    assert_eq!(told(&read(Some("Mayor")).unwrap()), mayor);
    assert_eq!(
        told(&read(Some("m")).unwrap()),
        "CastVoteRecords Park? | Yes | seats None\n1 x 1: Choices([0])"
    );
    let refused = |contest| read(contest).unwrap_err().to_string();
    assert_eq!(
        refused(None),
        "line 1, column 1: the report has several contests; name one of \"Mayor\", \"Park?\""
    );
    assert_eq!(
        refused(Some("x")),
        "line 1, column 1: no contest is called \"x\"; there are \"Mayor\", \"Park?\""
    );
    check_refused(
        RECORDS.replace("\"@id\":\"m\",", "\"@id\":\"k\","),
        "line 1, column 1: the report has several contests; name one of \"Mayor\", \"Park?\"",
    );
    let lost = RECORDS.replace("\"CurrentSnapshotId\":\"2\"", "\"CurrentSnapshotId\":\"9\"");
    let error = Election::read_contest(lost.as_bytes(), Some("k")).unwrap_err().to_string();
    assert_eq!(error, "line 6, column 9: the current snapshot \"9\" is not there");
}

/// What an election is, written as each format that can hold it and read again; why the others cannot.
#[track_caller]
fn check_written(file: &str, cannot: &[&str]) {
    let election = Election::read(file.as_bytes()).unwrap();
    let mut refused = Vec::new();
    for format in [Written::Json, Written::Blt, Written::Abif] {
        match election.write(format) {
            Ok(text) => {
                let again = Election::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
                let marks = |election: &Election| -> Vec<_> {
                    let rows = election.rows.iter();
                    rows.map(|row| (row.ballot.clone(), row.total())).collect()
                };
                assert_eq!((&again.title, &again.options), (&election.title, &election.options), "{text}");
                assert_eq!(marks(&again), marks(&election), "{text}");
            }
            Err(error) => refused.push(error.to_string()),
        }
    }
    assert_eq!(refused, cannot);
}

#[test]
fn what_is_written_is_read_alike() {
    check_written("2 1\n1 1 0\n0\n\"\"\"A\"\" b\"\nB\nT\n", &[]);
    check_written(
        "# c\n{max_rating: 1}\n{title: \"t\"}\n=A:[A]\n=B:[B]\n2:A/1=B/1\n1:A/0\n",
        &["BLT cannot hold several choices on a ballot; the election JSON can"],
    );
    check_written(BLT, &[]);
    check_written(
        "3 1\n1.5 1 - 2 0\n0\n\"A \"\"x\"\"\"\nB\nC\nT\n",
        &["ABIF cannot hold weights that are not whole; the election JSON can"],
    );
    check_written(
        "3 1\n1 1 - 2 0\n0\nA\nB\nC\nT\n",
        &["ABIF cannot hold a skipped rank; the election JSON can"],
    );
    check_written(
        r#"{"title":"t","method":"approval","options":["a","b"],"ballots":[{"choices":[0,1]},{"choices":[]}]}"#,
        &["BLT cannot hold several choices on a ballot; the election JSON can"],
    );
    check_written(
        r#"{"title":"t","options":["a","b"],"ballots":[{"votes":[3,-1]}]}"#,
        &[
            "BLT cannot hold dots or bought votes; the election JSON can",
            "ABIF cannot hold dots or bought votes; the election JSON can",
        ],
    );
}

/// Every truncation of a file and every flip of one of its bits is read or refused, and what is read is counted.
#[track_caller]
fn check_damaged(file: &str) {
    let bytes = file.as_bytes();
    let truncated = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        damaged
    });
    for damaged in truncated.chain(flipped) {
        let Ok(election) = Election::read(&damaged) else { continue };
        if let Ok(instructions) = election.instructions(None, &Rules::default()) {
            let seats = election.seats.unwrap_or(1);
            assert!(election.count(&instructions, seats).is_ok_and(|count| count.winners.len() <= seats));
        }
        let written = election.write(Written::Json).unwrap();
        assert!(election.pairwise.is_some() || Election::read(written.as_bytes()).is_ok(), "{written}");
    }
}

#[test]
fn damaged_files_harm_nobody() {
    check_damaged(BLT);
    check_damaged(RECORDS);
    check_damaged("{title: \"x\"}\n=A:[Ann]\n27: A/5, B/2\n26: B>A=[C c]\n10:\n");
    check_damaged(
        "# DATA TYPE: toc\n# NUMBER ALTERNATIVES: 2\n# ALTERNATIVE NAME 1: a\n2: 1,{2}\n1: {1,2}\n",
    );
    check_damaged("2\n1,Ann\n2,Bo\n5,5,2\n3,1,2\n2,{1,2}\n");
    check_damaged(
        r#"{"method":"irv","rules":{"overvote":"exhaust_immediately","max_rankings":3,"tie_break":"random"},"seats":1,"options":["a","b"],"ballots":[{"count":3,"ranking":[0,null,[0,1]]},{"ranking":["overvote"],"weight":"0.5"}]}"#,
    );
}
