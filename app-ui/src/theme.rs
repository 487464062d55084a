//! Every color of the window, light and dark. No other file makes one.
//!
//! State is told by fill (solid, hollow, dotted, outlined), never by hue alone. Size classes run from dark
//! to light along an even ramp from blue to yellow, which holds for the common color-vision deficiencies.

use egui::{Color32, CornerRadius, Stroke, Visuals};
use session::analysis::anatomy::Part;
use session::palette;
use sim_core::SizeClass;

/// The colors of one theme, for a build with a given number of size classes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Theme {
    /// Whether it is the dark one.
    pub(crate) dark: bool,
    /// Ground of the map and other pictures.
    pub(crate) ground: Color32,
    /// Ground of an arena's tile.
    pub(crate) tile: Color32,
    /// Strong text.
    pub(crate) text: Color32,
    /// Weak text.
    pub(crate) weak: Color32,
    /// Outlines of empty pools and of free blocks.
    pub(crate) line: Color32,
    /// Dots of what was never carved.
    pub(crate) dot: Color32,
    /// What the current step touches.
    pub(crate) touched: Color32,
    /// What the inspector is pinned to, and the pointer's place.
    pub(crate) pinned: Color32,
    /// Pool headers.
    pub(crate) header: Color32,
    /// Memory that nothing can use.
    pub(crate) lost: Color32,
    /// Ground of an error.
    pub(crate) error: Color32,
    /// Text on that.
    pub(crate) error_text: Color32,
    /// Ground of a hint.
    pub(crate) hint: Color32,
    /// Bytes in live blocks, in the bar of the whole tape.
    pub(crate) live: Color32,
    /// Bytes held in arenas, there.
    pub(crate) held: Color32,
    /// Dims what is not final.
    pub(crate) veil: Color32,
    ramp: Vec<Color32>,
}

impl Theme {
    /// The theme for `classes` size classes.
    pub(crate) fn new(dark: bool, classes: u16) -> Self {
        let classes = classes.max(1);
        let rgb = Color32::from_rgb;
        let ramp = (0..classes).map(|class| of(palette::class(dark, SizeClass(class), classes))).collect();
        if dark {
            Self {
                dark,
                ground: rgb(15, 18, 23),
                tile: rgb(25, 29, 36),
                text: rgb(232, 235, 240),
                weak: rgb(154, 163, 177),
                line: rgb(116, 126, 142),
                dot: rgb(78, 87, 101),
                touched: rgb(255, 122, 61),
                pinned: rgb(255, 255, 255),
                header: rgb(64, 72, 86),
                lost: rgb(92, 70, 78),
                error: rgb(92, 30, 34),
                error_text: rgb(255, 226, 222),
                hint: rgb(30, 45, 63),
                live: rgb(72, 147, 190),
                held: rgb(52, 62, 77),
                veil: Color32::from_black_alpha(120),
                ramp,
            }
        } else {
            Self {
                dark,
                ground: rgb(255, 255, 255),
                tile: rgb(241, 243, 246),
                text: rgb(24, 28, 35),
                weak: rgb(88, 97, 112),
                line: rgb(126, 136, 151),
                dot: rgb(174, 182, 194),
                touched: rgb(214, 72, 10),
                pinned: rgb(0, 0, 0),
                header: rgb(201, 207, 217),
                lost: rgb(231, 205, 205),
                error: rgb(253, 224, 220),
                error_text: rgb(112, 16, 12),
                hint: rgb(222, 236, 250),
                live: rgb(58, 126, 170),
                held: rgb(208, 217, 228),
                veil: Color32::from_white_alpha(130),
                ramp,
            }
        }
    }

    /// The color of a size class.
    pub(crate) fn class(&self, class: u16) -> Color32 {
        let last = self.ramp.len() - 1;
        self.ramp[usize::from(class).min(last)]
    }

    /// The color of a group by its number: of the same ramp, each far from the one before.
    pub(crate) fn group(&self, group: u8) -> Color32 {
        const PLACES: [f32; 7] = [0.2, 0.8, 0.5, 1.0, 0.0, 0.65, 0.35];
        self.ramp(PLACES[usize::from(group) % PLACES.len()])
    }

    /// A color of the same ramp, from its dark end (0) to its light end (1).
    pub(crate) fn ramp(&self, share: f32) -> Color32 {
        let last = (self.ramp.len() - 1) as f32;
        self.ramp[(last * share.clamp(0.0, 1.0)).round() as usize]
    }

    /// The ground of a byte by what it is.
    pub(crate) fn part(&self, part: Part) -> Color32 {
        match part {
            Part::Size => self.ramp(0.0),
            Part::Id => self.ramp(0.45),
            Part::Pad => self.ramp(1.0),
            Part::Data | Part::Other => self.tile,
            Part::Rounding => self.ground,
            Part::Link => self.held,
            Part::Dead => self.lost,
        }
    }

    /// Size classes it has colors for.
    pub(crate) fn classes(&self) -> usize {
        self.ramp.len()
    }

    /// A quarter of a color on a tile: the unfilled part of a gauge.
    pub(crate) fn tint(&self, color: Color32) -> Color32 {
        mix(self.tile, color, 0.22)
    }

    /// Black or white, whichever reads better on a ground.
    pub(crate) fn on(ground: Color32) -> Color32 {
        if palette::takes_dark_ink([ground.r(), ground.g(), ground.b()]) {
            Color32::from_rgb(10, 12, 15)
        } else {
            Color32::WHITE
        }
    }

    /// What goes around a line of a color, so that it shows on any ground.
    pub(crate) fn casing(color: Color32) -> Color32 {
        if color.intensity() > 0.5 { Color32::BLACK } else { Color32::WHITE }
    }

    /// A color, more or less transparent.
    pub(crate) fn faded(color: Color32, share: f32) -> Color32 {
        color.gamma_multiply(share.clamp(0.0, 1.0))
    }
}

/// A color of the palette.
fn of([r, g, b]: [u8; 3]) -> Color32 {
    Color32::from_rgb(r, g, b)
}

/// One color on the way to another, in steps of their stored values.
pub(crate) fn mix(from: Color32, to: Color32, share: f32) -> Color32 {
    from.lerp_to_gamma(to, share.clamp(0.0, 1.0))
}

/// Gives egui's widgets the same colors, and the window its spacing.
pub(crate) fn install(ctx: &egui::Context) {
    for (theme, dark) in [(egui::Theme::Dark, true), (egui::Theme::Light, false)] {
        let colors = Theme::new(dark, 2);
        ctx.style_mut_of(theme, |style| {
            restyle(&mut style.visuals, &colors);
            style.spacing.item_spacing = egui::vec2(8.0, 5.0);
            style.spacing.button_padding = egui::vec2(7.0, 3.0);
            style.interaction.tooltip_delay = 0.35;
            // Text is for reading here; dragging across a table should not paint it blue.
            style.interaction.selectable_labels = false;
        });
    }
}

fn restyle(visuals: &mut Visuals, theme: &Theme) {
    let rgb = Color32::from_rgb;
    let (panel, extreme, faint, accent) = if theme.dark {
        (rgb(20, 23, 29), rgb(11, 13, 17), rgb(26, 30, 38), rgb(38, 84, 124))
    } else {
        (rgb(248, 249, 250), rgb(255, 255, 255), rgb(238, 241, 245), rgb(176, 211, 240))
    };
    visuals.panel_fill = panel;
    visuals.window_fill = if theme.dark { rgb(27, 31, 39) } else { rgb(255, 255, 255) };
    visuals.extreme_bg_color = extreme;
    visuals.faint_bg_color = faint;
    visuals.selection.bg_fill = accent;
    visuals.selection.stroke = Stroke::new(1.0, theme.text);
    visuals.hyperlink_color = if theme.dark { rgb(125, 190, 240) } else { rgb(12, 92, 158) };
    visuals.widgets.noninteractive.fg_stroke.color = theme.text;
    visuals.widgets.inactive.fg_stroke.color = theme.text;
    visuals.widgets.noninteractive.bg_stroke.color =
        if theme.dark { rgb(44, 50, 61) } else { rgb(214, 219, 226) };
    if theme.dark {
        visuals.widgets.inactive.weak_bg_fill = rgb(40, 46, 57);
        visuals.widgets.inactive.bg_fill = rgb(52, 60, 74);
    } else {
        visuals.widgets.inactive.weak_bg_fill = rgb(229, 233, 239);
        visuals.widgets.inactive.bg_fill = rgb(214, 220, 229);
    }
    for widget in [
        &mut visuals.widgets.inactive,
        &mut visuals.widgets.hovered,
        &mut visuals.widgets.active,
        &mut visuals.widgets.open,
    ] {
        widget.corner_radius = CornerRadius::same(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(color: Color32) -> f32 {
        palette::luminance([color.r(), color.g(), color.b()])
    }

    fn contrast(a: Color32, b: Color32) -> f32 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn the_ramp_gets_lighter_class_by_class() {
        for (dark, classes) in [(true, 32), (false, 32), (true, 64), (false, 64)] {
            let theme = Theme::new(dark, classes);
            for class in 1..classes {
                assert!(luminance(theme.class(class)) > luminance(theme.class(class - 1)), "{dark} {class}");
            }
        }
    }

    #[test]
    fn text_reads_on_its_ground() {
        for dark in [true, false] {
            let theme = Theme::new(dark, 32);
            assert!(contrast(theme.text, theme.ground) > 7.0);
            assert!(contrast(theme.weak, theme.ground) > 4.5);
            assert!(contrast(theme.error_text, theme.error) > 4.5);
            assert!(contrast(theme.text, theme.hint) > 4.5);
            assert!(contrast(theme.touched, theme.ground) > 3.0);
            for class in 0..32 {
                let ground = theme.class(class);
                assert!(contrast(Theme::on(ground), ground) > 4.0, "{dark} {class}");
            }
        }
    }
}
