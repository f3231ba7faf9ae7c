//! FIFOs and files beside them: checked, never followed, never blocking.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// linux/fcntl.h: the same everywhere but on MIPS, which Lambda has not.
const O_NONBLOCK: i32 = 0o4000;
#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
const O_NOFOLLOW: i32 = 0o100_000;
#[cfg(not(any(target_arch = "aarch64", target_arch = "arm")))]
const O_NOFOLLOW: i32 = 0o400_000;
const ELOOP: i32 = 40;

/// What one process may have waiting beside the FIFO: `/tmp` is the function's own.
const MAX_FILES: usize = 32;
const MAX_FILES_BYTES: usize = 32 * 1024 * 1024;

/// Why a FIFO is not to be had.
pub enum NoFifo {
    /// Something else is at the path; the text says what.
    Untrusted(&'static str),
    /// What the system says.
    System(io::Error),
}

impl From<io::Error> for NoFifo {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Open one end (the standard library adds O_CLOEXEC), and look at what was opened.
pub fn open_fifo(path: &Path, write: bool) -> Result<File, NoFifo> {
    let opened = OpenOptions::new()
        .read(!write)
        .write(write)
        .custom_flags(O_NONBLOCK | O_NOFOLLOW)
        .open(path);
    let file = opened.map_err(|error| match (error.kind(), error.raw_os_error()) {
        (_, Some(ELOOP)) => NoFifo::Untrusted("is a symbolic link"),
        (io::ErrorKind::IsADirectory, _) => NoFifo::Untrusted("is no FIFO but a folder"),
        _ => NoFifo::System(error),
    })?;
    let status = file.metadata()?;
    if !status.file_type().is_fifo() {
        return Err(NoFifo::Untrusted("is no FIFO"));
    }
    // The kernel gives this folder to the process's effective user.
    if status.uid() != fs::metadata("/proc/self")?.uid() {
        return Err(NoFifo::Untrusted("belongs to another user"));
    }
    if status.mode() & 0o077 != 0 {
        return Err(NoFifo::Untrusted("is open to other users"));
    }
    Ok(file)
}

/// `N` bytes from the operating system, never all zero.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut drawn = [0; N];
    let mut source = File::open("/dev/urandom")?;
    while drawn.iter().all(|byte| *byte == 0) {
        source.read_exact(&mut drawn)?;
    }
    Ok(drawn)
}

/// The files of one process.
pub struct Overflow {
    directory: PathBuf,
    waiting: BTreeMap<String, usize>,
}

impl Overflow {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, waiting: BTreeMap::new() }
    }

    /// Write `data` as one file; its name, or None where a bound or the disk forbids it.
    pub fn write(&mut self, data: &[u8]) -> Option<String> {
        if !self.has_room(data.len()) {
            let directory = &self.directory;
            self.waiting.retain(|name, _| directory.join(name).exists());
            if !self.has_room(data.len()) {
                return None;
            }
        }
        let mut name = String::from("spanpipe-");
        for byte in random::<8>().ok()? {
            write!(name, "{byte:02x}").ok()?;
        }
        name.push_str(".msg");
        let path = self.directory.join(&name);
        let temporary = self.directory.join(format!("{name}.part"));
        if write_new(&temporary, data).and_then(|()| fs::rename(&temporary, &path)).is_err() {
            let _ = fs::remove_file(&temporary);
            return None;
        }
        self.waiting.insert(name.clone(), data.len());
        Some(name)
    }

    fn has_room(&self, bytes: usize) -> bool {
        let sum: usize = self.waiting.values().sum();
        self.waiting.len() < MAX_FILES && sum + bytes <= MAX_FILES_BYTES
    }
}

fn write_new(path: &Path, data: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW)
        .open(path)?
        .write_all(data)
}
