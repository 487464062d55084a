//! The colors of size classes as numbers, so that the window and the pictures of the command line show a class alike.

use sim_core::SizeClass;

/// Red, green and blue.
pub type Rgb = [u8; 3];

/// The color of a size class of a build with so many, on a dark or a light ground: an even ramp from dark (small blocks)
/// to light (large ones), while the hue goes from blue to yellow.
pub fn class(dark: bool, class: SizeClass, classes: u16) -> Rgb {
    let last = classes.saturating_sub(1).max(1);
    color(dark, f32::from(class.0.min(last)) / f32::from(last))
}

/// Whether dark letters read better on it than white ones.
pub fn takes_dark_ink(ground: Rgb) -> bool {
    // Both give the same contrast at this luminance.
    luminance(ground) > 0.18
}

/// Relative luminance, 0 to 1.
pub fn luminance([r, g, b]: Rgb) -> f32 {
    let linear = |c: u8| {
        let c = f32::from(c) / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// A place on the ramp, 0 to 1.
fn color(dark: bool, share: f32) -> Rgb {
    let (low, high) = if dark { (0.46, 0.88) } else { (0.40, 0.82) };
    let lightness = low + (high - low) * share;
    let hue = 275.0 - 180.0 * share;
    // As much chroma as the screen can show, up to a calm value.
    let mut chroma = 0.13;
    while chroma > 0.0 {
        if let Some(color) = oklch(lightness, chroma, hue) {
            return color;
        }
        chroma -= 0.005;
    }
    [128; 3]
}

/// A color of the OKLCH space, `None` when no screen shows it.
#[expect(clippy::many_single_char_names, reason = "the names that color science gives them")]
fn oklch(lightness: f32, chroma: f32, hue_degrees: f32) -> Option<Rgb> {
    let (sin, cos) = hue_degrees.to_radians().sin_cos();
    let (a, b) = (chroma * cos, chroma * sin);
    let cube = |x: f32| x * x * x;
    let l = cube(lightness + 0.396_337_78 * a + 0.215_803_76 * b);
    let m = cube(lightness - 0.105_561_346 * a - 0.063_854_17 * b);
    let s = cube(lightness - 0.089_484_18 * a - 1.291_485_5 * b);
    let linear = [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_4 * s,
        -0.004_196_086 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ];
    if linear.iter().any(|c| !(-0.001..=1.001).contains(c)) {
        return None;
    }
    Some(linear.map(|c| {
        let c = c.clamp(0.0, 1.0);
        let gamma = if c <= 0.003_130_8 { 12.92 * c } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 };
        (gamma * 255.0).round() as u8
    }))
}
