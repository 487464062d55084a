//! As much of Rust as it takes to see who imports whom and who says what: modules that a file declares, and paths that it names.
//!
//! It reads text and expands no macro. What is only for tests is passed over.

use std::collections::BTreeSet;

/// A piece of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token<'a> {
    Word(&'a str),
    /// `::`.
    To,
    Sign(char),
}

/// A name that a `use` brings into a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bound {
    /// The name, `*` for all.
    pub(crate) name: String,
    /// What it stands for, segment by segment, as it is written.
    pub(crate) path: Vec<String>,
}

/// What a file says of modules.
#[derive(Default, Debug)]
pub(crate) struct Names {
    /// Modules in files of their own.
    pub(crate) modules: Vec<String>,
    /// What `use` brings in, outside functions and modules inside the file.
    pub(crate) bound: Vec<Bound>,
    /// All paths that begin with `crate`, `super` or `self`, those of `use` too; `super` counts from the file's module.
    pub(crate) paths: Vec<Vec<String>>,
}

/// Reads a file.
pub(crate) fn read(source: &str) -> Names {
    let code = without_tests(&plain(source));
    let tokens: Vec<_> = tokens(&code).into_iter().map(|(token, _)| token).collect();
    let mut names = Names::default();
    // Modules inside the file that are open, each with the depth of braces where it began.
    let mut inside: Vec<usize> = Vec::new();
    let (mut depth, mut at) = (0_usize, 0);
    while at < tokens.len() {
        let next = tokens.get(at + 2);
        match (tokens[at], tokens.get(at + 1)) {
            (Token::Word("mod"), Some(Token::Word(name))) if next == Some(&Token::Sign(';')) => {
                if inside.is_empty() {
                    names.modules.push((*name).to_owned());
                }
                at += 3;
                continue;
            }
            (Token::Word("mod"), Some(Token::Word(_))) if next == Some(&Token::Sign('{')) => {
                inside.push(depth);
            }
            (Token::Word("use"), _) => {
                let mut bound = Vec::new();
                at = use_tree(&tokens, at + 1, &mut Vec::new(), &mut bound);
                names.paths.extend(bound.iter().filter_map(|b| from_file(&b.path, inside.len())));
                if inside.is_empty() && depth == 0 {
                    names.bound.append(&mut bound);
                }
                continue;
            }
            (Token::Word("crate" | "super" | "self"), Some(Token::To)) => {
                let mut path = Vec::new();
                while let Some(Token::Word(word)) = tokens.get(at) {
                    path.push((*word).to_owned());
                    if tokens.get(at + 1) != Some(&Token::To) {
                        break;
                    }
                    at += 2;
                }
                names.paths.extend(from_file(&path, inside.len()));
            }
            (Token::Sign('{'), _) => depth += 1,
            (Token::Sign('}'), _) => {
                depth = depth.saturating_sub(1);
                if inside.last() == Some(&depth) {
                    inside.pop();
                }
            }
            _ => {}
        }
        at += 1;
    }
    names
}

/// A path as the file's own module would write it, where so many modules inside the file are open; `None` where it stays in them.
fn from_file(path: &[String], inside: usize) -> Option<Vec<String>> {
    match path.first().map(String::as_str) {
        Some("super") => {
            let supers = path.iter().take_while(|p| *p == "super").count();
            let out = supers.checked_sub(inside)?;
            let base = if out == 0 { vec!["self".to_owned()] } else { vec!["super".to_owned(); out] };
            Some([&base[..], &path[supers..]].concat())
        }
        Some("self") if inside > 0 => None,
        _ => Some(path.to_vec()),
    }
}

/// A path or a single word of a file's code, and the line where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    pub(crate) line: usize,
    /// Segments with `::` between them, those of a `use` in full. Each word of a `cfg` comes as `cfg::word`.
    pub(crate) path: String,
}

/// All paths and words of a file.
pub(crate) fn said(source: &str) -> Vec<Said> {
    let code = without_tests(&plain(source));
    let (tokens, lines): (Vec<_>, Vec<_>) = tokens(&code).into_iter().unzip();
    let mut all = Vec::new();
    let mut at = 0;
    while let (Some(&token), Some(&line)) = (tokens.get(at), lines.get(at)) {
        let Token::Word(word) = token else {
            at += 1;
            continue;
        };
        let mut add = |path: String| all.push(Said { line, path });
        let open = at + 1 + usize::from(tokens.get(at + 1) == Some(&Token::Sign('!')));
        if word == "use" {
            let mut bound = Vec::new();
            at = use_tree(&tokens, at + 1, &mut Vec::new(), &mut bound);
            for b in &bound {
                add(b.path.join("::"));
            }
        } else if matches!(word, "cfg" | "cfg_attr") && tokens.get(open) == Some(&Token::Sign('(')) {
            at = open + 1;
            let mut depth = 1_usize;
            while depth > 0 && at < tokens.len() {
                match tokens[at] {
                    Token::Sign('(') => depth += 1,
                    Token::Sign(')') => depth -= 1,
                    Token::Word(word) => add(format!("cfg::{word}")),
                    _ => {}
                }
                at += 1;
            }
        } else {
            let mut path = vec![word];
            while let (Some(Token::To), Some(Token::Word(next))) = (tokens.get(at + 1), tokens.get(at + 2)) {
                path.push(next);
                at += 2;
            }
            add(path.join("::"));
            at += 1;
        }
    }
    all
}

/// Lines where a table that hashes is gone through, with its name: the order is another one each time. A table is known by what
/// this file calls it.
pub(crate) fn hash_order(source: &str) -> Vec<(usize, String)> {
    const TABLES: [&str; 2] = ["HashMap", "HashSet"];
    const THROUGH: [&str; 11] = [
        "drain",
        "extract_if",
        "into_iter",
        "into_keys",
        "into_values",
        "iter",
        "iter_mut",
        "keys",
        "retain",
        "values",
        "values_mut",
    ];
    let code = without_tests(&plain(source));
    let (tokens, lines): (Vec<_>, Vec<_>) = tokens(&code).into_iter().unzip();
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => Some(*word),
        _ => None,
    };
    let sign = |at: usize, sign: char| tokens.get(at) == Some(&Token::Sign(sign));
    let mut tables = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        // `name: &mut path::HashMap` and `name = path::HashMap`.
        let Token::Word(name) = token else { continue };
        if sign(at + 1, ':') || sign(at + 1, '=') {
            let passed = |at: &usize| {
                sign(*at, '&')
                    || tokens.get(*at) == Some(&Token::To)
                    || word(*at).is_some_and(|word| !TABLES.contains(&word))
            };
            let end = (at + 2..tokens.len()).find(|at| !passed(at)).unwrap_or(at);
            if word(end).is_some() {
                tables.insert(*name);
            }
        }
    }
    let mut found = Vec::new();
    for (at, &line) in lines.iter().enumerate() {
        let Some(name) = word(at).filter(|name| tables.contains(name)) else { continue };
        let by_method = sign(at + 1, '.') && word(at + 2).is_some_and(|method| THROUGH.contains(&method));
        // `in &mut self.name {`.
        let begin = (0..at)
            .rev()
            .find(|&at| !sign(at, '&') && !sign(at, '.') && !matches!(word(at), Some("mut" | "self")));
        let by_loop = sign(at + 1, '{') && begin.and_then(word) == Some("in");
        if by_method || by_loop {
            found.push((line, name.to_owned()));
        }
    }
    found
}

/// Reads one branch of a `use` and those after it, up to `;` or what closes the branch.
fn use_tree(tokens: &[Token<'_>], mut at: usize, before: &mut Vec<String>, bound: &mut Vec<Bound>) -> usize {
    let length = before.len();
    let bind = |name: &str, path: &[String], bound: &mut Vec<Bound>| {
        if !path.is_empty() {
            bound.push(Bound { name: name.to_owned(), path: path.to_vec() });
        }
    };
    let mut open = false;
    while let Some(&token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Word("as") => {
                if let Some(Token::Word(name)) = tokens.get(at) {
                    bind(name, before, bound);
                    open = false;
                    at += 1;
                }
            }
            // `a::{self}` is `a`.
            Token::Word("self") if !before.is_empty() => open = true,
            Token::Word(word) => {
                before.push(word.to_owned());
                open = true;
            }
            Token::To => {}
            Token::Sign('*') => {
                bind("*", before, bound);
                open = false;
            }
            Token::Sign('{') => {
                at = use_tree(tokens, at, before, bound);
                open = false;
            }
            Token::Sign(end) => {
                if open && let Some(name) = before.last().cloned() {
                    bind(&name, before, bound);
                }
                before.truncate(length);
                open = false;
                if end != ',' {
                    return at;
                }
            }
        }
    }
    at
}

/// The pieces of a text, each with its line.
fn tokens(code: &str) -> Vec<(Token<'_>, usize)> {
    let mut tokens = Vec::new();
    let (mut line, mut rest) = (1, code);
    loop {
        let next = rest.trim_start();
        line += rest[..rest.len() - next.len()].matches('\n').count();
        rest = next;
        let Some(first) = rest.chars().next() else { return tokens };
        let length = if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push((Token::Word(&rest[..end]), line));
            end
        } else if rest.starts_with("::") {
            tokens.push((Token::To, line));
            2
        } else {
            tokens.push((Token::Sign(first), line));
            first.len_utf8()
        };
        rest = &rest[length..];
    }
}

/// The text without comments and without what stands between quotes, in as many lines.
fn plain(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest).filter(|_| !ends_in_word(&out)) {
            length
        } else if first == '"' {
            1 + quoted(&rest[1..], '"')
        } else if first == '\'' {
            char_literal(rest)
        } else {
            0
        };
        if skipped > 0 {
            out.push(' ');
            out.extend(rest[..skipped].chars().filter(|&c| c == '\n'));
            rest = &rest[skipped..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Bytes of a raw string that begins here, with or without `b`.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.bytes().take_while(|&b| b == b'#').count();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begun = rest.len() - body.len();
    Some(body.find(&end).map_or(rest.len(), |at| begun + at + end.len()))
}

/// Bytes up to and with the quote that closes.
fn quoted(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    body.len()
}

/// Bytes of a character in quotes; 0 for a lifetime.
fn char_literal(rest: &str) -> usize {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => 1 + quoted(&rest[1..], '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

/// The code without items that only tests have, in as many lines.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(") {
        let end = rest[at..].find(']').map_or(rest.len(), |end| at + end + 1);
        let condition = &rest[at..end];
        out.push_str(&rest[..at]);
        let of_tests = tokens(condition).iter().any(|(token, _)| *token == Token::Word("test"))
            && !condition.contains("not(");
        let end = if of_tests {
            let end = end + item(&rest[end..]);
            out.extend(rest[at..end].chars().filter(|&c| c == '\n'));
            end
        } else {
            out.push_str(condition);
            end
        };
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Bytes of the item that follows its attributes.
fn item(code: &str) -> usize {
    // Braces of a `use` are not the item's end.
    let is_use = tokens(code.get(..200).unwrap_or(code))
        .first()
        .is_some_and(|(token, _)| *token == Token::Word("use"));
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && !is_use {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split("::").map(str::to_owned).collect()
    }

    #[test]
    fn imports_and_paths_are_seen_and_nothing_else() {
        let names = read(
            r##"
            //! use crate::comment::A;
            mod a;
            pub(crate) mod b;
            pub use a::{Thing, inner::{self, Other as Another}};
            use crate::far::{*, x};
            use std::fmt;
            /* use crate::block; */
            fn f<'a>(x: &'a str) -> super::up::T {
                let c = ['"', '\'', '\\'];
                let s = "use crate::string;\" still";
                let r = r#"crate::raw "quoted" "#;
                <crate::deep::Q as super::up::W>::g(self::a::h())
            }
            mod inline {
                use super::b::Z;
                use super::super::parent::Y;
                use self::own::X;
            }
            #[cfg(test)]
            use crate::only::{tests, other};
            #[cfg(all(test, feature = "x"))]
            mod tests {
                use crate::in_tests::T;
                fn g() { crate::in_tests::h() }
            }
            #[cfg(not(test))]
            use crate::real::R;
            "##,
        );
        assert_eq!(names.modules, ["a", "b"]);
        let bound: Vec<_> = names.bound.iter().map(|b| (b.name.as_str(), b.path.join("::"))).collect();
        let expected = [
            ("Thing", "a::Thing"),
            ("inner", "a::inner"),
            ("Another", "a::inner::Other"),
            ("*", "crate::far"),
            ("x", "crate::far::x"),
            ("fmt", "std::fmt"),
            ("R", "crate::real::R"),
        ];
        assert_eq!(bound, expected.map(|(name, path)| (name, path.to_owned())));
        let paths = [
            "a::Thing",
            "a::inner",
            "a::inner::Other",
            "crate::far",
            "crate::far::x",
            "std::fmt",
            "super::up::T",
            "crate::deep::Q",
            "super::up::W",
            "self::a::h",
            "self::b::Z",
            "super::parent::Y",
            "crate::real::R",
        ];
        assert_eq!(names.paths, paths.map(path));
    }

    #[test]
    fn what_is_said_has_its_line() {
        let source = r#"// std::fs
use std::{env, fs as files};
/* two
lines */ #[cfg(not(target_arch = "wasm32"))]
fn f() {
    let a = egui::Color32
        ::RED;
    if cfg!(windows) { a.windows(2) }
}
#[cfg(test)]
mod tests {
    use std::thread;
}
const S: &str = "std::fs
"; fn g() -> Instant {}
"#;
        let said: Vec<_> = said(source).into_iter().map(|said| (said.line, said.path)).collect();
        for (line, path) in [
            (2, "std::env"),
            (2, "std::fs"),
            (4, "cfg::target_arch"),
            (6, "egui::Color32::RED"),
            (8, "cfg::windows"),
            (8, "windows"),
            (15, "Instant"),
        ] {
            assert!(said.contains(&(line, path.to_owned())), "{line} {path}: {said:?}");
        }
        assert!(!said.iter().any(|(_, path)| path.contains("thread")), "{said:?}");
    }

    #[test]
    fn going_through_a_table_that_hashes_is_found() {
        let source = "struct S { a: HashMap<u8, u8>, d: Vec<u8> }
            fn f(&self, b: &mut std::collections::HashSet<u8>) {
                let c = foldhash::HashMap::new();
                self.a.get(&1); b.insert(2); self.d.iter();
                self.a.keys();
                for x in &self.a {}
                for x in b.drain() {}
                c.retain(f);
                for x in self.d {}
            }";
        let lines: Vec<_> =
            hash_order(source).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
        assert_eq!(lines, ["5 a", "6 a", "7 b", "8 c"]);
    }
}
