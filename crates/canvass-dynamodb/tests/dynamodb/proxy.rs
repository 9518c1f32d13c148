//! What DynamoDB Local does not do: answers that are lost after the write, throttling, conflicts, slowness. It stands
//! between the store and DynamoDB Local, and counts the capacity that each request says it took.

use std::{
    collections::BTreeMap,
    io::{Error, Result},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done and answered.
    Done,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It is refused for lack of room.
    Throttled,
    /// Its transaction meets another.
    Conflict,
    /// It is done and answered late.
    Slow(Duration),
    /// It is done late.
    Held(Duration),
}

/// A proxy under way; it ends when dropped.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    /// Capacity units by what was asked for.
    pub(crate) units: Arc<Mutex<BTreeMap<String, f64>>>,
    _task: JoinSet<()>,
}

type Decide = Arc<dyn Fn(&str, &str) -> Fate + Send + Sync>;

/// Begins a proxy. Each request's fate is decided by its operation and its body.
pub(crate) async fn begin(
    target: &str,
    decide: impl Fn(&str, &str) -> Fate + Send + Sync + 'static,
) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let units = Arc::new(Mutex::new(BTreeMap::new()));
    let (counted, target) = (Arc::clone(&units), target.trim_start_matches("http://").to_owned());
    let decide: Decide = Arc::new(decide);
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (target, decide, counted) = (target.clone(), Arc::clone(&decide), Arc::clone(&counted));
            tokio::spawn(async move {
                // A connection that ends is what this is for.
                let _ = serve(stream, &target, &decide, &counted).await;
            });
        }
    });
    Proxy { endpoint, units, _task: task }
}

struct Message {
    head: String,
    body: Vec<u8>,
}

async fn serve(
    client: TcpStream,
    target: &str,
    decide: &Decide,
    units: &Mutex<BTreeMap<String, f64>>,
) -> Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(target).await?;
    server.set_nodelay(true)?;
    let (mut client, mut server) = (BufStream::new(client), BufStream::new(server));
    loop {
        let mut request = read(&mut client).await?;
        let operation = header(&request.head, "x-amz-target").unwrap_or_default();
        let operation = operation.rsplit('.').next().unwrap_or_default().to_owned();
        let fate = decide(&operation, &String::from_utf8_lossy(&request.body));
        if let Some(refusal) = refusal(fate) {
            let answer = format!(
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{refusal}",
                refusal.len()
            );
            client.write_all(answer.as_bytes()).await?;
            client.flush().await?;
            continue;
        }
        if let Fate::Held(wait) = fate {
            tokio::time::sleep(wait).await;
        }
        ask_for_capacity(&operation, &mut request);
        server.write_all(request.head.as_bytes()).await?;
        server.write_all(&request.body).await?;
        server.flush().await?;
        let answer = read(&mut server).await?;
        count(&operation, &answer, units);
        match fate {
            Fate::AnswerLost => return Ok(()),
            Fate::Slow(wait) => tokio::time::sleep(wait).await,
            _ => {}
        }
        client.write_all(answer.head.as_bytes()).await?;
        client.write_all(&answer.body).await?;
        client.flush().await?;
    }
}

fn refusal(fate: Fate) -> Option<&'static str> {
    match fate {
        Fate::Throttled => Some(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"injected"}"#,
        ),
        Fate::Conflict => Some(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"injected","CancellationReasons":[{"Code":"TransactionConflict"}]}"#,
        ),
        _ => None,
    }
}

async fn read(stream: &mut BufStream<TcpStream>) -> Result<Message> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Err(Error::other("the connection ended"));
        }
    }
    if header(&head, "transfer-encoding").is_some() {
        return read_chunks(stream, head).await;
    }
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Message { head, body })
}

/// A long answer comes in chunks, and goes on as one.
async fn read_chunks(stream: &mut BufStream<TcpStream>, head: String) -> Result<Message> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(Error::other)?;
        let begin = body.len();
        body.resize(begin + length, 0);
        stream.read_exact(&mut body[begin..]).await?;
        stream.read_line(&mut String::new()).await?;
        if length == 0 {
            break;
        }
    }
    let length = format!("content-length: {}", body.len());
    let is_chunked = |line: &str| line.to_ascii_lowercase().starts_with("transfer-encoding:");
    let lines: Vec<&str> =
        head.split("\r\n").map(|line| if is_chunked(line) { &length[..] } else { line }).collect();
    Ok(Message { head: lines.join("\r\n"), body })
}

fn header(head: &str, name: &str) -> Option<String> {
    let line = head
        .lines()
        .find(|line| line.split_once(':').is_some_and(|(known, _)| known.trim().eq_ignore_ascii_case(name)));
    line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
}

/// The operations of tables that tell what they took.
const METERED: [&str; 4] = ["PutItem", "GetItem", "Query", "TransactWriteItems"];

fn ask_for_capacity(operation: &str, request: &mut Message) {
    if !METERED.contains(&operation) || request.body.first() != Some(&b'{') {
        return;
    }
    request.body.splice(1..1, br#""ReturnConsumedCapacity":"TOTAL","#.iter().copied());
    let length = format!("content-length: {}", request.body.len());
    let lines: Vec<&str> = request
        .head
        .split("\r\n")
        .map(|line| if line.to_ascii_lowercase().starts_with("content-length:") { &length[..] } else { line })
        .collect();
    request.head = lines.join("\r\n");
}

/// Adds what an answer says: `"CapacityUnits":1.0`, once for each table.
fn count(operation: &str, answer: &Message, units: &Mutex<BTreeMap<String, f64>>) {
    let text = String::from_utf8_lossy(&answer.body);
    let told = text.split(r#""TableName":""#).skip(1).filter_map(|part| {
        let (table, rest) = part.split_once('"')?;
        let number = rest.split(r#""CapacityUnits":"#).nth(1)?;
        let number: f64 = number.split([',', '}']).next()?.parse().ok()?;
        Some((table.rsplit('-').next()?.to_owned(), number))
    });
    for (table, number) in told {
        *units.lock().unwrap().entry(format!("{operation} {table}")).or_default() += number;
    }
}
