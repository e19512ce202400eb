//! Numbers fitted on the calibration half of the labelled set (`tests/data/drift`) by `cargo run -p tests --bin drift -- fit`,
//! which prints them. The test half is only ever reported on: docs/DRIFT.md.

use super::{style::MEASURES, voice::SIGNALS};

/// Styles of many voices: means and deviations.
pub(super) const STYLE_MEAN: [f64; MEASURES] =
    [2.590, 0.297, 0.032, 0.037, 0.083, 0.000, 0.107, 0.893, 4.625, 0.095, 0.631, 0.341];
pub(super) const STYLE_SPREAD: [f64; MEASURES] =
    [0.563, 0.150, 0.114, 0.200, 0.263, 0.050, 0.359, 0.359, 0.835, 0.186, 0.138, 0.216];
/// Styles within one voice: deviations.
pub(super) const STYLE_OWN: [f64; MEASURES] =
    [0.571, 0.140, 0.106, 0.227, 0.275, 0.050, 0.050, 0.050, 0.564, 0.134, 0.118, 0.141];

/// Weights of the signals of voice.
pub(super) const VOICE: [f64; SIGNALS] = [2.937, 5.584, 1.061, 0.287, 1.327];
/// The same where there are no vectors.
pub(super) const VOICE_WITHOUT_VECTORS: [f64; SIGNALS] = [0.000, 6.827, 1.571, 0.332, 1.404];

/// At least this far is who says what the persona never says.
pub(super) const NEVER_SAID: f64 = 0.6;

/// The narrowest gap between a voice and prose that is believed.
pub(super) const NARROWEST: f64 = 1.0;

/// Where most neutral assistant prose lies, other than that which the voice was measured by.
pub(super) const ANYONE: f64 = 0.47;

/// 0 for who sounds as the persona's own lines do, 1 for who sounds as anyone, of where a reply lies between them.
pub(super) fn distance(level: f64) -> f64 {
    (level / ANYONE).clamp(0.0, 1.0)
}

/// How near lines out of the role are to a reply that is in it.
pub(super) const ROLE_FAR: f64 = -1.0;
/// Slope and centre: nearness to lines out of the role, and to what the persona holds dear.
pub(super) const ROLE: [f64; 2] = [19.189, 0.113];
pub(super) const TOUCHED: [f64; 2] = [10.517, 0.420];
/// Touching what the persona holds dear is no contradiction: it raises the measure, and never to a verdict.
const TOUCHED_AT_MOST: f64 = 0.3;

/// Contradiction of values or of the role: each finding and each nearness leaves less room for doubt.
pub(super) fn values(listed: impl Iterator<Item = f64>, role: f64, touched: f64) -> f64 {
    let doubts = listed.map(|sure| 1.0 - sure).product::<f64>();
    // Below its centre nearness to lines out of the role is chance.
    let role = (2.0 * curve(role, ROLE) - 1.0).max(0.0);
    1.0 - doubts * (1.0 - role) * (1.0 - TOUCHED_AT_MOST * curve(touched, TOUCHED))
}

fn curve(value: f64, [slope, centre]: [f64; 2]) -> f64 {
    1.0 / (1.0 + (-(value - centre) * slope).exp())
}

/// Relevance, where nothing tells.
pub(super) const COHERENCE_UNKNOWN: f64 = 4.0;

/// Relevance of a reply whose meaning is this near to the message's: faithful answers of the calibration half come to 4.6 at
/// the median, one in twenty of them to less than 3.8.
pub(super) fn coherence(near: f64) -> f64 {
    (3.0 + 10.0 * (near - 0.15)).clamp(1.0, 5.0)
}
