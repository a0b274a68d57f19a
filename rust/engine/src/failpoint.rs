//! Failpoints: named places on the way of a request where a test makes a defect of ours happen, once.
//!
//! The rule: they exist in dev builds only; in a release build [`pass`] is nothing at all. A test of this crate arms a
//! point for its own thread. A whole process is given a folder in `FASTROUTE_FAILPOINTS` when it starts: a file there
//! arms the point of its name, and whoever passes it first removes the file and panics.

/// Every point, about in the order in which a request meets them.
pub const POINTS: &[&str] = &[
    "door.accept",
    "door.head",
    "door.queue",
    "door.body",
    "exchange.run",
    "exchange.planned",
    "decide.ask",
    "decide.answered",
    "decide.letter",
    "decide.sweep",
    "walk.begin",
    "journal.intend",
    "walk.pledged",
    "walk.attempt",
    "attempt.edit",
    "pool.ready",
    "pool.connect",
    "attempt.send",
    "wire.write",
    "journal.write",
    "wire.read",
    "attempt.head",
    "attempt.refused",
    "walk.failed",
    "walk.again",
    "attempt.first",
    "attempt.whole",
    "walk.content",
    "exchange.content",
    "door.reply",
    "delivery.poll",
    "delivery.take",
    "delivery.finish",
    "story.close",
    "journal.settle",
    "pool.tend",
    "journal.keeper",
    "journal.syncer",
    "pressure.pulse",
    "pressure.look",
    "border.open",
    "border.feed",
    "border.run",
    "border.spawn",
    "border.task",
    "border.hand_over",
    "border.chunk",
    "drain.ask",
    "drain.settle",
    "drain.report",
    "drain.whole",
    "drain.start",
    "drain.chunk",
    "drain.end",
    "border.watch",
    "thread.park",
];

/// A place that a test may have armed. In a release build this is nothing.
#[inline]
pub fn pass(name: &'static str) {
    #[cfg(any(test, debug_assertions))]
    armed::pass(name);
    #[cfg(not(any(test, debug_assertions)))]
    let _ = name;
}

#[cfg(test)]
pub(crate) use armed::{arm, is_armed};

#[cfg(any(test, debug_assertions))]
mod armed {
    #[cfg(test)]
    use std::cell::Cell;
    use std::path::PathBuf;
    use std::sync::LazyLock;

    static FOLDER: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("FASTROUTE_FAILPOINTS").map(PathBuf::from));

    #[cfg(test)]
    thread_local! {
        static HERE: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    pub(super) fn pass(name: &'static str) {
        debug_assert!(super::POINTS.contains(&name), "{name} is not in the list");
        let by_file = || FOLDER.as_ref().is_some_and(|folder| std::fs::remove_file(folder.join(name)).is_ok());
        assert!(!here(name) && !by_file(), "failpoint {name}");
    }

    #[cfg(not(test))]
    fn here(_: &str) -> bool {
        false
    }

    #[cfg(test)]
    fn here(name: &str) -> bool {
        let here = is_armed(name);
        if here {
            HERE.set(None);
        }
        here
    }

    /// Arms a point for this thread, in the place of an earlier one.
    #[cfg(test)]
    pub(crate) fn arm(name: &'static str) {
        HERE.set(Some(name));
    }

    /// Whether nobody has met it yet.
    #[cfg(test)]
    pub(crate) fn is_armed(name: &str) -> bool {
        HERE.get() == Some(name)
    }
}
