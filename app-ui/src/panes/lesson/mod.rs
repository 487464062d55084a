//! The lesson that is open: what the beat says and asks, and the way to the next one.

mod index;
mod quiz;

use egui::{Align, Button, Frame, Key, Layout, RichText, ScrollArea, TextStyle, Ui};
use session::lesson::{Answer, Given, LessonView, Shown, TaskView, Verdict, misconception, words};
use session::link::{Link, What};
use session::order::Order;
use session::practice::LESSONS;
use trace_io::lesson::Source;

use super::View;
use super::text::pieces;
use crate::command::{Action, Command};
use crate::progress::{Practice, Progress};
use crate::theme::Theme;
use index::LearnState;

/// What the pane keeps between frames.
#[derive(Default)]
pub(crate) struct LessonState {
    /// The number that is typed.
    number: String,
    /// The lesson and the beat that it is typed for.
    typed_for: (String, usize),
    learn: LearnState,
    quiz: quiz::QuizState,
    /// Whether what is said of the answer was shown.
    told: bool,
    /// Whether the source's line was brought into view: once, so that it can be scrolled from there.
    lined: bool,
}

/// Lines of a recorded program that are in view at once, and the room between two of them.
const SOURCE_ROWS: f32 = 6.0;
const SOURCE_GAP: f32 = 1.0;
/// Size of a beat's text.
const TEXT: f32 = 15.5;

/// Draws the pane.
pub(crate) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    progress: &Progress,
    state: &mut LessonState,
    commands: &mut Vec<Command>,
) {
    let Some(lesson) = &view.picture.lesson else {
        index::ui(ui, &mut state.learn, progress, commands);
        return;
    };
    if let Some(quiz) = &view.picture.quiz {
        quiz::ui(ui, view.theme, quiz, &lesson.beat, &mut state.quiz, commands);
        return;
    }
    if state.typed_for != (lesson.id.clone(), lesson.at) {
        state.typed_for = (lesson.id.clone(), lesson.at);
        state.number.clear();
        state.told = false;
        state.lined = false;
    }
    let beat = &lesson.beat;
    egui::Panel::bottom("lesson-buttons").show_separator_line(false).frame(Frame::new()).show(ui, |ui| {
        ui.add_space(6.0);
        buttons(ui, lesson, commands);
    });
    ScrollArea::vertical().auto_shrink(false).id_salt((&lesson.id, lesson.at)).show(ui, |ui| {
        head(ui, view, lesson, commands);
        ui.add_space(8.0);
        if let Some(source) = &lesson.source {
            let fresh = !std::mem::replace(&mut state.lined, true);
            source_ui(ui, view.theme, source, beat.line, fresh);
            ui.add_space(8.0);
        }
        pieces(ui, &beat.text, TEXT, commands);
        for remark in &beat.outdated {
            ui.add_space(10.0);
            ui.label(RichText::new(remark).weak());
        }
        if let Some(task) = &beat.task {
            ui.add_space(10.0);
            ui.push_id("task", |ui| task_ui(ui, view, task, state, commands));
            // What is said of an answer comes into view with it.
            let told = !task.open();
            if !std::mem::replace(&mut state.told, told) && told {
                ui.scroll_to_cursor(Some(Align::BOTTOM));
            }
        }
    });
}

fn head(ui: &mut Ui, view: &View<'_>, lesson: &LessonView, commands: &mut Vec<Command>) {
    // A narrow pane keeps its width for the title.
    let narrow = ui.available_width() < 420.0;
    let (all, link) = if narrow { ("Lessons", "Link") } else { ("All lessons", "Copy link") };
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.button(all).on_hover_text("Leave this lesson; the window is laid out as before").clicked() {
                commands.push(Command::LeaveLesson);
            }
            if ui.button(link).on_hover_text("A link to this place in the lesson").clicked() {
                let what = What::Lesson { id: lesson.id.clone(), beat: lesson.at + 1 };
                commands.push(Command::Share(Link { what, ..Link::default() }));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(egui::Label::new(RichText::new(&lesson.title).heading()).wrap());
            });
        });
    });
    let share = (lesson.at + 1) as f32 / lesson.len.max(1) as f32;
    ui.add(egui::ProgressBar::new(share).desired_height(6.0).fill(view.theme.touched))
        .on_hover_text(format!("Beat {} of {}", lesson.at + 1, lesson.len));
    if lesson.at == 0 {
        ui.label(RichText::new(format!("Afterwards you can: {}", lower_first(&lesson.goal))).weak());
    }
    if let Some(why) = &lesson.elsewhere {
        Frame::new().fill(view.theme.hint).corner_radius(4).inner_margin(8).show(ui, |ui| {
            ui.label(RichText::new(why).color(view.theme.text));
        });
    }
}

/// The Python that was recorded, with the line that the beat speaks of marked and in view.
fn source_ui(ui: &mut Ui, theme: &Theme, source: &Source, marked: Option<u32>, fresh: bool) {
    Frame::new().fill(ui.visuals().extreme_bg_color).corner_radius(4).inner_margin(6).show(ui, |ui| {
        let row = ui.text_style_height(&TextStyle::Monospace) + SOURCE_GAP;
        ScrollArea::both().id_salt("source").max_height(SOURCE_ROWS * row).auto_shrink([false, true]).show(
            ui,
            |ui| {
                ui.spacing_mut().item_spacing.y = SOURCE_GAP;
                for (number, line) in (1..).zip(source.text.lines()) {
                    let here = marked == Some(number);
                    // The sign beside the number says it to those who see no colour.
                    let sign = if here { ">" } else { " " };
                    let mut text = RichText::new(format!("{sign}{number:>3}  {line}")).monospace();
                    if here {
                        text = text.background_color(theme.hint).strong();
                    }
                    let label = ui.add(egui::Label::new(text).extend());
                    if here && fresh {
                        label.scroll_to_me(Some(Align::Center));
                    }
                }
            },
        );
        ui.weak(format!("Recorded: {}", source.recorded));
    });
}

fn buttons(ui: &mut Ui, lesson: &LessonView, commands: &mut Vec<Command>) {
    let waits = lesson.beat.task.as_ref().is_some_and(TaskView::open);
    let again = lesson.beat.task.as_ref().is_some_and(|task| !task.open() && !task.right());
    ui.horizontal(|ui| {
        let back =
            ui.add_enabled(lesson.at > 0, Button::new("Back")).on_hover_text(Action::Back.tooltip(ui.ctx()));
        if back.clicked() {
            commands.push(Command::Order(Order::Beat(-1)));
        }
        let last = lesson.at + 1 >= lesson.len;
        let practice = Practice::of(&lesson.id);
        if waits {
            if ui.button("Show the answer").on_hover_text("Go on without an answer of your own").clicked() {
                commands.push(Command::Order(Order::Answer(Answer::Reveal)));
            }
        } else if last {
            if let Some(practice) = practice {
                levels(ui, practice.lesson, Some(practice.level), commands);
            } else {
                if ui.button("Next lesson").clicked() {
                    commands.push(Command::NextLesson);
                }
                if LESSONS.contains(&lesson.id.as_str()) {
                    levels(ui, &lesson.id, None, commands);
                }
            }
        } else {
            let next = ui.add(Button::new(RichText::new("Next").strong()).min_size(egui::vec2(90.0, 0.0)));
            if next.on_hover_text(Action::Forward.tooltip(ui.ctx())).clicked() {
                commands.push(Command::Order(Order::Beat(1)));
            }
        }
        if again && ui.button("Try again").on_hover_text("Forget this answer").clicked() {
            commands.push(Command::Order(Order::Again));
        }
        ui.weak(format!("{} of {}", lesson.at + 1, lesson.len));
    });
}

/// A fresh question on a lesson, at each level.
pub(super) fn levels(ui: &mut Ui, lesson: &str, now: Option<u8>, commands: &mut Vec<Command>) {
    const LEVELS: [(u8, &str); 3] = [
        (1, "One operation after a state that is shown"),
        (2, "Three to six operations"),
        (3, "Eight to fifteen operations, and a number to type"),
    ];
    ui.label(if now.is_some() { "Another question, level" } else { "Practise, level" });
    for (level, about) in LEVELS {
        let button = Button::selectable(now == Some(level), level.to_string());
        if ui.add(button).on_hover_text(about).clicked() {
            commands.push(Command::Practise(lesson.to_owned(), level));
        }
    }
}

fn task_ui(
    ui: &mut Ui,
    view: &View<'_>,
    task: &TaskView,
    state: &mut LessonState,
    commands: &mut Vec<Command>,
) {
    let (theme, mimalloc) = (view.theme, view.head.mimalloc);
    match task {
        TaskView::Choose { choices, key, given, because } => {
            for (index, choice) in choices.iter().enumerate() {
                let text = words(choice);
                let wide = egui::vec2(ui.available_width(), 30.0);
                if given.is_none() {
                    let button = Button::new(RichText::new(text).size(TEXT - 1.0)).wrap().min_size(wide);
                    if ui.add(button).clicked() {
                        commands.push(Command::Order(Order::Answer(Answer::Choice(index))));
                    }
                    continue;
                }
                let chosen = matches!(given, Some(Given { answer: Answer::Choice(at), .. }) if *at == index);
                let (mark, right) = match (*key == Some(index), chosen) {
                    (true, true) => ("Right, and your answer: ", true),
                    (true, false) => ("Right: ", true),
                    (false, true) => ("Your answer: ", false),
                    (false, false) => ("", false),
                };
                let mut text = RichText::new(format!("{mark}{text}")).size(TEXT - 1.0);
                text = if right { text.strong() } else { text.color(theme.weak) };
                let frame = Frame::new().corner_radius(3).inner_margin(egui::Margin::symmetric(7, 4));
                let frame = if right { frame.fill(theme.hint) } else { frame };
                frame.show(ui, |ui| ui.label(text));
            }
            verdict(ui, theme, given.as_ref(), because, commands);
        }
        TaskView::Number { key, given, because } => {
            ui.horizontal(|ui| {
                let field =
                    egui::TextEdit::singleline(&mut state.number).desired_width(110.0).hint_text("a number");
                let response = ui.add_enabled(given.is_none(), field);
                let number: Option<i64> = state.number.replace([',', ' ', '_'], "").parse().ok();
                let entered = response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
                let check = ui.add_enabled(given.is_none() && number.is_some(), Button::new("Check"));
                if let Some(number) = number.filter(|_| check.clicked() || entered) {
                    commands.push(Command::Order(Order::Answer(Answer::Number(number))));
                }
                if let Some(key) = key {
                    ui.label(
                        RichText::new(format!(
                            "It is {}",
                            trace_io::lesson::text::said(*key, trace_io::lesson::text::Unit::Plain)
                        ))
                        .strong(),
                    );
                }
            });
            verdict(ui, theme, given.as_ref(), because, commands);
        }
        TaskView::Click { key, given, because } => {
            if given.is_none() {
                ui.label(RichText::new("Click it on the map.").strong());
            }
            if let Some(place) = key
                && ui.link("Show the right place on the map").clicked()
            {
                commands.push(Command::Order(Order::Enter(*place)));
            }
            verdict(ui, theme, given.as_ref(), because, commands);
        }
        TaskView::Play { call, round, rounds, right, last, shown, differs } => {
            if let Some((call, right)) = last {
                let said = if *right { "as the machine does it." } else { "the machine does it otherwise." };
                ui.horizontal_wrapped(|ui| {
                    ui.label(RichText::new(call).monospace().size(TEXT - 1.0));
                    ui.label(RichText::new(said).size(TEXT - 1.0).strong());
                });
            }
            if let Some(call) = call {
                ui.horizontal_wrapped(|ui| {
                    ui.weak(format!("{} of {rounds}", round + 1));
                    ui.label(RichText::new(call).monospace().strong().size(TEXT));
                });
                ui.label("Where will the block begin? Click the place on the map, or choose:");
                ui.horizontal_wrapped(|ui| {
                    // Pages are mimalloc's pools, and segments its arenas.
                    let [pool, arena] = if mimalloc {
                        ["on a page not used yet", "in a new segment"]
                    } else {
                        ["in a pool not used yet", "in a new arena"]
                    };
                    for (text, answer) in [
                        (pool, Answer::NewPool),
                        (arena, Answer::NewArena),
                        ("in the C library", Answer::Raw),
                    ] {
                        if ui.button(text).clicked() {
                            commands.push(Command::Order(Order::Answer(answer)));
                        }
                    }
                });
            } else {
                let said = if *shown {
                    "The picture shows what the machine did.".to_owned()
                } else {
                    format!("{right} of {rounds} as the machine does it.")
                };
                ui.label(RichText::new(said).strong().size(TEXT));
            }
            if let Some((call, because)) = differs {
                ui.add_space(6.0);
                ui.label(
                    RichText::new(format!("The first that differs is {call}. What happens there:")).strong(),
                );
                for sentence in because {
                    ui.label(format!("\u{2022} {sentence}"));
                }
            }
        }
    }
}

/// What came of an answer, and why.
fn verdict(
    ui: &mut Ui,
    theme: &Theme,
    given: Option<&Given>,
    because: &[Shown],
    commands: &mut Vec<Command>,
) {
    let Some(given) = given else { return };
    ui.add_space(8.0);
    Frame::new().fill(theme.hint).corner_radius(4).inner_margin(10).show(ui, |ui| {
        let said = match given.verdict {
            Verdict::Right => "Right.",
            Verdict::Wrong => "Not so.",
            Verdict::Shown => "The answer:",
        };
        ui.label(RichText::new(said).strong().color(theme.text).size(TEXT));
        if let Some(row) = given.belief.and_then(misconception) {
            ui.label(
                RichText::new(format!("Many believe that {}. {}", row.belief, row.truth)).color(theme.text),
            );
        }
        pieces(ui, because, TEXT - 1.0, commands);
    });
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
