//! Holds the `[[bin]]` list, the cargo-lambda router and `template.yaml` equal to the catalogue.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{ROUTES, WORKERS};

fn bins() -> BTreeSet<String> {
    ROUTES
        .iter()
        .map(|route| route.bin)
        .chain(WORKERS.iter().map(|worker| worker.bin))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_lambda_has_its_binary_and_no_other_exists() {
    let manifest = include_str!("Cargo.toml");
    let section = manifest.split("[[bin]]").skip(1);
    let named: BTreeSet<String> = section.map(|bin| bin.split('"').nth(1).unwrap().to_owned()).collect();
    assert_eq!(named, bins());
}

#[test]
fn the_local_router_sends_every_route_to_its_binary() {
    let manifest = include_str!("../Cargo.toml");
    let router = manifest.split("[workspace.metadata.lambda.watch.router]").nth(1).unwrap();
    let mut routed = BTreeMap::new();
    for line in router.lines().filter(|line| line.starts_with('"')) {
        let path = line.split('"').nth(1).unwrap();
        for entry in line.split("method = ").skip(1) {
            let quoted: Vec<&str> = entry.split('"').collect();
            routed.insert((path.to_owned(), quoted[1].to_owned()), quoted[3].to_owned());
        }
    }
    for route in ROUTES {
        let key = (route.path.to_owned(), route.method.to_owned());
        assert_eq!(routed.remove(&key).as_deref(), Some(route.bin), "{} {}", route.method, route.path);
    }
    assert!(
        routed.values().all(|function| function == "fallback"),
        "only the fallback may have more: {routed:?}"
    );
}

#[test]
fn the_template_has_a_function_for_every_lambda() {
    let template = include_str!("../template.yaml");
    let binaries: BTreeSet<String> = template
        .split("Binary: ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '}', '\n']).next())
        .map(str::to_owned)
        .collect();
    assert_eq!(binaries, bins());
}

#[test]
fn every_body_schema_is_json_and_closed() {
    for route in ROUTES {
        if let Some(text) = route.body {
            let schema: Value = serde_json::from_str(text).unwrap();
            assert_eq!(schema["additionalProperties"], false, "{}", route.bin);
        }
    }
}
