//! The way to an engine in a Web Worker, a new one for each file: WebAssembly's memory never shrinks, and ending a worker
//! gives all of it back.
//!
//! What is open stays until the new worker has a picture of the new file. A worker that traps, is killed or is not heard
//! of any more is replaced by another one that opens the same file and goes to the same step.

use std::time::Duration;

use app_ui::{Opened, Port};
use eframe::egui;
use js_sys::{Function, Uint8Array};
use session::find::Breakpoints;
use session::open::Source;
use session::port::server::Request;
use session::view::{Look, Status, Update};
use session::{Order, Trouble};

use crate::inbox::Files;
use crate::js_error::describe;
use crate::worker::{File, Letter, Worker};

/// An engine that owes an answer is asked whether it is there when it has been silent for this long.
const PING_SECONDS: f64 = 2.0;
/// It is given up after this long: no slice takes nearly as much.
const SILENT_SECONDS: f64 = 12.0;
/// Workers that are started for one file before it is given up.
const ATTEMPTS: u32 = 3;

/// Where an engine stood that stopped, and what it said.
#[derive(Clone)]
struct Resume {
    step: u64,
    profile: String,
    why: String,
}

/// A worker with the file it has.
struct Engine {
    worker: Worker,
    /// Nothing where it began with an order, as a link to a program is one.
    file: Option<File>,
    /// What was opened beside it.
    beside: Vec<File>,
    /// Workers that were started for this file, this one included.
    attempt: u32,
    /// Where it has to go before it can take the place of the one that stopped.
    resume: Option<Resume>,
    /// What it said of itself last.
    status: Status,
    /// Files, orders and looks that it has answered.
    answered: u64,
    /// Seconds since it was heard of, while it owes an answer.
    silent: f64,
    pinged: bool,
}

impl Engine {
    /// The next thing it said.
    fn next(&mut self) -> Option<Letter> {
        let letter = self.worker.next()?;
        self.silent = 0.0;
        self.pinged = false;
        Some(letter)
    }

    /// Keeps what an update says of the engine itself.
    fn hear(&mut self, update: &Update) {
        self.worker.ask(&Request::Taken);
        self.status = update.status.clone();
        self.answered = update.answered;
    }

    /// Whether it was asked something that it has not answered.
    fn owes(&self) -> bool {
        self.answered < self.worker.asked()
    }

    /// `seconds` in which it was not heard of. Says whether it is to be given up.
    fn wait(&mut self, seconds: f64) -> bool {
        self.silent += seconds;
        if self.silent > PING_SECONDS && !self.pinged {
            self.pinged = true;
            self.worker.ping();
        }
        self.silent > SILENT_SECONDS
    }
}

/// The port.
pub(crate) struct Workers {
    ctx: egui::Context,
    /// The page's function that makes a worker and has it load the engine.
    launch: Function,
    files: Files,
    /// The one whose pictures are shown.
    shown: Option<Engine>,
    /// The one that opens the next file.
    coming: Option<Engine>,
    /// One without a file, that has loaded the engine: the next file need not wait for that.
    spare: Option<Worker>,
    look: Look,
    /// Breakpoints to begin with, from before there was an engine.
    breakpoints: Vec<(String, Breakpoints)>,
    /// Step and profile that the shown engine stands at.
    stands: (u64, String),
    /// What went wrong here and not in an engine.
    error: Option<Trouble>,
    /// Whether there is something to tell that no engine says.
    news: bool,
    /// When it was last looked whether engines answer, by the window's clock.
    then: f64,
}

impl Workers {
    /// Without any engine yet.
    pub(crate) fn new(ctx: egui::Context, launch: Function, files: Files) -> Self {
        Self {
            ctx,
            launch,
            files,
            shown: None,
            coming: None,
            spare: None,
            look: Look::default(),
            breakpoints: Vec::new(),
            stands: (0, String::new()),
            error: None,
            news: false,
            then: 0.0,
        }
    }

    /// Starts a worker on a file, in place of one that was about to come.
    fn start(&mut self, file: File, attempt: u32, resume: Option<Resume>) {
        self.news = true;
        self.coming = self.engine(Some(file), attempt, resume);
    }

    /// Gives a file to the worker whose trace it is to stand beside: the one that comes, else the one shown.
    fn put_beside(&mut self, file: File) {
        if let Some(engine) = self.coming.as_mut().or(self.shown.as_mut()) {
            engine.worker.open(&file, true);
            engine.beside.push(file);
        }
    }

    /// Starts a worker that has no file, for an order to begin with.
    fn begin(&mut self, order: Order) {
        self.shown = self.engine(None, 1, None);
        if let Some(shown) = &self.shown {
            shown.worker.ask(&Request::Order(order));
        }
    }

    /// A worker that knows what is looked at and opens the file, if there is one; where a browser has none, that is said.
    fn engine(&mut self, file: Option<File>, attempt: u32, resume: Option<Resume>) -> Option<Engine> {
        // A spare one that has said something has failed, and another one will say why.
        let spare = self.spare.take().filter(|worker| worker.next().is_none());
        match spare.map_or_else(|| Worker::launch(&self.launch, &self.ctx), Ok) {
            Ok(worker) => {
                worker.ask(&Request::Look(Box::new(self.look.clone())));
                worker.ask(&Request::Order(Order::Restore(self.breakpoints.clone())));
                if let Some(file) = &file {
                    worker.open(file, false);
                }
                let status = Status::default();
                Some(Engine {
                    worker,
                    file,
                    beside: Vec::new(),
                    attempt,
                    resume,
                    status,
                    answered: 0,
                    silent: 0.0,
                    pinged: false,
                })
            }
            Err(error) => {
                self.error = Some(Trouble::from(format!(
                    "This browser starts no Web Worker, and the engine runs in one ({}): allow workers for this page, or use the \
                     desktop program",
                    describe(&error)
                )));
                None
            }
        }
    }

    /// Another worker in place of one that stopped, unless too many did.
    fn again(&mut self, engine: Engine, resume: Option<Resume>, why: &str) {
        let Engine { file, beside, attempt, .. } = engine;
        let Some(file) = file else {
            self.news = true;
            self.error = Some(Trouble::from(format!(
                "The engine stopped: {why}. Nothing was sent anywhere; load the page again to begin anew"
            )));
            return;
        };
        if attempt < ATTEMPTS {
            self.start(file, attempt + 1, resume);
            // What may have been too much for it is left out in the end.
            let beside = if attempt + 1 < ATTEMPTS { beside } else { Vec::new() };
            for file in beside {
                self.put_beside(file);
            }
        } else {
            self.news = true;
            self.error = Some(Trouble::from(format!(
                "The engine stopped {ATTEMPTS} times on this file, and is given up: {why}. Nothing was sent anywhere; load the \
                 page again to go on with another file"
            )));
        }
    }

    /// The shown engine stopped: its last picture stays up, and another worker goes to where it stood.
    fn revive(&mut self, why: &str) {
        let Some(engine) = self.shown.take() else { return };
        if self.coming.is_some() {
            // Another file is on its way anyway.
            self.news = true;
            return;
        }
        let (step, profile) = self.stands.clone();
        let resume = Resume { step, profile, why: why.to_owned() };
        self.again(engine, Some(resume), why);
    }

    /// The status to be shown: that of the shown engine, with what the one is at that comes.
    fn status(&self) -> Status {
        let mut status = self.shown.as_ref().map(|shown| shown.status.clone()).unwrap_or_default();
        if let Some(coming) = &self.coming {
            status.busy = true;
            status.opening.clone_from(&coming.status.opening);
        }
        if self.shown.is_none() {
            status.finding.kept.clone_from(&self.breakpoints);
        }
        if self.error.is_some() {
            status.error.clone_from(&self.error);
        }
        status
    }

    /// What the shown engine has said.
    fn hear_shown(&mut self) -> Option<Update> {
        loop {
            let shown = self.shown.as_mut()?;
            match shown.next()? {
                Letter::Pong => {}
                Letter::Failed(why) => self.revive(&why),
                Letter::Update(update) => {
                    shown.hear(&update);
                    self.note(&update);
                    return Some(Update { status: self.status(), ..*update });
                }
            }
        }
    }

    /// What the engine has said that opens a file.
    fn hear_coming(&mut self) -> Option<Update> {
        loop {
            let coming = self.coming.as_mut()?;
            match coming.next()? {
                Letter::Pong => {}
                Letter::Failed(why) => {
                    if let Some(engine) = self.coming.take() {
                        let resume = engine.resume.clone();
                        self.again(engine, resume, &why);
                    }
                    return None;
                }
                Letter::Update(update) => {
                    coming.hear(&update);
                    if let (Some(head), Some(resume)) = (&update.head, &coming.resume) {
                        // Open again: now to where it stood.
                        if head.profile.name != resume.profile {
                            coming.worker.ask(&Request::Order(Order::Profile(resume.profile.clone())));
                        }
                        coming.worker.ask(&Request::Order(Order::Seek(resume.step)));
                    }
                    let step = update.picture.as_ref().map(|picture| picture.step);
                    let there = match &coming.resume {
                        Some(resume) => step == Some(resume.step),
                        None => step.is_some(),
                    };
                    if there {
                        return Some(self.change_over(*update));
                    }
                    let status = &coming.status;
                    if status.opening.is_none() && (status.error.is_some() || update.still.is_some()) {
                        // No trace: what is open stays.
                        self.error.clone_from(&status.error);
                        self.coming = None;
                    }
                    let Update { copied, saved, still, .. } = *update;
                    let status = self.status();
                    return Some(Update { copied, saved, still, ..Update::of(status) });
                }
            }
        }
    }

    /// The engine that was coming takes the place of the shown one.
    fn change_over(&mut self, update: Update) -> Update {
        let speed = self.shown.as_ref().and_then(|old| Some(old.status.travel.as_ref()?.speed));
        self.shown = self.coming.take();
        self.error = None;
        if let Some(shown) = &mut self.shown {
            if let Some(speed) = speed {
                shown.worker.ask(&Request::Order(Order::Speed(speed)));
            }
            if let Some(Resume { step, why, .. }) = shown.resume.take() {
                self.error = Some(Trouble::from(format!(
                    "The engine stopped and was started again at step {step}; nothing was lost. It said: {}",
                    why.lines().collect::<Vec<_>>().join(" ")
                )));
            }
        }
        self.note(&update);
        Update { status: self.status(), ..update }
    }

    /// Remembers where the shown engine stands.
    fn note(&mut self, update: &Update) {
        if let Some(head) = &update.head {
            self.stands.1.clone_from(&head.profile.name);
        }
        if let Some(picture) = &update.picture {
            self.stands.0 = picture.step;
        }
        self.breakpoints.clone_from(&update.status.finding.kept);
    }
}

/// Whether an order makes something of nothing.
fn begins(order: &Order) -> bool {
    matches!(order, Order::Take(_) | Order::Practise { .. } | Order::Fork)
}

impl Port for Workers {
    fn open(&mut self, opened: Opened) {
        let file = match opened.source {
            Source::Shell(number) => self.files.get(number).map(File::Browser),
            Source::Bytes(bytes) => Some(File::Bytes(opened.name, Uint8Array::from(&*bytes))),
            // The page hands over no readers and no pipes.
            Source::Reader(_) | Source::Feed(_) => None,
        };
        self.error = None;
        let beside = opened.beside && (self.shown.is_some() || self.coming.is_some());
        if !beside {
            self.coming = None;
        }
        match file {
            Some(file) if beside => self.put_beside(file),
            Some(file) => self.start(file, 1, None),
            None => {
                self.error =
                    Some(Trouble::from("the file is not there any more; choose it again".to_owned()));
            }
        }
        self.news = true;
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Cancel if self.coming.is_some() => {
                self.coming = None;
                self.news = true;
                return;
            }
            Order::DismissError if self.error.is_some() => {
                self.error = None;
                self.news = true;
            }
            Order::CloseBeside(number) => {
                if let Some(shown) = &mut self.shown
                    && (1..=shown.beside.len()).contains(&(number as usize))
                {
                    shown.beside.remove(number as usize - 1);
                }
            }
            Order::Restore(ref breakpoints) => self.breakpoints.clone_from(breakpoints),
            _ => {}
        }
        match &self.shown {
            Some(shown) => shown.worker.ask(&Request::Order(order)),
            // Without an engine there is nothing to be ordered, which is an answer too; but an order may be to begin with a
            // program or a question.
            None if self.coming.is_none() && begins(&order) => self.begin(order),
            None => self.news = true,
        }
    }

    fn look(&mut self, look: Look) -> bool {
        let new = self.look != look;
        if new {
            for engine in self.shown.iter().chain(&self.coming) {
                engine.worker.ask(&Request::Look(Box::new(look.clone())));
            }
            self.look = look;
            self.news |= self.shown.is_none();
        }
        new
    }

    fn work(&mut self, _seconds: f64, _slice: Duration) -> bool {
        // A window that slept has not waited for its engine.
        let now = self.ctx.input(|i| i.time);
        let seconds = (now - self.then).min(1.5);
        self.then = now;
        let owes = self.shown.as_ref().is_some_and(|shown| shown.owes() || shown.status.busy);
        if owes && self.shown.as_mut().is_some_and(|shown| shown.wait(seconds)) {
            self.revive("it did not answer any more");
        }
        if self.coming.as_mut().is_some_and(|coming| coming.wait(seconds))
            && let Some(engine) = self.coming.take()
        {
            let resume = engine.resume.clone();
            self.again(engine, resume, "it did not answer any more");
        }
        if owes || self.coming.is_some() {
            self.ctx.request_repaint_after(Duration::from_secs(1));
        } else if self.shown.is_some() && self.spare.is_none() {
            // Nothing goes on, so that nobody waits for this.
            self.spare = Worker::launch(&self.launch, &self.ctx).ok();
        }
        false
    }

    fn owes(&self) -> bool {
        self.news || self.shown.as_ref().is_some_and(Engine::owes)
    }

    fn update(&mut self) -> Option<Update> {
        let update = self.hear_coming().or_else(|| self.hear_shown());
        if update.is_some() {
            self.news = false;
            return update;
        }
        std::mem::take(&mut self.news).then(|| Update::of(self.status()))
    }
}
