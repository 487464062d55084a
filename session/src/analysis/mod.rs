//! What can be said of a run beyond its state: plain data, each with a test. Windows draw it, commands word it.

pub mod anatomy;
pub mod overview;
pub mod owner;
pub mod peak;
pub mod survivors;
