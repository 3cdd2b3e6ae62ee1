//! A server process that does not outlive the tests, however they end.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to stop when it is asked to.
const STOPPING: Duration = Duration::from_secs(20);

/// A running server and the folder with all that it keeps.
pub(crate) struct Process {
    folder: PathBuf,
    child: Child,
    reaper: Child,
}

impl Process {
    /// Starts `command` with its output in `folder`, which is deleted with the process.
    pub(crate) fn start(command: Command, folder: PathBuf) -> Self {
        let reaper = reaper(&folder);
        let child = spawn(command, &folder);
        let mut process = Self { folder, child, reaper };
        process.report_pid();
        process
    }

    /// Starts `command` in place of the process that ended.
    pub(crate) fn start_again(&mut self, command: Command) {
        self.child = spawn(command, &self.folder);
        self.report_pid();
    }

    /// Ends the process at once, as a power cut would for what it holds in memory.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("our own child can be waited for");
    }

    /// Asks the process to stop with SIGTERM and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        // The shell's own kill: a program of that name is not on every system.
        let kill = format!("kill -TERM {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status().expect("a shell is on every system");
        self.wait_for_end(STOPPING)
            .unwrap_or_else(|| panic!("still running {STOPPING:?} after SIGTERM: {}", self.log()))
    }

    /// How the process ended; `None` when it runs on after `patience`.
    pub(crate) fn wait_for_end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("our own child can be waited for");
            if ended.is_some() || start.elapsed() >= patience {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the process wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("output.log")).unwrap_or_default()
    }

    fn report_pid(&mut self) {
        let pipe = self.reaper.stdin.as_mut().expect("the reaper was started with a pipe");
        writeln!(pipe, "{}", self.child.id()).expect("the reaper reads until its pipe is closed");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
        drop(self.reaper.stdin.take());
        self.reaper.wait().expect("our own child can be waited for");
    }
}

/// A shell that kills the last process it was told of and deletes its folder as soon as the test
/// process is gone: a server shared by all tests lives in a static, which is never dropped.
fn reaper(folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", r#"while read -r p; do pid=$p; done; kill -9 "$pid"; rm -rf "$0""#])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh is on every system")
}

fn spawn(mut command: Command, folder: &Path) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("output.log"))
        .expect("the folder is ours");
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file handle can be cloned"))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}
