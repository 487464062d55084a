//! What a choice may be written as: a place in the source with or without function and folders, a module as a path or as Python imports
//! it, a class by its number or by the bytes of its blocks.

use sim_core::Profile;
use sim_core::tape::{SourceLine, StackId, Stacks};

use super::key::{Key, NO_STACK, module, stack_label};

/// What blocks of calls without a frame are chosen by, beside [`NO_STACK`].
const UNKNOWN: &str = "unknown";

/// What a site is called with its function: `function (file:line)`, as it can be given again.
pub fn site_label(line: Option<&SourceLine>) -> String {
    match line {
        None => UNKNOWN.to_owned(),
        Some(line) if line.function.is_empty() => line.to_string(),
        Some(line) => format!("{} ({line})", line.function),
    }
}

/// Of each stack, 0 too, whether blocks that were born by it are meant. The key must be a place in the source.
pub(crate) fn stacks_meant(key: Key, value: &str, stacks: &Stacks) -> Vec<bool> {
    let all = || (0..=stacks.len()).map(StackId);
    let first = |stack| stacks.frames(stack).next().map(|frame| stacks.line(frame));
    let whole = |stack| {
        stack_label(stacks, stack, key).key == value
            || matches!(key, Key::Site(..=1)) && site_label(first(stack).as_ref()) == value
    };
    // A whole label means that place alone, even where its path is the end of another one.
    let exact: Vec<bool> = all().map(whole).collect();
    if exact.contains(&true) {
        return exact;
    }
    let parts: Vec<&str> = value.split(" < ").collect();
    let is_meant = |stack| match key {
        Key::Site(2..) => {
            let frames: Vec<_> = stacks.frames(stack).take(parts.len()).collect();
            frames.len() == parts.len()
                && parts.iter().zip(frames).all(|(part, at)| is_at(Key::Site(1), part, &stacks.line(at)))
        }
        key => first(stack).is_some_and(|line| is_at(key, value, &line)),
    };
    match value {
        UNKNOWN | NO_STACK => all().map(|stack| first(stack).is_none()).collect(),
        _ => all().map(is_meant).collect(),
    }
}

/// Whether a frame is the one that is meant.
fn is_at(key: Key, value: &str, line: &SourceLine) -> bool {
    match key {
        Key::Function => line.function == value,
        Key::Module => is_file(&line.file, value) || module(&line.file) == value,
        _ => {
            let (function, place) =
                match value.split_once(" (").and_then(|(f, rest)| Some((f, rest.strip_suffix(')')?))) {
                    Some((function, place)) => (Some(function), place),
                    None => (None, value),
                };
            let of_function = function.is_none_or(|function| line.function == function);
            of_function
                && place.rsplit_once(':').is_some_and(|(file, number)| {
                    number.parse() == Ok(line.line) && is_file(&line.file, file)
                })
        }
    }
}

/// Whether a path is the file meant: it, its last parts, or the name that Python imports it by.
fn is_file(path: &str, value: &str) -> bool {
    let ends = |with: &str| {
        path.strip_suffix(with).is_some_and(|before| before.is_empty() || before.ends_with(['/', '\\']))
    };
    if value.is_empty() {
        return path.is_empty();
    }
    let imported = value.replace('.', "/");
    ends(value) || ends(&format!("{imported}.py")) || ends(&format!("{imported}/__init__.py"))
}

/// The number of the class that is meant, none for what no class has; or what is to be written instead.
pub(crate) fn class_meant(value: &str, profile: &Profile) -> Result<Option<u64>, String> {
    let classes = u64::from(profile.nb_small_size_classes());
    let of_number = |number: u64| (number < classes).then_some(number);
    let of_bytes = |bytes: u64| {
        let whole = bytes > 0 && bytes.is_multiple_of(profile.alignment);
        (whole && bytes <= profile.small_request_threshold).then(|| bytes / profile.alignment - 1)
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let named = value.strip_suffix(')').and_then(|value| value.split_once(" ("));
    let found = if value == "large" {
        return Ok(None);
    } else if let Some(text) = value.strip_prefix('#') {
        number(text).and_then(of_number)
    } else if let Some((text, _)) = named {
        number(text).and_then(of_number)
    } else if let Some(text) = ["bytes", "B"].iter().find_map(|unit| value.strip_suffix(unit)) {
        number(text).and_then(of_bytes)
    } else {
        // As statistics have it, or as a person thinks of it; where both could be, nobody guesses.
        match number(value).map(|n| (of_number(n), of_bytes(n))) {
            Some((Some(of_number), Some(of_bytes))) if of_number != of_bytes => {
                return Err(format!(
                    "#{value} for the class of that number, {value}B for that of blocks of {value} bytes"
                ));
            }
            Some((of_number, of_bytes)) => of_bytes.or(of_number),
            None => None,
        }
    };
    found.map(Some).ok_or_else(|| {
        "the bytes of its blocks (64), its number (#3), or large for what is over the threshold".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, function: &str) -> SourceLine {
        SourceLine { function: function.to_owned(), ..text.parse().unwrap() }
    }

    #[test]
    fn a_site_is_named_by_its_place_with_or_without_function_and_folders() {
        let at = line("/usr/lib/python3.12/json/decoder.py:10", "decode");
        let is = |value: &str| is_at(Key::Site(1), value, &at);
        assert!(
            is("/usr/lib/python3.12/json/decoder.py:10") && is("json/decoder.py:10") && is("decoder.py:10")
        );
        assert!(is("decode (json/decoder.py:10)") && is(&site_label(Some(&at))));
        assert!(
            !is("json/decoder.py:11")
                && !is("coder.py:10")
                && !is("scan (decoder.py:10)")
                && !is("decoder.py")
        );
        let is = |value: &str| is_at(Key::Module, value, &at);
        assert!(
            is("json.decoder") && is("json/decoder.py") && is("decoder") && !is("json") && !is("son.decoder")
        );
        assert!(is_at(Key::Module, "json", &line("/lib/json/__init__.py:1", "")));
        assert!(is_at(Key::Function, "decode", &at) && !is_at(Key::Function, "dec", &at));
    }

    /// Whatever the panes and commands print can be given again, to any of them.
    #[test]
    fn labels_with_and_without_functions_and_stacks_mean_themselves() {
        let mut stacks = Stacks::default();
        let inner = line("/srv/app.py:12", "load");
        let outer = line("/srv/main.py:3", "main");
        let one = stacks.intern(std::slice::from_ref(&inner));
        let two = stacks.intern(&[inner, outer]);
        let meant = |key: Key, value: &str| -> Vec<u32> {
            let is = stacks_meant(key, value, &stacks);
            (0..).zip(is).filter(|of| of.1).map(|of| of.0).collect()
        };
        for value in ["/srv/app.py:12", "app.py:12", "load (/srv/app.py:12)", "load (app.py:12)"] {
            assert_eq!(meant(Key::Site(1), value), [one.0, two.0], "{value}");
        }
        for value in ["/srv/app.py:12 < /srv/main.py:3", "app.py:12 < main.py:3"] {
            assert_eq!(meant(Key::Site(2), value), [two.0], "{value}");
        }
        assert_eq!(meant(Key::Site(super::super::key::WHOLE_STACK), "/srv/app.py:12"), [one.0]);
        for value in ["load", "load (/srv/app.py)"] {
            assert_eq!(meant(Key::Function, value), [one.0, two.0], "{value}");
        }
        for value in ["unknown", "(no stack)"] {
            assert_eq!(meant(Key::Site(1), value), [0], "{value}");
        }
    }

    #[test]
    fn a_class_is_its_number_or_the_bytes_of_its_blocks() {
        let profile = Profile::default();
        let meant = |value: &str| class_meant(value, &profile);
        for value in ["31", "#31", "512", "512 bytes", "512B", "31 (512 bytes)"] {
            assert_eq!(meant(value), Ok(Some(31)), "{value}");
        }
        assert_eq!((meant("64"), meant("#3"), meant("large")), (Ok(Some(3)), Ok(Some(3)), Ok(None)));
        assert_eq!((meant("16B"), meant("#16"), meant("0")), (Ok(Some(0)), Ok(Some(16)), Ok(Some(0))));
        assert_eq!(
            meant("16"),
            Err("#16 for the class of that number, 16B for that of blocks of 16 bytes".to_owned())
        );
        for value in ["60", "528", "#32", "-1", "x", ""] {
            assert!(meant(value).is_err_and(|expected| expected.contains("(64)")), "{value}");
        }
    }
}
