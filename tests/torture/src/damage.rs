//! What is done to files, at offsets from a seed.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::dice::Dice;

/// A way to damage a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It ends early.
    Truncate,
    /// Some bits are others.
    Flip,
    /// Its end is zero, as after a power loss.
    ZeroTail,
}

/// Most bits that one damage flips.
const FLIPS_MAX: u64 = 8;

impl Damage {
    /// Any of them.
    pub const fn roll(dice: &mut Dice) -> Self {
        match dice.below(3) {
            0 => Self::Truncate,
            1 => Self::Flip,
            _ => Self::ZeroTail,
        }
    }

    /// Damages one file below `folder` that is not empty.
    ///
    /// # Errors
    /// There is none, or it cannot be written.
    pub fn strike(self, folder: &Path, dice: &mut Dice) -> io::Result<Struck> {
        let mut files = files(folder)?;
        files.sort();
        let count = u64::try_from(files.len()).unwrap_or(0);
        let file = usize::try_from(dice.below(count)).ok().and_then(|index| files.into_iter().nth(index));
        let file = file.ok_or_else(|| io::Error::other("there is no file to damage"))?;
        let size = fs::metadata(&file)?.len();
        let at = dice.below(size);
        let open = OpenOptions::new().read(true).write(true).open(&file)?;
        match self {
            Self::Truncate => open.set_len(at)?,
            Self::ZeroTail => {
                open.set_len(at)?;
                open.set_len(size)?;
            }
            Self::Flip => {
                for _ in 0..=dice.below(FLIPS_MAX) {
                    let at = dice.below(size);
                    let mut byte = [0];
                    open.read_exact_at(&mut byte, at)?;
                    open.write_all_at(&byte.map(|byte| byte ^ 1 << dice.below(8)), at)?;
                }
            }
        }
        Ok(Struck { damage: self, file, at, size })
    }
}

/// What was damaged, for the verdict.
#[derive(Debug, Clone)]
pub struct Struck {
    damage: Damage,
    file: PathBuf,
    at: u64,
    size: u64,
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        write!(f, "{:?} of `{name}` at {} of {}", self.damage, self.at, self.size)
    }
}

/// Every file that is not empty.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.metadata()?.len() > 0 {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Copies a folder with everything in it.
///
/// # Errors
/// Something cannot be read or written.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
