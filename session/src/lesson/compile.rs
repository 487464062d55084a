//! Runs a lesson once and works out everything that it says.

use sim_core::domains::ObjectHeap;
use sim_core::event::{MiEvent, narrate_operation};
use sim_core::report::{Placement, malloc_stats};
use sim_core::{Addr, Call, Domain, Event, Op, Trace};
use trace_io::TraceError;
use trace_io::lesson::text;
use trace_io::lesson::{Ask, Lesson, Play, Say, Show, Staged, Step, truth};
use trace_io::program::Bounds;

use super::outdated;
use super::runner::Runner;
use super::script::{Beat, Choice, Outcome, Point, Round, Script, Shown, Task};
use super::terms::faults as term_faults;
use crate::dice::Dice;
use crate::facts;
use crate::place::Place;
use crate::setup::{Overrides, Setup};

/// Sentences that explain an answer, at most.
pub(super) const SENTENCES: usize = 8;

/// A lesson's trace under a profile, and the lesson worked out. The error is one of its form; what is not true of the
/// machine stands in [`Script::faults`].
pub fn compile(lesson: &Lesson, preset: Option<&str>) -> Result<(Trace, Script), TraceError> {
    let profile = lesson.profile(preset)?;
    let Staged { expanded, at } = lesson.stage(&profile, Bounds::default())?;
    let trace = expanded.trace;
    let script = Script {
        id: lesson.id.clone(),
        number: lesson.number,
        name: lesson.name.clone(),
        goal: lesson.goal.clone(),
        source: lesson.source.clone(),
        ..Script::default()
    };
    let runner = Setup::resolve(&trace, &Overrides::default()).map_err(|error| error.to_string());
    let runner = match runner.and_then(|setup| Runner::new(&trace, &setup, &profile, 0)) {
        Ok(runner) => runner,
        Err(error) => {
            let script = Script { faults: vec![error], ..script };
            return Ok((trace, script));
        }
    };
    let mut script = script;
    script.faults = term_faults(lesson);
    let mut run = Run { runner, rounds: Vec::new(), outdated: Vec::new(), sentences: Vec::new(), script };
    run.steps(lesson, &at);
    let script = run.script;
    Ok((trace, script))
}

struct Run<'a> {
    runner: Runner<'a>,
    /// What the last piece of the program did, one by one.
    rounds: Vec<Round>,
    /// Numbers of which it was said that old articles have others.
    outdated: Vec<&'static str>,
    /// The last sentences of it.
    sentences: Vec<String>,
    script: Script,
}

/// Where a block of mimalloc's went: a page is what a pool is elsewhere, named by where its slices begin, and a segment what an arena is.
fn on_page(addr: Addr, events: &[Event]) -> Outcome {
    let block = Place::Block(addr);
    let has = |what: fn(&MiEvent) -> bool| events.iter().any(|e| matches!(e, Event::Mimalloc(e) if what(e)));
    if has(|event| matches!(event, MiEvent::SegmentObtained { .. })) {
        Outcome::NewArena(block)
    } else if has(|event| matches!(event, MiEvent::PageFresh { .. })) {
        Outcome::NewPool(block)
    } else {
        Outcome::Block(block)
    }
}

/// What waits for the next piece of the program.
enum Waiting<'a> {
    Ask(usize, &'a Ask),
    Play(usize),
}

impl Run<'_> {
    fn steps(&mut self, lesson: &Lesson, at: &[u64]) {
        let mut waiting: Vec<Waiting<'_>> = Vec::new();
        for (index, step) in lesson.steps.iter().enumerate() {
            let place = format!("step {}", index + 1);
            match step {
                Step::Run(_) => {
                    // Rounds are kept only for who plays them: a piece may have thousands of operations.
                    let plays = waiting.iter().any(|w| matches!(w, Waiting::Play(_)));
                    self.run_to(at[index], plays);
                    for waiting in waiting.drain(..) {
                        self.settle(&waiting, &place);
                    }
                }
                Step::Keep(name, formula) => match self.value(formula) {
                    Ok(value) => {
                        self.runner.kept.insert(name.clone(), value);
                    }
                    Err(why) => self.fault(&place, formula, &why),
                },
                Step::Say(say) => self.say(&place, say),
                Step::Ask(ask) => {
                    match ask.when.as_deref().map_or(Ok(true), |when| truth(when, self.runner.profile)) {
                        Ok(true) => {
                            let beat = self.ask(&place, ask);
                            if ask.now {
                                self.sentences.clear();
                                self.settle(&Waiting::Ask(beat, ask), &place);
                            } else {
                                waiting.push(Waiting::Ask(beat, ask));
                            }
                        }
                        Ok(false) => {}
                        Err(error) => self.fault(&place, "when", &error.to_string()),
                    }
                }
                Step::Play(play) => {
                    let beat = self.play(&place, play);
                    waiting.push(Waiting::Play(beat));
                }
            }
        }
        for waiting in waiting {
            self.settle(&waiting, "the end");
        }
    }

    fn fault(&mut self, place: &str, what: &str, why: &str) {
        let build = &self.runner.profile.name;
        self.script.faults.push(format!("{place}, under {build}: `{what}`: {why}"));
    }

    /// Does operations up to a step.
    fn run_to(&mut self, target: u64, plays: bool) {
        self.rounds.clear();
        self.sentences.clear();
        while self.runner.step < target {
            let index = self.runner.step;
            let Some(op) = self.runner.advance() else { break };
            let last = target - self.runner.step < SENTENCES as u64;
            if plays || last {
                let told = narrate_operation(&op, &self.runner.events, self.runner.profile);
                let told: Vec<String> = told.into_iter().map(|sentence| sentence.text).collect();
                if last {
                    self.sentences.extend(told.iter().cloned());
                }
                if plays {
                    let outcome = self.outcome(&op.call);
                    let call = self.call_text(&op, index as usize);
                    let pool = outcome.and_then(|outcome| self.pool_of(outcome));
                    self.rounds.push(Round { step: index, call, outcome, pool, because: told });
                }
            }
        }
        let surplus = self.sentences.len().saturating_sub(SENTENCES);
        self.sentences.drain(..surplus);
    }

    /// What came of an operation that a learner does.
    fn outcome(&self, call: &Call) -> Option<Outcome> {
        let id = match *call {
            Call::Malloc { id, .. } | Call::Calloc { id, .. } => id,
            Call::Realloc { newid, .. } => newid,
            Call::Free { .. } | Call::FreeKeep { .. } | Call::Act(_) => return None,
        };
        let spot = self.runner.names.get(&id).and_then(|name| self.runner.spots.get(name))?;
        Some(match spot.placement? {
            Placement::Null => Outcome::Null,
            Placement::Raw => Outcome::Raw,
            Placement::Arena { .. } if self.runner.machine.mimalloc().is_some() => {
                on_page(spot.addr, &self.runner.events)
            }
            Placement::Arena { .. } => {
                let place = facts::block_at(self.runner.machine.pymalloc(), spot.addr)
                    .map(|b| Place::Block(b.addr))?;
                if self.runner.events.iter().any(|e| matches!(e, Event::ArenaObtained { .. })) {
                    Outcome::NewArena(place)
                } else if self.runner.events.iter().any(|e| matches!(e, Event::PoolCarved { .. })) {
                    Outcome::NewPool(place)
                } else {
                    Outcome::Block(place)
                }
            }
        })
    }

    /// The pool of the block that came of an operation.
    fn pool_of(&self, outcome: Outcome) -> Option<Place> {
        match outcome {
            Outcome::Block(place) | Outcome::NewPool(place) | Outcome::NewArena(place) => {
                self.pool_around(place)
            }
            Outcome::Raw | Outcome::Null => None,
        }
    }

    /// The pool that a place lies in, or is.
    fn pool_around(&self, place: Place) -> Option<Place> {
        match place {
            Place::Block(addr) => match self.runner.machine.mimalloc() {
                Some(run) => {
                    let page = run.heap().page_around(addr)?;
                    Some(Place::Pool(run.heap().page(page).base))
                }
                None => {
                    facts::pool_at(self.runner.machine.pymalloc(), addr).map(|pool| Place::Pool(pool.addr))
                }
            },
            Place::Pool(_) => Some(place),
            Place::Arena(_) => None,
        }
    }

    /// A call in the lesson's own names, with its domain where that is not OBJ, and its thread where that is not the first.
    fn call_text(&self, op: &Op, index: usize) -> String {
        let name = |id: u64| self.runner.names.get(&id).cloned().unwrap_or_else(|| "NULL".to_owned());
        let domain = match (op.domain, self.runner.trace.object_heap(index)) {
            (Domain::Raw, _) => ", raw",
            (Domain::Mem, _) => ", mem",
            (Domain::Obj, ObjectHeap::Gc) => ", gc",
            (Domain::Obj, ObjectHeap::GcPre) => ", gc_pre",
            (Domain::Obj, ObjectHeap::Object) => "",
        };
        let domain = match op.thread {
            0 => domain.to_owned(),
            thread => format!("{domain}, thread={thread}"),
        };
        match op.call {
            Call::Malloc { id, size } => format!("{} = malloc({size}{domain})", name(id)),
            Call::Calloc { id, nelem, elsize } => {
                format!("{} = calloc({nelem}, {elsize}{domain})", name(id))
            }
            Call::Realloc { id, newid, size } => {
                format!("{} = realloc({}, {size}{domain})", name(newid), name(id))
            }
            Call::Free { id } => format!("free({}{domain})", name(id)),
            Call::FreeKeep { id } => format!("free_keep({}{domain})", name(id)),
            Call::Act(action) => crate::actions::explain(self.runner.trace, action, op.domain),
        }
    }

    fn value(&self, formula: &str) -> Result<i64, String> {
        self.runner.value(formula)
    }

    fn text(&mut self, place: &str, written: &str) -> Vec<Shown> {
        match self.runner.text(written) {
            Ok(text) => text,
            Err(why) => {
                self.fault(place, written, &why);
                Vec::new()
            }
        }
    }

    fn place(&mut self, at: &str, written: &str) -> Option<Place> {
        match self.runner.moment().place(written) {
            Ok(place) => Some(place),
            Err(why) => {
                self.fault(at, written, &why);
                None
            }
        }
    }

    /// The beginning of a line of the statistics, with its numbers; nothing where no line begins so.
    fn line(&self, written: &str) -> Option<String> {
        let words = text::words(written, &self.runner.moment()).ok()?;
        let printed = malloc_stats(&self.runner.machine);
        printed.lines().any(|line| line.trim_start().starts_with(&words)).then_some(words)
    }

    /// A line of the source that there is.
    fn source_line(&mut self, place: &str, line: Option<u32>) -> Option<u32> {
        let line = line?;
        let lines = self.script.source.as_ref().map_or(0, |source| source.text.lines().count());
        if (1..=lines).contains(&(line as usize)) {
            return Some(line);
        }
        let why = match lines {
            0 => "the lesson has no source; give it one, or leave the line out".to_owned(),
            lines => format!("the source has the lines 1 to {lines}"),
        };
        self.fault(place, &format!("line {line}"), &why);
        None
    }

    /// Freed blocks whose places a picture can still name.
    fn former(&self) -> Vec<(Addr, String)> {
        /// More names than a pool has room for on a screen.
        const MOST: usize = 256;
        let mimalloc = self.runner.machine.mimalloc().is_some();
        let gone =
            self.runner.spots.iter().filter(|(_, spot)| !spot.live && (spot.pool.is_some() || mimalloc));
        gone.take(MOST).map(|(name, spot)| (spot.addr, name.clone())).collect()
    }

    fn say(&mut self, place: &str, say: &Say) {
        let (written, claims) =
            match (say.text_under(self.runner.profile), say.claims_under(self.runner.profile)) {
                (Ok(text), Ok(claims)) => (text, claims),
                (Err(error), _) | (_, Err(error)) => {
                    self.fault(place, "variants", &error.to_string());
                    return;
                }
            };
        for claim in claims {
            self.script.claims += 1;
            match self.value(claim) {
                Ok(0) => self.fault(place, claim, "it is not true"),
                Ok(_) => {}
                Err(why) => self.fault(place, claim, &why),
            }
        }
        let varied = written != say.text;
        let text = self.text(place, written);
        let beat = self.beat(place, text, say.show, say.select.as_deref(), say.line);
        self.script.beats[beat].outdated =
            outdated::remarks(written, self.runner.profile, &mut self.outdated);
        let point = say.point.iter().filter_map(|written| {
            if let Some(field) = written.strip_prefix("field:") {
                return Some(Point::Field(field.to_owned()));
            }
            if let Some(line) = written.strip_prefix("line:") {
                let line = self.line(line);
                // What a build does not print, another text of the beat's is for.
                if line.is_none() && varied {
                    return None;
                }
                return line.map(Point::Line).or_else(|| {
                    self.fault(place, written, "no line of the statistics begins so");
                    None
                });
            }
            self.place(place, written).map(Point::Place)
        });
        let point = point.collect();
        self.script.beats[beat].point = point;
    }

    fn ask(&mut self, place: &str, ask: &Ask) -> usize {
        let text = self.text(place, &ask.text);
        self.beat(place, text, ask.show, ask.select.as_deref(), ask.line)
    }

    fn play(&mut self, place: &str, play: &Play) -> usize {
        let text = self.text(place, &play.text);
        self.beat(place, text, play.show, play.select.as_deref(), play.line)
    }

    /// Puts a beat in that points at nothing and asks nothing yet; its number.
    fn beat(
        &mut self,
        place: &str,
        text: Vec<Shown>,
        show: Show,
        select: Option<&str>,
        line: Option<u32>,
    ) -> usize {
        let select = select.and_then(|written| self.place(place, written));
        let line = self.source_line(place, line);
        let (step, former) = (self.runner.step, self.former());
        self.script.beats.push(Beat {
            step,
            text,
            show,
            select,
            point: Vec::new(),
            former,
            line,
            outdated: Vec::new(),
            task: None,
        });
        self.script.beats.len() - 1
    }

    /// Works out the key of what waited, now that it has happened.
    fn settle(&mut self, waiting: &Waiting<'_>, place: &str) {
        match waiting {
            Waiting::Play(beat) => {
                let mut rounds = self.rounds.clone();
                let shown_on = &self.script.beats[*beat];
                if shown_on.show == Show::Blocks {
                    // Of the pool whose blocks are shown, the block is wanted.
                    let shown = shown_on.select.and_then(|place| self.pool_around(place));
                    rounds.iter_mut().filter(|round| round.pool == shown).for_each(|round| round.pool = None);
                }
                if !rounds.iter().any(|round| round.outcome.is_some()) {
                    self.fault(place, "play", "there is nothing to choose in it");
                }
                self.script.beats[*beat].task = Some(Task::Play { rounds });
            }
            Waiting::Ask(beat, ask) => {
                let task = self.task(place, ask, *beat);
                self.script.beats[*beat].task = task;
            }
        }
    }

    fn task(&mut self, place: &str, ask: &Ask, beat: usize) -> Option<Task> {
        let mut because = self.text(place, &ask.because);
        if because.is_empty() {
            let words = self.sentences.join(" ");
            because = vec![Shown { piece: text::Piece::Words(words), place: None }];
        }
        self.script.claims += 1;
        if let Some(formula) = &ask.number {
            let key = match self.value(formula) {
                Ok(key) => key,
                Err(why) => {
                    self.fault(place, formula, &why);
                    return None;
                }
            };
            let mut wrong = Vec::new();
            for (formula, number) in &ask.wrong {
                match self.value(formula) {
                    Ok(value) if value == key => {}
                    Ok(value) => wrong.push((value, *number)),
                    Err(why) => self.fault(place, formula, &why),
                }
            }
            return Some(Task::Number { key, wrong, because });
        }
        if let Some(written) = &ask.click {
            let key = self.place(place, written)?;
            return Some(Task::Click { key, because });
        }
        let mut choices: Vec<(bool, Choice)> = Vec::new();
        for option in &ask.options {
            self.script.claims += 1;
            let right = match self.value(&option.is) {
                Ok(value) => value != 0,
                Err(why) => {
                    self.fault(place, &option.is, &why);
                    continue;
                }
            };
            let text = self.text(place, &option.say);
            // What cannot be told apart under this build is no second choice.
            if choices.iter().any(|(_, choice)| choice.text == text) {
                continue;
            }
            choices.push((right, Choice { text, misconception: option.m }));
        }
        match choices.iter().filter(|(right, _)| *right).count() {
            1 => {}
            right => {
                self.fault(place, &ask.text, &format!("{right} of its answers are true, and one has to be"));
                return None;
            }
        }
        // An order that tells nothing, the same each time.
        Dice::new(beat as u64 + u64::from(self.script.number) * 64).shuffle(&mut choices);
        let key = choices.iter().position(|(right, _)| *right)?;
        let choices = choices.into_iter().map(|(_, choice)| choice).collect();
        Some(Task::Choose { choices, key, because })
    }
}
