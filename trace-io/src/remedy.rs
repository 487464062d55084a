//! What can be done about a trace that cannot be read, for each program to word in its own way.
//!
//! A command line has options and other commands, a window has menus, a library's caller has functions. So an error says
//! what is wrong and where, and this says which way out there is.

use serde::{Deserialize, Serialize};
use sim_core::ProfileError;
use sim_core::profile::ProfileRemedy;

/// A way out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Remedy {
    /// None that is known here: what is wrong says all.
    #[default]
    None,
    /// What the sentence says. It is about the file, its recorder or a page of the documentation, and the same for every
    /// program.
    Do(String),
    /// Give a file of a format that is read; see which there are.
    ReadableFormat,
    /// Take one of these profiles, whose names are separated by commas.
    Profile(String),
    /// Run on mimalloc, or take a profile that has nothing else.
    Mimalloc,
    /// Do not say which domain all calls are of: the file says it.
    OwnDomains,
    /// Look at the picture by itself; to replay, record each call.
    LookAtPicture,
    /// Fetch the file again: it is damaged or cut off.
    FetchAgain,
    /// The same, if it was written as the page of its format says.
    OtherCopy,
    /// Read on whatever it takes, if the file is known to be sound.
    ReadOn,
    /// Use a newer version of the program.
    NewerProgram,
    /// Cut so many operations out of the file first: it is too large for here.
    CutOut {
        /// Operations from its beginning that fit.
        operations: u64,
    },
}

impl From<&ProfileError> for Remedy {
    fn from(error: &ProfileError) -> Self {
        match error.remedy() {
            Some(ProfileRemedy::OneOf(known)) => Self::Profile(known.to_owned()),
            Some(ProfileRemedy::Mimalloc) => Self::Mimalloc,
            None => Self::None,
        }
    }
}
