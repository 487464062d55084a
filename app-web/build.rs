//! Makes the page's fonts of egui's, which would be an eighth of what a visitor downloads.

#![allow(clippy::disallowed_methods, reason = "this runs where the page is built, not in a browser")]

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names no folder for the fonts")?);
    let fonts = [
        ("hack.ttf", epaint_default_fonts::HACK_REGULAR),
        ("ubuntu.ttf", epaint_default_fonts::UBUNTU_LIGHT),
    ];
    for (name, font) in fonts {
        std::fs::write(out.join(name), app_web_fonts::lean(font, "Arenascope")?)?;
    }
    Ok(())
}
