//! `arenascope lesson quiz` and `lesson grade`: from the template to the class's three most chosen wrong answers.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use session::practice::Task;
use session::quiz::{Reply, Sheet, Student, write};
use trace_io::lesson::Quiz;

fn arenascope(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_arenascope")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder with the template in it.
fn template() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("friday.ron");
    let made = arenascope(&["lesson", "quiz", "new", "-o", file.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    (folder, file)
}

/// What a student hands in who knows some of the answers, and for the others believes what is widely believed.
fn token(file: &Path, name: &str, known: usize) -> String {
    let quiz = Quiz::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
    let sheet = Sheet::new(&quiz, Student::named(name).unwrap().number(), 1).unwrap();
    let replies: Vec<Reply> = sheet
        .questions
        .iter()
        .enumerate()
        .map(|(at, question)| match &question.task {
            Task::Choose { key, choices } => {
                let belief = choices.iter().position(|choice| choice.misconception.is_some());
                let choice = if at < known { *key } else { belief.unwrap_or(*key) };
                Reply::Choice(u8::try_from(choice).unwrap())
            }
            Task::Number { key, .. } => Reply::number(*key),
            Task::Click { .. } => panic!("nothing to click"),
        })
        .collect();
    write(&sheet, &replies)
}

#[test]
fn the_template_is_a_quiz_of_fourteen_questions() {
    let (_folder, file) = template();
    let path = file.to_str().unwrap();
    let again = arenascope(&["lesson", "quiz", "new", "-o", path]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("is there already"));
    let (_other, second) = template();
    assert_ne!(std::fs::read(&file).unwrap(), std::fs::read(second).unwrap(), "each has a seed of its own");
    let sheet = arenascope(&["lesson", "quiz", "sheet", path, "--student", "Ada"]);
    assert!(sheet.status.success(), "{}", text(&sheet.stderr));
    let sheet = text(&sheet.stdout);
    assert!(sheet.contains("\n14. (survivor, level 1)") && !sheet.contains("\n15. "), "{sheet}");
    assert!(sheet.contains("keeps no secret"), "the limits stand on the sheet: {sheet}");
    assert!(!sheet.contains("> "), "no answers without --key: {sheet}");
    let keyed = text(&arenascope(&["lesson", "quiz", "sheet", path, "--student", "Ada", "--key"]).stdout);
    assert!(keyed.matches("\n   > ").count() > 40 && keyed.contains("M7: "), "{keyed}");
    let page = file.with_extension("html");
    let written =
        arenascope(&["lesson", "quiz", "sheet", path, "--student", "A<b>", "-o", page.to_str().unwrap()]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.matches("<svg").count() > 5 && html.contains("A&lt;b&gt;"), "{html}");
    let link = text(&arenascope(&["lesson", "quiz", "link", path]).stdout);
    assert!(link.starts_with("#v=1&quiz=") && link.lines().count() == 1, "{link}");
    let replayed = arenascope(&["replay", path]);
    assert_eq!(replayed.status.code(), Some(1));
    assert!(text(&replayed.stderr).contains("this is a quiz"), "{}", text(&replayed.stderr));
}

#[test]
fn a_class_is_graded() {
    let (folder, file) = template();
    let path = file.to_str().unwrap();
    let (ada, bob) = (token(&file, "Ada", 14), token(&file, "Bob", 6));
    let graded = arenascope(&["lesson", "grade", path, &ada, &bob, "--json"]);
    assert!(graded.status.success(), "{}", text(&graded.stderr));
    let json: serde_json::Value = serde_json::from_slice(&graded.stdout).unwrap();
    assert_eq!(json["results"][0]["points"], 14);
    let points = json["results"][1]["points"].as_u64().unwrap();
    assert!((6..14).contains(&points), "{json}");
    let items = json["results"][1]["items"].as_array().unwrap();
    let wrong = items.iter().filter(|item| item["right"] == false).count() as u64;
    assert_eq!(points + wrong, 14);
    let beliefs: u64 =
        json["misconceptions"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap()).sum();
    assert_eq!(beliefs, wrong, "each wrong answer was a belief: {json}");
    let counts: Vec<_> =
        json["misconceptions"].as_array().unwrap().iter().map(|row| row["count"].as_u64()).collect();
    assert!(counts.is_sorted_by(|a, b| a >= b), "{json}");
    assert!(json["results"][0]["name"].is_null(), "nobody said who that is");

    let list = folder.path().join("class.csv");
    std::fs::write(&list, format!("# the class\nAda,{ada}\n Bob ;{bob}\nLovelace, Grace\n")).unwrap();
    let list = list.to_str().unwrap();
    let told = arenascope(&["lesson", "grade", path, "--students", list]);
    assert!(told.status.success(), "{}", text(&told.stderr));
    let told = text(&told.stdout);
    assert!(
        told.contains("Ada: 14 of 14 points") && told.contains(&format!("Bob: {points} of 14 points")),
        "{told}"
    );
    assert!(told.contains("No token of: Lovelace, Grace"), "{told}");
    let most = told.split("The wrong answers chosen most:\n").nth(1).unwrap();
    assert!((1..=3).contains(&most.lines().take_while(|line| line.starts_with("  M")).count()), "{told}");
}

#[test]
fn what_was_altered_or_is_somebody_elses_is_not_marked() {
    let (folder, file) = template();
    let path = file.to_str().unwrap();
    let ada = token(&file, "Ada", 14);
    let altered: String = ada.chars().rev().collect();
    let graded = arenascope(&["lesson", "grade", path, &altered, &ada, &ada]);
    assert_eq!(graded.status.code(), Some(1));
    let (said, line) = (text(&graded.stdout), text(&graded.stderr));
    assert!(said.contains(&format!("Not marked: {altered}: ")), "{said}");
    assert!(said.contains("14 of 14") && said.contains("several tokens of student "), "{said}");
    assert!(line.contains("1 of 3 tokens cannot be marked") && line.lines().count() == 1, "{line}");

    let list = folder.path().join("class.txt");
    let list_name = list.to_str().unwrap();
    std::fs::write(&list, format!("Ada\nBob\t{ada}\n")).unwrap();
    let graded = arenascope(&["lesson", "grade", path, "--students", list_name]);
    assert_eq!(graded.status.code(), Some(1));
    assert!(text(&graded.stdout).contains("made under the name Ada, and handed in as Bob's"));
    std::fs::write(&list, "Ada\nADA\n").unwrap();
    let graded = arenascope(&["lesson", "grade", path, "--students", list_name]);
    assert!(text(&graded.stderr).contains("line 2: this is the name of line 1 again"));
    std::fs::write(&list, "Ada\n").unwrap();
    let graded = arenascope(&["lesson", "grade", path, "--students", list_name]);
    assert!(text(&graded.stderr).contains("there is no token"), "{}", text(&graded.stderr));
    assert_eq!(arenascope(&["lesson", "grade", path]).status.code(), Some(2), "wrong usage");

    let wrong = std::fs::read_to_string(&file).unwrap().replace("\"survivor\"", "\"surviving\"");
    std::fs::write(&file, wrong).unwrap();
    for call in [&["lesson", "grade", path, "x"][..], &["lesson", "quiz", "sheet", path, "--student", "A"]] {
        let refused = arenascope(call);
        let line = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1));
        assert!(line.contains("item 12: there are no questions on `surviving`; there are on"), "{line}");
    }
}
