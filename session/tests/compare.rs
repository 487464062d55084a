//! What became of a run, and two moments beside each other, as a front sees them: equal to what the diagnosis says, a slice at a time.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use session::diagnosis::compare::{Comparison, Side};
use session::diagnosis::sentence::To;
use session::diagnosis::verdict::{self, Word};
use session::diagnosis::{Inquiry, Key, Placed, Rule, SharedLayout, Surveyor};
use session::view::compare::{CompareLook, Compared, SideLook};
use session::view::findings::Surveying;
use session::view::holders::HoldersLook;
use session::view::{Look, Shown};
use session::whatif::{Cell, Grid};
use session::{At, Engine, Opened, Order, Overrides, Place, Setup};
use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::tape::StackId;
use sim_core::{Addr, Call, Domain, Machine, Op, Profile, Trace, TraceBuilder};

/// A burst of `many` blocks of which each `every`th stays. With addresses: where the model puts them, but each tenth block elsewhere.
fn planted(name: &str, many: u64, every: u64) -> Trace {
    let mut calls = Vec::new();
    for id in 1..=many {
        let site = if id % every == 0 { "cache.py:7" } else { "burst.py:3" };
        calls.push((Call::Malloc { id, size: 200 }, Some(site)));
    }
    let burst = (1..=many).filter(|id| id % every != 0);
    calls.extend(burst.map(|id| (Call::Free { id }, None)));
    let op = |call: &Call| Op { thread: 0, domain: Domain::Obj, call: *call };
    let mut plain = TraceBuilder::new("plain");
    for (call, _) in &calls {
        plain.push(op(call)).unwrap();
    }
    let plain = plain.finish();
    let mut machine = Machine::for_trace(&Profile::default(), &plain, None).unwrap();
    let mut tape = TraceBuilder::new(name);
    for (index, (call, site)) in calls.iter().enumerate() {
        let pointer = machine.step(&plain, index, &mut ());
        let address = match SimArenas::target(pointer) {
            Target::Block(block) => {
                let own = machine.pymalloc().memory().block_addr(block).0;
                // Far further up, a place further on in its pool.
                let elsewhere = index % 10 == 0 || (index + 1) % 4000 == 0;
                Some(Addr(own + if elsewhere { (2 << 30) + 208 } else { 0 }))
            }
            _ => None,
        };
        let stack = site.map_or(StackId(0), |site| tape.stack(&[site.parse().unwrap()]));
        tape.push_recorded(op(call), stack, address).unwrap();
    }
    tape.finish()
}

fn packed(trace: &Trace) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = trace_io::atrace_writer(&mut bytes, trace_io::atrace::FileProfile::Capture);
    writer.write(trace).unwrap();
    writer.finish(trace).unwrap();
    bytes
}

struct Front {
    engine: Engine,
    shown: Shown,
    copied: Option<String>,
}

impl Front {
    fn new(trace: &Trace) -> Self {
        let mut front = Self { engine: Engine::new(None), shown: Shown::default(), copied: None };
        front.engine.open(Opened::bytes("first.atrace", packed(trace)));
        front.settle();
        front
    }

    fn turn(&mut self, slice: Duration) {
        self.engine.work(0.01, slice);
        while let Some(update) = self.engine.update(true) {
            let brought = self.shown.take(update);
            self.copied = brought.copied.or(self.copied.take());
        }
    }

    fn settle(&mut self) {
        for _ in 0..50_000 {
            self.turn(Duration::from_millis(5));
            if !self.engine.busy() {
                return;
            }
        }
        panic!("never comes to rest");
    }

    fn look(&mut self, look: Look) {
        self.engine.look(look);
        self.settle();
    }

    fn compare(&mut self, a: SideLook, b: SideLook, key: Option<Key>) -> Compared {
        let compare = Some(CompareLook { a, b, key, rows: 0..1000 });
        self.look(Look { compare, ..Look::default() });
        (*self.shown.compared).clone()
    }

    fn order(&mut self, order: Order) {
        self.engine.order(order);
        self.settle();
    }
}

fn side(trace: u32, profile: Option<&str>, at: At) -> SideLook {
    SideLook { trace, profile: profile.map(str::to_owned), cell: Cell::default(), at }
}

/// A side as the command line makes it.
fn plain(trace: &Trace, overrides: &Overrides, step: u64, placed: Placed, key: Key) -> Side {
    let setup = Setup::resolve(trace, overrides).unwrap();
    let mut machine = setup.machine(trace).unwrap();
    machine.run(trace, 0, step as usize);
    let mut inquiry = Inquiry::new(Arc::new(trace.clone()), setup);
    let census = inquiry.census(&machine, step, placed);
    assert_eq!(census.placed, placed);
    let holders = inquiry.holders(&census, key, Rule::Sole);
    Side::of(&inquiry, &machine, &census, holders)
}

/// The verdict as the command line finds it.
fn judged(trace: &Trace, placed: Placed) -> verdict::Verdict {
    let setup = Setup::resolve(trace, &Overrides::default()).unwrap();
    let mut surveyor = Surveyor::on(Arc::new(trace.clone()), setup, placed, SharedLayout::default()).unwrap();
    while !surveyor.advance() {}
    let found = surveyor.finish();
    verdict::of_run(&found.survey, &found.doubts)
}

#[test]
fn the_verdict_of_either_heap_is_what_the_diagnosis_finds_and_moves_with_the_badge() {
    let trace = planted("t", 40_000, 2000);
    let mut front = Front::new(&trace);
    assert_eq!(front.shown.findings, None, "nobody asked");
    let findings = Look { findings: true, ..Look::default() };
    for placed in [Placed::Model, Placed::Recorded, Placed::Model] {
        front.look(Look {
            placed: Some(placed),
            holders: Some(HoldersLook { rows: 0..9, ..HoldersLook::default() }),
            waterfall: true,
            ..findings.clone()
        });
        let found = front.shown.findings.clone().unwrap();
        assert_eq!((found.placed, found.operations), (placed, trace.len()));
        assert_eq!(found.verdict, judged(&trace, placed));
        // One choice for all panes.
        assert_eq!(front.shown.held.holders.as_ref().unwrap().placed, placed);
        assert_eq!(front.shown.held.waterfall.as_ref().unwrap().placed, placed);
        assert_eq!(front.shown.picture.as_ref().unwrap().placed, placed);
    }
    let (model, recorded) = (judged(&trace, Placed::Model), judged(&trace, Placed::Recorded));
    assert_eq!(model.word, Word::Pinned);
    assert_ne!(model.says, recorded.says, "others hold it");
    assert!(
        model.doubts[0].contains("the model puts 90 %") && !recorded.doubts[0].contains("the model puts")
    );
}

#[test]
fn the_figures_of_the_recorded_heap_are_those_of_its_census() {
    let trace = planted("t", 30_000, 700);
    let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
    let mut surveyor =
        Surveyor::on(Arc::new(trace.clone()), setup.clone(), Placed::Recorded, SharedLayout::default())
            .unwrap();
    while !surveyor.advance() {}
    let found = surveyor.finish();
    let mut inquiry = Inquiry::new(Arc::new(trace.clone()), setup.clone());
    let machine = setup.machine(&trace).unwrap();
    let mut most = 0;
    for point in &found.survey.points {
        let census = inquiry.census(&machine, point.step, Placed::Recorded);
        let counted = (census.regions.len() as u64, census.held_bytes(), census.used_bytes());
        assert_eq!((point.arenas, point.held_bytes, point.block_bytes), counted, "{}", point.step);
        most = most.max(point.arenas);
    }
    assert!(found.survey.arenas_highwater >= most && found.survey.arenas_obtained >= most && most > 2);
}

#[test]
fn numbers_of_the_verdict_lead_to_a_step_a_row_and_an_arena() {
    let trace = planted("t", 40_000, 8000);
    let mut front = Front::new(&trace);
    front.look(Look { findings: true, ..Look::default() });
    let verdict = front.shown.findings.clone().unwrap().verdict;
    let links: Vec<_> = verdict.evidence.iter().flat_map(|evidence| &evidence.said.links).collect();
    assert!(links.iter().all(|(range, _)| range.start < range.end));
    let row = links.iter().find_map(|(_, lead)| match &lead.to {
        To::Holders { name: Some(name), .. } => Some((lead.step, name.clone())),
        _ => None,
    });
    assert_eq!(row, Some((trace.len(), "cache.py:7".to_owned())));
    let arena = links.iter().find_map(|(_, lead)| match lead.to {
        To::Arena(base) => Some((lead.step, base)),
        _ => None,
    });
    let (step, base) = arena.unwrap();
    // From afar, in small slices: it is stayed with once its step is there.
    front.order(Order::Seek(1));
    front.engine.order(Order::ShowArena(step, base));
    while front.engine.busy() {
        front.turn(Duration::ZERO);
    }
    let picture = front.shown.picture.as_ref().unwrap();
    let Some(Place::Arena(id)) = picture.selection.pinned else { panic!("{:?}", picture.selection) };
    assert_eq!(picture.step, step);
    assert_eq!(front.engine.session().unwrap().heap().arena_of(base), Some(id));
    front.order(Order::ShowArena(step, Addr(16)));
    let notice = front.shown.status.travel.as_ref().unwrap().notice.clone();
    assert!(notice.unwrap().starts_with("No arena begins at"));
}

#[test]
fn judging_can_be_stopped_and_gone_on_with() {
    let mut front = Front::new(&planted("t", 40_000, 2000));
    front.engine.look(Look { findings: true, ..Look::default() });
    let mut shares = Vec::new();
    for turn in 0..40 {
        front.turn(Duration::ZERO);
        let Surveying::Runs(name, done, all) = front.shown.status.surveying.clone() else {
            panic!("{:?} in turn {turn}", front.shown.status.surveying)
        };
        assert_eq!(name, "t");
        shares.push(done as f64 / all as f64);
    }
    assert!(shares.is_sorted() && shares[39] > shares[1] && shares[39] < 0.5, "{shares:?}");
    front.order(Order::Cancel);
    assert_eq!((&front.shown.findings, &front.shown.status.surveying), (&None, &Surveying::Stopped));
    front.engine.order(Order::Judge);
    front.turn(Duration::ZERO);
    let Surveying::Runs(_, done, all) = front.shown.status.surveying else { panic!("it goes on") };
    assert!(done as f64 / all as f64 >= shares[39], "from where it was");
    front.settle();
    assert!(front.shown.findings.is_some() && front.shown.status.surveying == Surveying::Nothing);
}

#[test]
fn two_moments_two_builds_and_two_traces_are_what_the_diagnosis_says_beside_each_other() {
    let (trace, other) = (planted("t", 30_000, 1000), planted("u", 20_000, 100));
    let (len, usual) = (trace.len(), Overrides::default());
    let mut front = Front::new(&trace);
    // Two moments, by three keys; the peak is where the burst is over.
    for key in [None, Some(Key::Class), Some(Key::Kind)] {
        let compared = front.compare(side(0, None, At::Peak), side(0, None, At::End), key);
        let picture = compared.picture.unwrap();
        let by = key.unwrap_or(Key::Site(1));
        let a = plain(&trace, &usual, 30_000, Placed::Model, by);
        let b = plain(&trace, &usual, len, Placed::Model, by);
        assert_eq!(picture.comparison, Comparison::of(&a, &b));
        assert_eq!((picture.sides[0].step, picture.sides[1].step), (30_000, len));
        assert_eq!(picture.sides[0].tiles.len(), picture.sides[0].arenas as usize);
    }
    front.order(Order::CopyCompared { as_csv: true });
    let csv = front.copied.take().unwrap();
    assert!(csv.starts_with("section,name,unit,a,b,change\nfigures,operations,count,30000,"), "{csv}");
    assert!(csv.contains("\nkind,malloc,blocks,30000,30,-29970\n"), "{csv}");
    // Two builds.
    let preset = "cpython-3.9";
    let compared = front.compare(side(0, None, At::End), side(0, Some(preset), At::End), None);
    let picture = compared.picture.unwrap();
    let a = plain(&trace, &usual, len, Placed::Model, Key::Site(1));
    let b = plain(&trace, &Overrides::preset(preset), len, Placed::Model, Key::Site(1));
    assert_eq!(picture.comparison, Comparison::of(&a, &b));
    assert_eq!(picture.sides[1].profile, preset);
    assert_ne!(compared.curves.a, compared.curves.b);
    assert!(compared.traces.len() < 2, "nothing stands beside it");
    // A cell of a grid.
    let mut grid = Grid::default();
    grid.add("arena_size=256K").unwrap();
    let cell = grid.cells().remove(0);
    let tried = SideLook { cell: cell.clone(), ..side(0, None, At::End) };
    let picture = front.compare(side(0, None, At::End), tried, None).picture.unwrap();
    let b = plain(&trace, &cell.over(&usual), len, Placed::Model, Key::Site(1));
    assert_eq!(picture.comparison, Comparison::of(&a, &b));
    assert_ne!(picture.sides[0].arenas, picture.sides[1].arenas);
    // Two traces, on both heaps.
    front.engine.open(Opened::bytes("second.atrace", packed(&other)).beside(true));
    front.settle();
    assert_eq!(front.shown.status.beside, ["u"]);
    assert_eq!(front.shown.head.as_ref().unwrap().name, "t", "what is open stays");
    for placed in [Placed::Model, Placed::Recorded] {
        let compare =
            CompareLook { a: side(0, None, At::End), b: side(1, None, At::Peak), key: None, rows: 0..1 };
        front.look(Look { compare: Some(compare), placed: Some(placed), ..Look::default() });
        let picture = front.shown.compared.picture.clone().unwrap();
        let a = plain(&trace, &usual, len, placed, Key::Site(1));
        let b = plain(&other, &usual, 20_000, placed, Key::Site(1));
        let whole = Comparison::of(&a, &b);
        assert_eq!((picture.total, &picture.comparison.groups), (2, &whole.groups[..1].to_vec()));
        assert_eq!((picture.comparison.figures, picture.comparison.classes), (whole.figures, whole.classes));
    }
}

#[test]
fn several_traces_have_a_column_each_until_they_are_closed() {
    let traces = [planted("t", 30_000, 1000), planted("u", 20_000, 100), planted("v", 9_000, 3)];
    let mut front = Front::new(&traces[0]);
    for trace in &traces[1..] {
        front.engine.open(Opened::bytes("other.atrace", packed(trace)).beside(true));
    }
    let compared = front.compare(side(0, None, At::End), side(2, None, At::End), None);
    assert_eq!(compared.traces.len(), 3);
    for (column, trace) in compared.traces.iter().zip(&traces) {
        let figures = column.figures.clone().unwrap().unwrap();
        let verdict = judged(trace, Placed::Model);
        assert_eq!((&column.name, column.operations), (&trace.head.name, trace.len()));
        assert_eq!((figures.word, figures.sure), (verdict.word, verdict.sure()));
        let mut machine = Machine::for_trace(&Profile::default(), trace, None).unwrap();
        machine.run(trace, 0, trace.len() as usize);
        let counters = machine.arena_counters();
        assert_eq!(figures.peak_arenas, counters.narenas_highwater);
        assert_eq!(figures.end_arenas, counters.narenas_currently_allocated);
    }
    let b = compared.picture.unwrap().sides[1].name.clone();
    front.order(Order::CloseBeside(1));
    assert_eq!((b.as_str(), &front.shown.status.beside[..]), ("v", &["v".to_owned()][..]));
    let problem = front.shown.compared.problem.clone();
    assert_eq!(problem.unwrap(), "the other trace was closed; open one to compare with");
    // What has no trace in it says so, and what is past the end.
    front.engine.open(Opened::bytes("notes.txt", &b"hello there"[..]).beside(true));
    front.settle();
    assert!(front.shown.status.error.as_ref().unwrap().text.starts_with("notes.txt: "));
    let compared = front.compare(side(0, None, At::End), side(1, None, At::Step(1 << 40)), None);
    assert!(compared.problem.unwrap().contains("is past the end"));
    // Another trace in the middle: nothing stands beside it any more.
    front.engine.open(Opened::bytes("u.atrace", packed(&traces[1])));
    front.settle();
    assert!(front.shown.status.beside.is_empty() && front.shown.head.as_ref().unwrap().name == "u");
}
