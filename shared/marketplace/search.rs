//! What a caller searches for, and how what is found is ranked. Pure: shelves are read elsewhere.

use std::collections::HashMap;

use serde::Deserialize;

use super::{
    shelves::{self, Kind, Said, Shelf},
    words,
};
use crate::{
    error::{Error, Result},
    id::{ListingId, RevisionId},
    key::Mode,
    persona::settings,
};

/// Places that are read of a shelf when a search has to look at several, at most: the best of each.
pub const PLACES_MOST: usize = 200;

/// The order of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// What says most of the words; of equals the most installed.
    Relevance,
    /// Most installed first.
    Popularity,
    /// Last published for the first time.
    Newest,
}

/// A search: all its words and its tag must be a listing's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    mode: Mode,
    language: Option<String>,
    tag: Option<String>,
    words: Vec<String>,
    sort: Sort,
    /// Nothing can match a query of signs alone.
    hopeless: bool,
}

impl Search {
    /// Reads query values. Blank ones count as left out.
    ///
    /// # Errors
    /// `request.invalid` for what is too long, unknown, or makes no sense together.
    pub fn read(
        mode: Mode,
        q: Option<&str>,
        language: Option<&str>,
        tag: Option<&str>,
        sort: Option<Sort>,
    ) -> Result<Self> {
        let given =
            |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let (q, language, tag) = (given(q), given(language), given(tag));
        if let Some(problem) = language.as_deref().and_then(settings::language_problem) {
            return Err(Error::invalid("language", problem.message));
        }
        if let Some(tag) = tag.as_deref().filter(|tag| tag.chars().count() > super::TAG_MOST) {
            let message = format!(
                "The tag has {} characters; tags have at most {}.",
                tag.chars().count(),
                super::TAG_MOST
            );
            return Err(Error::invalid("tag", message));
        }
        if sort == Some(Sort::Relevance) && q.is_none() {
            let message = "\"relevance\" orders by the words of q, and there are none. Send q, or sort by popularity or newest.";
            return Err(Error::invalid("sort", message));
        }
        let words = q.as_deref().map_or(Ok(Vec::new()), words::of_query)?;
        let tag = tag.as_deref().map(words::tag);
        let hopeless = (q.is_some() && words.is_empty()) || tag.as_deref() == Some("");
        let usual = if q.is_some() { Sort::Relevance } else { Sort::Popularity };
        Ok(Self { mode, language, tag, words, sort: sort.unwrap_or(usual), hopeless })
    }

    /// Whose marketplace.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether nothing can be found, whatever there is.
    pub fn is_hopeless(&self) -> bool {
        self.hopeless
    }

    fn shelf(&self, kind: Kind<'_>) -> String {
        Shelf { mode: self.mode, language: self.language.as_deref(), kind }.to_string()
    }

    /// The one shelf that has just what is searched for in the order that is asked for, to any depth; `None` where
    /// several shelves must be put together.
    pub fn only_shelf(&self) -> Option<String> {
        let kind = match (self.words.as_slice(), self.tag.as_deref(), self.sort) {
            ([], None, Sort::Newest) => Kind::Newest,
            ([], None, _) => Kind::Popular,
            ([], Some(tag), Sort::Newest) => Kind::TagNewest(tag),
            ([], Some(tag), _) => Kind::TagPopular(tag),
            ([word], None, Sort::Relevance) => Kind::Word(word),
            _ => return None,
        };
        Some(self.shelf(kind))
    }

    /// The shelves of each word and of the tag, whose best are put together. One that comes whole, with fewer than
    /// [`PLACES_MOST`], makes the answer complete: each place knows all words of its listing.
    pub fn shelves(&self) -> Vec<String> {
        let words = self.words.iter().map(|word| self.shelf(Kind::Word(word)));
        words.chain(self.tag.iter().map(|tag| self.shelf(Kind::TagPopular(tag)))).collect()
    }

    /// What matches of the places that were read, best first, from behind the position `after`.
    pub fn ranked<'a>(
        &self,
        places: impl Iterator<Item = (&'a str, &'a [u8])>,
        after: Option<&str>,
    ) -> Vec<Hit> {
        let mut hits: HashMap<(ListingId, RevisionId), Hit> = HashMap::new();
        for (sk, said) in places {
            let Some((listing, revision)) = shelves::of_position(sk) else { continue };
            let Some(score) = self.score(Said::new(said)) else { continue };
            let step = shelves::step_of(sk);
            let order = match self.sort {
                Sort::Relevance => shelves::by_impact(score, step),
                Sort::Popularity => shelves::by_step(step),
                Sort::Newest => String::new(),
            };
            let position = shelves::position(&order, listing, revision);
            hits.insert((listing, revision), Hit { position, listing, revision });
        }
        let mut hits: Vec<Hit> = hits.into_values().collect();
        hits.retain(|hit| after.is_none_or(|after| hit.position.as_str() < after));
        hits.sort_unstable_by(|a, b| b.position.cmp(&a.position));
        hits
    }

    /// The words' impacts together; `None` where a word or the tag is not the listing's.
    fn score(&self, said: Said<'_>) -> Option<u32> {
        if self.tag.as_deref().is_some_and(|tag| !said.has_tag(tag)) {
            return None;
        }
        self.words.iter().map(|word| said.word(word)).sum()
    }
}

/// A listing that was found, if it still stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its position in what was found: greater ones come first, and a cursor holds one.
    pub position: String,
    /// The listing.
    pub listing: ListingId,
    /// The revision of its places that led to it; another one than the listing's is a leftover.
    pub revision: RevisionId,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::marketplace::{Listing, shelves::places, tests::listing};

    fn search(q: &str, tag: Option<&str>, sort: Option<Sort>) -> Search {
        Search::read(Mode::Live, Some(q), None, tag, sort).unwrap()
    }

    fn found(search: &Search, listings: &[Listing], after: Option<&str>) -> Vec<ListingId> {
        let shelves = search.shelves();
        let places: Vec<_> =
            listings.iter().flat_map(places).filter(|place| shelves.contains(&place.pk)).collect();
        let read = places.iter().filter_map(|place| Some((place.sk.as_str(), place.said.as_deref()?)));
        search.ranked(read, after).into_iter().map(|hit| hit.listing).collect()
    }

    fn titled(title: &str, summary: &str) -> Listing {
        Listing { title: title.to_owned(), summary: summary.to_owned(), id: ListingId::new(), ..listing() }
    }

    #[test]
    fn all_words_must_match_and_titles_come_before_summaries() {
        let all = [
            titled("Quiet gardener", "Talks to the lighthouse at night"),
            titled("Lighthouse keeper", "Night after night"),
            titled("Lighthouse", "Day after day"),
        ];
        assert_eq!(found(&search("night LIGHTHOUSE", None, None), &all, None), [all[1].id, all[0].id]);
        assert_eq!(found(&search("lighthouse zebra", None, None), &all, None), []);
    }

    #[test]
    fn of_equals_the_most_installed_comes_first_then_the_newest() {
        let mut all = [titled("Sea cook", "x y"), titled("Sea cook", "x y"), titled("Sea cook", "x y")];
        all[0].step = 5;
        let wanted = [all[0].id, all[2].id, all[1].id];
        assert_eq!(found(&search("sea cook", None, None), &all, None), wanted);
        assert_eq!(found(&search("sea cook", None, Some(Sort::Popularity)), &all, None), wanted);
        let newest = [all[2].id, all[1].id, all[0].id];
        assert_eq!(found(&search("sea cook", None, Some(Sort::Newest)), &all, None), newest);
    }

    #[test]
    fn a_tag_narrows_a_query_and_a_position_goes_on_behind_it() {
        let mut all = [titled("Sea cook", "x"), titled("Sea cook", "x"), titled("Sea cook", "x")];
        all[1].tags = vec!["Other".to_owned()];
        let search = search("cook", Some("SLICE of life"), None);
        assert_eq!(found(&search, &all, None), [all[2].id, all[0].id]);
        let shelves = places(&all[2]);
        let read = shelves.iter().filter_map(|place| Some((place.sk.as_str(), place.said.as_deref()?)));
        let first = search.ranked(read, None).remove(0).position;
        assert_eq!(found(&search, &all, Some(&first)), [all[0].id]);
    }

    #[test]
    fn one_word_or_none_is_read_from_one_shelf() {
        let shelf = |q: Option<&str>, tag: Option<&str>, sort: Option<Sort>| {
            Search::read(Mode::Test, q, Some("tr"), tag, sort).unwrap().only_shelf()
        };
        assert_eq!(shelf(Some("Işık"), None, None).as_deref(), Some("MKT#test#tr#WORD#isik"));
        assert_eq!(shelf(None, None, None).as_deref(), Some("MKT#test#tr#POPULAR"));
        assert_eq!(
            shelf(Some(" "), Some("Noir"), Some(Sort::Newest)).as_deref(),
            Some("MKT#test#tr#TAG#noir#NEWEST")
        );
        assert_eq!(shelf(Some("a1 b2"), None, None), None);
        assert_eq!(shelf(Some("a1"), None, Some(Sort::Newest)), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_signs_find_nothing() {
        let long = "x".repeat(201);
        let read = |q, language, tag, sort| Search::read(Mode::Live, q, language, tag, sort);
        let param = |read: Result<Search>| read.unwrap_err().param.unwrap();
        assert_eq!(param(read(None, Some("xx"), None, None)), "language");
        assert_eq!(param(read(None, None, None, Some(Sort::Relevance))), "sort");
        assert_eq!(param(read(None, None, Some(&long[..33]), None)), "tag");
        assert_eq!(param(read(Some(&long), None, None, None)), "q");
        assert!(read(Some("?!"), None, None, None).unwrap().is_hopeless());
        assert!(!read(Some("x1"), None, None, None).unwrap().is_hopeless());
    }
}
