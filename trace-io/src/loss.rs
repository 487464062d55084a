//! What a format cannot carry.

use std::fmt;

/// Something of a trace that is not in the file it was written to. Its text is a noun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// What.
    pub what: String,
    /// How a reader of the file can be given it again.
    pub give: Give,
}

/// How a reader is given what its file does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Give {
    /// Not at all.
    Nothing,
    /// By naming the profile.
    Profile,
    /// By changing a field of the profile.
    Setting,
}

impl Loss {
    pub(crate) fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), give: Give::Nothing }
    }

    pub(crate) fn profile(name: &str) -> Self {
        Self { what: format!("the profile {name}"), give: Give::Profile }
    }

    pub(crate) fn setting(key: &str, value: &str) -> Self {
        Self { what: format!("the setting {key}={value}"), give: Give::Setting }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
