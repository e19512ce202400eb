//! `GET /v1/marketplace/personas`.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, least_requests, send};

use super::{PATH, found, listed, rare, text};

/// Listings of one workspace, by title, summary and language.
async fn shelf(owner: &Workspace, listings: &[(&str, &str, &str)], tag: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for (title, summary, language) in listings {
        let card = json!({
            "spec": "chara_card_v2", "spec_version": "2.0",
            "data": {"name": title, "description": summary, "first_mes": summary},
        });
        let path = format!("/v1/personas/import?visibility=public&language={language}");
        let persona = owner.post(&path, &card).await;
        assert_eq!(persona.status, 201, "{}", persona.text);
        let body = json!({"title": title, "summary": summary, "tags": [tag]});
        ids.push(text(&listed(owner, &persona.json(), &body).await["id"]).to_owned());
    }
    ids
}

#[tokio::test]
async fn all_words_must_match_wherever_they_stand_and_titles_come_first() {
    let (owner, word) = (Workspace::test("team").await, rare());
    let ids = shelf(
        &owner,
        &[
            ("Quiet gardener", &format!("Talks to the {word} lighthouse"), "en"),
            (&format!("Lighthouse keeper {word}"), "Night after night", "en"),
            (&format!("{word} cook"), "Soup after soup", "en"),
        ],
        "Sea",
    )
    .await;
    let find = async |q: String| found(&owner, &[("q", q.as_str())]).await;
    assert_eq!(find(word.to_uppercase()).await, [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    assert_eq!(find(format!("lighthouse, {word}!")).await, [ids[1].clone(), ids[0].clone()]);
    assert_eq!(find(format!("sea soup {word}")).await, [ids[2].clone()]);
    assert_eq!(find(format!("{word} unheardof")).await, Vec::<String>::new());
    assert_eq!(find("?!".to_owned()).await, Vec::<String>::new());
}

#[tokio::test]
async fn words_are_found_in_every_script_however_they_are_written() {
    let (owner, tag) = (Workspace::test("team").await, rare());
    let ids = shelf(
        &owner,
        &[
            ("Işık Şükrü", "İstanbul'da bir sahaf", "tr"),
            ("静かな灯台守", "北の海で暮らす老人", "ja"),
            ("Ёлка Щукина", "Книжница", "ru"),
            ("คนเฝ้าประภาคาร", "ชายชรา", "th"),
            ("प्रेमचंद पाठक", "पुस्तक विक्रेता", "hi"),
        ],
        &tag,
    )
    .await;
    for (q, at) in [
        ("ISIK", 0),
        ("ışık şükrü", 0),
        ("istanbul sahaf", 0),
        ("灯台守", 1),
        ("老人", 1),
        ("елка", 2),
        ("ประภาคาร", 3),
        ("पुस्तक प्रेमचंद", 4),
    ] {
        assert_eq!(found(&owner, &[("q", q), ("tag", &tag)]).await, [ids[at].clone()], "{q}");
    }
}

#[tokio::test]
async fn language_and_tag_narrow_what_is_found() {
    let (owner, word, tag) = (Workspace::test("team").await, rare(), rare());
    let ids = shelf(
        &owner,
        &[(&word, "One", "en"), (&word, "Two", "tr"), (&word, "Three", "en")],
        &format!("{tag} Ç"),
    )
    .await;
    let tagged = format!("{} c", tag.to_uppercase());
    assert_eq!(found(&owner, &[("q", &word), ("language", "tr")]).await, [ids[1].clone()]);
    assert_eq!(
        found(&owner, &[("tag", &tagged), ("language", "en")]).await,
        [ids[2].clone(), ids[0].clone()]
    );
    assert_eq!(found(&owner, &[("tag", &tagged), ("sort", "newest")]).await.len(), 3);
    assert_eq!(found(&owner, &[("tag", &rare())]).await, Vec::<String>::new());
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat_whatever_the_order() {
    let (owner, word, tag) = (Workspace::test("team").await, rare(), rare());
    let titled: Vec<String> = (0..5).map(|n| format!("{word} part{n}")).collect();
    let listings: Vec<(&str, &str, &str)> =
        titled.iter().map(|title| (title.as_str(), "The same", "en")).collect();
    let mut ids = shelf(&owner, &listings, &tag).await;
    ids.sort();
    for filters in [
        format!("q={word}"),
        format!("q={word}+same"),
        format!("q={word}&sort=newest"),
        format!("tag={tag}"),
        format!("tag={tag}&sort=newest"),
        format!("tag={tag}&q={word}&sort=popularity"),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = owner.get(&format!("{PATH}?limit=2&{filters}{cursor}")).await;
            assert_eq!(page.status, 200, "{}", page.text);
            let page = page.json();
            seen.extend(
                page["data"].as_array().unwrap().iter().map(|listing| text(&listing["id"]).to_owned()),
            );
            assert_eq!(page["has_more"], page["next_cursor"].is_string());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        seen.sort();
        assert_eq!(seen, ids, "{filters}");
    }
    let newest = owner.all_where(PATH, "sort=newest").await;
    assert!(newest.windows(2).all(|pair| pair[0]["id"].as_str() > pair[1]["id"].as_str()));
}

#[tokio::test]
async fn a_search_takes_as_many_requests_as_it_has_words_whatever_is_there() {
    let owner = Workspace::test("team").await;
    let word = rare();
    shelf(&owner, &[(&word, "One two three", "en")], "Sea").await;
    for (filters, requests) in [
        (String::new(), 3),
        (format!("?q={word}"), 3),
        (format!("?q={word}+two"), 4),
        (format!("?q={word}+two&tag=sea&language=en"), 5),
        ("?q=!!".to_owned(), 1),
    ] {
        let search = |_| owner.call(Method::GET, &format!("{PATH}{filters}"));
        assert_eq!(least_requests(search).await, requests, "{filters}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let workspace = Workspace::test("team").await;
    let long = "x".repeat(201);
    for (name, value, said) in [
        ("sort", "cheapest", "cheapest"),
        ("sort", "relevance", "relevance"),
        ("q", long.as_str(), "201 characters"),
        ("q", "a1 a2 a3 a4 a5 a6 a7 a8 a9", "9 words"),
        ("language", "xx", "xx"),
        ("tag", &long[..33], "33 characters"),
        ("limit", "101", "101"),
        ("author", "me", "author"),
    ] {
        let answer = send(workspace.call(Method::GET, PATH).query(&[(name, value)])).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "request.invalid"),
            "{name}={value}"
        );
        let error = &answer.json()["error"];
        assert_eq!(error["param"], name);
        assert!(text(&error["message"]).contains(said), "{error}");
    }
}

#[tokio::test]
async fn forged_truncated_and_foreign_cursors_are_refused() {
    let (owner, other, tag) = (Workspace::test("team").await, Workspace::test("team").await, rare());
    shelf(&owner, &[("One", "One", "en"), ("Two", "Two", "en")], &tag).await;
    let filters = format!("tag={tag}&limit=1");
    let page: Value = owner.get(&format!("{PATH}?{filters}")).await.json();
    let cursor = text(&page["next_cursor"]);
    assert_eq!(owner.get(&format!("{PATH}?{filters}&cursor={cursor}")).await.status, 200);
    let mut forged = cursor.to_owned();
    forged.replace_range(3..4, if &cursor[3..4] == "A" { "B" } else { "A" });
    for (workspace, filters, cursor) in [
        (&owner, filters.as_str(), forged.as_str()),
        (&owner, &filters, &cursor[..cursor.len() - 4]),
        (&owner, &filters, &cursor[..20]),
        (&owner, &filters, "!"),
        (&owner, "limit=1", cursor),
        (&owner, &format!("{filters}&sort=newest"), cursor),
        (&other, &filters, cursor),
    ] {
        let answer = workspace.get(&format!("{PATH}?{filters}&cursor={cursor}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "request.invalid"),
            "{filters} {cursor}"
        );
    }
    let elsewhere = owner.get(&format!("/v1/personas?limit=1&cursor={cursor}")).await;
    assert_eq!(elsewhere.status, 400);
}
