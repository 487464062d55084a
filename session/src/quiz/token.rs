//! The token: what a student hands in. `docs/lessons.md` says what it proves and what not.
//!
//! Letters of five bits, without I, L, O and U, in groups of five: a letter for the version of this form and the try, three for the quiz, seven for the student's name,
//! three for the questions, then the answers, and eight for the check sum, which covers all letters before it and, as its key, the whole quiz.

use sim_core::report::Fnv64;
use trace_io::lesson::Quiz;

use super::{NUMBER_MAX, Reply, Sheet, StudentNumber, digest, mixed};
use crate::practice::Task;

/// The letters, in Crockford's order.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Bits of a letter.
const LETTER_BITS: u32 = 5;
/// Letters of a group.
const GROUP: usize = 5;
/// The version of this form, of two bits.
const VERSION: u64 = 1;
const TRY_BITS: u32 = 3;
const QUIZ_BITS: u32 = 15;
pub(super) const STUDENT_BITS: u32 = 35;
const QUESTIONS_BITS: u32 = 15;
const CHECK_BITS: u32 = 40;
const CHECK_LETTERS: usize = (CHECK_BITS / LETTER_BITS) as usize;
/// Letters before the answers.
const HEAD_LETTERS: usize =
    ((LETTER_BITS + QUIZ_BITS + STUDENT_BITS + QUESTIONS_BITS) / LETTER_BITS) as usize;
/// A choice, or none.
const CHOICE_BITS: u32 = 3;
const CHOICES_MAX: u64 = (1 << CHOICE_BITS) - 1;
/// How many bits a number has that follows; none where none was typed.
const LENGTH_BITS: u32 = 5;
/// No token is longer.
const LETTERS_MAX: usize = 600;

/// Bits on their way into letters.
#[derive(Default)]
struct Writer {
    letters: Vec<u8>,
    /// Bits of the last letter that are taken.
    taken: u32,
}

impl Writer {
    fn put(&mut self, value: u64, bits: u32) {
        for bit in (0..bits).rev() {
            if self.taken.is_multiple_of(LETTER_BITS) {
                self.letters.push(0);
                self.taken = 0;
            }
            self.taken += 1;
            if let Some(last) = self.letters.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (LETTER_BITS - self.taken);
            }
        }
    }
}

/// Letters on their way into bits.
struct Bits<'a> {
    letters: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, bits: u32) -> Option<u64> {
        let mut value = 0;
        for _ in 0..bits {
            let letter = *self.letters.get(self.at / LETTER_BITS as usize)?;
            let bit = letter >> (LETTER_BITS as usize - 1 - self.at % LETTER_BITS as usize) & 1;
            value = value << 1 | u64::from(bit);
            self.at += 1;
        }
        Some(value)
    }
}

/// A number in letters.
pub(super) fn letters(value: u64, bits: u32) -> String {
    let mut writer = Writer::default();
    writer.put(value, bits);
    writer.letters.iter().map(|&letter| char::from(LETTERS[usize::from(letter)])).collect()
}

/// The token of a sheet's answers.
pub fn write(sheet: &Sheet, replies: &[Reply]) -> String {
    let mut writer = Writer::default();
    writer.put(VERSION, LETTER_BITS - TRY_BITS);
    writer.put(u64::from(sheet.attempt) - 1, TRY_BITS);
    writer.put(sheet.quiz, QUIZ_BITS);
    writer.put(sheet.student.0, STUDENT_BITS);
    writer.put(sheet.questions_digest(), QUESTIONS_BITS);
    for (question, mark) in sheet.questions.iter().zip(sheet.mark(replies)) {
        match (&question.task, mark.reply) {
            (Task::Number { .. }, Reply::Number(number)) => {
                let number = number.clamp(-NUMBER_MAX, NUMBER_MAX);
                let folded = (number << 1 ^ number >> 63).cast_unsigned() + 1;
                let bits = u64::BITS - folded.leading_zeros();
                writer.put(u64::from(bits), LENGTH_BITS);
                writer.put(folded, bits);
            }
            (Task::Number { .. }, _) => writer.put(0, LENGTH_BITS),
            (_, Reply::Choice(choice)) => writer.put((u64::from(choice) + 1).min(CHOICES_MAX), CHOICE_BITS),
            (..) => writer.put(0, CHOICE_BITS),
        }
    }
    let check = check_sum(sheet.quiz, &writer.letters);
    let mut sum = Writer::default();
    sum.put(check, CHECK_BITS);
    let all = writer.letters.iter().chain(&sum.letters);
    let mut text = String::new();
    for (index, &letter) in all.enumerate() {
        if index > 0 && index.is_multiple_of(GROUP) {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(letter)]));
    }
    text
}

/// The sheet of a quiz that a token is of, and its answers; else what is wrong with it, in a sentence.
pub fn read(quiz: &Quiz, token: &str) -> Result<(Sheet, Vec<Reply>), String> {
    let mut found = Vec::new();
    for c in token.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let letter = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let value = LETTERS.iter().position(|&known| char::from(known) == letter);
        found.push(
            value.ok_or_else(|| format!("`{c}` is no letter of a token; it has digits and letters but U"))?
                as u8,
        );
    }
    let (body, sum) = match found.len().checked_sub(CHECK_LETTERS) {
        Some(body) if body >= HEAD_LETTERS && found.len() <= LETTERS_MAX => found.split_at(body),
        _ => return Err("this is too short or too long for a token; take all of its groups".to_owned()),
    };
    let mut bits = Bits { letters: body, at: 0 };
    let mistyped =
        || "a letter is mistyped, missing or too many; compare it with what the student sees".to_owned();
    let field = |bits: &mut Bits<'_>, count| bits.take(count).ok_or_else(mistyped);
    let version = field(&mut bits, LETTER_BITS - TRY_BITS)?;
    let attempt = field(&mut bits, TRY_BITS)? as u8 + 1;
    let of = field(&mut bits, QUIZ_BITS)?;
    let student = StudentNumber(field(&mut bits, STUDENT_BITS)?);
    let asked = field(&mut bits, QUESTIONS_BITS)?;
    let ours = digest(quiz);
    let mut expected = Writer::default();
    expected.put(check_sum(ours, body), CHECK_BITS);
    if expected.letters != sum {
        return Err(if of == ours & ((1 << QUIZ_BITS) - 1) {
            mistyped()
        } else {
            "it is not of this quiz, or of another state of its file, or one of its first letters is mistyped"
                .to_owned()
        });
    }
    if version != VERSION {
        return Err("it is of another version of tokens; use the program that it was made with".to_owned());
    }
    let sheet = Sheet::new(quiz, student, attempt)?;
    if asked != sheet.questions_digest() & ((1 << QUESTIONS_BITS) - 1) {
        return Err(
            "the program that it was made with asks other questions from this quiz; use the same version of it".to_owned()
        );
    }
    let mut replies = Vec::with_capacity(sheet.questions.len());
    for question in &sheet.questions {
        replies.push(match question.task {
            Task::Number { .. } => match field(&mut bits, LENGTH_BITS)? as u32 {
                0 => Reply::Open,
                length => {
                    let folded = field(&mut bits, length)?.saturating_sub(1);
                    Reply::Number((folded >> 1).cast_signed() ^ -((folded & 1).cast_signed()))
                }
            },
            _ => match field(&mut bits, CHOICE_BITS)? {
                0 => Reply::Open,
                choice => Reply::Choice(choice as u8 - 1),
            },
        });
    }
    // There is one way to write each.
    let plain = |text: &str| text.chars().filter(|c| *c != '-').collect::<String>();
    let ours = plain(&write(&sheet, &replies));
    let theirs: String = found.iter().map(|&letter| char::from(LETTERS[usize::from(letter)])).collect();
    if ours == theirs { Ok((sheet, replies)) } else { Err(mistyped()) }
}

/// The check sum over letters, keyed by the quiz: the same answers have another one in each quiz.
fn check_sum(quiz: u64, letters: &[u8]) -> u64 {
    let mut hash = Fnv64::default();
    hash.word(quiz);
    hash.bytes(letters);
    hash.word(letters.len() as u64);
    mixed(hash.0) & ((1 << CHECK_BITS) - 1)
}
