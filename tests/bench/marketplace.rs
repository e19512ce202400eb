//! What a search takes over ten thousand listings, and that it makes no more requests than over five hundred.

use std::{env, time::Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, stream};
use persona::{
    id::{ListingId, PersonaId, RevisionId, WorkspaceId},
    key::Mode,
    marketplace::{Listing, Wording, shelves::step},
    store::Store,
};
use reqwest::Method;
use tests::{Workspace, send};

use crate::figures::{Row, Samples, Unit};

const FEW: usize = 500;
const MANY: usize = 10_000;
/// The emulator is one process; more at once only queue there.
const AT_ONCE: usize = 8;
const SAMPLES: usize = 20;
const LIMIT_MILLIS: f64 = 150.0;

/// Syllables of the made-up words: a thousand of them, of which the first come far more often than the last, as in any text.
const SYLLABLES: [&str; 10] = ["ka", "lo", "mi", "ren", "ta", "vo", "sel", "du", "har", "pin"];
const WORDS: u64 = 1_000;
const TAGS: [&str; 12] = [
    "Noir",
    "Slice of life",
    "Fantasy",
    "Mentor",
    "Historical",
    "Comedy",
    "Sea",
    "Science",
    "Villain",
    "Romance",
    "Horror",
    "Work",
];
const LANGUAGES: [(&str, u64); 4] = [("en", 60), ("tr", 80), ("de", 92), ("ja", 100)];

/// Each kind of search, and what it asks.
const SEARCHES: [(&str, &str); 9] = [
    ("everything, most installed first", "limit=20"),
    ("everything, newest first", "limit=20&sort=newest"),
    ("a language", "language=tr"),
    ("a tag", "tag=slice+of+life"),
    ("the commonest word", "q=kakaka"),
    ("a rare word", "q=duselmi"),
    ("three common words", "q=kakaka+kakalo+kakami"),
    ("two words, a tag, a language", "q=kakaka+kakalo&tag=noir&language=en"),
    ("a hundred of two words, newest first", "q=kakaka+kakalo&sort=newest&limit=100"),
];

/// The rows.
pub(crate) async fn measure() -> Vec<Row> {
    let filler = Filler::new().await;
    let workspace = Workspace::live("enterprise").await;
    filler.fill(0..FEW).await;
    let few = searched(&workspace).await;
    let begun = Instant::now();
    filler.fill(FEW..MANY).await;
    let filled = begun.elapsed();
    let many = searched(&workspace).await;
    let all: Samples = many.iter().flat_map(|kind| kind.millis.iter().copied()).collect();
    let mut rows = vec![
        Row::shown(
            "marketplace: writing a listing with its places on the shelves",
            &[filled.as_secs_f64() * 1e3 / (MANY - FEW) as f64].into_iter().collect(),
            Unit::Millis,
        ),
        Row::within(
            "marketplace: a search over 10,000 listings",
            &all,
            Unit::Millis,
            (LIMIT_MILLIS, LIMIT_MILLIS),
        ),
    ];
    for (kind, few) in many.iter().zip(&few) {
        let name = format!("marketplace: {}", kind.name);
        rows.push(Row::within(
            &name,
            &kind.millis.iter().copied().collect(),
            Unit::Millis,
            (LIMIT_MILLIS, LIMIT_MILLIS),
        ));
        let name = format!("{name}: DynamoDB requests, {:.0} over 500 listings", few.requests[0]);
        rows.push(Row::all_equal(
            &name,
            &kind.requests.iter().copied().collect(),
            Unit::Count,
            few.requests[0],
        ));
    }
    rows
}

struct Kind {
    name: &'static str,
    millis: Vec<f64>,
    requests: Vec<f64>,
}

async fn searched(workspace: &Workspace) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (name, query) in SEARCHES {
        let (mut millis, mut requests, mut cursor) = (Vec::new(), Vec::new(), String::new());
        for sample in 0..=SAMPLES {
            let path = format!("/v1/marketplace/personas?{query}{cursor}");
            let begun = Instant::now();
            let answer = send(workspace.call(Method::GET, &path)).await;
            let took = begun.elapsed().as_secs_f64() * 1e3;
            assert!(answer.status.is_success(), "{path}: {}", answer.text);
            // The first may start a process.
            if sample > 0 {
                millis.push(took);
                requests.push(answer.store_requests() as f64);
            }
            // Deeper and deeper, as far as it goes.
            let next = answer.json()["next_cursor"].as_str().map(|next| format!("&cursor={next}"));
            cursor = next.unwrap_or_default();
        }
        kinds.push(Kind { name, millis, requests });
    }
    kinds
}

/// Writes listings as a publication does, without a persona behind them.
struct Filler {
    store: Store,
    client: aws_sdk_dynamodb::Client,
    table: String,
    owner: WorkspaceId,
}

impl Filler {
    async fn new() -> Self {
        let aws = aws_config::load_from_env().await;
        #[expect(
            clippy::disallowed_methods,
            reason = "headers are shown together with a persona, and here is none"
        )]
        let client = aws_sdk_dynamodb::Client::new(&aws);
        let table = env::var("MARKETPLACE_TABLE").expect("MARKETPLACE_TABLE: use `make bench`");
        Self { store: Store::new(&aws), client, table, owner: WorkspaceId::new() }
    }

    async fn fill(&self, numbers: std::ops::Range<usize>) {
        let written = numbers.map(|number| self.write(listing(number as u64, self.owner)));
        stream::iter(written).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }

    async fn write(&self, listing: Listing) {
        self.store.shelve(&listing, None).await.expect("places");
        let mut header: std::collections::HashMap<String, AttributeValue> =
            serde_dynamo::to_item(&listing).expect("an item");
        header.insert("pk".to_owned(), AttributeValue::S(format!("MKT#live#{}", listing.id)));
        header.insert("sk".to_owned(), AttributeValue::S("LISTING".to_owned()));
        self.client.put_item().table_name(&self.table).set_item(Some(header)).send().await.expect("a header");
    }
}

/// The same listing for the same number.
fn listing(number: u64, owner: WorkspaceId) -> Listing {
    let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut words = |count: u64| (0..count).map(|_| word(dice.early(WORDS))).collect::<Vec<_>>().join(" ");
    let (title, summary) = (words(3), words(14));
    let share = dice.below(100);
    let language = LANGUAGES.iter().find(|(_, below)| share < *below).map_or("en", |(code, _)| code);
    let tags = (0..3).map(|_| TAGS[dice.early(TAGS.len() as u64) as usize].to_owned()).collect();
    let installs = dice.early(3_000);
    let revision = RevisionId::new();
    Listing {
        id: ListingId::new(),
        mode: Mode::Live,
        owner,
        persona_id: PersonaId::new(),
        persona_version: 1,
        wording: Wording::default(),
        title,
        summary,
        tags,
        language: language.to_owned(),
        version: 1,
        snapshot: revision,
        shelving: revision,
        step: step(installs),
        installs,
        created_at: "2026-11-01T00:00:00.000Z".to_owned(),
        updated_at: "2026-11-01T00:00:00.000Z".to_owned(),
    }
}

/// Three syllables of a number.
fn word(number: u64) -> String {
    [number / 100, number / 10 % 10, number % 10].iter().map(|at| SYLLABLES[*at as usize % 10]).collect()
}

/// The same throws for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    /// Small numbers far more often than large ones: the first of a thousand comes in one throw of ten.
    fn early(&mut self, most: u64) -> u64 {
        let share = self.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        ((most as f64).powf(share) - 1.0) as u64
    }
}
