//! One file of the journal: allocated in advance, appended to at an offset that only a whole write moves.
//!
//! The surprise: a write that failed half-way is not taken back; the next one starts at the same offset and covers it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastroute_core::journal::{MAGIC, Opened, Record};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Number of the lane that a start's findings are filed under, behind every real one.
pub(super) const FINDINGS: u16 = u16::MAX;

/// Which file of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) boot: u64,
    pub(super) number: u32,
    pub(super) lane: u16,
}

impl Name {
    pub(super) fn render(self) -> String {
        let Self { boot, number, lane } = self;
        if lane == FINDINGS {
            format!("{boot:08}-start.journal")
        } else {
            format!("{boot:08}-{lane:03}-{number:08}.journal")
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let (boot, rest) = name.strip_suffix(".journal")?.split_once('-')?;
        let boot = boot.parse().ok()?;
        if rest == "start" {
            return Some(Self { boot, number: 0, lane: FINDINGS });
        }
        let (lane, number) = rest.split_once('-')?;
        Some(Self { boot, number: number.parse().ok()?, lane: lane.parse().ok().filter(|lane| *lane != FINDINGS)? })
    }

    /// The files of a journal, oldest first.
    pub(super) fn list(dir: &Path) -> io::Result<Vec<(Self, PathBuf, u64)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().and_then(Self::parse)
                // One that was deleted meanwhile is none of ours any more.
                && let Ok(about) = entry.metadata()
            {
                found.push((name, entry.path(), about.len()));
            }
        }
        found.sort_by_key(|(name, _, _)| *name);
        Ok(found)
    }
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: Name,
    pub(super) file: Arc<File>,
    /// Where the next record goes.
    pub(super) at: u64,
    pub(super) capacity: u64,
    path: PathBuf,
}

impl Segment {
    /// A new file with its room allocated, so that a full disk is met here and not under a request. A folder that
    /// somebody deleted is made again.
    pub(super) fn create(dir: &Path, name: Name, capacity: u64) -> io::Result<Self> {
        let path = dir.join(name.render());
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
                open()?
            }
            opened => opened?,
        };
        match fallocate(&file, FallocateFlags::empty(), 0, capacity) {
            // Some file systems cannot: then the file grows as it is written.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => {
                let _ = std::fs::remove_file(&path);
                return Err(error.into());
            }
        }
        Ok(Self { name, file: Arc::new(file), at: 0, capacity, path })
    }

    /// Writes the head, then `rest`: what is carried over, and perhaps records of now. One write.
    pub(super) fn begin(&mut self, opened: &Opened<'_>, rest: &[&[u8]]) -> io::Result<()> {
        let mut head = MAGIC.to_vec();
        Record::Opened(*opened).render(&mut head);
        for part in rest {
            head.extend_from_slice(part);
        }
        self.append(&head)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn full(&self) -> bool {
        self.at >= self.capacity
    }

    /// Nothing more will be written: gives back the room that is left.
    pub(super) fn seal(self) {
        if self.at == 0 {
            let _ = std::fs::remove_file(&self.path);
        } else {
            let _ = self.file.set_len(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_age_and_read_back() {
        let names = [(1, 0, 1), (1, 1, 0), (1, 1, 1), (2, 0, 0), (2, 0, FINDINGS)];
        let names = names.map(|(boot, number, lane)| Name { boot, number, lane });
        assert!(names.is_sorted());
        for name in names {
            assert_eq!(Name::parse(&name.render()), Some(name));
        }
        for foreign in
            ["lock", "00000001-start.journal.tmp", "x-000-00000001.journal", "00000001-65535-00000001.journal"]
        {
            assert_eq!(Name::parse(foreign), None, "{foreign}");
        }
    }
}
