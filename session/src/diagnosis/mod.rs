//! Who holds the memory at a step, and what would give it back: the live blocks of a moment, in groups by what they have in
//! common, over the arenas of the model or over those that recorded addresses imply.
//!
//! All of it is plain data that window, page, command line and report word for themselves.

pub mod births;
pub mod census;
pub mod choice;
pub mod compare;
pub mod forecast;
pub mod gate;
pub mod grown;
pub mod holders;
pub mod inquiry;
pub mod key;
pub mod layout;
pub mod meant;
mod pools;
pub mod process;
pub mod recorded;
pub mod scope;
pub mod sentence;
pub mod shrink;
pub mod survey;
pub mod traced;
pub mod tree;
pub mod verdict;
pub mod waterfall;
mod windows;

pub use births::Births;
pub use census::{Census, Region};
pub use choice::{Choice, ChoiceError, Chosen};
pub use forecast::Forecast;
pub use holders::{Group, Holders, Rule};
pub use inquiry::Inquiry;
pub use key::{Key, KeyError};
pub use layout::{Layout, Placed, SharedLayout};
pub use recorded::Recorded;
pub use scope::Scope;
pub use sentence::{Lead, Sentence};
pub use survey::{Doubts, Found, Survey, Surveyor};
pub use traced::NotSupposed;
pub use tree::{Icicle, Tree, Weight};
pub use verdict::Verdict;
pub use waterfall::Waterfall;
