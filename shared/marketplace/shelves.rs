//! The shelves of the marketplace: an inverted index as plain items, each shelf a partition in the order that it is read
//! in. A listing's places on them follow from what it says; nothing here is kept that cannot be made again.

use std::fmt;

use super::{Listing, mode_name, words::Word};
use crate::{
    id::{ListingId, RevisionId},
    key::Mode,
};

/// A shelf, in one language or in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf<'a> {
    /// Live and test workspaces have a marketplace each.
    pub mode: Mode,
    /// One language; `None` is the shelf of all.
    pub language: Option<&'a str>,
    /// What stands on it.
    pub kind: Kind<'a>,
}

/// What stands on a shelf, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Everything, most installed first.
    Popular,
    /// Everything, newest first.
    Newest,
    /// What has a tag, most installed first.
    TagPopular(&'a str),
    /// What has a tag, newest first.
    TagNewest(&'a str),
    /// What says a word, by what the word says of it.
    Word(&'a str),
}

/// The shelf's partition key. Public by purpose, so it begins with the marketplace and not with a workspace.
impl fmt::Display for Shelf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MKT#{}#{}#", mode_name(self.mode), self.language.unwrap_or("*"))?;
        match self.kind {
            Kind::Popular => f.write_str("POPULAR"),
            Kind::Newest => f.write_str("NEWEST"),
            Kind::TagPopular(tag) => write!(f, "TAG#{tag}#POPULAR"),
            Kind::TagNewest(tag) => write!(f, "TAG#{tag}#NEWEST"),
            Kind::Word(word) => write!(f, "WORD#{word}"),
        }
    }
}

/// One item of a shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The shelf.
    pub pk: String,
    /// Where on it: shelves are read from the greatest key to the least.
    pub sk: String,
    /// All words and tags of the listing, where a query may ask for more than the shelf's own.
    pub said: Option<Vec<u8>>,
}

/// Every place of a listing, under its present revision of them.
pub fn places(listing: &Listing) -> Vec<Place> {
    let words = listing.words();
    let tags = listing.compared_tags();
    let said = Said::pack(&words, &tags);
    let mut places = Vec::new();
    for language in [None, Some(listing.language.as_str())] {
        let mut place = |kind: Kind<'_>, order: String, said: Option<Vec<u8>>| {
            let pk = Shelf { mode: listing.mode, language, kind }.to_string();
            places.push(Place { pk, sk: position(&order, listing.id, listing.shelving), said });
        };
        place(Kind::Popular, by_step(listing.step), None);
        place(Kind::Newest, String::new(), None);
        for tag in &tags {
            place(Kind::TagPopular(tag), by_step(listing.step), Some(said.clone()));
            place(Kind::TagNewest(tag), String::new(), None);
        }
        for word in words.iter().filter(|word| !word.common) {
            let order = by_impact(u32::from(word.impact), listing.step);
            place(Kind::Word(&word.text), order, Some(said.clone()));
        }
    }
    places
}

/// `<order>#<listing>#<revision>`: of equals the newest comes first, for ids sort by time.
pub(super) fn position(order: &str, listing: ListingId, revision: RevisionId) -> String {
    format!("{order}#{listing}#{revision}")
}

/// The listing and the revision of a position.
pub fn of_position(sk: &str) -> Option<(ListingId, RevisionId)> {
    let mut parts = sk.rsplit('#');
    let revision = parts.next()?.parse().ok()?;
    Some((parts.next()?.parse().ok()?, revision))
}

/// How often it was installed, in steps.
pub(super) fn by_step(step: u16) -> String {
    format!("{step:03}")
}

/// By relevance, then by popularity.
pub(super) fn by_impact(impact: u32, step: u16) -> String {
    format!("{impact:04}{step:03}")
}

/// The step that an order was written with.
pub(super) fn step_of(sk: &str) -> u16 {
    let order = sk.split('#').next().unwrap_or_default();
    order.get(order.len().saturating_sub(3)..).and_then(|step| step.parse().ok()).unwrap_or_default()
}

/// The popularity that shelves are ordered by: exact up to three installs, then two steps to each doubling. So most
/// installs move nothing, and a thousand move a listing about twenty times.
pub fn step(installs: u64) -> u16 {
    if installs < 4 {
        return installs as u16;
    }
    let doublings = installs.ilog2();
    let half = u16::from(installs >= 3 << (doublings - 1));
    2 * doublings as u16 + half
}

/// The words and tags of a listing in few bytes: five each, a hash and the impact. Two words of one hash would show one
/// listing in four thousand million to a query that it does not answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a>(&'a [u8]);

const ENTRY: usize = 5;

impl<'a> Said<'a> {
    fn pack(words: &[Word], tags: &[String]) -> Vec<u8> {
        let words = words.iter().map(|word| (hash(&word.text), word.impact));
        let all = words.chain(tags.iter().map(|tag| (hash(&tag_entry(tag)), 0)));
        all.flat_map(|(hash, impact)| hash.to_be_bytes().into_iter().chain([impact])).collect()
    }

    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What a word says of the listing; `None` where the listing does not have it.
    pub(super) fn word(self, word: &str) -> Option<u32> {
        self.entry(hash(word))
    }

    pub(super) fn has_tag(self, tag: &str) -> bool {
        self.entry(hash(&tag_entry(tag))).is_some()
    }

    fn entry(self, hash: u32) -> Option<u32> {
        let wanted = hash.to_be_bytes();
        let mut entries = self.0.chunks_exact(ENTRY);
        entries.find(|entry| entry.starts_with(&wanted)).map(|entry| u32::from(entry[ENTRY - 1]))
    }
}

fn tag_entry(tag: &str) -> String {
    format!("#{tag}")
}

fn hash(text: &str) -> u32 {
    crc32fast::hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;
    use crate::marketplace::tests::listing;

    #[test]
    fn a_listing_stands_on_the_shelves_of_what_it_says_in_its_language_and_in_all() {
        let keys: Vec<String> = places(&listing()).into_iter().map(|place| place.pk).collect();
        for shelf in [
            "MKT#live#*#POPULAR",
            "MKT#live#en#NEWEST",
            "MKT#live#*#TAG#slice of life#POPULAR",
            "MKT#live#en#TAG#slice of life#NEWEST",
            "MKT#live#*#WORD#nermin",
            "MKT#live#en#WORD#bookseller",
            "MKT#live#en#WORD#slice",
        ] {
            assert!(keys.iter().any(|key| key == shelf), "{shelf}: {keys:?}");
        }
        assert!(
            !keys.iter().any(|key| key.contains("WORD#of") || key.contains("#tr#") || key.contains("test"))
        );
    }

    #[test]
    fn a_listing_with_everything_at_its_bound_has_few_enough_places() {
        let mut full = listing();
        full.summary = (0..99).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
        full.tags = (0..8).map(|n| format!("tag{n}")).collect();
        assert_eq!(places(&full).len(), 2 * (2 + 2 * 8 + super::super::words::WORDS_MOST));
        assert!(places(&full).iter().all(|place| place.pk.len() + place.sk.len() < 1_024));
    }

    #[test]
    fn on_a_words_shelf_what_it_says_more_of_comes_first_then_what_is_installed_more() {
        let (id, revision) = (ListingId::new(), RevisionId::new());
        let sk = |impact, step| position(&by_impact(impact, step), id, revision);
        assert!(sk(200, 0) > sk(90, 40) && sk(90, 3) > sk(90, 2));
        assert_eq!(step_of(&sk(90, 41)), 41);
        assert_eq!(of_position(&sk(1_020, 127)), Some((id, revision)));
    }

    #[test]
    fn steps_are_exact_where_installs_are_few_and_rare_where_they_are_many() {
        let steps: Vec<u16> = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16].map(step).to_vec();
        assert_eq!(steps, [0, 1, 2, 3, 4, 4, 5, 5, 6, 7, 8]);
        let moves = (1..=1_000u64).filter(|installs| step(*installs) != step(installs - 1)).count();
        assert_eq!(moves, 19);
    }

    proptest! {
        #[test]
        fn more_installs_never_stand_further_back(installs: u64, more: u64) {
            prop_assert!(step(installs) <= step(installs.saturating_add(more)));
            prop_assert!(step(installs) < 1_000);
        }

        #[test]
        fn what_was_packed_is_known_and_nothing_else(texts in proptest::collection::btree_set("[a-z]{2,9}", 1..60)) {
            let texts: Vec<String> = texts.into_iter().collect();
            let word = |(at, text): (usize, &String)| Word { text: text.clone(), impact: at as u8 + 1, common: false };
            let words: Vec<Word> = texts.iter().enumerate().map(word).collect();
            let packed = Said::pack(&words, &["noir".to_owned()]);
            let said = Said::new(&packed);
            for word in &words {
                prop_assert_eq!(said.word(&word.text), Some(u32::from(word.impact)));
            }
            prop_assert!(said.has_tag("noir") && !said.has_tag("Noir") && said.word("not there").is_none());
        }
    }

    #[test]
    fn an_unreadable_position_is_none() {
        assert!(of_position("").is_none() && of_position("003#lst_x#rev_y").is_none());
        let listing = listing();
        assert!(of_position(&places(&listing)[0].sk).unwrap().0 == listing.id);
    }
}
