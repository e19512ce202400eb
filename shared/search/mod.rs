//! Web search for personas, in the three shapes that search services speak, and simulated for test mode. Results are
//! data from strangers: bounded here, quoted as data where a model reads them.

use std::{sync::OnceLock, time::Duration};

use reqwest::{Client, RequestBuilder, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Results that a model is shown, at most.
const RESULTS: usize = 5;
/// The longest excerpt of a result, in characters.
const EXCERPT: usize = 400;
/// The longest title, in characters.
const TITLE: usize = 120;
/// The longest query, in characters.
const QUERY: usize = 200;
/// The largest answer that is read, in bytes.
const ANSWER: usize = 512 * 1024;
const TIMEOUT: Duration = Duration::from_secs(8);

/// Whose API a search service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchKind {
    /// SearXNG's JSON form; needs a `base_url`.
    Searxng,
    /// Brave Search.
    Brave,
    /// Tavily.
    Tavily,
}

/// A configured search service. `Debug` shows no key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    /// Its dialect.
    pub kind: SearchKind,
    /// Where it is, when not at the vendor's own address.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Its key; SearXNG needs none.
    #[serde(default)]
    pub api_key: Option<SecretString>,
}

/// A page that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its title.
    pub title: String,
    /// Its address, http or https.
    pub url: String,
    /// What it says, shortened.
    pub excerpt: String,
}

/// Why nothing was found. For the log; it names neither key nor query.
#[derive(Debug, thiserror::Error)]
#[error("web search: {0}")]
pub struct SearchFailed(String);

/// A search service.
#[derive(Debug)]
pub struct Search {
    /// `None` for the simulation.
    config: Option<SearchConfig>,
    client: OnceLock<Client>,
}

impl Search {
    /// The service as configured. No connection is made yet.
    pub fn new(config: SearchConfig) -> Self {
        Self { config: Some(config), client: OnceLock::new() }
    }

    /// The search of test mode: it asks nobody, and its one result says so.
    pub fn simulated() -> Self {
        Self { config: None, client: OnceLock::new() }
    }

    /// The best pages for `query`, at most five, shortened.
    pub async fn find(&self, query: &str) -> Result<Vec<Found>, SearchFailed> {
        let query: String = query.trim().chars().take(QUERY).collect();
        if query.is_empty() {
            return Err(SearchFailed("the query is empty".to_owned()));
        }
        let Some(config) = &self.config else { return Ok(vec![simulation(&query)]) };
        let mut response = self.request(config, &query)?.send().await.map_err(|error| unreachable(&error))?;
        if !response.status().is_success() {
            return Err(SearchFailed(format!("status {}", response.status().as_u16())));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| unreachable(&error))? {
            body.extend_from_slice(&piece);
            if body.len() > ANSWER {
                return Err(SearchFailed("the answer is too large".to_owned()));
            }
        }
        let answer: Value =
            serde_json::from_slice(&body).map_err(|_| SearchFailed("the answer is not JSON".to_owned()))?;
        Ok(read(config.kind, &answer))
    }

    fn request(&self, config: &SearchConfig, query: &str) -> Result<RequestBuilder, SearchFailed> {
        let client = self.client()?;
        let key = config.api_key.as_ref().map(ExposeSecret::expose_secret);
        let base = |own: &str| config.base_url.as_deref().unwrap_or(own).trim_end_matches('/').to_owned();
        Ok(match config.kind {
            SearchKind::Searxng => {
                let request = client.get(format!("{}/search", base("http://127.0.0.1:8888")));
                request.query(&[("q", query), ("format", "json")])
            }
            SearchKind::Brave => {
                let url = format!("{}/res/v1/web/search", base("https://api.search.brave.com"));
                let request = client.get(url).query(&[("q", query), ("count", "5")]);
                request
                    .header("accept", "application/json")
                    .header("x-subscription-token", key.unwrap_or_default())
            }
            SearchKind::Tavily => {
                let url = format!("{}/search", base("https://api.tavily.com"));
                let body = json!({"query": query, "max_results": RESULTS, "search_depth": "basic"});
                client.post(url).bearer_auth(key.unwrap_or_default()).json(&body)
            }
        })
    }

    fn client(&self) -> Result<&Client, SearchFailed> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).build();
        let made = made.map_err(|error| unreachable(&error))?;
        Ok(self.client.get_or_init(|| made))
    }
}

fn simulation(query: &str) -> Found {
    Found {
        title: "Simulated result".to_owned(),
        url: "https://example.com/simulated".to_owned(),
        excerpt: format!("Test mode searches nothing. It was asked for \"{query}\"."),
    }
}

fn read(kind: SearchKind, answer: &Value) -> Vec<Found> {
    let (rows, excerpt) = match kind {
        SearchKind::Searxng | SearchKind::Tavily => (&answer["results"], "content"),
        SearchKind::Brave => (&answer["web"]["results"], "description"),
    };
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| found(row, excerpt)).take(RESULTS).collect()
}

fn found(row: &Value, excerpt: &str) -> Option<Found> {
    let text = |key: &str, most: usize| plain(row[key].as_str().unwrap_or_default(), most);
    let url = row["url"].as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://"))?;
    Some(Found {
        title: text("title", TITLE),
        url: url.chars().take(300).collect(),
        excerpt: text(excerpt, EXCERPT),
    })
}

/// Text without tags, control characters and runs of blanks.
fn plain(text: &str, most: usize) -> String {
    let mut plain = String::new();
    let mut tag = false;
    for c in text.chars() {
        match c {
            '<' => tag = true,
            '>' if tag => tag = false,
            _ if tag => {}
            c if c.is_whitespace() || c.is_control() => {
                if !plain.ends_with(' ') {
                    plain.push(' ');
                }
            }
            c => plain.push(c),
        }
    }
    plain.trim().chars().take(most).collect()
}

fn unreachable(error: &reqwest::Error) -> SearchFailed {
    SearchFailed(if error.is_timeout() { "timed out" } else { "no answer" }.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use proptest::prelude::*;

    use super::*;

    fn kind(name: &str) -> SearchKind {
        serde_json::from_value(json!(name)).unwrap()
    }

    #[test]
    fn each_shape_is_read() {
        let page = |excerpt: &str| json!({"title": "T", "url": "https://a.example/", excerpt: "<b>What</b>\n it  says"});
        let answers = [
            ("searxng", json!({"results": [page("content")]})),
            ("brave", json!({"web": {"results": [page("description")]}})),
            ("tavily", json!({"results": [page("content")]})),
        ];
        for (name, answer) in answers {
            let found = read(kind(name), &answer);
            let wanted =
                Found { title: "T".into(), url: "https://a.example/".into(), excerpt: "What it says".into() };
            assert_eq!(found, [wanted], "{name}");
        }
    }

    #[test]
    fn results_are_few_and_short_and_lead_to_the_web() {
        let row = |n: usize| json!({"title": "x".repeat(900), "url": format!("https://a.example/{n}"), "content": "y".repeat(9000)});
        let mut rows: Vec<Value> = (0..40).map(row).collect();
        rows.insert(0, json!({"title": "no", "url": "javascript:alert(1)", "content": ""}));
        let found = read(kind("searxng"), &json!({"results": rows}));
        assert_eq!(found.len(), RESULTS);
        assert!(found.iter().all(|f| f.title.len() == TITLE && f.excerpt.len() == EXCERPT));
        assert!(found.iter().all(|f| f.url.starts_with("https://")));
    }

    proptest! {
        #[test]
        fn whatever_a_service_says_is_cut_to_size(text: String) {
            prop_assert!(plain(&text, EXCERPT).chars().count() <= EXCERPT);
            prop_assert!(!plain(&text, EXCERPT).contains('\n'));
        }
    }
}
