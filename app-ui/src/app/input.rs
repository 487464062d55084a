//! What comes in between frames, in pieces that a frame can take.

use egui::{Event, Key, RawInput};

/// Events that wait for the next frames.
///
/// A frame moves the focus once, however many Tabs it gets; so each of them gets a frame of its own, and what was
/// typed behind it waits with the rest.
#[derive(Default)]
pub(super) struct Held(Vec<Event>);

impl Held {
    /// Takes away from a frame's input what follows its first Tab, and puts what waited in front. Whether something
    /// waits now.
    pub(super) fn pace(&mut self, input: &mut RawInput) -> bool {
        let mut events = std::mem::take(&mut self.0);
        events.append(&mut input.events);
        let mut tabs = events.iter().enumerate().filter(|(_, event)| is_tab(event));
        if let (Some(_), Some((second, _))) = (tabs.next(), tabs.next()) {
            self.0 = events.split_off(second);
        }
        input.events = events;
        !self.0.is_empty()
    }
}

fn is_tab(event: &Event) -> bool {
    matches!(event, Event::Key { key: Key::Tab, pressed: true, .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::Modifiers;

    #[test]
    fn each_tab_moves_the_focus_however_quickly_they_come() {
        let tab = Event::Key {
            key: Key::Tab,
            physical_key: None,
            pressed: true,
            repeat: false,
            modifiers: Modifiers::NONE,
        };
        let ctx = egui::Context::default();
        let mut held = Held::default();
        let mut frame = |events: Vec<Event>| {
            let mut input = RawInput { events, ..RawInput::default() };
            let waits = held.pace(&mut input);
            let mut focused = None;
            let mut output = ctx.run_ui(input, |ui| {
                for index in 0..8 {
                    if ui.button(format!("button {index}")).has_focus() {
                        focused = Some(index);
                    }
                }
            });
            output.textures_delta.clear();
            (waits, focused)
        };
        frame(Vec::new());
        let mut waits = frame(vec![tab; 5]).0;
        while waits {
            waits = frame(Vec::new()).0;
        }
        assert_eq!(frame(Vec::new()).1, Some(4), "the fifth button after five Tabs");
    }

    #[test]
    fn what_follows_a_tab_stays_behind_it() {
        let key = |key| Event::Key {
            key,
            physical_key: None,
            pressed: true,
            repeat: false,
            modifiers: Modifiers::NONE,
        };
        let mut held = Held::default();
        let events = [Key::A, Key::Tab, Key::B, Key::Tab, Key::Enter].map(key).to_vec();
        let mut first = RawInput { events, ..RawInput::default() };
        assert!(held.pace(&mut first));
        assert_eq!(first.events, [Key::A, Key::Tab, Key::B].map(key));
        let mut second = RawInput { events: vec![key(Key::C)], ..RawInput::default() };
        assert!(!held.pace(&mut second));
        assert_eq!(second.events, [Key::Tab, Key::Enter, Key::C].map(key));
    }
}
