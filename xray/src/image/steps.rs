//! What a reference is called: the attribute, key or place that it stands at.

use std::rc::Rc;

use hashbrown::HashMap;

use super::edges::{Edge, Edges};
use super::frames;
use super::groups::{Groups, Step, Text};
use super::layout::Version;
use super::memory::Memory;
use super::nodes::Node;
use super::objects;
use super::shape::{MANAGED, MANAGED_SECOND, NDARRAY_BASE, Shape, Sort};

/// Entries of a dict up to which each key is a group of its own.
const MOST_KEYS: u64 = 32;
/// Names of attributes that are kept for a table of keys.
const MOST_NAMES: u64 = 64;
/// Letters of a key that are shown, where contents are.
const MOST_LETTERS: usize = 30;
/// Letters of an attribute's name.
const MOST_ATTRIBUTE: usize = 100;

/// Whether what is in objects may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contents {
    /// Names of modules, types and attributes only; keys by type and length.
    Hidden,
    /// Keys too, their first letters.
    Shown,
}

/// How references of one block are called.
#[derive(Clone, Debug)]
pub(super) enum Naming {
    /// An object's.
    Object { start: u64, of: u32 },
    /// Of a table of keys: where its entries begin, bytes of one, entries, and whether keys are attributes.
    Keys { entries: u64, bytes: u64, count: u64, attributes: bool },
    /// Of a table of values: where it begins, and what it has the values of.
    Values { first: u64, names: Rc<[Text]>, attributes: bool },
    /// Of a frame: the words before its variables as an object's, then these.
    Frame { start: u64, of: u32, locals: u64, names: Rc<[Text]> },
    /// Of a table of items.
    Items,
    /// Of other memory.
    Plain,
}

/// Names references.
pub(super) struct Steps<'a, 'b> {
    edges: &'b Edges<'a>,
    contents: Contents,
    /// Names by their string's address.
    attributes: HashMap<u64, Text>,
    keys: HashMap<u64, Text>,
    /// Names that a table of keys has, by its address.
    tables: HashMap<(u64, bool), Rc<[Text]>>,
    types: HashMap<u64, u32>,
    type_names: HashMap<u32, Text>,
}

impl<'a, 'b> Steps<'a, 'b> {
    pub(super) fn new(edges: &'b Edges<'a>, contents: Contents) -> Self {
        let types = edges.nodes().picture().types.iter().map(|of| of.addr).zip(0..).collect();
        Self {
            edges,
            contents,
            attributes: HashMap::new(),
            keys: HashMap::new(),
            tables: HashMap::new(),
            types,
            type_names: HashMap::new(),
        }
    }

    fn memory(&self) -> &'a Memory {
        self.edges.memory
    }

    fn version(&self) -> Version {
        self.edges.version()
    }

    fn shape(&self, of: u32) -> &'b Shape {
        &self.edges.shapes[of as usize]
    }

    /// How references of a block are called that was reached by a step from `parent`, which itself was reached by another.
    pub(super) fn naming(
        &mut self,
        groups: &mut Groups,
        node: Node,
        parent: Option<Node>,
        step: Step,
        before: Option<Step>,
    ) -> Naming {
        let nodes = self.edges.nodes();
        if let Some(object) = nodes.object(node) {
            let (start, of) = (nodes.place(node).0 + u64::from(object.offset), object.of);
            let sort = self.shape(of).sort;
            if matches!(sort, Sort::Generator | Sort::Frame)
                && let Some((locals, names)) = frames::locals_of(self.edges, start, sort == Sort::Frame)
            {
                let names = names.iter().map(|name| groups.text(name)).collect();
                return Naming::Frame { start, of, locals, names };
            }
            return Naming::Object { start, of };
        }
        let attributes = before == Some(Step::Namespace);
        match (step, parent.and_then(|parent| self.edges.object(parent))) {
            (Step::Keys, Some((start, shape))) => {
                let is_dict = shape.sort == Sort::Dict;
                let at = if is_dict { 32 } else { self.version().ht_cached_keys() };
                let addr = self.memory().word(start.wrapping_add(at));
                let entries = addr.and_then(|addr| objects::entries(self.memory(), self.version(), addr));
                entries.map_or(Naming::Plain, |(entries, bytes, count)| Naming::Keys {
                    entries,
                    bytes,
                    count,
                    attributes: attributes || !is_dict,
                })
            }
            (Step::Values, Some((start, shape))) => {
                let is_dict = shape.sort == Sort::Dict;
                let (first, keys) = if is_dict {
                    (
                        self.memory().word(start.wrapping_add(40)),
                        self.memory().word(start.wrapping_add(32)).unwrap_or(0),
                    )
                } else {
                    (self.edges.values_of(start), shape.cached_keys)
                };
                let prefix = if self.version().minor < 13 { 0 } else { 8 };
                let attributes = attributes || !is_dict;
                let names = self.names(groups, keys, attributes);
                first.map_or(Naming::Plain, |first| Naming::Values {
                    first: first.wrapping_add(prefix),
                    names,
                    attributes,
                })
            }
            (Step::Items, _) => Naming::Items,
            _ => Naming::Plain,
        }
    }

    /// What a reference is called.
    pub(super) fn step(&mut self, groups: &mut Groups, naming: &Naming, edge: Edge) -> Step {
        let is_object = self.edges.nodes().object(edge.to).is_some();
        match naming {
            Naming::Object { start, of } => self.of_object(groups, *start, *of, edge, is_object),
            Naming::Keys { entries, bytes, count, attributes } => {
                let Some(offset) = edge.at.checked_sub(*entries) else { return Step::Buffer };
                let (number, within) = (offset / bytes, offset % bytes);
                let is_value = within + 8 == *bytes;
                if !is_value {
                    return Step::KeyItself;
                }
                if *count > MOST_KEYS && !attributes {
                    return Step::Item;
                }
                let key = entries.wrapping_add(number * bytes + bytes - 16);
                let key = self.memory().word(key).unwrap_or(0);
                self.named(groups, key, *attributes)
            }
            Naming::Values { first, names, attributes } => {
                let number = edge.at.wrapping_sub(*first) / 8;
                match names.get(number as usize) {
                    Some(name) if *attributes => Step::Attribute(*name),
                    Some(name) => Step::Key(*name),
                    None => Step::Item,
                }
            }
            Naming::Frame { start, of, locals, names } => {
                let number = edge.at.checked_sub(*locals).map(|distance| (distance / 8) as usize);
                match number {
                    Some(number) => names.get(number).map_or(Step::Item, |name| Step::Attribute(*name)),
                    None => self.of_object(groups, *start, *of, edge, is_object),
                }
            }
            Naming::Items => {
                if is_object {
                    Step::Item
                } else {
                    Step::Items
                }
            }
            Naming::Plain => {
                if is_object {
                    Step::Item
                } else {
                    Step::Buffer
                }
            }
        }
    }

    fn named(&mut self, groups: &mut Groups, key: u64, attributes: bool) -> Step {
        if attributes {
            Step::Attribute(self.attribute(groups, key))
        } else {
            Step::Key(self.key(groups, key))
        }
    }

    fn of_object(&mut self, groups: &mut Groups, start: u64, of: u32, edge: Edge, is_object: bool) -> Step {
        let shape = self.shape(of);
        let offset = edge.at.wrapping_sub(start);
        let own = match shape.sort {
            Sort::Dict if offset == 32 => Some(Step::Keys),
            Sort::Dict if offset == 40 => Some(Step::Values),
            Sort::List if offset == 24 => Some(Step::Items),
            Sort::Set if offset == 40 => Some(Step::Items),
            Sort::Deque if !is_object => Some(Step::Items),
            Sort::Set if offset >= 64 => Some(Step::Item),
            Sort::Tuple if offset >= self.version().tuple_items() && offset < 1 << 40 => Some(Step::Item),
            Sort::Module if offset == 16 => Some(Step::Namespace),
            Sort::Cell if offset == 16 => Some(Step::Attribute(groups.text("cell_contents"))),
            Sort::Ndarray if offset == NDARRAY_BASE => Some(Step::Attribute(groups.text("base"))),
            Sort::Type => self.of_type(groups, offset),
            _ => None,
        };
        if let Some(own) = own {
            return own;
        }
        if shape.dict == Some(offset) && is_object {
            return Step::Namespace;
        }
        if shape.managed && matches!(offset, MANAGED | MANAGED_SECOND) {
            return Step::Values;
        }
        if let Some(inline) = shape.inline.filter(|inline| offset >= *inline && offset < 1 << 40) {
            let number = (offset - inline).saturating_sub(8) / 8;
            let names = self.names(groups, shape.cached_keys, true);
            return names.get(number as usize).map_or(Step::Item, |name| Step::Attribute(*name));
        }
        if let Some(name) = shape.members.get(&offset) {
            return Step::Attribute(groups.text(name));
        }
        if !is_object {
            return Step::Buffer;
        }
        let name = self.type_name(groups, of);
        Step::Word(name, offset.min(1 << 31) as u32)
    }

    fn of_type(&self, groups: &mut Groups, offset: u64) -> Option<Step> {
        use super::layout::type_object::{BASE, BASES, CACHE, DICT, MRO, SUBCLASSES};
        let name = match offset {
            DICT => return Some(Step::Namespace),
            _ if offset == self.version().ht_cached_keys() => return Some(Step::Keys),
            BASE => "__base__",
            BASES => "__bases__",
            MRO => "__mro__",
            CACHE => "(cache)",
            SUBCLASSES => "__subclasses__()",
            _ => return None,
        };
        Some(Step::Attribute(groups.text(name)))
    }

    fn type_name(&mut self, groups: &mut Groups, of: u32) -> Text {
        let edges = self.edges;
        *self.type_names.entry(of).or_insert_with(|| {
            let name = edges.nodes().picture().types[of as usize].name.as_str();
            groups.text(name.strip_prefix("builtins.").unwrap_or(name))
        })
    }

    /// The names that a table of keys has, by number.
    fn names(&mut self, groups: &mut Groups, keys: u64, attributes: bool) -> Rc<[Text]> {
        if let Some(known) = self.tables.get(&(keys, attributes)) {
            return Rc::clone(known);
        }
        let entries = if keys == 0 { None } else { objects::entries(self.memory(), self.version(), keys) };
        let names: Rc<[Text]> = match entries {
            None => Rc::new([]),
            Some((entries, bytes, count)) => (0..count.min(MOST_NAMES))
                .map(|number| {
                    let at = entries.wrapping_add(number * bytes + bytes - 16);
                    let key = self.memory().word(at).unwrap_or(0);
                    if attributes { self.attribute(groups, key) } else { self.key(groups, key) }
                })
                .collect(),
        };
        self.tables.insert((keys, attributes), Rc::clone(&names));
        names
    }

    /// The name of an attribute, whose string lies at an address.
    fn attribute(&mut self, groups: &mut Groups, key: u64) -> Text {
        if let Some(known) = self.attributes.get(&key) {
            return *known;
        }
        let text = self
            .is_str(key)
            .then(|| objects::text(self.memory(), self.version(), key))
            .flatten()
            .map_or_else(|| "?".to_owned(), |text| text.chars().take(MOST_ATTRIBUTE).collect());
        let number = groups.text(&text);
        self.attributes.insert(key, number);
        number
    }

    /// A key as it may be shown.
    fn key(&mut self, groups: &mut Groups, key: u64) -> Text {
        if let Some(known) = self.keys.get(&key) {
            return *known;
        }
        let shown = self.shown(key);
        let number = groups.text(&shown);
        self.keys.insert(key, number);
        number
    }

    fn is_str(&self, addr: u64) -> bool {
        self.type_at(addr).is_some_and(|of| self.shape(of).sort == Sort::Str)
    }

    /// The type of the object at an address, in a block or not.
    fn type_at(&self, addr: u64) -> Option<u32> {
        self.types.get(&self.memory().word(addr.checked_add(8)?)?).copied()
    }

    fn shown(&self, key: u64) -> String {
        let Some(of) = self.type_at(key) else { return "*".to_owned() };
        let name = self.edges.nodes().picture().types[of as usize].name.as_str();
        let name = name.strip_prefix("builtins.").unwrap_or(name);
        let (memory, version) = (self.memory(), self.version());
        match (self.contents, self.shape(of).sort) {
            (Contents::Shown, Sort::Str) => {
                objects::text(memory, version, key).map_or_else(|| name.to_owned(), |text| quoted(&text))
            }
            (Contents::Shown, Sort::Leaf) if name == "int" => {
                objects::int(memory, version, key).map_or_else(|| name.to_owned(), |int| int.to_string())
            }
            (Contents::Hidden, Sort::Str) => objects::StrShape::at(memory, version, key)
                .map_or_else(|| name.to_owned(), |shape| format!("str len {}", shape.length)),
            _ => name.to_owned(),
        }
    }
}

/// A text in quotes, cut.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MOST_LETTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("'{}'", shown.replace('\\', "\\\\").replace('\'', "\\'"))
}
