//! Numbers fitted on the calibration half of the labelled set (`tests/data/drift`) by `cargo run -p tests --bin drift -- fit`,
//! which prints them. The test half is only ever reported on: docs/DRIFT.md.

use super::style::MEASURES;

/// Styles of many voices: means and deviations.
pub(super) const STYLE_MEAN: [f64; MEASURES] =
    [2.3, 0.3, 0.1, 0.15, 0.15, 0.0, 0.1, 0.95, 4.6, 0.15, 0.6, 0.45];
pub(super) const STYLE_SPREAD: [f64; MEASURES] =
    [0.6, 0.15, 0.15, 0.3, 0.3, 0.1, 0.3, 0.25, 0.8, 0.2, 0.15, 0.2];
/// Styles within one voice: deviations.
pub(super) const STYLE_OWN: [f64; MEASURES] =
    [0.5, 0.12, 0.12, 0.25, 0.25, 0.1, 0.15, 0.15, 0.5, 0.15, 0.1, 0.12];

/// Weights of the signals of voice.
pub(super) const VOICE: [f64; 5] = [2.0, 6.0, 2.0, 1.0, 0.7];
/// The same where there are no vectors.
pub(super) const VOICE_WITHOUT_VECTORS: [f64; 5] = [0.0, 6.0, 2.0, 1.0, 0.7];

/// At least this far is who says what the persona never says.
pub(super) const NEVER_SAID: f64 = 0.6;

/// The narrowest gap between a voice and prose that is believed.
pub(super) const NARROWEST: f64 = 1.0;

/// 0 for who sounds as the persona's own lines do, 1 for who sounds as anyone, of where a reply lies between them.
pub(super) fn distance(level: f64) -> f64 {
    level.clamp(0.0, 1.0)
}

/// How near lines out of the role are to a reply that is in it.
pub(super) const ROLE_FAR: f64 = -0.1;

/// Contradiction of values or of the role.
pub(super) fn values(listed: impl Iterator<Item = f64>, role: f64, touched: f64) -> f64 {
    let doubts = listed.map(|sure| 1.0 - sure).product::<f64>();
    let role = 1.0 / (1.0 + (-(role - 0.03) * 60.0).exp());
    let touched = 0.4 / (1.0 + (-(touched - 0.3) * 10.0).exp());
    1.0 - doubts * (1.0 - role) * (1.0 - touched)
}

/// Relevance, where nothing tells.
pub(super) const COHERENCE_UNKNOWN: f64 = 4.0;

/// Relevance of a reply whose meaning is this near to the message's.
pub(super) fn coherence(near: f64) -> f64 {
    (1.0 + 4.0 * ((near - 0.7) / 0.15)).clamp(1.0, 5.0)
}
