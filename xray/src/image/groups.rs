//! Ways from a root to blocks, with those that differ in a place of a list only as one.

use std::fmt::Write as _;

use hashbrown::HashMap;

/// Steps back in which a step that comes again is looked for: the way along a linked list is one group and not one for each link.
const STEPS_BACK: usize = 4;
/// Steps into containers that may follow each other.
const MOST_ITEMS: usize = 3;
/// Steps of a way.
const MOST_STEPS: u32 = 24;
/// Groups; what is found beyond is its parent's.
const MOST_GROUPS: usize = 1 << 20;

/// A text by number.
pub type Text = u32;
/// A group by number.
pub type Group = u32;

/// From a block to one that it refers to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// A root.
    Root(Text),
    /// An object's `__dict__`, whose keys are attributes.
    Namespace,
    /// A dict's table of keys.
    Keys,
    /// A dict's or an object's table of values.
    Values,
    /// A container's table of items.
    Items,
    /// Other memory of an object's own.
    Buffer,
    /// An attribute.
    Attribute(Text),
    /// The value for a key.
    Key(Text),
    /// One of many items.
    Item,
    /// A dict's key.
    KeyItself,
    /// A word of an object that has no name: the type's name, and where.
    Word(Text, u32),
    /// An object's type.
    Type,
}

impl Step {
    /// Whether it has no name of its own: what lies behind it is the block's before it.
    pub fn is_silent(self) -> bool {
        matches!(self, Self::Namespace | Self::Keys | Self::Values | Self::Items | Self::Buffer)
    }

    fn is_item(self) -> bool {
        matches!(self, Self::Item | Self::KeyItself | Self::Key(_))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Row {
    parent: Group,
    step: Step,
    depth: u32,
}

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Groups {
    rows: Vec<Row>,
    known: HashMap<(Group, Step), Group>,
    texts: Vec<String>,
    by_text: HashMap<String, Text>,
}

impl Groups {
    /// The number of a text.
    pub(super) fn text(&mut self, text: &str) -> Text {
        if let Some(known) = self.by_text.get(text) {
            return *known;
        }
        let number = self.texts.len() as Text;
        self.texts.push(text.to_owned());
        self.by_text.insert(text.to_owned(), number);
        number
    }

    /// A root of this name.
    pub(super) fn root(&mut self, name: &str) -> Group {
        let step = Step::Root(self.text(name));
        let known = self.known.get(&(Group::MAX, step)).copied();
        known.unwrap_or_else(|| self.insert(Group::MAX, step, 0))
    }

    /// What a step leads to from a group on.
    pub(super) fn child(&mut self, parent: Group, step: Step) -> Group {
        if let Some(known) = self.known.get(&(parent, step)) {
            return *known;
        }
        if let Some(same) = self.repeated(parent, step) {
            self.known.insert((parent, step), same);
            return same;
        }
        let depth = self.rows[parent as usize].depth + u32::from(!step.is_silent());
        if depth > MOST_STEPS || self.rows.len() >= MOST_GROUPS {
            return parent;
        }
        self.insert(parent, step, depth)
    }

    fn insert(&mut self, parent: Group, step: Step, depth: u32) -> Group {
        let number = self.rows.len() as Group;
        self.rows.push(Row { parent, step, depth });
        self.known.insert((parent, step), number);
        number
    }

    /// The group a few steps back that the same step led to.
    fn repeated(&self, parent: Group, step: Step) -> Option<Group> {
        if step.is_silent() {
            return None;
        }
        let mut back = self.back(parent).filter(|group| !self.step(*group).is_silent()).take(STEPS_BACK);
        if step.is_item() {
            let items = self.back(parent).filter(|group| !self.step(*group).is_silent());
            let items = items.take_while(|group| self.step(*group).is_item()).count();
            let nearest = back.next().filter(|_| items >= MOST_ITEMS);
            return nearest.filter(|group| self.step(*group).is_item());
        }
        back.find(|group| self.step(*group) == step)
    }

    fn back(&self, group: Group) -> impl Iterator<Item = Group> + '_ {
        let parent = |group: &Group| Some(self.rows[*group as usize].parent).filter(|up| *up != Group::MAX);
        std::iter::successors(Some(group), parent)
    }

    /// The step that led to a group.
    pub fn step(&self, group: Group) -> Step {
        self.rows[group as usize].step
    }

    /// The group that it was a step from; none for a root.
    pub fn parent(&self, group: Group) -> Option<Group> {
        Some(self.rows[group as usize].parent).filter(|parent| *parent != Group::MAX)
    }

    /// The nearest group with a name: an object's own memory is the object's.
    pub fn named(&self, group: Group) -> Group {
        self.back(group).find(|group| !self.step(*group).is_silent()).unwrap_or(group)
    }

    /// Groups in all.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// A group as Python would write it where it can: `module.CACHE['sessions'][*].history`.
    pub fn name(&self, group: Group) -> String {
        let mut way: Vec<Group> = self.back(group).collect();
        way.reverse();
        let mut name = String::new();
        for group in way {
            self.write(self.step(group), &mut name);
        }
        name
    }

    /// What one step adds to a name.
    pub(super) fn step_name(&self, step: Step) -> String {
        let mut name = String::new();
        self.write(step, &mut name);
        name
    }

    fn write(&self, step: Step, name: &mut String) {
        let text = |number: Text| self.texts[number as usize].as_str();
        // A string takes whatever is written into it.
        let _ = match step {
            Step::Root(root) => write!(name, "{}", text(root)),
            Step::Attribute(attribute) => write!(name, ".{}", text(attribute)),
            Step::Key(key) => write!(name, "[{}]", text(key)),
            Step::Item => write!(name, "[*]"),
            Step::KeyItself => write!(name, ".keys()[*]"),
            Step::Word(of, at) => write!(name, ".{{{}+{at}}}", text(of)),
            Step::Type => write!(name, ".__class__"),
            _ => Ok(()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_way_is_a_short_group() {
        let mut groups = Groups::default();
        let root = groups.root("planted");
        let (next, word) = (Step::Attribute(groups.text("next")), Step::Word(groups.text("Node"), 40));
        let first = groups.child(root, next);
        let mut group = first;
        for _ in 0..1000 {
            group = groups.child(group, Step::Namespace);
            group = groups.child(group, next);
        }
        assert_eq!(groups.named(group), first, "a linked list");
        for _ in 0..1000 {
            group = groups.child(group, word);
            group = groups.child(group, next);
        }
        assert!(groups.count() < 20);
        let mut group = first;
        for _ in 0..1000 {
            group = groups.child(group, Step::Items);
            group = groups.child(group, Step::Item);
        }
        assert_eq!(groups.name(group), "planted.next[*][*][*]", "nested lists");
    }

    #[test]
    fn a_name_leaves_out_what_has_none() {
        let mut groups = Groups::default();
        let mut group = groups.root("planted");
        let (cache, key) = (groups.text("CACHE"), groups.text("'sessions'"));
        for step in [
            Step::Namespace,
            Step::Keys,
            Step::Attribute(cache),
            Step::Keys,
            Step::Key(key),
            Step::Items,
            Step::Item,
        ] {
            group = groups.child(group, step);
        }
        assert_eq!(groups.name(group), "planted.CACHE['sessions'][*]");
        let buffer = groups.child(group, Step::Buffer);
        assert_eq!(groups.named(buffer), group);
    }
}
