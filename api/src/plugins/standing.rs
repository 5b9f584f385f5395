//! Whether a plugin version may be used: what it asks for, against what was granted before and what the policy allows.
//!
//! A version that asks for nothing new is used at once; one that asks for more waits for somebody who approves the
//! difference; what the policy does not allow cannot be approved.

use axum::http::StatusCode;
use engine::capability::{Capability, CapabilityKind, CapabilitySet, Requested};
use engine::diagnostic::Diagnostic;
use engine::policy::PolicyPair;
use engine::signature::Statement;
use sandbox::Admitted;
use serde::Serialize;
use store::plugins::{Plugin, PluginStatus};

use crate::error::ApiError;

/// What has to happen before a version may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WaitsFor {
    /// Somebody has to approve these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) approval: Vec<Capability>,
    /// So many more keys have to sign it.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) signatures: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde takes")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl WaitsFor {
    /// Where this leaves a version.
    pub(super) fn status(&self) -> PluginStatus {
        if *self == Self::default() { PluginStatus::Active } else { PluginStatus::Pending }
    }
}

/// Everything that an upload asks for; refused where manifest and module do not go together, or where a policy does
/// not allow it.
pub(super) fn asked(
    admitted: &Admitted,
    requested: &Requested,
    policies: &PolicyPair,
) -> Result<CapabilitySet, ApiError> {
    let refused = |faults: Vec<Diagnostic>| {
        let detail = format!("the plugin asks for {} thing(s) that it cannot have", faults.len());
        ApiError::unprocessable("PLUGIN_CAPABILITIES", &detail, faults)
    };
    let set = admitted.asked(requested).map_err(refused)?;
    let forbidden = policies.refused(&set).into_iter().map(|(it, owner)| {
        let message = format!("{} does not allow plugins `{it}`", owner.policy());
        Diagnostic::new(pointer(it.kind), "CAPABILITY_NOT_ALLOWED", message).with_help(owner.help())
    });
    let forbidden: Vec<_> = forbidden.collect();
    if forbidden.is_empty() { Ok(set) } else { Err(refused(forbidden)) }
}

/// What stands between a version and its use.
pub(super) fn waits_for(
    asked: &CapabilitySet,
    granted: &CapabilitySet,
    missing_signatures: u32,
) -> WaitsFor {
    let mut approval = asked.beyond(granted, covers);
    approval.retain(|it| !it.kind.is_harmless());
    WaitsFor { approval, signatures: missing_signatures }
}

/// What stands between a stored version and its use, if it had been granted this.
pub(super) fn waits_still(
    plugin: &Plugin,
    granted: &CapabilitySet,
    policies: &PolicyPair,
) -> WaitsFor {
    let missing = policies.missing_signatures(statement(plugin), &plugin.vouches);
    waits_for(&plugin.asked, granted, missing)
}

/// What signatures of a version are about.
pub(crate) fn statement(plugin: &Plugin) -> Statement<'_> {
    Statement { name: &plugin.name, version: &plugin.version, digest: &plugin.digest }
}

/// What one version that is not yanked was granted: the one that leaves least to approve. Not what all of them were
/// together: one may have the network and another a secret, and nobody has approved both at once.
pub(super) fn granted_before(asked: &CapabilitySet, versions: &[Plugin]) -> CapabilitySet {
    versions
        .iter()
        .filter(|plugin| plugin.status != PluginStatus::Yanked)
        .filter_map(|plugin| plugin.grants.as_ref())
        .min_by_key(|granted| asked.beyond(granted, covers).len())
        .cloned()
        .unwrap_or_default()
}

/// Whether one rule of egress allows all that another does.
pub(super) fn covers(rule: &str, other: &str) -> bool {
    let parsed = |text: &str| text.parse::<egress::Rule>().ok();
    parsed(rule).zip(parsed(other)).is_some_and(|(rule, other)| rule.covers(&other))
}

fn pointer(kind: CapabilityKind) -> &'static str {
    match kind {
        CapabilityKind::Http => "/capabilities/hosts",
        CapabilityKind::Secret => "/capabilities/secrets",
        CapabilityKind::Sign => "/capabilities/sign",
        CapabilityKind::Reveal => "/capabilities/reveal",
        _ => "/capabilities",
    }
}

/// A version cannot go where it is asked to go.
pub(super) fn not_now(detail: String) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "PLUGIN_STATUS", detail)
}
