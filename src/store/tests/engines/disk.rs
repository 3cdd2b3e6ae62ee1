//! A small ext4 file system in a file, which can be cut off from its disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: what was not synced is gone, as after a power cut.
const SHUTDOWN: &str = "open(my $f, '<', $ARGV[0]) or die \"$!\\n\"; \
                        my $flags = pack('L', 2); ioctl($f, 0x8004587d, $flags) or die \"$!\\n\";";

pub(crate) struct Disk {
    folder: TempDir,
    mounted: bool,
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Disk {
    /// A mounted, empty disk; the reason when this machine cannot have one (no root, no loop devices, no tools).
    pub(crate) fn new(megabytes: u64) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let image = std::fs::File::create(folder.path().join("image")).unwrap();
        image.set_len(megabytes << 20).unwrap();
        std::fs::create_dir(folder.path().join("mount")).unwrap();
        let mut disk = Self { folder, mounted: false };
        run("perl", &["-e", "1"])?;
        run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&disk.image())])?;
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Where its files are.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    pub(crate) fn mount(&mut self) -> Result<(), String> {
        run("mount", &["-o", "loop", text(&self.image()), text(&self.files())])?;
        self.mounted = true;
        Ok(())
    }

    /// Cuts the power: nothing more reaches the disk, and what was only in memory never will.
    pub(crate) fn cut(&self) {
        run("perl", &["-e", SHUTDOWN, text(&self.files())]).unwrap();
    }

    pub(crate) fn unmount(&mut self) {
        let started = Instant::now();
        while let Err(error) = run("umount", &[text(&self.files())]) {
            assert!(started.elapsed() < Duration::from_secs(20), "{error}");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.mounted = false;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // A failed test may still have files open: detach, so that nothing stays behind.
            let _ = run("umount", &["--lazy", text(&self.files())]);
        }
    }
}
