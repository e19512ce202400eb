//! What the replies of one version of a persona are measured by, made once and kept.

use super::{
    Drift, Evidence, Line, Method, Scored, Signal, fitted, language,
    role::{self, Role},
    values::{self, Values},
    vectors::{Rows, unit},
    voice::{self, Voice},
};
use crate::{consistency::text::fold, persona::Layers};

/// Changes when the texts of [`Yardstick::texts`] do: vectors of others are not to be used.
pub const REVISION: u32 = 1;

/// What replies of one persona's version are measured by.
#[derive(Debug)]
pub struct Yardstick {
    language: String,
    speaks: Vec<String>,
    voice: Voice,
    role: Role,
    values: Values,
}

/// A reply and what it answers.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// What the persona said.
    pub reply: &'a str,
    /// Its vector, of the same model as the yardstick's.
    pub vector: Option<&'a [f32]>,
    /// What it answers.
    pub message: &'a str,
    /// The vector of that.
    pub message_vector: Option<&'a [f32]>,
    /// What the persona said before that.
    pub before: Option<&'a str>,
}

/// The signals of one reply, before they are weighed: for reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Signals {
    /// Nearness, spelling, letters, words, style: each larger the more it is in the voice.
    pub voice: Vec<f64>,
    /// Where the reply lies between the persona's own lines (0) and prose (1), weighed and not cut.
    pub voice_level: f64,
    /// The measures of its style, and of its persona's.
    pub style: [Vec<f64>; 2],
    /// How sure the lists are that the role is broken or a fact denied, 0 to 1.
    pub listed: f64,
    /// Nearness to lines out of the role.
    pub role: f64,
    /// Nearness to what the persona holds dear.
    pub touched: f64,
}

impl Yardstick {
    /// The texts whose vectors a yardstick is made with: the persona's lines, prose, lines out of the role, the sheet's lines.
    pub fn texts(layers: &Layers, language: &str) -> Vec<String> {
        let mut texts: Vec<String> = voice::lines(layers).into_iter().map(str::to_owned).collect();
        texts.extend(language::prose(language).iter().cloned());
        texts.extend(role::LINES.iter().map(|line| (*line).to_owned()));
        texts.extend(values::lines(layers).into_iter().map(|line| line.text));
        texts
    }

    /// The yardstick of a persona's version; `vectors` are those of [`Yardstick::texts`], or none.
    pub fn new(layers: &Layers, language: &str, vectors: &[Vec<f32>]) -> Self {
        let sizes = [
            voice::lines(layers).len(),
            language::prose(language).len(),
            role::LINES.len(),
            values::lines(layers).len(),
        ];
        let whole = vectors.len() == sizes.iter().sum::<usize>();
        let mut rest = vectors.iter().map(|vector| unit(vector));
        let parts = sizes.map(|size| rest.by_ref().take(size).collect::<Vec<_>>());
        let [own, prose, broken, lines] = parts;
        let given = |made: [Rows; 2]| whole.then_some(made);
        let mut speaks = vec![language.to_owned()];
        speaks.extend(layers.knowledge.languages.iter().filter(|code| *code != language).cloned());
        Self {
            language: language.to_owned(),
            speaks,
            values: Values::new(layers, language, whole.then_some([&lines, &prose])),
            role: Role::new(layers, language, given([broken, own.clone()])),
            voice: Voice::new(layers, language, given([own, prose])),
        }
    }

    /// How far a reply is from its persona, by local signals alone.
    pub fn score(&self, heard: &Heard<'_>) -> Scored {
        let vector = heard.vector.map(unit);
        let vector = vector.as_deref();
        let mut evidence = Vec::new();
        let voice = self.voice(heard, vector, &mut evidence);
        let values = self.values(heard.reply, vector, &mut evidence);
        let coherence = self.coherence(heard, vector);
        Scored { drift: Drift::new(voice, values, Method::Local).because(evidence), coherence }
    }

    /// The lines of the sheet that a judge is shown.
    pub fn lines(&self) -> &[Line] {
        self.values.lines()
    }

    /// The signals of a reply, before they are weighed.
    pub fn signals(&self, reply: &str, vector: Option<&[f32]>) -> Signals {
        let vector = vector.map(unit);
        let vector = vector.as_deref();
        Signals {
            voice: self.voice.signals(reply, vector).to_vec(),
            voice_level: self.voice.level(reply, vector),
            style: self.voice.styles(reply),
            listed: self.listed(reply).first().map_or(0.0, |(sure, _)| *sure),
            role: self.role.nearness(vector),
            touched: self.values.touched(vector),
        }
    }

    fn voice(&self, heard: &Heard<'_>, vector: Option<&[f64]>, evidence: &mut Vec<Evidence>) -> f64 {
        if let Some(other) = self.other_language(heard) {
            evidence.push(Evidence::quoted(Signal::OtherLanguage, heard.reply).named(other));
            return 1.0;
        }
        let (distance, never) = self.voice.distance(heard.reply, vector);
        if let Some(at) = never {
            evidence.push(
                Evidence::quoted(Signal::NeverSaid, heard.reply).against(format!("/voice/never_says/{at}")),
            );
        }
        distance
    }

    /// A persona answers in its own language; in another that it knows, only whoever spoke that one first.
    fn other_language(&self, heard: &Heard<'_>) -> Option<&'static str> {
        let folded = fold(heard.reply);
        let other = language::other(&folded, &[self.language.as_str()])?;
        let known = self.speaks.iter().any(|code| code == other);
        let spoken_to = language::other(&fold(heard.message), &[self.language.as_str()]) == Some(other);
        (!(known && spoken_to)).then_some(other)
    }

    fn listed(&self, reply: &str) -> Vec<(f64, Evidence)> {
        let mut found = self.role.findings(reply);
        found.extend(self.values.findings(reply));
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found
    }

    fn values(&self, reply: &str, vector: Option<&[f64]>, evidence: &mut Vec<Evidence>) -> f64 {
        let found = self.listed(reply);
        let listed = found.iter().map(|(sure, _)| *sure);
        let values = fitted::values(listed, self.role.nearness(vector), self.values.touched(vector));
        evidence.extend(found.into_iter().map(|(_, evidence)| evidence));
        values
    }

    /// Relevance to what is answered, 1 to 5: by meaning where there are vectors, and no more than 2 for what was said
    /// before already.
    fn coherence(&self, heard: &Heard<'_>, vector: Option<&[f64]>) -> f64 {
        if heard.reply.trim().is_empty() {
            return 1.0;
        }
        let message = heard.message_vector.map(unit);
        let near = self.values.nearness(vector, message.as_deref());
        let coherence = near.map_or(fitted::COHERENCE_UNKNOWN, fitted::coherence);
        let repeated = heard.before.is_some_and(|before| fold(before) == fold(heard.reply));
        let coherence = if repeated { coherence.min(2.0) } else { coherence };
        (coherence * 10.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use proptest::prelude::*;

    use super::*;
    use crate::{drift::Verdict, persona::layers_for_tests};

    fn heard(reply: &str) -> Heard<'_> {
        Heard {
            reply,
            vector: None,
            message: "And what do you do all day?",
            message_vector: None,
            before: None,
        }
    }

    fn yardstick() -> (Layers, Yardstick) {
        let layers = Layers::from_value(&layers_for_tests()).unwrap();
        let yardstick = Yardstick::new(&layers, "en", &[]);
        (layers, yardstick)
    }

    #[test]
    fn its_own_lines_are_in_character_without_vectors_too() {
        let (layers, yardstick) = yardstick();
        let name = layers.identity.name.split(' ').next().unwrap().to_uppercase();
        for sample in &layers.voice.samples {
            for line in [sample.line.clone(), format!("{name}: {}", sample.line)] {
                let scored = yardstick.score(&heard(&line));
                assert_eq!(scored.drift.verdict, Verdict::InCharacter, "{line} {:?}", scored.drift);
            }
        }
    }

    #[test]
    fn who_leaves_the_role_is_out_of_character_and_quoted() {
        let (layers, yardstick) = yardstick();
        let name = &layers.identity.name;
        for (reply, signal) in [
            ("Well. As an AI language model, I have no days.".to_owned(), Signal::Machine),
            ("The role-play is over. What else?".to_owned(), Signal::RoleEnded),
            ("**DAN:** I have no days, only hours.".to_owned(), Signal::RoleEnded),
            ("Easy:\n```python\ndef f(x):\n    return x[::-1]\n```".to_owned(), Signal::Code),
            (format!("You are {name}. You speak briefly. Never say these words."), Signal::Instructions),
            ("Der Tag ist lang, und ich habe auch noch nicht gegessen.".to_owned(), Signal::OtherLanguage),
        ] {
            let drift = yardstick.score(&heard(&reply)).drift;
            assert_eq!(drift.verdict, Verdict::OutOfCharacter, "{reply}: {drift:?}");
            assert_eq!(drift.evidence[0].signal, signal, "{reply}");
            assert!(!drift.evidence[0].quote.is_empty());
        }
    }

    #[test]
    fn what_it_never_says_is_named_with_its_place() {
        let (layers, yardstick) = yardstick();
        let reply = format!("Oh, {}, I suppose.", layers.voice.never_says[0]);
        let drift = yardstick.score(&heard(&reply)).drift;
        assert!(drift.voice >= 0.5, "{drift:?}");
        let places: Vec<_> = drift.evidence.iter().filter_map(|found| found.pointer.as_deref()).collect();
        assert!(places.contains(&"/voice/never_says/0"), "{places:?}");
    }

    #[test]
    fn an_answer_in_a_language_that_it_knows_is_in_character_when_it_was_asked_in_that() {
        let (mut layers, _) = yardstick();
        layers.knowledge.languages = vec!["en".to_owned(), "de".to_owned()];
        let yardstick = Yardstick::new(&layers, "en", &[]);
        let reply = "Der Tag ist lang, und ich habe auch noch nicht gegessen.";
        let asked = "Und was machst du den ganzen Tag, wenn ich fragen darf?";
        let told = |message| yardstick.score(&Heard { message, ..heard(reply) }).drift.evidence;
        assert!(told(asked).iter().all(|found| found.signal != Signal::OtherLanguage));
        assert!(told("And you?").iter().any(|found| found.signal == Signal::OtherLanguage));
    }

    #[test]
    fn a_reply_that_is_repeated_is_hardly_coherent() {
        let (_, yardstick) = yardstick();
        let again = Heard { before: Some("Not today."), ..heard("Not today!") };
        assert!(yardstick.score(&again).coherence > 2.0);
        let again = Heard { before: Some("Not today."), ..heard("Not  today.") };
        assert!(yardstick.score(&again).coherence <= 2.0);
        assert!(yardstick.score(&heard(" ")).coherence <= 1.0);
    }

    proptest! {
        #[test]
        fn any_reply_has_a_score_within_bounds(reply: String) {
            let (_, yardstick) = yardstick();
            let Scored { drift, coherence } = yardstick.score(&heard(&reply));
            prop_assert!((0.0..=1.0).contains(&drift.voice) && (0.0..=1.0).contains(&drift.values));
            prop_assert!((1.0..=5.0).contains(&coherence) && drift.evidence.len() <= 6);
        }
    }
}
