//! Runs of letters: what of spelling, endings and small words a voice has of its own.

use std::collections::HashMap;

/// How often each run of `N` letters stands in some texts.
#[derive(Debug, Clone)]
pub(super) struct Grams<const N: usize> {
    counts: HashMap<[char; N], f64>,
    total: f64,
}

impl<const N: usize> Default for Grams<N> {
    fn default() -> Self {
        Self { counts: HashMap::new(), total: 0.0 }
    }
}

/// Added to each count: a run that was not seen is rare, not impossible.
const UNSEEN: f64 = 0.5;

impl<const N: usize> Grams<N> {
    /// Of texts whose white space counts as one blank, with one at either end.
    pub(super) fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut grams = Self::default();
        for text in texts {
            let mut letters = vec![' '];
            for word in text.split_whitespace() {
                letters.extend(word.chars());
                letters.push(' ');
            }
            for run in letters.array_windows() {
                *grams.counts.entry(*run).or_insert(0.0) += 1.0;
                grams.total += 1.0;
            }
        }
        grams
    }

    /// Without the runs of another, which was counted in.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for (run, count) in &other.counts {
            if let Some(left) = rest.counts.get_mut(run) {
                *left -= count;
            }
        }
        rest.counts.retain(|_, count| *count > 0.0);
        rest.total -= other.total;
        rest
    }

    /// Cosine of the square roots of the counts, 0 to 1.
    pub(super) fn likeness(&self, other: &Self) -> f64 {
        let shared: f64 = self
            .counts
            .iter()
            .filter_map(|(run, count)| other.counts.get(run).map(|theirs| (count * theirs).sqrt()))
            .sum();
        let norm = (self.total * other.total).sqrt();
        if norm > 0.0 { shared / norm } else { 0.0 }
    }

    /// How much likelier these runs are under `own` than under `any`: the mean of the logarithms, where `kinds` different
    /// runs are to be reckoned with.
    pub(super) fn likelier(&self, own: &Self, any: &Self, kinds: f64) -> f64 {
        let chance = |of: &Self, run: &[char; N]| {
            (of.counts.get(run).unwrap_or(&0.0) + UNSEEN) / (of.total + UNSEEN * kinds)
        };
        let sum: f64 =
            self.counts.iter().map(|(run, count)| count * (chance(own, run) / chance(any, run)).ln()).sum();
        if self.total > 0.0 { sum / self.total } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_spelling_is_near() {
        let own = Grams::<3>::of(["i hab koa zeit", "des is a schmarrn"]);
        let any = Grams::<3>::of(["ich habe keine zeit", "das ist unsinn"]);
        let reply = Grams::<3>::of(["i hab an schmarrn"]);
        assert!(reply.likeness(&own) > reply.likeness(&any));
        assert!(reply.likelier(&own, &any, 3_000.0) > 0.0);
        assert!((own.likeness(&own) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn one_can_be_left_out() {
        let both = Grams::<2>::of(["abc", "xyz"]);
        let rest = both.without(&Grams::of(["xyz"]));
        assert!((rest.likeness(&Grams::of(["abc"])) - 1.0).abs() < 1e-9);
        assert!(Grams::<2>::of([""]).likeness(&both) < 1e-9);
    }
}
