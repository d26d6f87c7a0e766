//! Where the prompt's history is kept.

use std::path::PathBuf;

/// The file of the history: `$XDG_STATE_HOME/backplane/sql_history`, else under `~/.local/state`. None where neither is known.
pub fn file() -> Option<PathBuf> {
    file_in(|name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    })
}

fn file_in(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let state = variable("XDG_STATE_HOME").filter(|folder| folder.is_absolute());
    let state = state.or_else(|| variable("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("backplane").join("sql_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_in_the_state_folder() {
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/ada"));
        assert_eq!(
            file_in(home).unwrap(),
            PathBuf::from("/home/ada/.local/state/backplane/sql_history")
        );
        let state = |_: &str| Some(PathBuf::from("/state"));
        assert_eq!(file_in(state).unwrap(), PathBuf::from("/state/backplane/sql_history"));
        assert_eq!(file_in(|_| None), None);
    }
}
