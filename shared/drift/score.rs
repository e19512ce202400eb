//! The local signals.

use super::{Drift, Method, Scored};
use crate::persona::{Fingerprint, Layers};

/// What replies of one persona's version are measured by.
#[derive(Debug)]
pub struct Yardstick {
    fingerprint: Fingerprint,
    samples: Vec<Vec<f32>>,
    language: String,
}

/// A reply and what it answers.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// What the persona said.
    pub reply: &'a str,
    /// Its vector, of the same model as the samples'.
    pub vector: Option<&'a [f32]>,
    /// What it answers.
    pub message: &'a str,
    /// The vector of that.
    pub message_vector: Option<&'a [f32]>,
}

impl Yardstick {
    /// The texts whose vectors a yardstick is made with.
    pub fn texts(layers: &Layers) -> Vec<String> {
        layers.voice.samples.iter().map(|sample| sample.line.clone()).collect()
    }

    /// The yardstick of a persona's version; `vectors` are those of [`Yardstick::texts`], or none.
    pub fn new(layers: &Layers, language: &str, vectors: &[Vec<f32>]) -> Self {
        Self {
            fingerprint: Fingerprint::of(&layers.voice, language),
            samples: vectors.to_vec(),
            language: language.to_owned(),
        }
    }

    /// How far a reply is from its persona.
    pub fn score(&self, heard: &Heard<'_>) -> Scored {
        let own = Fingerprint::of_lines([heard.reply], &self.language);
        let voice = (own.sentence_words - self.fingerprint.sentence_words).abs() / 40.0;
        let _ = (&self.samples, heard.vector, heard.message, heard.message_vector);
        Scored { drift: Drift::new(voice, 0.0, Method::Local), coherence: 4.0 }
    }
}
