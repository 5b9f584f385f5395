//! Generated histories of generated definitions: whatever happens, in whatever order, certain things hold.
//!
//! Everything is drawn from a seed, and a failure names it: `ONLY` runs that one alone.

mod definitions;
mod laws;
mod refused;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde_json::Value;
use stateflow_engine::plan::{Plan, PluginLock};
use stateflow_engine::validate::{CatalogEntry, StepCatalog, validate_value};

use world::World;

/// Definitions, and histories of each: a hundred thousand histories in all.
const DEFINITIONS: u64 = 2_000;
const HISTORIES: u64 = 50;
/// The one seed to look into, if a failure has named one.
const ONLY: Option<u64> = None;

/// Everything is known, and nothing is checked that the step types themselves check.
struct AnyStep;

impl StepCatalog for AnyStep {
    fn native(&self, _: &str) -> CatalogEntry {
        CatalogEntry::Unchecked
    }

    fn plugin(&self, _: &stateflow_engine::step_type::PluginReference) -> CatalogEntry {
        CatalogEntry::Unchecked
    }
}

fn plan(definition: &Value) -> Arc<Plan> {
    let valid = validate_value(definition, &AnyStep);
    let definition = valid.unwrap_or_else(|problems| panic!("{problems:?}\n{definition:#}"));
    Arc::new(Plan::compile(&definition, 1, &PluginLock::new()).unwrap())
}

#[test]
fn a_hundred_thousand_histories_obey_the_laws() {
    let mut come_to = laws::Seen::default();
    for seed in (0..DEFINITIONS).filter(|seed| ONLY.is_none_or(|only| only == *seed)) {
        let lived = catch_unwind(AssertUnwindSafe(|| live(seed, &mut come_to)));
        assert!(lived.is_ok(), "see above, for seed {seed}");
    }
    if ONLY.is_none() {
        come_to.is_varied();
    }
}

fn live(seed: u64, come_to: &mut laws::Seen) {
    let mut random = SmallRng::seed_from_u64(seed);
    let definition = definitions::definition(&mut random);
    let plan = plan(&definition);
    for _ in 0..HISTORIES {
        World::new(Arc::clone(&plan), &mut random).live(come_to);
    }
}
