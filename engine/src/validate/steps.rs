//! Each step against its type, and its expressions against the steps that there are.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::order::{Order, Reader};
use super::schema::{self, check_schema};
use super::{CatalogEntry, Doubts, StepCatalog};
use crate::control::{Approval, Control, ControlType, Region};
use crate::definition::{Definition, Step};
use crate::diagnostic::Diagnostic;
use crate::expression::{Expression, child};
use crate::plan::Plan;
use crate::step_type::StepType;
use crate::trigger::EventTrigger;

/// Step types and configs.
pub(super) fn check(regions: &[Region], catalog: &dyn StepCatalog) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for region in regions {
        for (index, step) in region.steps.iter().enumerate() {
            let pointer = format!("{}/steps/{index}", region.pointer);
            problems.extend(check_step(&pointer, step, catalog));
        }
    }
    problems
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
    let hosts = step.limits.iter().flat_map(|limits| limits.hosts.iter().flatten()).enumerate();
    problems.extend(hosts.filter_map(|(at, rule)| {
        let pointer = format!("{pointer}/limits/hosts/{at}");
        let message = format!("`{rule}`: {}", catalog.faulty_rule(rule)?);
        Some(Diagnostic::new(pointer, "EGRESS_RULE_INVALID", message))
    }));
    let entry = match &kind {
        StepType::Control(control) => {
            problems.extend(without_effect(pointer, step, *control));
            problems.extend(check_control(pointer, step, *control));
            CatalogEntry::Unchecked
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

/// What the engine itself has to read before anything runs, and its schema cannot say.
fn check_control(pointer: &str, step: &Step, control: ControlType) -> Vec<Diagnostic> {
    let invalid =
        |message: String| Diagnostic::new(format!("{pointer}/config"), "CONFIG_INVALID", message);
    match control.read(step) {
        Ok(Control::Approval(Approval { form_schema: Some(schema), .. })) => {
            check_schema("formSchema", &format!("{pointer}/config/formSchema"), &schema)
                .into_iter()
                .collect()
        }
        Ok(control) => control.fault().map(|fault| invalid(fault.to_owned())).into_iter().collect(),
        Err(error) => vec![invalid(error.to_string())],
    }
}

/// Fields that mean nothing on a control step: nothing is accepted that has no effect.
fn without_effect(pointer: &str, step: &Step, control: ControlType) -> Vec<Diagnostic> {
    let written = [
        ("retryPolicy", step.retry_policy.is_some() && !control.has_children()),
        ("timeoutMs", step.timeout_ms.is_some() && !control.has_children()),
        ("next", step.next.is_some() && !control.has_next()),
        ("onError", step.on_error.is_some() && !control.can_fail()),
        ("output", step.output.is_some() && !control.has_next()),
        ("compensate", step.compensate.is_some() && !control.has_next()),
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
    let mut problems = schema::check_config(schema, &config);
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

pub(super) fn holds_expression(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(holds_expression),
        Value::Object(fields) => fields.values().any(holds_expression),
        _ => false,
    }
}

/// Constants are taken as they stand, so an expression in one would be text.
pub(super) fn check_vars(definition: &Definition) -> Vec<Diagnostic> {
    fn find(pointer: &str, value: &Value, problems: &mut Vec<Diagnostic>) {
        match value {
            Value::String(text) if text.contains("${") => {
                let message = "`vars` are constants, this one holds `${`";
                problems.push(
                    Diagnostic::new(pointer, "VAR_NOT_CONSTANT", message)
                        .with_help("compute it in a `transform` step"),
                );
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items.for_each(|(at, item)| find(&format!("{pointer}/{at}"), item, problems));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(name, it)| find(&child(pointer, name), it, problems));
            }
            _ => {}
        }
    }
    let mut problems = Vec::new();
    for (name, value) in &definition.vars {
        find(&child("/vars", name), value, &mut problems);
    }
    problems
}

/// Steps and constants that expressions name, and names that are not in scope where they stand.
pub(super) fn check_references(order: &Order<'_>, plan: &Plan, doubts: &Doubts) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for (at, region) in order.regions.iter().enumerate() {
        let Some(plan) = plan.region(region.name.as_deref()) else { continue };
        let mut check = References {
            order,
            reader: Reader { region: at, step: None },
            ids: in_scope(order.regions, region),
            vars: &plan.vars,
            has_item: region.has_item,
            doubts,
            problems,
        };
        for (index, step) in region.steps.iter().enumerate() {
            // Of steps with the same id, only one is planned.
            let planned = plan.step(&step.id).filter(|planned| planned.step == *step);
            let Some(planned) = planned else { continue };
            check.reader.step = Some(&step.id);
            planned.for_each_expression(&mut |place, it, result_in_scope| {
                let pointer = format!("{}/steps/{index}{place}", region.pointer);
                check.visit(&pointer, it, result_in_scope);
                if !(takes_secrets(&planned.kind) && place.starts_with("/config")) {
                    check.problems.extend(misplaced_secrets(&pointer, it));
                }
            });
        }
        check.reader.step = None;
        if let Some(output) = &plan.output {
            let place = format!("{}/output", region.pointer);
            output.for_each_expression(&place, &mut |place, it| {
                check.visit(place, it, false);
                check.problems.extend(misplaced_secrets(place, it));
            });
        }
        problems = check.problems;
    }
    problems
}

/// What triggers read: there is an event, there are constants, and nothing else yet.
pub(super) fn check_triggers(definition: &Definition, doubts: &Doubts) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let known = ["event", "vars"];
    for (place, trigger) in definition.all_triggers() {
        // What cannot be parsed is reported with the plan.
        let Ok(Some(trigger)) = EventTrigger::parse(trigger) else { continue };
        trigger.for_each_expression(&mut |at, expression| {
            let pointer = format!("{place}{at}");
            problems.extend(unknown_vars(&pointer, expression, &definition.vars, doubts));
            problems.extend(misplaced_secrets(&pointer, expression));
            let roots = expression.roots_read().iter();
            for root in roots.filter(|root| !known.contains(&root.as_str())) {
                let message =
                    format!("`{root}` is not in scope in a trigger, only `event` and `vars` are");
                problems.push(Diagnostic::new(&*pointer, "EXPRESSION_INVALID", message));
            }
        });
    }
    problems
}

/// Whoever else got a placeholder would keep it, or take it for the secret.
fn takes_secrets(kind: &StepType) -> bool {
    match kind {
        StepType::Native(name) => name == "http",
        StepType::Plugin(_) => true,
        StepType::Control(_) => false,
    }
}

/// Secrets where none may stand.
fn misplaced_secrets(pointer: &str, expression: &Expression) -> Option<Diagnostic> {
    let name = expression.secrets_named().first()?;
    let message = format!(
        "`secret('{name}')` stands where a secret may not: only in the `config` of `http` steps and of plugins"
    );
    let problem = Diagnostic::new(pointer, "SECRET_NOT_ALLOWED", message);
    Some(problem.with_help("move it into the config of the step that sends it"))
}

/// The steps of a region, and of those around it.
fn in_scope<'a>(regions: &'a [Region], region: &'a Region) -> BTreeSet<&'a str> {
    let outer = |region: &&'a Region| region.around.and_then(|at| regions.get(at));
    let all = std::iter::successors(Some(region), outer);
    all.flat_map(|region| region.steps.iter().map(|step| step.id.as_str())).collect()
}

/// Constants that an expression names and that there are not.
fn unknown_vars(
    pointer: &str,
    expression: &Expression,
    vars: &Map<String, Value>,
    doubts: &Doubts,
) -> Vec<Diagnostic> {
    let is_known = |name: &str| vars.contains_key(name) || doubts.may_know(name);
    let unknown = expression.vars_read().iter().filter(|name| !is_known(name));
    let problem = |name: &String| {
        let message = format!("there is no `{name}` among the definition's `vars`");
        let problem = Diagnostic::new(pointer, "UNKNOWN_VAR", message);
        match Diagnostic::did_you_mean(name, vars.keys().map(String::as_str)) {
            Some(help) => problem.with_help(help),
            None => problem,
        }
    };
    unknown.map(problem).collect()
}

struct References<'a> {
    order: &'a Order<'a>,
    reader: Reader<'a>,
    ids: BTreeSet<&'a str>,
    vars: &'a Map<String, Value>,
    has_item: bool,
    doubts: &'a Doubts,
    problems: Vec<Diagnostic>,
}

impl References<'_> {
    fn visit(&mut self, pointer: &str, expression: &Expression, result_in_scope: bool) {
        for id in expression.steps_read() {
            if self.ids.contains(id.as_str()) || self.doubts.may_know(id) {
                continue;
            }
            if let Some((message, help)) = self.order.elsewhere(id, self.reader) {
                let problem = Diagnostic::new(pointer, "UNKNOWN_STEP", message);
                self.problems.push(problem.with_help(help));
                continue;
            }
            let message = format!(
                "the expression reads step `{id}`, which there is not in its block or around it"
            );
            let problem = Diagnostic::new(pointer, "UNKNOWN_STEP", message);
            self.problems.push(match Diagnostic::did_you_mean(id, self.ids.iter().copied()) {
                Some(help) => problem.with_help(help),
                None => problem,
            });
        }
        self.problems.extend(self.order.check(pointer, expression, self.reader));
        self.problems.extend(unknown_vars(pointer, expression, self.vars, self.doubts));
        let roots = expression.roots_read();
        if roots.contains("event") && !pointer.ends_with("/config/event/match") {
            let message = "`event` is in scope only in the `match` of a `wait` and in triggers";
            self.problems.push(
                Diagnostic::new(pointer, "EXPRESSION_INVALID", message)
                    .with_help("what came is the output of the `wait`"),
            );
        }
        if !self.has_item && (roots.contains("item") || roots.contains("index")) {
            let message = "`item` and `index` are in scope only within a `map`";
            self.problems.push(Diagnostic::new(pointer, "EXPRESSION_INVALID", message));
        }
        if !result_in_scope && roots.contains("result") {
            let message = "`result` is in scope only in a step's own `output`";
            self.problems.push(
                Diagnostic::new(pointer, "EXPRESSION_INVALID", message)
                    .with_help("read `steps['id'].output` of an earlier step"),
            );
        }
    }
}
