//! What can stand where somebody writes: names in use, calls, formulas, domains and words of the grammar, with a line on each.

use egui::text::{CCursor, CCursorRange};
use egui::text_edit::{TextEditOutput, TextEditState};
use egui::{Area, Button, EventFilter, Frame, Id, Key, Modifiers, Order, RichText, Ui};
use trace_io::program::expr::{CONSTANTS, FUNCTIONS};
use trace_io::program::words::{CALLS, DOMAINS, KEYWORDS};

/// Choices that are shown at once.
const SHOWN: usize = 8;

/// The list under the cursor, while it is open.
#[derive(Default)]
pub(super) struct Completion {
    open: Option<Open>,
}

struct Open {
    /// The characters at which the word begins and ends.
    from: usize,
    to: usize,
    choices: Vec<Choice>,
    chosen: usize,
}

/// One choice.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Choice {
    /// How it is written.
    shown: String,
    /// What is put in.
    word: String,
    about: &'static str,
}

/// What else is known where somebody writes.
pub(super) struct Known<'a> {
    /// A program that runs before.
    pub(super) given: &'a str,
    /// Calls that may be made, where not all may.
    pub(super) allows: Option<&'a [String]>,
}

impl Completion {
    /// The keys that the editor keeps for itself: with the list open, Escape closes that and leaves the cursor where it is.
    pub(super) fn keys(&self) -> EventFilter {
        EventFilter { tab: true, horizontal_arrows: true, vertical_arrows: true, escape: self.open.is_some() }
    }

    /// Takes keys that are for the list before the editor sees them; a word that was chosen is put into the text.
    pub(super) fn take_keys(&mut self, ui: &Ui, editor: Id, text: &mut String) {
        let Some(open) = &mut self.open else { return };
        if !ui.memory(|memory| memory.has_focus(editor)) {
            return;
        }
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if pressed(Key::Escape) {
            self.open = None;
        } else if pressed(Key::ArrowDown) {
            open.chosen = (open.chosen + 1) % open.choices.len();
        } else if pressed(Key::ArrowUp) {
            open.chosen = open.chosen.checked_sub(1).unwrap_or(open.choices.len() - 1);
        } else if pressed(Key::Tab) {
            let chosen = open.chosen;
            self.put_in(ui, editor, text, chosen);
        }
    }

    /// Opens, changes and closes the list after the editor was drawn, and draws it.
    pub(super) fn after(&mut self, ui: &Ui, output: &TextEditOutput, text: &mut String, known: &Known<'_>) {
        let editor = output.response.id;
        let cursor = output.cursor_range.map(|range| usize::from(range.primary.index));
        if output.response.changed() {
            self.open = cursor.and_then(|cursor| open(text, cursor, known));
        } else if let (Some(open), Some(cursor)) = (&self.open, cursor)
            && cursor != open.to
        {
            // The cursor went elsewhere.
            self.open = None;
        }
        let Some(open) = &self.open else { return };
        // While a choice is clicked the editor has no cursor.
        let at = output.galley.pos_from_cursor(CCursor::new(open.from));
        let below = output.galley_pos + at.left_bottom().to_vec2();
        let mut taken = None;
        let area = Area::new(editor.with("completion")).order(Order::Foreground).fixed_pos(below).show(
            ui.ctx(),
            |ui| {
                Frame::popup(ui.style()).show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = 1.0;
                    let first = (open.chosen + 1).saturating_sub(SHOWN);
                    for (index, choice) in open.choices.iter().enumerate().skip(first).take(SHOWN) {
                        let row = ui.horizontal(|ui| {
                            let name = RichText::new(&choice.shown).monospace().size(12.5);
                            let clicked = ui.add(Button::selectable(index == open.chosen, name)).clicked();
                            ui.weak(choice.about);
                            clicked
                        });
                        if row.inner {
                            taken = Some(index);
                        }
                    }
                });
            },
        );
        if let Some(chosen) = taken {
            self.put_in(ui, editor, text, chosen);
        } else if !output.response.has_focus()
            && ui.input(|input| input.pointer.any_released() || !input.pointer.any_down())
            && !area.response.contains_pointer()
        {
            self.open = None;
        }
    }

    /// Puts a choice in the place of the word, with the cursor behind it.
    fn put_in(&mut self, ui: &Ui, editor: Id, text: &mut String, chosen: usize) {
        let Some(open) = self.open.take() else { return };
        let Some(choice) = open.choices.get(chosen) else { return };
        let mut state = TextEditState::load(ui.ctx(), editor).unwrap_or_default();
        let place = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
        let (from, to) = (place(open.from), place(open.to));
        text.replace_range(from..to, &choice.word);
        let behind = CCursor::new(open.from + choice.word.chars().count());
        state.cursor.set_char_range(Some(CCursorRange::one(behind)));
        state.store(ui.ctx(), editor);
        ui.memory_mut(|memory| memory.request_focus(editor));
    }
}

/// The word that ends at a character, with the character at which it begins; none within texts and remarks.
fn word(text: &str, cursor: usize) -> Option<(usize, &str)> {
    let end = text.char_indices().nth(cursor).map_or(text.len(), |(at, _)| at);
    let before = &text[..end];
    let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
    let outside = line.chars().try_fold(None, |within, c| match (within, c) {
        (None, '#') => Err(()),
        (None, '"' | '\'') => Ok(Some(c)),
        (Some(open), c) if open == c => Ok(None),
        (within, _) => Ok(within),
    });
    if outside != Ok(None) {
        return None;
    }
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let word = &line
        [line.rfind(|c| !part(c)).map_or(0, |at| at + line[at..].chars().next().map_or(0, char::len_utf8))..];
    let begins = word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    begins.then(|| (cursor - word.chars().count(), word))
}

fn open(text: &str, cursor: usize, known: &Known<'_>) -> Option<Open> {
    let (from, written) = word(text, cursor)?;
    let choices = choices(text, from, written, known);
    (!choices.is_empty()).then_some(Open { from, to: cursor, choices, chosen: 0 })
}

/// What begins like a word, names of the program first. A word that is complete needs no list.
fn choices(text: &str, from: usize, written: &str, known: &Known<'_>) -> Vec<Choice> {
    let named = |program, about| names(program).into_iter().map(move |name| (name, about));
    let mut found: Vec<Choice> = Vec::new();
    let mut add = |shown: &str, about: &'static str| {
        let word = shown.split_inclusive('(').next().unwrap_or(shown).trim_end_matches(')').to_owned();
        let new = !found.iter().any(|choice| choice.word == word);
        if new && word.starts_with(written) && word != written {
            found.push(Choice { shown: shown.to_owned(), word, about });
        }
    };
    // The word that is being written names nothing yet.
    let begun = text.char_indices().nth(from).map_or(text.len(), |(at, _)| at);
    let others = format!(
        "{}{}",
        &text[..begun],
        text[begun..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
    );
    for (name, about) in
        named(&others, "a name of this program").chain(named(known.given, "a name of what is given"))
    {
        add(&name, about);
    }
    let allowed = |call: &str| {
        let name = call.split('(').next().unwrap_or(call);
        known.allows.is_none_or(|allows| allows.iter().any(|allowed| allowed == name))
    };
    let calls = CALLS.iter().filter(|(call, _)| allowed(call));
    let rest = [KEYWORDS, DOMAINS, FUNCTIONS, CONSTANTS];
    for (shown, about) in calls.chain(rest.into_iter().flatten()) {
        add(shown, about);
    }
    found
}

/// Names that a program gives to blocks, numbers and what it counts with.
fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if plain && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(counted) = line.strip_prefix("for ").and_then(|rest| rest.split_once(" in ")) {
            add(counted.0.trim());
        }
        // What stands after a colon is a statement of its own.
        let statement = line.rsplit_once(": ").map_or(line, |(_, rest)| rest);
        if let Some((target, value)) = statement.split_once('=')
            && !value.starts_with('=')
        {
            add(target.split('[').next().unwrap_or_default().trim());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Known<'_> = Known { given: "kept = malloc(8)\n", allows: None };

    fn shown(text: &str, known: &Known<'_>) -> Vec<String> {
        let list = open(text, text.chars().count(), known);
        list.map_or_else(Vec::new, |open| open.choices.into_iter().map(|choice| choice.shown).collect())
    }

    #[test]
    fn names_come_first_and_then_what_the_language_has() {
        let program = "first = malloc(48)\nfor index in range(3): grid[index] = malloc(8)\n";
        assert_eq!(
            shown(&format!("{program}fr"), &ALL),
            ["free(x)", "free_keep(x)", "free_delayed(x, n)", "free_threaded"]
        );
        assert_eq!(shown(&format!("{program}free(f"), &ALL)[..2], ["first", "free(x)"]);
        assert_eq!(shown(&format!("{program}free(gr"), &ALL), ["grid"]);
        assert_eq!(shown(&format!("{program}free(grid[ind"), &ALL), ["index"]);
        assert_eq!(shown("free(ke", &ALL)[..1], ["kept"]);
        assert_eq!(shown("for i in range(bl", &ALL), ["block(n)", "blocks(n)"]);
        assert_eq!(shown("a = malloc(arena.", &ALL), ["arena.size", "arena.pools"]);
        assert_eq!(shown("a = malloc(8, ra", &ALL), ["range(n)", "raw", "radix"]);
    }

    #[test]
    fn nothing_is_offered_where_nothing_can_be_completed() {
        for text in ["", "a = ", "a = 4", "# ma", "stack(\"ma", "arenas = malloc(48", "NULL"] {
            assert_eq!(shown(text, &ALL), [""; 0], "{text}");
        }
        assert!(!shown("stack(\"a.py:3\"); ma", &ALL).is_empty(), "after a text there is");
    }

    #[test]
    fn a_puzzle_offers_the_calls_that_it_allows() {
        let allows = ["malloc".to_owned()];
        let known = Known { given: "", allows: Some(&allows) };
        assert_eq!(shown("ma", &known), ["malloc(n)", "max(a, b)"]);
        assert!(!shown("f", &known).iter().any(|word| word.starts_with("free(")));
    }

    #[test]
    fn words_are_found_by_characters() {
        assert_eq!(word("\u{e9} = malloc(\u{e9}t\u{e9}", 14), Some((11, "\u{e9}t\u{e9}")));
        assert_eq!(names("a == b\nx[1] = malloc(8)  # y = 3\n"), ["x"]);
    }
}
