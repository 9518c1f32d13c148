//! Medians, ratios, and tables of them.

/// The middle one; of an even number the lower.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}

/// The median of a round's figure over the same round's other figure, with the lowest and the highest.
pub(super) fn ratio(over: &[f64], under: &[f64]) -> String {
    let ratios: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
    let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.2} ({lowest:.2} to {highest:.2})", median(&ratios))
}

/// A rate, rounded, with its thousands apart.
pub(super) fn rate(per_second: f64) -> String {
    let digits = format!("{per_second:.0}");
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Prints a table as Markdown.
pub(super) fn print(title: &str, header: &[&str], rows: &[Vec<String>]) {
    println!("## {title}\n");
    println!("| {} |", header.join(" | "));
    println!("|{}", "---|".repeat(header.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(figures: &[f64], expected: (&str, &str)) {
        assert_eq!((rate(median(figures)).as_str(), ratio(figures, &[2.0, 2.0, 2.0]).as_str()), expected);
    }

    #[test]
    fn figures_are_medians() {
        check(&[3.0, 1.0, 2.0], ("2", "1.00 (0.50 to 1.50)"));
        check(&[1_234_567.0, 4.0, 2_000_000.0], ("1,234,567", "617283.50 (2.00 to 1000000.00)"));
        check(&[1.0], ("1", "0.50 (0.50 to 0.50)"));
    }
}
