//! Secrets for `plugin run`: values from files, for what the manifest asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use egress::Rule;
use engine::callback::CallbackKey;
use engine::capability::{CapabilityKind, CapabilitySet};
use engine::placeholder::Placeholders;
use secrets::holder::Names;
use secrets::secret::check_name;
use secrets::{Holder, Opened, Reach, Secret, SecretValue};
use uuid::Uuid;

use crate::commands::secrets::drop_newline;
use crate::output::Usage;

/// What the plugin may do with the secrets that are given, as `NAME=@FILE`: what its manifest asks for, and send them
/// wherever it may send requests to.
pub(super) fn holder(
    given: &[String],
    asked: &CapabilitySet,
    rules: &[Rule],
) -> anyhow::Result<Arc<Holder>> {
    let mut all = BTreeMap::new();
    for it in given {
        let (name, value) = read(it)?;
        all.insert(name, Secret { value, rules: rules.to_vec() });
    }
    let names = |kind| Names::Only(asked.subjects(kind).map(str::to_owned).collect());
    let reach = Reach {
        send: names(CapabilityKind::Secret),
        sign: names(CapabilityKind::Sign),
        reveal: names(CapabilityKind::Reveal),
    };
    let placeholders = Placeholders::of(CallbackKey::new(rand::random()), Uuid::now_v7());
    Ok(Arc::new(Holder::new(placeholders, Arc::new(Opened::new(all)), reach)))
}

/// Not from the argument itself: other users of the machine could see it.
fn read(given: &str) -> anyhow::Result<(String, SecretValue)> {
    let Some((name, file)) = given.split_once("=@") else {
        return Err(Usage(format!("--secret {given}: write NAME=@FILE")).into());
    };
    check_name(name).map_err(|error| Usage(format!("--secret {name}: {error}")))?;
    let mut text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the secret `{name}` from {file}"))?;
    drop_newline(&mut text);
    let value = SecretValue::new(text).with_context(|| format!("the secret `{name}`"))?;
    Ok((name.to_owned(), value))
}
