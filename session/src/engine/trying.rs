//! The part of [`Engine`] that tries what would have been: runs beside the one shown, a piece at a time, whatever the window does meanwhile.

use std::sync::Arc;
use std::time::Duration;

use sim_core::{Machine, Trace};
use web_time::Instant;

use crate::format::bytes;
use crate::run::Session;
use crate::setup::{Overrides, Setup};
use crate::view::whatif::{Bounds, CELLS_MAX, Changed, Fewer, Matrix, Trial, WhatIfOrder, WhatIfPicture};
use crate::whatif::words::{AS_IT_IS, changed};
use crate::whatif::{
    Allocator, Cell, CellError, Edit, Editor, Fewest, Figures, Grid, Matched, Packer, Row, Running, Tape,
    Verdict, leaving_out,
};

use super::Engine;

/// Operations between two looks at the clock.
const PIECE: u64 = 1 << 15;
/// Shares of a trial that are told apart.
const TOLD: f32 = 200.0;

/// What is tried, for one front.
#[derive(Default)]
pub(super) struct Trying {
    of: Option<Arc<Trace>>,
    /// What cells begin with: what the trace was opened under, whichever cell is open.
    base: Overrides,
    /// The same, when the grid was begun.
    grid_base: Overrides,
    /// What a cell was opened under.
    opened: Option<Overrides>,
    job: Option<Job>,
    /// The settings that it runs under.
    under: String,
    picture: WhatIfPicture,
    /// The last run of the trace as it is.
    known: Option<(Setup, Box<Figures>)>,
    untold: bool,
}

/// What is under way.
enum Job {
    Grid(Box<Cells>),
    Edit(Box<Editing>),
    Save(Box<Saving>),
    Ideal(Box<Packer<Arc<Trace>>>, u64),
}

/// Cells on their way, the next one last.
struct Cells {
    tape: Tape,
    left: Vec<Cell>,
    running: Option<Running>,
}

/// Changed blocks on their way.
struct Editing {
    setup: Setup,
    whole: Tape,
    edits: Vec<Edit>,
    before: Option<Running>,
    editor: Option<Editor<Arc<Trace>>>,
    matched: Vec<Matched>,
    after: Option<Running>,
}

/// The search for sites on its way.
struct Saving {
    setup: Setup,
    wanted: u64,
    /// The run to the end, with the operations that are done.
    machine: Option<(Machine, u64)>,
    search: Option<Fewest>,
    tries: Vec<Vec<String>>,
    left: Vec<u64>,
    editor: Option<Editor<Arc<Trace>>>,
    running: Option<Running>,
}

impl Engine {
    /// Does what was ordered of it.
    pub(super) fn try_order(&mut self, order: WhatIfOrder) {
        let Some(session) = &self.session else { return };
        self.trying.belong_to(session);
        if let WhatIfOrder::Open(cell) = order {
            self.open_cell(&cell);
            return;
        }
        self.trying.job = None;
        self.trying.picture.trial = None;
        self.trying.picture.error = None;
        self.trying.untold = true;
        if let Err(why) = self.trying.begin(session, order, self.bytes_max) {
            self.trying.picture.error = Some(why);
        }
    }

    /// Opens the trace under a cell's settings, at the same step.
    fn open_cell(&mut self, cell: &Cell) {
        if self.taught.is_some() || self.plays() {
            self.notice(
                "Settings of a cell are for traces; leave the lesson or the playground first".to_owned(),
            );
            return;
        }
        let overrides = cell.over(&self.trying.grid_base);
        self.trying.opened = Some(overrides.clone());
        self.trying.untold = true;
        self.change_settings(&overrides, &cell.named());
    }

    /// Whether something is being tried.
    pub(super) fn tries(&self) -> bool {
        self.trying.job.is_some()
    }

    /// Stops what is being tried.
    pub(super) fn stop_trying(&mut self) {
        self.trying.untold |= self.trying.job.take().is_some();
        self.trying.picture.trial = None;
    }

    /// Goes on with it for about `slice`, where nobody waits for a way along the tape.
    pub(super) fn try_out(&mut self, slice: Duration) {
        let Some(session) = &self.session else { return };
        if session.travels() {
            return;
        }
        if self.trying.of.is_some() {
            self.trying.belong_to(session);
        }
        let begun = Instant::now();
        while self.trying.job.is_some() && begun.elapsed() < slice {
            self.trying.piece();
        }
        self.trying.show_share();
    }

    /// What was tried, where it is looked at and new.
    pub(super) fn tried(&mut self) -> Option<Box<WhatIfPicture>> {
        if !self.look.whatif || !std::mem::take(&mut self.trying.untold) {
            return None;
        }
        if let Some(session) = &self.session {
            self.trying.mark_open(session);
        }
        Some(Box::new(self.trying.picture.clone()))
    }
}

impl Trying {
    /// What cells begin with.
    pub(super) fn as_it_is(&self) -> &Overrides {
        &self.grid_base
    }

    /// Other settings are open: another cell is the current one.
    pub(super) fn tell_again(&mut self) {
        self.untold = true;
    }

    /// What was tried of another trace, or of less of it, is let go of.
    fn belong_to(&mut self, session: &Session) {
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, session.trace())) {
            *self = Self { of: Some(Arc::clone(session.trace())), untold: true, ..Self::default() };
        }
        if self.opened.as_ref() != Some(session.overrides()) {
            // Somebody chose it, and no cell did.
            self.opened = None;
            self.base.clone_from(session.overrides());
        }
    }

    fn begin(&mut self, session: &Session, order: WhatIfOrder, bytes_max: Option<u64>) -> Result<(), String> {
        let trace = session.trace();
        let two = trace.state_bytes() * 2;
        let edits = matches!(order, WhatIfOrder::Edit(_) | WhatIfOrder::Save(_));
        if edits && bytes_max.is_some_and(|max| two >= max) {
            return Err(format!(
                "two traces take more than is safe here ({}); ask the desktop program, or `arenascope whatif`",
                bytes(two)
            ));
        }
        if trace.is_empty() && order != WhatIfOrder::Stop {
            return Err("the trace has no operation".to_owned());
        }
        let setup = session.setup().map_err(|error| error.to_string())?;
        let settings = session.settings().into_iter().map(|(key, value)| format!(" {key}={value}"));
        self.under = setup.profile.name.clone() + &settings.collect::<String>();
        self.job = match order {
            WhatIfOrder::Stop | WhatIfOrder::Open(_) => None,
            WhatIfOrder::Grid(axes) => {
                let mut grid = Grid::default();
                axes.iter().try_for_each(|axis| grid.add(axis)).map_err(|error| error.to_string())?;
                let mut cells = grid.cells();
                if grid.axes().is_empty() {
                    return Err("choose a field and its values first".to_owned());
                }
                if cells.len() > CELLS_MAX {
                    return Err(format!(
                        "the grid has {} cells, and a window shows {CELLS_MAX}; leave values out, or run `arenascope whatif`",
                        cells.len()
                    ));
                }
                let profile =
                    Setup::resolve(trace, &self.base).map_err(|error| error.to_string())?.profile.name;
                self.grid_base = self.base.clone();
                self.picture.matrix = Some(Matrix {
                    axes: grid.axes().to_vec(),
                    profile,
                    base: None,
                    rows: Vec::new(),
                    verdict: Verdict::default(),
                    current: None,
                    base_is_open: false,
                });
                // The run as it is comes first, and cells are taken from the end.
                cells.insert(0, Cell::default());
                cells.reverse();
                Some(Job::Grid(Box::new(Cells { tape: Tape::of(trace), left: cells, running: None })))
            }
            WhatIfOrder::Edit(edits) => {
                if edits.is_empty() {
                    return Err("tick groups in Holders first, or write KEY=VALUE".to_owned());
                }
                let whole = Tape::of(trace);
                let editor = Editor::new(Arc::clone(trace), &edits, &setup.profile);
                let editor = Some(editor.map_err(|error| error.to_string())?);
                let known = self.known.as_ref().is_some_and(|known| known.0 == setup);
                let before = if known {
                    None
                } else {
                    Some(Running::new(&whole, &setup).map_err(|error| error.to_string())?)
                };
                let matched = Vec::new();
                self.picture.changed = None;
                Some(Job::Edit(Box::new(Editing {
                    setup,
                    whole,
                    edits,
                    before,
                    editor,
                    matched,
                    after: None,
                })))
            }
            WhatIfOrder::Save(wanted) => {
                let machine = Fewest::machine(trace, &setup).map_err(|error| error.to_string())?;
                self.picture.fewer = Some(Fewer { wanted, answer: None, sites: Vec::new(), runs: 0 });
                Some(Job::Save(Box::new(Saving {
                    setup,
                    wanted,
                    machine: Some((machine, 0)),
                    search: None,
                    tries: Vec::new(),
                    left: Vec::new(),
                    editor: None,
                    running: None,
                })))
            }
            WhatIfOrder::Ideal => {
                let packer = Packer::new(Arc::clone(trace), &setup).map_err(|error| error.to_string())?;
                self.picture.bounds = None;
                Some(Job::Ideal(Box::new(packer), setup.profile.arena_size))
            }
        };
        Ok(())
    }

    /// One piece of what is under way.
    fn piece(&mut self) {
        let (Some(trace), Some(mut job)) = (self.of.clone(), self.job.take()) else { return };
        let ended = match &mut job {
            Job::Grid(cells) => Ok(self.grid_piece(&trace, cells)),
            Job::Edit(editing) => self.edit_piece(editing),
            Job::Save(saving) => self.save_piece(&trace, saving),
            Job::Ideal(packer, arena_bytes) => self.ideal_piece(packer, *arena_bytes),
        };
        match ended {
            Ok(false) => self.job = Some(job),
            Ok(true) => self.untold = true,
            Err(why) => {
                self.picture.error = Some(why);
                self.untold = true;
            }
        }
    }

    fn grid_piece(&mut self, trace: &Trace, cells: &mut Cells) -> bool {
        let Some(cell) = cells.left.last() else { return true };
        let begun = if let Some(running) = cells.running.take() {
            Ok(running)
        } else {
            let setup = cell.setup(trace, &self.grid_base).map_err(CellError::from);
            setup.and_then(|setup| Running::new(&cells.tape, &setup))
        };
        // What cannot be is a cell with the reason.
        let result = begun.and_then(|mut running| match running.advance(PIECE) {
            None => Ok(Err(running)),
            Some(figures) => figures.map(Ok),
        });
        let result = match result {
            Ok(Err(running)) => {
                cells.running = Some(running);
                return false;
            }
            // Nobody looks at the curves of all cells.
            Ok(Ok(figures)) => Ok(Box::new(Figures { curve: Vec::new(), ..figures })),
            Err(error) => Err(error.to_string()),
        };
        if let (Some(cell), Some(matrix)) = (cells.left.pop(), &mut self.picture.matrix) {
            let row = Row { cell, result };
            match &matrix.base {
                None => matrix.base = Some(row),
                Some(base) => {
                    matrix.rows.push(row);
                    matrix.verdict = Verdict::of(base, &matrix.rows, AS_IT_IS);
                }
            }
            self.untold = true;
        }
        cells.left.is_empty()
    }

    fn edit_piece(&mut self, editing: &mut Editing) -> Result<bool, String> {
        if let Some(before) = &mut editing.before {
            if let Some(figures) = before.advance(PIECE) {
                self.known =
                    Some((editing.setup.clone(), Box::new(figures.map_err(|error| error.to_string())?)));
                editing.before = None;
            }
            return Ok(false);
        }
        if let Some(editor) = &mut editing.editor {
            if editor.advance(PIECE).map_err(|error| error.to_string())?
                && let Some(editor) = editing.editor.take()
            {
                let edited = editor.finish().map_err(|error| error.to_string())?;
                editing.matched = edited.matched;
                editing.after =
                    Some(Running::new(&edited.tape, &editing.setup).map_err(|error| error.to_string())?);
            }
            return Ok(false);
        }
        let (Some(after), Some((_, before))) = (&mut editing.after, &self.known) else { return Ok(true) };
        let Some(after) = after.advance(PIECE) else { return Ok(false) };
        let after = Box::new(after.map_err(|error| error.to_string())?);
        self.picture.changed = Some(Changed {
            sentence: changed(&editing.edits, &editing.matched, before, &after),
            edits: editing.edits.iter().cloned().zip(editing.matched.iter().copied()).collect(),
            before: before.clone(),
            after,
            stretch: editing.whole.stretch,
            under: self.under.clone(),
        });
        Ok(true)
    }

    fn save_piece(&mut self, trace: &Arc<Trace>, saving: &mut Saving) -> Result<bool, String> {
        if let Some((machine, done)) = &mut saving.machine {
            let next = trace.len().min(*done + PIECE);
            machine.run(trace, *done as usize, next as usize);
            *done = next;
            if next == trace.len() {
                let search = Fewest::at_end(trace, &saving.setup, machine, saving.wanted);
                saving.search = Some(search);
                saving.machine = None;
            }
            return Ok(false);
        }
        let Some(search) = &mut saving.search else { return Ok(true) };
        if let Some(running) = &mut saving.running {
            if let Some(figures) = running.advance(PIECE) {
                saving.left.push(figures.map_err(|error| error.to_string())?.final_bytes);
                saving.running = None;
            }
            return Ok(false);
        }
        if let Some(editor) = &mut saving.editor {
            if editor.advance(PIECE).map_err(|error| error.to_string())?
                && let Some(editor) = saving.editor.take()
            {
                let edited = editor.finish().map_err(|error| error.to_string())?;
                saving.running =
                    Some(Running::new(&edited.tape, &saving.setup).map_err(|error| error.to_string())?);
            }
            return Ok(false);
        }
        if saving.left.len() == saving.tries.len() {
            if !saving.tries.is_empty() {
                search.take(&std::mem::take(&mut saving.left));
            }
            saving.tries = search.tries();
            let ended = saving.tries.is_empty();
            self.picture.fewer = Some(Fewer {
                wanted: saving.wanted,
                answer: ended.then(|| search.answer()),
                sites: search.chosen(),
                runs: search.runs(),
            });
            self.untold = true;
            if ended {
                return Ok(true);
            }
        }
        if let Some(sites) = saving.tries.get(saving.left.len()) {
            let editor = Editor::new(Arc::clone(trace), &leaving_out(sites), &saving.setup.profile);
            saving.editor = Some(editor.map_err(|error| error.to_string())?);
        }
        Ok(false)
    }

    fn ideal_piece(&mut self, packer: &mut Packer<Arc<Trace>>, arena_bytes: u64) -> Result<bool, String> {
        let Some(ideal) = packer.advance(PIECE) else { return Ok(false) };
        let ideal = ideal.map_err(|error| error.to_string())?;
        self.picture.bounds = Some(Bounds {
            sentence: ideal.sentence(arena_bytes),
            under: self.under.clone(),
            arena_bytes,
            ideal,
        });
        Ok(true)
    }

    /// Says how far it is.
    fn show_share(&mut self) {
        let len = self.of.as_ref().map_or(1, |trace| trace.len().max(1)) as f32;
        let part = |running: &Option<Running>| running.as_ref().map_or(0.0, |of| of.done() as f32 / len);
        let trial = self.job.as_ref().map(|job| match job {
            Job::Grid(cells) => {
                let of = self.picture.matrix.as_ref().map_or(0, |matrix| matrix.cells() + 1);
                let at = of.saturating_sub(cells.left.len());
                let share = (at as f32 + part(&cells.running)) / of.max(1) as f32;
                (format!("run {} of {of}", at + 1), share)
            }
            Job::Edit(editing) => {
                let edited = editing.editor.as_ref().map_or(1.0, |editor| editor.done() as f32 / len);
                let before = if editing.before.is_some() { part(&editing.before) } else { 1.0 };
                let share = (before + edited + part(&editing.after)) / 3.0;
                ("runs before and after".to_owned(), share.min(1.0))
            }
            Job::Save(saving) => {
                let runs = saving.search.as_ref().map_or(0, Fewest::runs) + saving.left.len() as u64;
                let done = saving.left.len() as f32 + part(&saving.running).min(1.0);
                (format!("run {} without sites", runs + 1), done / saving.tries.len().max(1) as f32)
            }
            Job::Ideal(packer, _) => {
                ("packing blocks anew".to_owned(), packer.done() as f32 / packer.total().max(1) as f32)
            }
        });
        let trial = trial.map(|(what, share)| Trial { what, share: (share * TOLD).floor() / TOLD });
        if self.picture.trial != trial {
            self.picture.trial = trial;
            self.untold = true;
        }
    }

    /// Which cell is open.
    fn mark_open(&mut self, session: &Session) {
        let (Some(matrix), Ok(open)) = (&mut self.picture.matrix, session.setup()) else { return };
        let trace = session.trace();
        // What `PYTHONMALLOC` says in other words is the same.
        let of = |setup: &Setup| (Allocator::of(setup), setup.malloc.is_debug());
        let same = |setup: &Setup| setup.profile == open.profile && of(setup) == of(&open);
        let is_open = |cell: &Cell| cell.setup(trace, &self.grid_base).is_ok_and(|setup| same(&setup));
        matrix.base_is_open = is_open(&Cell::default());
        matrix.current = matrix.rows.iter().position(|row| is_open(&row.cell));
    }
}
