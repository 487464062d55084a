//! The page's fonts, made of egui's while the page is built.
//!
//! Half of a hinted TrueType font is programs that move the points of each letter to whole pixels at small sizes, and tables of
//! what these programs lead to. [`lean`] leaves both out and keeps every letter and every rule of how letters stand together:
//! egui then finds the pixels by itself, as it does for any font without programs.

#![forbid(unsafe_code)]

mod glyphs;
mod names;
mod sfnt;

/// What is wrong with a font.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FontError {
    /// A table that has to be there is not.
    #[error("the font has no table `{0}`")]
    Missing(&'static str),
    /// A table ends before what it announces.
    #[error("the font's table `{0}` is cut short")]
    Short(&'static str),
    /// It is no TrueType font.
    #[error("the font begins with {0:08x}, not as a TrueType font does")]
    Kind(u32),
}

/// What is kept as it is. All else belongs to the programs, to printers or to other systems.
const KEPT: [&str; 8] = ["GDEF", "GPOS", "GSUB", "OS/2", "cmap", "hhea", "hmtx", "kern"];

/// The font without its hints, as a derivative with a name of its own, which its licence asks for.
///
/// # Errors
///
/// If it is not a TrueType font, or cut short.
pub fn lean(font: &[u8], derivative: &str) -> Result<Vec<u8>, FontError> {
    let tables = sfnt::tables(font)?;
    let find = |tag: &'static str| sfnt::find(&tables, tag).ok_or(FontError::Missing(tag));
    let head = find("head")?;
    let (glyf, loca) = glyphs::without_programs(find("glyf")?, find("loca")?, head)?;
    let mut lean = vec![
        ("glyf", glyf),
        ("loca", loca),
        ("head", glyphs::with_long_offsets(head)?),
        ("maxp", glyphs::without_needs(find("maxp")?)?),
        ("name", names::derived(find("name")?, derivative)?),
        ("post", without_glyph_names(find("post")?)?),
    ];
    for tag in KEPT {
        if let Some(table) = sfnt::find(&tables, tag) {
            lean.push((tag, table.to_vec()));
        }
    }
    lean.sort_unstable_by_key(|(tag, _)| *tag);
    Ok(sfnt::file(&lean))
}

/// `post` without the glyphs' names, which only printers ask for: its version 3.
fn without_glyph_names(post: &[u8]) -> Result<Vec<u8>, FontError> {
    const VERSION_3: [u8; 4] = [0, 3, 0, 0];
    const HEADER: usize = 32;
    let mut post = post.get(..HEADER).ok_or(FontError::Short("post"))?.to_vec();
    post[..4].copy_from_slice(&VERSION_3);
    Ok(post)
}
