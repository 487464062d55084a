//! `_Py_hashtable_t`: chained hash tables whose order and size `CPython` lets programs see.
//!
//! `_get_traces()` lists blocks in the order of these tables and `get_tracemalloc_memory()` adds up
//! their sizes, so both are kept exactly: when a table grows and shrinks, and how that reorders chains.
//! Source: `Python/hashtable.c`, the same since 3.9.

/// `HASHTABLE_MIN_SIZE`: buckets of an empty table.
const MIN_BUCKETS: u64 = 16;

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// How full a table is, which alone decides its number of buckets and its size in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    nbuckets: u64,
    nentries: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self { nbuckets: MIN_BUCKETS, nentries: 0 }
    }
}

impl Load {
    /// `nbuckets`: a power of two, at least 16.
    pub fn nbuckets(self) -> u64 {
        self.nbuckets
    }

    /// `nentries`.
    pub fn nentries(self) -> u64 {
        self.nentries
    }

    /// Counts an entry that is about to be added; true if the number of buckets changed. The table must
    /// then be rehashed before the entry goes in.
    pub fn add(&mut self) -> bool {
        self.nentries += 1;
        // HASHTABLE_HIGH is 0.50.
        self.nentries * 2 > self.nbuckets && self.rehash()
    }

    /// Counts an entry that is gone; true if the number of buckets changed.
    pub fn remove(&mut self) -> bool {
        self.nentries -= 1;
        // HASHTABLE_LOW is 0.10.
        self.nentries * 10 < self.nbuckets && self.rehash()
    }

    /// `_Py_hashtable_size` in bytes: the table's record of `record` words, a word per bucket and `entry` words per entry.
    /// What keys and values point to is not in it.
    pub fn size(self, pointer_bytes: u32, record: u64, entry: u64) -> u64 {
        u64::from(pointer_bytes) * (record + self.nbuckets + entry * self.nentries)
    }

    /// `hashtable_rehash`: the smallest power of two that is not below `nentries * 2 / (0.10 + 0.50)`,
    /// rounded down.
    fn rehash(&mut self) -> bool {
        let new_size = (self.nentries * 10 / 3).max(MIN_BUCKETS).next_power_of_two();
        std::mem::replace(&mut self.nbuckets, new_size) != new_size
    }
}

/// `hash_func` of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashFunc {
    /// `_Py_hashtable_hash_ptr` of a 64-bit build: the four low bits, which alignment makes dull, go to
    /// the top.
    Pointer64,
    /// The same in a 32-bit build.
    Pointer32,
    /// `hashtable_hash_uint`: the number itself.
    Uint,
}

impl HashFunc {
    /// The pointer hash of a build with pointers of so many bytes.
    #[must_use]
    pub fn pointer(pointer_bytes: u32) -> Self {
        if pointer_bytes == 4 { Self::Pointer32 } else { Self::Pointer64 }
    }

    fn hash(self, key: u64) -> u64 {
        match self {
            Self::Pointer64 => key.rotate_right(4),
            Self::Pointer32 => u64::from((key as u32).rotate_right(4)),
            Self::Uint => key,
        }
    }
}

#[derive(Clone, Debug)]
struct Entry<V> {
    key: u64,
    value: V,
    /// The next entry of the bucket, or of the list of unused entries.
    next: u32,
}

/// A table from pointers or domain numbers to small values.
#[derive(Clone, Debug)]
pub struct HashTable<V> {
    hash_func: HashFunc,
    load: Load,
    /// The newest entry of each bucket.
    heads: Vec<u32>,
    entries: Vec<Entry<V>>,
    /// Entries that were stolen and can be used again.
    unused: u32,
}

impl<V: Copy> HashTable<V> {
    /// `_Py_hashtable_new_full`: an empty table of 16 buckets.
    #[must_use]
    pub fn new(hash_func: HashFunc) -> Self {
        let load = Load::default();
        Self { hash_func, load, heads: vec![NONE; load.nbuckets as usize], entries: Vec::new(), unused: NONE }
    }

    /// Buckets and entries.
    pub fn load(&self) -> Load {
        self.load
    }

    /// `_Py_hashtable_get`.
    pub fn get(&self, key: u64) -> Option<V> {
        self.find(key).map(|index| self.entries[index as usize].value)
    }

    /// As [`get`](Self::get), to change the value. Its place in the order stays.
    pub fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        self.find(key).map(|index| &mut self.entries[index as usize].value)
    }

    /// `_Py_hashtable_set`: a new entry goes to the front of its bucket. The key must not be there yet.
    pub fn set(&mut self, key: u64, value: V) {
        debug_assert!(self.find(key).is_none(), "key {key:#x} is in the table already");
        if self.load.add() {
            self.rehash();
        }
        let bucket = self.bucket(key);
        let entry = Entry { key, value, next: self.heads[bucket] };
        self.heads[bucket] = if self.unused == NONE {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let index = self.unused;
            self.unused = self.entries[index as usize].next;
            self.entries[index as usize] = entry;
            index
        };
    }

    /// `_Py_hashtable_steal`: removes an entry and gives its value.
    pub fn steal(&mut self, key: u64) -> Option<V> {
        let bucket = self.bucket(key);
        let (mut previous, mut index) = (NONE, self.heads[bucket]);
        loop {
            if index == NONE {
                return None;
            }
            if self.entries[index as usize].key == key {
                break;
            }
            (previous, index) = (index, self.entries[index as usize].next);
        }
        let Entry { value, next, .. } = self.entries[index as usize];
        if previous == NONE {
            self.heads[bucket] = next;
        } else {
            self.entries[previous as usize].next = next;
        }
        self.entries[index as usize].next = self.unused;
        self.unused = index;
        if self.load.remove() {
            self.rehash();
        }
        Some(value)
    }

    /// `_Py_hashtable_clear`: no entries, 16 buckets.
    pub fn clear(&mut self) {
        *self = Self::new(self.hash_func);
    }

    /// `_Py_hashtable_foreach`: keys and values by bucket, the newest of a bucket first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, V)> {
        self.heads.iter().flat_map(|&head| {
            let entry = |index: u32| self.entries.get(index as usize);
            std::iter::successors(entry(head), move |e| entry(e.next)).map(|e| (e.key, e.value))
        })
    }

    /// `tracemalloc_copy_traces`: the entries put one by one into a new table. As that grows from 16
    /// buckets and puts each entry in front, the copy's order is not the original's.
    #[must_use]
    pub fn copy(&self) -> Self {
        let mut copy = Self::new(self.hash_func);
        for (key, value) in self.iter() {
            copy.set(key, value);
        }
        copy
    }

    fn bucket(&self, key: u64) -> usize {
        (self.hash_func.hash(key) & (self.heads.len() as u64 - 1)) as usize
    }

    fn find(&self, key: u64) -> Option<u32> {
        let mut index = self.heads[self.bucket(key)];
        while index != NONE {
            let entry = &self.entries[index as usize];
            if entry.key == key {
                return Some(index);
            }
            index = entry.next;
        }
        None
    }

    /// `hashtable_rehash`: entries move in the table's order, each to the front of its new bucket.
    fn rehash(&mut self) {
        let old = std::mem::replace(&mut self.heads, vec![NONE; self.load.nbuckets as usize]);
        for mut index in old {
            while index != NONE {
                let Entry { key, next, .. } = self.entries[index as usize];
                let bucket = self.bucket(key);
                self.entries[index as usize].next = self.heads[bucket];
                self.heads[bucket] = index;
                index = next;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn keys(table: &HashTable<()>) -> Vec<u64> {
        table.iter().map(|(key, ())| key).collect()
    }

    #[test]
    fn the_size_jumps_at_9_17_and_33_entries() {
        let mut load = Load::default();
        assert_eq!(load.size(8, 10, 4), 208);
        let steps: Vec<u64> = (1..=34)
            .map(|_| {
                let before = load.size(8, 10, 4);
                load.add();
                load.size(8, 10, 4) - before
            })
            .collect();
        for (index, step) in steps.iter().enumerate() {
            let expected = match index + 1 {
                9 => 160,
                17 => 288,
                33 => 544,
                _ => 32,
            };
            assert_eq!(*step, expected, "entry {}", index + 1);
        }
    }

    #[test]
    fn a_32_bit_table_takes_half() {
        let mut load = Load::default();
        load.add();
        assert_eq!(load.size(4, 10, 4), load.size(8, 10, 4) / 2);
    }

    #[test]
    fn a_table_shrinks_below_a_tenth_to_what_its_entries_need() {
        let mut load = Load::default();
        for _ in 0..65 {
            load.add();
        }
        assert_eq!(load.nbuckets(), 256);
        let shrunk: Vec<(u64, u64)> =
            (0..65).filter_map(|_| load.remove().then_some((load.nentries, load.nbuckets))).collect();
        // 25 entries of 256 are under a tenth: int(25 / 0.3) = 83, so 128. 12 of 128: int(40) -> 64.
        assert_eq!(shrunk, [(25, 128), (12, 64), (6, 32), (3, 16)]);
    }

    #[test]
    fn pointers_hash_without_their_low_bits() {
        assert_eq!(HashFunc::pointer(8).hash(0x1230), 0x123);
        assert_eq!(HashFunc::pointer(8).hash(0x1234), 0x4000_0000_0000_0123);
        assert_eq!(HashFunc::pointer(4).hash(0x1234), 0x4000_0123);
        assert_eq!(HashFunc::Uint.hash(0x1234), 0x1234);
    }

    #[test]
    fn order_is_by_bucket_and_newest_first_and_copying_reverses_chains() {
        let mut table = HashTable::new(HashFunc::Uint);
        for key in [5, 1, 33, 17, 77, 78] {
            table.set(key, ());
        }
        assert_eq!(keys(&table), [17, 33, 1, 5, 77, 78]);
        assert_eq!(keys(&table.copy()), [1, 33, 17, 5, 77, 78]);
    }

    #[test]
    fn growing_reverses_chains_too() {
        let mut table = HashTable::new(HashFunc::Uint);
        for key in [0, 32, 64, 96, 1, 2, 3, 4] {
            table.set(key, ());
        }
        assert_eq!(keys(&table), [96, 64, 32, 0, 1, 2, 3, 4]);
        table.set(128, ());
        assert_eq!(table.load().nbuckets(), 32);
        assert_eq!(keys(&table), [128, 0, 32, 64, 96, 1, 2, 3, 4]);
    }

    #[test]
    fn stolen_entries_are_gone_and_their_room_is_used_again() {
        let mut table = HashTable::new(HashFunc::pointer(8));
        for key in [16u64, 272, 528] {
            table.set(key, key * 2);
        }
        assert_eq!(table.steal(272), Some(544));
        assert_eq!(table.steal(272), None);
        assert_eq!(table.get(272), None);
        table.set(32, 1);
        *table.get_mut(32).unwrap() += 1;
        assert_eq!(table.get(32), Some(2));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(528, 1056), (16, 32), (32, 2)]);
        assert_eq!(table.entries.len(), 3);
        table.clear();
        assert_eq!((table.load(), table.iter().count()), (Load::default(), 0));
    }
}
