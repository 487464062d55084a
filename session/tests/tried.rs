//! What an engine tries for a window is what the command line's functions come to, and it goes on with it piece by piece.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use session::diagnosis::Choice;
use session::engine::Engine;
use session::order::Order;
use session::view::whatif::{WhatIfOrder, WhatIfPicture};
use session::view::{Look, Shown};
use session::whatif::words::AS_IT_IS;
use session::whatif::{Cell, Deed, Edit, Fewest, Grid, Row, Tape, Verdict, edit, ideal, run, without};
use session::{Opened, Overrides, Setup};
use sim_core::{Call, Domain, Op, Trace, TraceBuilder};
use trace_io::atrace::FileProfile;

/// A burst over many arenas, in each of which a log leaves a block and in some a cache.
fn burst() -> Trace {
    let mut tape = TraceBuilder::new("burst");
    let sites = ["/srv/app.py:5", "/srv/log.py:40", "/srv/cache.py:7"];
    let stacks = sites.map(|site| tape.stack(&[site.parse().unwrap()]));
    let (mut id, mut temporary) = (0, Vec::new());
    for arena in 0..12 {
        for block in 0..2000 {
            id += 1;
            let site = match (block, arena % 3) {
                (700, _) => 1,
                (900..=903, 0) => 2,
                _ => 0,
            };
            if site == 0 {
                temporary.push(id);
            }
            let op = Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 500 } };
            tape.push_recorded(op, stacks[site], None).unwrap();
        }
    }
    for id in temporary {
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Free { id } };
        tape.push_recorded(op, stacks[0], None).unwrap();
    }
    tape.finish()
}

struct Window {
    engine: Engine,
    shown: Shown,
    trace: Arc<Trace>,
}

impl Window {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(bytes_max: Option<u64>) -> Self {
        let trace = burst();
        let mut bytes = Vec::new();
        let mut writer = trace_io::atrace_writer(&mut bytes, FileProfile::Capture);
        writer.write(&trace).unwrap();
        writer.finish(&trace).unwrap();
        let mut engine = Engine::new(bytes_max);
        engine.look(Look { whatif: true, ..Look::default() });
        engine.open(Opened::bytes("burst.atrace", bytes));
        let mut window = Self { engine, shown: Shown::default(), trace: Arc::new(trace) };
        window.rest();
        window
    }

    /// Works until nothing goes on; how often something was told of it.
    fn rest(&mut self) -> usize {
        let mut told = 0;
        for _ in 0..1_000_000 {
            self.engine.work(0.01, Duration::from_micros(200));
            while let Some(update) = self.engine.update(true) {
                told += usize::from(update.tried.is_some());
                self.shown.take(update);
            }
            if !self.engine.busy() {
                return told;
            }
        }
        panic!("never comes to rest");
    }

    fn order(&mut self, order: WhatIfOrder) -> &WhatIfPicture {
        self.engine.order(Order::WhatIf(order));
        self.rest();
        &self.shown.tried
    }

    fn setup(&self) -> Setup {
        self.engine.session().unwrap().setup().unwrap()
    }
}

#[test]
fn a_grid_has_the_rows_of_the_command_line_and_a_cell_opens_at_the_same_step() {
    let mut window = Window::new();
    window.engine.order(Order::Seek(24_100));
    window.rest();
    let axes = ["arena_size=256K,1M,3M,4M".to_owned(), "malloc=pymalloc,mimalloc".to_owned()];
    let picture = window.order(WhatIfOrder::Grid(axes.to_vec())).clone();
    let matrix = picture.matrix.as_ref().unwrap();
    let mut grid = Grid::default();
    for axis in &axes {
        grid.add(axis).unwrap();
    }
    let (tape, overrides) = (Tape::of(&window.trace), Overrides::default());
    let row = |cell: &Cell| {
        let setup = cell.setup(&window.trace, &overrides).map_err(|error| error.to_string());
        let result = setup.map(|setup| {
            let mut figures = run(&tape, &setup, &mut |_| ControlFlow::Continue(())).unwrap();
            figures.curve.clear();
            Box::new(figures)
        });
        Row { cell: cell.clone(), result }
    };
    let rows: Vec<Row> = grid.cells().iter().map(row).collect();
    let base = row(&Cell::default());
    assert_eq!(matrix.rows.len(), 8);
    for (told, ours) in matrix.rows.iter().zip(&rows) {
        match (&told.result, &ours.result) {
            (Err(told), Err(_)) => assert!(!told.is_empty()),
            (told, ours) => assert_eq!(told, ours),
        }
    }
    assert!(rows[4].result.is_err(), "3M is no power of two");
    assert_eq!((matrix.base.as_ref(), &matrix.verdict), (Some(&base), &Verdict::of(&base, &rows, AS_IT_IS)));
    assert_eq!((matrix.base_is_open, matrix.current), (true, Some(2)), "1M is what it has");
    assert_eq!((picture.trial, picture.error), (None, None));

    let cell = matrix.rows[0].cell.clone();
    let matrix = window.order(WhatIfOrder::Open(cell)).matrix.clone().unwrap();
    assert_eq!((matrix.base_is_open, matrix.current), (false, Some(0)));
    let session = window.engine.session().unwrap();
    assert_eq!((session.step(), session.profile().arena_size), (24_100, 256 << 10));
    // A new grid begins with the run as it is, whichever cell is open.
    let matrix = window.order(WhatIfOrder::Grid(vec!["pool_size=4K".to_owned()])).matrix.clone().unwrap();
    assert_eq!(matrix.base.as_ref(), Some(&base));
    // And the profile that is chosen by its name is without a cell's settings.
    let name = window.setup().profile.name;
    window.engine.order(Order::Profile(name));
    window.rest();
    assert_eq!(window.setup().profile.arena_size, 1 << 20);
}

#[test]
fn changed_blocks_fewest_sites_and_bounds_are_those_of_the_command_line() {
    let mut window = Window::new();
    let (trace, setup) = (Arc::clone(&window.trace), window.setup());
    let go_on = &mut |_| ControlFlow::Continue(());
    for deed in [Deed::Without, Deed::Raw, Deed::Apart, Deed::Before(10), Deed::FreeAt(24_000)] {
        let edits = vec![Edit { deed, want: "site=log.py:40".parse::<Choice>().unwrap() }];
        let picture = window.order(WhatIfOrder::Edit(edits.clone()));
        assert_eq!(picture.error, None);
        let changed = picture.changed.as_ref().unwrap();
        let edited = edit(&trace, &edits, &setup.profile).unwrap();
        assert_eq!(*changed.before, run(&Tape::of(&trace), &setup, go_on).unwrap());
        assert_eq!(*changed.after, run(&edited.tape, &setup, go_on).unwrap());
        assert_eq!(changed.edits[0].1, edited.matched[0]);
        assert!(changed.sentence.ends_with("if the program does the same otherwise"), "{}", changed.sentence);
        assert!(changed.before.curve.len() > 500 && changed.before.curve.len() == changed.after.curve.len());
    }
    // Of many changes a few are named.
    let edits = [
        (Deed::Without, "site=log.py:40"),
        (Deed::Without, "site=cache.py:7"),
        (Deed::FreeAt(12_000), "site=app.py:5"),
        (Deed::FreeAt(13_000), "site=app.py:5"),
    ];
    let edits = edits.map(|(deed, want)| Edit { deed, want: want.parse().unwrap() });
    let picture = window.order(WhatIfOrder::Edit(edits.to_vec()));
    let sentence = picture.changed.as_ref().unwrap().sentence.clone();
    assert!(sentence.contains(" freed at step 12,000, and 1 more change it holds "), "{sentence}");
    let wanted = 4 << 20;
    let fewer = window.order(WhatIfOrder::Save(wanted)).fewer.clone().unwrap();
    let mut search = Fewest::new(&trace, &setup, wanted).unwrap();
    loop {
        let tries = search.tries();
        if tries.is_empty() {
            break;
        }
        let left: Vec<u64> = tries.iter().map(|sites| without(&trace, &setup, sites).unwrap()).collect();
        search.take(&left);
    }
    assert_eq!((fewer.answer, fewer.sites), (Some(search.answer()), search.chosen()));
    assert!(search.reached() && fewer.runs == search.runs());
    let bounds = window.order(WhatIfOrder::Ideal).bounds.clone().unwrap();
    let ours = ideal(&trace, &setup, go_on).unwrap();
    assert_eq!((bounds.ideal, bounds.sentence), (ours, ours.sentence(1 << 20)));
}

#[test]
fn what_cannot_be_says_why_and_what_goes_on_can_be_stopped() {
    let mut window = Window::new();
    let error = |window: &mut Window, order| window.order(order).error.clone().unwrap();
    let grid = |axis: &str| WhatIfOrder::Grid(vec![axis.to_owned()]);
    assert!(error(&mut window, grid("arena=1M")).contains("a profile has no field `arena`"));
    assert!(error(&mut window, WhatIfOrder::Grid(Vec::new())).contains("choose a field"));
    let many: Vec<String> = (1..=1001).map(|n| n.to_string()).collect();
    assert!(error(&mut window, grid(&format!("arena_limit={}", many.join(",")))).contains("1001 cells"));
    let of = |want: &str| WhatIfOrder::Edit(vec![Edit { deed: Deed::Without, want: want.parse().unwrap() }]);
    assert!(error(&mut window, of("site=nowhere.py:1")).contains("no block matches site=nowhere.py:1"));
    assert!(error(&mut window, of("age=under 1,000 operations")).contains("a number of operations"));
    // It goes on between other things, and the window steps meanwhile.
    window.engine.order(Order::WhatIf(grid("pool_size=4K,8K,16K")));
    window.engine.work(0.01, Duration::from_micros(1));
    window.engine.order(Order::Seek(5));
    window.engine.work(0.01, Duration::from_micros(1));
    assert_eq!(window.engine.session().unwrap().step(), 5);
    assert!(window.engine.busy() && !window.engine.rests());
    let picture = window.order(WhatIfOrder::Stop);
    assert!(picture.trial.is_none() && picture.matrix.as_ref().unwrap().rows.len() < 3);
    // It is told how far it is, once for each share at the most.
    window.engine.order(Order::WhatIf(grid("pool_size=4K,8K,16K")));
    let told = window.rest();
    assert!((4..250).contains(&told), "{told}");
    // A second trace in memory has to have room.
    let mut small = Window::with(Some(2 * window.trace.state_bytes()));
    let without = of("site=log.py:40");
    assert!(error(&mut small, without).contains("two traces take more than is safe here"));
    // Another trace knows nothing of it.
    window.engine.open(Opened::bytes("t.ptrace", &b"m o 1 48\n"[..]));
    window.rest();
    assert_eq!(*window.shown.tried, WhatIfPicture::default());
}
