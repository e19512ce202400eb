//! Whether a reply contradicts what its persona is. Local signals see only the plainest contradictions (a bond denied) and
//! whether a reply touches what the persona holds dear; what it says about that, the judge must tell.

use super::{
    Evidence, Signal, language,
    vectors::{Rows, direction, dot, mean},
};
use crate::{
    consistency::text::{fold, says},
    persona::Layers,
};

/// A denied bond is a contradiction, unless it is a joke.
const DENIED: f64 = 0.8;
/// How many lines of the sheet a reply is compared with, at most.
const MOST: usize = 24;
/// How many of the nearest count.
const NEAREST: usize = 3;

/// A line of the sheet that a reply can contradict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub pointer: String,
    /// What it says.
    pub text: String,
}

/// The lines of a sheet that a reply can contradict, weightiest first.
pub(super) fn lines(layers: &Layers) -> Vec<Line> {
    let soul = &layers.soul;
    let numbered = |path: &str, texts: &[String]| -> Vec<Line> {
        let line =
            |(at, text): (usize, &String)| Line { pointer: format!("/{path}/{at}"), text: text.clone() };
        texts.iter().enumerate().map(line).collect()
    };
    let mut lines = numbered("soul/moral_lines", &soul.moral_lines);
    lines.extend(numbered("boundaries/refuses", &layers.boundaries.refuses));
    lines.extend((0..).zip(&soul.values).map(|(at, value): (usize, _)| Line {
        pointer: format!("/soul/values/{at}"),
        text: format!("{}: {}", value.name, value.why),
    }));
    lines.extend((0..).zip(&layers.relations).map(|(at, bond): (usize, _)| Line {
        pointer: format!("/relations/{at}"),
        text: format!("{}, {}: {} {}", bond.name, bond.relation, bond.feeling, bond.description),
    }));
    lines.extend(numbered("soul/beliefs", &soul.beliefs));
    let single = [("wound", &soul.wound), ("core_fear", &soul.core_fear), ("core_desire", &soul.core_desire)];
    lines.extend(single.map(|(name, text)| Line { pointer: format!("/soul/{name}"), text: text.clone() }));
    lines.truncate(MOST);
    lines
}

/// What a persona's version is.
#[derive(Debug)]
pub(super) struct Values {
    code: String,
    lines: Vec<Line>,
    spouse: Option<usize>,
    child: Option<usize>,
    vectors: Option<Vectors>,
}

#[derive(Debug)]
struct Vectors {
    centre: Vec<f64>,
    lines: Vec<Vec<f64>>,
}

impl Values {
    /// `vectors` are those of [`lines`] and of the language's prose, or none.
    pub(super) fn new(layers: &Layers, code: &str, vectors: Option<[&Rows; 2]>) -> Self {
        let bond = |words: fn(&language::Language) -> &Vec<String>| {
            layers.relations.iter().position(|bond| {
                let relation = fold(&bond.relation);
                language::known(code)
                    .is_some_and(|known| language::first_said(&relation, words(known)).is_some())
            })
        };
        let vectors = vectors.and_then(|[lines, prose]| {
            let centre = mean(prose)?;
            Some(Vectors { lines: lines.iter().map(|line| direction(&centre, line)).collect(), centre })
        });
        Self {
            code: code.to_owned(),
            lines: lines(layers),
            spouse: bond(|known| &known.spouse),
            child: bond(|known| &known.child),
            vectors,
        }
    }

    /// The lines of the sheet.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Contradictions that need no judge, each with how sure it is.
    pub(super) fn findings(&self, reply: &str) -> Vec<(f64, Evidence)> {
        let Some(known) = language::known(&self.code) else { return Vec::new() };
        let folded = fold(reply);
        let bonds = [(self.spouse, &known.unmarried), (self.child, &known.childless)];
        let denied = bonds.into_iter().filter_map(|(bond, denials)| {
            let denial = language::first_said(&folded, denials)?;
            let quote =
                reply.split_inclusive(['.', '!', '?', ';', '\n']).find(|part| says(&fold(part), denial));
            let evidence = Evidence::quoted(Signal::Contradiction, quote.unwrap_or(reply).trim());
            Some((DENIED, evidence.against(format!("/relations/{}", bond?))))
        });
        denied.collect()
    }

    /// How near two texts are, beside how near any text is to prose; `None` without vectors.
    pub(super) fn nearness(&self, one: Option<&[f64]>, other: Option<&[f64]>) -> Option<f64> {
        let centre = &self.vectors.as_ref()?.centre;
        Some(dot(&direction(centre, one?), &direction(centre, other?)))
    }

    /// How near a reply is to the lines that it could contradict: the mean of the nearest; 0 without vectors.
    pub(super) fn touched(&self, vector: Option<&[f64]>) -> f64 {
        let (Some(vectors), Some(vector)) = (&self.vectors, vector) else { return 0.0 };
        let reply = direction(&vectors.centre, vector);
        let mut near: Vec<f64> = vectors.lines.iter().map(|line| dot(line, &reply)).collect();
        near.sort_by(|a, b| b.total_cmp(a));
        near.truncate(NEAREST);
        near.iter().sum::<f64>() / near.len().max(1) as f64
    }
}
