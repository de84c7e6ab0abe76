//! Writing files that appear whole, with their mode from the first moment, and never in another's place.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::credentials;
use crate::fault::Fault;
use crate::settings::plain;

/// Why: only the owner may look into a realm's directory.
const DIR_MODE: u32 = 0o700;

/// Why: only the owner may read a secret.
const SECRET_MODE: u32 = 0o600;

/// Why: no secrets inside; the directory keeps others out anyway.
const PUBLIC_MODE: u32 = 0o644;

/// A directory to write below; remembers what it wrote.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    written: RefCell<Vec<String>>,
}

impl Folder {
    /// An existing directory.
    pub(super) fn existing(root: &Path) -> Self {
        Self { root: root.to_owned(), written: RefCell::new(Vec::new()) }
    }

    /// Its path.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// What was written, relative.
    pub(super) fn written(&self) -> Vec<String> {
        self.written.borrow().clone()
    }

    /// Reads a file of the realm.
    pub(super) fn read(&self, relative: &str) -> Result<String, Fault> {
        let path = self.path(relative);
        fs::read_to_string(&path)
            .map_err(|error| Fault::usage(format!("cannot read `{}`: {}", path.display(), plain(&error))))
    }

    /// Makes a directory.
    pub(super) fn dir(&self, relative: &str) -> Result<(), Fault> {
        let path = self.path(relative);
        DirBuilder::new().mode(DIR_MODE).create(&path).map_err(|error| cannot_write(&path, &error))
    }

    /// Writes a secret that must not exist yet.
    pub(super) fn secret(&self, relative: &str, text: &str) -> Result<(), Fault> {
        self.create(relative, text, SECRET_MODE)
    }

    /// Writes a file without secrets that must not exist yet.
    pub(super) fn public(&self, relative: &str, text: &str) -> Result<(), Fault> {
        self.create(relative, text, PUBLIC_MODE)
    }

    /// Replaces a file without secrets; readers see the old or the new one, whole.
    pub(super) fn replace(&self, relative: &str, text: &str) -> Result<(), Fault> {
        let path = self.path(relative);
        let hidden = write_hidden(&path, text, PUBLIC_MODE)?;
        fs::rename(&hidden, &path).map_err(|error| {
            fs::remove_file(&hidden).ok();
            cannot_write(&path, &error)
        })?;
        self.note(relative);
        sync_dir(&path)
    }

    fn create(&self, relative: &str, text: &str, mode: u32) -> Result<(), Fault> {
        let path = self.path(relative);
        let hidden = write_hidden(&path, text, mode)?;
        // Why a link: unlike a rename it fails where something exists.
        let linked = fs::hard_link(&hidden, &path);
        fs::remove_file(&hidden).ok();
        linked.map_err(|error| cannot_write(&path, &error))?;
        self.note(relative);
        sync_dir(&path)
    }

    fn note(&self, relative: &str) {
        self.written.borrow_mut().push(relative.to_owned());
    }
}

fn write_hidden(path: &Path, text: &str, mode: u32) -> Result<PathBuf, Fault> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let hidden = path.with_file_name(format!(".{name}.{}", hex::encode(credentials::random::<6>()?)));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&hidden)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| {
        fs::remove_file(&hidden).ok();
        cannot_write(path, &error)
    })?;
    Ok(hidden)
}

/// Why: without it a power loss can forget the name of a file whose bytes are safe.
fn sync_dir(path: &Path) -> Result<(), Fault> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::AlreadyExists {
        let message = format!(
            "cannot write `{}`: it exists, and nothing is overwritten; remove it if it is not needed any more",
            path.display()
        );
        return Fault::refused("exists", message);
    }
    Fault::internal("write", format!("cannot write `{}`: {}", path.display(), plain(error)))
}

/// A directory under a hidden name; removed unless it is settled.
#[derive(Debug)]
pub(super) struct Staged {
    folder: Folder,
    settled: bool,
}

impl Staged {
    /// Makes it beside `dir`, so that moving it is one step of the file system.
    pub(super) fn beside(dir: &Path) -> Result<Self, Fault> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let root = dir.with_file_name(format!(".{name}.{}", hex::encode(credentials::random::<6>()?)));
        DirBuilder::new().mode(DIR_MODE).create(&root).map_err(|error| cannot_write(&root, &error))?;
        Ok(Self { folder: Folder::existing(&root), settled: false })
    }

    /// Where to write.
    pub(super) const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What was written.
    pub(super) fn written(&self) -> Vec<String> {
        self.folder.written()
    }

    /// Moves it to `dir`; fails where something other than an empty directory has appeared there.
    pub(super) fn settle(mut self, dir: &Path) -> Result<(), Fault> {
        fs::rename(&self.folder.root, dir).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => {
                cannot_write(dir, &io::ErrorKind::AlreadyExists.into())
            }
            _ => cannot_write(dir, &error),
        })?;
        self.settled = true;
        sync_dir(dir)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.settled {
            fs::remove_dir_all(&self.folder.root).ok();
        }
    }
}
