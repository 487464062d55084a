//! The desktop shell.

/// Opens the window.
pub(crate) fn run(_file: Option<std::path::PathBuf>) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
