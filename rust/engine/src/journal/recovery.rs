//! What earlier processes left behind: which of their attempts have no end, and that end, as far as anybody can tell.
//!
//! The findings are a file that appears whole or not at all, so a start that is killed is simply done again, and a start
//! reads one segment per lane of the process before it, however long the journal is.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fastroute_core::journal::{End, MAGIC, OpenAttempt, Opened, Reader, Record, Replay};

use super::segment::{FINDINGS, Name};
use super::{JournalSpec, wall_ms};

/// What its end says of an attempt whose process died.
const DIED: &str = "process_died";

#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// Number of this start.
    pub(super) boot: u64,
    pub(super) left_open: usize,
    /// Segments that are not what they were.
    pub(super) damaged: usize,
    lost: u64,
    /// The machine went down since: what was not synced may be missing.
    fell: bool,
    unwritten: Option<io::Error>,
}

impl Recovered {
    /// What is worth telling.
    pub(super) fn told(&self) -> Option<String> {
        use std::fmt::Write as _;
        let mut text = String::new();
        if self.left_open > 0 {
            let _ = write!(
                text,
                "{} attempts of an earlier process have no end and are settled as unknown",
                self.left_open
            );
        }
        let mut more = |part: String| {
            let _ = write!(text, "{}{part}", if text.is_empty() { "" } else { "; " });
        };
        if self.fell && self.left_open > 0 {
            more("the machine went down meanwhile, so what was not synced may be missing".into());
        }
        if self.damaged > 0 {
            more(format!("{} damaged segments were read up to the damage", self.damaged));
        }
        if self.lost > 0 {
            more(format!("{} records had found no room", self.lost));
        }
        if let Some(error) = &self.unwritten {
            more(format!("the findings could not be written ({error}) and will be made again at the next start"));
        }
        (!text.is_empty()).then(|| format!("journal: {text}"))
    }
}

/// The kernel's id of its own start.
pub(super) fn machine_boot() -> u128 {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    u128::from_str_radix(&id.trim().replace('-', ""), 16).unwrap_or(0)
}

/// Reads what is there, writes the findings, and numbers this start.
pub(super) fn recover(spec: &JournalSpec) -> io::Result<Recovered> {
    let files = Name::list(&spec.dir)?;
    let boot = files.last().map_or(0, |(name, _, _)| name.boot) + 1;
    let mut recovered = Recovered { boot, ..Recovered::default() };
    let mut open = Vec::new();
    for files in unaccounted(&files) {
        let mut replay = Replay::default();
        recovered.fold(&files, &mut replay);
        recovered.lost += replay.lost;
        open.extend(replay.open().copied());
    }
    recovered.left_open = open.len();
    recovered.unwritten = write_findings(spec, boot, &open).err();
    Ok(recovered)
}

/// The lanes whose open attempts no findings speak of, each with its files in order: those of the latest boots, back to
/// the first whose own findings are whole.
fn unaccounted(files: &[(Name, PathBuf, u64)]) -> Vec<Vec<PathBuf>> {
    let mut lanes: BTreeMap<(u64, u16), Vec<PathBuf>> = BTreeMap::new();
    let mut reached = None;
    for (name, path, _) in files.iter().rev() {
        if reached.is_some_and(|boot| name.boot < boot) {
            break;
        }
        if name.lane == FINDINGS {
            if stands_alone(path) {
                reached = Some(name.boot);
            }
        } else {
            lanes.entry((name.boot, name.lane)).or_default().insert(0, path.clone());
        }
    }
    lanes.into_values().collect()
}

/// True when a segment has all of what it restates.
fn stands_alone(path: &Path) -> bool {
    let Ok(bytes) = std::fs::read(path) else { return false };
    let mut reader = Reader::new(&bytes);
    match reader.next() {
        Some(Record::Opened(opened)) => reader.take(opened.carried as usize).count() == opened.carried as usize,
        _ => false,
    }
}

impl Recovered {
    /// Follows one lane from the latest segment that stands alone.
    fn fold(&mut self, files: &[PathBuf], replay: &mut Replay) {
        let from = files.iter().rposition(|path| stands_alone(path)).unwrap_or(0);
        for path in files.iter().skip(from) {
            let Ok(bytes) = std::fs::read(path) else {
                self.damaged += 1;
                continue;
            };
            let mut reader = Reader::new(&bytes);
            for record in reader.by_ref() {
                if let Record::Opened(opened) = record {
                    self.fell |= opened.machine_boot != machine_boot();
                }
                replay.take(&record);
            }
            if let Some(End::Damaged { .. } | End::Foreign) = reader.end() {
                self.damaged += 1;
            }
            trim(path, &bytes, reader.end().map_or(0, End::at));
        }
    }
}

/// Gives back the room that was allocated and never written. Not one byte of what was written goes, damaged or not.
fn trim(path: &Path, bytes: &[u8], read: usize) {
    // A record may end in zeros itself, and behind the last good one there may be part of another.
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1).max(read);
    if written == 0 {
        let _ = std::fs::remove_file(path);
    } else if written < bytes.len() {
        let cut = OpenOptions::new().write(true).open(path);
        let _ = cut.and_then(|file| file.set_len(written as u64));
    }
}

fn write_findings(spec: &JournalSpec, boot: u64, open: &[OpenAttempt]) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    let opened = Opened {
        boot,
        lane: FINDINGS,
        process: std::process::id(),
        machine_boot: machine_boot(),
        opened_ms: wall_ms(),
        carried: u32::try_from(open.len()).unwrap_or(u32::MAX),
        instance: &spec.instance,
        ..Opened::default()
    };
    Record::Opened(opened).render(&mut bytes);
    for attempt in open {
        Record::Settle(attempt.settle(DIED)).render(&mut bytes);
    }
    let path = spec.dir.join(Name { boot, number: 0, lane: FINDINGS }.render());
    let draft = path.with_extension("tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&bytes)?;
    if spec.fsync {
        file.sync_data()?;
    }
    std::fs::rename(&draft, &path)
}
