//! The words.

use serde::{Deserialize, Serialize};

/// The word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Word {
    /// Live data grows steadily.
    Growth,
    /// Few blocks keep many arenas.
    Pinned,
    /// The peak's arenas stay, spread over blocks that live.
    HighWater,
    /// It rose and stays: the data are in use, as a cache's are.
    Plateau,
    /// Much comes and goes, and little stays.
    Churn,
    /// Most of it is not pymalloc's.
    NotPymalloc,
    /// Nothing to mend.
    Healthy,
}

impl Word {
    /// In a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::HighWater => "high water",
            Self::NotPymalloc => "not pymalloc",
            word => word.name(),
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Growth => "Live data rises steadily",
            Self::Pinned => "Few blocks keep many arenas",
            Self::HighWater => "The peak's arenas stay, spread over what lives",
            Self::Plateau => "It rose and stays: the data are in use, as a cache's are",
            Self::Churn => "Much comes and goes, and little stays",
            Self::NotPymalloc => "Most of the memory is the C library's",
            Self::Healthy => "Nothing to mend",
        }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Growth => "growth",
            Self::Pinned => "pinned",
            Self::HighWater => "high_water",
            Self::Plateau => "plateau",
            Self::Churn => "churn",
            Self::NotPymalloc => "not_pymalloc",
            Self::Healthy => "healthy",
        }
    }
}
