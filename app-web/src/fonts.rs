//! The page's fonts: egui's, made smaller by `app-web-fonts`.

use std::sync::Arc;

use eframe::egui::{FontData, FontDefinitions, FontFamily};

/// The fonts, with egui's names and in egui's order.
pub(crate) fn definitions() -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    for (name, font) in [
        ("Hack", &include_bytes!(concat!(env!("OUT_DIR"), "/hack.ttf"))[..]),
        ("Ubuntu-Light", &include_bytes!(concat!(env!("OUT_DIR"), "/ubuntu.ttf"))[..]),
    ] {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(font)));
    }
    for (family, names) in [
        // What a listing's font lacks is in the other one.
        (FontFamily::Monospace, &["Hack", "Ubuntu-Light"][..]),
        (FontFamily::Proportional, &["Ubuntu-Light"][..]),
    ] {
        fonts.families.insert(family, names.iter().map(|name| (*name).to_owned()).collect());
    }
    fonts
}
