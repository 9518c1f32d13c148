//! As much of HTTP/1.1 as the emulator of Lambda speaks: whole messages, kept connections.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read as _, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
};

/// A request or an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Its first line.
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn new(start: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { start: start.into(), fields: Vec::new(), body: body.into() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// The second word of the first line: a path or a status.
    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    pub(crate) fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut head = format!("{}\r\n", self.start);
        let is_bare = self.target() == "204" || self.target() == "304";
        if self.field("content-length").is_none() && !is_bare {
            let _ = write!(head, "content-length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        to.write_all(&[head.as_bytes(), b"\r\n", &self.body].concat())
    }

    /// The next message; none where the connection has ended.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut message = Self { start: line(from)?, ..Self::default() };
        if message.start.is_empty() {
            return Ok(None);
        }
        loop {
            let field = line(from)?;
            let Some((name, value)) = field.split_once(':') else { break };
            message.fields.push((name.to_owned(), value.trim().to_owned()));
        }
        let is_chunked = message.field("transfer-encoding") == Some("chunked");
        let mut length = message.field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        loop {
            if is_chunked {
                length = usize::from_str_radix(&line(from)?, 16).map_err(io::Error::other)?;
            }
            let before = message.body.len();
            message.body.resize(before + length, 0);
            from.read_exact(&mut message.body[before..])?;
            if !is_chunked {
                return Ok(Some(message));
            }
            line(from)?;
            if length == 0 {
                return Ok(Some(message));
            }
        }
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(1 << 20).read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// Serves on a free port of this machine until the process ends, each connection on a thread of its own.
pub(crate) fn serve(answer: impl Fn(Message) -> Message + Clone + Send + 'static) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                // Whoever is gone needs no answer.
                let _ = converse(&connection, answer);
            });
        }
    });
    Ok(address)
}

fn converse(connection: &TcpStream, answer: impl Fn(Message) -> Message) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(message) = Message::read(&mut reader)? {
        answer(message).write(connection)?;
    }
    Ok(())
}

/// Asks once.
pub(crate) fn ask(address: SocketAddr, message: &Message) -> io::Result<Message> {
    let connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    message.write(&connection)?;
    Message::read(&mut BufReader::new(&connection))?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
