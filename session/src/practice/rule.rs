//! What people believe of pymalloc's rules.

use sim_core::Profile;

/// A rule that is believed, and is not so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// The lowest free place, pool or arena serves.
    FirstFit,
    /// The place that was freed first serves, and the pool.
    OldestFirst,
    /// What was freed is never used again.
    NeverReuse,
    /// The place with the highest address serves.
    LastFit,
    /// The pool with most room serves.
    MostRoom,
    /// A pool that was full stands behind those that were there.
    BackOfTheList,
    /// Each request begins a pool.
    PoolForEach,
    /// A block has the size asked for.
    ExactSize,
    /// Classes lie half an alignment apart, or twice one where that is the smallest.
    OtherSteps,
    /// Sizes are powers of two.
    PowersOfTwo,
    /// Blocks begin at the pool's first byte.
    NoHeader,
    /// A pool is a page of 4 KiB.
    PageIsPool,
    /// All blocks of a pool are linked at once.
    LinksAll,
    /// A block is linked only by its free.
    LinksNone,
    /// Requests up to this many bytes are small.
    Limit(u64),
    /// 0 bytes are small.
    ZeroIsSmall,
    /// 0 bytes give NULL.
    ZeroIsNull,
    /// An emptied pool serves its own class only.
    KeepsClass,
    /// An emptied pool goes on with its old free list, whichever class takes it.
    KeepsList,
    /// An emptied pool begins anew, also for its own class.
    StartsOver,
    /// The emptiest arena serves.
    EmptiestArena,
    /// The arena that was obtained last serves.
    NewestArena,
    /// Each arena goes once it is wholly free.
    ReleaseWhenFree,
    /// No arena ever goes.
    NeverRelease,
    /// A wholly free arena stays if it is last on the list.
    KeepsLast,
    /// Of two wholly free arenas the one that became so first goes.
    OtherGoes,
    /// A second wholly free arena takes the first one with it.
    BothGo,
    /// As much goes back as was freed.
    InProportion,
    /// An arena goes once most of it is free.
    MostlyFreeGoes,
    /// A realloc that fits stays.
    StaysIfFits,
    /// A realloc to exactly three quarters stays.
    StaysAtThreeQuarters,
    /// A realloc always moves.
    AlwaysMoves,
    /// A realloc frees its old place first.
    FreesFirst,
    /// A block that left the pools comes back once it is small.
    RawComesBack,
    /// Direct calls of RAW are counted too.
    CountsRawDomain,
    /// What is freed stays counted.
    CountsFreed,
}

impl Rule {
    /// The misconception that it belongs to, where it is one of a build's.
    pub fn misconception(self, profile: &Profile) -> Option<u32> {
        Some(match self {
            // Where the steps are of 8 bytes, another belief is wrong.
            Self::OtherSteps if profile.alignment <= 8 => return None,
            Self::NeverRelease => 1,
            Self::ReleaseWhenFree | Self::BothGo => 2,
            Self::EmptiestArena => 3,
            Self::PageIsPool => 5,
            Self::OtherSteps => 7,
            Self::Limit(256) => 8,
            Self::Limit(511) => 9,
            Self::ZeroIsSmall => 10,
            Self::NeverReuse => 13,
            Self::FirstFit | Self::OldestFirst => 15,
            Self::KeepsClass => 16,
            Self::ExactSize => 17,
            Self::InProportion | Self::MostlyFreeGoes => 19,
            Self::StaysIfFits => 33,
            Self::RawComesBack => 34,
            Self::CountsRawDomain => 36,
            _ => return None,
        })
    }

    /// What is believed, after "if".
    pub fn belief(self, profile: &Profile) -> String {
        match self {
            Self::OtherSteps => {
                let apart = if profile.alignment == 8 { 16 } else { profile.alignment / 2 };
                return format!("size classes lay {apart} bytes apart");
            }
            Self::FirstFit => "the lowest free place served next",
            Self::OldestFirst => "what was freed first served next",
            Self::NeverReuse => "freed places were not used again",
            Self::LastFit => "the highest free place served next",
            Self::MostRoom => "the pool with most room served next",
            Self::BackOfTheList => "a pool that comes back stood last on its list",
            Self::PoolForEach => "each request began a pool",
            Self::ExactSize => "a block had the size asked for",
            Self::PowersOfTwo => "sizes were rounded up to powers of two",
            Self::NoHeader => "a pool had no header",
            Self::PageIsPool => "a pool were a page of 4 KiB",
            Self::LinksAll => "all blocks of a pool were linked at once",
            Self::LinksNone => "no block were linked before it is freed",
            Self::Limit(most) => return format!("requests were small up to {most} bytes"),
            Self::ZeroIsSmall => "0 bytes took the smallest class",
            Self::ZeroIsNull => "a request of 0 bytes gave NULL",
            Self::KeepsClass => "an emptied pool kept its class",
            Self::KeepsList => "an emptied pool kept its free list for any class",
            Self::StartsOver => "an emptied pool always began anew",
            Self::EmptiestArena => "the emptiest arena served next",
            Self::NewestArena => "the newest arena served next",
            Self::ReleaseWhenFree => "every wholly free arena went back",
            Self::NeverRelease => "no arena ever went back",
            Self::KeepsLast => "a wholly free arena stayed if it is last on the list",
            Self::OtherGoes => "the arena that became free first went",
            Self::BothGo => "all wholly free arenas went together",
            Self::InProportion => "as much went back as was freed",
            Self::MostlyFreeGoes => "an arena went once most of it is free",
            Self::StaysIfFits => "every realloc that fits stayed",
            Self::StaysAtThreeQuarters => "exactly three quarters were enough to stay",
            Self::AlwaysMoves => "every realloc moved",
            Self::FreesFirst => "realloc freed the old place first",
            Self::RawComesBack => "a large block came back into a pool once it is small",
            Self::CountsRawDomain => "direct calls of RAW were counted",
            Self::CountsFreed => "freed blocks stayed counted",
        }
        .to_owned()
    }

    /// Whether it is about sizes and so holds from the beginning; the others begin with what is asked about, from the state that is shown.
    pub(super) fn of_sizes(self) -> bool {
        matches!(
            self,
            Self::ExactSize
                | Self::OtherSteps
                | Self::PowersOfTwo
                | Self::NoHeader
                | Self::PageIsPool
                | Self::Limit(_)
                | Self::ZeroIsSmall
                | Self::ZeroIsNull
                | Self::CountsRawDomain
                | Self::CountsFreed
        )
    }
}
