//! What a recording says about itself: where it comes from, what it lacks, what may be doubted.

/// Something that a recording lacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// What, as a noun: `domains`.
    pub what: String,
    /// What would give it, or why nothing does.
    pub remedy: String,
}

impl Missing {
    /// What a recording lacks that begins in mid-life: the birth of blocks that were there before.
    pub const PROCESS_BIRTH: &str = "process birth";
    /// What a recording lacks whose recorder does not see Python's frames; it may have other stacks.
    pub const PYTHON_STACKS: &str = "Python stacks";
    /// What a recording lacks whose recorder sees only what goes on to the C library.
    pub const SMALL_BLOCKS: &str = "small blocks";
    /// What a recording lacks that does not say which Python ran.
    pub const PYTHON_VERSION: &str = "the version of Python";
    /// What a recording lacks whose recorder takes blocks of the recorded process for itself; the remedy says which.
    pub const RECORDERS_BLOCKS: &str = "the recorder's own blocks";
}

/// A moment of the recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeMark {
    /// Operations before it.
    pub at: u64,
    /// Nanoseconds since the recording began.
    pub time_ns: u64,
    /// The process's resident set in bytes, where the recording has it.
    pub rss_bytes: Option<u64>,
}

/// What was passed over or guessed while reading, so that every result can say how far to trust it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Doubt {
    /// Frees of blocks whose birth is not in the file; they are skipped.
    pub unknown_frees: u64,
    /// Reallocs of such blocks; each counts as the birth of its result.
    pub unknown_reallocs: u64,
    /// Births at an address that was still in use: the free between them was lost.
    pub lost_frees: u64,
    /// Operations whose domain the recording does not have and which was told from sizes and addresses.
    pub inferred_domains: u64,
    /// Pairs of free and malloc that were taken for a realloc because nothing told them apart.
    pub ambiguous_reallocs: u64,
    /// Frees directly before a malloc that may have been one realloc and were left as two calls, for a
    /// recorder that writes both the same way.
    pub possible_reallocs: u64,
    /// Where and why the file ends early, in one sentence.
    pub truncated: Option<String>,
}

impl Doubt {
    /// One sentence for each reason to doubt.
    pub fn sentences(&self) -> Vec<String> {
        let count = |n: u64, one: &str, many: &str| {
            (n > 0).then(|| format!("{n} {}", if n == 1 { one } else { many }))
        };
        [
            self.truncated.clone(),
            count(
                self.unknown_frees,
                "free of a block allocated before the recording began was skipped",
                "frees of blocks allocated before the recording began were skipped",
            ),
            count(
                self.unknown_reallocs,
                "realloc of a block allocated before the recording began counts as malloc",
                "reallocs of blocks allocated before the recording began count as mallocs",
            ),
            count(
                self.lost_frees,
                "block was allocated where another was still live, so a free is missing",
                "blocks were allocated where others were still live, so frees are missing",
            ),
            count(
                self.inferred_domains,
                "operation's domain was inferred from its size and address",
                "operations' domains were inferred from sizes and addresses",
            ),
            count(
                self.ambiguous_reallocs,
                "free followed by a realloc on the same thread was taken for one realloc",
                "frees followed by a realloc on the same thread were taken for one realloc each",
            ),
            count(
                self.possible_reallocs,
                "free right before a malloc may have been one realloc and was left as two calls",
                "frees right before a malloc may have been one realloc each and were left as two calls",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Calls of one function as the recorder counted them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallCount {
    /// The function in the recorder's words: `pymalloc_malloc`, `mmap`.
    pub function: String,
    /// How often.
    pub calls: u64,
}

/// Where a trace comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// Facts about program, machine and recorder, by name, in the order given: `python`, `command_line`, `pid` …
    pub facts: Vec<(String, String)>,
    /// Records in the recorder's own count, which may differ from the operations made of them.
    pub records: Option<u64>,
    /// The most bytes that were live at once in the recorder's own count.
    pub peak_bytes: Option<u64>,
    /// Calls by function in the recorder's own words.
    pub calls: Vec<CallCount>,
    /// Names of threads, by thread number; empty where a thread has none.
    pub thread_names: Vec<String>,
    /// What the recording lacks.
    pub missing: Vec<Missing>,
    /// What was passed over or guessed.
    pub doubt: Doubt,
}

impl Source {
    /// Sets a fact, over an earlier one of that name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.facts.iter_mut().find(|f| f.0 == name) {
            Some(fact) => fact.1 = value,
            None => self.facts.push((name.to_owned(), value)),
        }
    }

    /// A fact.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|f| f.0 == name).map(|f| f.1.as_str())
    }

    /// Notes something the recording lacks.
    pub fn lacks(&mut self, what: &str, remedy: &str) {
        if !self.missing.iter().any(|m| m.what == what) {
            self.missing.push(Missing { what: what.to_owned(), remedy: remedy.to_owned() });
        }
    }
}
