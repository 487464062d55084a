//! What is known of a trace besides its operations, as fields with a tag and a length.

use crate::varint::{Numbers, put, put_text};

const NAME: u64 = 1;
const DESCRIPTION: u64 = 2;
const PROFILE: u64 = 3;
const MALLOC: u64 = 4;
const SETTING: u64 = 5;
const FACT: u64 = 6;
const RECORDS: u64 = 7;
const PEAK: u64 = 8;
const CALLS: u64 = 9;
const THREAD: u64 = 10;
const MISSING: u64 = 11;
const DOUBT: u64 = 12;
const TRUNCATED: u64 = 13;
const MALLOC_STATS: u64 = 14;
const LESSON: u64 = 15;

/// Facts about a trace, as a META block has them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// What it is called.
    pub name: String,
    /// What it shows or where it came from.
    pub description: String,
    /// The profile it was made for.
    pub profile: Option<String>,
    /// `PYTHONMALLOC` of the program.
    pub malloc: Option<String>,
    /// `PYTHONMALLOCSTATS` of the program.
    pub malloc_stats: Option<String>,
    /// Whether it was made to be read from its beginning, step by step.
    pub lesson: bool,
    /// Profile fields that belong to the trace's meaning, in the order given.
    pub settings: Vec<(String, String)>,
    /// Facts about program, machine and recorder by name: `python`, `command_line`, `pid` …
    pub facts: Vec<(String, String)>,
    /// Records in the recorder's own count.
    pub records: Option<u64>,
    /// The most bytes that were live at once in the recorder's own count.
    pub peak_bytes: Option<u64>,
    /// Calls in the recorder's own words: how many, of which function.
    pub calls: Vec<(u64, String)>,
    /// Names of threads, by thread number; empty where a thread has none.
    pub thread_names: Vec<String>,
    /// What the recording lacks, and what would give it.
    pub missing: Vec<(String, String)>,
    /// How often: unknown frees, unknown reallocs, lost frees, inferred domains, ambiguous reallocs.
    pub doubts: [u64; 5],
    /// Where and why the recording ends early.
    pub truncated: Option<String>,
}

/// A field: tag, length, content.
fn field(out: &mut Vec<u8>, tag: u64, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fill(&mut content);
    put(out, tag);
    put(out, content.len() as u64);
    out.extend_from_slice(&content);
}

fn text_field(out: &mut Vec<u8>, tag: u64, text: &str) {
    field(out, tag, |c| c.extend_from_slice(text.as_bytes()));
}

fn pair_field(out: &mut Vec<u8>, tag: u64, first: &str, second: &str) {
    field(out, tag, |c| {
        put_text(c, first);
        c.extend_from_slice(second.as_bytes());
    });
}

impl Meta {
    /// Appends the payload of a META block.
    pub fn put(&self, out: &mut Vec<u8>) {
        text_field(out, NAME, &self.name);
        text_field(out, DESCRIPTION, &self.description);
        for (tag, text) in
            [(PROFILE, &self.profile), (MALLOC, &self.malloc), (MALLOC_STATS, &self.malloc_stats)]
        {
            if let Some(text) = text {
                text_field(out, tag, text);
            }
        }
        if self.lesson {
            field(out, LESSON, |_| {});
        }
        self.settings.iter().for_each(|(key, value)| pair_field(out, SETTING, key, value));
        self.facts.iter().for_each(|(key, value)| pair_field(out, FACT, key, value));
        for (tag, number) in [(RECORDS, self.records), (PEAK, self.peak_bytes)] {
            if let Some(number) = number {
                field(out, tag, |c| put(c, number));
            }
        }
        for (calls, function) in &self.calls {
            field(out, CALLS, |c| {
                put(c, *calls);
                c.extend_from_slice(function.as_bytes());
            });
        }
        self.thread_names.iter().for_each(|name| text_field(out, THREAD, name));
        self.missing.iter().for_each(|(what, remedy)| pair_field(out, MISSING, what, remedy));
        field(out, DOUBT, |c| self.doubts.iter().for_each(|&count| put(c, count)));
        if let Some(sentence) = &self.truncated {
            text_field(out, TRUNCATED, sentence);
        }
    }

    /// What the payload of a META block says; unknown fields are skipped. What is wrong, as the middle of a sentence.
    pub fn take(raw: &[u8]) -> Result<Self, String> {
        let mut meta = Self::default();
        let mut numbers = Numbers(raw);
        let cut = || "a field of the facts ends early".to_owned();
        while !numbers.done() {
            let tag = numbers.number().ok_or_else(cut)?;
            let length = numbers.small().ok_or_else(cut)?;
            let content = numbers.bytes(length as usize).ok_or_else(cut)?;
            let mut inner = Numbers(content);
            let text = |bytes: &[u8]| {
                std::str::from_utf8(bytes).map(ToOwned::to_owned).map_err(|_| "a fact is no UTF-8".to_owned())
            };
            match tag {
                NAME => meta.name = text(content)?,
                DESCRIPTION => meta.description = text(content)?,
                PROFILE => meta.profile = Some(text(content)?),
                MALLOC => meta.malloc = Some(text(content)?),
                MALLOC_STATS => meta.malloc_stats = Some(text(content)?),
                LESSON => meta.lesson = true,
                SETTING | FACT | MISSING => {
                    let first = inner.text().ok_or_else(cut)?.to_owned();
                    let pair = (first, text(inner.0)?);
                    match tag {
                        SETTING => meta.settings.push(pair),
                        FACT => meta.facts.push(pair),
                        _ => meta.missing.push(pair),
                    }
                }
                RECORDS => meta.records = Some(inner.number().ok_or_else(cut)?),
                PEAK => meta.peak_bytes = Some(inner.number().ok_or_else(cut)?),
                CALLS => {
                    let calls = inner.number().ok_or_else(cut)?;
                    meta.calls.push((calls, text(inner.0)?));
                }
                THREAD => meta.thread_names.push(text(content)?),
                DOUBT => {
                    for count in &mut meta.doubts {
                        *count = inner.number().ok_or_else(cut)?;
                    }
                }
                TRUNCATED => meta.truncated = Some(text(content)?),
                _ => {}
            }
        }
        Ok(meta)
    }
}
