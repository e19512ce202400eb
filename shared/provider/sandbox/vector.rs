//! The sandbox's embeddings: hashed character n-grams. Texts that share spelling are near; meaning is not seen.

use sha2::{Digest, Sha256};

/// How many numbers a vector has.
pub const DIMENSIONS: usize = 384;

/// The unit vector of a text. Counts are integers until the last division, so that every platform agrees.
pub(super) fn embed(text: &str) -> Vec<f32> {
    let counts = counts(text);
    let square: i64 = counts.iter().map(|c| c * c).sum();
    if square == 0 {
        let mut vector = vec![0.0; DIMENSIONS];
        vector[0] = 1.0;
        return vector;
    }
    let length = (square as f64).sqrt();
    counts.iter().map(|c| (*c as f64 / length) as f32).collect()
}

/// How near two texts are, as a number that only orders: the cosine of their vectors, in millionths.
pub(super) fn likeness(a: &str, b: &str) -> i64 {
    let (a, b) = (embed(a), embed(b));
    let cosine: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    (cosine * 1e6) as i64
}

fn counts(text: &str) -> Vec<i64> {
    let padded: Vec<char> = format!(" {} ", text.trim().to_lowercase()).chars().collect();
    let mut counts = vec![0; DIMENSIONS];
    if padded.len() <= 2 {
        return counts;
    }
    for size in 2..=4 {
        for gram in padded.windows(size) {
            let gram: String = gram.iter().collect();
            let hash = Sha256::digest(gram.as_bytes());
            let index = usize::from(u16::from_be_bytes([hash[0], hash[1]])) % DIMENSIONS;
            counts[index] += if hash[2] & 1 == 0 { 1 } else { -1 };
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_unit_length_and_like_spelling_is_near() {
        for text in ["", " ", "a", "The baker of Kadıköy", "東京"] {
            let length: f32 = embed(text).iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-4, "{text}: {length}");
        }
        assert!(likeness("baking bread", "baked breads") > likeness("baking bread", "vintage cars"));
    }
}
