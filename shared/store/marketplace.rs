//! The marketplace at rest. Listings and shelves are public by purpose: their partitions begin with `MKT#<mode>#`, and
//! reading them takes no tenant. What a workspace has published or installed is in its own partitions.
//!
//! A listing is its header alone. Snapshot and places on shelves are written beside it under a revision of their own,
//! before one transaction lets the header name that revision; what another revision has left is seen by nobody, and is
//! cleared behind it or by whoever comes next. So a process may be killed anywhere.

use std::collections::{HashMap, VecDeque};

use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{
        AttributeValue, ComparisonOperator, Condition, ConditionCheck, Delete, DeleteRequest, PutRequest,
        ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update, WriteRequest,
    },
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::{
    Item, Page, Refused, Store, from_item, number,
    personas::{Edition, PersonaEntry},
    primary_key,
    runs::{delete, put_new},
    sort_key, storage, text, to_attribute, to_item,
};
use crate::{
    config::Setting,
    error::{Error, Result},
    id::{ListingId, PersonaId, RevisionId},
    key::Mode,
    marketplace::{
        Listing, Publication, Search, Snapshot, mode_name,
        search::{Hit, PLACES_MOST},
        shelves::{self, Place},
    },
    tenant::Tenant,
    webhook,
};

const TABLE: Setting = Setting::MarketplaceTable;
const HEADER: &str = "LISTING";
const SNAPSHOT: &str = "LISTING#SNAPSHOT#";
const PLACES: &str = "PLACES#";
/// A page that leftovers have thinned is filled up so often.
const FILLS_MOST: usize = 4;

/// What came of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// The copy is there, and whether it counts for the listing's popularity.
    Yes {
        /// The first of its workspace, which is not the publishing one.
        counted: bool,
    },
    /// The listing is gone; nothing is written.
    Gone,
    /// Another persona of the workspace has the slug; nothing is written.
    SlugTaken,
}

/// Which places a revision has, so that whoever clears it knows them. Written before the first of them.
#[derive(Debug, Serialize, Deserialize)]
struct PlacesItem {
    /// JSON text: partition and sort keys.
    keys: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct SnapshotItem {
    /// JSON text: DynamoDB's number type would not keep every JSON number as it is.
    json: String,
}

/// The listing that a persona has, or that a publication was going to make.
#[derive(Debug, Serialize, Deserialize)]
struct Pointer {
    listing: ListingId,
}

/// A place as searches read it.
#[derive(Debug, Deserialize)]
struct StoredPlace {
    sk: String,
    #[serde(default, deserialize_with = "super::bytes::deserialize")]
    said: Vec<u8>,
}

fn partition(mode: Mode, listing: ListingId) -> String {
    format!("MKT#{}#{listing}", mode_name(mode))
}

fn snapshot_key(revision: RevisionId) -> String {
    format!("{SNAPSHOT}{revision}")
}

fn places_key(revision: RevisionId) -> String {
    format!("{PLACES}{revision}")
}

fn pointer_partition(tenant: &Tenant, persona: PersonaId) -> String {
    format!("WS#{}#PSN#{persona}", tenant.workspace())
}

fn installs_partition(tenant: &Tenant) -> String {
    format!("WS#{}#INSTALLED", tenant.workspace())
}

/// Holds an item to a condition without writing it.
fn check(pk: &str, sk: &str, condition: &str) -> Result<TransactWriteItem> {
    let check = ConditionCheck::builder()
        .table_name(TABLE.read()?)
        .set_key(Some(primary_key(pk, sk)))
        .condition_expression(condition)
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().condition_check(check).build())
}

/// Holds a header to showing another revision than this one, or to being gone.
fn not_shown(pk: &str, what: &str, revision: &str) -> Result<TransactWriteItem> {
    let check = ConditionCheck::builder()
        .table_name(TABLE.read()?)
        .set_key(Some(primary_key(pk, HEADER)))
        .condition_expression("attribute_not_exists(pk) OR #what <> :revision")
        .expression_attribute_names("#what", what)
        .expression_attribute_values(":revision", text(revision))
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().condition_check(check).build())
}

fn put_request(item: Item) -> Result<WriteRequest> {
    let put = PutRequest::builder().set_item(Some(item)).build().map_err(Error::internal)?;
    Ok(WriteRequest::builder().put_request(put).build())
}

fn delete_request(pk: &str, sk: &str) -> Result<WriteRequest> {
    let delete =
        DeleteRequest::builder().set_key(Some(primary_key(pk, sk))).build().map_err(Error::internal)?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}

fn place_item(place: &Place) -> Item {
    let mut item = primary_key(&place.pk, &place.sk);
    if let Some(said) = &place.said {
        item.insert("said".to_owned(), AttributeValue::B(said.clone().into()));
    }
    item
}

// ---- reading

impl Store {
    /// A listing: one request.
    pub async fn listing(&self, mode: Mode, listing: ListingId) -> Result<Option<Listing>> {
        self.get(TABLE, &partition(mode, listing), HEADER).await
    }

    /// A listing with what it shows: one request, unless it is published anew in between.
    pub async fn listing_and_snapshot(
        &self,
        mode: Mode,
        listing: ListingId,
    ) -> Result<Option<(Listing, Snapshot)>> {
        let pk = partition(mode, listing);
        for _ in 0..FILLS_MOST {
            let items = self.items_of_range(TABLE, &pk, HEADER, &format!("{SNAPSHOT}~"), usize::MAX).await?;
            let mut by_key: HashMap<String, Item> =
                items.into_iter().map(|item| (sort_key(&item), item)).collect();
            let Some(header) = by_key.remove(HEADER) else { return Ok(None) };
            let header: Listing = from_item(header)?;
            if let Some(item) = by_key.remove(&snapshot_key(header.snapshot)) {
                let item: SnapshotItem = from_item(item)?;
                return Ok(Some((header, serde_json::from_str(&item.json).map_err(Error::internal)?)));
            }
        }
        Err(Error::internal("a listing without its snapshot"))
    }

    /// One page of what is found. As many requests as the search has words and tags, and one for the page's listings,
    /// however many others there are.
    pub async fn search(&self, search: &Search, after: Option<&str>, limit: usize) -> Result<Page<Listing>> {
        let mut page = Page { items: Vec::new(), next: None };
        if search.is_hopeless() {
            return Ok(page);
        }
        let mut found = match search.only_shelf() {
            Some(shelf) => Found::Shelf { pk: shelf, after: after.map(str::to_owned) },
            None => Found::Hits(self.hits(search, after).await?.into()),
        };
        for _ in 0..FILLS_MOST {
            let (hits, more) = self.some_of(&mut found, limit - page.items.len()).await?;
            page.next = hits.last().filter(|_| more).map(|hit| hit.position.clone());
            page.items.extend(self.standing(search.mode(), hits).await?);
            if page.next.is_none() || page.items.len() == limit {
                break;
            }
        }
        Ok(page)
    }

    /// The best of every shelf that the search needs, put together and ranked.
    async fn hits(&self, search: &Search, after: Option<&str>) -> Result<Vec<Hit>> {
        let shelves = search.shelves();
        let read = shelves.iter().map(|shelf| self.shelf(shelf, None, PLACES_MOST));
        let places = try_join_all(read).await?;
        let places = places.iter().flatten().map(|place| (place.sk.as_str(), place.said.as_slice()));
        Ok(search.ranked(places, after))
    }

    /// The next few hits, and whether there are more.
    async fn some_of(&self, found: &mut Found, most: usize) -> Result<(Vec<Hit>, bool)> {
        match found {
            Found::Hits(hits) => {
                let some: Vec<Hit> = hits.drain(..most.min(hits.len())).collect();
                Ok((some, !hits.is_empty()))
            }
            Found::Shelf { pk, after } => {
                let mut places = self.shelf(pk, after.as_deref(), most + 1).await?;
                let more = places.len() > most;
                places.truncate(most);
                *after = places.last().map(|place| place.sk.clone());
                let hit = |place: StoredPlace| {
                    let (listing, revision) = shelves::of_position(&place.sk)?;
                    Some(Hit { position: place.sk, listing, revision })
                };
                Ok((places.into_iter().filter_map(hit).collect(), more))
            }
        }
    }

    /// The first places of a shelf behind a position. The condition is of the older kind because the local emulator
    /// evaluates an expression for every item of a partition, which at ten thousand takes ten times as long.
    async fn shelf(&self, pk: &str, after: Option<&str>, most: usize) -> Result<Vec<StoredPlace>> {
        let is_shelf = Condition::builder()
            .comparison_operator(ComparisonOperator::Eq)
            .attribute_value_list(text(pk))
            .build()
            .map_err(Error::internal)?;
        let query = self.client.query().table_name(TABLE.read()?).key_conditions("pk", is_shelf);
        let query = query.scan_index_forward(false).consistent_read(true).limit(most as i32);
        let query = query.set_exclusive_start_key(after.map(|sk| primary_key(pk, sk)));
        let answer = query.send().await.map_err(storage)?;
        answer.items.unwrap_or_default().into_iter().map(from_item).collect()
    }

    /// The listings of these hits in their order, without those that are gone or stand elsewhere by now.
    async fn standing(&self, mode: Mode, hits: Vec<Hit>) -> Result<Vec<(String, Listing)>> {
        let mut ids: Vec<ListingId> = hits.iter().map(|hit| hit.listing).collect();
        ids.sort_unstable();
        ids.dedup();
        let keys = ids.into_iter().map(|id| primary_key(&partition(mode, id), HEADER)).collect();
        let listings: Vec<Listing> = self.batch(TABLE, keys).await?;
        let mut standing: HashMap<(ListingId, RevisionId), Listing> =
            listings.into_iter().map(|listing| ((listing.id, listing.shelving), listing)).collect();
        let listing = |hit: Hit| Some((hit.position, standing.remove(&(hit.listing, hit.revision))?));
        Ok(hits.into_iter().filter_map(listing).collect())
    }
}

/// Where the next hits come from.
enum Found {
    /// From one shelf, as far as it goes.
    Shelf { pk: String, after: Option<String> },
    /// All are known.
    Hits(VecDeque<Hit>),
}

// ---- publishing

impl Store {
    /// The id that the persona's next listing gets: a new one, or that of a publication which came to no end.
    pub async fn reserve_listing(&self, tenant: &Tenant, persona: PersonaId) -> Result<ListingId> {
        let fresh = Pointer { listing: ListingId::new() };
        let put = self
            .client
            .put_item()
            .table_name(TABLE.read()?)
            .set_item(Some(to_item(&pointer_partition(tenant, persona), HEADER, &fresh)?))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(fresh.listing),
            Err(error) => {
                let refused = error.as_service_error().and_then(|error| match error {
                    PutItemError::ConditionalCheckFailedException(failed) => failed.item.clone(),
                    _ => None,
                });
                let kept: Pointer = from_item(refused.ok_or_else(|| storage(error))?)?;
                Ok(kept.listing)
            }
        }
    }

    /// Writes the places of a listing, and a new snapshot where there is one. Nothing shows them yet.
    pub async fn shelve(&self, listing: &Listing, snapshot: Option<&Snapshot>) -> Result<()> {
        let pk = partition(listing.mode, listing.id);
        let places = shelves::places(listing);
        let keys: Vec<(&str, &str)> =
            places.iter().map(|place| (place.pk.as_str(), place.sk.as_str())).collect();
        let record = PlacesItem { keys: serde_json::to_string(&keys).map_err(Error::internal)? };
        // By itself and first: what it names can be cleared, whatever happens next.
        self.write_all(TABLE, vec![put_request(to_item(&pk, &places_key(listing.shelving), &record)?)?])
            .await?;
        let mut writes: Vec<WriteRequest> =
            places.iter().map(|place| put_request(place_item(place))).collect::<Result<_>>()?;
        if let Some(snapshot) = snapshot {
            let item = SnapshotItem { json: serde_json::to_string(snapshot).map_err(Error::internal)? };
            writes.push(put_request(to_item(&pk, &snapshot_key(listing.snapshot), &item)?)?);
        }
        self.write_all(TABLE, writes).await
    }

    /// Shows what was shelved: the header, the publication beside the persona, and the event of it, at once. `false` where the persona,
    /// the listing or what was shelved is not as it was; nothing is shown then.
    pub async fn show(
        &self,
        tenant: &Tenant,
        persona: &PersonaEntry,
        publication: &Publication,
        listing: &Listing,
        before: Option<&Listing>,
        told: &webhook::Event,
    ) -> Result<bool> {
        let pk = partition(listing.mode, listing.id);
        let mut writes = self.publication_writes(tenant, persona, Some(publication))?;
        writes.push(match before {
            None => put_new(&TABLE.read()?, to_item(&pk, HEADER, listing)?)?,
            Some(before) => header_update(listing, before)?,
        });
        writes.push(check(
            &pk,
            &places_key(listing.shelving),
            "attribute_exists(pk) AND attribute_not_exists(doomed)",
        )?);
        writes.push(check(&pk, &snapshot_key(listing.snapshot), "attribute_exists(pk)")?);
        writes.extend(self.event_writes(tenant, std::slice::from_ref(told))?);
        self.unless_changed(writes).await
    }

    /// Takes the persona's listing off: from the next read on nobody finds it. `false` where the persona has changed.
    pub async fn withdraw(&self, tenant: &Tenant, mode: Mode, persona: &PersonaEntry) -> Result<bool> {
        let Some(publication) = &persona.publication else { return Ok(true) };
        let mut writes = self.publication_writes(tenant, persona, None)?;
        writes.push(self.listing_delete(mode, publication.listing)?);
        if !self.unless_changed(writes).await? {
            return Ok(false);
        }
        self.forget_listing(tenant, mode, persona.id).await?;
        Ok(true)
    }

    /// The write that takes a listing off.
    pub(super) fn listing_delete(&self, mode: Mode, listing: ListingId) -> Result<TransactWriteItem> {
        let key = primary_key(&partition(mode, listing), HEADER);
        delete(Delete::builder().table_name(TABLE.read()?).set_key(Some(key)))
    }

    /// Moves a listing to where its installs have brought it. Whoever is overtaken leaves it to the other.
    pub async fn reshelve(&self, before: &Listing, installs: u64) -> Result<()> {
        let listing =
            Listing { shelving: RevisionId::new(), step: shelves::step(installs), ..before.clone() };
        self.shelve(&listing, None).await?;
        let pk = partition(listing.mode, listing.id);
        let writes = vec![
            header_update(&listing, before)?,
            check(
                &pk,
                &places_key(listing.shelving),
                "attribute_exists(pk) AND attribute_not_exists(doomed)",
            )?,
        ];
        self.unless_changed(writes).await?;
        self.clear_stray_places(&pk).await?;
        Ok(())
    }
}

/// Gives a header everything of `after` but its installs, which others count meanwhile, if it is still as in `before`.
fn header_update(after: &Listing, before: &Listing) -> Result<TransactWriteItem> {
    let pk = partition(after.mode, after.id);
    let mut item = to_item(&pk, HEADER, after)?;
    for fixed in ["pk", "sk", "installs"] {
        item.remove(fixed);
    }
    let (mut names, mut values, mut sets) = (HashMap::new(), HashMap::new(), Vec::new());
    for (at, (name, value)) in item.into_iter().enumerate() {
        sets.push(format!("#n{at} = :v{at}"));
        names.insert(format!("#n{at}"), name);
        values.insert(format!(":v{at}"), value);
    }
    values.insert(":snapshot".to_owned(), to_attribute(&before.snapshot)?);
    values.insert(":shelving".to_owned(), to_attribute(&before.shelving)?);
    let update = Update::builder()
        .table_name(TABLE.read()?)
        .set_key(Some(primary_key(&pk, HEADER)))
        .update_expression(format!("SET {}", sets.join(", ")))
        .condition_expression("shelving = :shelving AND #snapshot = :snapshot")
        .set_expression_attribute_names(Some(names))
        .expression_attribute_names("#snapshot", "snapshot")
        .set_expression_attribute_values(Some(values))
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().update(update).build())
}

// ---- clearing

impl Store {
    /// Clears every snapshot and place that the listing does not show. Safe beside others: what is on its way to be
    /// shown is doomed first, and what is shown is not touched, in one transaction with the header.
    pub async fn clear_leftovers(&self, mode: Mode, listing: ListingId) -> Result<()> {
        let pk = partition(mode, listing);
        for (sk, _) in self.clear_stray_places(&pk).await? {
            let snapshot = Delete::builder().table_name(TABLE.read()?).set_key(Some(primary_key(&pk, &sk)));
            let writes =
                vec![delete(snapshot)?, not_shown(&pk, "snapshot", sk.trim_start_matches(SNAPSHOT))?];
            self.unless_changed(writes).await?;
        }
        Ok(())
    }

    /// Clears the places that the listing does not show; the answer is the snapshots that it does not show.
    async fn clear_stray_places(&self, pk: &str) -> Result<HashMap<String, Item>> {
        let mut items: HashMap<String, Item> = HashMap::new();
        for item in self.items_of_range(TABLE, pk, HEADER, &format!("{PLACES}~"), usize::MAX).await? {
            items.insert(sort_key(&item), item);
        }
        if let Some(header) = items.remove(HEADER) {
            let header: Listing = from_item(header)?;
            items.remove(&snapshot_key(header.snapshot));
            items.remove(&places_key(header.shelving));
        }
        let (places, snapshots): (HashMap<_, _>, HashMap<_, _>) =
            items.into_iter().partition(|(sk, _)| sk.starts_with(PLACES));
        for (sk, record) in places {
            self.clear_places(pk, &sk, record).await?;
        }
        Ok(snapshots)
    }

    /// Clears the places that a record names, then the record. It is doomed first: from then on no transaction shows
    /// them, should their writer still be on its way.
    async fn clear_places(&self, pk: &str, sk: &str, record: Item) -> Result<()> {
        let doom = Update::builder()
            .table_name(TABLE.read()?)
            .set_key(Some(primary_key(pk, sk)))
            .update_expression("SET doomed = :yes")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .build()
            .map_err(Error::internal)?;
        let doom = TransactWriteItem::builder().update(doom).build();
        let unshown = not_shown(pk, "shelving", sk.trim_start_matches(PLACES))?;
        if !self.unless_changed(vec![doom, unshown]).await? {
            return Ok(());
        }
        let record: PlacesItem = from_item(record)?;
        let keys: Vec<(String, String)> = serde_json::from_str(&record.keys).map_err(Error::internal)?;
        let deletes = keys.iter().map(|(pk, sk)| delete_request(pk, sk)).collect::<Result<_>>()?;
        self.write_all(TABLE, deletes).await?;
        self.write_all(TABLE, vec![delete_request(pk, sk)?]).await
    }

    /// Clears all that is left of a persona's listing that nobody shows any more, and last that it had one.
    pub(super) async fn forget_listing(&self, tenant: &Tenant, mode: Mode, persona: PersonaId) -> Result<()> {
        let pk = pointer_partition(tenant, persona);
        let Some(pointer): Option<Pointer> = self.get(TABLE, &pk, HEADER).await? else { return Ok(()) };
        self.clear_leftovers(mode, pointer.listing).await?;
        self.write_all(TABLE, vec![delete_request(&pk, HEADER)?]).await
    }
}

// ---- installing

impl Store {
    /// Writes a copy of a listing as a new persona, if the listing still is, and counts it once for each workspace but
    /// the publishing one: all or nothing.
    pub async fn install(
        &self,
        tenant: &Tenant,
        listing: &Listing,
        copy: &PersonaEntry,
        edition: &Edition,
        told: &webhook::Event,
    ) -> Result<Installed> {
        let pk = partition(listing.mode, listing.id);
        let own = listing.owner == tenant.workspace();
        for counted in if own { &[false][..] } else { &[true, false] } {
            let counted = *counted;
            let mut writes = self.new_persona_writes(tenant, copy, edition)?;
            let header = writes.len();
            if counted {
                writes.push(one_more_install(&pk)?);
                let marker = primary_key(&installs_partition(tenant), &listing.id.to_string());
                writes.push(put_new(&TABLE.read()?, marker)?);
            } else {
                writes.push(check(&pk, HEADER, "attribute_exists(pk)")?);
            }
            writes.extend(self.event_writes(tenant, std::slice::from_ref(told))?);
            let failed = match self.transact(writes).await {
                Ok(()) => return Ok(Installed::Yes { counted }),
                Err(Refused::Conditions(failed)) => failed,
                Err(refused) => return Err(refused.into_error()),
            };
            let failed_at = |place: usize| failed.iter().any(|(at, _)| *at == place);
            if failed_at(header) {
                return Ok(Installed::Gone);
            }
            if !failed_at(header + 1) {
                return Ok(Installed::SlugTaken);
            }
        }
        Err(Error::internal("an installation that is neither the first nor a later one"))
    }
}

fn one_more_install(pk: &str) -> Result<TransactWriteItem> {
    let update = Update::builder()
        .table_name(TABLE.read()?)
        .set_key(Some(primary_key(pk, HEADER)))
        .update_expression("SET installs = installs + :one")
        .condition_expression("attribute_exists(pk)")
        .expression_attribute_values(":one", number(1))
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().update(update).build())
}
