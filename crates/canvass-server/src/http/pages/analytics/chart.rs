//! The picture of votes over time, drawn by the server: bars, of which each is a step.

use canvass_domain::{
    Timestamp,
    results::{TimelineRow, TimelineWidth},
};

use crate::http::pages::{escaped, put};

/// What a picture is measured in; it is stretched to the width of the page.
const WIDTH: i64 = 960;
const HEIGHT: i64 = 240;

/// Votes by step over a stretch of time.
pub(super) struct Chart {
    /// The second at which the first step begins.
    pub(super) from: i64,
    /// The second at which the last step ends.
    pub(super) to: i64,
    pub(super) step_seconds: i64,
    /// The most votes of a step; at least 1.
    pub(super) most: u64,
    bars: Vec<(i64, u64)>,
}

/// Seconds of a step.
pub(super) fn seconds(width: TimelineWidth) -> i64 {
    match width {
        TimelineWidth::Minute => 60,
        TimelineWidth::Hour => 3_600,
        TimelineWidth::Day => 86_400,
    }
}

impl Chart {
    /// The steps from one second to another, both moved to where a step begins.
    pub(super) fn new(steps: &[TimelineRow], width: TimelineWidth, from: i64, to: i64) -> Self {
        let step_seconds = seconds(width);
        let from = from.div_euclid(step_seconds) * step_seconds;
        let to = (to.max(from).div_euclid(step_seconds) + 1) * step_seconds;
        let bars: Vec<_> = steps
            .iter()
            .map(|step| (step.at.seconds(), step.votes))
            .filter(|(at, _)| (from..to).contains(at))
            .collect();
        let most = bars.iter().map(|(_, votes)| *votes).max().unwrap_or_default().max(1);
        Self { from, to, step_seconds, most, bars }
    }

    /// How many steps wide it is.
    pub(super) fn steps(&self) -> i64 {
        (self.to - self.from) / self.step_seconds
    }

    /// The bars and the lines behind them.
    pub(super) fn drawing(&self) -> String {
        let mut svg = String::new();
        for line in [0, HEIGHT / 2, HEIGHT] {
            put(&mut svg, format_args!("<path class=\"line\" d=\"M0 {line}H{WIDTH}\" stroke=\"#bbb\"/>"));
        }
        let steps = self.steps().max(1);
        for (at, votes) in &self.bars {
            let place = (at - self.from) / self.step_seconds;
            let (left, right) = (place * WIDTH * 10 / steps, (place + 1) * WIDTH * 10 / steps);
            // A gap between bars, unless they are too thin for one.
            let gap = if right - left > 40 { 10 } else { 0 };
            let height =
                i64::try_from(votes * 2_400 / self.most).unwrap_or(2_400).max(i64::from(*votes > 0) * 10);
            let (x, width) = (tenths(left), tenths((right - left - gap).max(5)));
            let (y, height) = (tenths(HEIGHT * 10 - height), tenths(height));
            put(
                &mut svg,
                format_args!(
                    "<rect class=\"step\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"#17624f\"/>"
                ),
            );
        }
        svg
    }

    /// The whole picture as a file, with its words in it.
    pub(super) fn file(&self, title: &str, most: &str) -> String {
        let (from, to) = (moment(self.from), moment(self.to));
        let (width, height, floor) = (WIDTH + 80, HEIGHT + 110, HEIGHT + 84);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"16\">\
            <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/><text x=\"60\" y=\"34\" font-size=\"22\" font-weight=\"650\">{}</text>\
            <text x=\"52\" y=\"66\" text-anchor=\"end\">{}</text><text x=\"52\" y=\"{}\" text-anchor=\"end\">0</text>\
            <g transform=\"translate(60 60)\">{}</g>\
            <text x=\"60\" y=\"{floor}\" dy=\"6\">{from}</text><text x=\"{}\" y=\"{floor}\" dy=\"6\" text-anchor=\"end\">{to}</text></svg>\n",
            escaped(title),
            escaped(most),
            HEIGHT + 64,
            self.drawing(),
            WIDTH + 60,
        )
    }
}

/// A moment as the words of a picture.
fn moment(second: i64) -> String {
    let text = Timestamp::default().plus_seconds(second).to_string();
    format!("{} {} UTC", text.get(..10).unwrap_or(&text), text.get(11..16).unwrap_or_default())
}

/// Tenths of a unit as a decimal.
fn tenths(number: i64) -> String {
    format!("{}.{}", number / 10, number % 10)
}
