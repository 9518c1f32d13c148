//! A small HTTP/1.1 client that does what it is told, also what no good client would do.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use serde_json::Value;

/// What a socket takes without anybody reading.
const WRITTEN_AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// The body, out of its chunks.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The status and the body, for a message.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// A client that keeps its connection, and makes a new one after any failure. It never sends a request again by itself.
pub(crate) struct Client {
    address: SocketAddr,
    key: String,
    connection: Option<BufReader<TcpStream>>,
    wait_max: Duration,
}

impl Client {
    /// A client for a server, with an API key.
    pub(crate) fn new(address: SocketAddr, key: &str) -> Self {
        Self { address, key: key.to_owned(), connection: None, wait_max: Duration::from_secs(30) }
    }

    /// The same, for a server that may take so long to answer.
    pub(crate) fn waiting(self, wait_max: Duration) -> Self {
        Self { wait_max, ..self }
    }

    /// Reads something.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, &[], b"")
    }

    /// Sends JSON.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> io::Result<Answer> {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Sends any request and reads the answer.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nx-api-key: {}\r\n", self.address, self.key);
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n"]);
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(connect(self.address, self.wait_max)?),
        };
        let answer = write_and_read(&mut connection, &bytes)?;
        // A server that is about to close says so; a request on that connection could be lost.
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

/// Reads while it writes: a server that streams its answer stops reading when nobody takes it.
fn write_and_read(connection: &mut BufReader<TcpStream>, bytes: &[u8]) -> io::Result<Answer> {
    if bytes.len() <= WRITTEN_AT_ONCE_BYTES_MAX {
        connection.get_mut().write_all(bytes)?;
        return read_answer(connection);
    }
    let mut writing = connection.get_ref().try_clone()?;
    thread::scope(|scope| {
        let writer = scope.spawn(move || writing.write_all(bytes));
        let answer = read_answer(connection)?;
        writer.join().expect("a writer does not panic")?;
        Ok(answer)
    })
}

/// A connection that does not wait for ever.
pub(crate) fn connect(address: SocketAddr, wait_max: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(wait_max))?;
    stream.set_write_timeout(Some(wait_max))?;
    Ok(stream)
}

/// Reads one answer from a connection.
pub(crate) fn read_answer(from: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let status_line = read_line(from)?;
    let status =
        status_line.get(9..12).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if answer.header("transfer-encoding") == Some("chunked") {
        read_chunks(from, &mut answer.body)?;
    } else if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        answer.body.resize(length, 0);
        from.read_exact(&mut answer.body)?;
    }
    Ok(answer)
}

fn read_chunks(from: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(from)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        let start = body.len();
        body.resize(start + length, 0);
        from.read_exact(&mut body[start..])?;
        read_line(from)?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn read_line(from: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}
