//! What is in a trace: sizes, lifetimes, who asks, and how much was live at once.

use std::collections::BTreeMap;

use sim_core::tape::{Action, FrameId, SourceLine, StackId};
use sim_core::{Call, Domain, Kind, Trace};

/// Requests up to this size are counted in steps of 16 bytes, as pymalloc's classes are.
const SMALL_MAX: u64 = 512;

/// A row of the histogram of sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SizeRow {
    /// The largest request counted in it, in bytes.
    pub up_to: u64,
    /// Requests.
    pub births: u64,
    /// Bytes of them together.
    pub bytes: u64,
}

/// Lifetimes, counted in operations between birth and free.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lifetimes {
    /// At place k: blocks freed after 2^k to 2^(k+1) - 1 operations.
    pub by_power: Vec<u64>,
    /// Blocks that were never freed.
    pub never: u64,
}

/// A place that allocates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallSite {
    /// The innermost frame; without a file and function where nobody knows.
    pub line: SourceLine,
    /// Blocks born there.
    pub births: u64,
    /// Bytes of them together.
    pub bytes: u64,
}

/// What became of reallocs of blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reallocs {
    /// To more bytes.
    pub grown: u64,
    /// To fewer.
    pub shrunk: u64,
    /// To as many.
    pub same: u64,
    /// Whose recorded address stayed.
    pub in_place: u64,
    /// Whose recorded address changed.
    pub moved: u64,
}

/// What a thread or domain did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Share {
    /// Its number.
    pub number: u16,
    /// Operations.
    pub operations: u64,
    /// Blocks born.
    pub births: u64,
    /// Bytes of them together.
    pub bytes: u64,
}

/// What was counted. Sizes are in bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StatsReport {
    /// Operations.
    pub operations: u64,
    /// Blocks born, by malloc, calloc or realloc of NULL.
    pub births: u64,
    /// Bytes asked for, reallocs included.
    pub bytes: u64,
    /// Requests by size, smallest first.
    pub sizes: Vec<SizeRow>,
    /// How long blocks live.
    pub lifetimes: Lifetimes,
    /// Places that ask for the most bytes, the most first.
    pub by_bytes: Vec<CallSite>,
    /// Places that ask most often, the most first.
    pub by_count: Vec<CallSite>,
    /// Reallocs.
    pub reallocs: Reallocs,
    /// The most bytes live at once, and the operations done by then.
    pub peak_bytes: (u64, u64),
    /// The most blocks live at once, and the operations done by then.
    pub peak_blocks: (u64, u64),
    /// By thread.
    pub threads: Vec<Share>,
    /// By domain: RAW, MEM, OBJ.
    pub domains: Vec<Share>,
}

/// A block as it was counted when it was born or resized.
#[derive(Clone, Copy, Debug, Default)]
struct CountedBlock {
    born: u64,
    size: u64,
    address: u64,
    given: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Site {
    births: u64,
    bytes: u64,
}

/// Counts.
#[derive(Debug, Default)]
pub struct Stats {
    report: StatsReport,
    live: Vec<CountedBlock>,
    /// Damaged files have sizes whose sum does not fit in 64 bits.
    live_bytes: u128,
    live_blocks: u64,
    small: Vec<Site>,
    large: BTreeMap<u32, Site>,
    sites: Vec<Site>,
    threads: BTreeMap<u16, Share>,
    domains: [Share; 3],
    /// The stack that the last action set.
    stack: StackId,
}

impl Stats {
    /// Takes the next piece.
    pub fn take(&mut self, piece: &Trace) {
        self.take_part(piece, 0..piece.len() as usize);
    }

    /// Takes the next operations of a piece, for who has to stop in between; their parts follow one another.
    pub fn take_part(&mut self, piece: &Trace, part: std::ops::Range<usize>) {
        for index in part {
            self.operation(piece, index);
        }
    }

    fn operation(&mut self, piece: &Trace, index: usize) {
        let packed = piece.packed(index);
        let Some(op) = piece.op(index as u64) else { return };
        self.report.operations += 1;
        let step = self.report.operations;
        if let Call::Act(action) = op.call {
            if let Action::Stack(stack) = action {
                self.stack = stack;
            }
            return;
        }
        let slot = packed.slot.0 as usize;
        if self.live.len() <= slot {
            self.live.resize(slot + 1, CountedBlock::default());
        }
        let address = piece.address_of(index).map_or(0, |a| a.0);
        let thread = self.threads.entry(op.thread).or_insert(Share { number: op.thread, ..Share::default() });
        let domain = &mut self.domains[packed.domain as usize];
        thread.operations += 1;
        domain.operations += 1;
        // A request that large gives NULL.
        let given = i64::try_from(packed.size).is_ok();
        match packed.kind {
            Kind::Free | Kind::FreeKeep if packed.null => {}
            Kind::Free | Kind::FreeKeep => {
                let block = std::mem::take(&mut self.live[slot]);
                if block.given {
                    self.live_bytes -= u128::from(block.size);
                    self.live_blocks -= 1;
                    let power = (step - block.born).max(1).ilog2() as usize;
                    let powers = &mut self.report.lifetimes.by_power;
                    if powers.len() <= power {
                        powers.resize(power + 1, 0);
                    }
                    powers[power] += 1;
                }
            }
            Kind::Realloc if !packed.null && self.live[slot].given => {
                let block = &mut self.live[slot];
                if !given {
                    return;
                }
                let counts = &mut self.report.reallocs;
                match packed.size.cmp(&block.size) {
                    std::cmp::Ordering::Greater => counts.grown += 1,
                    std::cmp::Ordering::Less => counts.shrunk += 1,
                    std::cmp::Ordering::Equal => counts.same += 1,
                }
                if address != 0 && block.address != 0 {
                    if address == block.address { counts.in_place += 1 } else { counts.moved += 1 }
                }
                self.live_bytes = self.live_bytes - u128::from(block.size) + u128::from(packed.size);
                (block.size, block.address) = (packed.size, address);
                self.report.bytes = self.report.bytes.saturating_add(packed.size);
            }
            Kind::Malloc | Kind::Calloc | Kind::Realloc if given => {
                thread.births += 1;
                domain.births += 1;
                thread.bytes = thread.bytes.saturating_add(packed.size);
                domain.bytes = domain.bytes.saturating_add(packed.size);
                self.birth(
                    piece,
                    index,
                    CountedBlock { born: step, size: packed.size, address, given: true },
                    slot,
                );
            }
            _ => {}
        }
        let (bytes, blocks) = (&mut self.report.peak_bytes, &mut self.report.peak_blocks);
        let live_bytes = u64::try_from(self.live_bytes).unwrap_or(u64::MAX);
        if live_bytes > bytes.0 {
            *bytes = (live_bytes, step);
        }
        if self.live_blocks > blocks.0 {
            *blocks = (self.live_blocks, step);
        }
    }

    fn birth(&mut self, piece: &Trace, index: usize, block: CountedBlock, slot: usize) {
        self.live[slot] = block;
        self.live_bytes += u128::from(block.size);
        self.live_blocks += 1;
        self.report.births += 1;
        self.report.bytes = self.report.bytes.saturating_add(block.size);
        let row = if block.size <= SMALL_MAX {
            let class = (block.size.max(1) as usize - 1) / 16;
            if self.small.len() <= class {
                self.small.resize(class + 1, Site::default());
            }
            &mut self.small[class]
        } else {
            self.large.entry(64 - (block.size - 1).leading_zeros()).or_default()
        };
        row.births += 1;
        row.bytes = row.bytes.saturating_add(block.size);
        let stack = if piece.has_stacks() { piece.stack_of(index) } else { self.stack };
        let site = piece.origin.stacks.node(stack).map_or(0, |(_, FrameId(frame))| frame as usize + 1);
        if self.sites.len() <= site {
            self.sites.resize(site + 1, Site::default());
        }
        self.sites[site].births += 1;
        self.sites[site].bytes = self.sites[site].bytes.saturating_add(block.size);
    }

    /// What was counted, with the `top` places that allocate most. `whole` has the names.
    pub fn report(mut self, whole: &Trace, top: usize) -> StatsReport {
        let small = (1..).map(|class| 16 * class).zip(&self.small);
        let large =
            self.large.iter().map(|(&power, site)| (1_u64.checked_shl(power).unwrap_or(u64::MAX), site));
        self.report.sizes = small
            .chain(large)
            .filter(|(_, site)| site.births > 0)
            .map(|(up_to, site)| SizeRow { up_to, births: site.births, bytes: site.bytes })
            .collect();
        self.report.lifetimes.never = self.live_blocks;
        let sites: Vec<(usize, Site)> =
            self.sites.iter().copied().enumerate().filter(|(_, site)| site.births > 0).collect();
        // Without stacks there is one place, and it says nothing.
        if sites.iter().any(|(index, _)| *index > 0) {
            let sorted = |key: fn(&Site) -> (u64, u64)| -> Vec<CallSite> {
                let mut sites = sites.clone();
                sites.sort_by_key(|(index, site)| (std::cmp::Reverse(key(site)), *index));
                let places = sites.into_iter().take(top);
                places.map(|(index, site)| place(whole, index, site)).collect()
            };
            self.report.by_bytes = sorted(|s| (s.bytes, s.births));
            self.report.by_count = sorted(|s| (s.births, s.bytes));
        }
        self.report.threads = self.threads.into_values().collect();
        let domains = Domain::ALL.iter().zip(self.domains);
        self.report.domains = domains.map(|(&d, share)| Share { number: d as u16, ..share }).collect();
        self.report
    }
}

fn place(whole: &Trace, index: usize, site: Site) -> CallSite {
    let unknown = || SourceLine { function: String::new(), file: String::new(), line: 0 };
    let line =
        index.checked_sub(1).map_or_else(unknown, |frame| whole.origin.stacks.line(FrameId(frame as u32)));
    CallSite { line, births: site.births, bytes: site.bytes }
}
