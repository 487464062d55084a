//! Who holds the memory as a front sees it: equal to what the diagnosis says, at rest, with its step.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Cursor;
use std::time::Duration;

use session::diagnosis::{Census, Holders, Inquiry, Key, Placed, Rule, Scope, Weight};
use session::format::csv_cell;
use session::view::holders::{Column, HoldersLook, Holdings, IcicleLook};
use session::view::map::MapLook;
use session::view::{Look, Shown};
use session::{Engine, Level, Opened, Order, Overrides, Place, Setup};
use sim_core::tape::StackId;
use sim_core::{Call, Domain, Machine, Op, Trace, TraceBuilder};

/// A program of which it is known who holds what: arenas full of a burst that is over, a cache and a log in some of them.
fn planted() -> Trace {
    let mut builder = TraceBuilder::new("planted");
    let mut next = 0;
    let mut malloc = |builder: &mut TraceBuilder, site: &str, size: u64| {
        let lines: Vec<_> = site.split(" < ").map(|line| line.parse().unwrap()).collect();
        let stack = builder.stack(&lines);
        next += 1;
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id: next, size } };
        builder.push_recorded(op, stack, None).unwrap();
        next
    };
    let mut burst = Vec::new();
    let mut passing = Vec::new();
    for arena in 0..6 {
        for block in 0..64 * (16384 - 48) / 512 {
            match (arena % 3, block) {
                (0, 700) => {
                    malloc(&mut builder, "cache.py:7 < app.py:3", 500);
                }
                (1, 10 | 1500) => {
                    malloc(&mut builder, "log.py:40 < app.py:9", 509);
                }
                (2, 5) => passing.push(malloc(&mut builder, "=cmd.py:2 < app.py:3", 512)),
                _ => burst.push(malloc(&mut builder, "burst.py:1 < app.py:5", 512)),
            }
        }
    }
    for id in burst.into_iter().chain(passing) {
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Free { id } };
        builder.push_recorded(op, StackId(0), None).unwrap();
    }
    builder.finish()
}

/// A trace as a file that carries all of it.
fn packed(trace: &Trace) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = trace_io::atrace_writer(&mut bytes, trace_io::atrace::FileProfile::Capture);
    writer.write(trace).unwrap();
    writer.finish(trace).unwrap();
    bytes
}

/// An engine and what a front sees of it.
struct Front {
    engine: Engine,
    shown: Shown,
    trace: Trace,
}

impl Front {
    fn new() -> Self {
        let trace = planted();
        let bytes = packed(&trace);
        let mut engine = Engine::new(None);
        engine.open(Opened::new("planted.ptrace", Box::new(Cursor::new(bytes)), None));
        let mut front = Self { engine, shown: Shown::default(), trace };
        front.settle();
        front
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.engine.work(0.01, Duration::from_millis(5));
            while let Some(update) = self.engine.update(true) {
                self.shown.take(update);
            }
            if !self.engine.busy() {
                return;
            }
        }
        panic!("never comes to rest");
    }

    fn look(&mut self, holders: HoldersLook) -> Holdings {
        let look = Look {
            holders: Some(holders),
            map: Some(MapLook::default()),
            waterfall: true,
            inspector: true,
            ..Look::default()
        };
        self.engine.look(look);
        self.settle();
        (*self.shown.held).clone()
    }

    fn order(&mut self, order: Order) {
        self.engine.order(order);
        self.settle();
    }

    /// The same, asked of the diagnosis itself.
    fn plain(&self, step: u64, key: Key, rule: Rule) -> (Inquiry, Machine, std::sync::Arc<Census>, Holders) {
        let setup = Setup::resolve(&self.trace, &Overrides::default()).unwrap();
        let mut machine = setup.machine(&self.trace).unwrap();
        for index in 0..step as usize {
            machine.step(&self.trace, index, &mut ());
        }
        let mut inquiry = Inquiry::new(std::sync::Arc::new(self.trace.clone()), setup);
        let census = inquiry.census(&machine, step, Placed::Model);
        let holders = inquiry.holders(&census, key, rule);
        (inquiry, machine, census, holders)
    }
}

fn all() -> HoldersLook {
    HoldersLook { rows: 0..100, ..HoldersLook::default() }
}

fn names(held: &Holdings) -> Vec<&str> {
    held.holders.as_ref().unwrap().rows.iter().map(|group| group.label.key.as_str()).collect()
}

#[test]
fn a_front_sees_what_the_diagnosis_says_at_every_step_it_rests_at() {
    let mut front = Front::new();
    let len = front.trace.len();
    for step in [len, len / 2, 3, 0, len - 1] {
        front.order(Order::Seek(step));
        for (key, rule) in
            [(Key::Site(1), Rule::Sole), (Key::Module, Rule::Split), (Key::Class, Rule::Marginal)]
        {
            let held = front.look(HoldersLook { key: Some(key), rule, ..all() });
            let (inquiry, machine, census, holders) = front.plain(step, key, rule);
            assert_eq!((held.step, held.revision), (step, front.shown.picture.as_ref().unwrap().revision));
            let seen = held.holders.unwrap();
            assert_eq!(seen.rows, holders.groups, "{step}");
            assert_eq!(u64::from(seen.total), holders.groups.len() as u64);
            assert_eq!(seen.sums.blocks, census.len() as u64);
            let waterfall = inquiry.waterfall(&machine, &census);
            let shown = held.waterfall.unwrap();
            assert_eq!((shown.total_bytes, shown.parts), (waterfall.total_bytes, waterfall.parts));
        }
    }
}

#[test]
fn rows_are_sorted_searched_and_cut_to_what_is_in_view() {
    let mut front = Front::new();
    front.order(Order::End);
    assert_eq!(names(&front.look(all())), ["log.py:40", "cache.py:7"]);
    let sorted = |front: &mut Front, sort, ascending| {
        let held = front.look(HoldersLook { sort, ascending, ..all() });
        names(&held).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(sorted(&mut front, Column::Blocks, false), ["log.py:40", "cache.py:7"]);
    assert_eq!(
        sorted(&mut front, Column::Slack, false),
        ["cache.py:7", "log.py:40"],
        "12 bytes a block, or 3"
    );
    assert_eq!(sorted(&mut front, Column::Name, false), ["log.py:40", "cache.py:7"]);
    assert_eq!(sorted(&mut front, Column::Name, true), ["cache.py:7", "log.py:40"]);
    let held = front.look(HoldersLook { search: " LOG".to_owned(), ..all() });
    assert_eq!((names(&held), held.holders.as_ref().unwrap().groups), (vec!["log.py:40"], 2));
    let held = front.look(HoldersLook { rows: 1..9, ..all() });
    let seen = held.holders.unwrap();
    assert_eq!((seen.first, seen.rows.len(), seen.total), (1, 1, 2));
}

#[test]
fn scopes_narrow_the_blocks_and_others_still_hold_their_arenas() {
    let mut front = Front::new();
    let born = front.trace.len() / 4;
    front.order(Order::Seek(born * 2));
    // What is never freed is what is live in the end.
    let held = front.look(HoldersLook { scope: Scope::NeverFreed, ..all() });
    let (_, _, census, holders) = front.plain(born * 2, Key::Site(1), Rule::Sole);
    let lasting = |name: &str| {
        let group = holders.groups.iter().find(|group| group.label.key == name).unwrap();
        (group.blocks, group.bytes, group.arenas)
    };
    let seen = held.holders.unwrap();
    assert_eq!(seen.rows.len(), 2);
    for row in &seen.rows {
        assert_eq!((row.blocks, row.bytes, row.arenas), lasting(&row.label.key));
    }
    let kept: u64 = seen.rows.iter().map(|row| row.blocks).sum();
    assert_eq!((seen.sums.blocks, seen.sums.outside), (kept, census.len() as u64 - kept));
    // The burst is outside, and lies in all arenas.
    assert_eq!(seen.rows.iter().map(|row| row.arenas_alone).sum::<u64>(), 0);
    let wanted = HoldersLook { scope: Scope::NeverFreed, want_bytes: Some(1 << 20), ..all() };
    let wanted = front.look(wanted).holders.unwrap().wanted.unwrap();
    assert_eq!(wanted.forecast.returned_bytes, 0, "nothing outside of the scope is freed");
    // Born in a stretch: as counted over the operations.
    let range = born..born + 1000;
    let held = front.look(HoldersLook { scope: Scope::Born(range.clone()), ..all() });
    assert_eq!(held.holders.unwrap().sums.blocks, 1000);
    front.order(Order::End);
    let held = front.look(HoldersLook { scope: Scope::Born(range), ..all() });
    let seen = held.holders.unwrap();
    assert!(seen.sums.blocks < 3 && seen.sums.outside > 0, "{:?}", seen.sums);
}

#[test]
fn what_is_ticked_is_forecast_and_wanted_bytes_tick_groups() {
    let mut front = Front::new();
    front.order(Order::End);
    let picked = vec!["cache.py:7".to_owned(), "gone.py:1".to_owned()];
    let seen = front.look(HoldersLook { picked, want_bytes: Some(3 << 20), ..all() }).holders.unwrap();
    let (inquiry, machine, census, holders) = front.plain(front.trace.len(), Key::Site(1), Rule::Sole);
    let chosen = inquiry.chosen(&census, &["site=cache.py:7".parse().unwrap()]).unwrap();
    assert_eq!(seen.forecast, Some(inquiry.forecast(&machine, &census, &chosen)));
    assert_eq!(seen.gone, ["gone.py:1"]);
    let (groups, forecast) = inquiry.want(&machine, &census, &holders, 3 << 20);
    let names: Vec<String> =
        groups.iter().map(|group| holders.groups[*group as usize].label.key.clone()).collect();
    let wanted = seen.wanted.unwrap();
    assert_eq!((wanted.bytes, wanted.groups, wanted.forecast), (3 << 20, names, forecast));
    assert!(front.look(all()).holders.unwrap().forecast.is_none());
}

#[test]
fn the_map_and_the_rows_lead_to_each_other() {
    let mut front = Front::new();
    front.order(Order::End);
    let (_, machine, census, holders) = front.plain(front.trace.len(), Key::Site(1), Rule::Sole);
    let marked = Some("log.py:40".to_owned());
    let marks = front.look(HoldersLook { marked: marked.clone(), ..all() }).marks.unwrap();
    let group = holders.groups.iter().position(|group| group.label.key == "log.py:40").unwrap();
    let addrs: Vec<_> = (0..census.len())
        .filter(|at| holders.of_block[*at] as usize == group)
        .map(|at| census.addrs[at])
        .collect();
    assert_eq!(marks.arenas.iter().map(|arena| arena.blocks).sum::<u64>(), addrs.len() as u64);
    assert!(marks.arenas.iter().all(|arena| arena.alone && arena.blocks == 2));
    // Into the pool of one of its blocks: the block is marked there, and its arena's pools are.
    let block = addrs[0];
    let pool = machine.pymalloc().arena_of(block).map(|_| sim_core::Addr(block.0 & !16383)).unwrap();
    front.order(Order::Enter(Place::Pool(pool)));
    assert_eq!(front.shown.picture.as_ref().unwrap().selection.level, Level::Pool);
    let marks = front.look(HoldersLook { marked, ..all() }).marks.unwrap();
    let there: Vec<_> = addrs.iter().copied().filter(|addr| addr.0 & !16383 == pool.0).collect();
    assert_eq!(marks.blocks, there);
    assert_eq!(marks.pool(pool), Some(there.len() as u64));
    // And back: who clicks on the block, its pool or its arena finds the row.
    for place in [Place::Block(block), Place::Pool(pool)] {
        front.order(Order::Pin(place));
        let held = front.look(all());
        let found = held.holders.as_ref().unwrap().found.clone().unwrap();
        assert_eq!((found.place, found.group.as_str(), found.row), (place, "log.py:40", Some(0)));
        // The inspector says it of pool and arena.
        let arena = held.places.last().unwrap();
        assert_eq!((arena.blocks, arena.block_bytes, arena.sites), (2, 1024, Some(1)));
        assert_eq!((arena.returned_bytes, arena.kept, arena.exact), (1 << 20, false, true));
        assert!(arena.most[0].0.starts_with("log.py:40"), "{:?}", arena.most);
        let pool = held.places.first().unwrap();
        assert_eq!(
            (pool.blocks, pool.returned_bytes),
            (there.len() as u64, 0),
            "the other pool's block stays"
        );
    }
}

#[test]
fn an_empty_arena_says_that_it_is_kept() {
    let mut builder = TraceBuilder::new("one");
    for call in [Call::Malloc { id: 1, size: 40 }, Call::Free { id: 1 }] {
        builder.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    }
    let bytes = packed(&builder.finish());
    let mut front = Front::new();
    front.engine.open(Opened::new("one.ptrace", Box::new(Cursor::new(bytes)), None));
    front.settle();
    front.order(Order::End);
    front.look(all());
    let arena = front.shown.picture.as_ref().unwrap().crumbs.arena.unwrap();
    front.order(Order::Pin(Place::Arena(arena)));
    let held = front.look(all());
    assert_eq!(held.places.len(), 1);
    assert_eq!((held.places[0].blocks, held.places[0].kept), (0, true));
    front.order(Order::Seek(1));
    let held = front.look(all());
    // The last arena stays when its one block goes.
    assert_eq!((held.places[0].blocks, held.places[0].returned_bytes, held.places[0].kept), (1, 0, true));
}

#[test]
fn the_icicle_is_as_wide_as_what_it_shows_and_pins_what_no_other_call_holds() {
    let mut front = Front::new();
    front.order(Order::End);
    let icicle = |front: &mut Front, weight, root: Vec<u32>| {
        let look = IcicleLook { weight, root, parts: 400 };
        front.look(HoldersLook { icicle: Some(look), ..all() }).holders.unwrap().icicle.unwrap()
    };
    let (_, _, census, holders) = front.plain(front.trace.len(), Key::Site(u32::MAX), Rule::Sole);
    let live = icicle(&mut front, Weight::Live, Vec::new());
    let of = |live: &session::diagnosis::Icicle, text: &str| {
        live.cells.iter().find(|cell| cell.whole.contains(text)).cloned().unwrap_or_else(|| panic!("{text}"))
    };
    assert_eq!(live.width, holders.groups.iter().map(|group| group.bytes).sum::<u64>());
    // Callers above: two lines of the same file, each over what it calls.
    assert_eq!((of(&live, "app.py:3").depth, of(&live, "cache.py:7").depth), (1, 2));
    for group in &holders.groups {
        let leaf = of(&live, group.label.key.split(" < ").next().unwrap());
        assert_eq!((leaf.load.blocks, leaf.load.bytes), (group.blocks, group.bytes));
        assert_eq!(leaf.load.pinned_bytes, group.pinned_bytes);
        assert_eq!(leaf.load.byte_steps, group.byte_steps);
    }
    let held: u64 = census.regions.iter().filter(|region| region.blocks > 0).map(|region| region.bytes).sum();
    assert_eq!(live.cells[0].load.pinned_bytes, held, "all calls together hold all of it");
    let lifetime = icicle(&mut front, Weight::Lifetime, Vec::new());
    let plain: u64 = (0..census.len())
        .map(|at| {
            front.trace.packed(census.births[at] as usize).size * (census.step - u64::from(census.births[at]))
        })
        .sum();
    assert_eq!(lifetime.width, plain);
    // Zoomed in, and where the way leads nowhere any more.
    let way = of(&live, "app.py:3").path.unwrap();
    let zoomed = icicle(&mut front, Weight::Live, way.clone());
    assert_eq!((zoomed.width, zoomed.above.len()), (of(&live, "app.py:3").load.bytes, 2));
    assert!(zoomed.cells.iter().all(|cell| !cell.whole.contains("log.py")));
    let lost = icicle(&mut front, Weight::Live, [way, vec![999_999]].concat());
    assert_eq!(lost, zoomed);
    // In the middle the burst lies in every arena: two calls pin together what neither pins alone.
    front.order(Order::Seek(front.trace.len() / 4));
    let pinned = icicle(&mut front, Weight::Pinned, Vec::new());
    assert_eq!(pinned.cells.iter().map(|cell| cell.depth).max(), Some(2), "some arena has the burst alone");
    let burst = of(&pinned, "burst.py:1").load.pinned_bytes;
    assert!(burst > 0 && burst < pinned.width);
}

#[test]
fn names_do_no_harm_in_a_spreadsheet() {
    let mut front = Front::new();
    front.order(Order::Seek(front.trace.len() / 2));
    front.look(HoldersLook { sort: Column::Name, ascending: true, ..all() });
    for (as_csv, name) in [(true, "\"'=cmd.py:2 \""), (false, "=cmd.py:2")] {
        front.engine.order(Order::CopyHolders { as_csv });
        let copied = front.engine.update(true).and_then(|update| update.copied).unwrap();
        let line = copied.lines().find(|line| line.contains("cmd.py")).unwrap();
        let cell = line.rsplit(if as_csv { ',' } else { '\t' }).next().unwrap();
        assert!(cell.starts_with(name.trim_end_matches([' ', '"'])), "{cell}");
        assert_eq!(copied.lines().count(), 5, "a title and all groups");
    }
    for text in ["=1+1", "+1", "-1", "@x", "\tx", "\r=1"] {
        assert!(csv_cell(text).trim_start_matches('"').starts_with('\''), "{text:?}: {}", csv_cell(text));
    }
    assert_eq!(csv_cell("a, \"b\""), "\"a, \"\"b\"\"\"");
    assert_eq!(csv_cell("a.py:1"), "a.py:1");
}

#[test]
fn nothing_is_made_while_it_plays_and_the_last_answer_stays() {
    let mut front = Front::new();
    front.order(Order::Seek(100));
    let before = front.look(all());
    assert_eq!(before.step, 100);
    front.engine.order(Order::Play);
    for _ in 0..20 {
        front.engine.work(0.05, Duration::from_millis(1));
        while let Some(update) = front.engine.update(true) {
            assert!(update.held.is_none(), "made while it plays");
            front.shown.take(update);
        }
    }
    assert!(front.shown.picture.as_ref().unwrap().step > 100);
    assert_eq!(*front.shown.held, before);
    front.order(Order::Play);
    assert_eq!(front.shown.held.step, front.shown.picture.as_ref().unwrap().step);
    // Another trace has another answer, or none.
    front.engine.open(Opened::new("t.ptrace", Box::new(Cursor::new(b"m o 1 48\n")), None));
    front.settle();
    assert_eq!(front.shown.held.step, 0);
    let held = front.look(HoldersLook { key: Some(Key::Function), ..all() }).holders.unwrap();
    assert_eq!((held.rows.len(), held.none.is_some()), (0, true), "no stacks, no functions");
}
