//! Names and their ids: experiments, variants and metrics are compared as numbers on the hot path.

use std::sync::Arc;

use hashbrown::HashMap;

/// No name.
pub const NO_NAME: u32 = u32::MAX;

/// Names in the order in which they were first seen.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Names {
    /// Built anew when names are read back.
    #[serde(skip)]
    ids: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The id of a name, a new one if it was never seen.
    pub fn intern(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = u32::try_from(self.names.len()).unwrap_or(NO_NAME);
        let shared: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&shared));
        self.ids.insert(shared, id);
        id
    }

    /// Builds the index of names that were read back.
    pub fn rebuild(&mut self) {
        let ids = (0u32..).zip(&self.names).map(|(id, name)| (Arc::clone(name), id));
        self.ids = ids.collect();
    }

    /// The id of a name that was seen.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// The name of an id; empty for [`NO_NAME`].
    #[must_use]
    pub fn name(&self, id: u32) -> &str {
        self.names.get(id as usize).map_or("", |name| name)
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The names of a job.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct JobNames {
    /// Experiments; the declared ones come first, in order.
    pub experiments: Names,
    /// Variants.
    pub variants: Names,
    /// Metrics; the declared ones come first, in order.
    pub metrics: Names,
}

impl JobNames {
    /// Builds the indexes of names that were read back.
    pub fn rebuild(&mut self) {
        self.experiments.rebuild();
        self.variants.rebuild();
        self.metrics.rebuild();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_id() {
        let mut names = Names::default();
        assert_eq!(names.intern("a"), 0);
        assert_eq!(names.intern("b"), 1);
        assert_eq!(names.intern("a"), 0);
        assert_eq!(names.name(1), "b");
        assert_eq!(names.name(NO_NAME), "");
    }
}
