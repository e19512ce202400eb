//! How a text is written, whatever it is about, in any script: ratios and means, so that short texts and long compare.

use crate::persona::fingerprint::{sentences, words};

/// How many measures a style has.
pub(super) const MEASURES: usize = 12;

/// The measures of a text. Shares are square roots: the step from none to some weighs more than from some to more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style(pub [f64; MEASURES]);

impl Style {
    pub(super) fn of(text: &str) -> Self {
        let sentences: Vec<&str> = sentences(text)
            .into_iter()
            .map(str::trim)
            .filter(|one| one.contains(char::is_alphanumeric))
            .collect();
        let words: Vec<&str> = sentences.iter().flat_map(|sentence| words(sentence)).collect();
        let (said, counted) = (sentences.len().max(1) as f64, words.len().max(1) as f64);
        let marks = |wanted: &[char]| text.chars().filter(|c| wanted.contains(c)).count() as f64;
        let ends = |wanted: &[char]| {
            let end = |one: &&&str| one.chars().rev().take(3).any(|c| wanted.contains(&c));
            sentences.iter().filter(end).count() as f64
        };
        let trails = sentences.iter().filter(|one| one.ends_with('…') || one.ends_with("...")).count() as f64;
        let small_start =
            sentences.iter().filter(|one| one.chars().next().is_some_and(char::is_lowercase)).count() as f64;
        let letters: usize = words.iter().map(|word| word.chars().count()).sum();
        let elided = words.iter().filter(|word| word.contains(['\'', '’'])).count() as f64;
        let short = words.iter().filter(|word| word.chars().count() <= 3).count() as f64;
        let tall =
            words.iter().filter(|word| word.chars().next().is_some_and(char::is_uppercase)).count() as f64;
        let closed =
            text.trim_end().ends_with(['.', '!', '?', '…', '"', '”', '»', '。', '！', '？', '।', '؟']);
        Self([
            (counted / said).ln(),
            (marks(&[',', '，', '、', '،']) / counted).sqrt(),
            (marks(&[';', ':', '—', '–', '(', '：', '；', '（']) / counted).sqrt(),
            (ends(&['!', '！']) / said).sqrt(),
            (ends(&['?', '？', '؟']) / said).sqrt(),
            (trails / said).sqrt(),
            small_start / said,
            f64::from(u8::from(closed)),
            letters as f64 / counted,
            (elided / counted).sqrt(),
            (short / counted).sqrt(),
            (tall / counted).sqrt(),
        ])
    }

    /// The mean of several.
    pub(super) fn mean(styles: &[Self]) -> Self {
        let count = styles.len().max(1) as f64;
        Self(std::array::from_fn(|at| styles.iter().map(|style| style.0[at]).sum::<f64>() / count))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_style_tells_how_and_not_what() {
        let (loud, quiet) = (Style::of("No! Never! Not me!"), Style::of("perhaps, one day, we might"));
        assert!(loud.0[3] > quiet.0[3] && loud.0[0] < quiet.0[0]);
        assert!((quiet.0[6] - 1.0).abs() < 1e-9 && quiet.0[7] == 0.0);
        assert_eq!(Style::of("I like red wine."), Style::of("I hate old dogs."));
    }

    proptest! {
        #[test]
        fn any_text_has_a_finite_style(text: String) {
            prop_assert!(Style::of(&text).0.iter().all(|measure| measure.is_finite()));
        }
    }
}
