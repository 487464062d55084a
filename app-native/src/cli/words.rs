//! What went wrong in the words of a command line: which option, which other command.

use mmap_arenas::Unsupported;
use session::SetupError;
use session::format::printable;
use session::whatif::{CellError, FewestError, IdealError};
use sim_core::ProfileError;
use sim_core::machine::StartError;
use sim_core::report::Reason;
use sim_core::tape::Missing;
use trace_io::care::CareError;
use trace_io::{Give, Loss, Remedy, TraceError};

/// An error in one line: what is wrong, where, and what to do.
pub(crate) fn line(error: &anyhow::Error) -> String {
    let advice = error.chain().find_map(advice).unwrap_or_default();
    printable(&format!("{error:#}{advice}")).into_owned()
}

/// What to do where something is about pymalloc alone.
const ON_PYMALLOC: &str = "; give --malloc pymalloc, or a profile that is not free-threaded";

/// What follows the text of an error.
fn advice(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<TraceError>() {
        return remedy(error.remedy()).map(|r| format!("; {r}"));
    }
    if let Some(error) = cause.downcast_ref::<ProfileError>() {
        return remedy(error.into()).map(|r| format!("; {r}"));
    }
    if let Some(error) = cause.downcast_ref::<SetupError>() {
        return match error {
            SetupError::Start(StartError::NotPlain) => Some("; give no other --malloc".to_owned()),
            SetupError::StartSizes { .. } => Some(" with --profile".to_owned()),
            error => remedy(error.remedy()).map(|r| format!("; {r}")),
        };
    }
    if let Some(CellError::Setup(error)) = cause.downcast_ref::<CellError>() {
        return advice(error);
    }
    match cause.downcast_ref::<IdealError>() {
        Some(IdealError::Run(error)) => return advice(error),
        Some(IdealError::NotPymalloc) => return Some(ON_PYMALLOC.to_owned()),
        Some(IdealError::TooLong) => return Some(": `arenascope trim FILE OUT --to 1073741824`".to_owned()),
        None => {}
    }
    match cause.downcast_ref::<FewestError>() {
        Some(FewestError::Run(error)) => return advice(error),
        Some(FewestError::NotPymalloc) => return Some(ON_PYMALLOC.to_owned()),
        Some(FewestError::Edit(_)) | None => {}
    }
    match cause.downcast_ref::<Unsupported>()? {
        Unsupported::Profile(error) => remedy(error.into()).map(|r| format!("; {r}")),
        error => error.runs_simulated().then(|| " (--backend sim)".to_owned()),
    }
}

fn remedy(remedy: Remedy) -> Option<String> {
    Some(match remedy {
        Remedy::None => return None,
        Remedy::Do(sentence) => sentence,
        Remedy::ReadableFormat => "`arenascope info --help` lists the formats".to_owned(),
        Remedy::Profile(known) => format!("`arenascope profiles` lists them: {known}"),
        Remedy::Mimalloc => {
            "give --malloc mimalloc, or a free-threaded profile such as cpython-3.14t".to_owned()
        }
        Remedy::OwnDomains => "leave --as away".to_owned(),
        Remedy::LookAtPicture => {
            "`arenascope info FILE` prints it, and `memray run --trace-python-allocators` records what can be replayed"
                .to_owned()
        }
        Remedy::FetchAgain => "the file is damaged or cut off, fetch it again".to_owned(),
        Remedy::OtherCopy => "the file is damaged or was not written as docs/atrace.md says".to_owned(),
        Remedy::ReadOn => "if you know where it comes from, give --unbounded to read on".to_owned(),
        Remedy::NewerProgram => "use a newer one".to_owned(),
        Remedy::CutOut { operations } => format!("cut a part out first: `arenascope trim FILE OUT --to {operations}`"),
    })
}

/// A range that `trim` was given: its options are `--from` and `--to`.
pub(super) fn range(error: CareError) -> anyhow::Error {
    match error {
        CareError::EmptyRange => anyhow::anyhow!(
            "no operation lies between --from and --to; `arenascope info` says how many there are"
        ),
        CareError::NoTimes => {
            anyhow::anyhow!("it has no times, so --from and --to must be numbers of operations")
        }
        other => other.into(),
    }
}

/// What a format cannot carry, with the option that gives it again.
pub(super) fn loss(loss: &Loss) -> String {
    match loss.give {
        Give::Nothing => loss.what.clone(),
        Give::Profile => format!("{} (give it with --profile)", loss.what),
        Give::Setting => format!("{} (give it with --set)", loss.what),
    }
}

/// Why model and recording may differ, with the option that changes it.
pub(super) fn reason(reason: &Reason) -> String {
    match reason {
        Reason::OtherProfile => format!("{reason}; --profile chooses"),
        other => other.to_string(),
    }
}

/// What readers say of a recording that lacks something, and how an option does that here.
const OPTIONS: [(&str, &str); 3] = [
    ("take them for calls of OBJ to see what", "ask with --as obj what"),
    ("because that was asked for", "because --as says so"),
    ("to begin with what it shows", "and give it to `replay --start`"),
];

/// What would give what a recording lacks, with the options for it.
pub(super) fn lack(missing: &Missing) -> String {
    let remedy = OPTIONS.iter().fold(missing.remedy.clone(), |text, (said, here)| text.replace(said, here));
    match missing.what.as_str() {
        Missing::PYTHON_VERSION => format!("{remedy}; until then give --profile"),
        _ => remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_command_line_names_options_and_commands() {
        let trace: Result<(), _> = Err(TraceError::UnknownFormat { offset: 3, what: "x".to_owned() });
        assert_eq!(
            line(&trace.context("a.bin").unwrap_err()),
            "a.bin: byte 3: x, so this is no format of traces that is known; `arenascope info --help` lists the formats"
        );
        let known = sim_core::Profile::named("cpython-1.5").unwrap_err();
        let text = line(&known.into());
        assert!(text.starts_with(
            "no profile is called `cpython-1.5`; `arenascope profiles` lists them: cpython-3.8, cpython-3.9, "
        ));
        assert_eq!(
            line(&Unsupported::Scenario.into()),
            "this trace changes the allocators' tables or misuses pointers, which real memory would not survive; \
             it runs simulated only (--backend sim)"
        );
        assert_eq!(line(&anyhow::anyhow!("a").context("b")), "b: a");
        assert_eq!(
            reason(&Reason::OtherProfile),
            "the profile may be another than the recorded Python's; --profile chooses"
        );
    }
}
