//! The column `extra`: members that have no meaning here and are kept, as `{"envelope":{…},"payload":{…}}`.

use std::collections::HashMap;

use super::builders::TextColumn;
use crate::decode::fields::{Record, unknown_name};
use crate::decode::record::UnknownMember;

/// Appends the row of this record: null where every member is known.
#[inline(always)]
pub(super) fn push(column: &mut TextColumn, record: Record<'_>) {
    let (envelope, payload) = record.unknown();
    if envelope.is_empty() && payload.is_empty() {
        column.push_or_null(None);
    } else {
        push_unknown(column, record.block(), envelope, payload);
    }
}

fn push_unknown(column: &mut TextColumn, block: &str, envelope: &[UnknownMember], payload: &[UnknownMember]) {
    let mut opening = "{";
    for (name, members) in [("\"envelope\":{", envelope), ("\"payload\":{", payload)] {
        if members.is_empty() {
            continue;
        }
        column.write(opening);
        column.write(name);
        for (index, member) in last_of_each_name(block, members).into_iter().enumerate() {
            if index > 0 {
                column.write(",");
            }
            column.write(
                block
                    .get(member.start as usize..member.end as usize)
                    .unwrap_or_default(),
            );
        }
        column.write("}");
        opening = ",";
    }
    column.write("}");
    column.end_row();
}

/// The members without those that come again later, in the order of their last coming.
fn last_of_each_name<'a>(block: &str, members: &'a [UnknownMember]) -> Vec<&'a UnknownMember> {
    if let [only] = members {
        return vec![only];
    }
    let last: HashMap<String, usize> = members
        .iter()
        .enumerate()
        .map(|(index, member)| (unknown_name(block, member), index))
        .collect();
    let mut indices: Vec<usize> = last.into_values().collect();
    indices.sort_unstable();
    indices.into_iter().filter_map(|index| members.get(index)).collect()
}
