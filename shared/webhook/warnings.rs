//! What no call causes: a key that ends soon, a budget that is nearly spent. The reaper finds them (`store::reminders`) and
//! tells of them here, each event in one transaction with the note that it was told.

use super::{Event, work::announce};
use crate::{
    Usd,
    app::App,
    clock::{days, millis, timestamp, timestamp_of},
    error::Result,
    id::KeyId,
    store::{
        reminders::{Spending, Standing},
        webhooks::Due,
    },
    tenant::Tenant,
};

/// Shares of a month's budget that the workspace is told of, in percent.
const THRESHOLDS: [i64; 2] = [80, 100];

/// Tells of a key that ends soon, and again after a day; of one that is used no more, nobody is told.
pub(super) async fn of_key(app: &App, tenant: &Tenant, key: KeyId) -> Result<()> {
    let (store, now) = (app.store().await, app.clock().now());
    let record = store.key(tenant, key).await?;
    let Some(record) = record.filter(|record| record.is_in_use(millis(now))) else {
        return store.forget(&Due::Key(*tenant, key)).await;
    };
    let ends = timestamp_of(record.ends_millis);
    let event = Event::key_expiring(key, &record.name, &record.masked, &ends, &timestamp(now));
    if store.tell_of_key(tenant, key, &event, millis(now), millis(now + days(1))).await? {
        announce(app, tenant, &[event]).await;
    }
    Ok(())
}

/// Tells of each threshold that the spending has reached, once for a month and a budget.
pub(super) async fn of_month(app: &App, tenant: &Tenant, spending: &Spending) -> Result<()> {
    let (store, at, now) = (app.store().await, app.clock().timestamp(), app.clock().epoch_millis());
    let Some(held) = store.hold_month(tenant, spending, now).await? else { return Ok(()) };
    let due = Due::Month(*tenant, held);
    let Some(standing) = store.month_standing(tenant, &spending.month).await? else {
        return store.forget(&due).await;
    };
    let Standing { cap, spent, .. } = standing;
    let reached = reached(&standing);
    if let Some(most) = reached.last() {
        let event = |percent: &i64| {
            let share = *percent as f64 / 100.0;
            Event::budget_threshold_reached(&spending.month, share, cap, spent, &at)
        };
        let events: Vec<Event> = reached.iter().map(event).collect();
        if !store.tell_of_month(tenant, spending, &standing, *most, &events).await? {
            // Another was faster. What is so now, a later sweep sees.
            return Ok(());
        }
        announce(app, tenant, &events).await;
    }
    store.forget(&due).await
}

/// The thresholds that are reached, and that the workspace has not been told of for this budget, the lowest first.
fn reached(standing: &Standing) -> Vec<i64> {
    let share = percent(standing.spent, standing.cap);
    let told = standing.told.filter(|told| told.cap == standing.cap).map_or(0, |told| told.percent);
    THRESHOLDS.into_iter().filter(|threshold| (told + 1..=share).contains(threshold)).collect()
}

/// To the nearest percent: what is left of a budget is hardly ever nothing, because a run that might cost more is refused.
fn percent(spent: Usd, cap: Usd) -> i64 {
    let (spent, cap) = (i128::from(spent.micros()), i128::from(cap.micros()).max(1));
    ((spent * 100 + cap / 2) / cap) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::reminders::Told;

    fn after(spent: i64, told: Option<(i64, i64)>) -> Vec<i64> {
        let told = told.map(|(percent, cap)| Told { percent, cap: Usd::from_micros(cap) });
        reached(&Standing { cap: Usd::from_micros(1_000), spent: Usd::from_micros(spent), told })
    }

    #[test]
    fn each_threshold_is_told_of_once_for_a_budget() {
        assert!(after(0, None).is_empty() && after(794, None).is_empty());
        assert_eq!(after(795, None), [80]);
        assert_eq!(after(1_200, None), [80, 100], "passed at one stroke, which a lowered budget is");
        assert!(after(900, Some((80, 1_000))).is_empty() && after(2_000, Some((100, 1_000))).is_empty());
        assert_eq!(after(995, Some((80, 1_000))), [100]);
        assert_eq!(after(900, Some((100, 500))), [80], "that was another budget");
    }
}
