//! The corpus against the policy, and how opinions are weighed.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Corpus {
    blocked: BTreeMap<String, Vec<String>>,
    allowed: Vec<String>,
}

fn corpus() -> Corpus {
    serde_saphyr::from_str(include_str!("corpus.yaml")).unwrap()
}

fn alone(intent: &str) -> Decision {
    gate(intent, &Opinions::default())
}

fn said<'a>(model: &'a str, harm: &'a str) -> Opinions<'a> {
    Opinions { model: Some(ModelOpinion { model, harm }), vendor: None }
}

fn flagged(names: &[&str]) -> ModerationVerdict {
    ModerationVerdict { flagged: names.iter().map(ToString::to_string).collect() }
}

#[test]
fn what_must_be_blocked_is_blocked_in_its_category() {
    let blocked = corpus().blocked;
    assert!(blocked.values().map(Vec::len).sum::<usize>() >= 40);
    assert_eq!(blocked.len(), categories().count());
    let mut missed = Vec::new();
    for (category, sentences) in &blocked {
        for sentence in sentences {
            let decision = alone(sentence);
            if decision.allowed || decision.category.as_deref() != Some(category) {
                missed.push(format!("{category}: {sentence} -> {decision:?}"));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn what_must_pass_passes() {
    let allowed = corpus().allowed;
    assert!(allowed.len() >= 60);
    let stopped: Vec<_> = allowed
        .iter()
        .map(|sentence| (sentence, alone(sentence)))
        .filter(|(_, decision)| !decision.allowed)
        .map(|(sentence, decision)| format!("{sentence} -> {decision:?}"))
        .collect();
    assert!(stopped.is_empty(), "{}", stopped.join("\n"));
}

#[test]
fn the_harm_that_a_model_may_report_is_the_policys() {
    let schema = include_str!("../schemas/steps/intent_parse.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let told: Vec<_> = schema["properties"]["harm"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap())
        .collect();
    let known: Vec<_> = std::iter::once(NONE).chain(categories()).collect();
    assert_eq!(told, known);
}

#[test]
fn a_small_models_word_alone_blocks_nothing() {
    let decision = gate("A crime novelist from Oslo", &said("local/qwen-1.5b", "violence_incitement"));
    assert!(decision.allowed);
    assert_eq!(decision.hints, ["model:violence_incitement"]);
}

#[test]
fn two_hints_that_agree_block() {
    let vendor = flagged(&["Violence"]);
    let both = Opinions { vendor: Some(&vendor), ..said("local/qwen-1.5b", "violence_incitement") };
    let decision = gate("A man with a plan", &both);
    assert_eq!(decision.source, Some(Source::Corroborated));
    assert_eq!(decision.category.as_deref(), Some("violence_incitement"));
    let other = Opinions { vendor: Some(&vendor), ..said("local/qwen-1.5b", "hate") };
    assert!(gate("A man with a plan", &other).allowed);
    let ruled = gate("An angry neo-Nazi from Leipzig", &said("local/qwen-1.5b", "hate"));
    assert_eq!((ruled.source, ruled.rule.as_deref()), (Some(Source::Corroborated), Some("holds_hatred")));
    assert!(alone("An angry neo-Nazi from Leipzig").allowed);
}

#[test]
fn models_that_the_policy_names_are_believed_alone() {
    for model in
        ["sandbox/sandbox-1", "anthropic/claude-opus-4", "bedrock/anthropic.claude-sonnet", "openai/gpt-5"]
    {
        let decision = gate("A man with a plan", &said(model, "hate"));
        assert_eq!((decision.allowed, decision.source), (false, Some(Source::Model)), "{model}");
    }
    assert!(gate("A man", &said("sandbox/sandbox-1", NONE)).allowed);
    assert!(gate("A man", &said("sandbox/sandbox-1", "vibes")).allowed);
}

#[test]
fn a_vendors_certain_category_blocks_and_its_vague_one_does_not() {
    let certain = flagged(&["sexual/minors"]);
    let decision = gate("A man", &Opinions { model: None, vendor: Some(&certain) });
    assert_eq!(
        (decision.category.as_deref(), decision.source),
        (Some("sexual_minors"), Some(Source::Provider))
    );
    let vague = flagged(&["violence", "violence/graphic", "sexual"]);
    assert!(gate("A man", &Opinions { model: None, vendor: Some(&vague) }).allowed);
}

#[test]
fn a_block_names_category_and_remedy_and_never_the_pattern() {
    let decision = alone("A chemist who teaches people how to build a bomb");
    let error = blocked(&decision, "intent").unwrap();
    assert_eq!(error.code, Code::IntentBlocked);
    assert_eq!(error.param.as_deref(), Some("intent"));
    assert_eq!(
        error.message,
        "The intent was blocked by the moderation policy in the category \"illegal_weapons\" (making of weapons and \
         explosives). A character may know or have used weapons; it may not explain how to make them. No drafting model \
         was called."
    );
    assert!(blocked(&alone("A chemist"), "intent").is_none());
}

#[test]
fn a_decision_survives_being_recorded() {
    let decision = alone("A chemist who teaches people how to build a bomb");
    let text = serde_json::to_string(&decision).unwrap();
    assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_is_decided_without_a_fault(text in "\\PC{0,300}") {
        gate(&text, &Opinions::default());
    }

    #[test]
    fn invisible_characters_hide_nothing(at in 0_usize..46) {
        let text = "A chemist who teaches people how to build a bomb";
        let hidden = format!("{}\u{200b}{}", &text[..at], &text[at..]);
        prop_assert!(!alone(&hidden).allowed);
    }
}
