//! A link as a QR code (ISO/IEC 18004), for a hall full of phones.

use std::fmt::Write as _;

use fast_qr::{ECL, QRBuilder};

/// Light modules around a code, which scanners need.
const QUIET: usize = 4;

/// The code as a drawing: one unit a module, with its quiet zone.
pub(super) struct QrCode {
    /// Modules on a side.
    pub(super) side: usize,
    /// The path of all dark modules.
    pub(super) path: String,
}

impl QrCode {
    /// None where the link is too long for any code.
    pub(super) fn of(link: &str) -> Option<Self> {
        let code = QRBuilder::new(link).ecl(ECL::M).build().ok()?;
        let mut path = String::new();
        for row in 0..code.size {
            let mut column = 0;
            while column < code.size {
                let run = (column..code.size).take_while(|column| code[row][*column].value()).count();
                if run > 0 {
                    // Writing to a string cannot fail.
                    let _ = write!(path, "M{} {}h{run}v1h-{run}z", column + QUIET, row + QUIET);
                }
                column += run.max(1);
            }
        }
        Some(Self { side: code.size + 2 * QUIET, path })
    }
}
