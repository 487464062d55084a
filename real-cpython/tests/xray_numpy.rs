//! Buffers of numpy's arrays that only views keep, in pictures of processes that run.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "tests")]

mod waiting;

use std::collections::BTreeMap;

use real_cpython::interpreters::Interpreter;
use real_cpython::or_not_run;
use real_cpython::outside::not_run;
use real_cpython::packages::environment;
use waiting::{Waiting, compared, seen};
use xray::image::Malloc;
use xray::image::chunks::State;
use xray::image::edges::Edges;
use xray::image::owners::{Owner, Owners};
use xray::image::parts::{Use, parts};
use xray::image::reach::Reach;
use xray::image::steps::Contents;

/// The newest numpy that has wheels for each minor version, from the first on.
const NUMPY: [(u32, &str); 5] = [(8, "1.24.4"), (9, "2.0.2"), (10, "2.2.6"), (11, "2.4.6"), (12, "2.5.5")];

/// Where numpy is for an interpreter, as `PYTHONPATH` has it.
fn numpy(interpreter: &Interpreter) -> Result<std::path::PathBuf, String> {
    let minor = interpreter.version.1;
    if interpreter.is_unpacked() {
        return Err("it is unpacked beside the system, where nothing can be installed".to_owned());
    }
    let (_, version) = NUMPY.into_iter().rfind(|(from, _)| *from <= minor).unwrap();
    let name = format!("numpy-{version}-python-{interpreter}");
    let made = environment(interpreter, &name, &[&format!("numpy=={version}")])?;
    Ok(made.join(format!("lib/python3.{minor}/site-packages")))
}

#[test]
fn a_view_leads_to_the_buffer_of_its_base() {
    // Of each minor version the newest.
    let all: BTreeMap<u32, &Interpreter> =
        compared().into_iter().map(|interpreter| (interpreter.version.1, interpreter)).collect();
    let mut done = 0;
    for interpreter in all.values() {
        let what = format!("views of numpy with CPython 3.{}", interpreter.version.1);
        if let Some(path) = or_not_run(&what, numpy(interpreter)) {
            views(interpreter, &path);
            done += 1;
        }
    }
    if done == 0 {
        not_run("views of numpy", "there is no CPython with numpy");
    }
}

fn views(interpreter: &Interpreter, path: &std::path::Path) {
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth");
    let mut command = interpreter.command(None);
    command.env("PYTHONPATH", path);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/numpy_views.py")).arg(&truth);
    let waiting = Waiting::of(command);
    let (copy, picture) = seen(waiting.pid());
    assert!(waiting.end());
    if !matches!(picture.heaps.malloc, Malloc::Glibc(_)) {
        return not_run("views of numpy", "the interpreters' C library is not the GNU one");
    }
    let edges = Edges::of(&copy.memory, &picture);
    let owners = Owners::find(&edges);
    let reach = Reach::find(&edges, &owners.outside, Contents::Shown);
    let nodes = edges.nodes();
    let way = |node| reach.groups.name(reach.group(node).unwrap());
    let (mut rows, mut large) = (0, 0);
    for line in std::fs::read_to_string(&truth).unwrap().lines() {
        rows += 1;
        let fields: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| fields[at].parse::<u64>().unwrap();
        let (bytes, is_large) = (number(3), fields[4] == "1");
        let wanted = ["large", "turned", "small"]
            .iter()
            .fold(fields[5].to_owned(), |way, key| way.replace(&format!("[{key}]"), &format!("['{key}']")));
        let [view, base, buffer] = [0, 1, 2].map(|at| nodes.at(number(at)).unwrap());
        let of = |node| picture.types[nodes.live_object(node).unwrap().of as usize].name.as_str();
        assert_eq!([of(view), of(base)], ["numpy.ndarray"; 2], "{interpreter}: {line}");
        let mut to = Vec::new();
        edges.from(view, |edge| to.push(edge.to));
        assert!(to.contains(&base), "{interpreter}: {line}: the view leads to its base");
        assert_eq!(owners.of(&edges, buffer), Owner::Object(base), "{interpreter}: {line}");
        assert_eq!(way(view), wanted, "{interpreter}: {line}");
        assert_eq!(reach.parent(base), Some(view), "{interpreter}: {line}: {}", way(base));
        assert_eq!(way(base), format!("{wanted}.base"), "{interpreter}: {line}");
        assert!(way(buffer).starts_with(&wanted), "{interpreter}: {line}: {}", way(buffer));
        let (addr, room) = nodes.place(buffer);
        assert!(addr + room >= number(2) + bytes, "{interpreter}: {line}: {addr:x} has {room} bytes");
        let state = picture.chunks.all[(buffer - nodes.first_chunk()) as usize].state;
        assert_eq!(state == State::Mapped, is_large, "{interpreter}: {line}");
        large += if is_large { bytes } else { 0 };
    }
    assert_eq!(rows, 53, "{interpreter}");
    // All of each is one part, whether or not the system has split its mapping.
    let parts = parts(&copy.memory, &copy.resident, &picture);
    let mapped = parts.iter().find(|part| part.what == Use::MappedBuffers).map_or(0, |part| part.bytes);
    assert!(mapped >= large && mapped - large < 16 << 20, "{interpreter}: {mapped} of {large}: {parts:#?}");
}
