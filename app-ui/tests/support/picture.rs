//! Pictures, and whether they are the committed ones.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use egui::Rect;

/// Set to 1, it makes the committed pictures what is drawn now.
pub(crate) const UPDATE: &str = "UPDATE_SNAPSHOTS";
/// As much may a channel differ and still be the same: what a library's sine or root may round differently.
const CHANNEL_DIFFERS_MOST: u8 = 12;
/// As many pixels may differ by more.
const PIXELS_DIFFER_MOST: usize = 20;

/// An opaque picture.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) size: [usize; 2],
    pub(crate) pixels: Vec<[u8; 3]>,
}

/// Whether committed files are to be written instead of compared.
pub(crate) fn updating() -> bool {
    std::env::var_os(UPDATE).is_some_and(|value| !value.is_empty() && value != "0")
}

impl Picture {
    /// A part of it.
    pub(crate) fn cut(&self, rect: Rect) -> Self {
        let [left, top, right, bottom] =
            [rect.min.x, rect.min.y, rect.max.x, rect.max.y].map(|v| v.round() as usize);
        let rows = self.pixels.chunks(self.size[0]).take(bottom).skip(top);
        let pixels: Vec<[u8; 3]> = rows.flat_map(|row| row[left..right].iter().copied()).collect();
        Self { size: [right - left, bottom - top], pixels }
    }

    /// Compares it with the committed picture of a name. What differs is laid into the target folder, and the error says where.
    pub(crate) fn check(&self, name: &str) -> Result<(), String> {
        let committed =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.png"));
        if updating() {
            return self.write(&committed);
        }
        let accept = format!("if that is how it is to look, accept it with {UPDATE}=1");
        let old = match File::open(&committed) {
            Ok(file) => Self::read(file).map_err(|e| format!("{}: {e}", committed.display()))?,
            Err(e) => {
                let new = self.lay_aside(&format!("{name}.new.png"))?;
                return Err(format!(
                    "{}: {e}; {} has the picture, {accept}",
                    committed.display(),
                    new.display()
                ));
            }
        };
        let differing = self.differing(&old);
        if differing.is_some_and(|count| count <= PIXELS_DIFFER_MOST) {
            return Ok(());
        }
        let new = self.lay_aside(&format!("{name}.new.png"))?;
        let diff = self.marked(&old).lay_aside(&format!("{name}.diff.png"))?;
        let what = match differing {
            Some(count) => format!("{count} pixels differ"),
            None => format!("it was {:?} pixels and is {:?}", old.size, self.size),
        };
        Err(format!(
            "{}: {what}; {} is new, {} shows where, {accept}",
            committed.display(),
            new.display(),
            diff.display()
        ))
    }

    /// Pixels that differ; `None` where the sizes do.
    fn differing(&self, other: &Self) -> Option<usize> {
        let pairs = self.pixels.iter().zip(&other.pixels);
        (self.size == other.size).then(|| pairs.filter(|(a, b)| differ(**a, **b)).count())
    }

    /// It in pale grey, with what differs in red.
    fn marked(&self, other: &Self) -> Self {
        let [width, height] = [0, 1].map(|i| self.size[i].max(other.size[i]));
        let at = |picture: &Self, x, y| {
            (x < picture.size[0] && y < picture.size[1]).then(|| picture.pixels[y * picture.size[0] + x])
        };
        let pixel = |index: usize| {
            let (x, y) = (index % width, index / width);
            match (at(self, x, y), at(other, x, y)) {
                (Some(a), Some(b)) if !differ(a, b) => {
                    [170 + ((u32::from(a[0]) + u32::from(a[1]) + u32::from(a[2])) / 9) as u8; 3]
                }
                _ => [220, 0, 0],
            }
        };
        Self { size: [width, height], pixels: (0..width * height).map(pixel).collect() }
    }

    fn lay_aside(&self, name: &str) -> Result<PathBuf, String> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("snapshots").join(name);
        self.write(&path)?;
        Ok(path)
    }

    fn write(&self, path: &Path) -> Result<(), String> {
        let write = || -> Result<(), Box<dyn std::error::Error>> {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            let mut encoder = png::Encoder::new(
                BufWriter::new(File::create(path)?),
                self.size[0] as u32,
                self.size[1] as u32,
            );
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_compression(png::Compression::High);
            encoder.set_filter(png::Filter::NoFilter);
            encoder.write_header()?.write_image_data(self.pixels.as_flattened())?;
            Ok(())
        };
        write().map_err(|e| format!("{} cannot be written: {e}", path.display()))
    }

    fn read(file: File) -> Result<Self, String> {
        let mut reader = png::Decoder::new(BufReader::new(file)).read_info().map_err(|e| e.to_string())?;
        let bytes = reader.output_buffer_size().ok_or("it is too large")?;
        let mut data = vec![0; bytes];
        let info = reader.next_frame(&mut data).map_err(|e| e.to_string())?;
        if info.color_type != png::ColorType::Rgb || info.bit_depth != png::BitDepth::Eight {
            return Err("it is no RGB picture of 8 bits a channel, as these tests write them".to_owned());
        }
        let (pixels, _) = data[..info.buffer_size()].as_chunks::<3>();
        Ok(Self { size: [info.width as usize, info.height as usize], pixels: pixels.to_vec() })
    }
}

/// Whether two pixels are more than a rounding apart.
fn differ(a: [u8; 3], b: [u8; 3]) -> bool {
    a.iter().zip(b).any(|(a, b)| a.abs_diff(b) > CHANNEL_DIFFERS_MOST)
}
