//! What formulas of a lesson may ask beyond pools and arenas: tables, traces, the radix tree, rows of the statistics,
//! and the same operations under another setting.

use sim_core::arena::{ArenaBackend as _, PoolHeader, SimBlock, SimPool};
use sim_core::report::{Occupancy, Placement, malloc_stats};
use sim_core::tape::SourceLine;
use sim_core::tracemalloc::{KeyType, Snapshot, take_snapshot};
use sim_core::{Addr, Domain, SizeClass};
use trace_io::program::expr::{Argument, Expr};

use super::moment::{Moment, text_of};
use super::runner::Runner;
use super::spot::Spot;
use crate::analysis::survivors::{self, Trait};
use crate::setup::{Overrides, Setup};

/// A name's value, for those that [`Moment`] does not know by itself.
pub(super) fn name(moment: &Moment<'_>, name: &str) -> Option<i64> {
    let tracemalloc = || moment.machine.layers().map(sim_core::machine::Layers::tracemalloc);
    let interpreters = moment.machine.interpreters();
    let value = match name {
        "traces" => tracemalloc().map_or(0, |tracemalloc| tracemalloc.get_traces().len() as u64),
        "traced.running" => {
            u64::from(tracemalloc().is_some_and(sim_core::tracemalloc::Tracemalloc::is_tracing))
        }
        "traced.tables" => {
            tracemalloc().map_or(0, sim_core::tracemalloc::Tracemalloc::get_tracemalloc_memory)
        }
        "interpreter" => interpreters.map_or(0, |all| u64::from(all.running())),
        "interpreter.state" => interpreters.map_or(0, |all| u64::from(all.state_of())),
        "arenas.pinned" => {
            let heap = moment.machine.pymalloc();
            let used =
                |arena: &u32| heap.carved_pools(*arena).any(|pool| heap.memory().header(pool).ref_count > 0);
            heap.live_arenas().filter(used).count() as u64
        }
        "pools.used" => pools(moment).filter(|header| header.ref_count > 0).count() as u64,
        "pools.full" => {
            pools(moment).filter(|header| header.ref_count > 0 && header.freeblock.is_none()).count() as u64
        }
        "bytes.wasted" => moment
            .spots
            .values()
            .filter(|spot| spot.live)
            .filter_map(|spot| {
                let block = moment.profile.block_size(SizeClass(spot.class?));
                Some(block.saturating_sub(spot.size))
            })
            .sum(),
        "arenas.here" => moment.machine.pymalloc().live_arenas().count() as u64,
        "leaked.blocks" => interpreters.map_or(0, |all| all.leaks().cast_unsigned()),
        "leaked.arenas" => interpreters.map_or(0, sim_core::machine::Interpreters::leaked_arenas),
        "stats.lines" => malloc_stats(moment.machine).lines().count() as u64,
        _ => return None,
    };
    Some(value.cast_signed())
}

/// The headers of all pools that were carved.
fn pools<'a>(moment: &Moment<'a>) -> impl Iterator<Item = &'a PoolHeader<SimPool, SimBlock>> {
    let heap = moment.machine.pymalloc();
    let pools = heap.live_arenas().flat_map(|arena| heap.carved_pools(arena));
    pools.map(|pool| heap.memory().header(pool))
}

/// A function's value, for those that [`Moment`] does not know by itself.
pub(super) fn call(moment: &Moment<'_>, name: &str, arguments: &[Argument]) -> Option<Result<i64, String>> {
    let class = |what: &dyn Fn(&Occupancy, usize) -> u64| -> Result<i64, String> {
        let size = u64::try_from(moment.number(arguments, 0)?).unwrap_or(0);
        let class = moment.machine.pymalloc().size_class(size).ok_or("no pool serves such requests")?;
        Ok(what(&Occupancy::of(moment.machine.pymalloc()), usize::from(class.0)).cast_signed())
    };
    let own = |what: &dyn Fn(usize) -> Option<i64>| -> Result<i64, String> {
        let number = moment.number(arguments, 0)?;
        let at = usize::try_from(number - 1).ok();
        at.and_then(what).ok_or_else(|| format!("the program has no table {number} of its own"))
    };
    let user = |at: usize| moment.machine.layers().and_then(|layers| layers.user().get(at));
    let leaf = || address(moment, arguments).map(|addr| moment.machine.pymalloc().arena_map().leaf(addr));
    Some(match name {
        "owned" => {
            address(moment, arguments).map(|addr| i64::from(moment.machine.pymalloc().address_in_range(addr)))
        }
        "tail_hi" => leaf().map(|leaf| i64::from(leaf.tail_hi)),
        "tail_lo" => leaf().map(|leaf| i64::from(leaf.tail_lo)),
        "arena_addr" => moment.arena(arguments).and_then(|index| {
            let base = moment.machine.pymalloc().arenas()[index as usize].address;
            base.map(|base| base.0.cast_signed()).ok_or_else(|| "it has no address".to_owned())
        }),
        "class_pools" => class(&|all, class| all.classes[class].pools),
        "class_blocks" => class(&|all, class| all.classes[class].blocks),
        "class_avail" => class(&|all, class| all.classes[class].avail),
        "tables" => domain(arguments).and_then(|domain| {
            let layers = moment.machine.layers().ok_or("this run has the plain tables only")?;
            Ok((layers.chain(domain).len() as u64).cast_signed())
        }),
        "calls" => own(&|at| user(at).map(|user| user.calls.iter().sum::<u64>().cast_signed())),
        "requested" => own(&|at| user(at).map(|user| user.requested_bytes.cast_signed())),
        "traced" => traced(moment, arguments),
        "line_size" => line(moment, arguments).map(|(size, _)| size),
        "line_count" => line(moment, arguments).map(|(_, count)| count),
        "grown_size" => grown(moment, arguments).map(|(size, _)| size),
        "grown_count" => grown(moment, arguments).map(|(_, count)| count),
        "what_if" => what_if(moment, arguments),
        "same_places" => same_places(moment, arguments),
        "survivors" => keepers(moment, arguments, &|kept| kept.blocks.len() as u64),
        "survivors_of_class" => of_class(moment, arguments, 1)
            .and_then(|class| keepers(moment, arguments, &|kept| kept.share(class).blocks)),
        "survivors_born" => born(moment, arguments, 1)
            .and_then(|born| keepers(moment, arguments, &|kept| kept.share(born).blocks)),
        "kept_by_class" => of_class(moment, arguments, 0).map(|class| kept_by(moment, class)),
        "kept_by_born" => born(moment, arguments, 0).map(|born| kept_by(moment, born)),
        _ => return None,
    })
}

/// The address of a block, or the one that a formula gives.
fn address(moment: &Moment<'_>, arguments: &[Argument]) -> Result<Addr, String> {
    if let Some(spot) = moment.known_spot(arguments) {
        return match spot.addr {
            Addr(0) => Err("this run gives the C library's blocks no address".to_owned()),
            addr => Ok(addr),
        };
    }
    moment.number(arguments, 0).map(|number| Addr(number.cast_unsigned()))
}

fn domain(arguments: &[Argument]) -> Result<Domain, String> {
    match arguments.first().map(|a| &a.value) {
        Some(Expr::Name(name, _)) if name == "raw" => Ok(Domain::Raw),
        Some(Expr::Name(name, _)) if name == "mem" => Ok(Domain::Mem),
        Some(Expr::Name(name, _)) if name == "obj" => Ok(Domain::Obj),
        _ => Err("this is no domain: there are raw, mem and obj".to_owned()),
    }
}

/// The bytes in a block's trace; -1 where tracemalloc has none of it.
fn traced(moment: &Moment<'_>, arguments: &[Argument]) -> Result<i64, String> {
    let addr = address(moment, arguments)?;
    let layers = moment.machine.layers().ok_or("this run has no tracemalloc")?;
    let traces = layers.tracemalloc().get_traces();
    let trace = traces.iter().find(|trace| trace.domain == 0 && trace.ptr == addr);
    Ok(trace.map_or(-1, |trace| trace.size.cast_signed()))
}

fn source_line(arguments: &[Argument], index: usize) -> Result<SourceLine, String> {
    let words = arguments.get(index).map_or(Err("a line of a file is missing".to_owned()), |argument| {
        text_of(std::slice::from_ref(argument))
    })?;
    words.parse().map_err(|takes| format!("\"{words}\" is no line of a file: {takes}"))
}

/// Bytes and blocks whose most recent frame is a line, now.
fn line(moment: &Moment<'_>, arguments: &[Argument]) -> Result<(i64, i64), String> {
    let layers = moment.machine.layers().ok_or("this run has no tracemalloc")?;
    let snapshot = take_snapshot(layers.tracemalloc()).map_err(|error| error.to_string())?;
    let wanted = source_line(arguments, 0)?;
    let groups = snapshot.statistics(KeyType::Lineno, false).map_err(|error| error.to_string())?;
    let group = groups.iter().find(|group| {
        let frame = group.traceback.most_recent();
        *frame.filename == *wanted.file && frame.lineno == wanted.line
    });
    Ok(group.map_or((0, 0), |group| (group.size as i64, group.count.cast_signed())))
}

/// Bytes and blocks that a line has more in the second of two snapshots of the program's.
fn grown(moment: &Moment<'_>, arguments: &[Argument]) -> Result<(i64, i64), String> {
    let layers = moment.machine.layers().ok_or("this run has no tracemalloc")?;
    let snapshot = |index: usize| -> Result<&Snapshot, String> {
        let name =
            arguments.get(index).map_or(Err("a snapshot's name is missing".to_owned()), |argument| {
                text_of(std::slice::from_ref(argument))
            })?;
        let found = layers.snapshots().get(name).map(AsRef::as_ref);
        found.ok_or_else(|| format!("no snapshot is called \"{name}\" yet"))
    };
    let (old, new) = (snapshot(0)?, snapshot(1)?);
    let wanted = source_line(arguments, 2)?;
    let groups = new.compare_to(old, KeyType::Lineno, false).map_err(|error| error.to_string())?;
    let group = groups.iter().find(|group| {
        let frame = group.traceback.most_recent();
        *frame.filename == *wanted.file && frame.lineno == wanted.line
    });
    Ok(group.map_or((0, 0), |group| (group.size_diff as i64, group.count_diff)))
}

/// Something of the blocks that keep the arena whose number comes first.
fn keepers(
    moment: &Moment<'_>,
    arguments: &[Argument],
    what: &dyn Fn(&survivors::Kept) -> u64,
) -> Result<i64, String> {
    let ordinal = moment.machine.pymalloc().arena_id(moment.arena(arguments)?).ordinal;
    let all = survivors::survivors(moment.machine, moment.trace, moment.step);
    let kept = all.iter().find(|kept| kept.arena.ordinal == ordinal);
    kept.map(|kept| what(kept).cast_signed())
        .ok_or_else(|| "that arena is not of this interpreter".to_owned())
}

fn of_class(moment: &Moment<'_>, arguments: &[Argument], at: usize) -> Result<Trait, String> {
    let size = u64::try_from(moment.number(arguments, at)?).unwrap_or(0);
    let class = moment.machine.pymalloc().size_class(size);
    class.map(Trait::Class).ok_or_else(|| "no pool serves such requests".to_owned())
}

fn born(moment: &Moment<'_>, arguments: &[Argument], at: usize) -> Result<Trait, String> {
    let step = |at: usize| moment.number(arguments, at).map(|step| u64::try_from(step).unwrap_or(0));
    Ok(Trait::Born { from: step(at)?, until: step(at + 1)? })
}

/// How many arenas nothing keeps but blocks of one kind.
fn kept_by(moment: &Moment<'_>, what: Trait) -> i64 {
    let all = survivors::survivors(moment.machine, moment.trace, moment.step);
    (all.iter().filter(|kept| kept.alone(what)).count() as u64).cast_signed()
}

/// A formula's value after the same operations under another setting: `what_if("arena_size", 4*pool.size, arenas)`.
fn what_if(moment: &Moment<'_>, arguments: &[Argument]) -> Result<i64, String> {
    let [key, value, formula] = arguments else {
        return Err("what_if() needs a setting, its value and a formula".to_owned());
    };
    let key = text_of(std::slice::from_ref(key))?;
    let value = match &value.value {
        Expr::Text(word) => word.clone(),
        formula => formula.value(moment).map_err(|fault| fault.problem)?.to_string(),
    };
    let overrides = match key {
        "profile" => Overrides::preset(&value),
        key => Overrides { settings: vec![(key.to_owned(), value)], ..Overrides::default() },
    };
    elsewhere(moment, &overrides, &|other| {
        formula.value.value(&other.moment()).map_err(|fault| fault.problem)
    })
}

/// Whether the same operations put every block of a program at the same place of the same pool on another build.
fn same_places(moment: &Moment<'_>, arguments: &[Argument]) -> Result<i64, String> {
    let overrides = Overrides::preset(text_of(arguments)?);
    elsewhere(moment, &overrides, &|other| {
        let same = moment.spots.iter().all(|(name, spot)| {
            other.spots.get(name).is_some_and(|there| {
                let arena = |spot: &Spot| match spot.placement {
                    Some(Placement::Arena { ordinal, .. }) => Some(ordinal),
                    _ => None,
                };
                (spot.pool, spot.offset, arena(spot)) == (there.pool, there.offset, arena(there))
            })
        });
        Ok(i64::from(same))
    })
}

/// What there is to say of a run of the same operations under another build.
fn elsewhere(
    moment: &Moment<'_>,
    overrides: &Overrides,
    say: &dyn Fn(&Runner<'_>) -> Result<i64, String>,
) -> Result<i64, String> {
    let setup = Setup::resolve(moment.trace, overrides).map_err(|error| error.to_string())?;
    let mut other = Runner::new(moment.trace, &setup, &setup.profile, moment.tally.given)?;
    other.kept.clone_from(moment.kept);
    while other.step < moment.step && other.advance().is_some() {}
    say(&other)
}

#[cfg(test)]
pub(super) mod tests {
    use trace_io::lesson::Lesson;

    use crate::lesson::compile;

    /// What is not true after a program.
    pub(in crate::lesson) fn faults(head: &str, run: &str, claims: &[&str], preset: &str) -> Vec<String> {
        let claims: Vec<String> = claims.iter().map(|claim| format!("{claim:?}")).collect();
        let text = format!(
            "Lesson(id: \"t\", name: \"t\", goal: \"t\", minutes: 1, {head} steps: [run({run:?}), say(text: \"t\", claims: [{}])])",
            claims.join(", ")
        );
        let lesson = Lesson::parse(&text).unwrap();
        compile(&lesson, Some(preset)).unwrap().1.faults
    }

    #[test]
    fn the_same_operations_under_another_setting() {
        let run = "for i in range(2*64*blocks(512)): a[i] = malloc(512)\nfor i in range(2*64*blocks(512)): free(a[i])";
        let claims = [
            "arenas.released == 1",
            "what_if(\"arena_size\", arena.size // 2, arenas.released) == 3",
            "what_if(\"arena_size\", 2*arena.size, arenas.released) == 0",
            "what_if(\"keep_last_arena\", \"false\", arenas) == 0",
            "what_if(\"arena_placement\", \"page\", arenas.obtained) == 3",
        ];
        assert_eq!(faults("", run, &claims, "cpython-3.14"), [""; 0]);
        let wrong = faults("", run, &["what_if(\"arena_size\", 3, arenas)"], "cpython-3.14");
        assert!(wrong[0].contains("arena_size"), "{wrong:?}");
    }

    /// Formulas inside are that build's, too.
    #[test]
    fn the_same_operations_on_another_build() {
        let run = "for i in range(1000): a[i] = malloc(512)\nfor i in range(1000): free(a[i])";
        let claims = [
            "what_if(\"profile\", \"cpython-3.8\", arenas.obtained) == 3",
            "what_if(\"profile\", \"cpython-3.8\", arenas) == 0",
            "what_if(\"profile\", \"cpython-3.9\", arenas) == 1",
            "what_if(\"profile\", \"cpython-3.9\", arenas*arena.size) == 256*1024",
            "what_if(\"profile\", \"cpython-3.14\", arenas*arena.size) == 1024*1024",
        ];
        for preset in ["cpython-3.14", "cpython-3.8", "cpython-3.14t"] {
            assert_eq!(faults("", run, &claims, preset), [""; 0], "{preset}");
        }
        let wrong = faults("", run, &["what_if(\"profile\", \"cpython-2\", arenas)"], "cpython-3.14");
        assert!(wrong[0].contains("cpython-2"), "{wrong:?}");
    }

    #[test]
    fn who_keeps_an_arena() {
        let run = "for i in range(4*blocks(512)): a[i] = malloc(512)\nb = malloc(100)\n\
                   for i in range(1, 4*blocks(512)): free(a[i])";
        let claims = [
            "survivors(0) == 1 and survivors(1) == 1",
            "survivors_of_class(0, 512) == 1 and survivors_of_class(0, 100) == 0",
            "survivors_born(1, 4*blocks(512), step) == 1 and survivors_born(0, 1, step) == 0",
            "kept_by_class(100) == 1 and kept_by_class(64) == 0",
            "kept_by_born(0, step) == 2 and kept_by_born(0, 1) == 1",
        ];
        let head = "settings: {\"arena_size\": \"4*pool.size\"},";
        assert_eq!(faults(head, run, &claims, "cpython-3.9"), [""; 0]);
        let wrong = faults(head, run, &["survivors(7)", "kept_by_class(9999)"], "cpython-3.9");
        assert!(wrong[0].contains("no arena 7") && wrong[1].contains("no pool"), "{wrong:?}");
    }

    #[test]
    fn interpreters_and_what_they_left() {
        let run = "a = malloc(100)\ninterpreter_new(1, own=True)\ninterpreter_switch(1)\nb = malloc(100)";
        let claims = [
            "interpreter == 1 and interpreter.state == 1",
            "arenas == 2 and arenas.here == 1 and leaked.blocks == 0",
            "owned(b) and not owned(a)",
        ];
        assert_eq!(faults("", run, &claims, "cpython-3.14"), [""; 0]);
        let ended = format!("{run}\ninterpreter_end(1)");
        let claims = ["leaked.blocks == 1 and leaked.arenas == 1 and interpreter == 0"];
        assert_eq!(faults("", &ended, &claims, "cpython-3.12"), [""; 0]);
    }

    #[test]
    fn traces_by_block_line_and_snapshot() {
        let run = "a = malloc(300)\ntracemalloc_start(1)\nstack(\"a.py:3\")\nb = malloc(17)\nsnapshot(\"one\")\n\
                   c = malloc(1000)\nstack(\"b.py:9\")\na = realloc(a, 400)\nsnapshot(\"two\")";
        let claims = [
            "traces == 3",
            "traced(b) == 17",
            "traced(a) == 400",
            "line_size(\"a.py:3\") == 1017 and line_count(\"a.py:3\") == 2",
            "line_count(\"a.py:4\") == 0",
            "grown_size(\"one\", \"two\", \"a.py:3\") == 1000 and grown_count(\"one\", \"two\", \"a.py:3\") == 1",
            "grown_size(\"two\", \"one\", \"b.py:9\") == -400",
            "traced.tables > 0",
            "tables(raw) == 2",
            "stats.lines == 0",
        ];
        assert_eq!(faults("", run, &claims, "cpython-3.14"), [""; 0]);
        let untraced =
            faults("", "a = malloc(300)\ntracemalloc_start(1)", &["traced(a) == -1"], "cpython-3.9");
        assert_eq!(untraced, [""; 0]);
    }

    #[test]
    fn tables_marks_and_rows() {
        // Records and nodes of the first arena come from RAW too, so it comes before the table.
        let run = "d = malloc(8)\nset_allocator(raw, \"count\")\na = malloc(40, mem)\nb = malloc(600, mem)\nc = malloc(512)";
        let claims = [
            "calls(1) == 1 and requested(1) == 600",
            "tables(raw) == 2 and tables(mem) == 1",
            "owned(a) and owned(c) and not owned(b)",
            "owned(arena_addr(0)) and not owned(arena_addr(0) - 1)",
            "class_pools(40) == 1 and class_blocks(40) == 1 and class_avail(40) == blocks(40) - 1",
            "arena.pools == 63 and tail_hi(arena_addr(0)) == 4096",
            "tail_lo(arena_addr(0) + arena.size) == 4096",
        ];
        let page = "settings: {\"arena_placement\": \"page\"},";
        assert_eq!(faults(page, run, &claims, "cpython-3.14"), [""; 0]);
        let wrong = faults("", run, &["calls(2) == 0"], "cpython-3.14");
        assert!(wrong[0].contains("no table 2"), "{wrong:?}");
    }

    /// One page is one pool there: an arena may begin at any page and loses none.
    #[test]
    fn pools_of_a_page_are_never_lost() {
        let page = "settings: {\"arena_placement\": \"page\"},";
        let claims = ["arena.pools == 64", "not misaligned", "pools.unused == 63"];
        assert_eq!(faults(page, "a = malloc(40)", &claims, "cpython-3.9"), [""; 0]);
    }
}
