//! Memory of a job's state: on the heap up to a limit, in a file beyond it.
//!
//! State grows with what there is to remember: subjects, ids, the records of the correction horizon. It is held in the collections of
//! this crate, whose pieces of [`LEAST_PIECE`] and more are taken from a file where the heap has no room for them below the
//! [`limit`]. Such a piece is mapped into memory, so that whoever uses the collection sees no difference, and results are the same to the
//! last bit; the system keeps what is used of it in memory as far as there is any, and writes the rest to disk. The file has no name:
//! it is gone when the process is, however it ends.
//!
//! The limit is the process's, as its memory is.
//!
//! ```
//! let mut numbers = backplane_memory::StateVec::<u64>::default();
//! numbers.extend(0..100);
//! assert_eq!(numbers.iter().sum::<u64>(), 4_950);
//! assert!(backplane_memory::usage().heap >= 800);
//! ```

mod column;
mod files;
pub mod pieces;
mod place;
mod vector;

use std::path::PathBuf;

use hashbrown::DefaultHashBuilder;

pub use column::StateColumn;
pub use place::{LEAST_PIECE, StateMemory, Usage, check, failure, usage};
pub use vector::StateVec;

/// A table of state, whose owner hashes.
pub type StateTable<T> = hashbrown::HashTable<T, StateMemory>;
/// A map of state.
pub type StateMap<K, V, H = DefaultHashBuilder> = hashbrown::HashMap<K, V, H, StateMemory>;
/// A set of state.
pub type StateSet<T, H = DefaultHashBuilder> = hashbrown::HashSet<T, H, StateMemory>;

/// From now on state takes so many bytes of the heap, and further pieces come from a file in this folder. What is on the heap stays there until
/// it grows or is given up.
pub fn limit(bytes: u64, folder: PathBuf) {
    place::limit(bytes, folder);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use proptest::prelude::*;

    use super::*;

    /// The limit is the process's: one test at a time.
    struct Limited {
        _alone: MutexGuard<'static, ()>,
    }

    /// What is in use is counted for the process, too.
    pub(crate) fn alone() -> MutexGuard<'static, ()> {
        static ONE: Mutex<()> = Mutex::new(());
        ONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limited(bytes: u64, folder: &Path) -> Limited {
        let alone = alone();
        limit(usage().heap + bytes, folder.to_owned());
        Limited { _alone: alone }
    }

    impl Drop for Limited {
        fn drop(&mut self) {
            limit(u64::MAX, PathBuf::new());
        }
    }

    #[test]
    fn what_the_limit_has_no_room_for_lies_in_files_without_names_until_it_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let _limited = limited(1 << 20, folder.path());
        let before = usage();
        let mut numbers = StateVec::<u64>::default();
        numbers.extend(0..100_000);
        assert_eq!(usage().files, before.files);
        numbers.extend(100_000..1_000_000);
        let during = usage();
        assert_eq!(during.files - before.files, numbers.capacity() as u64 * 8);
        assert!(during.heap <= before.heap + (1 << 20));
        assert!(numbers.iter().copied().eq(0..1_000_000));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        numbers.truncate(1_000);
        numbers.shrink_to_fit();
        assert!(numbers.iter().copied().eq(0..1_000));
        assert_eq!(usage().files, before.files);
        drop(numbers);
        assert_eq!(usage(), before);
        assert_eq!(failure(), None);
    }

    #[test]
    fn where_there_is_no_file_to_be_had_the_heap_is_used_and_it_is_said_why() {
        let folder = tempfile::tempdir().unwrap().path().join("gone");
        let _limited = limited(0, &folder);
        let mut numbers = StateVec::<u64>::default();
        numbers.extend(0..100_000);
        assert!(numbers.iter().copied().eq(0..100_000));
        assert_eq!(usage().files, 0);
        let said = failure().unwrap();
        assert!(said.contains("gone") && said.contains("No such file"), "{said}");
        assert_eq!(failure(), None);
    }

    #[test]
    fn a_disk_has_no_room_for_more_than_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = files::Store::create(folder.path()).unwrap();
        let error = store.map(1 << 60).err().unwrap();
        assert!(error.raw_os_error().is_some(), "{error}");
        // and after it there is room for what it has room for
        let mut piece = store.map(1 << 20).unwrap();
        piece.bytes().fill(7);
        let mut other = store.map(1 << 17).unwrap();
        assert!(other.bytes().iter().all(|byte| *byte == 0));
        store.give_back(other);
        assert!(piece.bytes().iter().all(|byte| *byte == 7));
        store.check().unwrap();
    }

    #[test]
    fn a_vector_is_read_back_as_it_was_and_what_is_none_is_refused() {
        let _limited = limited(1 << 40, Path::new(""));
        for count in [0, 1, 300_000] {
            let mut numbers = StateVec::<u64>::default();
            numbers.extend((0..count).map(|number| number * number));
            let bytes = postcard::to_stdvec(&numbers).unwrap();
            let found: StateVec<u64> = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(found.as_slice(), numbers.as_slice());
            let (found, _): (StateVec<u64>, _) =
                postcard::from_io((bytes.as_slice(), &mut vec![0; 2 * pieces::PIECE])).unwrap();
            assert_eq!(found.as_slice(), numbers.as_slice());
            for length in (0..bytes.len()).step_by(bytes.len() / 10 + 1) {
                assert!(
                    postcard::from_bytes::<StateVec<u64>>(&bytes[..length]).is_err(),
                    "{length}"
                );
            }
        }
        // one piece of seven bytes
        let error = postcard::from_bytes::<StateVec<u64>>(&[1, 7, 0, 0, 0, 0, 0, 0, 0]);
        assert!(error.is_err());
    }

    #[test]
    fn threads_share_the_limit_and_hand_pieces_to_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let _limited = limited(0, folder.path());
        let before = usage();
        let (send, receive) = std::sync::mpsc::channel::<StateVec<u64>>();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let send = send.clone();
                let (heap, folder) = (before.heap, folder.path());
                scope.spawn(move || {
                    for round in 0..40 {
                        limit(heap + (round % 3) * 500_000, folder.to_owned());
                        let mut numbers = StateVec::default();
                        numbers.extend((0..10_000 * (round % 5 + 1)).map(|number| number * thread));
                        send.send(numbers).unwrap();
                    }
                });
            }
            drop(send);
            for mut numbers in receive {
                let last = numbers.len() as u64 - 1;
                let step = numbers.get(1).copied().unwrap_or(0);
                assert!(numbers.iter().copied().eq((0..=last).map(|number| number * step)));
                numbers.truncate(9_000);
                numbers.shrink_to_fit();
                assert_eq!(numbers.last(), Some(&(8_999 * step)));
            }
        });
        assert_eq!(usage(), before);
        assert_eq!(failure(), None);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Push(u32),
        Truncate(usize),
        Shrink,
        Limit(u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (1_u32..30_000).prop_map(Act::Push),
            1 => (0_usize..100_000).prop_map(Act::Truncate),
            1 => Just(Act::Shrink),
            2 => (0_u64..1_000_000).prop_map(Act::Limit),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn collections_hold_what_those_of_the_heap_hold(acts in proptest::collection::vec(act(), 1..24)) {
            let folder = tempfile::tempdir().unwrap();
            let _limited = limited(0, folder.path());
            let before = usage();
            let mut numbers = StateVec::<u32>::default();
            let mut set = StateSet::<u32>::default();
            let (mut same_numbers, mut same_set) = (Vec::new(), HashSet::new());
            for act in acts {
                match act {
                    Act::Push(count) => for number in 0..count {
                        let number = number.wrapping_mul(0x9e37_79b9);
                        numbers.push(number);
                        same_numbers.push(number);
                        prop_assert_eq!(set.insert(number), same_set.insert(number));
                    },
                    Act::Truncate(length) => {
                        let rest = length.min(numbers.len());
                        for number in numbers.drain(rest..) {
                            set.remove(&number);
                            same_set.remove(&number);
                        }
                        same_numbers.truncate(length);
                    }
                    Act::Shrink => { numbers.shrink_to_fit(); set.shrink_to_fit(); }
                    Act::Limit(bytes) => limit(before.heap + bytes, folder.path().to_owned()),
                }
                prop_assert_eq!(numbers.as_slice(), same_numbers.as_slice());
                prop_assert_eq!(set.len(), same_set.len());
                prop_assert!(set.iter().all(|number| same_set.contains(number)));
            }
            drop((numbers, set));
            prop_assert_eq!(usage(), before);
            prop_assert_eq!(failure(), None);
        }
    }
}
