//! The page's fonts beside those that they are made of.

use std::collections::BTreeSet;
use std::sync::Arc;

use app_web_fonts::{FontError, lean};
use egui::epaint::text::{Fonts, TextOptions};
use egui::{Color32, FontData, FontDefinitions, FontFamily, FontId};
use epaint_default_fonts::{HACK_REGULAR, UBUNTU_LIGHT};

const FONTS: [&[u8]; 2] = [HACK_REGULAR, UBUNTU_LIGHT];

/// One font, drawn by its outlines alone.
fn unhinted(font: Vec<u8>) -> Fonts {
    only(font, false)
}

/// One font.
fn only(font: Vec<u8>, font_hinting: bool) -> Fonts {
    let mut definitions = FontDefinitions::empty();
    definitions.font_data.insert("the".to_owned(), Arc::new(FontData::from_owned(font)));
    definitions.families.insert(FontFamily::Proportional, vec!["the".to_owned()]);
    definitions.families.insert(FontFamily::Monospace, vec!["the".to_owned()]);
    let options = TextOptions { font_hinting, ..TextOptions::default() };
    Fonts::new(options, definitions)
}

fn letters(fonts: &mut Fonts) -> BTreeSet<char> {
    let mut view = fonts.with_pixels_per_point(1.0);
    view.characters(&FontFamily::Proportional).keys().copied().collect()
}

#[test]
fn every_letter_is_there_and_has_its_outline() {
    for font in FONTS {
        let mut before = unhinted(font.to_vec());
        let mut after = unhinted(lean(font, "Test").unwrap());
        let all = letters(&mut before);
        assert!(all.len() > 1000);
        assert_eq!(letters(&mut after), all);
        for size in [11.0, 40.0] {
            let pictures = [&mut before, &mut after].map(|fonts| {
                for letter in &all {
                    let mut view = fonts.with_pixels_per_point(1.0);
                    view.layout_no_wrap(letter.to_string(), FontId::proportional(size), Color32::WHITE);
                }
                fonts.image()
            });
            assert!(pictures[0].pixels.iter().any(|pixel| *pixel != Color32::TRANSPARENT));
            assert!(pictures[0] == pictures[1], "at {size}");
        }
    }
}

#[test]
fn letters_stand_together_as_before() {
    let text = "AVAToWay. fi fl Ta Żółć Ελλάδα Київ e\u{301} x\u{308} 1/2 -> != ≠ →";
    for font in FONTS {
        let [before, after] = [font.to_vec(), lean(font, "Test").unwrap()].map(|font| {
            let mut fonts = unhinted(font);
            let mut view = fonts.with_pixels_per_point(1.0);
            let galley = view.layout_no_wrap(text.to_owned(), FontId::proportional(20.0), Color32::WHITE);
            galley.rows[0].glyphs.iter().map(|glyph| (glyph.chr, glyph.pos)).collect::<Vec<_>>()
        });
        assert_eq!(before, after);
    }
    // Ubuntu brings letters nearer to each other, so the comparison has something to compare.
    let mut fonts = unhinted(UBUNTU_LIGHT.to_vec());
    let mut view = fonts.with_pixels_per_point(1.0);
    let mut width = |text: &str| {
        view.layout_no_wrap(text.to_owned(), FontId::proportional(20.0), Color32::WHITE).size().x
    };
    assert!(width("AV") < width("A") + width("V") - 0.5);
}

#[test]
fn egui_finds_the_pixels_itself() {
    for font in FONTS {
        let pictures = [true, false].map(|hinting| {
            let mut fonts = only(lean(font, "Test").unwrap(), hinting);
            let mut view = fonts.with_pixels_per_point(1.0);
            view.layout_no_wrap("EHx".to_owned(), FontId::proportional(12.0), Color32::WHITE);
            fonts.image()
        });
        assert!(pictures[0] != pictures[1]);
    }
}

#[test]
fn less_than_half_is_left() {
    for font in FONTS {
        let left = lean(font, "Test").unwrap();
        assert!(left.len() * 9 < font.len() * 5, "{} of {}", left.len(), font.len());
    }
}

#[test]
fn a_derivative_says_so_and_keeps_its_licence() {
    for (font, own, licence) in [
        (HACK_REGULAR, "Hack derivative Test", "permission notice shall be included"),
        (UBUNTU_LIGHT, "Ubuntu Light derivative Test", "Licensed under the Ubuntu Font Licence 1.0"),
    ] {
        let font = lean(font, "Test").unwrap();
        let says = |text: &str| {
            let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            font.windows(text.len()).any(|bytes| bytes == text)
        };
        assert!(says(own), "{own}");
        assert!(says(licence), "{licence}");
    }
}

#[test]
fn what_is_no_font_or_cut_short_is_refused() {
    assert_eq!(lean(b"OTTO\0\x01", "Test"), Err(FontError::Kind(0x4f54_544f)));
    for font in FONTS {
        for end in (0..font.len() - 4).step_by(997) {
            assert!(lean(&font[..end], "Test").is_err(), "{end}");
        }
    }
}
