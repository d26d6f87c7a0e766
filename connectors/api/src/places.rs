//! Local files and folders under their many names.

use std::path::{Component, Path, PathBuf};

/// The same path for every way to write the same place: absolute, without `.` and `..`, links followed as far as the path exists.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut place = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::CurDir => {}
            // links before it are followed already, so it leads where the system would go
            Component::ParentDir => {
                place.pop();
            }
            part => {
                place.push(part);
                if let Ok(real) = place.canonicalize() {
                    place = real;
                }
            }
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_also_where_nothing_is() {
        let here = resolved(Path::new("."));
        assert!(here.is_absolute());
        for same in ["no/such/../../place", "./place", "no/../place/."] {
            assert_eq!(resolved(Path::new(same)), here.join("place"), "{same}");
        }
        assert_eq!(
            resolved(Path::new("/../no-such-place")),
            PathBuf::from("/no-such-place")
        );
    }
}
