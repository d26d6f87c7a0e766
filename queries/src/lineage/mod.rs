//! Which queries are looks: those that show how the outcomes of variants differ.
//!
//! A query is a look if an output column is computed from outcomes or from the statistics of metrics, **told apart by variant**: grouped by
//! it, filtered by it, computed from it, shown beside it, or put into an order that follows the values. Numbers of subjects are no look,
//! nor are totals over all variants, nor always-valid results alone, which may be read at any time.
//!
//! The lineage is followed through the optimised plan, where views have become what they are made of.

mod scope;
mod taint;

use std::collections::BTreeSet;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::prelude::DataFrame;

use crate::error::QueryError;
use scope::{Scope, union};
use taint::{Taint, taint_of_column};

/// What a look shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The experiments that it is restricted to; `None` is all of them.
    pub experiments: Option<BTreeSet<String>>,
    /// The metrics that it is restricted to; `None` is all of them.
    pub metrics: Option<BTreeSet<String>>,
}

/// What a query lets its reader see of the variants' outcomes; `None` where it is no look.
///
/// # Errors
/// [`QueryError::Invalid`] where the query cannot be optimised.
pub fn look(frame: &DataFrame) -> Result<Option<Look>, QueryError> {
    let (state, plan) = frame.clone().into_parts();
    let plan = state.optimize(&plan)?;
    let mut scans = Vec::new();
    let shape = shape_of(&plan, &Scope::default(), &mut scans);
    let all = shape.columns.iter().fold(Taint::NONE, |all, taint| all | *taint);
    let of_one_variant = shape.columns.iter().any(|taint| taint.has(Taint::VALUE | Taint::ROW));
    if !all.has(Taint::APART) && !all.has(Taint::VALUE | Taint::VARIANT) && !of_one_variant {
        return Ok(None);
    }
    let mut look = scans.pop().unwrap_or_default();
    for scan in scans {
        look.experiments = union(look.experiments, scan.experiments);
        look.metrics = union(look.metrics, scan.metrics);
    }
    Ok(Some(Look {
        experiments: look.experiments,
        metrics: look.metrics,
    }))
}

/// What the columns of a relation depend on, and which rows it has.
#[derive(Debug, Clone, Default)]
struct Shape {
    columns: Vec<Taint>,
    rows: Taint,
}

impl Shape {
    /// The rows depend on something more: what the columns say depends on it too.
    fn restricted(mut self, by: Taint) -> Shape {
        self.rows = self.rows | by;
        for column in &mut self.columns {
            // a condition on values tells which variants fulfil it, one on the variant which values are its
            if (by.has(Taint::VARIANT) && column.has(Taint::VALUE))
                || (by.has(Taint::VALUE) && column.has(Taint::VARIANT))
            {
                *column = *column | Taint::APART;
            }
        }
        self
    }

    fn all(&self) -> Taint {
        self.columns.iter().fold(self.rows, |all, taint| all | *taint)
    }
}

fn shape_of(plan: &LogicalPlan, scope: &Scope, scans: &mut Vec<Scope>) -> Shape {
    match plan {
        LogicalPlan::TableScan(scan) => of_scan(scan, scope, scans),
        LogicalPlan::Filter(filter) => {
            let input = shape_of(&filter.input, &scope.narrowed(&filter.predicate), scans);
            let by = taint_of(&filter.predicate, filter.input.schema(), &input, scans);
            input.restricted(by)
        }
        LogicalPlan::Sort(sort) => {
            let input = shape_of(&sort.input, scope, scans);
            let keys = sort.expr.iter().map(|key| &key.expr);
            let by = taint_of_all(keys, sort.input.schema(), &input, scans);
            // who knows the order knows whose value is whose
            input.restricted(by)
        }
        LogicalPlan::Projection(projection) => {
            let input = shape_of(&projection.input, scope, scans);
            let columns = projection
                .expr
                .iter()
                .map(|expr| taint_of(expr, projection.input.schema(), &input, scans).settled())
                .collect();
            Shape {
                columns,
                rows: input.rows,
            }
        }
        LogicalPlan::Aggregate(aggregate) => {
            let input = shape_of(&aggregate.input, scope, scans);
            let schema = aggregate.input.schema();
            let keys: Vec<Taint> = aggregate
                .group_expr
                .iter()
                .flat_map(|expr| match expr {
                    Expr::GroupingSet(set) => set.distinct_expr().into_iter().cloned().collect(),
                    other => vec![other.clone()],
                })
                .map(|expr| taint_of(&expr, schema, &input, scans))
                .collect();
            let by = keys.iter().fold(input.rows, |all, taint| all | *taint);
            let mut columns = keys;
            // a grouping set has a column of its own for its number
            columns.resize(
                aggregate
                    .schema
                    .fields()
                    .len()
                    .saturating_sub(aggregate.aggr_expr.len()),
                by,
            );
            for expr in &aggregate.aggr_expr {
                // an aggregate depends on which rows there are
                let taint = taint_of(expr, schema, &input, scans) | input.rows;
                columns.push(if adds_up(expr) { taint.added_up() } else { taint }.settled());
            }
            Shape {
                columns,
                rows: input.rows,
            }
            .restricted(by)
        }
        LogicalPlan::Window(window) => {
            let input = shape_of(&window.input, scope, scans);
            let mut columns = input.columns.clone();
            for expr in &window.window_expr {
                columns.push((taint_of(expr, window.input.schema(), &input, scans) | input.rows).settled());
            }
            Shape {
                columns,
                rows: input.rows,
            }
        }
        LogicalPlan::Join(join) => {
            let left = shape_of(&join.left, scope, scans);
            let right = shape_of(&join.right, scope, scans);
            let mut by = left.rows | right.rows;
            for (one, other) in &join.on {
                by = by | taint_of(one, join.left.schema(), &left, scans);
                by = by | taint_of(other, join.right.schema(), &right, scans);
            }
            let both = Shape {
                columns: [left.columns.as_slice(), right.columns.as_slice()].concat(),
                rows: Taint::NONE,
            };
            if let Some(filter) = &join.filter
                && let Ok(schema) = join.left.schema().join(join.right.schema())
            {
                by = by | taint_of(filter, &schema, &both, scans);
            }
            // the columns of one side only, where the other one filters; one more, where it marks
            let width = join.schema.fields().len();
            let columns = if width == right.columns.len() && width != both.columns.len() && is_right(join.join_type) {
                right.columns
            } else {
                let mut columns = both.columns;
                columns.resize(width, by);
                columns
            };
            Shape {
                columns,
                rows: Taint::NONE,
            }
            .restricted(by)
        }
        LogicalPlan::Unnest(unnest) => {
            let input = shape_of(&unnest.input, scope, scans);
            let of = |index: &usize| input.columns.get(*index).copied().unwrap_or_default();
            Shape {
                columns: unnest.dependency_indices.iter().map(of).collect(),
                rows: input.all(),
            }
        }
        LogicalPlan::Union(all) => {
            let shapes: Vec<Shape> = all.inputs.iter().map(|input| shape_of(input, scope, scans)).collect();
            let mut joint = Shape {
                columns: vec![Taint::NONE; all.schema.fields().len()],
                rows: Taint::NONE,
            };
            for shape in shapes {
                joint.rows = joint.rows | shape.rows;
                for (column, taint) in joint.columns.iter_mut().zip(shape.columns) {
                    *column = *column | taint;
                }
            }
            joint
        }
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Distinct(_) => match plan.inputs().as_slice() {
            [input] => resized(shape_of(input, scope, scans), plan.schema()),
            inputs => of_any(plan, inputs, scope, scans),
        },
        // what only explains shows no values
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => Shape::default(),
        other => of_any(other, &other.inputs(), scope, scans),
    }
}

/// Whether an aggregate is a total over its rows, and not one of them.
fn adds_up(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => adds_up(&alias.expr),
        Expr::AggregateFunction(function) => matches!(function.func.name(), "sum" | "avg" | "count"),
        _ => false,
    }
}

fn is_right(join_type: datafusion::common::JoinType) -> bool {
    use datafusion::common::JoinType;
    matches!(
        join_type,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    )
}

fn resized(mut shape: Shape, schema: &DFSchema) -> Shape {
    let all = shape.all();
    shape.columns.resize(schema.fields().len(), all);
    shape
}

/// Anything else: every column may depend on everything.
fn of_any(plan: &LogicalPlan, inputs: &[&LogicalPlan], scope: &Scope, scans: &mut Vec<Scope>) -> Shape {
    let all = inputs
        .iter()
        .map(|input| shape_of(input, scope, scans).all())
        .fold(Taint::NONE, |all, taint| all | taint)
        .settled();
    Shape {
        columns: vec![all; plan.schema().fields().len()],
        rows: all,
    }
}

fn of_scan(scan: &TableScan, scope: &Scope, scans: &mut Vec<Scope>) -> Shape {
    let scope = scan
        .filters
        .iter()
        .fold(scope.clone(), |scope, filter| scope.narrowed(filter));
    let by = scan.filters.iter().fold(Taint::NONE, |all, filter| {
        let mut columns = Taint::NONE;
        // a condition here names columns of the table only
        drop(filter.apply(|part| {
            if let Expr::Column(column) = part {
                columns = columns | taint_of_column(scan.table_name.table(), &column.name);
            }
            Ok(TreeNodeRecursion::Continue)
        }));
        all | columns
    });
    if let Some(view) = scan.source.get_logical_plan() {
        let shape = shape_of(&view, &scope, scans);
        let columns = match &scan.projection {
            Some(projection) => {
                let of = |index: &usize| shape.columns.get(*index).copied().unwrap_or_default();
                projection.iter().map(of).collect()
            }
            None => shape.columns,
        };
        return Shape {
            columns,
            rows: shape.rows,
        }
        .restricted(by);
    }
    let table = scan.table_name.table();
    let columns: Vec<Taint> = scan
        .projected_schema
        .fields()
        .iter()
        .map(|field| taint_of_column(table, field.name()))
        .collect();
    let rows = if table == "outcomes" { Taint::VALUE } else { Taint::NONE };
    if rows.has(Taint::VALUE) || columns.iter().any(|column| column.has(Taint::VALUE)) {
        scans.push(scope);
    }
    Shape { columns, rows }.restricted(by)
}

fn taint_of_all<'a>(
    exprs: impl Iterator<Item = &'a Expr>,
    schema: &DFSchema,
    input: &Shape,
    scans: &mut Vec<Scope>,
) -> Taint {
    exprs
        .map(|expr| taint_of(expr, schema, input, scans))
        .fold(Taint::NONE, |all, taint| all | taint)
}

/// What an expression over a relation depends on.
fn taint_of(expr: &Expr, schema: &DFSchema, input: &Shape, scans: &mut Vec<Scope>) -> Taint {
    let mut taint = Taint::NONE;
    // walking an expression does not fail
    drop(expr.apply(|part| {
        match part {
            Expr::Column(column) => {
                let index = schema.maybe_index_of_column(column);
                taint = taint
                    | index
                        .and_then(|index| input.columns.get(index).copied())
                        .unwrap_or_default();
            }
            // a count of nothing in particular is one of rows
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => taint = taint | input.rows,
            Expr::ScalarSubquery(subquery) => {
                taint = taint | shape_of(&subquery.subquery, &Scope::default(), scans).all().settled();
            }
            Expr::Exists(exists) => {
                taint = taint
                    | shape_of(&exists.subquery.subquery, &Scope::default(), scans)
                        .all()
                        .settled();
            }
            Expr::InSubquery(within) => {
                taint = taint
                    | shape_of(&within.subquery.subquery, &Scope::default(), scans)
                        .all()
                        .settled();
            }
            // such results may be read at any time
            Expr::ScalarFunction(function) if function.name() == "always_valid" => {
                taint = taint | taint_of_all(function.args.iter(), schema, input, scans).without_value();
                return Ok(TreeNodeRecursion::Jump);
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    }));
    taint
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use backplane_events::Table;
    use datafusion::execution::runtime_env::RuntimeEnv;

    use super::*;
    use crate::{Catalogue, session};

    async fn look_of(sql: &str) -> Option<Look> {
        let catalogue = Catalogue::new(session::lake(Arc::new(RuntimeEnv::default())));
        catalogue
            .register(HashMap::<Table, Arc<dyn datafusion::catalog::TableProvider>>::new())
            .await
            .unwrap();
        let frame = catalogue
            .query(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        look(&frame).unwrap()
    }

    #[tokio::test]
    async fn values_told_apart_by_variant_are_looks() {
        for sql in [
            "select * from metric_stats",
            "select variant, mean from metric_stats where experiment = 'x'",
            "select mean from metric_stats where variant = 'treatment'",
            "select sum(case when variant = 'a' then mean else -mean end) from metric_stats",
            "select variant from metric_stats order by mean desc",
            "select variant from metric_stats where mean > 0.3",
            "select variant, count(*) from outcomes group by variant",
            "select count(*) from outcomes where variant = 'a'",
            "select variant, value from outcomes",
            "select e.variant, avg(o.value) from exposures e join outcomes o using (subject_id) group by 1",
            "with a as (select subject_id from exposures where variant = 'a') \
             select avg(value) from outcomes where subject_id in (select subject_id from a)",
            "select rank() over (partition by variant order by value) from outcomes",
            "select (select avg(mean) from metric_stats where variant = 'a') as m",
            "select variant, value from analysis.exposures_joined",
            "select variant, mean from analysis.metric_stats",
            "select mean from metric_stats where experiment = 'x' order by variant",
            "select mean, subjects from metric_stats",
            "select max(mean) - min(mean) from metric_stats",
            "select array_agg(mean) from metric_stats",
            "select subjects_with_outcome from metric_stats order by variant",
            "select variant, subjects_with_outcome * 1.0 / subjects from metric_stats",
            "select max(mean) over (partition by variant) as m from metric_stats_history",
            "select variant, 0.0 as mean from exposures union all select variant, mean from metric_stats",
            "select welch(a.subjects, a.mean, a.m2, b.subjects, b.mean, b.m2)['p_value'] from metric_stats a \
             join metric_stats b using (experiment, metric) where a.variant = 'a' and b.variant = 'b'",
        ] {
            assert!(look_of(sql).await.is_some(), "{sql}");
        }
    }

    #[tokio::test]
    async fn counts_totals_and_always_valid_results_are_none() {
        for sql in [
            "select * from assignment_counts",
            "select variant, count(*) from exposures group by variant",
            "select variant, subjects, matured_subjects from metric_stats",
            "select metric, avg(value) from outcomes group by metric",
            "select count(*) from outcomes",
            "select metric, sum(mean * subjects) / sum(subjects) from metric_stats group by metric",
            "select * from assignment_path",
            "select * from effect_path",
            "select * from signals",
            "select * from looks",
            "select reason, count(*) from dead_letters group by 1",
            "select srm_chi_square(array_agg(subjects), array_agg(1.0)) from assignment_counts",
            "select always_valid(a.subjects, a.mean, a.m2, b.subjects, b.mean, b.m2, 0.05, 5000, 'absolute')['log_e'] \
             from metric_stats a join metric_stats b using (experiment, metric) \
             where a.variant = 'a' and b.variant = 'b'",
            "explain select variant, mean from metric_stats",
            "explain analyze select variant, mean from metric_stats",
            "select 1",
        ] {
            assert_eq!(look_of(sql).await, None, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_look_is_at_what_its_filters_let_through() {
        let texts = |texts: &[&str]| {
            Some(
                texts
                    .iter()
                    .map(|text| (*text).to_owned())
                    .collect::<BTreeSet<String>>(),
            )
        };
        let all = look_of("select variant, mean from metric_stats").await.unwrap();
        assert_eq!(all, Look::default());
        let one =
            look_of("select variant, mean from metric_stats where experiment = 'x' and metric in ('m', 'n')").await;
        let wanted = Look {
            experiments: texts(&["x"]),
            metrics: texts(&["m", "n"]),
        };
        assert_eq!(one, Some(wanted));
        let two = look_of(
            "select variant, mean from metric_stats where experiment = 'x' \
             union all select variant, mean from metric_stats where experiment = 'y' and metric = 'm'",
        )
        .await
        .unwrap();
        assert_eq!((two.experiments, two.metrics), (texts(&["x", "y"]), None));
        let any = look_of("select variant, mean from metric_stats where experiment = 'x' or subjects > 3").await;
        assert_eq!(any, Some(Look::default()));
    }
}
