//! What a build and its process make of mimalloc.

/// The release of mimalloc that a `CPython` bundles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MimallocVersion {
    /// 2.1.2: 3.13, and 3.14 up to 3.14.9.
    V2_1_2,
    /// 2.5.2: 3.14.10 and later, 3.15.
    V2_5_2,
}

impl MimallocVersion {
    /// The release's number.
    pub fn name(self) -> &'static str {
        match self {
            Self::V2_1_2 => "2.1.2",
            Self::V2_5_2 => "2.5.2",
        }
    }
}

/// The mimalloc of a build, with what of its process the placement of blocks depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "switches of a build, independent of one another")]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MimallocBuild {
    /// The release; `None` before 3.13, and for what is not modelled (32-bit builds).
    pub version: Option<MimallocVersion>,
    /// `Py_GIL_DISABLED`: MEM and OBJ are mimalloc's, with four heaps a thread.
    pub free_threaded: bool,
    /// Whether RAW is mimalloc's too where MEM and OBJ are (3.15).
    pub raw: bool,
    /// Whether emptied pages of the object heaps wait for quiescent states (free-threaded builds).
    pub qsbr: bool,
    /// Whether a new thread takes over the QSBR counters of the one that ended last.
    pub qsbr_slots_recycled: bool,
    /// Whether a deferred page leaves the full queue (3.14.4 and later).
    pub unfull_deferred: bool,
    /// Arenas of 1 GiB reserved from the start.
    pub arenas: u32,
    /// Whether thread 0 is the process's main thread, whose forced collect takes over all abandoned segments.
    pub main_thread: bool,
}

impl Default for MimallocBuild {
    /// 3.14.10 with the GIL.
    fn default() -> Self {
        Self {
            version: Some(MimallocVersion::V2_5_2),
            free_threaded: false,
            raw: false,
            qsbr: false,
            qsbr_slots_recycled: true,
            unfull_deferred: true,
            arenas: 1,
            main_thread: true,
        }
    }
}

/// What `--set` can change, with what each key takes.
pub(super) const KEYS: [(&str, &str); 8] = [
    ("mimalloc", "2.1.2, 2.5.2 or none"),
    ("free_threaded", "true or false"),
    ("mimalloc_raw", "true or false"),
    ("qsbr", "on or off"),
    ("qsbr_slots", "recycled or fresh"),
    ("unfull_deferred_pages", "true or false"),
    ("mimalloc_arenas", "a number of arenas from 1 to 1024"),
    ("main_thread", "true or false: whether thread 0 is the process's main thread"),
];

impl MimallocBuild {
    /// A build without mimalloc.
    pub(super) fn none() -> Self {
        Self { version: None, ..Self::default() }
    }

    /// 3.13, and 3.14 up to 3.14.9.
    pub(super) fn old() -> Self {
        Self { version: Some(MimallocVersion::V2_1_2), ..Self::default() }
    }

    /// The free-threaded build of the same version.
    pub(super) fn free_threaded(self) -> Self {
        Self { free_threaded: true, qsbr: true, ..self }
    }

    /// Changes one field; `None` for a value or key that is none.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let flag = || value.parse::<bool>().ok();
        match key {
            "mimalloc" => {
                self.version = match value {
                    "2.1.2" => Some(MimallocVersion::V2_1_2),
                    "2.5.2" => Some(MimallocVersion::V2_5_2),
                    "none" => None,
                    _ => return None,
                }
            }
            "free_threaded" => self.free_threaded = flag()?,
            "mimalloc_raw" => self.raw = flag()?,
            "qsbr" => {
                self.qsbr = match value {
                    "on" | "true" => true,
                    "off" | "false" => false,
                    _ => return None,
                }
            }
            "qsbr_slots" => {
                self.qsbr_slots_recycled = match value {
                    "recycled" => true,
                    "fresh" => false,
                    _ => return None,
                }
            }
            "unfull_deferred_pages" => self.unfull_deferred = flag()?,
            "mimalloc_arenas" => {
                self.arenas = value.parse().ok().filter(|n| (1..=1024).contains(n))?;
            }
            "main_thread" => self.main_thread = flag()?,
            _ => return None,
        }
        Some(())
    }

    /// The value of a field, as [`Self::set`] would take it.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        Some(match key {
            "mimalloc" => self.version.map_or("none", MimallocVersion::name).to_owned(),
            "free_threaded" => self.free_threaded.to_string(),
            "mimalloc_raw" => self.raw.to_string(),
            "qsbr" => if self.qsbr { "on" } else { "off" }.to_owned(),
            "qsbr_slots" => if self.qsbr_slots_recycled { "recycled" } else { "fresh" }.to_owned(),
            "unfull_deferred_pages" => self.unfull_deferred.to_string(),
            "mimalloc_arenas" => self.arenas.to_string(),
            "main_thread" => self.main_thread.to_string(),
            _ => return None,
        })
    }
}
