//! Ages against the timeline: no moment lies beyond the persona's age or before birth, the timeline runs
//! forward, and where years are given they fit the age now.

use super::{Rule, Terms, Violation, text::quoted};
use crate::persona::{Layer, Layers, Moment};

/// How far a year may be off: birthdays fall within a year, at both ends.
const SLACK: i32 = 1;

/// Where no birth lies: a persona whose every year is further from now lives in another time, whether or
/// not the brief says so.
const LIFETIME: i32 = 150;

pub(super) fn check(layers: &Layers, terms: &Terms<'_>) -> Vec<Violation> {
    let calendar = Calendar::of(layers, terms);
    let timeline = &layers.history.timeline;
    let mut violations: Vec<Violation> = timeline
        .iter()
        .enumerate()
        .filter_map(|(at, moment)| {
            impossible(layers, at, moment).or_else(|| calendar.misplaced(layers, at, moment))
        })
        .collect();
    // What cannot be at all need not be told to be out of place too.
    if violations.is_empty() {
        violations.extend(out_of_order(layers, calendar));
    }
    violations
}

/// The year of birth that the moments with both an age and a year imply: the middle one of what they say,
/// so that one wrong year does not decide, nor does their order.
pub(super) fn implied_birth(timeline: &[Moment]) -> Option<i32> {
    let implied = |moment: &Moment| Some(moment.year? - i32::from(moment.age?));
    let mut births: Vec<i32> = timeline.iter().filter_map(implied).collect();
    births.sort_unstable();
    births.get(births.len() / 2).copied()
}

/// An age beyond the persona's own.
fn impossible(layers: &Layers, at: usize, moment: &Moment) -> Option<Violation> {
    let now = layers.identity.age;
    let then = moment.age.filter(|then| *then > now)?;
    Some(conflict(
        format!("/history/timeline/{at}/age"),
        Some("/identity/age"),
        format!(
            "/history/timeline/{at}/age is {then} ({}), but /identity/age is {now}.",
            quoted(&moment.event)
        ),
    ))
}

/// How years and ages relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calendar {
    /// The persona lives now: age and year determine each other.
    Present {
        /// The year of birth, give or take [`SLACK`].
        birth: i32,
        /// The current year.
        now: i32,
    },
    /// The persona lives in another time, and moments with both an age and a year tell when.
    Elsewhere {
        /// The year of birth that those moments imply.
        birth: i32,
    },
    /// Years and ages cannot be related.
    Unknown,
}

impl Calendar {
    pub(super) fn of(layers: &Layers, terms: &Terms<'_>) -> Self {
        let timeline = &layers.history.timeline;
        let far = |year: i32| (terms.now_year - year).abs() > LIFETIME;
        let mut years = timeline.iter().filter_map(|moment| moment.year).peekable();
        let elsewhere = terms.facts.other_time || (years.peek().is_some() && years.all(far));
        if !elsewhere {
            return Self::Present {
                birth: terms.now_year - i32::from(layers.identity.age),
                now: terms.now_year,
            };
        }
        implied_birth(timeline).map_or(Self::Unknown, |birth| Self::Elsewhere { birth })
    }

    pub(super) const fn birth(self) -> Option<i32> {
        match self {
            Self::Present { birth, .. } | Self::Elsewhere { birth } => Some(birth),
            Self::Unknown => None,
        }
    }

    /// The age at a moment, told or computed from its year.
    pub(super) fn age_at(self, moment: &Moment) -> Option<i32> {
        moment.age.map(i32::from).or_else(|| Some(moment.year? - self.birth()?))
    }

    fn misplaced(self, layers: &Layers, at: usize, moment: &Moment) -> Option<Violation> {
        let year = moment.year?;
        let birth = self.birth()?;
        let pointer = format!("/history/timeline/{at}/year");
        let event = quoted(&moment.event);
        let age = layers.identity.age;
        if let Self::Present { now, .. } = self
            && year > now + SLACK
        {
            return Some(conflict(
                pointer,
                None,
                format!("/history/timeline/{at}/year is {year} ({event}), which is after this year, {now}."),
            ));
        }
        if let Some(then) = moment.age {
            let expected = birth + i32::from(then);
            return ((year - expected).abs() > SLACK).then(|| {
                conflict(
                    pointer,
                    Some("/identity/age"),
                    format!(
                        "/history/timeline/{at}/year is {year} at age {then} ({event}), but with /identity/age {age} that \
                         year is about {expected}."
                    ),
                )
            });
        }
        (year < birth - SLACK).then(|| {
            conflict(
                pointer,
                Some("/identity/age"),
                format!(
                    "/history/timeline/{at}/year is {year} ({event}), which is before birth: /identity/age is {age}, so \
                     birth was about {birth}."
                ),
            )
        })
    }
}

/// The first moment that is earlier than the one before it.
fn out_of_order(layers: &Layers, calendar: Calendar) -> Option<Violation> {
    let timeline = &layers.history.timeline;
    timeline.windows(2).enumerate().find_map(|(before, pair)| {
        let (earlier, later) = (calendar.age_at(&pair[0])?, calendar.age_at(&pair[1])?);
        // A year tells an age only give or take a year.
        let computed = pair[0].age.is_none() || pair[1].age.is_none();
        let slack = if computed { SLACK } else { 0 };
        let at = before + 1;
        (later + slack < earlier).then(|| {
            conflict(
                format!("/history/timeline/{at}"),
                Some(&format!("/history/timeline/{before}")),
                format!(
                    "/history/timeline/{at} ({}, age {later}) comes before /history/timeline/{before} ({}, age {earlier}); \
                     the timeline runs earliest first.",
                    quoted(&pair[1].event),
                    quoted(&pair[0].event)
                ),
            )
        })
    })
}

fn conflict(pointer: String, other: Option<&str>, message: String) -> Violation {
    Violation {
        check: Rule::AgesFitTimeline,
        pointer,
        other: other.map(str::to_owned),
        message,
        layers: vec![Layer::History],
    }
}
