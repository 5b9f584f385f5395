//! What transitions do beyond their own execution: families are begun, their members told, their ends counted, messages
//! waited for and sent.
//!
//! All of it is in the transaction of the transitions themselves. Rows are locked in one order, that of the ids within
//! each step; whoever still meets another head on is told so by the database, and the batch is written again.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, SubsecRound, Utc};
use engine::machine::{Fact, Family, State};
use engine::searchable::Terms;
use sqlx::PgConnection;
use uuid::Uuid;

use super::columns::text;
use super::{Disposition, KinAct, Write};
use super::{showing, speech};
use crate::StoreError;
use crate::families::members;
use crate::letters::{Letters, Stirred};
use crate::starts::array_text;

/// A family to begin, with all that the core does not know of it.
#[derive(Debug)]
pub struct Birth {
    /// The family.
    pub family: Family,
    /// When its members' ids were made.
    pub begun_at: DateTime<Utc>,
    /// Who owns it.
    pub namespace_id: i32,
    /// The workflow that its members run, whole or a block of it.
    pub workflow_id: Uuid,
    /// The version.
    pub version: i32,
    /// The members' first state.
    pub state: State,
    /// What each member is found by out of its input; blocks are found with their whole, and have none.
    pub terms: Vec<Terms>,
}

impl Birth {
    /// A family that nobody waits for.
    fn is_detached(&self) -> bool {
        self.family.call.as_ref().is_some_and(|call| call.detached)
    }

    fn is_waited_for(&self) -> bool {
        !self.is_detached()
    }
}

impl KinAct {
    /// About how many bytes it brings.
    pub(super) fn weight(&self) -> usize {
        let birth = match self {
            Self::Begin(birth) => birth,
            Self::ShowLog { lines, .. } => return text(lines).len(),
            _ => return 0,
        };
        let inputs =
            birth.family.children.iter().map(|it| engine::expression::json_size(&it.input));
        let around = birth.family.around.as_ref().map_or(0, |around| text(around).len());
        around + inputs.map(|bytes| bytes + 512).sum::<usize>()
    }
}

/// What a batch of writes does to executions beyond those it writes.
#[derive(Default)]
pub(super) struct Kin<'a> {
    acts: Vec<(Uuid, &'a KinAct)>,
    /// The ends of members: who, in which family, and whether badly.
    ends: Vec<(Uuid, (Uuid, u32), bool)>,
}

/// How many members of a family have ended.
#[derive(Clone, Copy, Default)]
struct Tally {
    ended: i32,
    failed: i32,
}

impl<'a> Kin<'a> {
    pub(super) fn of(writes: impl Iterator<Item = &'a Write>) -> Self {
        let mut kin = Self::default();
        for write in writes {
            kin.acts.extend(write.kin.iter().map(|act| (write.execution_id, act)));
            if let (Some(family), Disposition::Finish { failure, .. }) =
                (write.family, &write.disposition)
            {
                kin.ends.push((write.execution_id, family, failure.is_some()));
            }
        }
        kin
    }

    pub(super) fn is_empty(&self) -> bool {
        self.acts.is_empty() && self.ends.is_empty()
    }

    /// Does what belongs to the writes that were `held`.
    pub(super) async fn apply(
        &self,
        connection: &mut PgConnection,
        held: &HashSet<Uuid>,
    ) -> Result<Stirred, StoreError> {
        let mut stirred = Stirred::default();
        let mut letters = Letters::default();
        let acts = || self.acts.iter().filter(|(id, _)| held.contains(id));
        let births: Vec<_> = acts()
            .filter_map(|(id, act)| match act {
                KinAct::Begin(birth) => Some((*id, &**birth)),
                _ => None,
            })
            .collect();
        if !births.is_empty() {
            stirred.due += begin(connection, &births).await?;
        }
        for (id, act) in acts() {
            match act {
                KinAct::Begin(birth) if birth.is_waited_for() => {}
                KinAct::Begin(birth) => letters.add(*id, &settled(birth.family.visit)),
                KinAct::Refuse(fact) => letters.add(*id, fact),
                KinAct::Listen { .. }
                | KinAct::StopListening { .. }
                | KinAct::Consume(_)
                | KinAct::Emit { .. }
                | KinAct::ShowLog { .. }
                | KinAct::HideLog => {}
                KinAct::Tell { visit, fact } => {
                    let members = all_members(connection, *id, *visit).await?;
                    if *fact == Fact::Undo {
                        recall(connection, &members).await?;
                    }
                    for member in members {
                        letters.add(member, fact);
                    }
                }
            }
        }
        let said: Vec<_> = acts().map(|(id, act)| (*id, *act)).collect();
        stirred.messages += speech::apply(connection, &said).await?;
        showing::apply(connection, &said).await?;
        self.count(connection, held, &mut stirred, &mut letters).await?;
        stirred.post(connection, letters).await?;
        Ok(stirred)
    }

    /// Counts the members that have ended, lets others follow them, and tells the parents whose family has settled.
    async fn count(
        &self,
        connection: &mut PgConnection,
        held: &HashSet<Uuid>,
        stirred: &mut Stirred,
        letters: &mut Letters,
    ) -> Result<(), StoreError> {
        let mut tallies: BTreeMap<(Uuid, u32), Tally> = BTreeMap::new();
        for (_, family, failed) in self.ends.iter().filter(|(id, ..)| held.contains(id)) {
            let tally = tallies.entry(*family).or_default();
            tally.ended += 1;
            tally.failed += i32::from(*failed);
        }
        if tallies.is_empty() {
            return Ok(());
        }
        let following = count_ends(connection, &tallies, letters).await?;
        if !following.is_empty() {
            stirred.due += make_due(connection, &following).await?;
        }
        Ok(())
    }
}

fn settled(visit: u32) -> Fact {
    Fact::ChildrenEnded { visit, refusal: None }
}

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Returns how many members are due.
async fn begin(
    connection: &mut PgConnection,
    births: &[(Uuid, &Birth)],
) -> Result<usize, StoreError> {
    let all = |column: fn(&Birth) -> i32| births.iter().map(|it| column(it.1)).collect::<Vec<_>>();
    let total = |it: &Birth| i32::try_from(it.family.children.len()).unwrap_or(i32::MAX);
    let parents: Vec<_> = births.iter().map(|it| it.0).collect();
    let begun_at: Vec<_> = births.iter().map(|it| it.1.begun_at.trunc_subsecs(3)).collect();
    let workflows: Vec<_> = births.iter().map(|it| it.1.workflow_id).collect();
    let states: Vec<_> = births.iter().map(|it| text(&it.1.state)).collect();
    let around: Vec<_> = births.iter().map(|it| it.1.family.around.as_ref().map(text)).collect();
    let members = || {
        (1..).zip(births).flat_map(|(number, (_, birth))| {
            let terms = birth.terms.iter().map(Some).chain(std::iter::repeat(None));
            let children = birth.family.children.iter().zip(terms).zip(0..);
            children.map(move |((it, terms), ordinal)| (number, ordinal, it, terms))
        })
    };
    let due =
        births.iter().map(|it| it.1.family.children.len().min(it.1.family.concurrency as usize));
    sqlx::query_file!(
        "queries/begin_families.sql",
        &parents,
        &all(|it| signed(it.family.visit)),
        &all(|it| it.namespace_id),
        &begun_at,
        &births.iter().map(|it| total(it.1)).collect::<Vec<_>>(),
        &births
            .iter()
            .map(|it| signed(it.1.family.concurrency).min(total(it.1)))
            .collect::<Vec<_>>(),
        &all(|it| signed(it.family.stop_over)),
        // What nobody waits for counts as settled from the beginning.
        &all(|it| i32::from(it.is_detached())),
        &around as &[Option<String>],
        &workflows,
        &all(|it| it.version),
        &states,
        &births.iter().map(|it| it.1.family.step.clone()).collect::<Vec<_>>(),
        &members().map(|it| it.2.id).collect::<Vec<_>>(),
        &members().map(|it| it.0).collect::<Vec<i64>>(),
        &members().map(|it| it.1).collect::<Vec<i32>>(),
        &members().map(|it| it.2.block.clone()).collect::<Vec<_>>() as &[Option<String>],
        &members().map(|it| text(&*it.2.input)).collect::<Vec<_>>(),
        DateTime::<Utc>::MAX_UTC,
        &births
            .iter()
            .map(|it| it.1.family.call.as_ref().and_then(|it| it.labels.as_ref()).map(text))
            .collect::<Vec<_>>() as &[Option<String>],
        &births
            .iter()
            .map(|it| it.1.family.call.as_ref().map(|it| it.labels_of))
            .collect::<Vec<_>>() as &[Option<Uuid>],
        &members().map(|it| it.3.and_then(array_text)).collect::<Vec<_>>() as &[Option<String>],
    )
    .execute(connection)
    .await?;
    Ok(due.sum())
}

/// Puts those that have succeeded back into the queue.
async fn recall(connection: &mut PgConnection, members: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into queue (execution_id, namespace_id, due_at)
         select id, namespace_id, now() from executions where id = any ($1) and status = 'succeeded'
         on conflict do nothing",
        members,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// All members of a family. Those that have ended are not in the queue, and get no letter.
async fn all_members(
    connection: &mut PgConnection,
    parent_id: Uuid,
    visit: u32,
) -> Result<Vec<Uuid>, StoreError> {
    let row = sqlx::query!(
        "select begun_at, total from families where parent_id = $1 and visit = $2",
        parent_id,
        signed(visit),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row
        .map_or_else(Vec::new, |row| members(parent_id, signed(visit), row.begun_at, 0..row.total)))
}

/// Adds to the families' counts. Returns the members that may follow those that have ended.
async fn count_ends(
    connection: &mut PgConnection,
    tallies: &BTreeMap<(Uuid, u32), Tally>,
    letters: &mut Letters,
) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query!(
        r#"update families f
           set ended = f.ended + t.ended, failed = f.failed + t.failed
           from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[]) as t (parent_id, visit, ended, failed)
           where f.parent_id = t.parent_id and f.visit = t.visit
           returning f.parent_id, f.visit, f.begun_at, f.total, f.concurrency, f.stop_over, f.ended, f.failed,
                     t.ended as "now_ended!", t.failed as "now_failed!""#,
        &tallies.keys().map(|it| it.0).collect::<Vec<_>>(),
        &tallies.keys().map(|it| signed(it.1)).collect::<Vec<_>>(),
        &tallies.values().map(|it| it.ended).collect::<Vec<_>>(),
        &tallies.values().map(|it| it.failed).collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await?;
    let mut following = Vec::new();
    for row in rows {
        let settles = |ended: i32, failed: i32| ended >= row.total || failed > row.stop_over;
        let before = row.ended - row.now_ended;
        if !settles(row.ended, row.failed) {
            // As many are due as have ended, on top of those that were from the beginning.
            let next = row.concurrency.saturating_add(before).min(row.total);
            let last = row.concurrency.saturating_add(row.ended).min(row.total);
            following.extend(members(row.parent_id, row.visit, row.begun_at, next..last));
        } else if !settles(before, row.failed - row.now_failed) {
            letters.add(row.parent_id, &settled(u32::try_from(row.visit).unwrap_or(0)));
        }
    }
    Ok(following)
}

async fn make_due(connection: &mut PgConnection, members: &[Uuid]) -> Result<usize, StoreError> {
    let made = sqlx::query!(
        "update queue set due_at = now() where execution_id = any ($1) and worker_id is null",
        members,
    )
    .execute(connection)
    .await?;
    Ok(usize::try_from(made.rows_affected()).unwrap_or(usize::MAX))
}
