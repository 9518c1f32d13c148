//! The vote that benchmarks send: 80 bytes as a line of a batch, made by patching 16 digits into a text.

use crate::random::scatter;

/// Bytes of a vote's line, its end included.
pub(crate) const VOTE_BYTES: usize = 80;
/// The options that votes choose between.
pub(crate) const OPTIONS: [&str; 2] = ["option1", "option2"];

const LINE: &[u8; VOTE_BYTES] =
    b"{\"voterId\":\"0000000000000000-voter-of-the-bench\",\"ballot\":{\"choice\":\"option1\"}}\n";
const DIGITS_AT: usize = 12;
const DIGITS: usize = 16;

/// Whole requests, one vote each, for voters from a number on.
pub(crate) struct VoteRequests {
    request: Vec<u8>,
    digits_at: usize,
    next_voter: u64,
}

impl VoteRequests {
    /// Votes in a poll, by voters from `first_voter` on.
    pub(crate) fn new(poll: &str, key: &str, first_voter: u64) -> Self {
        let body = &LINE[..VOTE_BYTES - 1];
        let head = format!(
            "POST /v1/polls/{poll}/votes HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let digits_at = head.len() + DIGITS_AT;
        Self { request: [head.as_bytes(), body].concat(), digits_at, next_voter: first_voter }
    }

    /// Appends the next request.
    pub(crate) fn append(&mut self, into: &mut Vec<u8>) {
        write_voter(&mut self.request[self.digits_at..self.digits_at + DIGITS], self.next_voter);
        self.next_voter += 1;
        into.extend_from_slice(&self.request);
    }
}

/// Appends the lines of a batch, for voters of a range.
pub(crate) fn append_lines(into: &mut Vec<u8>, voters: std::ops::Range<u64>) {
    for voter in voters {
        let start = into.len();
        into.extend_from_slice(LINE);
        write_voter(&mut into[start + DIGITS_AT..start + DIGITS_AT + DIGITS], voter);
    }
}

/// A voter's number as hexadecimal digits without order, so that no store profits from voters that come sorted.
fn write_voter(digits: &mut [u8], voter: u64) {
    let mut scattered = scatter(voter);
    for digit in digits {
        *digit = b"0123456789abcdef"[(scattered >> 60) as usize];
        scattered <<= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_of_the_batch_with_a_head() {
        let (mut request, mut lines) = (Vec::new(), Vec::new());
        VoteRequests::new("bench", "key", 7).append(&mut request);
        append_lines(&mut lines, 7..9);
        let body = request.split(|byte| *byte == b'\n').next_back().expect("a body");
        assert_eq!(String::from_utf8_lossy(body), String::from_utf8_lossy(&lines[..VOTE_BYTES - 1]));
        assert_ne!(lines[..VOTE_BYTES], lines[VOTE_BYTES..], "two voters");
    }
}
