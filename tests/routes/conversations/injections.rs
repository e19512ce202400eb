//! Attempts to take the role away, against the sandbox, whose answers are simulated: what is tested is that nothing of
//! the service itself lets a caller's words through.
use tests::{
    Workspace,
    support::injections::{Place, try_all},
};

#[tokio::test]
async fn no_attempt_takes_the_role_from_the_sandbox() {
    let workspace = Workspace::test("enterprise").await;
    let place = Place::Conversation("observe".to_owned());
    let outcomes = try_all(&workspace, &place, Vec::new(), |_| {}).await;
    assert!(outcomes.len() >= 40);
    let lost: Vec<_> = outcomes
        .iter()
        .filter_map(|o| Some((o.attempt.language, &o.attempt.kind, o.gave_in.as_ref()?, &o.answer)))
        .collect();
    assert!(lost.is_empty(), "{lost:#?}");
}
