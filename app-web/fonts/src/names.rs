//! What a font calls itself, and what it says of its makers and its licence.

use crate::FontError;
use crate::sfnt::u16_at;

const HEADER: usize = 6;
const RECORD: usize = 12;
/// The numbers of its own name: of the family, the one that tells it from others, in full, for printers, and of the family again.
const OWN: [u16; 5] = [1, 3, 4, 6, 16];
/// The name for printers, which has no spaces.
const POST_SCRIPT: u16 = 6;
/// The platforms that write in UTF-16.
const UTF_16: [u16; 2] = [0, 3];

/// `name` in which the font's own name says that this is a derivative; copyright and licence stay.
pub(crate) fn derived(name: &[u8], derivative: &str) -> Result<Vec<u8>, FontError> {
    let count = u16_at(name, 2, "name")?;
    let texts = usize::from(u16_at(name, 4, "name")?);
    let (mut records, mut storage) = (Vec::new(), Vec::new());
    let mut kept = 0_u16;
    for record in (HEADER..).step_by(RECORD).take(usize::from(count)) {
        let field = |n: usize| u16_at(name, record + 2 * n, "name");
        let (platform, number) = (field(0)?, field(3)?);
        if !UTF_16.contains(&platform) {
            continue;
        }
        let (bytes, begin) = (usize::from(field(4)?), texts + usize::from(field(5)?));
        let mut text = name.get(begin..begin + bytes).ok_or(FontError::Short("name"))?.to_vec();
        if OWN.contains(&number) {
            let added = format!(" derivative {derivative}");
            let added = if number == POST_SCRIPT { added.replace(' ', "-") } else { added };
            text.extend(added.encode_utf16().flat_map(u16::to_be_bytes));
        }
        for word in [platform, field(1)?, field(2)?, number, text.len() as u16, storage.len() as u16] {
            records.extend(word.to_be_bytes());
        }
        storage.append(&mut text);
        kept += 1;
    }
    let begin = HEADER + records.len();
    let mut table = Vec::new();
    for word in [0, kept, begin as u16] {
        table.extend(word.to_be_bytes());
    }
    table.append(&mut records);
    table.append(&mut storage);
    Ok(table)
}
