//! Samples, what they must reach, and the table that says whether they do.

use std::fmt::{self, Display};

/// Measurements of one kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }
}

impl Samples {
    /// The sample that `share` of all (0 to 1) do not exceed; `None` without samples.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        self.0.get((share * last as f64).ceil() as usize).copied()
    }

    /// The middle.
    pub(crate) fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// The largest.
    pub(crate) fn most(&self) -> Option<f64> {
        self.quantile(1.0)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// What a figure is counted in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Milliseconds.
    Millis,
    /// Times as much.
    Ratio,
    /// Things.
    Count,
    /// MiB.
    Mebibytes,
}

impl Unit {
    fn show(self, figure: Option<f64>) -> String {
        let Some(figure) = figure else { return "none".to_owned() };
        match self {
            Self::Millis if figure < 10.0 => format!("{figure:.1} ms"),
            Self::Millis => format!("{figure:.0} ms"),
            Self::Ratio => format!("{figure:.2} ×"),
            Self::Count => format!("{figure:.0}"),
            Self::Mebibytes => format!("{figure:.1} MiB"),
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    median: String,
    p95: String,
    samples: usize,
    must: String,
    holds: Option<bool>,
}

impl Row {
    /// The median may be at most `limit`.
    pub(crate) fn median_within(what: &str, samples: &Samples, unit: Unit, limit: f64) -> Self {
        let holds = samples.median().is_some_and(|median| median <= limit);
        let must = format!("median ≤ {}", unit.show(Some(limit)));
        Self { must, holds: Some(holds), ..Self::shown(what, samples, unit) }
    }

    /// The median and the 95th percentile may be at most `limits`.
    pub(crate) fn within(what: &str, samples: &Samples, unit: Unit, limits: (f64, f64)) -> Self {
        let within = |share, limit| samples.quantile(share).is_some_and(|figure| figure <= limit);
        let (median, p95) = limits;
        let must = format!("median ≤ {}, p95 ≤ {}", unit.show(Some(median)), unit.show(Some(p95)));
        let holds = within(0.5, median) && within(0.95, p95);
        Self { must, holds: Some(holds), ..Self::shown(what, samples, unit) }
    }

    /// Every sample may be at most `limit`.
    pub(crate) fn all_within(what: &str, samples: &Samples, unit: Unit, limit: f64) -> Self {
        let holds = samples.most().is_some_and(|most| most <= limit);
        let must = format!("each ≤ {}", unit.show(Some(limit)));
        Self { must, holds: Some(holds), ..Self::shown(what, samples, unit) }
    }

    /// Every sample must be `value`.
    pub(crate) fn all_equal(what: &str, samples: &Samples, unit: Unit, value: f64) -> Self {
        let equal = |figure: Option<f64>| figure.is_some_and(|figure| (figure - value).abs() < 1e-9);
        let holds = equal(samples.quantile(0.0)) && equal(samples.most());
        let must = format!("each {}", unit.show(Some(value)));
        Self { must, holds: Some(holds), ..Self::shown(what, samples, unit) }
    }

    /// For scale: nothing is promised.
    pub(crate) fn shown(what: &str, samples: &Samples, unit: Unit) -> Self {
        Self {
            what: what.to_owned(),
            median: unit.show(samples.median()),
            p95: unit.show(samples.quantile(0.95)),
            samples: samples.count(),
            must: String::new(),
            holds: None,
        }
    }

    /// For scale, in words: nothing is promised.
    pub(crate) fn told(what: &str, found: impl Display) -> Self {
        Self { holds: None, ..Self::stated(what, found, "", true) }
    }

    /// A statement that holds or does not.
    pub(crate) fn stated(what: &str, found: impl Display, must: &str, holds: bool) -> Self {
        Self {
            what: what.to_owned(),
            median: found.to_string(),
            p95: String::new(),
            samples: 1,
            must: must.to_owned(),
            holds: Some(holds),
        }
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, median, p95, samples, must, .. } = self;
        let holds = match self.holds {
            None => "",
            Some(true) => "yes",
            Some(false) => "**no**",
        };
        write!(f, "| {what} | {median} | {p95} | {samples} | {must} | {holds} |")
    }
}

/// The rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = "| what | median | p95 | samples | must reach | does |\n| --- | --- | --- | --- | --- | --- |";
    let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    format!("{head}\n{}", lines.join("\n"))
}
