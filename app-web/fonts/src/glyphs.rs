//! Outlines without the programs that move their points.

use crate::FontError;
use crate::sfnt::{u16_at, u32_at, unadjusted};

/// Where `head` says whether offsets of outlines have two bytes or four.
const OFFSETS: usize = 50;
/// What `maxp` says that programs need: from the places for points of their own to the bytes of the longest one.
const NEEDS: std::ops::Range<usize> = 16..28;
/// What comes before an outline's points, or its parts: how many there are, and its box.
const HEADER: usize = 10;

// What follows the number and the place of a part.
const WORDS: u16 = 0x0001;
const SCALE: u16 = 0x0008;
const MORE: u16 = 0x0020;
const TWO_SCALES: u16 = 0x0040;
const MATRIX: u16 = 0x0080;
const PROGRAM: u16 = 0x0100;

/// Outlines and where each begins, in four bytes each.
pub(crate) fn without_programs(
    glyf: &[u8],
    loca: &[u8],
    head: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), FontError> {
    let offsets: Vec<usize> = if u16_at(head, OFFSETS, "head")? == 0 {
        (0..loca.len() / 2)
            .map(|n| Ok(usize::from(u16_at(loca, 2 * n, "loca")?) * 2))
            .collect::<Result<_, _>>()?
    } else {
        (0..loca.len() / 4).map(|n| Ok(u32_at(loca, 4 * n, "loca")? as usize)).collect::<Result<_, _>>()?
    };
    let (mut outlines, mut begins) = (Vec::new(), Vec::new());
    begins.extend(0_u32.to_be_bytes());
    for pair in offsets.windows(2) {
        let outline = glyf.get(pair[0]..pair[1]).ok_or(FontError::Short("glyf"))?;
        if !outline.is_empty() {
            append(&mut outlines, outline)?;
            outlines.resize(outlines.len().next_multiple_of(4), 0);
        }
        begins.extend((outlines.len() as u32).to_be_bytes());
    }
    Ok((outlines, begins))
}

/// `head` for offsets of four bytes.
pub(crate) fn with_long_offsets(head: &[u8]) -> Result<Vec<u8>, FontError> {
    let mut head = head.to_vec();
    head.get_mut(OFFSETS..OFFSETS + 2).ok_or(FontError::Short("head"))?.copy_from_slice(&[0, 1]);
    unadjusted(&mut head);
    Ok(head)
}

/// `maxp` for outlines without programs, by which egui knows that it has to find the pixels itself.
pub(crate) fn without_needs(maxp: &[u8]) -> Result<Vec<u8>, FontError> {
    let mut maxp = maxp.to_vec();
    maxp.get_mut(NEEDS).ok_or(FontError::Short("maxp"))?.fill(0);
    Ok(maxp)
}

fn append(outlines: &mut Vec<u8>, outline: &[u8]) -> Result<(), FontError> {
    let contours = u16_at(outline, 0, "glyf")?.cast_signed();
    match usize::try_from(contours) {
        Ok(contours) => append_points(outlines, outline, contours),
        Err(_) => append_parts(outlines, outline),
    }
}

/// An outline of its own: the last point of each contour, the program, the points.
fn append_points(outlines: &mut Vec<u8>, outline: &[u8], contours: usize) -> Result<(), FontError> {
    let program = HEADER + 2 * contours;
    let bytes = usize::from(u16_at(outline, program, "glyf")?);
    let points = outline.get(program + 2 + bytes..).ok_or(FontError::Short("glyf"))?;
    outlines.extend(&outline[..program]);
    outlines.extend([0, 0]);
    outlines.extend(points);
    Ok(())
}

/// An outline that is put together of others, with a program behind the last one.
fn append_parts(outlines: &mut Vec<u8>, outline: &[u8]) -> Result<(), FontError> {
    outlines.extend(outline.get(..HEADER).ok_or(FontError::Short("glyf"))?);
    let mut part = HEADER;
    loop {
        let flags = u16_at(outline, part, "glyf")?;
        let place = if flags & WORDS == 0 { 2 } else { 4 };
        let scale = match flags {
            _ if flags & SCALE != 0 => 2,
            _ if flags & TWO_SCALES != 0 => 4,
            _ if flags & MATRIX != 0 => 8,
            _ => 0,
        };
        let next = part + 4 + place + scale;
        outlines.extend((flags & !PROGRAM).to_be_bytes());
        outlines.extend(outline.get(part + 2..next).ok_or(FontError::Short("glyf"))?);
        if flags & MORE == 0 {
            return Ok(());
        }
        part = next;
    }
}
