//! What an expression reads, found by one walk over its syntax tree: for diagnostics, and so that an
//! evaluation converts only the values that it needs.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};

use crate::placeholder::is_secret_name;

/// The outcome of the walk.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Free variables.
    pub(super) roots: BTreeSet<String>,
    /// Ids in `steps.id` and `steps['id']`.
    pub(super) steps: Members,
    /// Names in `vars.name` and `vars['name']`.
    pub(super) vars: Members,
    /// Names in `secret('name')`.
    pub(super) secrets: BTreeSet<String>,
    /// A secret's name is not written out, or none.
    pub(super) unnamed_secret: bool,
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

/// Which members of an object are read.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Those whose name is written in the expression.
    pub(super) named: BTreeSet<String>,
    /// Those of them that the expression asks for in a way that allows for their absence.
    pub(super) guarded: BTreeSet<String>,
    /// It is read in a way that needs all of them.
    pub(super) all: bool,
}

impl Members {
    pub(super) fn reads(&self, name: &str) -> bool {
        self.all || self.named.contains(name)
    }
}

impl References {
    /// What is read of an object that is not wanted as a whole, because it may be large.
    fn members(&mut self, root: &str) -> Option<&mut Members> {
        match root {
            "steps" => Some(&mut self.steps),
            "vars" => Some(&mut self.vars),
            _ => None,
        }
    }

    pub(super) fn of(expression: &IdedExpr) -> Self {
        let mut walk =
            Walk { found: Self::default(), bound: Vec::new(), depth: 0, asks_whether: false };
        walk.visit(expression);
        walk.found
    }
}

struct Walk {
    found: References,
    bound: Vec<String>,
    depth: u32,
    /// Within `has(…)`.
    asks_whether: bool,
}

impl Walk {
    fn visit(&mut self, node: &IdedExpr) {
        if let Some((root, member)) = access(node)
            && !self.is_bound(root)
            && let Some(members) = self.found.members(root)
        {
            members.named.insert(member.to_owned());
            if self.asks_whether || is_guarded(node) {
                members.guarded.insert(member.to_owned());
            }
            self.found.roots.insert(root.to_owned());
            return;
        }
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                let outer = std::mem::replace(&mut self.asks_whether, select.test);
                self.asks_whether |= outer;
                self.visit(&select.operand);
                self.asks_whether = outer;
            }
            Expr::Call(call) => {
                self.function(&call.func_name);
                if call.func_name == "secret" {
                    self.secret(call);
                }
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

    /// An input that could choose the name could choose any secret.
    fn secret(&mut self, call: &CallExpr) {
        match (&call.target, call.args.as_slice()) {
            (None, [IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }])
                if is_secret_name(name) =>
            {
                self.found.secrets.insert(name.to_string());
            }
            _ => self.found.unnamed_secret = true,
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
        if self.is_bound(name) {
            return;
        }
        if let Some(members) = self.found.members(name) {
            members.all = true;
        }
        self.found.roots.insert(name.to_owned());
    }

    /// Whether a loop gives the name another meaning here.
    fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().any(|bound| bound == name)
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

/// The name and the member in `steps.id`, `steps['id']` and their optional forms.
fn access(node: &IdedExpr) -> Option<(&str, &str)> {
    match &node.expr {
        Expr::Select(select) => Some((name_of(&select.operand)?, &select.field)),
        Expr::Call(call) => match call.args.as_slice() {
            [target, key] if is_access(&call.func_name) => Some((name_of(target)?, literal(key)?)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an access allows for the absence of its member: `has(steps.id)`, `steps.?id`, and `default(steps.id, …)`, which stands
/// for that.
fn is_guarded(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Select(select) => select.test,
        Expr::Call(call) => call.func_name != operators::INDEX,
        _ => false,
    }
}

fn is_access(function: &str) -> bool {
    matches!(function, operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT)
}

fn name_of(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Ident(name) => Some(name),
        _ => None,
    }
}

fn literal(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
