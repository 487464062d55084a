//! What a trace runs under, resolved once for every front.
//!
//! A trace says what it wants, a person may want something else; [`Setup::resolve`] makes one answer of both, and
//! machines and replays are made of that answer alone.

use std::sync::Arc;

use sim_core::domains::AllocatorName;
use sim_core::machine::{StartClass, StartError, StartPicture};
use sim_core::{Machine, Profile, ProfileError, Replay, Trace};
use thiserror::Error;
use trace_io::Remedy;
use trace_io::stats_text::{ClassRow, StatsText};

/// What somebody wants otherwise than the trace says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Overrides {
    /// Another preset.
    pub profile: Option<String>,
    /// Fields of the profile to change after those that the trace changes.
    pub settings: Vec<(String, String)>,
    /// Another `PYTHONMALLOC`.
    pub malloc: Option<AllocatorName>,
    /// The blocks that were there before the recording: `sys._debugmallocstats()` from then.
    pub start: Option<StatsText>,
}

impl Overrides {
    /// Another preset alone.
    pub fn preset(name: &str) -> Self {
        Self { profile: Some(name.to_owned()), ..Self::default() }
    }
}

/// Why a trace cannot run as it is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SetupError {
    /// The profile, a setting, or what the trace needs of them.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The picture of the start does not fit the run.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The picture of the start is mimalloc's.
    #[error("it shows mimalloc's heap; a start is for runs on pymalloc")]
    StartOfMimalloc,
    /// There is a picture already.
    #[error(
        "the trace begins with the picture of a process, which says exactly what was there before; leave the text out"
    )]
    StartTwice,
    /// It has no allocator's figures.
    #[error(
        "it has the interpreter's free lists alone: CPython leaves pymalloc's part out while another table stands above it, \
         as under `memray run`; record with memray.Tracker in the program and print the text just before `with`"
    )]
    StartWithoutPymalloc,
    /// The picture of the start lacks something.
    #[error("it is no whole picture: {0}")]
    StartIncomplete(String),
    /// The picture of the start was printed by another build.
    #[error("it has {what} of {said} bytes, {profile} has {has}; choose the interpreter's own profile")]
    StartSizes {
        /// Arenas or pools.
        what: &'static str,
        /// Bytes in the picture.
        said: u64,
        /// Bytes in the profile.
        has: u64,
        /// Its name.
        profile: String,
    },
}

impl SetupError {
    /// What can be done about it, where the text does not say that already.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Profile(error) => error.into(),
            _ => Remedy::None,
        }
    }
}

/// What a trace runs under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setup {
    /// The constants of the build, with all settings.
    pub profile: Profile,
    /// `PYTHONMALLOC`.
    pub malloc: AllocatorName,
    /// Blocks from before the trace.
    pub start: Option<StartPicture>,
}

impl Setup {
    /// The preset that is asked for, else the trace's, else the default; then the trace's settings, then those asked
    /// for. Of a trace that comes in pieces the first is enough.
    pub fn resolve(trace: &Trace, overrides: &Overrides) -> Result<Self, SetupError> {
        let preset = overrides.profile.as_deref().or(trace.head.profile.as_deref());
        let settings = trace.head.settings.iter().chain(&overrides.settings);
        let profile = Profile::chosen(preset)?.changed(settings)?;
        if overrides.start.is_some() && trace.origin.picture.is_some() {
            return Err(SetupError::StartTwice);
        }
        let start = overrides.start.as_ref().map(|stats| start_picture(stats, &profile)).transpose()?;
        let malloc = overrides.malloc.or(trace.head.malloc).unwrap_or(AllocatorName::Default);
        Ok(Self { profile, malloc, start })
    }

    /// A pristine machine over simulated arenas for the trace or its first piece, with the blocks from before it.
    pub fn machine(&self, trace: &Trace) -> Result<Machine, SetupError> {
        let mut machine = Machine::for_trace(&self.profile, trace, Some(self.malloc))?;
        if let Some(start) = &self.start {
            machine.start_with(start)?;
        }
        Ok(machine)
    }

    /// The trace at its beginning, to go anywhere on it; see [`Replay::new`].
    pub fn replay(&self, trace: Arc<Trace>, budget_bytes: u64) -> Result<Replay, SetupError> {
        let machine = self.machine(&trace)?;
        Ok(Replay::of_machine(trace, machine, budget_bytes))
    }
}

/// The picture, once it is seen to be whole and the profile's own.
fn start_picture(stats: &StatsText, profile: &Profile) -> Result<StartPicture, SetupError> {
    match stats.allocator() {
        Some("pymalloc") => {}
        None => return Err(SetupError::StartWithoutPymalloc),
        Some(_) => return Err(SetupError::StartOfMimalloc),
    }
    if let Some(doubt) = stats.doubts().into_iter().next() {
        return Err(SetupError::StartIncomplete(doubt));
    }
    for (what, said, has) in
        [("arenas", stats.arenas(), profile.arena_size), ("pools", stats.unused_pools(), profile.pool_size)]
    {
        if let Some((_, said)) = said.filter(|(_, said)| *said != has) {
            return Err(SetupError::StartSizes { what, said, has, profile: profile.name.clone() });
        }
    }
    let class = |c: &ClassRow| StartClass { size: c.size, pools: c.pools, in_use: c.in_use };
    Ok(StartPicture {
        classes: stats.classes.iter().map(class).collect(),
        unused_pools: stats.unused_pools().map_or(0, |(count, _)| count),
        arenas_allocated: stats.number("# arenas allocated total").unwrap_or(0),
        arenas_highwater: stats.number("# arenas highwater mark").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::TraceBuilder;

    #[test]
    fn a_person_is_heeded_before_the_trace_and_the_trace_before_the_default() {
        let mut tape = TraceBuilder::new("t");
        let resolve = |trace: &Trace, overrides: &Overrides| Setup::resolve(trace, overrides).unwrap();
        let plain = resolve(tape.trace_mut(), &Overrides::default());
        let as_is = Setup { profile: Profile::default(), malloc: AllocatorName::Default, start: None };
        assert_eq!(plain, as_is);
        let trace = tape.trace_mut();
        trace.head.profile = Some("cpython-3.12".to_owned());
        trace.head.malloc = Some(AllocatorName::Debug);
        let setting = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        trace.head.settings = vec![setting("arena_size", "2M"), setting("arena_limit", "3")];
        let of_trace = resolve(trace, &Overrides::default());
        assert_eq!((of_trace.profile.name.as_str(), of_trace.malloc), ("cpython-3.12", AllocatorName::Debug));
        assert_eq!((of_trace.profile.arena_size, of_trace.profile.arena_limit), (2 << 20, Some(3)));
        let overrides = Overrides {
            settings: vec![setting("arena_limit", "none")],
            malloc: Some(AllocatorName::Malloc),
            ..Overrides::preset("cpython-3.10")
        };
        let asked = resolve(trace, &overrides);
        assert_eq!((asked.profile.address_bits, asked.malloc), (48, AllocatorName::Malloc));
        assert_eq!((asked.profile.arena_size, asked.profile.arena_limit), (2 << 20, None));
    }

    #[test]
    fn what_cannot_be_is_refused_by_kind() {
        let trace = TraceBuilder::new("t").finish();
        let error = |overrides: &Overrides| Setup::resolve(&trace, overrides).unwrap_err();
        let unknown = error(&Overrides::preset("cpython-2.7"));
        assert!(matches!(unknown.remedy(), Remedy::Profile(_)));
        let settings = vec![("arena_size".to_owned(), "3M".to_owned())];
        let bad = error(&Overrides { settings, ..Overrides::default() });
        assert!(matches!(bad, SetupError::Profile(ProfileError::Impossible { .. })));
        let mimalloc =
            Overrides { malloc: Some(AllocatorName::Mimalloc), ..Overrides::preset("cpython-3.12") };
        let setup = Setup::resolve(&trace, &mimalloc).unwrap();
        assert!(matches!(
            setup.machine(&trace),
            Err(SetupError::Profile(ProfileError::UnknownAllocator { .. }))
        ));
    }
}
