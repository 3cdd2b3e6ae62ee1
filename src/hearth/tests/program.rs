//! The program as somebody starts it.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// The program in `folder`, with nothing set but where to listen, and where an instrumented build counts what ran.
fn hearth(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.current_dir(folder).env_clear();
    command.envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)));
    command.env("HEARTH_LISTENERS", format!("[{{bind=\"127.0.0.1:{port}\"}}]"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running server; it is killed with the test.
struct Running {
    child: Child,
    port: u16,
}

impl Running {
    fn start(folder: &Path) -> Self {
        let port = free_port();
        let child = hearth(folder, port).arg("serve").spawn().unwrap();
        let mut running = Self { child, port };
        let started = Instant::now();
        while running.get("/_matrix/client/versions").is_none() {
            assert!(running.child.try_wait().unwrap().is_none(), "the server ended");
            assert!(started.elapsed() < PATIENCE, "the server does not answer");
            sleep(Duration::from_millis(20));
        }
        running
    }

    /// The whole answer; `None` when there is none.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn signal(&self, name: &str) {
        // The shell's own kill: a program of that name is not on every system.
        let kill = format!("kill {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end.
    fn end(mut self) -> Output {
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < PATIENCE, "the server does not end");
            sleep(Duration::from_millis(20));
        }
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        Output { status: self.child.wait().unwrap(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_a_configuration_it_serves_keeps_its_data_in_one_folder_and_says_what_to_do_next() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());

    let versions = server.get("/_matrix/client/versions").unwrap();
    assert!(versions.starts_with("HTTP/1.1 200"), "{versions}");
    assert!(server.get("/_hearth/metrics").unwrap().starts_with("HTTP/1.1 404"));
    server.signal("-TERM");
    let output = server.end();

    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("hearth user create") && said.contains("/data"), "{said}");
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["data"]);
}

#[test]
fn an_interrupt_ends_it_like_a_termination() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());

    server.signal("-INT");

    assert_eq!(server.end().status.code(), Some(0));
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Running::start(folder.path());

    let second = hearth(folder.path(), free_port()).arg("serve").output().unwrap();

    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another process is using"), "{said}");
}

#[test]
fn an_address_in_use_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();

    let output = hearth(folder.path(), port).arg("serve").output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("another"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_configuration_s_problems_are_named_and_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[server]\nname = \"hearth.test\"\ncolour = 1\n[rooms]\ndefault_version = 12\n";
    std::fs::write(folder.path().join("hearth.toml"), config).unwrap();

    for arguments in [&["config", "check"][..], &["serve"], &["serve", "--config", "hearth.toml"]] {
        let output = hearth(folder.path(), free_port()).args(arguments).output().unwrap();

        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("server.colour") && said.contains("rooms.default_version"), "{said}");
    }
}

fn create_user(folder: &Path, name: &str) -> Output {
    create_user_at(folder, free_port(), name)
}

fn create_user_at(folder: &Path, port: u16, name: &str) -> Output {
    let mut command = hearth(folder, port);
    command.args(["user", "create", "--password-stdin", name]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_user_is_created_while_the_server_is_down_and_only_once() {
    let folder = tempfile::tempdir().unwrap();

    let first = create_user(folder.path(), "ada");
    let again = create_user(folder.path(), "ada");
    let bad = create_user(folder.path(), "a b");

    assert_eq!(String::from_utf8(first.stdout).unwrap(), "@ada:localhost can log in\n");
    assert_eq!((again.status.code(), bad.status.code()), (Some(1), Some(1)));
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("taken"), "{said}");
}

#[test]
fn a_user_is_created_while_the_server_runs_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());

    let first = create_user_at(folder.path(), server.port, "ada");
    let again = create_user_at(folder.path(), server.port, "ada");

    assert_eq!(String::from_utf8(first.stdout).unwrap(), "@ada:localhost can log in\n");
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("the running server refuses") && said.contains("taken"), "{said}");
}

#[test]
fn a_connection_can_be_used_again_after_a_request_was_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path());
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let first = "PUT /nothing HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n";
    let second =
        "GET /_matrix/client/versions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    stream.write_all(first.as_bytes()).unwrap();
    sleep(Duration::from_millis(100));
    stream.write_all(b"{}").unwrap();
    stream.write_all(second.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();

    assert!(answers.contains("HTTP/1.1 404") && answers.contains("HTTP/1.1 200"), "{answers}");
}

#[test]
fn without_a_command_it_prints_its_help() {
    let folder = tempfile::tempdir().unwrap();

    let output = hearth(folder.path(), 0).output().unwrap();

    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("serve") && said.contains("config"), "{said}");
}
