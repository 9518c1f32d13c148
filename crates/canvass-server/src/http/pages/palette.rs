//! The colours of the style sheet, and how well each can be told from what it stands on (WCAG 2.2, 1.4.3 and 1.4.11).
//!
//! They are read from the style sheet itself, so that what is measured is what is shown.

use std::collections::BTreeMap;

const STYLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/canvass.css"));

/// The colours by name, for one scheme.
pub(super) struct Palette {
    pub(super) name: &'static str,
    colours: BTreeMap<&'static str, &'static str>,
}

/// Two colours that touch.
pub(super) struct Pair {
    pub(super) name: &'static str,
    pub(super) ground: &'static str,
    /// What the pair is for.
    pub(super) purpose: &'static str,
    /// The least contrast that its purpose allows.
    pub(super) least: f64,
}

/// Every pair that pages show.
pub(super) const PAIRS: [Pair; 10] = [
    pair("ink", "ground", "text", 7.0),
    pair("ink", "raised", "text on a card", 7.0),
    pair("soft", "ground", "text beside the point", 4.5),
    pair("soft", "raised", "text beside the point, on a card", 4.5),
    pair("mark", "ground", "links, bars, what is chosen", 4.5),
    pair("mark", "raised", "the same on a card", 4.5),
    pair("on-mark", "mark", "a button's text", 4.5),
    pair("warn", "raised", "a warning", 4.5),
    pair("warn", "ground", "a button that takes something back", 4.5),
    pair("mark", "track", "a bar on its track", 3.0),
];

const fn pair(name: &'static str, ground: &'static str, purpose: &'static str, least: f64) -> Pair {
    Pair { name, ground, purpose, least }
}

/// The light palette and the dark one.
pub(super) fn palettes() -> [Palette; 2] {
    let mut roots = STYLE.split(":root{").skip(1).map(|rest| rest.split('}').next().unwrap_or_default());
    let mut next = |name| Palette { name, colours: roots.next().map(colours).unwrap_or_default() };
    [next("light"), next("dark")]
}

fn colours(declarations: &'static str) -> BTreeMap<&'static str, &'static str> {
    let pairs = declarations.split(';').filter_map(|declaration| declaration.trim().split_once(':'));
    pairs.filter_map(|(name, value)| Some((name.strip_prefix("--")?, value))).collect()
}

impl Palette {
    /// A colour as the style sheet writes it.
    pub(super) fn colour(&self, name: &str) -> &'static str {
        self.colours.get(name).copied().unwrap_or_default()
    }

    /// The contrast of a pair: 1 for equal colours, 21 for black on white.
    pub(super) fn contrast(&self, pair: &Pair) -> f64 {
        let [one, other] = [pair.name, pair.ground].map(|name| luminance(self.colour(name)));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }
}

/// Relative luminance, as WCAG 2.2 defines it.
fn luminance(colour: &str) -> f64 {
    let digits = colour.trim_start_matches('#');
    let step = digits.len() / 3;
    let channel = |place: usize| {
        let text = digits.get(place * step..(place + 1) * step).unwrap_or_default();
        let doubled = if step == 1 { text.repeat(2) } else { text.to_owned() };
        let value = f64::from(u8::from_str_radix(&doubled, 16).unwrap_or_default()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_colours_has_the_contrast_that_its_purpose_needs() {
        for palette in palettes() {
            for pair in &PAIRS {
                let contrast = palette.contrast(pair);
                let Pair { name, ground, least, .. } = pair;
                assert!(contrast >= *least, "{name} on {ground} is {contrast:.2} in {}", palette.name);
            }
        }
    }

    /// Examples of the definition.
    #[test]
    fn contrast_is_what_wcag_says() {
        let palette = Palette {
            name: "",
            colours: [("a", "#fff"), ("b", "#000000"), ("c", "#777")].into_iter().collect(),
        };
        let contrast = |name, ground| palette.contrast(&pair(name, ground, "", 0.0));
        assert!((contrast("a", "b") - 21.0).abs() < 1e-9);
        assert!((contrast("a", "c") - 4.478).abs() < 1e-3);
        assert!((contrast("c", "c") - 1.0).abs() < 1e-9);
    }
}
