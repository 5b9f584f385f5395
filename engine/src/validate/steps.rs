//! Each step against its type, and its expressions against the steps that there are.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schema::check_instance;
use super::{CatalogEntry, StepCatalog};
use crate::control::ControlType;
use crate::definition::{Definition, Step};
use crate::diagnostic::Diagnostic;
use crate::expression::Expression;
use crate::plan::Plan;
use crate::step_type::StepType;

/// Step types and configs.
pub(super) fn check(definition: &Definition, catalog: &dyn StepCatalog) -> Vec<Diagnostic> {
    let steps = definition.steps.iter().enumerate();
    steps.flat_map(|(index, step)| check_step(&format!("/steps/{index}"), step, catalog)).collect()
}

fn check_step(pointer: &str, step: &Step, catalog: &dyn StepCatalog) -> Vec<Diagnostic> {
    let kind = match step.step_type.parse::<StepType>() {
        Ok(kind) => kind,
        Err(error) => {
            return vec![Diagnostic::new(
                format!("{pointer}/type"),
                "UNKNOWN_STEP_TYPE",
                error.to_string(),
            )];
        }
    };
    let mut problems = Vec::new();
    if step.limits.is_some() && !matches!(kind, StepType::Plugin(_)) {
        let message = format!("`limits` are for plugin steps; `{}` is built in", step.step_type);
        problems.push(
            Diagnostic::new(format!("{pointer}/limits"), "LIMITS_NOT_APPLICABLE", message)
                .with_help("use `timeoutMs`"),
        );
    }
    let entry = match &kind {
        StepType::Control(control) => {
            problems.extend(without_effect(pointer, step, *control));
            problems.extend(control.read(step).ok().and_then(|it| it.fault()).map(|fault| {
                Diagnostic::new(format!("{pointer}/config"), "CONFIG_INVALID", fault)
            }));
            CatalogEntry::Known { config_schema: Some(control.config_schema()) }
        }
        StepType::Native(name) => catalog.native(name),
        StepType::Plugin(reference) => catalog.plugin(reference),
    };
    match entry {
        CatalogEntry::Known { config_schema: Some(schema) } => {
            problems.extend(check_config(pointer, step, &schema));
        }
        CatalogEntry::Known { config_schema: None } | CatalogEntry::Unchecked => {}
        CatalogEntry::Unknown { help } => {
            let message = format!("there is no step type `{}`", step.step_type);
            let problem = Diagnostic::new(format!("{pointer}/type"), "UNKNOWN_STEP_TYPE", message);
            problems.push(match help {
                Some(help) => problem.with_help(help),
                None => problem,
            });
        }
    }
    problems
}

/// Fields that mean nothing on a control step: nothing is accepted that has no effect.
fn without_effect(pointer: &str, step: &Step, control: ControlType) -> Vec<Diagnostic> {
    let written = [
        ("retryPolicy", step.retry_policy.is_some()),
        ("timeoutMs", step.timeout_ms.is_some()),
        ("next", step.next.is_some() && !control.has_next()),
        ("onError", step.on_error.is_some() && !control.can_fail()),
        ("output", step.output.is_some() && !control.has_next()),
    ];
    let of_no_use = written.into_iter().filter(|(_, written)| *written);
    let problem = |(field, _)| {
        let message = format!("`{field}` has no effect on a `{control}` step");
        Diagnostic::new(format!("{pointer}/{field}"), "FIELD_WITHOUT_EFFECT", message)
            .with_help("remove it")
    };
    of_no_use.map(problem).collect()
}

/// `config` as written. Where an expression stands the value is not known yet: what the schema says about
/// such a place, or about something that contains one, is not held against it; the step type checks the
/// resolved value when it runs.
fn check_config(pointer: &str, step: &Step, schema: &Value) -> Vec<Diagnostic> {
    let config = Value::Object(step.config.clone());
    let mut problems = check_instance(schema, &config);
    problems.retain(|problem| {
        let structural = matches!(problem.code.as_str(), "UNKNOWN_FIELD" | "MISSING_FIELD");
        structural || !config.pointer(&problem.pointer).is_some_and(holds_expression)
    });
    for problem in &mut problems {
        problem.pointer = format!("{pointer}/config{}", problem.pointer);
        problem.code = match problem.code.as_str() {
            "UNKNOWN_FIELD" | "MISSING_FIELD" => problem.code.clone(),
            _ => "CONFIG_INVALID".to_owned(),
        };
    }
    problems
}

fn holds_expression(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(holds_expression),
        Value::Object(fields) => fields.values().any(holds_expression),
        _ => false,
    }
}

/// Steps that expressions name, and names that are not in scope where they stand.
pub(super) fn check_references(definition: &Definition, plan: &Plan) -> Vec<Diagnostic> {
    let ids: BTreeSet<&str> = definition.steps.iter().map(|step| step.id.as_str()).collect();
    let mut check = References { ids, problems: Vec::new() };
    for (index, step) in definition.steps.iter().enumerate() {
        let Some(planned) = plan.step(&step.id) else { continue };
        planned.for_each_expression(&mut |place, it, result_in_scope| {
            check.visit(&format!("/steps/{index}{place}"), it, result_in_scope);
        });
    }
    if let Some(output) = &plan.output {
        output.for_each_expression("/output", &mut |place, it| check.visit(place, it, false));
    }
    check.problems
}

struct References<'a> {
    ids: BTreeSet<&'a str>,
    problems: Vec<Diagnostic>,
}

impl References<'_> {
    fn visit(&mut self, pointer: &str, expression: &Expression, result_in_scope: bool) {
        for id in expression.steps_read() {
            if self.ids.contains(id.as_str()) {
                continue;
            }
            let message = format!("the expression reads step `{id}`, which does not exist");
            let problem = Diagnostic::new(pointer, "UNKNOWN_STEP", message);
            self.problems.push(match Diagnostic::did_you_mean(id, self.ids.iter().copied()) {
                Some(help) => problem.with_help(help),
                None => problem,
            });
        }
        if !result_in_scope && expression.roots_read().contains("result") {
            let message = "`result` is in scope only in a step's own `output`";
            self.problems.push(
                Diagnostic::new(pointer, "EXPRESSION_INVALID", message)
                    .with_help("read `steps['id'].output` of an earlier step"),
            );
        }
    }
}
