//! The part of [`Engine`] that puts two moments beside each other, and other traces beside the one that is open: each is read, run to
//! its step and asked, a slice at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sim_core::{Machine, Trace};
use web_time::Instant;

use crate::analysis::peak::Peaks;
use crate::at::At;
use crate::diagnosis::compare::{Comparison, Side};
use crate::diagnosis::key::Known;
use crate::diagnosis::survey::Point;
use crate::diagnosis::{Census, Inquiry, Key, Placed, Rule, SharedLayout};
use crate::open::{Loading, Opened, Outcome};
use crate::setup::{Overrides, Setup};
use crate::trouble::Trouble;
use crate::view::compare::{
    CompareLook, ComparePicture, Compared, CurvePoint, SideLook, SidePicture, SmallTile, TraceColumn,
    TraceFigures, TwoCurves, text_of,
};
use crate::whatif::Cell;

use super::Engine;
use super::surveying::{Found, Of};

/// Sides that are kept: both, and one before them, so that going back and forth costs nothing.
const KEPT: usize = 3;
/// Operations between two looks at the clock.
const PIECE: usize = 1 << 14;

/// A trace beside the open one.
struct Beside {
    trace: Arc<Trace>,
    layout: SharedLayout,
}

/// A side on its way to its step.
struct Running {
    of: Of,
    at: At,
    machine: Box<Machine>,
    done: usize,
    /// While it looks for the peak.
    peaks: Option<Box<Peaks>>,
    target: Option<u64>,
}

/// A side at its step.
struct Reached {
    of: Of,
    at: At,
    step: u64,
    machine: Box<Machine>,
    inquiry: Inquiry,
}

/// What is compared.
#[derive(Default)]
pub(super) struct Comparing {
    beside: Vec<Beside>,
    loading: VecDeque<Loading>,
    running: Option<Running>,
    reached: Vec<Reached>,
    /// Sides that cannot be reached, and why.
    failed: Vec<(Of, At, String)>,
    /// The comparison of all groups, and of what: rows are cut from it.
    known: Option<(CompareLook, Placed, Box<[SidePicture; 2]>, Comparison)>,
    told: Option<Compared>,
}

impl Comparing {
    /// Names of the traces beside, and of those on their way.
    pub(super) fn names(&self) -> Vec<String> {
        self.beside.iter().map(|beside| beside.trace.head.name.clone()).collect()
    }

    /// Whether a trace is on its way in, or waited for.
    pub(super) fn awaits(&self) -> bool {
        !self.loading.is_empty()
    }

    /// How far the side is that is run.
    pub(super) fn progress(&self) -> Option<(String, u64, u64)> {
        let running = self.running.as_ref()?;
        let end = running.target.unwrap_or(running.of.trace.len());
        Some((running.of.trace.head.name.clone(), running.done as u64, end))
    }

    /// The trace on its way in.
    pub(super) fn loading(&self) -> Option<&Loading> {
        self.loading.front()
    }

    /// Stops reading.
    pub(super) fn cancel(&mut self) {
        self.loading.clear();
    }

    /// The open trace is another one, or runs under something else.
    pub(super) fn forget_sides(&mut self) {
        (self.running, self.known) = (None, None);
        self.reached.clear();
        self.failed.clear();
    }

    fn of(&self, of: &Of, at: &At) -> Option<&Reached> {
        self.reached.iter().find(|reached| reached.of.is(of) && reached.at == *at)
    }
}

impl Engine {
    /// Begins to open a trace beside the one that is open.
    pub(super) fn open_beside(&mut self, opened: Opened) {
        match Loading::new(opened) {
            Ok(loading) => self.load_beside(loading),
            Err(error) => self.error = Some(error),
        }
        self.told.asked = true;
    }

    /// The same of what can be read already.
    pub(super) fn load_beside(&mut self, loading: Loading) {
        self.told.asked = true;
        self.comparing.loading.push_back(loading);
    }

    /// Frees a trace beside the open one, by its number from 1 on.
    pub(super) fn close_beside(&mut self, number: u32) {
        let at = (number as usize).wrapping_sub(1);
        if at < self.comparing.beside.len() {
            self.comparing.beside.remove(at);
            self.comparing.forget_sides();
            let traces: Vec<Arc<Trace>> = self.traces().map(|(trace, _)| Arc::clone(trace)).collect();
            self.surveys.keep(&traces);
        }
    }

    /// Frees all of them: what they were beside of is open no more.
    pub(super) fn forget_beside(&mut self) {
        self.comparing.beside.clear();
        self.comparing.forget_sides();
        let own: Vec<Arc<Trace>> = self.session.iter().map(|session| Arc::clone(session.trace())).collect();
        self.surveys.keep(&own);
    }

    fn traces(&self) -> impl Iterator<Item = (&Arc<Trace>, &SharedLayout)> {
        let own = self.session.iter().map(|session| (session.trace(), self.placing.layout()));
        own.chain(self.comparing.beside.iter().map(|beside| (&beside.trace, &beside.layout)))
    }

    /// Whether a trace is to be read, or a side to be run.
    pub(super) fn compares(&self) -> bool {
        let reads = self.loading.is_none() && self.comparing.loading.front().is_some_and(|l| !l.grows());
        reads || self.next_side().is_some()
    }

    /// Reads and runs for about `slice`.
    pub(super) fn compare(&mut self, slice: Duration) {
        if self.loading.is_none()
            && let Some(loading) = self.comparing.loading.pop_front()
        {
            self.read_beside(loading, slice);
        }
        if let Some((of, at)) = self.next_side() {
            self.run_side(of, at, slice);
        }
    }

    fn read_beside(&mut self, loading: Loading, slice: Duration) {
        let name = loading.name().to_owned();
        // What is open takes a part of the bound.
        let taken: u64 = self.traces().map(|(trace, _)| trace.state_bytes()).sum();
        let bound = self.bytes_max.map(|max| max.saturating_sub(taken));
        match loading.advance(slice, bound) {
            Outcome::Running(loading) | Outcome::Grown(loading, _) => {
                self.comparing.loading.push_front(loading);
            }
            Outcome::Done(trace) => {
                let (trace, layout) = (Arc::new(*trace), SharedLayout::default());
                self.comparing.beside.push(Beside { trace, layout });
            }
            Outcome::Failed(error) => self.error = Some(error),
            Outcome::Lesson(_) | Outcome::Puzzle(_) | Outcome::Quiz(_) | Outcome::Still(_) => {
                let why = format!("{name}: there is no trace in it to compare with; choose a recording");
                self.error = Some(Trouble::from(why));
            }
        }
        self.told.asked = true;
    }

    /// The run behind a side, or why there is none.
    fn side(&self, look: &SideLook, placed: Placed) -> Result<Of, String> {
        let session = self.session.as_ref().ok_or("no trace is open")?;
        if self.growing {
            return Err("the trace still comes; it can be compared once all of it is there".to_owned());
        }
        let (trace, layout) = self
            .traces()
            .nth(look.trace as usize)
            .ok_or("the other trace was closed; open one to compare with")?;
        let own = look.trace == 0;
        let tried = own && !look.cell.settings.is_empty();
        let as_open =
            own && !tried && look.profile.as_ref().is_none_or(|name| *name == session.profile().name);
        let setup = match &look.profile {
            _ if as_open => session.setup(),
            _ if tried => look.cell.setup(trace, self.trying.as_it_is()),
            Some(name) => Setup::resolve(trace, &Overrides::preset(name)),
            None => Setup::resolve(trace, &Overrides::default()),
        };
        let setup = setup.map_err(|error| format!("{}: {error}", trace.head.name))?;
        // Recorded addresses are those of the build that the trace is of.
        let placed = if as_open || !own && look.profile.is_none() { placed } else { Placed::Model };
        let trust = if as_open { self.own_survey().and_then(|own| own.trust) } else { None };
        let layout = if as_open || !own { layout.clone() } else { SharedLayout::default() };
        Ok(Of { trace: Arc::clone(trace), setup, placed, layout, trust })
    }

    /// Both sides on the same heap: the recorded one where both have it.
    fn sides(&self, look: &CompareLook) -> Result<[Of; 2], String> {
        let placed = self.placed();
        let sides = [self.side(&look.a, placed)?, self.side(&look.b, placed)?];
        let recorded = |of: &Of| {
            of.placed == Placed::Recorded && crate::diagnosis::Layout::is_to_be_had(&of.trace, &of.setup)
        };
        if sides.iter().all(recorded) {
            return Ok(sides);
        }
        Ok([self.side(&look.a, Placed::Model)?, self.side(&look.b, Placed::Model)?])
    }

    /// Runs over whole tapes that are wanted for curves and columns.
    pub(super) fn compared_surveys(&self) -> Vec<Of> {
        let Some(look) = &self.look.compare else { return Vec::new() };
        let sides = self.sides(look).map_or_else(|_| Vec::new(), Vec::from);
        sides.into_iter().chain(self.columns().into_iter().filter_map(Result::ok)).collect()
    }

    /// The run behind each trace's column; where there is one trace, nothing stands beside it.
    fn columns(&self) -> Vec<Result<Of, String>> {
        if self.comparing.beside.is_empty() {
            return Vec::new();
        }
        let placed = self.placed();
        let heap = |of: Of| {
            let there = crate::diagnosis::Layout::is_to_be_had(&of.trace, &of.setup);
            Of { placed: if there { of.placed } else { Placed::Model }, ..of }
        };
        let column = |trace| {
            self.side(&SideLook { trace, profile: None, cell: Cell::default(), at: At::End }, placed)
                .map(heap)
        };
        (0..=self.comparing.beside.len() as u32).map(column).collect()
    }

    /// The side that has to be run next.
    pub(super) fn next_side(&self) -> Option<(Of, At)> {
        let look = self.look.compare.as_ref()?;
        let session = self.session.as_ref()?;
        let waits = session.travels() || session.playback.playing || self.loading.is_some();
        if waits || self.surveys.stopped() {
            return None;
        }
        let sides = self.sides(look).ok()?;
        let comparing = &self.comparing;
        let failed =
            |of: &Of, at: &At| comparing.failed.iter().any(|failed| failed.0.is(of) && failed.1 == *at);
        let open = |(of, at): &(Of, At)| comparing.of(of, at).is_none() && !failed(of, at);
        let [a, b] = sides;
        [(a, look.a.at.clone()), (b, look.b.at.clone())].into_iter().find(open)
    }

    fn run_side(&mut self, of: Of, at: At, slice: Duration) {
        let comparing = &mut self.comparing;
        let running = comparing.running.take().filter(|running| running.of.is(&of) && running.at == at);
        let known_peak = self.session.as_ref().filter(|session| {
            Arc::ptr_eq(session.trace(), &of.trace) && *session.profile() == of.setup.profile
        });
        let known_peak = known_peak.and_then(|session| session.overview().peak()).map(|high| high.step);
        let begun = running.map_or_else(|| begin(&of, &at, known_peak), Ok);
        let mut running = match begun {
            Ok(running) => running,
            Err(why) => {
                comparing.failed.push((of, at, why));
                return;
            }
        };
        let clock = Instant::now();
        while !running.advance() {
            if clock.elapsed() >= slice {
                comparing.running = Some(running);
                return;
            }
        }
        let Running { of, at, machine, target, .. } = running;
        let inquiry = Inquiry::sharing(Arc::clone(&of.trace), of.setup.clone(), of.layout.clone());
        comparing.reached.truncate(KEPT - 1);
        comparing.reached.insert(0, Reached { of, at, step: target.unwrap_or(0), machine, inquiry });
    }

    /// What is compared, if it is another than the front was told.
    pub(super) fn compared(&mut self, all: bool) -> Option<Box<Compared>> {
        let look = self.look.compare.clone()?;
        let compared = self.comparison(&look);
        if self.comparing.told.as_ref() == Some(&compared) && !all {
            return None;
        }
        self.comparing.told = Some(compared.clone());
        Some(Box::new(compared))
    }

    fn comparison(&mut self, look: &CompareLook) -> Compared {
        let traces = self.trace_columns();
        let mut compared = Compared { traces, ..Compared::default() };
        let sides = match self.sides(look) {
            Ok(sides) => sides,
            Err(why) => {
                compared.problem = Some(why);
                return compared;
            }
        };
        let curve = |of: &Of| {
            let found = self.surveys.of(of).and_then(|done| done.found.as_ref().ok());
            found.map(|found| found.points.iter().map(CurvePoint::from).collect()).unwrap_or_default()
        };
        compared.curves = TwoCurves { a: curve(&sides[0]), b: curve(&sides[1]) };
        let failed = |of: &Of, at: &At| {
            let failed = self.comparing.failed.iter().find(|failed| failed.0.is(of) && failed.1 == *at);
            failed.map(|failed| failed.2.clone())
        };
        compared.problem = failed(&sides[0], &look.a.at).or_else(|| failed(&sides[1], &look.b.at));
        if compared.problem.is_none() {
            self.know(look, &sides);
        }
        // While the sides are on their way, the last comparison stays up, with what it is of.
        if let Some((of, _, sides, comparison)) = &self.comparing.known {
            let total = comparison.groups.len();
            let (first, end) = ((look.rows.start as usize).min(total), (look.rows.end as usize).min(total));
            let groups = comparison.groups.get(first..end).unwrap_or_default().to_vec();
            let comparison = Comparison {
                figures: comparison.figures.clone(),
                classes: comparison.classes.clone(),
                key: comparison.key,
                groups,
            };
            compared.picture = Some(ComparePicture {
                look: of.clone(),
                sides: sides.clone(),
                comparison,
                total: total as u32,
                first: first as u32,
            });
        }
        compared
    }

    /// Compares the sides, where both are reached and it is not known yet.
    fn know(&mut self, look: &CompareLook, sides: &[Of; 2]) {
        let of = CompareLook { rows: 0..0, ..look.clone() };
        let placed = sides[0].placed;
        if self.comparing.known.as_ref().is_some_and(|known| known.0 == of && known.1 == placed) {
            return;
        }
        let comparing = &mut self.comparing;
        let place = |side: &Of, at: &At| {
            comparing.reached.iter().position(|reached| reached.of.is(side) && reached.at == *at)
        };
        let (Some(a), Some(b)) = (place(&sides[0], &look.a.at), place(&sides[1], &look.b.at)) else { return };
        let known = sides.iter().map(|side| Known::of(&side.trace)).reduce(Known::both).unwrap_or_default();
        let key = look.key.filter(|key| known.has(*key)).unwrap_or_else(|| Key::usual_for(known));
        let (one, picture_a) = comparing.reached[a].side(key, placed);
        let (other, picture_b) = comparing.reached[b].side(key, placed);
        let comparison = Comparison::of(&one, &other);
        comparing.known = Some((of, placed, Box::new([picture_a, picture_b]), comparison));
    }

    fn trace_columns(&self) -> Vec<TraceColumn> {
        let traces = self.traces().zip(self.columns());
        let column = |((trace, _), of): ((&Arc<Trace>, _), Result<Of, String>)| {
            let done = of.as_ref().ok().and_then(|of| self.surveys.of(of));
            let figures = match (&of, done) {
                (Err(why), _) => Some(Err(why.clone())),
                (Ok(_), None) => None,
                (Ok(_), Some(done)) => {
                    Some(done.found.as_ref().map(TraceFigures::from).map_err(String::clone))
                }
            };
            TraceColumn {
                name: trace.head.name.clone(),
                profile: of.map_or_else(|_| String::new(), |of| of.setup.profile.name),
                operations: trace.len(),
                figures,
            }
        };
        traces.map(column).collect()
    }

    /// Gives all that is compared for the clipboard.
    pub(super) fn copy_compared(&mut self, as_csv: bool) {
        if let Some((.., comparison)) = &self.comparing.known {
            self.copied = Some(text_of(comparison, as_csv));
        }
    }
}

fn begin(of: &Of, at: &At, known_peak: Option<u64>) -> Result<Running, String> {
    let machine = Box::new(of.setup.machine(&of.trace).map_err(|error| error.to_string())?);
    let looks_for_peak = *at == At::Peak && known_peak.is_none();
    let resolve = || at.resolve(&of.trace, || Ok(known_peak.unwrap_or(0)));
    let target = if looks_for_peak { None } else { Some(resolve().map_err(|error| error.to_string())?) };
    let peaks = looks_for_peak.then(Box::default);
    Ok(Running { of: of.clone(), at: at.clone(), machine, done: 0, peaks, target })
}

impl Running {
    /// Runs a piece; true once the step is reached.
    fn advance(&mut self) -> bool {
        let trace = Arc::clone(&self.of.trace);
        let end = self.target.unwrap_or(trace.len()) as usize;
        let until = end.min(self.done + PIECE);
        if let Some(peaks) = &mut self.peaks {
            for index in self.done..until {
                let pointer = self.machine.step(&trace, index, &mut ());
                peaks.after(&self.machine, &trace, index, pointer);
            }
        } else {
            self.machine.run(&trace, self.done, until);
        }
        self.done = until;
        if until < end {
            return false;
        }
        let Some(peaks) = self.peaks.take() else { return true };
        // Once more, up to it.
        self.target = Some(peaks.asked().step);
        match self.of.setup.machine(&trace) {
            Ok(machine) => (*self.machine, self.done) = (machine, 0),
            // It could be made before.
            Err(_) => return true,
        }
        false
    }
}

impl Reached {
    fn side(&mut self, key: Key, placed: Placed) -> (Side, SidePicture) {
        let census = self.inquiry.census(&self.machine, self.step, placed);
        let holders = self.inquiry.holders(&census, key, Rule::Sole);
        let side = Side::of(&self.inquiry, &self.machine, &census, holders);
        let picture = SidePicture {
            name: self.of.trace.head.name.clone(),
            profile: self.of.setup.profile.name.clone(),
            step: self.step,
            operations: self.of.trace.len(),
            placed: census.placed,
            tiles: tiles(&census),
            arenas: census.regions.len() as u32,
        };
        (side, picture)
    }
}

fn tiles(census: &Census) -> Vec<SmallTile> {
    let tile = |region: &crate::diagnosis::Region| SmallTile {
        base: region.base,
        blocks: region.blocks,
        percent: (100 * region.block_bytes).checked_div(region.bytes).unwrap_or(0).min(100) as u8,
    };
    census.regions.iter().take(SidePicture::TILES).map(tile).collect()
}

impl From<&Point> for CurvePoint {
    fn from(point: &Point) -> Self {
        Self { step: point.step, held_bytes: point.held_bytes, live_bytes: point.live_bytes() }
    }
}

impl From<&Found> for TraceFigures {
    fn from(found: &Found) -> Self {
        let end = found.points.last().copied().unwrap_or_default();
        let verdict = &found.findings.verdict;
        Self {
            placed: found.findings.placed,
            word: verdict.word,
            sure: verdict.sure(),
            peak_arenas: found.arenas_highwater,
            end_arenas: end.arenas,
            peak_live_bytes: found.points.iter().map(Point::live_bytes).max().unwrap_or(0),
            live_bytes: end.live_bytes(),
            held_bytes: end.held_bytes,
        }
    }
}
