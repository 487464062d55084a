//! What an engine tells a front, piece by piece, and what a front keeps of it.

use serde::{Deserialize, Serialize};

use super::compare::Compared;
use super::findings::{Findings, Judged};
use super::holders::Holdings;
use super::whatif::WhatIfPicture;
use super::{Curves, Head, Picture, Status};
use crate::open::Still;
use crate::trouble::Trouble;

/// A trace on its way in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Opening {
    /// The file's name.
    pub name: String,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes in all, where that is known.
    pub total_bytes: Option<u64>,
    /// Operations read.
    pub operations: u64,
    /// Whether it is a pipe, of which is shown what has come.
    pub grows: bool,
}

/// What is new since the last update. What is `None` is as it was.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Update {
    /// Always.
    pub status: Status,
    /// Another trace, or another profile.
    pub head: Option<Box<Head>>,
    /// The tape was read further.
    pub curves: Option<Box<Curves>>,
    /// Another state, or another look at it.
    pub picture: Option<Box<Picture>>,
    /// Who holds the memory, at the step that it says.
    pub held: Option<Box<Holdings>>,
    /// What was tried.
    pub tried: Option<Box<WhatIfPicture>>,
    /// What became of the memory over the run, or that it is not known.
    pub judged: Option<Judged>,
    /// What is compared.
    pub compared: Option<Box<Compared>>,
    /// A text to put on the clipboard.
    pub copied: Option<String>,
    /// A file to be saved: what it is called, and its text.
    pub saved: Option<(String, String)>,
    /// A text of statistics that was opened: it shows one moment, and what is open stays.
    pub still: Option<Box<Still>>,
    /// Files, orders and looks that a [`Server`](crate::port::server::Server) has taken in so far: what was asked later is
    /// still to be answered.
    pub answered: u64,
}

impl Update {
    /// What goes on, and nothing else that is new.
    pub fn of(status: Status) -> Self {
        Self {
            status,
            head: None,
            curves: None,
            picture: None,
            held: None,
            tried: None,
            judged: None,
            compared: None,
            copied: None,
            saved: None,
            still: None,
            answered: 0,
        }
    }

    /// That nothing goes on any more, and why.
    pub fn failed(error: impl Into<String>) -> Self {
        let status = Status { error: Some(Trouble::from(error.into())), ..Status::default() };
        Self::of(status)
    }
}

/// What a front shows: the last of everything.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Shown {
    /// What goes on.
    pub status: Status,
    /// The open trace.
    pub head: Option<Box<Head>>,
    /// Its curves.
    pub curves: Box<Curves>,
    /// The last complete picture of it.
    pub picture: Option<Box<Picture>>,
    /// Who holds the memory, as it was said last.
    pub held: Box<Holdings>,
    /// What was tried of it.
    pub tried: Box<WhatIfPicture>,
    /// What became of the memory over the run, once that is known.
    pub findings: Option<Box<Findings>>,
    /// What is compared, as it was said last.
    pub compared: Box<Compared>,
}

/// What is to be done once with what an update brings.
#[derive(Debug, Default)]
pub struct Brought {
    /// To be put on the clipboard.
    pub copied: Option<String>,
    /// To be saved: what it is called, and its text.
    pub saved: Option<(String, String)>,
    /// To be shown over the panes.
    pub still: Option<Box<Still>>,
}

impl Shown {
    /// Takes in what is new.
    pub fn take(&mut self, update: Update) -> Brought {
        let Update { status, head, curves, picture, held, tried, judged, compared, .. } = update;
        self.status = status;
        if head.is_some() {
            self.head = head;
            // What is known of another trace, or under another profile.
            *self.held = Holdings::default();
            (self.findings, *self.compared) = (None, Compared::default());
        }
        if let Some(judged) = judged {
            self.findings = judged.findings;
        }
        if let Some(compared) = compared {
            self.compared = compared;
        }
        if let Some(held) = held {
            self.held = held;
        }
        if let Some(tried) = tried {
            self.tried = tried;
        }
        if let Some(curves) = curves {
            self.curves = curves;
        }
        if picture.is_some() {
            self.picture = picture;
        }
        Brought { copied: update.copied, saved: update.saved, still: update.still }
    }

    /// The open trace with its last picture; they come together.
    pub fn open(&self) -> Option<(&Head, &Picture)> {
        Some((self.head.as_deref()?, self.picture.as_deref()?))
    }
}
