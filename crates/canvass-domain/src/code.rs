//! One-time codes: made in lots, shown once, kept only as hashes.
//!
//! In a poll with codes the code *is* the voter: the voter's id is derived from it, so the rule that a voter votes
//! once uses the code up in the same commit as the vote.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::identifier::{PollId, VoterId};

/// A code's hash: SHA-256 over the poll's id, a zero byte and the code, cut to 16 bytes. Codes carry 80 random bits,
/// so the hash cannot be turned back by guessing.
pub type CodeHash = [u8; 16];

/// Letters and digits that cannot be taken for one another (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a code, 5 random bits each.
const CODE_CHARACTERS: usize = 16;

/// The code for 10 random bytes, in groups of four: `7K2M-Q9DF-…`.
pub fn code_from_random(random: [u8; 10]) -> String {
    let bits = random.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let mut code = String::with_capacity(CODE_CHARACTERS + 3);
    for place in 0..CODE_CHARACTERS {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        let index = (bits >> (5 * (CODE_CHARACTERS - 1 - place))) & 31;
        code.push(char::from(ALPHABET[usize::try_from(index).unwrap_or(0)]));
    }
    code
}

/// The hash of a code as somebody typed it: case, spaces and dashes do not matter, and letters that look like digits
/// are read as those.
pub fn hash_code(poll: &PollId, typed: &str) -> CodeHash {
    let mut hasher = Sha256::new();
    hasher.update(poll.as_str());
    hasher.update([0]);
    for character in typed.chars().filter(|character| !matches!(character, ' ' | '-')) {
        let read = match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        hasher.update(read.encode_utf8(&mut [0; 4]).as_bytes());
    }
    let mut hash = [0; 16];
    hash.copy_from_slice(&hasher.finalize()[..16]);
    hash
}

/// The voter that a code stands for. It cannot be turned back into the code.
pub fn voter_of_code(code: &CodeHash) -> VoterId {
    use std::fmt::Write as _;
    let mut text = String::from("code-");
    for byte in code {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.parse().expect("lower-case hexadecimal digits make a voter's id")
}

/// The codes of one poll: sorted lots of hashes, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    lots: Vec<Arc<[CodeHash]>>,
}

impl Codes {
    /// Adds a lot.
    pub fn add(&mut self, mut lot: Vec<CodeHash>) {
        lot.sort_unstable();
        self.lots.push(lot.into());
    }

    /// Whether a code is one of these.
    pub fn contains(&self, code: &CodeHash) -> bool {
        self.lots.iter().any(|lot| lot.binary_search(code).is_ok())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lots.iter().map(|lot| lot.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lots.is_empty()
    }

    /// The lots, each sorted.
    pub fn lots(&self) -> &[Arc<[CodeHash]>] {
        &self.lots
    }
}
