//! What an expression reads, found by one walk over its syntax tree: for diagnostics, and so that an
//! evaluation converts only the values that it needs.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};

/// The outcome of the walk.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Free variables.
    pub(super) roots: BTreeSet<String>,
    /// Ids in `steps.id` and `steps['id']`.
    pub(super) steps: BTreeSet<String>,
    /// `steps` is read in a way that needs all of them.
    pub(super) all_steps: bool,
    /// Functions called by name.
    pub(super) functions: BTreeSet<String>,
    /// How deeply loops nest.
    pub(super) loop_depth: u32,
    /// The longest list literal.
    pub(super) longest_literal: u64,
    /// Strings or lists are put together somewhere.
    pub(super) builds_strings: bool,
    /// Collections are made of strings somewhere.
    pub(super) makes_collections: bool,
    /// How many sums the author wrote or a macro stands for.
    pub(super) sums: u64,
}

impl References {
    pub(super) fn of(expression: &IdedExpr) -> Self {
        let mut walk = Walk { found: Self::default(), bound: Vec::new(), depth: 0 };
        walk.visit(expression);
        walk.found
    }
}

struct Walk {
    found: References,
    bound: Vec<String>,
    depth: u32,
}

impl Walk {
    fn visit(&mut self, node: &IdedExpr) {
        if let Some(step) = step_id(node) {
            self.found.roots.insert("steps".to_owned());
            self.found.steps.insert(step.to_owned());
            return;
        }
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.visit(&select.operand),
            Expr::Call(call) => {
                self.function(&call.func_name);
                call.target.iter().for_each(|target| self.visit(target));
                call.args.iter().for_each(|argument| self.visit(argument));
            }
            Expr::List(list) => {
                let length = list.elements.len() as u64;
                self.found.longest_literal = self.found.longest_literal.max(length);
                list.elements.iter().for_each(|element| self.visit(element));
            }
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(message) => {
                message.entries.iter().for_each(|entry| self.entry(&entry.expr));
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn comprehension(&mut self, it: &cel::common::ast::ComprehensionExpr) {
        self.visit(&it.iter_range);
        self.visit(&it.accu_init);
        let outer = self.bound.len();
        self.bound.push(it.iter_var.clone());
        self.bound.push(it.accu_var.clone());
        self.bound.extend(it.iter_var2.clone());
        self.depth += 1;
        self.found.loop_depth = self.found.loop_depth.max(self.depth);
        self.visit(&it.loop_cond);
        self.visit(&it.loop_step);
        self.depth -= 1;
        self.visit(&it.result);
        self.bound.truncate(outer);
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key);
                self.visit(&entry.value);
            }
        }
    }

    fn name(&mut self, name: &str) {
        if self.bound.iter().any(|bound| bound == name) {
            return;
        }
        self.found.all_steps |= name == "steps";
        self.found.roots.insert(name.to_owned());
    }

    fn function(&mut self, name: &str) {
        // `map` and `filter` themselves append to a list with `+`: only what is written inside a loop counts,
        // and there a list of one element costs nothing.
        self.found.builds_strings |= matches!(name, "_+_" | "join" | "replace" | "format");
        self.found.makes_collections |= matches!(name, "split" | "parseJson");
        self.found.sums += u64::from(name == "_+_");
        self.found.functions.insert(name.to_owned());
    }
}

/// The id in `steps.id`, `steps['id']` and their optional forms.
fn step_id(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Select(select) if is_steps(&select.operand) => Some(&select.field),
        Expr::Call(call) => match call.args.as_slice() {
            [target, key] if is_step_access(&call.func_name) && is_steps(target) => literal(key),
            _ => None,
        },
        _ => None,
    }
}

fn is_step_access(function: &str) -> bool {
    matches!(function, operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT)
}

fn is_steps(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name == "steps")
}

fn literal(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
