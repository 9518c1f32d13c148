//! A server of its own for each test, and the program's commands against it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program without this test's environment.
#[expect(clippy::disallowed_methods, reason = "the shell that runs pasted lines finds its programs by it")]
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_canvass"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program without a server.
pub(crate) fn run(arguments: &[&str]) -> Output {
    finish(program().args(arguments))
}

/// A server on a free port, with a data directory that outlives its restarts.
pub(crate) struct Server {
    pub(crate) directory: TempDir,
    pub(crate) address: String,
    pub(crate) key: String,
    /// What it printed until it served.
    pub(crate) greeting: String,
    process: Child,
}

impl Server {
    /// Starts a server on a new data directory.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(&[], arguments)
    }

    /// The same in an environment.
    pub(crate) fn start_in(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start_on(directory, environment, arguments)
    }

    /// Starts a server in a directory, with an environment.
    pub(crate) fn start_on(directory: TempDir, variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let data = directory.path().join("data");
        let (process, greeting) = launch(&data, "127.0.0.1:0", variables, arguments);
        let address = after(&greeting, "Canvass listens on http://").to_owned();
        let key = greeting.lines().find(|line| line.starts_with("  canvass_")).unwrap().trim().to_owned();
        Self { directory, address, key, greeting, process }
    }

    /// Starts another server where the first one's key is known already.
    #[cfg(feature = "dynamodb")]
    pub(crate) fn beside(first: &Self, variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let (process, greeting) = launch(&data, "127.0.0.1:0", variables, arguments);
        let address = after(&greeting, "Canvass listens on http://").to_owned();
        Self { directory, address, key: first.key.clone(), greeting, process }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts the server again after its end.
    pub(crate) fn restart(&mut self) {
        self.restart_at("127.0.0.1:0");
    }

    /// Starts it again at an address.
    pub(crate) fn restart_at(&mut self, address: &str) {
        let (process, greeting) = launch(&self.data(), address, &[], &[]);
        after(&greeting, "Canvass listens on http://").clone_into(&mut self.address);
        (self.process, self.greeting) = (process, greeting);
    }

    /// Starts it again with options of its own.
    pub(crate) fn restart_with(&mut self, arguments: &[&str]) {
        let (process, greeting) = launch(&self.data(), "127.0.0.1:0", &[], arguments);
        after(&greeting, "Canvass listens on http://").clone_into(&mut self.address);
        (self.process, self.greeting) = (process, greeting);
    }

    /// Asks the server to stop, and waits for it; answers with its exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for the server's end.
    pub(crate) fn wait(&mut self) -> i32 {
        self.process.wait().unwrap().code().unwrap_or(-1)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Ends the server as a power cut of the process would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// A command of the program against this server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("CANVASS_SERVER", format!("http://{}", self.address))
            .env("CANVASS_KEY", &self.key);
        command
    }

    /// Runs a command of the program against this server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        finish(&mut self.command(arguments))
    }

    /// Runs a command that must work, and reads the JSON that it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(output.code, 0, "{arguments:?}: {}", output.stderr);
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// Creates an open poll.
    pub(crate) fn poll(&self, id: &str, options: &[&str]) {
        let output = self.run(&[&["poll", "create", "A question?", "--open", "--id", id], options].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
    }

    /// A file beside the data directory.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Votes that count in a poll.
    pub(crate) fn votes(&self, poll: &str) -> u64 {
        self.json(&["results", poll])["votes"].as_u64().unwrap()
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.address, &self.key)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already in most tests.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(data: &Path, address: &str, variables: &[(&str, &str)], arguments: &[&str]) -> (Child, String) {
    let mut command = program();
    command.envs(variables.iter().copied());
    command.arg("serve").arg("--data").arg(data).args(["--listen", address, "--log", "warn"]);
    let mut process = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut greeting = String::new();
    for line in lines {
        greeting = greeting + &line + "\n";
        // The greeting ends with the line on the data, and at a first start with the line on this program.
        let is_first = line.contains("(0 polls") || line.contains("(new)");
        if (line.starts_with("Data: ") && !is_first) || line.starts_with("The same with this program") {
            break;
        }
    }
    (process, greeting)
}

/// The rest of the line after a text.
pub(crate) fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).unwrap().1.lines().next().unwrap()
}

/// One connection that speaks HTTP by hand.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    key: String,
}

impl Connection {
    pub(crate) fn open(address: &str, key: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self { stream: BufReader::new(stream), key: key.to_owned() }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request with JSON, and reads the status and body of its answer.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nx-api-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        );
        self.send(head.as_bytes())?;
        self.answer()
    }

    /// Reads one answer that has a length.
    pub(crate) fn answer(&mut self) -> std::io::Result<(u16, String)> {
        let closed = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(closed)?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap();
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body).unwrap()))
    }

    /// Reads one line of an answer that does not end.
    pub(crate) fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }

    /// What comes until the server closes.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset closes as well.
        let _ = self.stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
