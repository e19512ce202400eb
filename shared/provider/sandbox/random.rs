//! The sandbox's dice: seeded by SHA-256, the same on every platform, never the system's randomness.

use sha2::{Digest, Sha256};

/// A SplitMix64 generator. Draws depend on nothing but what it was made from.
pub(super) struct Dice(u64);

impl Dice {
    /// Dice for these parts. Each part is framed by its length, so `["ab", "c"]` and `["a", "bc"]` differ.
    pub(super) fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        Self(digest.iter().take(8).fold(0, |state, byte| (state << 8) | u64::from(*byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// A number in `low..=high`; `low` when the range is empty.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// One of `items`.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// `count` different ones of `items` (fewer if there are fewer), in drawn order.
    pub(super) fn some<T: Clone>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let mut rest = items.to_vec();
        let mut drawn = Vec::new();
        while drawn.len() < count && !rest.is_empty() {
            let index = self.below(rest.len() as u64) as usize;
            drawn.push(rest.remove(index));
        }
        drawn
    }

    /// A fraction `low/100..=high/100` with two decimals, which JSON prints as two decimals at most.
    pub(super) fn hundredths(&mut self, low: u64, high: u64) -> f64 {
        self.between(low, high) as f64 / 100.0
    }
}
