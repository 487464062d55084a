//! Line numbers out of code objects' tables: `co_linetable` of 3.11 and 3.10, `co_lnotab` before.

/// The line of the instruction at `offset`, 0 where the table has none. `version` is `PY_VERSION_HEX`; the offset
/// is in the unit of that version's `f_lasti`. As memray does, an instruction without a line has the last one before it.
pub(super) fn line(version: u32, table: &[u8], first_line: i32, offset: i64) -> u32 {
    let Ok(offset) = u64::try_from(offset) else { return 0 };
    if table.is_empty() {
        return 0;
    }
    let line = match version >> 16 {
        0x030b.. => locations(table, first_line, offset / 2),
        0x030a => Some(ranges(table, first_line, offset.saturating_mul(2))),
        _ => Some(increments(table, first_line, offset)),
    };
    line.and_then(|l| u32::try_from(l).ok()).unwrap_or(0)
}

/// 3.11 and later: entries of code units with a kind each. `unit` counts code units.
fn locations(table: &[u8], first_line: i32, unit: u64) -> Option<i32> {
    const LONG: u8 = 14;
    const NO_COLUMNS: u8 = 13;
    const NONE: u8 = 15;
    let mut line = first_line;
    let mut bytes = table.iter().copied();
    let mut end = 0;
    while let Some(head) = bytes.next().filter(|&b| b != 0) {
        end += u64::from(head & 7) + 1;
        match (head >> 3) & 15 {
            NONE => {}
            LONG => {
                line = line.wrapping_add(signed(&mut bytes));
                for _ in 0..3 {
                    unsigned(&mut bytes);
                }
            }
            NO_COLUMNS => line = line.wrapping_add(signed(&mut bytes)),
            kind @ 10..=12 => {
                line = line.wrapping_add(i32::from(kind) - 10);
                bytes.nth(1);
            }
            _ => {
                bytes.next();
            }
        }
        if unit < end {
            return Some(line);
        }
    }
    None
}

/// Six bits a byte, the low group first, bit 6 for more.
fn unsigned(bytes: &mut impl Iterator<Item = u8>) -> u32 {
    let mut n: u32 = 0;
    let mut shift = 0;
    for byte in bytes {
        n |= u32::from(byte & 63).checked_shl(shift).unwrap_or(0);
        shift += 6;
        if byte & 64 == 0 {
            break;
        }
    }
    n
}

/// The sign stands in the lowest bit.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> i32 {
    let n = unsigned(bytes);
    let value = (n >> 1).cast_signed();
    if n & 1 == 1 { -value } else { value }
}

/// 3.10: pairs of bytes covered and line difference; -128 is no line.
fn ranges(table: &[u8], first_line: i32, offset: u64) -> i32 {
    let (mut line, mut end) = (first_line, 0);
    for pair in table.chunks_exact(2) {
        end += u64::from(pair[0]);
        let difference = pair[1].cast_signed();
        if difference != i8::MIN {
            line = line.wrapping_add(i32::from(difference));
        }
        if end > offset {
            break;
        }
    }
    line
}

/// Up to 3.9: pairs of byte increment and line increment.
fn increments(table: &[u8], first_line: i32, offset: u64) -> i32 {
    let (mut line, mut at) = (first_line, 0);
    for pair in table.chunks_exact(2) {
        at += u64::from(pair[0]);
        if at > offset {
            break;
        }
        line = line.wrapping_add(i32::from(pair[1].cast_signed()));
    }
    line
}

#[cfg(test)]
mod tests {
    // def f(a):
    //     b = a + 1
    //
    //     return [b,
    //             a]
    // with its first line at 10; tables and lines as the interpreters themselves give them.
    #[test]
    fn lines_of_three_generations() {
        let v311 = [
            0x80, 0x00, 0xd8, 0x08, 0x09, 0x88, 0x41, 0x89, 0x05, 0x80, 0x41, 0xe0, 0x0c, 0x0d, 0xd8, 0x0c,
            0x0d, 0xf0, 0x03, 0x01, 0x0c, 0x0f, 0xf0, 0x00, 0x01, 0x05, 0x0f,
        ];
        let line = |unit: i64| super::line(0x030b_07f0, &v311, 10, unit * 2);
        let lines: Vec<u32> = (0..11).map(line).collect();
        assert_eq!(lines, [10, 11, 11, 11, 11, 11, 13, 14, 13, 13, 0]);
        let v310 = [8, 1, 2, 2, 2, 1, 4, 255];
        assert_eq!(super::line(0x030a_0df0, &v310, 10, 0), 11);
        assert_eq!(super::line(0x030a_0df0, &v310, 10, 4), 13);
        assert_eq!(super::line(0x030a_0df0, &v310, 10, 5), 14);
        assert_eq!(super::line(0x030a_0df0, &v310, 10, 6), 13);
        let v39 = [0, 1, 8, 2, 2, 1, 2, 255];
        assert_eq!(super::line(0x0309_12f0, &v39, 10, 0), 11);
        assert_eq!(super::line(0x0309_12f0, &v39, 10, 8), 13);
        assert_eq!(super::line(0x0309_12f0, &v39, 10, 10), 14);
        assert_eq!(super::line(0x0309_12f0, &v39, 10, 200), 13);
    }

    #[test]
    fn any_bytes_give_some_line() {
        let mut table = Vec::new();
        for n in 0..2000_u32 {
            table.push((n.wrapping_mul(2_654_435_761) >> 24) as u8);
            for version in [0x0309_0000, 0x030a_0000, 0x030e_0000] {
                super::line(version, &table, i32::MAX, i64::MAX);
                super::line(version, &table, i32::MIN, i64::from(n));
            }
        }
        assert_eq!(super::line(0x030b_0000, &[], 5, 0), 0);
        assert_eq!(super::line(0x030b_0000, &[0x80, 0], 5, -1), 0);
    }
}
