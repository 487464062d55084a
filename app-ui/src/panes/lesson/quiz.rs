//! A quiz: the name, one question after the other without a word on the answers, and in the end the token.

use egui::{Align, Button, Frame, Key, Layout, RichText, ScrollArea, Ui};
use session::format::count;
use session::lesson::{BeatView, misconception};
use session::order::Order;
use session::quiz::{LIMITS, Mark, QuizOrder, QuizView, Reply, Stage};

use super::{TEXT, pieces};
use crate::command::Command;
use crate::theme::Theme;

/// What is typed.
#[derive(Default)]
pub(super) struct QuizState {
    name: String,
    number: String,
    /// The try and the question that the number is typed for.
    typed_for: Option<(u8, usize)>,
}

/// Lines of a program that are in view at once.
const PROGRAM_ROWS: f32 = 9.0;

/// Draws the pane.
pub(super) fn ui(
    ui: &mut Ui,
    theme: &Theme,
    quiz: &QuizView,
    beat: &BeatView,
    state: &mut QuizState,
    commands: &mut Vec<Command>,
) {
    egui::Panel::bottom("quiz-buttons").show_separator_line(false).frame(Frame::new()).show(ui, |ui| {
        ui.add_space(6.0);
        ui.horizontal_wrapped(|ui| buttons(ui, quiz, state, commands));
    });
    let place = match quiz.stage {
        Stage::Question { at, .. } => at,
        _ => usize::MAX,
    };
    ScrollArea::vertical().auto_shrink(false).id_salt((quiz.attempt, place)).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                // In the middle of it nobody leaves by a slip.
                if !matches!(quiz.stage, Stage::Question { .. })
                    && ui.button("Leave the quiz").on_hover_text("Back to all lessons").clicked()
                {
                    commands.push(Command::LeaveLesson);
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    ui.add(egui::Label::new(RichText::new(&quiz.name).heading()).truncate());
                });
            });
        });
        match &quiz.stage {
            Stage::Name(fault) => name(ui, theme, quiz, fault.as_deref(), state, commands),
            Stage::Question { at, program, choices } => {
                question(ui, theme, quiz, beat, (*at, program, choices), state, commands);
            }
            Stage::Review => review(ui, quiz, commands),
            Stage::Done { marks, token } => done(ui, theme, quiz, (marks, token), commands),
        }
    });
}

fn name(
    ui: &mut Ui,
    theme: &Theme,
    quiz: &QuizView,
    fault: Option<&str>,
    state: &mut QuizState,
    commands: &mut Vec<Command>,
) {
    ui.label(format!(
        "A quiz of {} on {}. You can change each answer until you hand in.",
        count(quiz.questions as u64, "question"),
        quiz.profile
    ));
    ui.label("What is right is not shown before that. In the end you get a token for your teacher.");
    ui.add_space(8.0);
    ui.label(RichText::new("Your name, or the number that you were given:").size(TEXT).strong());
    let field = egui::TextEdit::singleline(&mut state.name).hint_text("name").desired_width(260.0);
    let response = ui.add(field);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Your name"));
    if response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter)) {
        commands.push(begin(state));
    }
    if let Some(fault) = fault {
        Frame::new().fill(theme.hint).corner_radius(4).inner_margin(8).show(ui, |ui| {
            ui.label(RichText::new(fault).color(theme.text));
        });
    }
}

fn begin(state: &QuizState) -> Command {
    Command::Order(Order::Quiz(QuizOrder::Begin(state.name.clone())))
}

fn question(
    ui: &mut Ui,
    theme: &Theme,
    quiz: &QuizView,
    beat: &BeatView,
    (at, program, choices): (usize, &str, &[String]),
    state: &mut QuizState,
    commands: &mut Vec<Command>,
) {
    let share = (at + 1) as f32 / quiz.replies.len().max(1) as f32;
    ui.add(egui::ProgressBar::new(share).desired_height(6.0).fill(theme.touched));
    ui.add_space(6.0);
    ui.weak("The program so far:");
    Frame::new().fill(ui.visuals().extreme_bg_color).corner_radius(4).inner_margin(6).show(ui, |ui| {
        let row = ui.text_style_height(&egui::TextStyle::Monospace);
        let area = ScrollArea::vertical().id_salt("program").max_height(PROGRAM_ROWS * row);
        area.auto_shrink([false, true]).show(ui, |ui| {
            ui.add(egui::Label::new(RichText::new(program).monospace()).wrap());
        });
    });
    ui.add_space(8.0);
    pieces(ui, &beat.text, TEXT, commands);
    ui.add_space(8.0);
    let reply = quiz.replies.get(at).copied().unwrap_or_default();
    let mut answer = |reply| commands.push(Command::Order(Order::Quiz(QuizOrder::Reply(reply))));
    for (index, choice) in (0..).zip(choices) {
        let chosen = reply == Reply::Choice(index);
        // By the letters that sheets and marks have.
        let text = format!("{}) {choice}", char::from(b'a' + index.min(25)));
        let wide = egui::vec2(ui.available_width(), 30.0);
        let button = Button::new(RichText::new(text).size(TEXT - 1.0)).selected(chosen);
        if ui.add(button.wrap().min_size(wide)).clicked() {
            answer(if chosen { Reply::Open } else { Reply::Choice(index) });
        }
    }
    if choices.is_empty() {
        if state.typed_for != Some((quiz.attempt, at)) {
            state.typed_for = Some((quiz.attempt, at));
            state.number = match reply {
                Reply::Number(number) => number.to_string(),
                _ => String::new(),
            };
        }
        let field = egui::TextEdit::singleline(&mut state.number).desired_width(110.0).hint_text("a number");
        let response = ui.add(field);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Your answer"));
        if response.changed() {
            let number: Option<i64> = state.number.replace([',', ' ', '_'], "").parse().ok();
            answer(number.map_or(Reply::Open, Reply::number));
        }
        if reply == Reply::Open && !state.number.trim().is_empty() {
            ui.weak("That is no number: write digits alone.");
        }
    }
}

fn review(ui: &mut Ui, quiz: &QuizView, commands: &mut Vec<Command>) {
    let open = quiz.replies.iter().filter(|reply| **reply == Reply::Open).count();
    ui.label(match open {
        0 => "All questions are answered.".to_owned(),
        1 => "One question is left open.".to_owned(),
        open => format!("{open} questions are left open."),
    });
    ui.label("Go back to any of them, or hand in. After that nothing can be changed.");
    ui.add_space(6.0);
    for (at, reply) in quiz.replies.iter().enumerate() {
        let said = if *reply == Reply::Open { "left open" } else { "answered" };
        if ui.link(format!("Question {}: {said}", at + 1)).clicked() {
            commands.push(Command::Order(Order::Quiz(QuizOrder::GoTo(at))));
        }
    }
}

fn done(
    ui: &mut Ui,
    theme: &Theme,
    quiz: &QuizView,
    (marks, token): (&[Mark], &str),
    commands: &mut Vec<Command>,
) {
    let points = marks.iter().filter(|mark| mark.right).count();
    let student = quiz.student.as_deref().unwrap_or_default();
    ui.label(
        RichText::new(format!("{student}: {points} of {} points", marks.len())).size(TEXT + 3.0).strong(),
    );
    ui.add_space(6.0);
    ui.label("Hand in this token:");
    Frame::new().fill(theme.hint).corner_radius(4).inner_margin(10).show(ui, |ui| {
        ui.label(RichText::new(token).monospace().strong().size(TEXT).color(theme.text));
        if ui.button("Copy the token").clicked() {
            commands.push(Command::Copy(token.to_owned()));
        }
    });
    ui.weak(LIMITS);
    ui.add_space(8.0);
    for (number, mark) in (1..).zip(marks) {
        let said = match (mark.right, mark.reply) {
            (true, _) => "right",
            (false, Reply::Open) => "left open",
            (false, _) => "wrong",
        };
        ui.label(format!("Question {number}: {said}"));
        if let Some(row) = mark.belief.and_then(misconception) {
            ui.weak(format!("Many believe that {}. {}", row.belief, row.truth));
        }
    }
}

fn buttons(ui: &mut Ui, quiz: &QuizView, state: &QuizState, commands: &mut Vec<Command>) {
    let go = |by| Command::Order(Order::Quiz(QuizOrder::Go(by)));
    let strong = |text: &str| Button::new(RichText::new(text).strong()).min_size(egui::vec2(90.0, 0.0));
    match &quiz.stage {
        Stage::Name(_) => {
            if ui.add(strong("Begin")).clicked() {
                commands.push(begin(state));
            }
            if quiz.tries > 1 {
                ui.weak(format!("Try {} of {}", quiz.attempt, quiz.tries));
            }
        }
        Stage::Question { at, .. } => {
            if ui.add_enabled(*at > 0, Button::new("Back")).clicked() {
                commands.push(go(-1));
            }
            if ui.add(strong("Next")).clicked() {
                commands.push(go(1));
            }
            ui.weak(format!("Question {} of {}", at + 1, quiz.replies.len()));
        }
        Stage::Review => {
            if ui.button("Back").clicked() {
                commands.push(go(-1));
            }
            if ui.add(strong("Hand in")).clicked() {
                commands.push(Command::Order(Order::Quiz(QuizOrder::Finish)));
            }
        }
        Stage::Done { .. } => {
            if quiz.attempt < quiz.tries
                && ui
                    .button(format!("Try {} of {}, with other questions", quiz.attempt + 1, quiz.tries))
                    .clicked()
            {
                commands.push(Command::Order(Order::Quiz(QuizOrder::Again)));
            }
        }
    }
}
