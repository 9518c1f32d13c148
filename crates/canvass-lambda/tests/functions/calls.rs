//! What a function asks of AWS, as IAM would see it: requests on their way to DynamoDB, S3 and Secrets Manager are
//! written down as actions on resources.

use std::{
    collections::BTreeSet,
    io::{self, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde_json::Value;

use crate::http::Message;

/// Actions, each with the resource that it was asked of.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeSet<(String, String)>>>);

impl Calls {
    /// All that were made so far.
    pub(crate) fn all(&self) -> BTreeSet<(String, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Listens in front of a server, and writes down what is asked of it. A connection carries one request.
    pub(crate) fn watch(&self, server: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let calls = self.clone();
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let calls = calls.clone();
                thread::spawn(move || {
                    // Whoever is gone needs no answer.
                    let _ = calls.forward(&connection, server);
                });
            }
        });
        Ok(address)
    }

    fn forward(&self, mut connection: &TcpStream, server: SocketAddr) -> io::Result<()> {
        let Some(mut request) = Message::read(&mut BufReader::new(connection))? else { return Ok(()) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(actions(&request));
        request.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("connection"));
        let mut upstream = TcpStream::connect(server)?;
        request.with("connection", "close").write(&upstream)?;
        io::copy(&mut upstream, &mut connection)?;
        Ok(())
    }
}

/// The actions that a request asks for; mostly one.
fn actions(request: &Message) -> Vec<(String, String)> {
    match request.field("x-amz-target").and_then(|target| target.split_once('.')) {
        Some((service, operation)) => {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if service == "secretsmanager" {
                let secret = body["SecretId"].as_str().unwrap_or_default();
                return vec![(format!("secretsmanager:{operation}"), secret.to_owned())];
            }
            table_actions(operation, &body)
        }
        None => vec![object_action(request)],
    }
}

/// Transactions and batches need what each of their parts does.
fn table_actions(operation: &str, body: &Value) -> Vec<(String, String)> {
    let resource = |of: &Value| {
        if let Some(stream) = of["StreamArn"].as_str() {
            return stream.to_owned();
        }
        let index = of["IndexName"].as_str().map(|index| format!("/index/{index}")).unwrap_or_default();
        format!("{}{}{index}", TABLES, of["TableName"].as_str().unwrap_or_default())
    };
    let Some(items) = body["TransactItems"].as_array() else {
        return vec![(format!("dynamodb:{operation}"), resource(body))];
    };
    let parts = items.iter().flat_map(|item| item.as_object().into_iter().flatten());
    let action = |part: &str| match part {
        "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
        part => format!("dynamodb:{part}Item"),
    };
    parts.map(|(part, of)| (action(part), resource(of))).collect()
}

/// What the names of tables begin with as resources.
pub(crate) const TABLES: &str = "arn:aws:dynamodb:local:000000000000:table/";
/// What the names of buckets begin with as resources.
pub(crate) const BUCKETS: &str = "arn:aws:s3:::";

fn object_action(request: &Message) -> (String, String) {
    let (path, query) = request.target().split_once('?').unwrap_or((request.target(), ""));
    let (path, method) = (path.trim_matches('/'), request.start.split(' ').next().unwrap_or_default());
    let operation = match (method, path.contains('/')) {
        ("GET" | "HEAD", true) => "GetObject",
        ("GET" | "HEAD", false) => "ListBucket",
        ("DELETE", _) if query.contains("uploadId") => "AbortMultipartUpload",
        ("DELETE", _) => "DeleteObject",
        _ => "PutObject",
    };
    (format!("s3:{operation}"), format!("{BUCKETS}{path}"))
}
