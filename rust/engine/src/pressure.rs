//! How hard this process is pressed: memory, descriptors, and how late its threads are. Looked at four times a second.
//!
//! The rule: whoever admits or goes on with work reads one atomic; nobody measures on a request's time. The surprise:
//! each step is left five per cent below where it was entered, or a process at its edge would change its mind all day.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::defect::{Defects, kept_thread};
use crate::failpoint;

/// As often as Envoy's overload manager looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS_PER_S: u32 = 4;
/// How far the memory in use has to fall below a step to leave it, per cent of the limit.
const LEAVE_BELOW: u64 = 5;
/// A thread that comes back later than this is late.
const LATE: Duration = Duration::from_millis(50);
/// Pulses of each I/O thread, by which its lateness is known.
const PULSE: Duration = Duration::from_millis(50);
/// So many seconds in a row with more than one pulse in a hundred late: the ninety-ninth percentile of five seconds.
const LATE_FOR_S: u32 = 5;
/// Descriptors kept for health, metrics and the disk; new work is refused where only these are left.
pub const RESERVED_DESCRIPTORS: u64 = 64;
/// Nothing at all is accepted where only these are left.
const LAST_DESCRIPTORS: u64 = 16;

/// What is given up, each step with all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Step {
    None,
    /// Large request bodies.
    Bodies,
    /// New streams.
    Streams,
    /// Everything new, and the streams whose clients read slowest.
    SlowReaders,
}

/// Per cent of the limit at which a step is entered.
const STEPS: [(u64, Step); 3] = [(95, Step::SlowReaders), (90, Step::Streams), (80, Step::Bodies)];

/// See the module.
#[derive(Debug)]
pub struct Pressure {
    step: AtomicU8,
    late: AtomicBool,
    pulses: AtomicU64,
    late_pulses: AtomicU64,
    memory_bytes: AtomicUsize,
    memory_limit_bytes: AtomicUsize,
    few_descriptors: AtomicBool,
    descriptor_limit: u64,
}

impl Default for Pressure {
    fn default() -> Self {
        Self {
            step: AtomicU8::new(Step::None as u8),
            late: AtomicBool::new(false),
            pulses: AtomicU64::new(0),
            late_pulses: AtomicU64::new(0),
            memory_bytes: AtomicUsize::new(0),
            memory_limit_bytes: AtomicUsize::new(0),
            few_descriptors: AtomicBool::new(false),
            descriptor_limit: descriptor_limit().unwrap_or(u64::MAX),
        }
    }
}

impl Pressure {
    /// Whether what `step` gives up is to be given up now.
    pub fn at(&self, step: Step) -> bool {
        let late = step == Step::Bodies && self.late.load(Ordering::Relaxed);
        late || self.step.load(Ordering::Relaxed) >= step as u8
    }

    /// Threads are late: work that can be refused is not kept waiting for them.
    pub fn late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }

    /// The reserve of descriptors is touched.
    pub fn few_descriptors(&self) -> bool {
        self.few_descriptors.load(Ordering::Relaxed)
    }

    /// What the number of a fresh descriptor tells: the kernel always gives the lowest that is free.
    pub fn room_after(&self, descriptor: u64) -> Room {
        match self.descriptor_limit.saturating_sub(descriptor) {
            ..=LAST_DESCRIPTORS => Room::None,
            left if left <= RESERVED_DESCRIPTORS => Room::Reserve,
            _ => Room::Enough,
        }
    }

    /// Name, kind, help text, value.
    pub fn rows(&self) -> [(&'static str, &'static str, &'static str, u64); 4] {
        let size = |counter: &AtomicUsize| counter.load(Ordering::Relaxed) as u64;
        [
            ("fastroute_memory_bytes", "gauge", "Memory that counts against the limit.", size(&self.memory_bytes)),
            ("fastroute_memory_limit_bytes", "gauge", "The limit; 0: none.", size(&self.memory_limit_bytes)),
            (
                "fastroute_overload_step",
                "gauge",
                "What is given up for memory: 1 large bodies, 2 new streams, 3 everything new and slow readers.",
                u64::from(self.step.load(Ordering::Relaxed)),
            ),
            (
                "fastroute_late_threads",
                "gauge",
                "1 while the I/O threads are more than 50 ms late.",
                u64::from(self.late.load(Ordering::Relaxed)),
            ),
        ]
    }

    /// Runs on each I/O thread for as long as it lives.
    pub(crate) async fn pulse(self: Arc<Self>) {
        loop {
            let due = Instant::now() + PULSE;
            tokio::time::sleep_until(due).await;
            failpoint::pass("pressure.pulse");
            self.pulses.fetch_add(1, Ordering::Relaxed);
            if due.elapsed() > LATE {
                self.late_pulses.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Starts the thread that looks. `limit_bytes` of 0 asks the system for the limit.
    pub(crate) fn watch(self: &Arc<Self>, limit_bytes: usize, defects: Defects) -> std::io::Result<()> {
        let pressure = Arc::downgrade(self);
        let memory = Memory::find(limit_bytes as u64);
        std::thread::Builder::new().name("fr-pressure".into()).spawn(move || {
            kept_thread(&defects, || {
                let mut lateness = Lateness::default();
                for look in 1_u32.. {
                    std::thread::sleep(LOOK_EVERY);
                    let Some(pressure) = pressure.upgrade() else { return };
                    pressure.look(look, memory.as_ref(), &mut lateness);
                }
            });
        })?;
        Ok(())
    }

    fn look(&self, look: u32, memory: Option<&Memory>, lateness: &mut Lateness) {
        failpoint::pass("pressure.look");
        if let Some((used, limit)) = memory.and_then(Memory::look) {
            self.remember(used, limit);
        }
        self.look_at_descriptors();
        if look.is_multiple_of(LOOKS_PER_S) {
            let late = lateness.second(self.pulses.load(Ordering::Relaxed), self.late_pulses.load(Ordering::Relaxed));
            self.late.store(late, Ordering::Relaxed);
        }
    }

    pub(crate) fn remember(&self, used: u64, limit: u64) {
        let narrow = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        self.memory_bytes.store(narrow(used), Ordering::Relaxed);
        self.memory_limit_bytes.store(narrow(limit), Ordering::Relaxed);
        self.step.store(step(used, limit, self.step.load(Ordering::Relaxed)) as u8, Ordering::Relaxed);
    }

    fn look_at_descriptors(&self) {
        use std::os::fd::AsRawFd;
        // The lowest free one, without counting those that are open.
        let lowest = fs::File::open("/dev/null").map_or(u64::MAX, |file| u64::try_from(file.as_raw_fd()).unwrap_or(0));
        self.few_descriptors.store(self.room_after(lowest) != Room::Enough, Ordering::Relaxed);
    }
}

/// How many descriptors are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Enough,
    /// For health and metrics alone.
    Reserve,
    None,
}

fn step(used: u64, limit: u64, now: u8) -> Step {
    let percent = used.saturating_mul(100) / limit.max(1);
    let reached = |from: u64, step: Step| percent >= from - if now >= step as u8 { LEAVE_BELOW } else { 0 };
    STEPS.into_iter().find(|(from, step)| reached(*from, *step)).map_or(Step::None, |(_, step)| step)
}

/// Seconds in a row in which threads were late.
#[derive(Default)]
struct Lateness {
    pulses: u64,
    late: u64,
    seconds: u32,
}

impl Lateness {
    /// Another second is over; takes the counters as they stand.
    fn second(&mut self, pulses: u64, late: u64) -> bool {
        let (beats, missed) = (pulses - self.pulses, late - self.late);
        (self.pulses, self.late) = (pulses, late);
        self.seconds = if missed * 100 > beats { self.seconds.saturating_add(1) } else { 0 };
        self.seconds >= LATE_FOR_S
    }
}

/// Where the memory in use and its limit are read.
#[derive(Debug)]
enum Memory {
    /// This process against a limit of its configuration.
    Process { limit: u64 },
    /// The control group, whose limit ends every process in it.
    Group { usage: PathBuf, stat: PathBuf, limit: u64 },
}

impl Memory {
    fn find(limit: u64) -> Option<Self> {
        if limit > 0 {
            return Some(Self::Process { limit });
        }
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let root = Path::new("/sys/fs/cgroup");
        groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let names: Option<(PathBuf, [&str; 2])> = match controllers {
                "" => Some((root.into(), ["memory.max", "memory.current"])),
                _ if controllers.split(',').any(|name| name == "memory") => {
                    Some((root.join("memory"), ["memory.limit_in_bytes", "memory.usage_in_bytes"]))
                }
                _ => None,
            };
            let (mount, names) = names?;
            Self::of_group(&mount, Path::new(path.trim_start_matches('/')), names)
        })
    }

    /// The tightest limit from the group up to the root; a container often sees its own group as the root.
    fn of_group(mount: &Path, path: &Path, [limit, usage]: [&str; 2]) -> Option<Self> {
        let folders = path.ancestors().map(|part| mount.join(part));
        let limited = folders.filter_map(|folder| {
            let limit = fs::read_to_string(folder.join(limit)).ok()?.trim().parse::<u64>().ok()?;
            // The first version writes a number near 2^63 for none.
            (limit < 1 << 60).then_some((limit, folder))
        });
        let (limit, folder) = limited.min_by_key(|(limit, _)| *limit)?;
        Some(Self::Group { usage: folder.join(usage), stat: folder.join("memory.stat"), limit })
    }

    /// Bytes in use that cannot be dropped, and the limit.
    fn look(&self) -> Option<(u64, u64)> {
        match self {
            Self::Process { limit } => {
                let status = fs::read_to_string("/proc/self/status").ok()?;
                let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
                let kib: u64 = resident.trim().trim_end_matches("kB").trim_end().parse().ok()?;
                Some((kib * 1024, *limit))
            }
            Self::Group { usage, stat, limit } => {
                let used: u64 = fs::read_to_string(usage).ok()?.trim().parse().ok()?;
                // Pages of files go when memory is needed; everything else is what an end for want of memory is about.
                Some((used.saturating_sub(files_of(&fs::read_to_string(stat).ok()?)), *limit))
            }
        }
    }
}

/// Bytes of file pages in a `memory.stat`: the first version has totals of the group's children beside its own.
fn files_of(stat: &str) -> u64 {
    let value = |wanted: &str| {
        let mut fields = stat.lines().filter_map(|line| line.split_once(' '));
        fields.find(|(name, _)| *name == wanted).and_then(|(_, value)| value.parse::<u64>().ok())
    };
    let either = |total: &str, own: &str| value(total).or_else(|| value(own)).unwrap_or(0);
    either("total_active_file", "active_file") + either("total_inactive_file", "inactive_file")
}

fn descriptor_limit() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    soft.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_entered_in_order_and_left_a_little_lower() {
        use Step::{Bodies, None, SlowReaders, Streams};
        let mut now = None;
        let walk: Vec<Step> = [79, 80, 76, 74, 90, 86, 84, 95, 91, 89, 50]
            .into_iter()
            .map(|percent| {
                now = step(percent, 100, now as u8);
                now
            })
            .collect();
        assert_eq!(
            walk,
            [None, Bodies, Bodies, None, Streams, Streams, Bodies, SlowReaders, SlowReaders, Streams, None]
        );
    }

    #[test]
    fn threads_are_late_after_five_bad_seconds_and_no_longer_after_a_good_one() {
        let mut lateness = Lateness::default();
        let mut seen = Vec::new();
        for second in 1..=8 {
            let late = if second < 7 { second } else { 6 };
            seen.push(lateness.second(20 * second, late));
        }
        assert_eq!(seen, [false, false, false, false, true, true, false, false]);
    }

    #[test]
    fn one_late_pulse_in_a_hundred_is_none() {
        let mut lateness = Lateness::default();
        assert!((1..100).all(|second| !lateness.second(100 * second, second)));
    }

    #[test]
    fn pages_of_files_do_not_count_in_either_version() {
        assert_eq!(
            files_of("cache 9\nactive_file 1\ninactive_file 2\ntotal_active_file 30\ntotal_inactive_file 4"),
            34
        );
        assert_eq!(files_of("anon 9\nactive_file 1\ninactive_file 2"), 3);
    }

    #[test]
    fn the_tightest_limit_of_the_groups_above_is_the_one() {
        let mount = std::env::temp_dir().join(format!("fastroute-groups-{}", std::process::id()));
        let inner = mount.join("pod/box");
        fs::create_dir_all(&inner).unwrap();
        let names = ["memory.max", "memory.current"];
        for (folder, limit) in [(&mount, "max"), (&mount.join("pod"), "1000"), (&inner, "2000")] {
            fs::write(folder.join("memory.max"), limit).unwrap();
            fs::write(folder.join("memory.current"), "900\n").unwrap();
            fs::write(folder.join("memory.stat"), "inactive_file 100\n").unwrap();
        }
        let found = Memory::of_group(&mount, Path::new("pod/box"), names).unwrap();
        assert_eq!(found.look(), Some((800, 1000)));
        // Seen from inside, the path of the outside does not exist.
        let inside = Memory::of_group(&inner, Path::new("pod/box"), names).unwrap();
        assert_eq!(inside.look(), Some((800, 2000)));
        fs::remove_dir_all(&mount).unwrap();
    }

    #[test]
    fn the_last_descriptors_are_kept() {
        let pressure = Pressure { descriptor_limit: 256, ..Pressure::default() };
        assert_eq!(pressure.room_after(191), Room::Enough);
        assert_eq!(pressure.room_after(192), Room::Reserve);
        assert_eq!(pressure.room_after(240), Room::None);
    }
}
