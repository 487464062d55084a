//! What grew between two pictures of a process: by type, owner and way, and in which part of the resident memory.

use std::collections::BTreeMap;

use sim_core::Profile;
use sim_core::picture::{BlockFlags, Inventory, ProcessPicture};

/// Blocks and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What has the same name in both.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// The type, owner, way or part.
    pub name: String,
    /// In the first picture.
    pub before: Load,
    /// In the second.
    pub after: Load,
}

impl Change {
    /// Bytes that came, or went if less than none.
    pub fn bytes(&self) -> i128 {
        i128::from(self.after.bytes) - i128::from(self.before.bytes)
    }

    /// Blocks that came, or went.
    pub fn blocks(&self) -> i128 {
        i128::from(self.after.blocks) - i128::from(self.before.blocks)
    }
}

/// All of it. What changed by most bytes comes first; what did not change is left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grown {
    /// Resident bytes as the system counted them.
    pub resident: (u64, u64),
    /// By type of the object; blocks that are none are one row.
    pub types: Vec<Change>,
    /// By owner.
    pub owners: Vec<Change>,
    /// By way.
    pub paths: Vec<Change>,
    /// Parts of the resident memory; they have no blocks.
    pub parts: Vec<Change>,
}

/// Blocks that are no object.
pub const NO_OBJECT: &str = "(buffers)";
/// Objects that Python keeps for the next ones.
pub const FREE_LISTED: &str = "(Python's free lists)";

impl Grown {
    /// Between two pictures, the earlier first; each with the profile of its build.
    pub fn between(a: (&ProcessPicture, &Profile), b: (&ProcessPicture, &Profile)) -> Self {
        let (before, after) = (By::of(a.0, a.1), By::of(b.0, b.1));
        let part = |picture: &ProcessPicture| -> BTreeMap<String, Load> {
            let rows = picture.inventory.parts.iter();
            rows.map(|row| (row.name.clone(), Load { blocks: 0, bytes: row.bytes })).collect()
        };
        Self {
            resident: (a.0.inventory.source.resident_bytes, b.0.inventory.source.resident_bytes),
            types: changes(before.types, after.types),
            owners: changes(before.owners, after.owners),
            paths: changes(before.paths, after.paths),
            parts: changes(part(a.0), part(b.0)),
        }
    }
}

/// What each type, owner and way of a picture has.
struct By {
    types: BTreeMap<String, Load>,
    owners: BTreeMap<String, Load>,
    paths: BTreeMap<String, Load>,
}

impl By {
    fn of(picture: &ProcessPicture, profile: &Profile) -> Self {
        let Inventory { types, owners, paths, blocks, chunks, .. } = &picture.inventory;
        // By number, which is quick; 0 is none, and free-listed objects stand behind the types.
        let mut of_types = vec![Load::default(); types.len() + 2];
        let mut of_owners = vec![Load::default(); owners.len() + 1];
        let mut of_paths = vec![Load::default(); paths.len() + 1];
        let mut add = |of: u32, owner: u32, path: u32, flags: u8, bytes: u64| {
            let is_kept = flags & BlockFlags::FREE_LISTED != 0;
            let of = if is_kept { types.len() + 1 } else { of as usize };
            let loads =
                [(&mut of_types, of), (&mut of_owners, owner as usize), (&mut of_paths, path as usize)];
            for load in loads.into_iter().filter_map(|(loads, number)| loads.get_mut(number)) {
                load.blocks += 1;
                load.bytes = load.bytes.saturating_add(bytes);
            }
        };
        let number = |column: &[u32], at: usize| column.get(at).copied().unwrap_or(0);
        let in_use = picture.heaps.iter().flat_map(|heap| heap.blocks_in_use(profile));
        for (at, (_, bytes)) in in_use.enumerate() {
            let (of, owner) = (number(&blocks.types, at), number(&blocks.owners, at));
            let flags = blocks.flags.get(at).copied().unwrap_or(0);
            add(of, owner, number(&blocks.paths, at), flags, bytes);
        }
        for chunk in chunks.iter().filter(|chunk| chunk.state.is_used()) {
            add(chunk.type_number, chunk.owner, chunk.path, chunk.flags, chunk.bytes);
        }
        let types = types.iter().map(|of| of.name.as_str());
        Self {
            types: named([NO_OBJECT].into_iter().chain(types).chain([FREE_LISTED]), of_types),
            owners: named([""].into_iter().chain(owners.iter().map(String::as_str)), of_owners),
            paths: named([""].into_iter().chain(paths.iter().map(String::as_str)), of_paths),
        }
    }
}

/// Loads by name; several may have the same. What has none is left out.
fn named<'a>(names: impl Iterator<Item = &'a str>, loads: Vec<Load>) -> BTreeMap<String, Load> {
    let mut all: BTreeMap<String, Load> = BTreeMap::new();
    for (name, load) in names.zip(loads).filter(|(name, load)| !name.is_empty() && load.blocks > 0) {
        let sum = all.entry(name.to_owned()).or_default();
        sum.blocks += load.blocks;
        sum.bytes = sum.bytes.saturating_add(load.bytes);
    }
    all
}

fn changes(before: BTreeMap<String, Load>, after: BTreeMap<String, Load>) -> Vec<Change> {
    let mut all: BTreeMap<String, Change> = BTreeMap::new();
    for (name, load) in before {
        all.entry(name).or_default().before = load;
    }
    for (name, load) in after {
        all.entry(name).or_default().after = load;
    }
    let named = all.into_iter().map(|(name, change)| Change { name, ..change });
    let mut changed: Vec<Change> = named.filter(|change| change.before != change.after).collect();
    changed.sort_by_key(|change| std::cmp::Reverse(change.bytes()));
    changed
}

#[cfg(test)]
mod tests {
    use sim_core::picture::{BlockColumns, ChunkRow, Inventory, PartRow, PictureSource, TypeRow};
    use sim_core::{Call, Domain, Machine, Op, TraceBuilder};

    use super::*;

    /// So many blocks of 32 bytes, of which each second is a Session; a chunk of 1000 bytes, and parts.
    fn picture(blocks: u64) -> ProcessPicture {
        let mut tape = TraceBuilder::new("t");
        for id in 1..=blocks {
            tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 32 } }).unwrap();
        }
        let trace = tape.finish();
        let mut machine = Machine::simulated(&Profile::default(), trace.slot_count()).unwrap();
        machine.run(&trace, 0, trace.len() as usize);
        let of = |name: &str| TypeRow { name: name.to_owned(), ..TypeRow::default() };
        let column = |numbers: [u32; 2]| (0..blocks as usize).map(|at| numbers[at % 2]).collect();
        let inventory = Inventory {
            source: PictureSource { resident_bytes: 100 * blocks, ..PictureSource::default() },
            types: vec![of("app.Session")],
            paths: vec!["app.CACHE[*]".to_owned()],
            blocks: BlockColumns {
                types: column([1, 0]),
                paths: column([1, 0]),
                flags: vec![0; blocks as usize],
                ..BlockColumns::default()
            },
            parts: vec![PartRow { name: "objects in arenas".to_owned(), bytes: 32 * blocks }],
            chunks: vec![ChunkRow { address: 1, bytes: 1000, type_number: 1, ..ChunkRow::default() }],
            ..Inventory::default()
        };
        ProcessPicture { heaps: vec![machine.heap_picture().unwrap()], inventory }
    }

    #[test]
    fn what_came_is_told_by_name_and_what_stayed_is_not() {
        let profile = Profile::default();
        let (a, b) = (picture(100), picture(300));
        let grown = Grown::between((&a, &profile), (&b, &profile));
        assert_eq!(grown.resident, (10_000, 30_000));
        // Both came with as many bytes, so their names decide.
        let [buffers, sessions] = grown.types.as_slice() else { panic!("{:?}", grown.types) };
        assert_eq!((sessions.name.as_str(), sessions.blocks(), sessions.bytes()), ("app.Session", 100, 3200));
        assert_eq!(sessions.before, Load { blocks: 51, bytes: 50 * 32 + 1000 });
        assert_eq!((buffers.name.as_str(), buffers.blocks()), (NO_OBJECT, 100));
        assert_eq!(grown.paths.len(), 1);
        assert_eq!(grown.parts[0].bytes(), 6400);
        let back = Grown::between((&b, &profile), (&a, &profile));
        assert!(back.types.iter().all(|change| change.bytes() == -3200));
        assert_eq!(Grown::between((&a, &profile), (&a, &profile)).types, []);
    }
}
