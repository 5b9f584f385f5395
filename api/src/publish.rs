//! From an author's text to a version that can be published: plugin types are resolved to digests, and the
//! definition is validated against what there is.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use engine::control::{ControlType, regions};
use engine::definition::{Definition, MAX_STEPS};
use engine::diagnostic::Diagnostic;
use engine::plan::{LockedPlugin, PluginLock};
use engine::policy::PolicyPair;
use engine::step_type::{PluginReference, StepType};
use engine::validate::{CatalogEntry, StepCatalog, legible, validate_text};
use native::NativeSteps;
use semver::Version;
use serde_json::Value;
use store::plugins::{Plugin, PluginStatus};

use crate::error::ApiError;
use crate::plugins::standing;
use crate::state::ApiState;

/// Versions of one plugin that are looked at.
const MAX_VERSIONS: i64 = 1_000;

/// A definition that may be published.
pub(crate) struct Publishable {
    pub(crate) definition: Definition,
    pub(crate) value: Value,
    pub(crate) lock: PluginLock,
}

/// Validates a text. `Err` is about the request; diagnostics are in the inner result.
pub(crate) async fn check(
    state: &ApiState,
    body: &[u8],
) -> Result<Result<Publishable, Vec<Diagnostic>>, ApiError> {
    let text = std::str::from_utf8(body)
        .map_err(|_| ApiError::bad_request("the definition is not UTF-8 text"))?;
    let catalog = Catalog::of(state, text).await?;
    Ok(validate_text(text, &catalog).map(|definition| Publishable {
        // It was parsed a moment ago; the value keeps the author's field order.
        value: serde_json::from_str(text).unwrap_or_default(),
        definition,
        lock: catalog.lock(),
    }))
}

/// Validates a text that has to be valid.
pub(crate) async fn require(state: &ApiState, body: &[u8]) -> Result<Publishable, ApiError> {
    check(state, body).await?.map_err(|diagnostics| {
        let too_large = diagnostics.iter().any(|it| it.code == "DEFINITION_TOO_LARGE");
        if too_large {
            return ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "DEFINITION_TOO_LARGE",
                diagnostics[0].message.clone(),
            );
        }
        let detail = format!("the definition has {} problem(s)", diagnostics.len());
        ApiError::unprocessable("DEFINITION_INVALID", &detail, diagnostics)
    })
}

/// The step types that a definition names, looked up.
struct Catalog<'a> {
    native: &'a NativeSteps,
    plugins: BTreeMap<String, Option<Resolved>>,
    /// By plugin name: which versions there are.
    known: BTreeMap<String, Vec<String>>,
}

struct Resolved {
    locked: LockedPlugin,
    config_schema: Option<Value>,
}

impl<'a> Catalog<'a> {
    async fn of(state: &'a ApiState, text: &str) -> Result<Self, ApiError> {
        let mut catalog =
            Self { native: &state.native, plugins: BTreeMap::new(), known: BTreeMap::new() };
        let mut policies = None;
        for written in step_types(text) {
            let Ok(StepType::Plugin(reference)) = written.parse() else { continue };
            if !catalog.plugins.contains_key(&written) {
                let policies = match &mut policies {
                    Some(known) => known,
                    unknown => unknown.insert(state.policies().await?),
                };
                let resolved = catalog.resolve(state, policies, &reference).await?;
                catalog.plugins.insert(written, resolved);
            }
        }
        Ok(catalog)
    }

    /// The highest version that may be used and will do. What a policy asks for by now counts, and not only what it
    /// asked for when the version came.
    async fn resolve(
        &mut self,
        state: &ApiState,
        policies: &PolicyPair,
        reference: &PluginReference,
    ) -> Result<Option<Resolved>, ApiError> {
        let stored =
            state.store.plugins(state.namespace(), Some(&reference.name), MAX_VERSIONS).await?;
        let stored: Vec<_> = stored.into_iter().map(|it| (unusable(&it, policies), it)).collect();
        let versions = stored.iter().map(|(why, plugin)| match why {
            None => plugin.version.clone(),
            Some(why) => format!("{} ({why})", plugin.version),
        });
        self.known.insert(reference.name.clone(), versions.collect());
        let usable = stored.into_iter().filter_map(|(why, plugin)| why.is_none().then_some(plugin));
        let fitting = usable.filter_map(|plugin| {
            let version = Version::parse(&plugin.version).ok()?;
            reference.requirement.matches(&version).then_some((version, plugin))
        });
        Ok(fitting.max_by(|a, b| a.0.cmp(&b.0)).map(|(_, plugin)| Resolved {
            locked: LockedPlugin { digest: plugin.digest, version: Some(plugin.version) },
            config_schema: plugin
                .description
                .get("configSchema")
                .filter(|it| !it.is_null())
                .cloned(),
        }))
    }

    fn lock(&self) -> PluginLock {
        let resolved =
            self.plugins.iter().filter_map(|(written, found)| Some((written, found.as_ref()?)));
        resolved.map(|(written, found)| (written.clone(), found.locked.clone())).collect()
    }

    fn plugin_help(&self, reference: &PluginReference) -> String {
        match self.known.get(&reference.name).filter(|versions| !versions.is_empty()) {
            Some(versions) => {
                format!("`{}` has the versions {}", reference.name, versions.join(", "))
            }
            None => {
                format!(
                    "upload it first: `stateflow plugin push FILE --name {} --version 1.0.0`",
                    reference.name
                )
            }
        }
    }
}

impl StepCatalog for Catalog<'_> {
    fn native(&self, name: &str) -> CatalogEntry {
        match self.native.get(name) {
            Some(step) => CatalogEntry::Known { config_schema: Some(step.config_schema()) },
            None => {
                let control = ControlType::ALL.map(ControlType::as_str);
                let names: Vec<_> = self.native.names().chain(control).collect();
                let help = Diagnostic::did_you_mean(name, names.iter().copied());
                let all =
                    || format!("built in are `{}`; a plugin is `team/name`", names.join("`, `"));
                CatalogEntry::Unknown { help: Some(help.unwrap_or_else(all)) }
            }
        }
    }

    fn plugin(&self, reference: &PluginReference) -> CatalogEntry {
        let found = self.plugins.iter().find(|(written, _)| {
            written
                .parse()
                .is_ok_and(|parsed: StepType| parsed == StepType::Plugin(reference.clone()))
        });
        match found {
            Some((_, Some(resolved))) => {
                CatalogEntry::Known { config_schema: resolved.config_schema.clone() }
            }
            _ => CatalogEntry::Unknown { help: Some(self.plugin_help(reference)) },
        }
    }

    fn faulty_rule(&self, rule: &str) -> Option<String> {
        rule.parse::<egress::Rule>().err().map(|error| error.to_string())
    }
}

/// Why no new workflow version may lock this one, if so.
fn unusable(plugin: &Plugin, policies: &PolicyPair) -> Option<String> {
    if plugin.status != PluginStatus::Active {
        return Some(plugin.status.as_str().to_owned());
    }
    let missing = policies.missing_signatures(standing::statement(plugin), &plugin.vouches);
    (missing > 0).then(|| format!("{missing} signature(s) missing"))
}

/// Every `type` of a step that can be read, as written, blocks included: also where validation refuses something else.
fn step_types(text: &str) -> Vec<String> {
    let regions = legible(text).map_or_else(Vec::new, |definition| regions(&definition));
    let steps = regions.into_iter().flat_map(|region| region.steps);
    steps.take(MAX_STEPS).map(|step| step.step_type).collect()
}
