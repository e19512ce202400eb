//! How far a reply is from the voice of its persona: where it lies between the persona's own lines and neutral assistant
//! prose, by meaning (embeddings), by spelling, by words and by style.

use std::collections::BTreeSet;

use super::{
    fitted::{self, STYLE_MEAN, STYLE_OWN, STYLE_SPREAD},
    grams::Grams,
    language,
    style::{MEASURES, Style},
    vectors::{Rows, direction, dot, mean},
};
use crate::{
    consistency::text::{fold, says, words},
    persona::Layers,
};

/// How many signals are weighed.
pub(super) const SIGNALS: usize = 5;
/// Different runs of two letters that a text is reckoned to choose from.
const KINDS_OF_TWO: f64 = 800.0;
/// A measure of style further off than this many deviations says no more.
const FAR: f64 = 3.0;

/// The signals of one reply, each larger the more it is in the voice: nearness of meaning, spelling beside prose's,
/// likelihood of letters, favoured words, style.
pub(super) type Signals = [f64; SIGNALS];

/// The voice of a persona's version.
#[derive(Debug)]
pub(super) struct Voice {
    lines: Vec<Line>,
    three: Grams<3>,
    two: Grams<2>,
    prose_three: Grams<3>,
    prose_two: Grams<2>,
    prose_words: BTreeSet<String>,
    favoured: BTreeSet<String>,
    style: Style,
    meaning: Option<Meaning>,
    never: Vec<String>,
    /// The weighed signals of its own lines, each measured against the others, and of prose.
    own: f64,
    any: f64,
}

#[derive(Debug)]
struct Line {
    three: Grams<3>,
    two: Grams<2>,
    words: BTreeSet<String>,
    style: Style,
}

#[derive(Debug)]
struct Meaning {
    centre: Vec<f64>,
    /// From the centre to the middle of the lines.
    own: Vec<f64>,
    lines: Vec<Vec<f64>>,
    prose: Vec<Vec<f64>>,
}

/// A text, taken apart once.
struct Text<'a> {
    line: &'a Line,
    vector: Option<&'a [f64]>,
}

impl Line {
    fn of(text: &str) -> Self {
        Self {
            three: Grams::of([lowered(text).as_str()]),
            two: Grams::of([text]),
            words: words(&fold(text)).map(str::to_owned).collect(),
            style: Style::of(text),
        }
    }
}

fn lowered(text: &str) -> String {
    text.to_lowercase().replace('’', "'")
}

/// The lines that a voice is known by.
pub(super) fn lines(layers: &Layers) -> Vec<&str> {
    let samples = layers.voice.samples.iter().map(|sample| sample.line.as_str());
    samples.chain([layers.voice.greeting.as_str(), layers.boundaries.refusal_line.as_str()]).collect()
}

impl Voice {
    /// `vectors` are those of [`lines`] and of the language's prose, or none.
    pub(super) fn new(layers: &Layers, code: &str, vectors: Option<[Rows; 2]>) -> Self {
        let texts = lines(layers);
        let lines: Vec<Line> = texts.iter().map(|text| Line::of(text)).collect();
        let prose: Vec<Line> = language::prose(code).iter().map(|text| Line::of(text)).collect();
        let prose_words: BTreeSet<String> = prose.iter().flat_map(|line| line.words.clone()).collect();
        let phrases = layers.voice.catchphrases.iter().chain(&layers.voice.vocabulary);
        let favoured = phrases.flat_map(|phrase| words(&fold(phrase)).map(str::to_owned).collect::<Vec<_>>());
        let favoured = favoured.filter(|word| !prose_words.contains(word)).collect();
        let lower = |texts: &[&str]| texts.iter().map(|text| lowered(text)).collect::<Vec<_>>();
        let own_texts: Vec<&str> =
            texts.iter().copied().chain(layers.voice.catchphrases.iter().map(String::as_str)).collect();
        let prose_texts: Vec<&str> = language::prose(code).iter().map(String::as_str).collect();
        let styles: Vec<Style> = lines.iter().map(|line| line.style).collect();
        let meaning = vectors.and_then(|[lines, prose]| {
            let centre = mean(&prose)?;
            Some(Meaning { own: direction(&centre, &mean(&lines)?), centre, lines, prose })
        });
        let mut voice = Self {
            three: Grams::of(lower(&own_texts).iter().map(String::as_str)),
            two: Grams::of(own_texts.iter().copied()),
            prose_three: Grams::of(lower(&prose_texts).iter().map(String::as_str)),
            prose_two: Grams::of(prose_texts),
            prose_words,
            favoured,
            style: Style::mean(&styles),
            meaning,
            never: layers.voice.never_says.iter().map(|phrase| fold(phrase)).collect(),
            own: 0.0,
            any: 0.0,
            lines,
        };
        (voice.own, voice.any) = voice.levels(&prose);
        voice
    }

    /// 0 as its own lines, 1 as prose; and the phrase of `never_says` that the reply uses, if it does.
    pub(super) fn distance(&self, reply: &str, vector: Option<&[f64]>) -> (f64, Option<usize>) {
        let folded = fold(reply);
        let never = self.never.iter().position(|phrase| says(&folded, phrase));
        let distance = fitted::distance(self.level(reply, vector));
        (if never.is_some() { distance.max(fitted::NEVER_SAID) } else { distance }, never)
    }

    /// Where a reply lies between the persona's own lines, each measured against the others (0), and prose (1).
    pub(super) fn level(&self, reply: &str, vector: Option<&[f64]>) -> f64 {
        let weighed = self.weighed(&self.signals(reply, vector), vector.is_some());
        (self.own - weighed) / (self.own - self.any).max(fitted::NARROWEST)
    }

    /// The measures of a reply's style, and of the persona's.
    pub(super) fn styles(&self, reply: &str) -> [Vec<f64>; 2] {
        [Style::of(reply).0.to_vec(), self.style.0.to_vec()]
    }

    /// The signals of a reply, for fitting and for reports.
    pub(super) fn signals(&self, reply: &str, vector: Option<&[f64]>) -> Signals {
        self.measured(&Text { line: &Line::of(reply), vector }, None)
    }

    fn weighed(&self, signals: &Signals, meaning: bool) -> f64 {
        let weights =
            if meaning && self.meaning.is_some() { &fitted::VOICE } else { &fitted::VOICE_WITHOUT_VECTORS };
        signals.iter().zip(weights).map(|(signal, weight)| signal * weight).sum()
    }

    /// `but` is the line of its own that is measured, and so must not count among the others.
    fn measured(&self, text: &Text<'_>, but: Option<usize>) -> Signals {
        let left =
            but.map(|at| (self.three.without(&self.lines[at].three), self.two.without(&self.lines[at].two)));
        let (three, two) = left.as_ref().map_or((&self.three, &self.two), |(three, two)| (three, two));
        [
            self.near(text, but),
            text.line.three.likeness(three) - text.line.three.likeness(&self.prose_three),
            text.line.two.likelier(two, &self.prose_two, KINDS_OF_TWO),
            self.words(text, but),
            self.styled(text, but),
        ]
    }

    fn near(&self, text: &Text<'_>, but: Option<usize>) -> f64 {
        let (Some(meaning), Some(vector)) = (&self.meaning, text.vector) else { return 0.0 };
        let reply = direction(&meaning.centre, vector);
        let Some(but) = but else { return dot(&reply, &meaning.own) };
        let mut others = meaning.lines.clone();
        others.remove(but);
        mean(&others).map_or(0.0, |own| dot(&reply, &direction(&meaning.centre, &own)))
    }

    fn words(&self, text: &Text<'_>, but: Option<usize>) -> f64 {
        let said = |word: &String| {
            let others = (0..).zip(&self.lines).filter(|(at, _)| Some(*at) != but);
            !self.prose_words.contains(word)
                && (self.favoured.contains(word)
                    || others.into_iter().any(|(_, line)| line.words.contains(word)))
        };
        let words = &text.line.words;
        words.iter().filter(|word| said(word)).count() as f64 / ((words.len() + 1) as f64).sqrt()
    }

    /// How much nearer the style is to the persona's than people's styles are to each other.
    fn styled(&self, text: &Text<'_>, but: Option<usize>) -> f64 {
        let own = match but {
            Some(at) => {
                let others: Vec<Style> = (0..)
                    .zip(&self.lines)
                    .filter(|(line, _)| *line != at)
                    .map(|(_, line)| line.style)
                    .collect();
                Style::mean(&others)
            }
            None => self.style,
        };
        (0..MEASURES)
            .map(|at| {
                let value = text.line.style.0[at];
                let far = |mean: f64, spread: f64| ((value - mean) / spread).abs().min(FAR).powi(2);
                far(STYLE_MEAN[at], STYLE_SPREAD[at]) - far(own.0[at], STYLE_OWN[at])
            })
            .sum::<f64>()
            / MEASURES as f64
    }

    fn levels(&self, prose: &[Line]) -> (f64, f64) {
        let vectors = |of: fn(&Meaning) -> &Vec<Vec<f64>>, at: usize| {
            self.meaning.as_ref().and_then(|meaning| of(meaning).get(at)).map(Vec::as_slice)
        };
        let own = self.lines.iter().enumerate().map(|(at, line)| {
            let vector = vectors(|meaning| &meaning.lines, at);
            self.weighed(&self.measured(&Text { line, vector }, Some(at)), vector.is_some())
        });
        let any = prose.iter().enumerate().map(|(at, line)| {
            let vector = vectors(|meaning| &meaning.prose, at);
            self.weighed(&self.measured(&Text { line, vector }, None), vector.is_some())
        });
        (average(own), average(any))
    }
}

fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}
