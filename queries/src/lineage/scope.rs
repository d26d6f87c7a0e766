//! What the filters above a table let through.

use std::collections::BTreeSet;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, Operator};

/// What the filters above a table let through.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) experiments: Option<BTreeSet<String>>,
    pub(super) metrics: Option<BTreeSet<String>>,
}

impl Scope {
    /// What is left of it behind a condition.
    pub(super) fn narrowed(&self, condition: &Expr) -> Scope {
        let mut scope = self.clone();
        for conjunct in conjuncts(condition) {
            let Some((column, values)) = equality(conjunct) else {
                continue;
            };
            let place = match column.name.as_str() {
                "experiment" => &mut scope.experiments,
                "metric" => &mut scope.metrics,
                _ => continue,
            };
            *place = Some(match place.take() {
                Some(before) => before.intersection(&values).cloned().collect(),
                None => values,
            });
        }
        scope
    }
}

pub(super) fn union(one: Option<BTreeSet<String>>, other: Option<BTreeSet<String>>) -> Option<BTreeSet<String>> {
    let (mut one, other) = (one?, other?);
    one.extend(other);
    Some(one)
}

fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::BinaryExpr(both) if both.op == Operator::And => {
            let mut all = conjuncts(&both.left);
            all.extend(conjuncts(&both.right));
            all
        }
        other => vec![other],
    }
}

/// A column that is equal to one of some texts.
fn equality(condition: &Expr) -> Option<(&Column, BTreeSet<String>)> {
    match condition {
        Expr::BinaryExpr(binary) if binary.op == Operator::Eq => {
            let sides = [(&*binary.left, &*binary.right), (&*binary.right, &*binary.left)];
            sides
                .into_iter()
                .find_map(|(column, value)| Some((column_of(column)?, BTreeSet::from([text_of(value)?]))))
        }
        // a list of few members becomes a chain of alternatives
        Expr::BinaryExpr(binary) if binary.op == Operator::Or => {
            let (column, mut values) = equality(&binary.left)?;
            let (other, more) = equality(&binary.right)?;
            values.extend(more);
            (column == other).then_some((column, values))
        }
        Expr::InList(list) if !list.negated => {
            let values: Option<BTreeSet<String>> = list.list.iter().map(text_of).collect();
            Some((column_of(&list.expr)?, values?))
        }
        _ => None,
    }
}

fn column_of(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Cast(cast) => column_of(&cast.expr),
        _ => None,
    }
}

fn text_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => text_of_value(value),
        Expr::Cast(cast) => text_of(&cast.expr),
        _ => None,
    }
}

fn text_of_value(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Dictionary(_, value) => text_of_value(value),
        other => other.try_as_str().flatten().map(str::to_owned),
    }
}
