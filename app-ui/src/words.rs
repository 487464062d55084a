//! What went wrong in the words of a window: which menu, which button. Only what no window can do is named as a command.

use session::Trouble;
use trace_io::Remedy;

/// One line: what is wrong, where, and what to do.
pub(crate) fn said(trouble: &Trouble) -> String {
    match advice(trouble) {
        Some(advice) => format!("{}; {advice}", trouble.text),
        None => trouble.text.clone(),
    }
}

fn advice(trouble: &Trouble) -> Option<String> {
    Some(match &trouble.remedy {
        Remedy::None => return None,
        Remedy::Do(sentence) => sentence.clone(),
        Remedy::ReadableFormat => format!("what can be opened is {}", trace_io::readable()),
        Remedy::Profile(known) => format!("there are {known}"),
        Remedy::Mimalloc => "choose a free-threaded profile such as cpython-3.14t in the toolbar".to_owned(),
        Remedy::OwnDomains => "open it without naming a domain".to_owned(),
        Remedy::LookAtPicture => {
            "open it by itself to see it, and record each call with `memray run --trace-python-allocators` to step through them"
                .to_owned()
        }
        Remedy::FetchAgain => "the file is damaged or cut off, fetch it again".to_owned(),
        Remedy::OtherCopy => "the file is damaged or was not written as docs/atrace.md says".to_owned(),
        Remedy::ReadOn => "if you know where it comes from, unpack it first and open that".to_owned(),
        Remedy::NewerProgram => "use a newer version of this program".to_owned(),
        Remedy::CutOut { operations } => {
            // The text begins with the file's name.
            let name = trouble.text.split(": ").next().unwrap_or("FILE");
            format!(
                "open it in the desktop program, or cut a part out first: \
                 `arenascope trim {name} part.atrace --to {operations}`"
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_names_what_a_window_has() {
        let said = |remedy| said(&Trouble { text: "big.bin: it is wrong".to_owned(), remedy });
        assert_eq!(said(Remedy::None), "big.bin: it is wrong");
        assert_eq!(said(Remedy::Do("write less".to_owned())), "big.bin: it is wrong; write less");
        for remedy in [
            Remedy::ReadableFormat,
            Remedy::Profile("a, b".to_owned()),
            Remedy::Mimalloc,
            Remedy::OwnDomains,
            Remedy::LookAtPicture,
            Remedy::FetchAgain,
            Remedy::OtherCopy,
            Remedy::ReadOn,
            Remedy::NewerProgram,
        ] {
            let line = said(remedy.clone());
            let is_command =
                line.contains("arenascope ") || line.contains("--malloc") || line.contains("--as");
            assert!(line.starts_with("big.bin: it is wrong; ") && !is_command, "{line}");
        }
        let line = said(Remedy::CutOut { operations: 1_200_000 });
        assert!(line.ends_with("`arenascope trim big.bin part.atrace --to 1200000`"), "{line}");
    }
}
