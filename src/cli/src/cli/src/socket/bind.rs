//! A listening socket that never takes another's place and is never open to others, not even for a moment.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::fault::Fault;
use crate::settings::plain;

/// A socket that listens; its file goes away with it.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Bound {
    /// Listens on `path`, mode 0600. A file that is there is replaced only if it is a socket and nobody listens.
    ///
    /// # Errors
    /// Usage: somebody listens, or something else is there. Internal: the system refused.
    pub(crate) fn new(path: &Path) -> Result<Self, Fault> {
        let failed = |error: io::Error| {
            let advice =
                if error.kind() == io::ErrorKind::InvalidInput { "; choose a shorter path" } else { "" };
            Fault::internal(
                "socket",
                format!("cannot listen on `{}`: {}{advice}", path.display(), plain(&error)),
            )
        };
        clear_stale(path)?;
        // Why a directory of our own: the socket gets its mode before anybody else can reach it.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let private = folder.join(format!(".r{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&private).map_err(failed)?;
        let hidden = private.join("s");
        let bound = UnixListener::bind(&hidden).and_then(|listener| {
            fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
            // Why a link and not a rename: it fails where somebody was faster.
            fs::hard_link(&hidden, path)?;
            Ok((listener, fs::symlink_metadata(path)?.ino()))
        });
        fs::remove_file(&hidden).ok();
        fs::remove_dir(&private).ok();
        let (listener, inode) = bound.map_err(failed)?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }

    pub(super) const fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Why the check: somebody may have put another file there meanwhile.
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            fs::remove_file(&self.path).ok();
        }
    }
}

fn clear_stale(path: &Path) -> Result<(), Fault> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Fault::internal("socket", format!("cannot look at `{shown}`: {}", plain(&error)))),
        Ok(meta) if !meta.file_type().is_socket() => Err(Fault::usage(format!(
            "cannot listen on `{shown}`: something that is no socket is there; choose another path"
        ))),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|error| {
                    Fault::internal(
                        "socket",
                        format!("cannot remove the stale socket `{shown}`: {}", plain(&error)),
                    )
                })
            }
            _ => Err(Fault::usage(format!(
                "cannot listen on `{shown}`: another process listens there; stop it or choose another path"
            ))),
        },
    }
}
