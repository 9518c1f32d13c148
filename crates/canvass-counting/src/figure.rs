//! A figure of a result: an exact fraction that prints as a decimal.
//!
//! Tallies of the rules here have at most fifteen places, but a mean or a shared point may have no end, and a result
//! may not hold a rounded number that looks exact. So a figure keeps the fraction and rounds only where it is printed.

use std::{cmp::Ordering, fmt};

use crate::{Total, WEIGHT_UNIT, wide};

/// The most places a decimal is printed with before it is rounded.
const PLACES_EXACT_MAX: u32 = 18;
/// The places printed of a fraction that has no end as a decimal, such as a mean of 37/3.
const PLACES_ROUNDED: u32 = 6;

/// An exact number of a result.
///
/// It prints as a decimal string: exactly where the decimal ends within 18 places, else rounded to 6 (halves away from
/// zero). Rules that write their figures with a fixed number of places print at least so many: `1913.00000`.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    numerator: i128,
    /// Above zero, and without a common divisor with the numerator.
    denominator: u128,
    places_min: u32,
}

impl Figure {
    /// Nothing.
    pub const ZERO: Self = Self { numerator: 0, denominator: 1, places_min: 0 };

    /// A fraction; the denominator is above zero.
    pub(crate) fn fraction(numerator: i128, denominator: u128) -> Self {
        // Most figures are whole, and one division is far less than the search for a divisor.
        if numerator.unsigned_abs().is_multiple_of(denominator) {
            let whole = i128::try_from(numerator.unsigned_abs() / denominator).unwrap_or(i128::MAX);
            return Self { numerator: whole * numerator.signum(), denominator: 1, places_min: 0 };
        }
        let divisor = greatest_common_divisor(numerator.unsigned_abs(), denominator);
        let signed = i128::try_from(divisor).expect("a divisor of a signed number's size is one");
        Self { numerator: numerator / signed, denominator: denominator / divisor, places_min: 0 }
    }

    /// A number of millionths of a vote, which is how weights are summed.
    pub(crate) fn millionths(millionths: i128) -> Self {
        Self::fraction(millionths, u128::from(WEIGHT_UNIT))
    }

    /// The same number, printed with at least so many places.
    pub(crate) fn with_places(self, places_min: u32) -> Self {
        Self { places_min, ..self }
    }

    /// The fraction in lowest terms: its numerator, and its denominator, which is above zero.
    pub fn as_fraction(self) -> (i128, u128) {
        (self.numerator, self.denominator)
    }
}

impl From<Total> for Figure {
    fn from(total: Total) -> Self {
        Self::millionths(total.signed_millionths())
    }
}

impl PartialEq for Figure {
    /// Equal as numbers, however many places are printed.
    fn eq(&self, other: &Self) -> bool {
        self.as_fraction() == other.as_fraction()
    }
}

impl Eq for Figure {}

impl PartialOrd for Figure {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Figure {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitude = |figure: &Self, by: u128| wide::multiply(figure.numerator.unsigned_abs(), by);
        match (self.numerator.signum(), other.numerator.signum()) {
            (-1, -1) => magnitude(other, self.denominator).cmp(&magnitude(self, other.denominator)),
            (1, 1) => magnitude(self, other.denominator).cmp(&magnitude(other, self.denominator)),
            (own, others) => own.cmp(&others),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.numerator.unsigned_abs();
        let (mut whole, rest) = (magnitude / self.denominator, magnitude % self.denominator);
        let mut digits = decimals(rest, self.denominator).unwrap_or_else(|| {
            let (carry, digits) = rounded_decimals(rest, self.denominator);
            whole += carry;
            digits
        });
        while digits.len() < self.places_min as usize {
            digits.push('0');
        }
        let sign = if self.numerator < 0 { "-" } else { "" };
        let point = if digits.is_empty() { "" } else { "." };
        formatter.pad(&format!("{sign}{whole}{point}{digits}"))
    }
}

/// The places of a fraction below one, where they end soon enough to print them all.
fn decimals(mut rest: u128, denominator: u128) -> Option<String> {
    let mut digits = String::new();
    for _ in 0..PLACES_EXACT_MAX {
        if rest == 0 {
            break;
        }
        digits.push(next_digit(&mut rest, denominator));
    }
    (rest == 0).then_some(digits)
}

/// The places of a fraction below one, rounded, and the whole one that rounding may carry over.
fn rounded_decimals(mut rest: u128, denominator: u128) -> (u128, String) {
    let mut value = 0u128;
    for _ in 0..PLACES_ROUNDED {
        value = value * 10 + u128::from(next_digit(&mut rest, denominator).to_digit(10).unwrap_or(0));
    }
    value += u128::from(rest >= denominator - rest);
    let unit = 10u128.pow(PLACES_ROUNDED);
    (value / unit, format!("{:0width$}", value % unit, width = PLACES_ROUNDED as usize))
}

/// Takes the next place of a fraction below one. Ten times the rest may not fit in 128 bits, so it is added up.
fn next_digit(rest: &mut u128, denominator: u128) -> char {
    let (digit, remainder) = wide::multiply_divide(*rest, 10, denominator).unwrap_or((0, 0));
    *rest = remainder;
    char::from(b'0' + u8::try_from(digit).unwrap_or(0))
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while a != 0 {
        (a, b) = (b % a, a);
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(numerator: i128, denominator: u128, places_min: u32, expected: &str) {
        assert_eq!(Figure::fraction(numerator, denominator).with_places(places_min).to_string(), expected);
    }

    #[test]
    fn a_decimal_that_ends_is_printed_whole() {
        check(0, 7, 0, "0");
        check(33, 2, 0, "16.5");
        check(-33, 2, 0, "-16.5");
        check(1_913, 1, 5, "1913.00000");
        check(1, 10i64.pow(15).try_into().unwrap(), 0, "0.000000000000001");
        check(i128::MAX, 1, 0, "170141183460469231731687303715884105727");
    }

    #[test]
    fn a_decimal_without_end_is_rounded() {
        check(37, 3, 0, "12.333333");
        check(38, 3, 0, "12.666667");
        check(2_999_999_999, 3_000_000_000, 0, "1.000000");
        check(-1, 3, 0, "-0.333333");
        check(1, u128::MAX, 0, "0.000000");
    }

    #[test]
    fn order_is_that_of_the_numbers() {
        let sorted = [(-7, 2), (-10, 3), (0, 9), (1, u128::MAX), (1, 3), (34, 100), (i128::MAX, 1)];
        let figures: Vec<_> = sorted.iter().map(|&(a, b)| Figure::fraction(a, b)).collect();
        assert!(figures.is_sorted_by(|a, b| a < b));
    }
}
